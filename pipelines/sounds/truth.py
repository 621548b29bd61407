"""What is true of a recording: targets and weights for every name of the network, and when it sounds."""

from __future__ import annotations

import numpy as np

from pipelines.nano.listener import NAMES
from pipelines.sounds.vocabulary import (
    ALSO_MAYBE,
    INSTRUMENTS,
    LABELS,
    MAY_BE,
    OTHER,
    OUTSIDE,
    PARENTS,
    STEADY,
    parent_of,
)

PLACE = {name: k for k, name in enumerate(NAMES[: len(LABELS) + 1])} | {
    f"/{parent}": len(LABELS) + 1 + k for k, parent in enumerate(PARENTS)
}


def targets(kind: str, music: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Targets and weights float32 (names,) of a kind that sounds; weight 0 where it is unknown."""
    target, weight = np.zeros(len(NAMES), np.float32), np.ones(len(NAMES), np.float32)
    for label in MAY_BE.get(kind, ()):
        weight[PLACE[label]] = 0
    for group, kinds in ALSO_MAYBE.items():
        if kind in kinds:
            weight[PLACE[f"/{group}"]] = 0
    parent = parent_of(kind)
    if parent:
        target[PLACE[f"/{parent}"]], weight[PLACE[f"/{parent}"]] = 1, 1
    if kind in LABELS:
        target[PLACE[kind]] = 1
    elif kind != "noise":
        target[PLACE[OTHER]] = 1
    if kind in ("unlabelled", OTHER):
        weight[len(LABELS) + 1 :] = 0
    if music or kind in INSTRUMENTS or kind in OUTSIDE["music"]:
        target[PLACE["music"]] = target[PLACE["/music"]] = 1
        weight[PLACE["/music"]] = 1
        if kind not in LABELS:
            target[PLACE[OTHER]], weight[PLACE[OTHER]] = 0, 0  # "music" is a right answer, "unidentified" too
    return target, weight


def activity(level_db: np.ndarray, kind: str) -> np.ndarray:
    """When a recording of one sound sounds: int8 of 1 (does), 0 (doesn't), -1 (unknown), from its levels.

    A steady sound down to 30 dB below its loudest; another only where it stands out of its own recording's ground.
    """
    top = float(level_db.max(initial=-200))
    out = np.full(len(level_db), -1, np.int8)
    if kind in STEADY:
        bar, low = top - 25, top - 38
    else:
        ground = max(float(np.percentile(level_db, 10)), top - 60)
        bar = top - 20 if top - ground < 12 else max(top - 20, ground + 0.4 * (top - ground))
        low = max(bar - 8, top - 38) if top - ground >= 12 else top - 38
    out[level_db >= bar] = 1
    out[level_db < low] = 0
    return out
