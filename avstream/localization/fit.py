"""How well one thing's motion fits the sound, and how much that is worth: two short series, no pictures. Ours.

Much fits by chance in three seconds: one jump that meets one knock is enough. What really follows the sound fits in
both halves of the window, and still without its best fifth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.floating]

SPARED = 0.2  # of the window, that is left out
TIMES_SPARED = 13


@dataclass(frozen=True, slots=True)
class Fit:
    """`correlation` with the sound (-1..1) at the lag that fits best, and at that lag `half`: in the worse half of the
    window, `spared`: without the stretch that speaks for it most. `freedom`: how many independent moments the window
    is worth, as a logarithm: two slow series fit easily.
    """

    correlation: float
    half: float
    spared: float
    freedom: float

    @property
    def repeated(self) -> bool:
        """Whether more than one moment speaks for it."""
        return self.half > 0 and self.spared > 0

    @property
    def worth(self) -> float:
        """How far the correlation is from chance, in standard errors: Fisher's z times the root of the freedom."""
        return float(np.arctanh(np.clip(self.correlation, -0.99, 0.99)) * np.exp(self.freedom / 2))


def hearings(heard: Series) -> Series:
    """What motion is compared with, each with a length of 1: (3 * lags, T) from level and onsets (lags, 2, T).

    Level, onsets and the two together, for what hums follows the one and what strikes the other.
    """
    around = heard - heard.mean(axis=2, keepdims=True)
    level, onset = unit(around[:, 0].T).T, unit(around[:, 1].T).T
    return np.concatenate([level, onset, unit((level + onset).T).T])


def unit(series: Series) -> Series:
    """Each column of (T, n) with a length of 1."""
    out: Series = series / np.maximum(np.sqrt(np.square(series).sum(axis=0)), 1e-6)
    return out


def fit(moved: Series, heard: Series) -> Fit:
    """How the motion (T,) of one thing fits the best of what was heard (n, T), see `hearings`."""
    moved = moved - moved.mean()
    best = heard[int((heard @ moved).argmax())]
    count = len(moved)
    kept = np.ones((3 + TIMES_SPARED, count))
    kept[1, count // 2 :] = kept[2, : count // 2] = 0
    gap = max(3, round(SPARED * count))
    for row, start in zip(kept[3:], np.linspace(0, count - gap, TIMES_SPARED).astype(int), strict=True):
        row[start : start + gap] = 0
    values = _correlations(moved, best, kept)
    freedom = float(np.log(_independent(moved, best)))
    return Fit(float(values[0]), float(values[1:3].min()), float(values[3:].min()), freedom)


def _correlations(a: Series, b: Series, kept: Series) -> Series:
    """The correlation of two series (T,) over what each row of (n, T) keeps of them, (n,)."""
    share = kept / kept.sum(axis=1, keepdims=True)
    mean_a, mean_b = share @ a, share @ b
    power = (share @ (a * a) - mean_a**2) * (share @ (b * b) - mean_b**2)
    out: Series = (share @ (a * b) - mean_a * mean_b) / np.sqrt(np.maximum(power, 1e-18))
    return np.clip(out, -1, 1)


def _independent(a: Series, b: Series) -> float:
    """How many independent moments two series (T,) have together (Bartlett 1935), at least 1."""
    count = len(a)
    own = [np.correlate(x, x, "full")[count:] / max(1e-9, float(x @ x)) for x in (a, b)]
    weights = 1 - np.arange(1, count) / count
    return max(1.0, count / max(1.0, 1 + 2 * float((weights * own[0] * own[1]).sum())))
