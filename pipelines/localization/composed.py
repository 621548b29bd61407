"""Real pictures with known truth: frames of the clips with a drawn thing over them, one of the two sounds.

The localizers are told the true label, so that they alone are measured. "drawn": the drawn thing makes its sound and
moves with it, over a clip whose own sound is gone. "real": the clip sounds, and the drawn thing moves to a sound that
is not heard. Each is asked again muted, shifted by half the window, and with a sound that nothing in the picture makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.level import SILENCE_DBFS, loudness_dbfs
from avstream.localization.grounding.thing import overlap
from avstream.localization.place import Localizer, Place, key_frame
from avstream.records import Box, MotionFrame, VideoFrame, Window
from pipelines.localization.scenes import drive, mover
from pipelines.localization.score_clips import TRUTH, as_box, clip_window, fitted, hull, muted, shifted
from pipelines.localization.score_scenes import holds
from pipelines.scenes.sound_bank import RATE_HZ, Bank

STRANGER = "helicopter"  # a label that nothing in the clips or the drawings' place can make
SIZE = 0.3  # of the picture's height


@dataclass(frozen=True, slots=True, eq=False)
class Composed:
    """A window with its truth: the boxes of what sounds, and the label that a perfect listener hears."""

    kind: str
    window: Window
    label: str
    boxes: tuple[Box, ...]


def composed(folder: Path, count: int, bank: Bank, seed: int) -> Iterator[Composed]:
    """`count` windows of each kind from the clips in a folder. Raises SourceError."""
    clips = json.loads(TRUTH.read_text())["clips"]
    windows = {name: clip_window(folder / f"{name}.mp4") for name in clips}
    for k in range(count):
        name = list(clips)[k % len(clips)]
        rng, known = np.random.default_rng([seed, 53, k]), clips[name]
        truth = tuple(as_box(box) for box in known["boxes"])
        sound = bank.draw(rng)
        drawn, box = over(windows[name], sound, truth, rng)
        audio = fitted(sound[None], RATE_HZ, drawn)
        # drawings and sounds are paired at random, and no detector knows drawings: an unknown sound is all there is
        yield Composed("drawn", replace(drawn, audio=audio), "other", (box,))
        yield Composed("real", replace(drawn, audio=windows[name].audio), known["label"], truth)


def over(
    window: Window, sound: NDArray[np.float32], taken: Sequence[Box], rng: np.random.Generator
) -> tuple[Window, Box]:
    """The window with a drawn thing that moves with a sound, and its box, as far from `taken` as ten tries allow."""
    motion = drive(sound, rng)
    frames = [(frame.time_s, frame.gray) for frame in window.motion]
    high, wide = frames[0][1].shape
    size = SIZE * high
    spots = [(rng.uniform(size / 2, wide - size / 2), rng.uniform(size / 2, high - size / 2)) for _ in range(10)]
    boxes = [(x - size / 2, y - size / 2, x + size / 2, y + size / 2) for x, y in spots]
    shares = [(a / wide, b / high, c / wide, d / high) for a, b, c, d in boxes]
    best = min(range(10), key=lambda k: overlap(shares[k], hull(taken)))
    thing = mover(spots[best], size, motion, rng)
    grays = tuple(
        MotionFrame(time_s, pasted(gray, thing.sprite, spots[best], thing.amount * at(motion, time_s, window)))
        for time_s, gray in frames
    )
    rgbs = tuple(
        VideoFrame(frame.time_s, recolored(frame.rgb, thing, spots[best], wide, at(motion, frame.time_s, window)))
        for frame in window.frames
    )
    return replace(window, motion=grays, frames=rgbs), shares[best]


def at(motion: NDArray[np.float64], time_s: float, window: Window) -> float:
    """How much the thing moves at a time."""
    share = (time_s - window.start_s) / (window.end_s - window.start_s)
    return float(motion[min(len(motion) - 1, max(0, int(share * len(motion))))])


def pasted(
    gray: NDArray[np.uint8], sprite: NDArray[np.uint8], center: tuple[float, float], much: float
) -> NDArray[np.uint8]:
    """A gray picture with the sprite (gray and alpha, premultiplied), bounced by `much`."""
    out, (tall, wide) = gray.copy(), sprite.shape[:2]
    left, top = round(center[0] - wide / 2), round(center[1] - tall / 2 - 0.09 * tall * much)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(gray.shape[1], left + wide), min(gray.shape[0], top + tall)
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.uint16)
    under = out[y0:y1, x0:x1]
    under[:] = np.minimum(under * (255 - part[..., 1]) // 255 + part[..., 0], 255)
    return out


def recolored(
    rgb: NDArray[np.uint8], thing: Any, center: tuple[float, float], wide: int, much: float
) -> NDArray[np.uint8]:
    """The same over a picture in colors, of any size."""
    scale = rgb.shape[1] / wide
    sprite = cv2.resize(thing.sprite, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    place = center[0] * scale, center[1] * scale
    return np.dstack([pasted(np.ascontiguousarray(rgb[..., k]), sprite, place, thing.amount * much) for k in range(3)])


def composed_report(folder: Path, localizer: Localizer, count: int, bank: Bank, seed: int) -> dict[str, Any]:
    """What a localizer says of composed windows: visible, right, IoU, and wrong boxes under wrong sounds; percent."""
    rows: dict[str, list[dict[str, Any]]] = {"drawn": [], "real": []}
    for one in composed(folder, count, bank, seed):
        place = asked(localizer, one.window, one.label)
        wrong = {
            "muted": muted(one.window), "shifted": shifted(one.window), "swapped": one.window,
        }  # fmt: skip
        labels = {"swapped": STRANGER}
        boxes = {k: asked(localizer, w, labels.get(k, one.label)).box is not None for k, w in wrong.items()}
        rows[one.kind].append(judged(place, one.boxes) | {f"{kind} boxes": box for kind, box in boxes.items()})
    return {kind: summary(found) for kind, found in rows.items()}


def asked(localizer: Localizer, window: Window, label: str) -> Place:
    """The place of one label, as the narrator asks for it: of silence nothing is asked."""
    if loudness_dbfs(window.audio, window.rate_hz) < SILENCE_DBFS or key_frame(window) is None:
        return Place(None, None, None, None, None, None)
    localizer.watch(replace(window, index=0), "composed")
    return localizer.places(window, "composed", [label])[0]


def judged(place: Place, boxes: Sequence[Box]) -> dict[str, Any]:
    """Whether there is a box, whether its middle is on what sounds, and how far it overlaps that (IoU)."""
    if place.box is None:
        return {"visible": place.visible is True, "right": None, "IoU": None}
    middle = (place.box[0] + place.box[2]) / 2, (place.box[1] + place.box[3]) / 2
    best = max(overlap(place.box, box) for box in (*boxes, hull(boxes)))
    return {"visible": True, "right": any(holds(box, middle) for box in (*boxes, hull(boxes))), "IoU": best}


def summary(found: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Means over what there is, percent; IoU as it is."""
    out: dict[str, float | None] = {"windows": len(found)}
    for key in found[0]:
        values = [float(row[key]) for row in found if row[key] is not None]
        out[key] = (float(np.mean(values)) * (1 if key == "IoU" else 100)) if values else None
    return out
