"""Where in the picture something moves with the sound: no weights, no classes. Ours.

The motion of each 8 px cell (`motion`) is correlated with the level and the onsets of the sound (`hearing`) over
lags of up to 0.12 s. The cells that share a good one's fate, moving when it moves, are how far a thing reaches (common
fate, Wertheimer 1923). The source is the thing whose motion fits furthest beyond chance; what that is worth says `fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.localization.fit import Fit, Series, fit, hearings, unit
from avstream.localization.hearing import loudness
from avstream.localization.motion import Motion, Step, cuts, placed_at
from avstream.records import Box, Window

Heat = NDArray[np.float32]

LAGS_S = np.linspace(-0.12, 0.12, 13)  # sound is slow, and cameras, codecs and lips are not exact
FEWEST_STEPS = 20  # of fewer, some fit any sound by chance
SHARE = 0.45  # of the window that has to be one shot
MOVES = 0.25  # gray levels above the rest of the picture, in the mean of the window: less is no motion
WEIGHT = 0.3  # of the amount of motion, as an exponent
FATE = 0.45  # the correlation with the best cell at which a cell belongs to the same thing
CANDIDATES, LEAST = 3, 0.4  # things that are looked at, and of the best cell's score: where the last may begin
SECOND = 0.85  # of what the best thing is worth: what another must reach to count as sounding too


@dataclass(frozen=True, slots=True, eq=False)
class SynchronyMap:
    """The answer for one window, over one of its pictures.

    `heatmap` is float32 (rows, columns) in [0, 1]: 0.5 and more where the source is. The rest says how sure it is:
    `fit` of the motion of the best thing to the sound, `rival`: what the next best thing is worth over it (0..1),
    `moving`: the share of cells that move, `swing`: how much the sound's level varies (standard deviation, 1 is
    45 dB), `pulse`: how much the thing's motion does (over its mean), `share`: of the window, what was seen in one
    shot; `cut`: there is a cut or a hole in it.
    """

    heatmap: Heat
    peak: tuple[float, float]
    fit: Fit
    rival: float
    moving: float
    swing: float
    pulse: float
    share: float = 1.0
    cut: bool = False


class Synchrony:
    """One stream's motion, remembered so that overlapping windows share the work."""

    def __init__(self) -> None:
        self._motion = Motion()

    def push(self, time_s: float, picture: NDArray[np.uint8]) -> None:
        """Take a picture, uint8 (h, w) or (h, w, 3), of any size; one taken before is ignored. See `Motion.push`."""
        self._motion.push(time_s, picture)

    def watch(self, window: Window) -> None:
        """Take the motion pictures of the next window; those of earlier ones that nobody asked about are let go."""
        self._motion.forget(window.start_s)
        for frame in window.motion:
            self.push(frame.time_s, frame.gray)

    def look(
        self, start_s: float, end_s: float, audio: NDArray[np.float32], rate_hz: int, at_s: float | None = None
    ) -> SynchronyMap | None:
        """What moves between the two times with float32 (channels, n) from `start_s` on, mapped over the picture of
        `at_s` (without it, the middle one).

        None when it can't be decided: silence, fewer steps than FEWEST_STEPS, no motion, or a shot under SHARE of it.
        """
        shot = self.shot(start_s, end_s, audio, rate_hz, at_s)
        return None if shot is None else shot.map()

    def shot(
        self, start_s: float, end_s: float, audio: NDArray[np.float32], rate_hz: int, at_s: float | None = None
    ) -> Shot | None:
        """The motion and the sound of the shot around `at_s`, as for `look`; None in silence and for a short one."""
        steps = self._motion.steps(start_s, end_s)
        middle_s = (start_s + end_s) / 2 if at_s is None else at_s
        breaks = cuts(steps)
        shot = shot_at(steps, breaks, middle_s)
        if len(shot) < FEWEST_STEPS:
            return None
        share = (shot[-1].end_s - shot[0].start_s) / (end_s - start_s)
        heard = loudness(audio, rate_hz, start_s)
        if share < SHARE or heard is None:
            return None
        starts, ends = np.array([step.start_s for step in shot]), np.array([step.end_s for step in shot])
        cells = placed_at(shot, _nearest(ends, middle_s))
        around = heard.between(LAGS_S[:, None] + starts, LAGS_S[:, None] + ends)
        return Shot(cells, np.swapaxes(around, 0, 1), share, any(breaks))


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One shot's motion, `cells` float32 (T, rows, columns), and its sound, `heard` (lags, 2, T), each of LAGS_S away.

    `share`: of the window that the shot fills; `cut`: there is a cut or a hole in the window.
    """

    cells: Heat
    heard: Series
    share: float
    cut: bool

    def map(self) -> SynchronyMap | None:
        """What moves with the sound; None when nothing moves."""
        found = compare(self.cells, self.heard)
        return found and replace(found, share=self.share, cut=self.cut)

    def fits(self, boxes: Sequence[Box]) -> list[Fit]:
        """How the mean motion in each box fits the sound."""
        rows, columns = self.cells.shape[1:]
        own = _own(self.cells.reshape(len(self.cells), -1)).reshape(self.cells.shape)
        sounds = hearings(self.heard)
        found = []
        for left, top, right, bottom in boxes:
            y, x = min(rows - 1, int(top * rows)), min(columns - 1, int(left * columns))
            part = own[:, y : max(y + 1, int(np.ceil(bottom * rows))), x : max(x + 1, int(np.ceil(right * columns)))]
            found.append(fit(part.mean(axis=(1, 2)), sounds))
        return found


def synchrony(
    frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    times_s: Sequence[float] | NDArray[np.float64],
    audio: NDArray[np.float32],
    rate_hz: int,
    start_s: float = 0.0,
) -> SynchronyMap | None:
    """The map of one window: pictures uint8 (T, h, w) or (T, h, w, 3) at `times_s`, sound (channels, n) from `start_s`.

    None when it can't be decided. Raises ValueError for what is no picture.
    """
    one = Synchrony()
    for time_s, picture in zip(times_s, frames, strict=True):
        one.push(float(time_s), picture)
    return one.look(start_s, start_s + audio.shape[-1] / rate_hz, audio, rate_hz)


def _nearest(times_s: Series, time_s: float) -> int:
    return int(np.abs(times_s - time_s).argmin())


def shot_at(steps: Sequence[Step], breaks: Sequence[bool], time_s: float) -> list[Step]:
    """The run of steps around a time, without a cut or a hole; empty when there is none."""
    runs: list[list[Step]] = [[]]
    for step, cut in zip(steps, breaks, strict=True):
        last = runs[-1][-1] if runs[-1] else step
        joined = last is step or (abs(step.start_s - last.end_s) < 1e-6 and step.cells.shape == last.cells.shape)
        if cut or not joined:
            runs.append([])
        if not cut:
            runs[-1].append(step)
    runs = [run for run in runs if run]
    return min(runs, key=lambda run: max(run[0].start_s - time_s, time_s - run[-1].end_s), default=[])


def compare(cells: Heat, heard: Series) -> SynchronyMap | None:
    """The map from motion (T, rows, columns) and sound (lags, 2, T); None without motion."""
    count, rows, columns = cells.shape
    soft = cv2.blur(np.ascontiguousarray(cells.transpose(1, 2, 0)), (3, 3)).reshape(-1, count).T
    amount = soft.mean(axis=0)
    amount = amount - np.median(amount)
    moves = amount > MOVES
    if not moves.any():
        return None
    own = unit(_own(soft))
    sounds = hearings(heard).astype(np.float32)
    score = np.zeros(rows * columns, np.float32)
    score[moves] = np.maximum((sounds @ own[:, moves]).max(axis=0), 0) * amount[moves] ** WEIGHT
    if not score.any():
        return None
    smooth = cv2.blur(score.reshape(rows, columns), (3, 3), borderType=cv2.BORDER_REPLICATE)
    smooth *= moves.reshape(rows, columns)
    flat = cells.reshape(count, -1)
    things = _things(smooth, flat, own, sounds)
    best, rival = things[0], things[1].fit.worth / things[0].fit.worth if len(things) > 1 else 0.0
    return SynchronyMap(
        heatmap=_heatmap(smooth, things),
        peak=((best.seed % columns + 0.5) / columns, (best.seed // columns + 0.5) / rows),
        fit=best.fit,
        rival=rival,
        moving=float(moves.mean()),
        swing=float(heard[len(heard) // 2, 0].std()),
        pulse=float(best.moved.std()) / max(1e-6, float(flat[:, best.body.ravel()].mean())),
    )


def _own(series: NDArray[np.floating]) -> Series:
    """Motion (T, cells) around its mean, without what the complete picture does at once (flicker, shake, grain)."""
    own = series - series.mean(axis=0)
    shared = np.sort(series, axis=1)[:, series.shape[1] // 2]
    shared = shared - shared.mean()
    power = float(shared @ shared)
    out: Series = own - np.outer(shared, shared @ own / power) if power > 1e-6 else own
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Thing:
    """What moves as one: its best cell, its cells (rows, columns), their motion (T,) and how that fits the sound."""

    seed: int
    body: NDArray[np.bool_]
    moved: Series
    fit: Fit


def _things(smooth: Heat, whole: Series, soft: Series, sounds: Series) -> list[_Thing]:
    """Around the best cells, those whose mean motion is furthest from fitting by chance first; at least one.

    From the scores (rows, columns), the motion of each cell (T, n), the same with neighbors and a length of 1, and
    `hearings`. One cell fits by chance more easily than a thing does.
    """
    energy, sharp = whole.mean(axis=0), _own(whole)
    alike, warm = unit(sharp), energy - np.median(energy) > MOVES
    free, found = np.ones(smooth.shape, bool), list[_Thing]()
    for _ in range(CANDIDATES):
        seed = int((smooth * free).argmax())
        if found and smooth.flat[seed] * free.flat[seed] < LEAST * smooth.max():
            break
        body = free & _body(((soft[:, seed] @ alike > FATE) & warm).reshape(smooth.shape), seed)
        moved = sharp[:, body.ravel()].mean(axis=1)
        found.append(_Thing(seed, body, moved, fit(moved, sounds)))
        free &= cv2.dilate(body.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    found.sort(key=lambda thing: -thing.fit.worth)
    return found[:1] + [thing for thing in found[1:] if thing.fit.worth > 0]


def _heatmap(smooth: Heat, things: Sequence[_Thing]) -> Heat:
    """The scores below 0.5, and above it the first thing and those that are worth nearly as much."""
    heat = 0.45 * smooth / smooth.max()
    for thing in things:
        share = 1.0 if thing is things[0] else thing.fit.worth / things[0].fit.worth
        if share >= SECOND:
            inside = smooth[thing.body] / max(float(smooth[thing.body].max()), 1e-9)
            heat[thing.body] = np.maximum(heat[thing.body], 0.5 + 0.5 * share * inside)
    return np.clip(heat, 0, 1).astype(np.float32)


def _body(alike: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """The cells around the seed that belong together, without dents: motion shows at edges, things are whole."""
    rows, columns = alike.shape
    y, x = divmod(seed, columns)
    near = alike.astype(np.uint8)
    near[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] |= alike[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
    near[y, x] = 1
    _, names = cv2.connectedComponents(cv2.morphologyEx(near, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)))
    mine = (names == names[y, x]) & (near > 0)
    places = np.argwhere(mine)[:, ::-1].astype(np.int32)
    hull = np.zeros((rows, columns), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(places), 1)
    return hull > 0
