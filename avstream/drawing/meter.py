"""The loudness scale: a bar from quiet to loud, with its decibels."""

from __future__ import annotations

import cv2

from avstream.drawing.canvas import ACCENT, PAPER, QUIET, Layer, Patch, Picture, text_width
from avstream.level import BAR_FROM_DBFS

PEAK_HOLD_S = 2.0
RISE_DB_S, FALL_DB_S = 200.0, 30.0  # how fast the bar moves
GROUND = (58, 58, 68)
TICKS_DBFS = (-60, -40, -20, 0)
SMALLEST_FIGURES = 10


class Meter:
    """It glides to the level, and a line holds the peak for PEAK_HOLD_S."""

    def __init__(self) -> None:
        self.target_dbfs = BAR_FROM_DBFS
        self._level_dbfs = self._peak_dbfs = BAR_FROM_DBFS
        self._peak_s = self._at_s = 0.0

    def move(self, now_s: float) -> None:
        """Bring the bar and its peak to this moment."""
        passed_s, self._at_s = max(0.0, now_s - self._at_s), now_s
        change = self.target_dbfs - self._level_dbfs
        self._level_dbfs += min(max(change, -FALL_DB_S * passed_s), RISE_DB_S * passed_s)
        if self._level_dbfs >= self._peak_dbfs:
            self._peak_dbfs, self._peak_s = self._level_dbfs, now_s
        elif now_s - self._peak_s > PEAK_HOLD_S:
            self._peak_dbfs = max(self._level_dbfs, self._peak_dbfs - FALL_DB_S * passed_s)

    def draw(self, out: Picture, left: int, top: int, right: int, bottom: int) -> None:
        """Draw the bar into `out`, RGB uint8 (H, W, 3), in place."""
        if right - left < 20 or bottom - top < 3:
            return
        cv2.rectangle(out, (left, top), (right - 1, bottom - 1), GROUND, -1)
        full = right - left
        share, held = (min(max(1 - v / BAR_FROM_DBFS, 0.0), 1.0) for v in (self._level_dbfs, self._peak_dbfs))
        if share > 0:
            cv2.rectangle(out, (left, top), (left + round(share * full) - 1, bottom - 1), QUIET, -1)
        for level in TICKS_DBFS[1:-1]:
            x = left + round((1 - level / BAR_FROM_DBFS) * full)
            cv2.line(out, (x, top), (x, bottom - 1), PAPER if share * full > x - left else QUIET, 1)
        if held > 0:
            thick = max(2, (bottom - top) // 4)
            x = min(right - thick, max(left, left + round(held * full) - thick))
            cv2.rectangle(out, (x, top), (x + thick - 1, bottom - 1), ACCENT, -1)


def scale_box(left: int, top: int, right: int, bottom: int, size: int) -> tuple[int, int, int, int]:
    """Where the bar is between the words `quiet` and `loud`, and above its figures."""
    first = left + round(text_width("quiet", size) + 0.5 * size)
    last = right - round(text_width("loud", size) + 0.5 * size)
    middle, thick = (top + bottom) / 2, 0.5 * size
    if figures_size(size) >= SMALLEST_FIGURES:
        middle -= 0.25 * size
    return first, round(middle - thick / 2), last, round(middle + thick / 2)


def figures_size(size: int) -> int:
    """The type of the decibels below the bar."""
    return round(0.5 * size)


def scale_patch(left: int, top: int, right: int, bottom: int, size: int) -> Patch | None:
    """The words beside the bar and the decibels below it."""
    first, bar_top, last, bar_bottom = scale_box(left, top, right, bottom, size)
    layer, small = Layer(right - left, bottom - top), figures_size(size)
    middle = (bar_top + bar_bottom) / 2 - top
    layer.text("quiet", 0, middle, size, QUIET, "left")
    layer.text("loud", layer.width, middle, size, QUIET, "right")
    if small >= SMALLEST_FIGURES:
        for level in TICKS_DBFS:
            x = first - left + (1 - level / BAR_FROM_DBFS) * (last - first)
            words = f"{level} dB" if level == 0 else str(level).replace("-", "−")
            layer.text(words, x, bar_bottom - top + 0.7 * small, small, QUIET)
    return layer.finished(left, top)
