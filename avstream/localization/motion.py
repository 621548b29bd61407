"""How much each part of the picture moves by itself, frame by frame: cuts, camera and flicker taken out.

Pure: gray pictures in, one `Step` for each pair of neighbors out. What two overlapping windows share is computed
once, and a stream gives the same steps however it is cut into pushes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Cells = NDArray[np.float32]
Number = TypeVar("Number", np.uint8, np.float32)

SIDE_PX = 320  # the longer side that pictures are worked on at
CELL_PX = 8
TOP_RATE_HZ = 30.0
LONGEST_STEP_S = 0.25  # between pictures further apart nothing can be said of the motion
STILL = 0.8  # gray levels: when two thirds of the picture change less, that is noise, not a camera: skies show none
NORMAL_STEP_S = 0.04
DARK = 20.0  # gray levels: what is below stays black for the eye


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What changed from one picture (`start_s`) to the next (`end_s`).

    `cells` is the mean absolute difference in gray levels in 40 ms, float32 (rows, columns), cells of 8 x 8 px.
    `pose` (2, 3) takes a place in the earlier picture, in px, to the later. `cut`: they show different things.
    """

    start_s: float
    end_s: float
    cells: Cells
    pose: NDArray[np.float64]
    cut: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A picture in the working size, softened, and in half of it; `means` are its cells' levels."""

    time_s: float
    gray: Gray
    half: Gray
    means: Cells


class Motion:
    """The steps of one stream, the last `keep_s` seconds of them. Times must not run backward."""

    def __init__(self, keep_s: float = 12.0) -> None:
        self.steps: list[Step] = []
        self._keep_s = keep_s
        self._last: _Picture | None = None
        self._slot = -(2**62)

    def push(self, time_s: float, gray: Gray) -> None:
        """Take the next picture, uint8 (h, w), gray, or (h, w, 3), RGB, of any size; one taken before is ignored.

        Raises ValueError for an array that is no such picture. At most 30 pictures a second are looked at.
        """
        if gray.ndim not in (2, 3) or gray.dtype != np.uint8 or not gray.size:
            raise ValueError(f"a picture must be uint8 (h, w) or (h, w, 3), not {gray.dtype} {gray.shape}")
        slot = int(np.floor(time_s * TOP_RATE_HZ + 1e-4))
        if slot <= self._slot:
            return
        self._slot = slot
        now, before = _prepared(time_s, gray), self._last
        self._last = now
        if before is None:
            return
        if before.gray.shape != now.gray.shape or time_s - before.time_s > LONGEST_STEP_S:
            self.steps.append(_apart(before, now))
        else:
            self.steps.append(_step(before, now))
        while self.steps[0].start_s < time_s - self._keep_s:
            self.steps.pop(0)


def _prepared(time_s: float, picture: Gray) -> _Picture:
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
    height, width = gray.shape
    scale = SIDE_PX / max(height, width)
    size = tuple(CELL_PX * max(1, round(side * scale / CELL_PX)) for side in (width, height))
    if (width, height) != size:
        # down to a half, linear averages the same pixels as area does, four times as fast
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA if scale < 0.4 else cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(gray, (3, 3), 0)  # so that a camera's fractions of a pixel leave less behind
    half = cv2.resize(gray, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA)
    return _Picture(time_s, soft, half, _pooled(half, CELL_PX // 2))


def _pooled(gray: Gray, cell_px: int) -> Cells:
    """Mean of each cell, float32 (rows, columns)."""
    rows, columns = gray.shape[0] // cell_px, gray.shape[1] // cell_px
    exact = gray.astype(np.float32)  # means of bytes would be rounded to whole gray levels
    return np.asarray(cv2.resize(exact, (columns, rows), interpolation=cv2.INTER_AREA))


def _apart(before: _Picture, now: _Picture) -> Step:
    return Step(before.time_s, now.time_s, np.zeros_like(now.means), np.eye(2, 3), True)


def _step(before: _Picture, now: _Picture) -> Step:
    gain = _gain(before.means, now.means)
    earlier = before.gray if abs(gain - 1) < 0.004 else cv2.convertScaleAbs(before.gray, alpha=gain)
    cells, pose = _difference(earlier, now.gray), np.eye(2, 3)
    if _ranked(cells, 0.67) > STILL and (found := _camera(before.half, now.half)) is not None:
        followed = _difference(_moved(earlier, found), now.gray)
        inside = _moved(np.ones_like(cells), _in_cells(found)) > 0.99  # what was not in view before is no motion
        if inside.mean() > 0.5 and followed[inside].mean() < 0.93 * cells[inside].mean():
            cells, pose = np.where(inside, followed, np.float32(0)), found
    cut = _is_cut(cells, before.means, now.means)
    return Step(before.time_s, now.time_s, cells * np.float32(NORMAL_STEP_S / (now.time_s - before.time_s)), pose, cut)


def _ranked(values: NDArray[np.floating], share: float = 0.5) -> float:
    """The value that a share of all do not exceed: numpy's median takes ten times as long on so few."""
    return float(np.sort(values, axis=None)[min(values.size - 1, int(share * values.size))])


def _gain(before: Cells, now: Cells) -> float:
    """The change of the light on most of the picture, as a factor; 1 where it is black."""
    lit = (before > 6) & (now > 3)
    if lit.mean() < 0.25:
        return 1.0
    return float(np.clip(_ranked(now[lit] / before[lit]), 0.3, 3))


def _difference(before: Gray, now: Gray) -> Cells:
    return _pooled(cv2.absdiff(before, now), CELL_PX)


def _moved(picture: NDArray[Number], pose: NDArray[np.float64]) -> NDArray[Number]:
    return np.asarray(cv2.warpAffine(picture, pose, picture.shape[1::-1], flags=cv2.INTER_LINEAR))


def _in_cells(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """A pose in px as one in cells, whose first center lies at 0 too."""
    out = pose.copy()
    middle = (CELL_PX - 1) / 2
    out[:, 2] = (pose[:, :2] @ (middle, middle) + pose[:, 2] - middle) / CELL_PX
    return out


def _camera(before: Gray, now: Gray) -> NDArray[np.float64] | None:
    """The turn, zoom and shift, (2, 3) in px of the whole size, that most corners follow; None when few do."""
    corners = cv2.goodFeaturesToTrack(before, 60, 0.01, 7)
    if corners is None or len(corners) < 8:
        return None
    found, status, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, None, winSize=(11, 11), maxLevel=2)
    good = status.ravel() == 1
    if good.sum() < 8:
        return None
    pose = _agreed(corners[good, 0].astype(np.float64), found[good, 0].astype(np.float64))
    if pose is not None:  # places in the half size have their first center at 0.5 of the whole
        pose[:, 2] = 2 * pose[:, 2] + 0.5 - pose[:, :2] @ (0.5, 0.5)
    return pose


def _agreed(before: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The similarity (2, 3) that takes most of the points (n, 2) along: least squares, again without what disagrees."""
    flow = now - before
    off = np.abs(flow - np.median(flow, axis=0)).max(axis=1)
    kept = off <= max(1.0, 1.5 * _ranked(off))
    pose = np.eye(2, 3)
    for _ in range(3):
        if kept.sum() < 6:
            return None
        pose = _similarity(before[kept], now[kept])
        off = np.abs(before @ pose[:, :2].T + pose[:, 2] - now).max(axis=1)
        kept = off <= max(0.15, 2.5 * _ranked(off))
    return pose if _ranked(off) < 0.5 else None


def _similarity(before: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least-squares turn, zoom and shift from points (n, 2) to points (n, 2)."""
    a, b = before.mean(axis=0), now.mean(axis=0)
    p, q = (before - a) @ (1, 1j), (now - b) @ (1, 1j)
    turn = complex((q * p.conj()).sum() / max(1e-9, float((p * p.conj()).real.sum())))
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.hstack([linear, (b - linear @ a)[:, None]])


def _is_cut(cells: Cells, before: Cells, now: Cells) -> bool:
    """Whether most of the picture is another one: it differs by as much as its parts differ from each other."""
    lit = np.maximum(before, now) > DARK  # bars and night are black before and after
    if lit.mean() < 0.1:
        return False
    cells, before, now = cells[lit], before[lit], now[lit]
    contrast = float(max(before.std(), now.std()))
    if _ranked(cells) < max(5.0, 0.3 * contrast):
        return False
    a, b = before - before.mean(), now - now.mean()
    alike = float((a * b).sum() / max(1e-6, float(np.sqrt((a * a).sum() * (b * b).sum()))))
    return alike < 0.8


def placed_at(steps: list[Step], reference: int) -> NDArray[np.float32]:
    """The cells of the steps, (steps, rows, columns), moved to where they are when step `reference` ends."""
    out = np.stack([step.cells for step in steps])
    still = np.eye(2, 3)
    if all(np.array_equal(step.pose, still) for step in steps):
        return out
    for order in (range(reference, -1, -1), range(reference + 1, len(steps))):
        pose = np.eye(3)
        for k in order:
            onward = np.vstack([steps[k].pose, (0, 0, 1)])
            if k > reference:  # cells belong to the later picture of their step
                pose = pose @ np.linalg.inv(onward)
            if np.abs(pose[:2, 2]).max() > CELL_PX / 4:
                out[k] = _moved(out[k], _in_cells(pose[:2]))
            if k <= reference:
                pose = pose @ onward
    return out
