"""Drawn scenes with a detector that finds the drawn things: does the one that sounds get the box?

Every thing, also the distractors, is found as a thing that can make the sound, in a box that is off by a few percent
and in one of ten cases not at all; in "strangers" the distractors can not make it. All that tells them apart is motion
and side, on the scenes for which `choosing` was fitted, but with other seeds and other recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.localization.grounding.coco import COCO
from avstream.localization.grounding.thing import Thing, overlap
from avstream.localization.localizer_detector import DetectorLocalizer
from avstream.localization.localizer_synchrony import SynchronyLocalizer
from avstream.records import MotionFrame, VideoFrame, Window
from pipelines.localization.scenes import Scene, make_scene
from pipelines.localization.score_scenes import detected, percent
from pipelines.scenes.sound_bank import Bank

CONDITIONS = ("plain", "two distractors", "pan", "off-screen")
LABEL, NAME, STRANGER = "dog_bark", "dog", "chair"
MISSED = 0.1
SECONDS = 3.0


class Drawn:
    """A detector that knows where things were drawn."""

    names: frozenset[str] | None = frozenset(COCO)
    sure, least = 0.5, 0.25

    def __init__(self, scene: Scene, seed: int, *, strangers: bool) -> None:
        rng = np.random.default_rng([seed, 59])
        names = [NAME] * len(scene.boxes) + [STRANGER if strangers else NAME] * len(scene.distractors)
        boxes = [detected(box, rng) for box in (*scene.boxes, *scene.distractors)]
        kept = rng.random(len(boxes)) >= MISSED
        pairs = zip(names, boxes, kept, strict=True)
        self._things = [Thing(name, 0.9, box) for name, box, keep in pairs if keep]

    def find(self, rgb: NDArray[np.uint8], words: Sequence[str]) -> list[Thing]:
        """What was drawn."""
        return self._things


def things_report(count: int, bank: Bank, seed: int) -> dict[str, Any]:
    """By condition, what is said without a detector, with one, and with one for which distractors are strangers."""
    report: dict[str, Any] = {}
    for condition in CONDITIONS:
        scenes = [(k, make_scene(condition, k, bank)) for k in range(seed, seed + count)]
        report[condition] = {
            "without": summary(scenes, None),
            "with": summary(scenes, False),
            "strangers": summary(scenes, True),
        }
    return report


def summary(scenes: Sequence[tuple[int, Scene]], strangers: bool | None) -> dict[str, float | None]:
    """Percent: said visible, off-screen, and of the boxes those that overlap a source's by half, or name it."""
    visible, away, right, named = [], [], [], []
    for seed, scene in scenes:
        one = SynchronyLocalizer() if strangers is None else DetectorLocalizer(Drawn(scene, seed, strangers=strangers))
        window = window_of(scene)
        one.watch(window, "scene")
        (place,) = one.places(window, "scene", [LABEL])
        visible.append(place.visible is True)
        away.append(place.visible is False)
        if place.box is not None:
            boxes = place.one_of or (place.box,)
            right.append(any(overlap(place.box, box) >= 0.5 for box in scene.boxes))
            named.append(any(overlap(one, box) >= 0.5 for one in boxes for box in scene.boxes))
    return {
        "said visible": percent(visible), "said off-screen": percent(away),
        "box right": percent(right), "among those named": percent(named),
    }  # fmt: skip


def window_of(scene: Scene) -> Window:
    """A scene as a window."""
    motion = tuple(MotionFrame(float(t), gray) for t, gray in zip(scene.times_s, scene.gray, strict=True))
    rgb = np.asarray(cv2.cvtColor(scene.gray[len(scene.gray) // 2], cv2.COLOR_GRAY2RGB), np.uint8)
    frame = VideoFrame(SECONDS / 2, rgb)
    return Window(0, 0.0, SECONDS, 0.0, SECONDS, (frame,), scene.audio, scene.rate_hz, motion=motion)
