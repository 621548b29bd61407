"""Picture + heatmap + boxes + caption -> picture. Pure: no files, no clock, and it knows nothing of movies.

Type is set with the fonts that OpenCV 5 carries inside (Latin, Greek, Cyrillic, CJK); Pillow's built-in one has
no umlauts. All that is drawn ends up in one cached layer of color and alpha, so that a frame costs one blend.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.records import Sound
from avstream.wording import VOCABULARY
from avstream.wording import caption as caption_of

LINE_CHARS = 42  # what accessibility guidelines allow on a line
STRENGTH = 0.7  # opacity of the hottest spot
WEIGHT = 600  # semibold: thin strokes vanish across a room
INK = (255, 255, 255)
PAPER = (12, 12, 16)
PAPER_ALPHA = 0.82  # white on this is 11:1 over a white picture
ACCENT = (255, 214, 10)  # boxes: warm yellow between dark lines shows on anything
HEAT_FROM, HEAT_FULL = 0.2, 0.8  # below the first a heatmap is transparent

Picture = NDArray[np.uint8]


def wrap_caption(text: str, width: int = LINE_CHARS) -> tuple[str, ...]:
    """At most two lines of at most `width` characters, broken between `[sounds]` where that fits.

    What is still too long ends in an ellipsis. Line breaks in `text` count as spaces.
    """
    text = " ".join(text.split())
    if len(text) <= width:
        return (text,) if text else ()
    breaks = [at + 1 for at in range(len(text)) if text[at : at + 3] == "] ["]
    fitting = [at for at in breaks if at <= width and len(text) - at - 1 <= width]
    if fitting:
        best = min(fitting, key=lambda at: abs(2 * at - len(text)))
        return text[:best], text[best + 1 :]
    return tuple(textwrap.wrap(text, width, max_lines=2, placeholder="…", break_on_hyphens=False))


def fit_caption(sounds: Sequence[Sound]) -> tuple[str, ...]:
    """The caption of `sounds` as zero to two lines; the least confident are left out until it fits."""
    kept = list(sounds)
    while len(kept) > 1 and not _fits(caption_of(kept)):
        kept.remove(min(kept, key=lambda sound: sound.confidence))
    return wrap_caption(caption_of(kept))


def _fits(text: str) -> bool:
    lines = wrap_caption(text)
    return "…" not in "".join(lines)


def draw(
    rgb: Picture,
    *,
    heatmap: NDArray[np.float32] | None = None,
    sounds: Sequence[Sound] = (),
    caption: str = "",
    strength: float = STRENGTH,
) -> Picture:
    """A narrated copy of `rgb`, uint8 (H, W, 3); with nothing to draw, `rgb` itself.

    `heatmap` is float32 (rows, columns) in [0, 1] over the whole picture. For many pictures use `Overlay`.
    """
    height, width = rgb.shape[:2]
    overlay = Overlay(width, height, heatmap=heatmap, sounds=sounds, caption=caption, strength=strength)
    return overlay.draw(rgb)


class Overlay:
    """What one narration looks like on pictures of `width` x `height` pixels, drawn once, blended often."""

    def __init__(
        self,
        width: int,
        height: int,
        *,
        heatmap: NDArray[np.float32] | None = None,
        sounds: Sequence[Sound] = (),
        caption: str = "",
        strength: float = STRENGTH,
    ) -> None:
        self.width, self.height = width, height
        self._blend: tuple[slice, slice, Picture, Picture] | None = None
        lines = wrap_caption(caption)
        boxed = [sound for sound in sounds if sound.box is not None]
        if heatmap is None and not lines and not boxed:
            return
        layer = _Layer(width, height)
        if heatmap is not None and heatmap.size:
            layer.heat(heatmap, strength)
        for sound in boxed:
            layer.box(sound)
        if lines:
            layer.caption(lines)
        self._blend = layer.finished()

    def draw(self, rgb: Picture) -> Picture:
        """A new picture, uint8 (height, width, 3), or `rgb` itself when there is nothing to draw.

        Raises ValueError when the size is not the overlay's.
        """
        if rgb.shape != (self.height, self.width, 3):
            raise ValueError(f"expected a picture of {(self.height, self.width, 3)}, found {rgb.shape}")
        if self._blend is None:
            return rgb
        rows, columns, color, keep = self._blend
        out = rgb.copy()
        part = cv2.multiply(np.ascontiguousarray(rgb[rows, columns]), keep, scale=1 / 255)
        out[rows, columns] = cv2.add(part, color, dst=part)
        return out


class _Layer:
    """Color, uint8 (H, W, 3), and alpha, uint8 (H, W), while they are drawn on."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.color = np.zeros((height, width, 3), np.uint8)
        self.alpha = np.zeros((height, width), np.uint8)

    def heat(self, heatmap: NDArray[np.float32], strength: float) -> None:
        """The heatmap in colors from violet over orange to yellow, more opaque where it is hotter."""
        # Colored at a quarter of the size: a heatmap has no detail that is lost by it, and it is much faster.
        small = (max(2, self.width // 4), max(2, self.height // 4))
        # Blurred in its own grid first: cubic alone shows the patches as squares.
        clean = np.clip(np.nan_to_num(heatmap.astype(np.float32)), 0, 1)
        grid = cv2.GaussianBlur(clean, (3, 3), 0.6)
        heat = np.clip(cv2.resize(grid, small, interpolation=cv2.INTER_CUBIC), 0, 1)
        ramp = np.clip((heat - HEAT_FROM) / (HEAT_FULL - HEAT_FROM), 0, 1)
        alpha = np.rint(255 * strength * ramp * ramp * (3 - 2 * ramp)).astype(np.uint8)
        bgr = cv2.applyColorMap((80 + 145 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)
        size = (self.width, self.height)
        cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), size, dst=self.color, interpolation=cv2.INTER_LINEAR)
        cv2.resize(alpha, size, dst=self.alpha, interpolation=cv2.INTER_LINEAR)

    def box(self, sound: Sound) -> None:
        """The box of a sound, and its name on a small panel above it, or inside where there's no room."""
        assert sound.box is not None
        ends = (self.width - 1, self.height - 1) * 2
        left, top, right, bottom = (
            int(np.clip(round(v * end), 0, end)) for v, end in zip(sound.box, ends, strict=True)
        )
        thick = max(2, round(min(self.width, self.height) / 200))
        for width, color in ((thick + 2 * max(1, thick // 2), PAPER), (thick, ACCENT)):
            cv2.rectangle(self.color, (left, top), (right, bottom), color, width)
            cv2.rectangle(self.alpha, (left, top), (right, bottom), 255, width)
        words = VOCABULARY[sound.label][0] if sound.label in VOCABULARY else "unidentified sound"
        size = _fit_size((words,), max(11.0, 0.65 * _target_size(self.width, self.height)), 0.9 * self.width)
        wide, high = round(_text_width(words, size) + size), round(1.5 * size)
        if wide > self.width:
            return  # a thumbnail: the box alone says more than clipped words
        x = min(max(left - thick, 0), self.width - wide)
        y = top - high - thick if top >= high + thick else min(top + 2 * thick, self.height - high)
        self._panel(x, max(0, y), x + wide, max(0, y) + high, round(0.3 * size))
        self._text(words, x + wide / 2, max(0, y) + high / 2, size)

    def caption(self, lines: Sequence[str]) -> None:
        """The caption on a rounded panel at the bottom, as large as the picture allows."""
        lines, size = _layout(lines, self.width, self.height)
        step, inset = 1.3 * size, 0.55 * size
        wide = max(_text_width(line, size) for line in lines) + 2 * inset
        high = step * len(lines) + inset
        bottom = self.height - max(1.0, 0.04 * self.height)
        top, middle = max(0.0, bottom - high), self.width / 2
        corners = (round(middle - wide / 2), round(top), round(middle + wide / 2), round(bottom))
        self._panel(*corners, round(0.35 * size))
        for at, line in enumerate(lines):
            self._text(line, middle, top + inset / 2 + step * (at + 0.5), size)

    def _panel(self, left: int, top: int, right: int, bottom: int, radius: int) -> None:
        """A rounded dark rectangle; it covers what was drawn before, so that words stand on calm ground."""
        mask = np.zeros((max(1, bottom - top), max(1, right - left)), np.uint8)
        last_x, last_y = right - left - 1, bottom - top - 1
        cv2.rectangle(mask, (radius, 0), (last_x - radius, last_y), 255, -1)
        cv2.rectangle(mask, (0, radius), (last_x, last_y - radius), 255, -1)
        for x in (radius, last_x - radius):
            for y in (radius, last_y - radius):
                cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
        self._paint(left, top, mask, PAPER, PAPER_ALPHA)

    def _text(self, text: str, center_x: float, center_y: float, size: int) -> None:
        """One line of type, centered on a point."""
        wide, high = round(_text_width(text, size)) + 4, 2 * size
        glyphs = np.zeros((high, wide, 3), np.uint8)
        # 0.36: half the height of a capital letter, which is what looks centered
        cv2.putText(glyphs, text, (2, round(high / 2 + 0.36 * size)), (255, 255, 255), _font(), size, WEIGHT)
        left, top = round(center_x - wide / 2), round(center_y - high / 2)
        self._paint(left, top, np.ascontiguousarray(glyphs[:, :, 0]), INK, 1.0)

    def _paint(self, left: int, top: int, mask: Picture, color: tuple[int, int, int], opacity: float) -> None:
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

    def finished(self) -> tuple[slice, slice, Picture, Picture] | None:
        """(rows, columns, color times alpha, 255 * (1 - alpha) in 3 channels) of the part that has anything."""
        x, y, wide, high = cv2.boundingRect(self.alpha)
        if not wide:
            return None
        rows, columns = slice(y, y + high), slice(x, x + wide)
        alpha = cv2.merge([self.alpha[rows, columns]] * 3)
        color: Any = cv2.multiply(np.ascontiguousarray(self.color[rows, columns]), alpha, scale=1 / 255)
        keep: Any = cv2.bitwise_not(alpha)
        return rows, columns, color, keep


def _inside(start: int, length: int, limit: int) -> slice:
    """The part of [start, start + length) that is in [0, limit)."""
    first = min(max(0, start), limit)
    return slice(first, min(max(first, start + length), limit))


@cache
def _font() -> Any:
    return cv2.FontFace("sans")


def _text_width(text: str, size: int) -> float:
    _, _, width, _ = cv2.getTextSize((1 << 14, 1 << 14), text, (0, 0), _font(), size, WEIGHT)
    return float(width)


def _target_size(width: int, height: int) -> float:
    """The font size in pixels that reads well across a room."""
    return max(11.0, 0.062 * min(height, 1.3 * width))


def _fit_size(lines: Sequence[str], target: float, room: float) -> int:
    """The largest font size up to `target` at which every line is at most `room` pixels wide."""
    size = max(6, round(target))
    widest = max(_text_width(line, size) for line in lines)
    return size if widest <= room else max(6, int(size * room / widest))


def _layout(lines: Sequence[str], width: int, height: int) -> tuple[Sequence[str], int]:
    """The lines and their font size: in a narrow picture one line becomes two rather than small."""
    target, room = _target_size(width, height), 0.92 * width - 0.06 * min(width, height)
    size = _fit_size(lines, target, room)
    if len(lines) == 1 and size < round(target):
        halves = wrap_caption(lines[0], max(4, (len(lines[0]) + 10) // 2))
        if len(halves) == 2 and "…" not in halves[-1]:
            taller = _fit_size(halves, target, room)
            if taller > size:
                return halves, taller
    return lines, size
