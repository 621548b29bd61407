"""The similarity heatmap: where in the picture the patches resemble the sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def heatmap(scores: NDArray[np.float32], kept: NDArray[np.int64], grid: tuple[int, int]) -> NDArray[np.float32]:
    """What the language model was given: the kept patches by their similarity, the others 0.

    Args:
        scores: cosine of every patch, (N,).
        kept: indices of the patches that were kept, (k,).
        grid: (rows, columns) of the tower, rows * columns = N.

    Returns:
        (rows, columns) float32 in [0, 1]: 1 for the best patch; the least similar of all would be 0.
    """
    shown = np.zeros(scores.size, np.float32)
    if kept.size:
        low, high = float(scores.min()), float(scores.max())
        shown[kept] = (scores[kept] - low) / (high - low) if high > low else 1.0
    return shown.reshape(grid)
