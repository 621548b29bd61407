"""Token substitution, the paper's Algorithm 1 (arXiv 2506.10416), on plain arrays: no model, no I/O.

The sound's vector takes the place of the CLS token, and only the picture patches that resemble the sound stay.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from avstream.errors import ConfigError

Unselected = Literal["zero", "drop"]
TINY = 1e-8  # a vector of zeros resembles nothing


def similarities(sound: NDArray[np.float32], patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """s_i = cos(f_a, v_i). `sound` is (d,), `patches` (N, d); gives (N,)."""
    lengths = np.linalg.norm(sound) * np.linalg.norm(patches, axis=1)
    return patches @ sound / np.maximum(lengths, TINY)


def select(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Indices of the k largest scores, in the patches' own order; ties go to the earlier patch. Gives (k,).

    Raises ConfigError unless 0 <= k <= N.
    """
    if not 0 <= k <= scores.size:
        raise ConfigError(
            f"{k}",
            "the paper uses 15 (the sound leads) or 150 (the picture leads)",
            f"tokens between 0 and the picture's {scores.size} patches",
        )
    return np.sort(np.argsort(-scores, kind="stable")[:k])


def substitute(
    sound: NDArray[np.float32], patches: NDArray[np.float32], k: int, unselected: Unselected
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """V* of Algorithm 1: the sound first, then the patches that resemble it most.

    Args:
        sound: f_a, (d,), already aligned to the patches' width.
        patches: v_1..v_N, (N, d), without the CLS token.
        k: how many patches to keep.
        unselected: "zero" keeps the other patches' places as zeros: (N + 1, d) tokens, as in the paper.
            "drop" removes them: (k + 1, d) tokens, the kept ones in the same order.

    Returns:
        tokens (N + 1 or k + 1, d), scores (N,), and the kept indices (k,).

    Raises:
        ConfigError: k is out of range.
    """
    scores = similarities(sound, patches)
    kept = select(scores, k)
    if unselected == "drop":
        chosen = patches[kept]
    else:
        chosen = np.zeros_like(patches)
        chosen[kept] = patches[kept]
    return np.concatenate([sound[None], chosen]), scores, kept
