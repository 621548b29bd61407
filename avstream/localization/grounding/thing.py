"""What a detector finds in a picture, and what every detector is: the seam of grounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.records import Box, Outline

MOST_POINTS = 40  # of an outline
SAME = 0.5  # two boxes of one name that overlap more (IoU) are one thing,
INSIDE = 0.7  # and so are those of which one holds so much of the other


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing in a picture: its name in lower case, how sure (0..1), and its box (left, top, right, bottom), 0..1."""

    name: str
    score: float
    box: Box
    outline: Outline = ()


class Detector(Protocol):
    """Finds things in pictures.

    `names` are all that it knows, None when it takes any words. `sure`: the score from which on a thing is there;
    `least`: below it nothing is reported.
    """

    names: frozenset[str] | None
    sure: float
    least: float

    def find(self, rgb: NDArray[np.uint8], words: Sequence[str]) -> list[Thing]:
        """The things in a picture, uint8 (h, w, 3), the surest first. `words` is what to look for; a detector with
        names of its own reports all that it knows.
        """
        ...


def distinct(things: Sequence[Thing]) -> list[Thing]:
    """The surest of those that are the same, the surest first."""
    kept: list[Thing] = []
    for thing in sorted(things, key=lambda one: -one.score):
        if not any(one.name == thing.name and same(one.box, thing.box) for one in kept):
            kept.append(thing)
    return kept


def same(surer: Box, box: Box) -> bool:
    """Whether two boxes of one name are of one thing."""
    return overlap(surer, box) > SAME or covered(box, surer) > INSIDE


def area(box: Box) -> float:
    """Of a box in [0, 1]."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def common(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    shared = common(a, b)
    return shared / max(1e-9, area(a) + area(b) - shared)


def covered(box: Box, by: Box) -> float:
    """How much of a box lies in another one, 0..1."""
    return common(box, by) / max(1e-9, area(box))


def clipped(left: float, top: float, right: float, bottom: float) -> Box:
    """A box within the picture."""
    x0, y0, x1, y1 = (float(min(1.0, max(0.0, v))) for v in (left, top, right, bottom))
    return x0, y0, x1, y1


def outlined(mask: NDArray[np.bool_]) -> list[tuple[Box, Outline, float]]:
    """The separate parts of a mask (rows, columns): box, contour, and area as a share of the picture; largest first."""
    rows, columns = mask.shape
    smooth = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    rings, _ = cv2.findContours(smooth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for ring in sorted(rings, key=lambda one: -cv2.contourArea(one)):
        x, y, wide, high = cv2.boundingRect(ring)
        outline = tuple((float((px + 0.5) / columns), float((py + 0.5) / rows)) for px, py in simple(ring))
        box = x / columns, y / rows, (x + wide) / columns, (y + high) / rows
        found.append((box, outline, float(cv2.contourArea(ring)) / (rows * columns)))
    return found


def simple(ring: NDArray[np.int32]) -> NDArray[np.int32]:
    """A contour of at most MOST_POINTS points (n, 2) that is as near to the ring as that allows."""
    allowed = 0.5
    while len(points := cv2.approxPolyDP(ring, allowed, True)) > MOST_POINTS:
        allowed *= 1.5
    return points[:, 0]
