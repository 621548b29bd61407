"""Where a thing is by now: what is in a box is followed from the picture that the box is true for. Pure; cv2 only."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.drawing.canvas import Picture
from avstream.records import Box

SIDE_PX = 320  # the longer side that pictures are looked at in
MOST_POINTS, FEWEST_POINTS = 24, 5  # corners in a box
BACK_PX = 1.0  # how near a corner must come back to where it began, followed there and back
OTHER_PICTURE = 30.0  # gray levels, the mean difference from which on it is another shot
WINDOW = (15, 15)

Shift = tuple[float, float]


class Follower:
    """How far the things in some boxes have moved since their picture (Lucas-Kanade, there and back)."""

    def __init__(self, rgb: Picture, boxes: Sequence[Box]) -> None:
        """`rgb` is uint8 (h, w, 3), the picture that `boxes`, in [0, 1], are true for."""
        self._key = _gray(rgb)
        self._points = [_corners(self._key, box) for box in boxes]
        self._last: list[Shift] = [(0.0, 0.0) for _ in boxes]
        self._seen: tuple[Picture, list[Shift | None]] | None = None  # the same picture is drawn more than once

    def shifts(self, rgb: Picture) -> list[Shift | None]:
        """For each box, how far it is to be moved on a picture of the same stream, in shares of width and height.

        None where the picture shows something else; what can't be followed stays where it was last.
        """
        if self._seen is None or self._seen[0] is not rgb:
            self._seen = rgb, self._looked(rgb)
        return list(self._seen[1])

    def _looked(self, rgb: Picture) -> list[Shift | None]:
        height, width = self._key.shape
        now = cv2.resize(_gray(rgb), (width, height)) if rgb.shape[:2] != self._key.shape else _gray(rgb)
        if float(cv2.absdiff(self._key, now).mean()) > OTHER_PICTURE:
            return [None] * len(self._points)
        for k, points in enumerate(self._points):
            moved = _moved(self._key, now, points)
            if moved is not None:
                self._last[k] = float(moved[0]) / width, float(moved[1]) / height
        return list(self._last)


def _gray(rgb: Picture) -> Picture:
    height, width = rgb.shape[:2]
    scale = min(1.0, SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def _corners(gray: Picture, box: Box) -> NDArray[np.float32]:
    """Corners inside a box, (n, 1, 2); in its middle part first, for at its edges is the background."""
    height, width = gray.shape
    left, top, right, bottom = box
    inset_x, inset_y = 0.15 * (right - left), 0.15 * (bottom - top)
    mask = np.zeros_like(gray)
    rows = slice(int((top + inset_y) * height), int((bottom - inset_y) * height) + 1)
    mask[rows, int((left + inset_x) * width) : int((right - inset_x) * width) + 1] = 255
    found = cv2.goodFeaturesToTrack(gray, MOST_POINTS, 0.02, 4, mask=mask)
    return np.zeros((0, 1, 2), np.float32) if found is None else np.asarray(found, np.float32)


def _moved(key: Picture, now: Picture, points: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The median way of the corners that are found there and back, in pixels (2,); None when too few are."""
    if len(points) < FEWEST_POINTS:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(key, now, points, None, winSize=WINDOW, maxLevel=4)
    back, again, _ = cv2.calcOpticalFlowPyrLK(now, key, there, None, winSize=WINDOW, maxLevel=4)
    good = (found & again)[:, 0].astype(bool) & (np.linalg.norm((back - points)[:, 0], axis=1) < BACK_PX)
    if good.sum() < max(FEWEST_POINTS, len(points) // 3):
        return None
    way: NDArray[np.float32] = np.median((there - points)[good, 0], axis=0)
    return way
