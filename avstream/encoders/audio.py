"""What every audio encoder shares: its interface, and sound in the form that it takes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray


class AudioEncoder(Protocol):
    """Turns sound into one vector a clip."""

    rate_hz: int
    dim: int

    @abstractmethod
    def encode_batch(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mono float32 clips (n_i,) at `rate_hz`, of any lengths -> float32 (B, dim).

        A clip's vector does not depend on the others in the batch.
        """
        ...

    def encode(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mono float32 (n,) at `rate_hz` -> z_a, float32 (dim,)."""
        return self.encode_batch([samples])[0]


def mono(audio: NDArray[np.float32], rate_hz: int, wanted_hz: int) -> NDArray[np.float32]:
    """(channels, n) at `rate_hz` -> the channels' mean (n',) at `wanted_hz`."""
    samples = audio.sum(axis=0, dtype=np.float32) / np.float32(len(audio))  # a third of the time of `mean`
    if rate_hz != wanted_hz:
        samples = soxr.resample(samples, rate_hz, wanted_hz, quality="HQ")
    return np.ascontiguousarray(samples, np.float32)


def at_least(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The samples, with zeros added behind when there are fewer than `count`."""
    return samples if samples.size >= count else np.pad(samples, (0, count - samples.size))
