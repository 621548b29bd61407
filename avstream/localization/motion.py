"""How much each part of the picture moves by itself, frame by frame: cuts, camera and flicker taken out.

Pure: gray pictures in, one `Step` for each pair of neighbors out. What two overlapping windows share is computed
once, and a stream gives the same steps however it is cut into pushes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.records import MOTION_SIDE

Gray = NDArray[np.uint8]
Cells = NDArray[np.float32]
Number = TypeVar("Number", np.uint8, np.float32)

SIDE_PX = MOTION_SIDE  # the longer side that pictures are worked on at
CELL_PX = 8
SHORTEST_STEP_S = 0.0217  # 30 pictures a second may jitter by a third; of 50 or 60 every second is taken
EDGE_S = 1e-6  # by which a step may be outside
LONGEST_STEP_S = 0.25  # between pictures further apart nothing can be said of the motion
STILL = 0.8  # gray levels: when two thirds of the picture change less, that is noise, not a camera: skies show none
NORMAL_STEP_S = 0.04
AGREE_PX = 0.5  # of the half size: how far a corner may be from where the camera's motion takes it
CUT = 5.0  # gray levels: where most of the lit picture changes less, it is no cut
LEAP_PX = 16.0  # in 40 ms: cameras seldom move so fast, but a closer shot looks like it
MOST = 0.6  # of the cells
BURST = 1.5  # gray levels, in most cells: less is no cut
ENOUGH = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03)  # of a corner's search: rounds, px
DARK = 20.0  # gray levels: what is below looks black


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What changed from one picture (`start_s`) to the next (`end_s`).

    `cells` is the mean absolute difference in gray levels in 40 ms, float32 (rows, columns), cells of 8 x 8 px.
    `pose` (2, 3) takes a place in the earlier picture, in px, to the later. `change` is what most cells do not exceed.
    `cut`: they show different things.
    """

    start_s: float
    end_s: float
    cells: Cells
    pose: NDArray[np.float64]
    change: float
    cut: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A picture in the working size, softened, and in half of it; `means` are its cells' levels."""

    time_s: float
    gray: Gray
    half: Gray
    means: Cells


class Motion:
    """The steps of one stream, the last `keep_s` seconds of them. Times must not run backward.

    Pictures wait until their steps are asked for, as nobody does in silence.
    """

    def __init__(self, keep_s: float = 12.0) -> None:
        self._keep_s = keep_s
        self._waiting, self._pushed_s = deque[tuple[float, Gray]](), -math.inf
        self._last: _Picture | None = None
        self._steps = deque[Step]()

    def push(self, time_s: float, gray: Gray) -> None:
        """Take the next picture, uint8 (h, w), gray, or (h, w, 3), RGB, of any size; one taken before is ignored.

        So is one that comes within SHORTEST_STEP_S. Raises ValueError for an array that is no such picture.
        """
        if gray.ndim not in (2, 3) or gray.dtype != np.uint8 or not gray.size:
            raise ValueError(f"a picture must be uint8 (h, w) or (h, w, 3), not {gray.dtype} {gray.shape}")
        if time_s - self._pushed_s >= SHORTEST_STEP_S:
            self._pushed_s = time_s
            self._waiting.append((time_s, gray))
            self.forget(time_s - self._keep_s)

    def forget(self, before_s: float) -> None:
        """Let go of waiting pictures from before a time, but for the last."""
        while len(self._waiting) > 1 and self._waiting[1][0] < before_s - EDGE_S:
            self._waiting.popleft()

    def steps(self, start_s: float = -math.inf, end_s: float = math.inf) -> list[Step]:
        """Those inside [start_s, end_s]; steps from before `start_s` may then never be made."""
        self.forget(start_s)
        while self._waiting:
            self._take(*self._waiting.popleft())
        return [step for step in self._steps if step.start_s >= start_s - EDGE_S and step.end_s <= end_s + EDGE_S]

    def _take(self, time_s: float, gray: Gray) -> None:
        before, now = self._last, _prepared(time_s, gray)
        self._last = now
        if before is None:
            return
        if before.gray.shape != now.gray.shape or time_s - before.time_s > LONGEST_STEP_S:
            self._steps.append(_apart(before, now))
        else:
            self._steps.append(_step(before, now))
        while self._steps[0].end_s < time_s - self._keep_s:
            self._steps.popleft()


def _prepared(time_s: float, picture: Gray) -> _Picture:
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
    height, width = gray.shape
    scale = SIDE_PX / max(height, width)
    size = tuple(CELL_PX * max(1, round(side * scale / CELL_PX)) for side in (width, height))
    if (width, height) != size:
        # down to a half, linear averages the same pixels as area does, four times as fast
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA if scale < 0.4 else cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(gray, (3, 3), 0)  # so that a camera's fractions of a pixel leave less behind
    half = cv2.resize(gray, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_LINEAR)
    return _Picture(time_s, soft, half, _pooled(half, CELL_PX // 2))


def _pooled(gray: Gray, cell_px: int) -> Cells:
    """Mean of each cell, float32 (rows, columns)."""
    rows, columns = gray.shape[0] // cell_px, gray.shape[1] // cell_px
    exact = gray.astype(np.float32)  # means of bytes would be rounded to gray levels
    return np.asarray(cv2.resize(exact, (columns, rows), interpolation=cv2.INTER_AREA))


def _apart(before: _Picture, now: _Picture) -> Step:
    return Step(before.time_s, now.time_s, np.zeros_like(now.means), np.eye(2, 3), 0.0, True)


def _step(before: _Picture, now: _Picture) -> Step:
    gain = _gain(before.means, now.means)
    earlier = before.gray if abs(gain - 1) < 0.004 else cv2.convertScaleAbs(before.gray, alpha=gain)
    slow = NORMAL_STEP_S / (now.time_s - before.time_s)
    cells, pose, leaps = _difference(earlier, now.gray), np.eye(2, 3), False
    ordered = np.sort(cells, axis=None)
    if _at(ordered, 0.67) > STILL and (found := _camera(before.half, now.half)) is not None:
        followed = _difference(_moved(earlier, found), now.gray)
        inside = _moved(np.ones_like(cells), _in_cells(found)) > 0.99  # what was not in view before is no motion
        if inside.mean() > 0.5 and followed[inside].mean() < 0.93 * cells[inside].mean():
            cells, pose = np.where(inside, followed, np.float32(0)), found
            ordered = np.sort(cells, axis=None)
            leaps = _leap_px(pose, now.gray.shape) * min(1.0, slow) > LEAP_PX
    cut = leaps or _is_cut(cells, ordered, before.means, now.means)
    return Step(before.time_s, now.time_s, cells * np.float32(slow), pose, _at(ordered, MOST) * slow, cut)


def _at(ordered: NDArray[np.floating], share: float) -> float:
    """The one of sorted values (n,) that a share of all do not exceed."""
    return float(ordered[min(ordered.size - 1, int(share * ordered.size))])


def _ranked(values: NDArray[np.floating], share: float = 0.5) -> float:
    """The same of any values: numpy's median takes ten times as long on so few."""
    return _at(np.sort(values, axis=None), share)


def _gain(before: Cells, now: Cells) -> float:
    """The change of the light on most of the picture, as a factor; 1 where it is black."""
    lit = (before > 6) & (now > 3)
    if np.count_nonzero(lit) < 0.25 * lit.size:
        return 1.0
    return min(3.0, max(0.3, _ranked(now[lit] / before[lit])))


def _difference(before: Gray, now: Gray) -> Cells:
    return _pooled(cv2.absdiff(before, now), CELL_PX)


def _moved(picture: NDArray[Number], pose: NDArray[np.float64]) -> NDArray[Number]:
    return np.asarray(cv2.warpAffine(picture, pose, picture.shape[1::-1], flags=cv2.INTER_LINEAR))


def _leap_px(pose: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """How far the pose takes the corner that it moves most."""
    corners = np.array([[0, shape[1], 0, shape[1]], [0, 0, shape[0], shape[0]]])
    return float(np.abs(pose[:, :2] @ corners + pose[:, 2:] - corners).max())


def _in_cells(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """A pose in px as one in cells, whose first center lies at 0 too."""
    out = pose.copy()
    middle = (CELL_PX - 1) / 2
    out[:, 2] = (pose[:, :2] @ (middle, middle) + pose[:, 2] - middle) / CELL_PX
    return out


def _camera(before: Gray, now: Gray) -> NDArray[np.float64] | None:
    """The turn, zoom and shift, (2, 3) in px of the full size, that most corners follow; None when few do."""
    corners = cv2.goodFeaturesToTrack(before, 40, 0.01, 8)
    if corners is None or len(corners) < 8:
        return None
    found, status, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, None, winSize=(9, 9), maxLevel=2, criteria=ENOUGH)
    good = status.ravel() == 1
    if good.sum() < 8:
        return None
    pose, agree = cv2.estimateAffinePartial2D(corners[good], found[good], ransacReprojThreshold=AGREE_PX, maxIters=200)
    if pose is None or agree.mean() < 0.5:
        return None
    pose[:, 2] = 2 * pose[:, 2] + 0.5 - pose[:, :2] @ (0.5, 0.5)  # the half size's first center is at 0.5 of the whole
    return np.asarray(pose)


def _is_cut(cells: Cells, ordered: NDArray[np.floating], before: Cells, now: Cells) -> bool:
    """Whether most of the picture is another one: it differs by as much as its parts differ from each other.

    `ordered` are the cells, sorted.
    """
    if _at(ordered, 0.95) < CUT:
        return False
    lit = np.maximum(before, now) > DARK  # bars and night are black before and after
    if lit.mean() < 0.1:
        return False
    cells, before, now = cells[lit], before[lit], now[lit]
    contrast = float(max(before.std(), now.std()))
    if _ranked(cells) < max(CUT, 0.3 * contrast):
        return False
    a, b = before - before.mean(), now - now.mean()
    alike = float((a * b).sum() / max(1e-6, float(np.sqrt((a * a).sum() * (b * b).sum()))))
    return alike < 0.8


def cuts(steps: Sequence[Step]) -> list[bool]:
    """Which of a window's steps are cuts: those seen as one, and those in which most of the picture changes far more
    than in the others, which a mirrored, closer or dim shot does too.
    """
    if not steps:
        return []
    changes = np.array([step.change for step in steps])
    long = np.array([step.end_s - step.start_s for step in steps]) / NORMAL_STEP_S
    bursts = _bursts(changes) & _bursts(changes * long)  # things move more in a longer step, but noise does not
    return [step.cut or bool(burst) for step, burst in zip(steps, bursts, strict=True)]


def _bursts(changes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of the changes (n,) are far above the others."""
    middle, high = _ranked(changes), float(np.sort(changes)[int(0.9 * len(changes)) - 1])
    limit = max(BURST, float(np.clip(high + 8 * (high - middle), 1.3 * high, 2.5 * high)))  # noise is even: 1.3 tells
    return np.asarray(changes > limit)


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
