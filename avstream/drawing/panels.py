"""The panels around the picture, each drawn once for its content: the strip, keys, a message, and what is wrong.

Sizes and places are pixels of the window. What is drawn is text first: color and shape only underline the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from avstream.drawing.canvas import ACCENT, INK, PAPER, QUIET, Color, Layer, Patch, shortened, text_width, wrapped
from avstream.drawing.layout import Box, Layout
from avstream.records import Problem
from avstream.troubles import headline

CALM = (110, 226, 184)  # the dot of "listening"
KEYS = (
    ("space", "freeze the picture"),
    ("h", "heat map on or off"),
    ("m", "mute the newest sound"),
    ("s", "save a snapshot"),
    ("f", "full screen on or off"),
    ("?", "show these keys"),
    ("q", "quit"),
)
HEAD, BODY = 1.0, 0.55  # of what is wrong: type sizes of the headline and of what to do
STEP = 1.3  # from line to line

Mark = Literal["dot", "warning", "none"]


def strip_patch(mark: Mark, words: str, box: Box, size: int) -> Patch | None:
    """Whether it listens, in one line, or two of smaller type where one is not enough."""
    left, top, right, bottom = box
    layer, middle = Layer(max(1, right - left), bottom - top), (bottom - top) / 2
    indent = 0.0 if mark == "none" else 1.5 * size
    limit = layer.width - indent - 0.5 * size
    _draw_mark(layer, mark, 0.7 * size, middle, size)
    if text_width(words, size) <= limit:
        layer.text(words, indent, middle, size, INK, "left")
        return layer.finished(left, top)
    small = max(10, round(0.68 * size))
    lines = wrapped(words, small, limit)
    lines = [lines[0], *([shortened(" ".join(lines[1:]), small, limit)] if lines[1:] else [])]
    for at, line in enumerate(lines):
        layer.text(line, indent, middle + (at - (len(lines) - 1) / 2) * 1.2 * small, small, INK, "left")
    return layer.finished(left, top)


def _draw_mark(layer: Layer, mark: Mark, x: float, y: float, size: int) -> None:
    if mark == "dot":
        layer.disc(x, y, 0.28 * size, CALM)
    elif mark == "warning":
        half = 0.45 * size
        layer.polygon([(x, y - half), (x + half, y + 0.8 * half), (x - half, y + 0.8 * half)], ACCENT)
        layer.panel(x - 0.05 * size, y - 0.16 * size, x + 0.07 * size, y + 0.12 * size, 0, PAPER, 1.0)
        layer.panel(x - 0.05 * size, y + 0.18 * size, x + 0.07 * size, y + 0.29 * size, 0, PAPER, 1.0)


def problem_patch(problems: Sequence[Problem], box: Box) -> Patch | None:
    """What is wrong and what to do about it, as large as fits into the box, which it fills; in full, whatever it is."""
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    if wide < 8 or high < 8:
        return None
    layer, thick = Layer(wide, high), max(2, min(wide, high) // 60)
    layer.panel(0, 0, wide, high, 0, PAPER, 1.0)
    layer.frame(0, 0, wide, high, thick)
    limit, size = wide - 6 * thick - 0.04 * wide, round(0.2 * high)
    while True:
        lines = [line for problem in problems for line in _problem_lines(problem, size, limit)]
        tall = sum(STEP * one for _, one, _ in lines)
        if size <= 10 or (tall <= 0.92 * high and all(text_width(words, one) <= limit for words, one, _ in lines)):
            break
        size -= max(1, size // 12)
    y = max(0.0, (high - tall) / 2)
    for words, one, color in lines:
        layer.text(words, wide / 2, y + STEP * one / 2, one, color)
        y += STEP * one
    return layer.finished(left, top)


def _problem_lines(problem: Problem, size: int, limit: float) -> list[tuple[str, int, Color]]:
    """(words, type size, color) of each line."""
    head, body = max(8, round(HEAD * size)), max(8, round(BODY * size))
    found, fix = (f"{words[:1].upper()}{words[1:]}." if words else "" for words in (problem.found, problem.fix))
    parts = ((headline(problem), head, ACCENT), (found, body, QUIET), (fix, body, INK))
    return [(line, one, color) for words, one, color in parts if words for line in wrapped(words, one, limit)]


def keys_panel(layout: Layout, right: float, bottom: float) -> Patch | None:
    """What each key does, on a panel that ends there."""
    size = layout.small
    layer, step = Layer(*layout.size), 1.55 * size
    first = max(text_width(key, size) for key, _ in KEYS) + size
    wide = first + max(text_width(words, size) for _, words in KEYS) + 2 * size
    left, top = max(0.0, right - wide), max(0.0, bottom - step * len(KEYS) - size)
    layer.panel(left, top, left + wide, top + step * len(KEYS) + size, round(0.5 * size), opacity=0.94)
    for at, (key, words) in enumerate(KEYS):
        middle = top + size / 2 + step * (at + 0.5)
        layer.text(key, left + size, middle, size, ACCENT, "left")
        layer.text(words, left + size + first, middle, size, INK, "left")
    return layer.finished()


def message_panel(words: str, layout: Layout, middle_x: float, middle_y: float) -> Patch | None:
    """One line that says what just happened."""
    size = layout.small
    layer = Layer(*layout.size)
    words = shortened(words, size, 0.9 * layout.size[0])
    half = text_width(words, size) / 2 + size
    layer.panel(middle_x - half, middle_y - size, middle_x + half, middle_y + size, size, opacity=0.94)
    layer.text(words, middle_x, middle_y, size)
    return layer.finished()
