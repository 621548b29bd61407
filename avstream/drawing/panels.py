"""The panels around the picture, each drawn once for its content: status, history, loudness, keys, a message.

Sizes and places are pixels of the window. What is drawn is text first: color and shape only underline the words.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2

from avstream.drawing.canvas import ACCENT, INK, PAPER, Layer, Patch, Picture, shortened, text_width
from avstream.level import BAR_FROM_DBFS
from avstream.records import Sound, SoundEvent
from avstream.wording import clock, phrase

QUIET = (212, 212, 218)  # type of less weight: 7:1 still
CALM = (110, 226, 184)  # the dot of "listening"
SOLID = 0.96  # over other words
SMALLEST = 12  # type that can still be read at a desk
ROW_STEP = 1.65
PEAK_HOLD_S = 2.0
RISE_DB_S, FALL_DB_S = 200.0, 30.0  # how fast the bar moves
KEYS = (
    ("space", "freeze the picture"),
    ("h", "heat map on or off"),
    ("m", "mute the newest sound"),
    ("s", "save a snapshot"),
    ("f", "full screen on or off"),
    ("?", "show these keys"),
    ("q", "quit"),
)

Mark = Literal["dot", "warning", "pause", "none"]


@dataclass(frozen=True, slots=True)
class Row:
    """An event as the history shows it."""

    time: str
    words: str
    lasted: str
    urgent: bool
    going: bool


def history_rows(events: Iterable[SoundEvent], epoch_s: float | None, count: int) -> tuple[Row, ...]:
    """The latest events, newest first, and before them the urgent ones that go on."""
    latest = sorted(events, key=lambda event: (event.urgent and event.end_s is None, event.onset_s), reverse=True)
    return tuple(_row(event, epoch_s) for event in latest[:count])


def _row(event: SoundEvent, epoch_s: float | None) -> Row:
    sound = Sound(event.label, event.peak_confidence, direction=event.direction)
    at = clock(event.onset_s)
    if epoch_s is not None:
        at = time.strftime("%H:%M:%S", time.localtime(epoch_s + event.onset_s))
    return Row(at, phrase(sound), _lasted(event), event.urgent, event.end_s is None)


def _lasted(event: SoundEvent) -> str:
    if event.end_s is None:
        return "now"
    seconds = event.end_s - event.onset_s
    return "<1 s" if seconds < 1 else f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def type_size(width: int, height: int) -> int:
    """The font size of the panels' words."""
    return max(SMALLEST, round(0.026 * min(height, 1.3 * width)))


def margin(width: int, height: int) -> int:
    """The free space around panels."""
    return max(4, round(0.016 * min(width, height)))


def status_panel(lines: Sequence[tuple[Mark, str]], size: int, window: tuple[int, int], room: float) -> Patch | None:
    """What the program is doing, a line for each thing, at the top left."""
    layer, gap, step = Layer(*window), margin(*window), 1.5 * size
    indent = 1.5 * size
    words = [shortened(text, size, room - indent - 0.6 * size) for _, text in lines]
    wide = indent + max(text_width(text, size) for text in words) + 0.6 * size
    layer.panel(gap, gap, gap + wide, gap + step * len(lines) + 0.3 * size, round(0.4 * size), PAPER, SOLID)
    for at, ((mark, _), text) in enumerate(zip(lines, words, strict=True)):
        middle = gap + 0.15 * size + step * (at + 0.5)
        _draw_mark(layer, mark, gap + 0.8 * size, middle, size)
        layer.text(text, gap + indent, middle, size, QUIET if mark == "none" else INK, "left")
    return layer.finished()


def _draw_mark(layer: Layer, mark: Mark, x: float, y: float, size: int) -> None:
    if mark == "dot":
        layer.disc(x, y, 0.28 * size, CALM)
    elif mark == "warning":
        half = 0.45 * size
        layer.polygon([(x, y - half), (x + half, y + 0.8 * half), (x - half, y + 0.8 * half)], ACCENT)
        layer.panel(x - 0.05 * size, y - 0.16 * size, x + 0.07 * size, y + 0.12 * size, 0, PAPER, 1.0)
        layer.panel(x - 0.05 * size, y + 0.18 * size, x + 0.07 * size, y + 0.29 * size, 0, PAPER, 1.0)
    elif mark == "pause":
        for left in (-0.26, 0.08):
            layer.panel(x + left * size, y - 0.3 * size, x + (left + 0.2) * size, y + 0.3 * size, 0, INK, 1.0)


def history_panel(
    rows: Sequence[Row], size: int, window: tuple[int, int], right: float, top: float, room: float
) -> Patch | None:
    """The rows on a panel that ends at `right`, at most `room` wide: smaller type first, then shorter words."""
    if not rows or room < 8 * size:
        return None
    smallest = max(SMALLEST, 0.75 * size)
    while _history_columns(rows, size)[1] > room and size - 1 >= smallest:
        size -= 1
    layer, step, inset = Layer(*window), ROW_STEP * size, 0.6 * size
    (times, tail), natural = _history_columns(rows, size)
    left = right - min(natural, room)
    layer.panel(left, top, right, top + step * len(rows) + inset, round(0.4 * size), PAPER, SOLID)
    for at, row in enumerate(rows):
        middle = top + inset / 2 + step * (at + 0.5)
        color = INK if row.going else QUIET
        words = shortened(_urgently(row), size, right - left - times - tail - 2 * inset)
        layer.text(row.time, left + inset, middle, size, color, "left")
        layer.text(words, left + inset + times, middle, size, color, "left")
        layer.text(row.lasted, right - inset, middle, size, color, "right")
        if row.urgent:
            thick = max(2, size // 8)
            layer.frame(left + thick, middle - step / 2 + 1, right - thick, middle + step / 2 - 1, thick)
    return layer.finished()


def _history_columns(rows: Sequence[Row], size: int) -> tuple[tuple[float, float], float]:
    """How wide the times and what follows the words are, and the whole panel."""
    times = max(text_width(row.time, size) for row in rows) + 0.8 * size
    tail = max(text_width(row.lasted, size) for row in rows) + 0.8 * size
    return (times, tail), times + max(text_width(_urgently(row), size) for row in rows) + tail + 1.2 * size


def _urgently(row: Row) -> str:
    return f"URGENT {row.words}" if row.urgent else row.words


def urgent_tab(caption: Patch, size: int, window: tuple[int, int]) -> Patch | None:
    """A thick frame around a caption, and the word above it, for what the user called urgent."""
    layer, thick = Layer(*window), max(3, size // 4)
    left, top, right, bottom = caption.columns.start, caption.rows.start, caption.columns.stop, caption.rows.stop
    layer.frame(left - thick, top - thick, right + thick, bottom + thick, thick)
    wide, high = text_width("URGENT", size) + size, 1.5 * size
    layer.panel(left - thick, top - thick - high, left - thick + wide, top, round(0.3 * size), ACCENT, 1.0)
    layer.text("URGENT", left - thick + wide / 2, top - thick / 2 - high / 2, size, PAPER)
    return layer.finished()


def keys_panel(size: int, window: tuple[int, int], right: float, bottom: float) -> Patch | None:
    """What each key does, on a panel that ends there."""
    layer, step = Layer(*window), 1.55 * size
    first = max(text_width(key, size) for key, _ in KEYS) + size
    wide = first + max(text_width(words, size) for _, words in KEYS) + 2 * size
    left, top = max(0.0, right - wide), max(0.0, bottom - step * len(KEYS) - size)
    layer.panel(left, top, left + wide, top + step * len(KEYS) + size, round(0.5 * size), opacity=0.9)
    for at, (key, words) in enumerate(KEYS):
        middle = top + size / 2 + step * (at + 0.5)
        layer.text(key, left + size, middle, size, ACCENT, "left")
        layer.text(words, left + size + first, middle, size, INK, "left")
    return layer.finished()


def message_panel(words: str, size: int, window: tuple[int, int], middle_x: float, middle_y: float) -> Patch | None:
    """One line that says what just happened."""
    layer = Layer(*window)
    words = shortened(words, size, 0.9 * window[0])
    half = text_width(words, size) / 2 + size
    layer.panel(middle_x - half, middle_y - size, middle_x + half, middle_y + size, size, opacity=0.9)
    layer.text(words, middle_x, middle_y, size)
    return layer.finished()


class Meter:
    """The loudness bar: it glides to the level, and a line holds the peak for PEAK_HOLD_S."""

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
        """Draw it into `out`, RGB uint8 (H, W, 3), in place."""
        if bottom - top < 20 or right - left < 3:
            return
        cv2.rectangle(out, (left - 2, top - 2), (right + 1, bottom + 1), PAPER, -1)
        full = bottom - top
        share, held = (min(max(1 - v / BAR_FROM_DBFS, 0.0), 1.0) for v in (self._level_dbfs, self._peak_dbfs))
        if share > 0:
            cv2.rectangle(out, (left, bottom - round(share * full)), (right - 1, bottom - 1), QUIET, -1)
        for level in (-20, -40):
            y = bottom - round((1 - level / BAR_FROM_DBFS) * full)
            cv2.line(out, (left, y), (right - 1, y), PAPER if share * full > bottom - y else QUIET, 1)
        if held > 0:
            y, thick = bottom - round(held * full), max(2, (right - left) // 4)
            cv2.rectangle(out, (left, max(top, y - thick)), (right - 1, max(top, y - thick) + thick - 1), ACCENT, -1)
