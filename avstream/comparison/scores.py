"""Ranks, and shares with how sure they are."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import normalize

Z = 1.959964  # of a 95 % interval


def similarity(queries: Tensor, items: Tensor) -> Tensor:
    """Cosines of (n, d) and (m, d): (n, m)."""
    return normalize(queries.float(), dim=-1) @ normalize(items.float(), dim=-1).T


def ranks(cosines: Tensor) -> Tensor:
    """Where item i stands for query i, float (n,), 1 being the best. (n, n). What is as near costs half a place."""
    true = cosines.diagonal()[:, None]
    return 1 + (cosines > true).sum(1) + ((cosines == true).sum(1) - 1) / 2


def ranks_by_chance(count: int) -> float:
    """The mean rank that guessing gives among so many."""
    return (count + 1) / 2


def retrieval(sounds: Tensor, pictures: Tensor) -> dict[str, float]:
    """Mean rank and top-1 share, sound to picture and back. Both (n, d), in one space."""
    cosines = similarity(sounds, pictures)
    out = {}
    for way, found in (("sound to picture", ranks(cosines)), ("picture to sound", ranks(cosines.T))):
        out[f"{way}, mean rank"] = float(found.mean())
        out[f"{way}, top-1"] = float((found == 1).float().mean())
    return out


def neighbours(cosines: Tensor, count: int) -> list[list[int]]:
    """The nearest items of each query, best first. (n, m)."""
    nearest: list[list[int]] = torch.topk(cosines, min(count, cosines.shape[1]), dim=1).indices.tolist()
    return nearest


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which stays in [0, 1] and means something for few trials."""
    if of == 0:
        return 0.0, 1.0
    share, spread = right / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, middle - half), min(1.0, middle + half)
