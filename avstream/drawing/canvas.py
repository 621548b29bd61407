"""Type and flat shapes: a layer of color and alpha to draw on, and the patch that it becomes. Pure; numpy and cv2 only.

Type is set with the fonts that OpenCV 5 carries inside (Latin, Greek, Cyrillic, CJK); Pillow's built-in one has
no umlauts. It knows nothing of sounds: what is worth drawing is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

WEIGHT = 600  # semibold: thin strokes vanish at three meters
INK = (255, 255, 255)
QUIET = (212, 212, 218)  # type of less weight: 7:1 still
FAINT = (168, 168, 178)  # what is only possible: 7:1 on PAPER
PAPER = (12, 12, 16)
PAPER_ALPHA = 0.82  # white on this is 11:1 over a white picture
ACCENT = (255, 214, 10)  # warm yellow between dark lines shows on anything

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]
Align = Literal["left", "center", "right"]


@dataclass(frozen=True, slots=True)
class Run:
    """Words of one color in a line of type, `share` of its size."""

    words: str
    share: float = 1.0
    color: Color = INK


Line = tuple[Run, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What was drawn, where there is anything: color times alpha and 255 * (1 - alpha), both uint8 (h, w, 3)."""

    rows: slice
    columns: slice
    color: Picture
    keep: Picture

    def blend(self, picture: Picture, strength: float = 1.0) -> None:
        """Lay it over `picture`, uint8 (H, W, 3), in place; a `strength` below 1 lets more of the picture through."""
        color, keep = self.color, self.keep
        if strength < 1:
            color = cv2.convertScaleAbs(color, alpha=strength)
            keep = cv2.convertScaleAbs(keep, alpha=strength, beta=255 * (1 - strength))
        part = cv2.multiply(np.ascontiguousarray(picture[self.rows, self.columns]), keep, scale=1 / 255)
        picture[self.rows, self.columns] = cv2.add(part, color, dst=part)

    def moved(self, across: float, down: float, width: int, height: int) -> Patch | None:
        """The patch moved by shares of a picture of that size, as far as it stays inside; None when nothing does."""
        x, y = round(across * width), round(down * height)
        rows, columns = _shifted(self.rows, y, height), _shifted(self.columns, x, width)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        top, left = rows.start - y - self.rows.start, columns.start - x - self.columns.start
        part = slice(top, top + rows.stop - rows.start), slice(left, left + columns.stop - columns.start)
        return Patch(rows, columns, self.color[part], self.keep[part])


class Layer:
    """Color, uint8 (H, W, 3), and alpha, uint8 (H, W), while they are drawn on. Points are pixels from the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.color = np.zeros((height, width, 3), np.uint8)
        self.alpha = np.zeros((height, width), np.uint8)

    def panel(
        self, left: float, top: float, right: float, bottom: float, radius: int,
        color: Color = PAPER, opacity: float = PAPER_ALPHA,
    ) -> None:  # fmt: skip
        """A rounded rectangle; it covers what was drawn before, so that words stand on calm ground."""
        left, top, right, bottom = round(left), round(top), round(right), round(bottom)
        mask = np.zeros((max(1, bottom - top), max(1, right - left)), np.uint8)
        radius = min(radius, (min(mask.shape) - 1) // 2)
        last_x, last_y = right - left - 1, bottom - top - 1
        cv2.rectangle(mask, (radius, 0), (last_x - radius, last_y), 255, -1)
        cv2.rectangle(mask, (0, radius), (last_x, last_y - radius), 255, -1)
        for x in (radius, last_x - radius):
            for y in (radius, last_y - radius):
                cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
        self.paint(left, top, mask, color, opacity)

    def frame(self, left: float, top: float, right: float, bottom: float, thick: int) -> None:
        """The outline of a rectangle in ACCENT, inside of it."""
        for x, y, wide, high in (
            (left, top, right - left, thick),
            (left, bottom - thick, right - left, thick),
            (left, top, thick, bottom - top),
            (right - thick, top, thick, bottom - top),
        ):
            self.paint(round(x), round(y), np.full((max(1, round(high)), max(1, round(wide))), 255, np.uint8), ACCENT)

    def disc(self, center_x: float, center_y: float, radius: float, color: Color) -> None:
        """A filled circle."""
        side = int(2 * radius) + 3
        mask = np.zeros((side, side), np.uint8)
        fixed = (round(side * 8), round(side * 8))  # 1/16 of a pixel
        cv2.circle(mask, fixed, round(16 * radius), 255, -1, cv2.LINE_AA, 4)
        self.paint(round(center_x - side / 2), round(center_y - side / 2), mask, color)

    def polygon(self, points: Sequence[tuple[float, float]], color: Color = INK) -> None:
        """A filled polygon with soft edges."""
        corners = np.array(points)
        left, top = (int(np.floor(v)) - 1 for v in corners.min(axis=0))
        wide, high = (int(np.ceil(v)) + 3 for v in np.ptp(corners, axis=0))
        mask = np.zeros((high, wide), np.uint8)
        cv2.fillPoly(mask, [np.rint(16 * (corners - (left, top))).astype(np.int32)], 255, cv2.LINE_AA, 4)
        self.paint(left, top, mask, color)

    def text(
        self, words: str, x: float, middle_y: float, size: int,
        color: Color = INK, align: Align = "center",
    ) -> None:  # fmt: skip
        """One line of type, `size` pixels high: `x` is where it begins, is centered, or ends."""
        wide, high = round(text_width(words, size)) + 4, 2 * size
        glyphs = np.zeros((high, wide, 3), np.uint8)
        # 0.36: half the height of a capital letter, which is what looks centered
        cv2.putText(glyphs, words, (2, round(high / 2 + 0.36 * size)), (255, 255, 255), _font(), size, WEIGHT)
        left = {"left": x - 2, "center": x - wide / 2, "right": x - wide + 2}[align]
        self.paint(round(left), round(middle_y - high / 2), np.ascontiguousarray(glyphs[:, :, 0]), color)

    def line(self, runs: Line, x: float, middle_y: float, size: int, align: Align = "left") -> None:
        """A line of several runs on one baseline; `x` is where it begins, is centered, or ends."""
        wide = line_width(runs, size)
        x -= {"left": 0.0, "center": wide / 2, "right": wide}[align]
        for run in runs:
            small = max(1, round(run.share * size))
            self.text(run.words, x, middle_y + 0.36 * (size - small), small, run.color, "left")
            x += text_width(run.words, small)

    def paint(self, left: int, top: int, mask: Picture, color: Color, opacity: float = 1.0) -> None:
        """Put `color` at `opacity` in place of what is there, as far as `mask`, uint8 (h, w), says."""
        rows, columns = _inside(top, mask.shape[0], self.height), _inside(left, mask.shape[1], self.width)
        inside = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        if not inside.size:
            return  # outside of a thumbnail
        share = inside.astype(np.float32) / 255
        alpha = (1 - share) * self.alpha[rows, columns] / 255 + opacity * share
        part = (opacity * share / np.maximum(alpha, 1e-6))[:, :, None]
        self.color[rows, columns] = np.rint(part * np.array(color) + (1 - part) * self.color[rows, columns])
        self.alpha[rows, columns] = np.rint(255 * alpha)

    def finished(self, left: int = 0, top: int = 0) -> Patch | None:
        """What was drawn, to be laid over a picture with this layer's corner at (left, top); None for nothing."""
        x, y, wide, high = cv2.boundingRect(self.alpha)
        if not wide:
            return None
        rows, columns = slice(y, y + high), slice(x, x + wide)
        alpha = cv2.merge([self.alpha[rows, columns]] * 3)
        color: Any = cv2.multiply(np.ascontiguousarray(self.color[rows, columns]), alpha, scale=1 / 255)
        keep: Any = cv2.bitwise_not(alpha)
        return Patch(slice(y + top, y + top + high), slice(x + left, x + left + wide), color, keep)


def _shifted(part: slice, by: int, limit: int) -> slice:
    """A part of [0, limit) moved, without what leaves it."""
    return slice(max(0, part.start + by), min(limit, part.stop + by))


def _inside(start: int, length: int, limit: int) -> slice:
    """The part of [start, start + length) that is in [0, limit)."""
    first = min(max(0, start), limit)
    return slice(first, min(max(first, start + length), limit))


@cache
def _font() -> Any:
    return cv2.FontFace("sans")


def text_width(words: str, size: int) -> float:
    """How many pixels wide a line of type is."""
    _, _, width, _ = cv2.getTextSize((1 << 14, 1 << 14), words, (0, 0), _font(), size, WEIGHT)
    return float(width)


def line_width(runs: Line, size: int) -> float:
    """How many pixels wide a line of several runs is."""
    return sum(text_width(run.words, max(1, round(run.share * size))) for run in runs)


def wrapped(words: str, size: int, limit: float) -> list[str]:
    """`words` in lines of at most `limit` pixels, broken between words; one that is longer has a line of its own."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= limit:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def fit_size(lines: Sequence[str], target: float, limit: float) -> int:
    """The largest font size up to `target` at which every line is at most `limit` pixels wide."""
    size = max(6, round(target))
    widest = max(text_width(line, size) for line in lines)
    return size if widest <= limit else max(6, int(size * limit / widest))


def shortened(words: str, size: int, limit: float) -> str:
    """`words`, with an ellipsis for what does not fit into `limit` pixels."""
    if text_width(words, size) <= limit:
        return words
    kept = words
    while kept and text_width(kept + "…", size) > limit:
        kept = kept[:-1].rstrip()
    return kept + "…"
