"""Every localizer on every scene: what it says, whether that is right, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.encoders.audio import mono
from avstream.localization import choosing
from avstream.localization.fit import Fit
from avstream.localization.fusion import FEATURES, features, fuse
from avstream.localization.localizer_synchrony import bearing_of
from avstream.localization.stereo import direction
from avstream.localization.synchrony import Shot, Synchrony, SynchronyMap
from avstream.records import Box
from pipelines.localization.benchmarks import Localizer
from pipelines.localization.metrics import SIZE, auc, box_truth, ciou, success
from pipelines.localization.scenes import Scene, make_scene
from pipelines.scenes.sound_bank import Bank

CLEAR_DB = 3.0  # a level difference from which on the side can be asked for
Heat = NDArray[np.float32]
Localizers = Mapping[str, Localizer]  # those that know classes, by name
TOLERANCE = (8 / 320, 8 / 180)  # one cell: the peak is the middle of one


@dataclass(frozen=True, slots=True)
class Candidate:
    """A thing: how the motion in its box fits the sound, whether the sound is heard beside it (None: from no sure side,
    or far from it), and whether it is a source.
    """

    fit: Fit
    beside: bool | None
    true: bool


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One scene's answers. `overlaps` and `halves` are by method: cIoU at 0.5, and whether the half is right.

    `features` is None when synchrony had no answer, or there is a cut; `inside`: its peak is on a source. `side` is
    None where the level difference is too small to ask. `visible`, `here` and `absent` are what fusion said, `box` is
    how far its box overlaps a source's (IoU), None without a box. `candidates`: the things, as a detector finds them.
    """

    condition: str
    on_screen: bool
    overlaps: dict[str, float]
    halves: dict[str, bool]
    inside: bool
    features: NDArray[np.float64] | None
    side: bool | None
    visible: bool | None
    here: float | None
    absent: float | None
    box: float | None
    candidates: tuple[Candidate, ...] = ()


def outcomes(
    condition: str, seeds: Iterable[int], bank: Bank, others: Localizers | None = None, *, fitting: bool = False
) -> Iterator[Outcome]:
    """The outcomes of the scenes of a condition.

    `fitting` leaves fusion out, whose table is then not there yet, and has each scene with half of its pictures too.
    """
    for seed in seeds:
        scene = make_scene(condition, seed, bank)
        yield outcome(scene, others, fitting=fitting)
        if fitting:
            yield outcome(replace(scene, gray=scene.gray[::2], times_s=scene.times_s[::2]), fitting=True)


def outcome(scene: Scene, others: Localizers | None = None, *, fitting: bool = False) -> Outcome:
    """Ask everyone about a scene, also the `others`, who look at its middle picture."""
    eye = Synchrony()
    for time_s, gray in zip(scene.times_s, scene.gray, strict=True):
        eye.push(float(time_s), gray)
    shot = eye.shot(0.0, scene.audio.shape[1] / scene.rate_hz, scene.audio, scene.rate_hz)
    seen = None if shot is None else shot.map()
    bearing = direction(scene.audio, scene.rate_hz)
    place = None if fitting else fuse(seen, bearing)
    overlaps, halves = against_truth(scene, maps_of(scene, seen, others or {})) if scene.boxes else ({}, {})
    asked = abs(scene.level_db) >= CLEAR_DB
    return Outcome(
        scene.condition, bool(scene.boxes), overlaps, halves,
        inside=seen is not None and any(holds(box, seen.peak) for box in scene.boxes),
        features=None if seen is None or seen.cut else features(seen, bearing),
        side=bearing.side == ("right" if scene.level_db > 0 else "left") if asked else None,
        visible=place.visible if place else None,
        here=place.here if place else None,
        absent=place.absent if place else None,
        box=best_overlap(place.box, scene.boxes) if place and place.box else None,
        candidates=candidates_of(scene, shot) if fitting else (),
    )  # fmt: skip


def candidates_of(scene: Scene, shot: Shot | None) -> tuple[Candidate, ...]:
    """The things of a scene in boxes that are off by a few percent, as detectors' are."""
    if shot is None:
        return ()
    rng = np.random.default_rng([31, len(scene.boxes), *(int(1000 * v) for box in scene.distractors for v in box)])
    boxes = [detected(box, rng) for box in (*scene.boxes, *scene.distractors)]
    true = [True] * len(scene.boxes) + [False] * len(scene.distractors)
    bearing = bearing_of(scene.audio, scene.rate_hz)
    heard = [
        None if bearing.side is None or choosing.elsewhere(box, bearing) else choosing.beside(box, bearing)
        for box in boxes
    ]
    return tuple(Candidate(*parts) for parts in zip(shot.fits(boxes), heard, true, strict=True))


def detected(box: Box, rng: np.random.Generator, off: float = 0.06) -> Box:
    """A box as a detector might give it: each side moved by a share `off` of the size (standard deviation)."""
    left, top, right, bottom = box
    sizes = np.array([right - left, bottom - top] * 2)
    moved = np.clip(np.array(box) + off * sizes * rng.standard_normal(4), 0, 1)
    return float(moved[0]), float(moved[1]), float(moved[2]), float(moved[3])


def best_overlap(box: Box, boxes: Sequence[Box]) -> float:
    """How far a box overlaps that of the source that it fits best (IoU), 0..1; 0 where there is none."""
    return max((ciou(box_truth([box]), box_truth([one]), 0.5) for one in boxes), default=0.0)


def hop_cost(scene: Scene, size: tuple[int, int], rate_hz: int = 48000) -> float:
    """Milliseconds of CPU for one hop: the pictures of 1 s, gray and of that size, and one look with stereo."""
    pictures = [cv2.resize(gray, size) for gray in scene.gray]
    sound = np.repeat(scene.audio, rate_hz // scene.rate_hz, axis=1)
    eye, spent_s = Synchrony(), []
    for time_s, picture in zip(scene.times_s, pictures, strict=True):
        eye.push(float(time_s), picture)
    for _ in range(2):  # the first look makes the steps of all pictures
        began = process_time()
        fuse(eye.look(0.0, sound.shape[1] / rate_hz, sound, rate_hz), direction(sound, rate_hz))
        spent_s.append(process_time() - began)
    return 1000 * ((spent_s[0] - spent_s[1]) / 3 + spent_s[1])


def maps_of(scene: Scene, seen: SynchronyMap | None, others: Localizers) -> dict[str, Heat | None]:
    """The heatmaps of synchrony, of what it must beat (motion alone, the middle), and of the others."""
    motion = np.abs(np.diff(scene.gray.astype(np.int16), axis=0)).mean(axis=0).astype(np.float32)
    motion = cv2.blur(motion, (25, 25))
    middle = np.zeros((SIZE, SIZE), np.float32)
    middle[SIZE // 4 : 3 * SIZE // 4, SIZE // 4 : 3 * SIZE // 4] = 1
    rgb = np.asarray(cv2.cvtColor(scene.gray[len(scene.gray) // 2], cv2.COLOR_GRAY2RGB), np.uint8)
    maps = {"synchrony": seen.heatmap if seen else None, "motion alone": motion / max(1e-6, motion.max())}
    for name, other in others.items():
        maps[name] = other.locate(rgb, mono(scene.audio, scene.rate_hz, other.rate_hz)).heatmap
    return maps | {"middle": middle}


def against_truth(scene: Scene, maps: dict[str, Heat | None]) -> tuple[dict[str, float], dict[str, bool]]:
    """Overlap (cIoU), and whether the peak is in a source's half of the picture, for each map."""
    truth, left = box_truth(scene.boxes), [(box[0] + box[2]) / 2 < 0.5 for box in scene.boxes]
    overlaps, halves = {}, {}
    for name, heat in maps.items():
        overlaps[name] = 0.0 if heat is None else ciou(cv2.resize(heat, (SIZE, SIZE)), truth, 0.5)
        x = -1.0 if heat is None else (int(heat.argmax()) % heat.shape[1] + 0.5) / heat.shape[1]
        halves[name] = heat is not None and (x < 0.5) in left
    return overlaps, halves


def holds(box: Box, point: tuple[float, float]) -> bool:
    """Whether the point lies in the box, give or take a cell."""
    (dx, dy), (x, y) = TOLERANCE, point
    return box[0] - dx <= x <= box[2] + dx and box[1] - dy <= y <= box[3] + dy


def ranks_above(ones: Sequence[float], others: Sequence[float]) -> float:
    """The chance that one of `ones` is above one of `others` (area under the ROC curve), 0..1."""
    a, b = np.asarray(ones, float)[:, None], np.asarray(others, float)[None]
    return float((a > b).mean() + 0.5 * (a == b).mean()) if a.size and b.size else float("nan")


def shown_chance(found: Outcome) -> float:
    """How much speaks for a source in view; where nothing answered, nothing does."""
    return -1.0 if found.absent is None else 1 - found.absent


def summary(found: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of one condition: shares in percent."""
    row: dict[str, Any] = {"scenes": len(found), "no answer": percent([one.features is None for one in found])}
    for name in found[0].overlaps:
        values = [one.overlaps[name] for one in found]
        row[f"{name} cIoU"], row[f"{name} AUC"] = success(values), auc(values)
        row[f"{name} half"] = percent([one.halves[name] for one in found])
    row["peak on source"] = percent([one.inside for one in found])
    sides = [one.side for one in found if one.side is not None]
    row["side right"], row["sides asked"] = percent(sides), len(sides)
    for word, answer in (("visible", True), ("off-screen", False), ("null", None)):
        row[f"said {word}"] = percent([one.visible is answer for one in found])
    said = [one for one in found if one.visible]
    row["peak right when visible"] = percent([one.inside for one in said])
    row["box right when visible"] = percent([one.box is not None and one.box >= 0.5 for one in said])
    return row


def percent(values: Sequence[bool]) -> float | None:
    """The share of True, percent; None when there is none to ask."""
    return float(100 * np.mean(values)) if len(values) else None


def fitted(found: Sequence[Outcome]) -> dict[str, list[float]]:
    """The table of `fusion`: scaled features to the two chances, by logistic regression with a little ridge."""
    answered = [one for one in found if one.features is not None]
    x = np.stack([one.features for one in answered if one.features is not None])
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    x = np.hstack([(x - mean) / scale, np.ones((len(x), 1))])
    here = logistic(x, np.array([one.inside for one in answered], float))
    absent = logistic(x, np.array([not one.on_screen for one in answered], float))
    rows = {"mean": mean, "scale": scale, "here": here, "absent": absent}
    assert len(mean) == len(FEATURES)
    return {name: [round(float(v), 4) for v in row] for name, row in rows.items()}


def fitted_choice(found: Sequence[Outcome]) -> dict[str, Any]:
    """The table of `choosing`: how a thing's motion fits the sound -> log odds that it is the source, both as many; and
    the log odds of one that the sound is heard beside.
    """
    things = [thing for one in found for thing in one.candidates]
    x = np.array([[getattr(thing.fit, name) for name in choosing.FEATURES] for thing in things])
    y = np.array([thing.true for thing in things], float)
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    w = logistic(np.hstack([(x - mean) / scale, np.ones((len(x), 1))]), y)
    w[-1] -= np.log(y.mean() / (1 - y.mean()))
    rows = {"mean": mean, "scale": scale, "sounds": w}
    return {name: [round(float(v), 4) for v in row] for name, row in rows.items()} | {"beside": of_side(things)}


def of_side(things: Sequence[Candidate]) -> float:
    """The log odds that a thing beside which the sound is heard is its source, where as many are as are not."""
    heard = [thing for thing in things if thing.beside is not None]
    right, wrong = (float(np.mean([one.beside for one in heard if one.true is true])) for true in (True, False))
    return round(float(np.log(right / max(0.01, wrong))), 4)


def logistic(x: NDArray[np.float64], y: NDArray[np.float64], ridge: float = 1.0) -> NDArray[np.float64]:
    """The weights (k,) of y (n,) on x (n, k), whose last column is constant: Newton's method."""
    w, cost = np.zeros(x.shape[1]), np.full(x.shape[1], ridge)
    cost[-1] = 0
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (p * (1 - p) + 1e-9)[:, None]).T @ x + np.diag(cost)
        w = w - np.linalg.solve(hessian, x.T @ (p - y) + cost * w)
    return w


def reliability(
    chance: Sequence[float], true: Sequence[bool], weights: Sequence[float], bins: int = 10
) -> list[tuple[float, float, float]]:
    """For each tenth of the chances: their mean, the share that was true, and the share of all that it holds."""
    w = np.asarray(weights) / np.sum(weights)
    p, y = np.asarray(chance), np.asarray(true, float)
    where = np.minimum((p * bins).astype(int), bins - 1)
    full = [where == k for k in range(bins) if (where == k).any()]
    return [(float(p[k] @ w[k] / w[k].sum()), float(y[k] @ w[k] / w[k].sum()), float(w[k].sum())) for k in full]


def calibration_error(rows: Sequence[tuple[float, float, float]]) -> float:
    """Expected calibration error, 0..1."""
    return sum(share * abs(said - was) for said, was, share in rows)
