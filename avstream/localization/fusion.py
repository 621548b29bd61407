"""One honest answer from synchrony and stereo: heatmap, box, direction, and whether the source is in the picture. Ours.

Two logistic curves over a few features give the chances that the best place is a source, and that no source is in
view. Their weights are fitted on synthetic scenes (`fusion.json` says by which command), so the chances are
calibrated for those; below the thresholds the answer is None.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.localization.place import Place
from avstream.localization.stereo import Bearing
from avstream.localization.synchrony import SynchronyMap
from avstream.records import Box

TABLE = Path(__file__).with_name("fusion.json")
SHARE = 0.66  # of the window that must have been seen before anything is claimed
SURE_HERE = 0.8
SURE_ABSENT = 0.9  # as sure as the scenes allow: real films move in more ways than those
MOST_PULSE = 3.0  # what moves for less than a tenth of the window, as a flash does, is no proof of anything
SURE_BEARING = 0.5
APART = 0.6  # of half the picture's width: ears and eyes that are further apart speak of two things
FEATURES = ("correlation", "half", "spared", "freedom", "rival", "moving", "swing", "pulse", "agreement")


def fuse(seen: SynchronyMap | None, bearing: Bearing) -> Place:
    """The place of the one sound of a window. Of several at once nobody knows which it is: see `unattributed`.

    A window with a cut has no one picture that a box could be true for, so nothing but the side is said; nor is it of a
    flash.
    """
    if seen is None or seen.cut or seen.share < SHARE or seen.pulse > MOST_PULSE:
        return Place(None, None, None, bearing.side, None, None)
    here, absent = chances(features(seen, bearing))
    sure = here >= SURE_HERE and seen.fit.repeated and not contradict(seen, bearing)
    box = box_of(seen.heatmap, seen.peak) if sure else None
    if box is not None:
        return Place(True, seen.heatmap, box, bearing.side, here, absent)
    return Place(False if absent >= SURE_ABSENT else None, None, None, bearing.side, here, absent)


def contradict(seen: SynchronyMap, bearing: Bearing) -> bool:
    """Whether the ears are sure that it is elsewhere than where the eyes see something move."""
    across = 2 * seen.peak[0] - 1
    return bearing.side is not None and bearing.confidence >= SURE_BEARING and abs(bearing.azimuth - across) > APART


def unattributed(place: Place) -> Place:
    """The place when several sounds share it: the heatmap stays, since one of them is there; the rest is open."""
    return Place(None, place.heatmap, None, None, place.here, place.absent)


def features(seen: SynchronyMap, bearing: Bearing) -> NDArray[np.float64]:
    """What the chances are made of, (9,), in the order of FEATURES."""
    across = 2 * seen.peak[0] - 1
    agreement = 0.0 if bearing.side is None else bearing.confidence * float(np.tanh(4 * bearing.azimuth * across))
    fit = seen.fit
    fits = fit.correlation, fit.half, fit.spared, fit.freedom
    return np.array([*fits, seen.rival, min(1.0, 4 * seen.moving), seen.swing, seen.pulse, agreement])


def chances(values: NDArray[np.float64]) -> tuple[float, float]:
    """The chances that the best place is a source, and that none is in view, for FEATURES (9,)."""
    table = weights()
    scaled = np.append((values - table["mean"]) / table["scale"], 1.0)
    here, absent = (1 / (1 + np.exp(-np.clip(scaled @ table[name], -30, 30))) for name in ("here", "absent"))
    return float(here), float(absent)


@cache
def weights() -> dict[str, Any]:
    """The fitted table: `mean` and `scale` (9,), `here` and `absent` (10,), the last one constant."""
    table = json.loads(TABLE.read_text())
    return {name: np.array(row) if isinstance(row, list) else row for name, row in table.items()}


def box_of(heatmap: NDArray[np.float32], peak: tuple[float, float]) -> Box | None:
    """The bounds (left, top, right, bottom) in [0, 1] of what is 0.5 or more around the peak; None when nothing is."""
    rows, columns = heatmap.shape
    _, names = cv2.connectedComponents((heatmap >= 0.5).astype(np.uint8))
    name = names[min(rows - 1, int(peak[1] * rows)), min(columns - 1, int(peak[0] * columns))]
    if not name:
        return None
    y, x = np.nonzero(names == name)
    left, top = int(x.min()) / columns, int(y.min()) / rows
    return left, top, (int(x.max()) + 1) / columns, (int(y.max()) + 1) / rows
