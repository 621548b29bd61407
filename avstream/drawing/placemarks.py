"""What marks the place of a sound: a frame or an outline with its name and how sure it is, or that it is outside.

Sounds that share a thing share its frame. Names keep out of each other's way.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from avstream.drawing.canvas import ACCENT, PAPER, Layer, fit_size, text_width
from avstream.records import Box, Sound
from avstream.wording import words

Area = tuple[int, int, int, int]
DASH = 6  # of a frame's width: the dashes of a thing that is one of several
TOP = 0.03  # of the height, above the mark of what is outside


def placed(sounds: Sequence[Sound]) -> list[tuple[Sound, ...]]:
    """The sounds that have a place in the picture, those of one box together."""
    groups: dict[Box, tuple[Sound, ...]] = {}
    for sound in sounds:
        if sound.box is not None and sound.visible is not False:
            groups[sound.box] = (*groups.get(sound.box, ()), sound)
    return list(groups.values())


def outside(sounds: Sequence[Sound]) -> list[Sound]:
    """Those that are known to be off-screen, and nobody knows to which side."""
    return [sound for sound in sounds if sound.visible is False and sound.direction not in ("left", "right")]


def tag(group: Sequence[Sound]) -> str:
    """`dog barking 93 %`, or `one of these: dog barking`: what is where, and how sure that is."""
    sound = max(group, key=lambda one: one.confidence)
    names = ", ".join(dict.fromkeys(words(one.label) for one in group))
    if sound.one_of:
        return f"one of these: {names}"
    return names if sound.place_confidence is None else f"{names} {round(100 * sound.place_confidence)} %"


def draw_place(layer: Layer, group: Sequence[Sound], size_px: float, taken: list[Area]) -> None:
    """Mark the place of sounds with one box. `taken`: where words are by now; the name's own place is added."""
    sound = max(group, key=lambda one: one.confidence)
    assert sound.box is not None
    thick = max(2, round(min(layer.width, layer.height) / 200))
    if sound.outline:
        ring = np.array([[x * (layer.width - 1), y * (layer.height - 1)] for x, y in sound.outline])
        _stroke(layer, [np.rint(ring).astype(np.int32)], thick)
    else:
        _stroke(layer, [_corners(layer, sound.box)], thick)
    for box in sound.one_of:
        if box != sound.box:
            _stroke(layer, _dashes(_corners(layer, box), DASH * thick), thick, closed=False)
    _draw_tag(layer, tag(group), _corners(layer, sound.box), size_px, taken)


def draw_outside(layer: Layer, sounds: Sequence[Sound], size_px: float, taken: list[Area]) -> None:
    """Say at the top that sounds come from outside of the picture; `taken` as for `draw_place`."""
    names = ", ".join(dict.fromkeys(words(sound.label) for sound in sounds))
    text = f"off-screen: {names}"
    size = fit_size((text,), size_px, 0.9 * layer.width)
    wide, high = text_width(text, size) + 1.2 * size, 1.5 * size
    x, y = layer.width / 2, max(2.0, TOP * layer.height) + high / 2
    if wide > layer.width:
        return
    left, top = round(x - wide / 2), round(y - high / 2)
    taken.append((left, top, left + round(wide), top + round(high)))
    layer.panel(*taken[-1], round(0.3 * size))
    layer.text(text, x, y, size)


def _corners(layer: Layer, box: Box) -> np.ndarray:
    """A box as four points in pixels, (4, 2)."""
    ends = (layer.width - 1, layer.height - 1) * 2
    left, top, right, bottom = (int(np.clip(round(v * end), 0, end)) for v, end in zip(box, ends, strict=True))
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.int32)


def _stroke(layer: Layer, lines: Sequence[np.ndarray], thick: int, *, closed: bool = True) -> None:
    """A light line between dark ones, that shows on anything."""
    for width, color in ((thick + 2 * max(1, thick // 2), PAPER), (thick, ACCENT)):
        cv2.polylines(layer.color, lines, closed, color, width, cv2.LINE_8)
        cv2.polylines(layer.alpha, lines, closed, 255, width, cv2.LINE_8)


def _dashes(corners: np.ndarray, dash: int) -> list[np.ndarray]:
    """The sides of a rectangle as short lines."""
    found = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        count = max(1, round(float(np.linalg.norm(b - a)) / (2 * dash)))
        for k in range(count):
            ends = [a + (b - a) * (k + share) / count for share in (0.0, 0.5)]
            found.append(np.rint(np.array(ends)).astype(np.int32))
    return found


def _draw_tag(layer: Layer, name: str, corners: np.ndarray, size_px: float, taken: list[Area]) -> None:
    """A name on a small panel above its box, or below or inside where there is no space."""
    (left, top), (_, bottom) = corners[0], corners[2]
    thick = max(2, round(min(layer.width, layer.height) / 200))
    size = fit_size((name,), max(11.0, size_px), 0.9 * layer.width)
    wide, high = round(text_width(name, size) + size), round(1.5 * size)
    if wide > layer.width:
        return  # a thumbnail: the box alone says more than a clipped name
    x = min(max(int(left) - thick, 0), layer.width - wide)
    above, below, inside = top - high - thick, bottom + thick, min(top + 2 * thick, layer.height - high)
    wanted = above if above >= 0 else inside
    places = [wanted, inside, below, *range(int(inside), layer.height - high, high)]
    free = (
        y
        for y in places
        if 0 <= y <= layer.height - high and not any(_meet((x, y, x + wide, y + high), t) for t in taken)
    )
    y = int(next(free, max(0, wanted)))
    taken.append((x, y, x + wide, y + high))
    layer.panel(x, y, x + wide, y + high, round(0.3 * size))
    layer.text(name, x + wide / 2, y + high / 2, size)


def _meet(a: Area, b: Area) -> bool:
    """Whether two areas share a pixel."""
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])
