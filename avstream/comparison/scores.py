"""Ranks, and shares with how sure they are."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Z = 1.959964  # of a 95 % interval


def similarity(queries: Floats, items: Floats) -> Floats:
    """Cosines of (n, d) and (m, d): (n, m)."""
    unit = [x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12) for x in (queries, items)]
    return unit[0] @ unit[1].T


def ranks(cosines: Floats) -> NDArray[np.float64]:
    """Where item i stands for query i, (n,), 1 being the best. (n, n). What is as near costs half a place."""
    true = cosines.diagonal()[:, None]
    return 1 + (cosines > true).sum(1) + ((cosines == true).sum(1) - 1) / 2


def ranks_by_chance(count: int) -> float:
    """The mean rank that guessing gives among so many."""
    return (count + 1) / 2


def retrieval(cosines: Floats) -> dict[str, float]:
    """Mean rank and top-1 share, sound to picture and back, of the cosines of n sounds and their n pictures."""
    out = {}
    for way, found in (("sound to picture", ranks(cosines)), ("picture to sound", ranks(cosines.T))):
        out[f"{way}, mean rank"] = float(found.mean())
        out[f"{way}, top-1"] = float((found == 1).mean())
    return out


def nearest(cosines: Floats, count: int) -> list[list[int]]:
    """The nearest items of each query, best first. (n, m)."""
    found: list[list[int]] = np.argsort(-cosines, axis=1, kind="stable")[:, :count].tolist()
    return found


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which stays in [0, 1] and means something for few trials."""
    if of == 0:
        return 0.0, 1.0
    share, spread = right / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, middle - half), min(1.0, middle + half)
