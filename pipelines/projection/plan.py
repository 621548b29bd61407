"""All that decides what a training gives: equal plans on equal vectors give equal weights, bit for bit on a CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """The defaults are the paper's; its batch size and the schedule's patience are not published."""

    audio: str
    vision: str
    pooling: str
    loss: str = "both"
    epochs: int = 10
    batch: int = 128
    lr: float = 5e-5
    patience: int = 2  # epochs without a better validation loss, after which the rate is multiplied by 0.1
    seed: int = 1
    data: str = ""  # of `fingerprint`


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Sounds (n, d_a) or (n, L, d_a), and the pictures (n, d) that they belong to."""

    sounds: Tensor
    pictures: Tensor

    def __len__(self) -> int:
        return len(self.sounds)


def fingerprint(splits: Sequence[Pairs]) -> str:
    """A hash of the vectors, so that a training is never resumed on others."""
    digest = hashlib.sha256()
    for pairs in splits:
        for part in (pairs.sounds, pairs.pictures):
            digest.update(part.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
