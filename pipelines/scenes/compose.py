"""Synthetic pictures whose truth is known: drawn things on varied backgrounds; and movies of them.

Pictures are RGB uint8 (h, w, 3), sprites RGBA uint8 (h, w, 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.records import Box
from pipelines.scenes.backdrops import background
from pipelines.scenes.movie import SceneEvent, write_scene_movie
from pipelines.scenes.sprites import draw_source, paste, premultiplied

__all__ = ["DRAWN", "SceneEvent", "background", "compose", "draw_source", "write_scene_movie"]

Picture = NDArray[np.uint8]
DRAWN = range(48)  # the drawings of each label that `compose` picks from; others can be kept for a test
DRAWN_PX = 128
TRIES = 24


@cache
def _drawing(label: str, number: int) -> Picture:
    """The numbered drawing of a label, premultiplied. Its seed is its own, so the cache changes no result."""
    rng = np.random.default_rng([number, *label.encode()])
    return premultiplied(draw_source(label, DRAWN_PX, rng))


def _varied(sprite: Picture, size_px: float, rng: np.random.Generator) -> Picture:
    """A premultiplied sprite resized, flipped, turned a little, recolored, cut to what can be seen."""
    if rng.random() < 0.5:
        sprite = sprite[:, ::-1]
    height, width = sprite.shape[:2]
    scale = size_px / max(height, width)
    wide, tall = max(6, round(width * scale * rng.uniform(0.9, 1.1))), max(6, round(height * scale))
    sprite = cv2.resize(sprite, (wide, tall), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    turn = cv2.getRotationMatrix2D((wide / 2, tall / 2), rng.uniform(-8, 8), 1)
    margin = max(wide, tall) // 12 + 1
    turn[:, 2] += margin
    sprite = cv2.warpAffine(sprite, turn, (wide + 2 * margin, tall + 2 * margin), flags=cv2.INTER_LINEAR)
    sprite = cv2.transform(sprite, _recolor(rng))
    sprite[..., :3] = np.minimum(sprite[..., :3], sprite[..., 3:])
    left, top, wide, tall = cv2.boundingRect((sprite[..., 3] > 32).astype(np.uint8))
    return sprite[top : top + tall, left : left + wide]


def _recolor(rng: np.random.Generator) -> NDArray[np.float32]:
    """A matrix (4, 4) on RGBA: hue turned by up to 15 degrees, brightness changed, alpha kept."""
    angle, gain = np.radians(rng.uniform(-15, 15)), rng.uniform(0.75, 1.15)
    cos, sin = np.cos(angle), np.sin(angle) / np.sqrt(3)
    rest = (1 - cos) / 3
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = gain * (cos * np.eye(3) + rest + sin * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]))
    return matrix


def _overlap(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _free_place(sprite: Picture, taken: list[Box], size: tuple[int, int], rng: np.random.Generator) -> Box | None:
    """A place for the sprite that touches nothing, in pixels (left, top, right, bottom), or None."""
    tall, wide = sprite.shape[:2]
    if wide > size[0] or tall > size[1]:
        return None
    for _ in range(TRIES):
        left, top = int(rng.integers(size[0] - wide + 1)), int(rng.integers(size[1] - tall + 1))
        box = (float(left), float(top), float(left + wide), float(top + tall))
        if not any(_overlap(box, other) for other in taken):
            return box
    return None


def compose(
    labels: Sequence[str],
    width: int,
    height: int,
    rng: np.random.Generator,
    *,
    behind: Picture | None = None,
    drawings: range = DRAWN,
) -> tuple[Picture, list[Box]]:
    """A picture with one thing for each label: RGB uint8 (height, width, 3), and the boxes in that order.

    Boxes are (left, top, right, bottom) in [0, 1], tight around what is drawn, without overlap. `behind` is
    the background to use; the exposure is then left as it is. Equal seeds give equal pictures.
    """
    picture = background(width, height, rng) if behind is None else behind.copy()
    largest = 0.85 * min(width, height) / max(1, len(labels)) ** 0.6
    taken: list[Box] = []
    for label in labels:
        size_px, box = rng.uniform(0.45, 1) * largest, None
        while box is None:  # smaller each time, so it ends
            sprite = _varied(_drawing(label, int(rng.choice(drawings))), size_px, rng)
            box, size_px = _free_place(sprite, taken, (width, height), rng), size_px * 0.8
        paste(picture, sprite, int(box[0]), int(box[1]))
        taken.append(box)
    if behind is None:  # light and haze lie over things and background alike
        picture = cv2.convertScaleAbs(picture, alpha=rng.uniform(0.6, 1.05), beta=rng.uniform(0, 30))
    return picture, [(a / width, b / height, c / width, d / height) for a, b, c, d in taken]
