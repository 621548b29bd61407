"""What comes and goes: marks on the picture and the caption. They fade, at most 2.5 times a second: nothing flashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from numpy import float32
from numpy.typing import NDArray

from avstream.drawing.canvas import Layer, Line, Patch, Picture, Run, line_width
from avstream.drawing.following import Follower
from avstream.drawing.layout import CAPTION, Layout
from avstream.drawing.overlay import Overlay
from avstream.drawing.timeline import hedged
from avstream.records import Sound
from avstream.wording import hedge, phrase

FADE_S = 0.4  # a crossfade of marks, and the least time between two of them
CAPTION_IN_S, CAPTION_OUT_S = 0.2, 0.6
HOLD_S = 2.0  # a caption stays so long, whatever else is guessed meanwhile
MOST_LINES = 3
STEP = 1.25


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a narration puts on the picture."""

    sounds: tuple[Sound, ...] = ()
    heatmap: NDArray[float32] | None = None
    follower: Follower | None = None


NOTHING = Look()


class Marks:
    """Heat, boxes and arrows of one narration after another, faded over."""

    def __init__(self) -> None:
        self._old = self._new = NOTHING
        self._since_s = -FADE_S
        self._drawn: dict[Look, Overlay] = {}

    def draw(self, rgb: Picture, wanted: Look, now_s: float) -> Picture:
        """A picture with the marks of this moment, or `rgb` itself."""
        if wanted is not self._new and now_s - self._since_s >= FADE_S:
            self._old, self._new, self._since_s = self._new, wanted, now_s
        self._drawn = {look: overlay for look, overlay in self._drawn.items() if look in (self._old, self._new)}
        share = min(max((now_s - self._since_s) / FADE_S, 0.0), 1.0)
        after = self._overlay(self._new, rgb).draw(rgb)
        if share == 1:
            return after
        before = self._overlay(self._old, rgb).draw(rgb)
        return rgb if before is after else cv2.addWeighted(before, 1 - share, after, share, 0)

    def clear(self) -> None:
        """Nothing of what was shown belongs to the picture any more."""
        self._old = self._new = NOTHING

    def _overlay(self, look: Look, rgb: Picture) -> Overlay:
        height, width = rgb.shape[:2]
        overlay = self._drawn.get(look)
        if overlay is None or (overlay.width, overlay.height) != (width, height):
            overlay = Overlay(width, height, heatmap=look.heatmap, sounds=look.sounds, follower=look.follower)
            self._drawn[look] = overlay
        return overlay


class Caption:
    """The sounds of now in words, a line each: they fade in, hold for HOLD_S at least, and fade out."""

    def __init__(self) -> None:
        self.lines: tuple[Line, ...] = ()
        self.strength = 0.0
        self._since_s, self._at_s = -HOLD_S, 0.0

    def move(self, wanted: tuple[Line, ...], now_s: float) -> None:
        """Bring it to this moment."""
        passed_s, self._at_s = max(0.0, now_s - self._at_s), now_s
        held = now_s - self._since_s >= HOLD_S
        if wanted and wanted != self.lines and (held or not self.lines):
            self.lines, self._since_s = wanted, now_s
        if wanted or not held:
            self.strength = min(1.0, self.strength + passed_s / CAPTION_IN_S)
        else:
            self.strength = max(0.0, self.strength - passed_s / CAPTION_OUT_S)
        if self.strength == 0 and held:
            self.lines = ()


def caption_lines(sounds: Sequence[Sound]) -> tuple[Line, ...]:
    """`[dog barking, left]`, a line for each sound, the surest first; what is only possible is fainter."""
    surest = sorted(sounds, key=lambda sound: sound.confidence, reverse=True)[:MOST_LINES]
    return tuple(_bracketed(hedged(hedge(sound), phrase(sound).removeprefix(hedge(sound)))) for sound in surest)


def _bracketed(line: Line) -> Line:
    last = line[-1]
    return (Run("[", last.share, last.color), *line, Run("]", last.share, last.color))


def caption_patch(lines: tuple[Line, ...], layout: Layout) -> Patch | None:
    """The caption in its place, as large as fits; over a picture on a calm ground at its bottom."""
    left, top, right, bottom = layout.caption
    wide, high = right - left, bottom - top
    most = 0.34 * high if layout.over else 0.94 * high
    target = CAPTION * layout.size[1] * (1.3 if layout.over else 2.0 if layout.history is None else 1.0)
    size = max(6, round(min(target, most / (STEP * len(lines)))))
    widest = max(line_width(line, size) for line in lines)
    if widest > 0.94 * wide:
        size = max(6, int(size * 0.94 * wide / widest))
        widest = max(line_width(line, size) for line in lines)
    tall = STEP * size * len(lines)
    layer, start = Layer(wide, high), (high - tall) / 2
    if layout.over:
        start = high - tall - max(2.0, 0.05 * high)
        half = widest / 2 + 0.4 * size
        layer.panel(wide / 2 - half, start - 0.1 * size, wide / 2 + half, start + tall + 0.1 * size, round(0.3 * size))
    for at, line in enumerate(lines):
        layer.line(line, wide / 2, start + STEP * size * (at + 0.5), size, "center")
    return layer.finished(left, top)
