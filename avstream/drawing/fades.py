"""What comes and goes: marks on the picture and the caption. They fade, at most 2.5 times a second: nothing flashes."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import cv2
from numpy import float32
from numpy.typing import NDArray

from avstream.drawing.canvas import Layer, Patch, Picture
from avstream.drawing.layout import Layout
from avstream.drawing.overlay import Overlay, caption_layout, draw_caption, target_size
from avstream.records import Sound

FADE_S = 0.4  # a crossfade of marks, and the least time between two of them
CAPTION_IN_S, CAPTION_OUT_S = 0.2, 0.6
SHORT_LINE_CHARS, MOST_SHORT_LINES, MUCH_SMALLER = 24, 4, 0.7  # when long lines would make small type


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a narration puts on the picture."""

    sounds: tuple[Sound, ...] = ()
    heatmap: NDArray[float32] | None = None


NOTHING = Look()


class Marks:
    """Heat, boxes and arrows of one narration after another, faded over."""

    def __init__(self) -> None:
        self._old = self._new = NOTHING
        self._since_s = -FADE_S
        self._drawn: dict[Look, Overlay] = {}

    def draw(self, rgb: Picture, wanted: Look, now_s: float, crowded: int = 0) -> Picture:
        """A picture with the marks of this moment, or `rgb` itself; `crowded` as for `Overlay`."""
        if wanted is not self._new and now_s - self._since_s >= FADE_S:
            self._old, self._new, self._since_s = self._new, wanted, now_s
        self._drawn = {look: overlay for look, overlay in self._drawn.items() if look in (self._old, self._new)}
        share = min(max((now_s - self._since_s) / FADE_S, 0.0), 1.0)
        after = self._overlay(self._new, rgb, crowded).draw(rgb)
        if share == 1:
            return after
        before = self._overlay(self._old, rgb, crowded).draw(rgb)
        return rgb if before is after else cv2.addWeighted(before, 1 - share, after, share, 0)

    def clear(self) -> None:
        """Nothing of what was shown belongs to the picture any more."""
        self._old = self._new = NOTHING

    def _overlay(self, look: Look, rgb: Picture, crowded: int) -> Overlay:
        height, width = rgb.shape[:2]
        overlay = self._drawn.get(look)
        if overlay is None or (overlay.width, overlay.height) != (width, height):
            overlay = Overlay(width, height, heatmap=look.heatmap, sounds=look.sounds, crowded=crowded)
            self._drawn[look] = overlay
        return overlay


class Caption:
    """The words of now: they fade in, stay while they are wanted, and fade out."""

    def __init__(self) -> None:
        self.lines: tuple[str, ...] = ()
        self.strength = 0.0
        self._since_s, self._at_s = -FADE_S, 0.0

    def move(self, wanted: tuple[str, ...], now_s: float) -> None:
        """Bring it to this moment."""
        passed_s, self._at_s = max(0.0, now_s - self._at_s), now_s
        if wanted and wanted != self.lines and now_s - self._since_s >= FADE_S:
            self.lines, self._since_s = wanted, now_s
        if wanted:
            self.strength = min(1.0, self.strength + passed_s / CAPTION_IN_S)
        else:
            self.strength = max(0.0, self.strength - passed_s / CAPTION_OUT_S)
        if self.strength == 0 and not wanted:
            self.lines = ()


def caption_patch(lines: tuple[str, ...], layout: Layout) -> Patch | None:
    """The caption within the stage; in a narrow one, and where there is no picture, as more and larger lines."""
    left = min(layout.meter[1] + 2, (layout.stage - 1) // 2)
    width, height = layout.stage - 2 * left, layout.type[1][1]
    target = target_size(width, height) * (1 if layout.pictured else 2)
    size = caption_layout(lines, width, height, target)[1]
    if size < MUCH_SMALLER * target:
        short = _short_lines(" ".join(lines))
        target = min(target, layout.caption_room / (1.3 * len(short) + 0.55))
        if caption_layout(short, width, height, target)[1] > size:
            lines = tuple(short)
    layer = Layer(width, height)
    draw_caption(layer, lines, target=target)
    return layer.finished(left, 0)


def _short_lines(caption: str) -> list[str]:
    """The caption as a few short lines, if it can be with a new one for each `[sound]`."""

    def wrapped(text: str) -> list[str]:
        return textwrap.wrap(text, SHORT_LINE_CHARS, break_on_hyphens=False)

    lines = [line for sound in caption.replace("] [", "]\n[").splitlines() for line in wrapped(sound)]
    return lines if len(lines) <= MOST_SHORT_LINES else wrapped(caption)
