"""The history as it is drawn: a row for each sound, with its words, its age, its duration and when it sounded.

Words are patches that are drawn again only when they change; the bars move all the time and are drawn as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from avstream.drawing.canvas import ACCENT, FAINT, INK, PAPER, QUIET, Layer, Line, Patch, Picture, Run, line_width
from avstream.drawing.history import SPAN_S, Row
from avstream.drawing.layout import Box, Layout
from avstream.wording import LIKELY, SURE

FIRST = 1.6  # how much larger the newest row is
TAIL = 0.8  # the size of ages, of the row's
HEDGE = 0.62  # of "possibly"
MOST_ROWS = 12
GRID = (58, 58, 68)
SURENESS = (
    (SURE, 1.0, INK),
    (LIKELY, 0.6, QUIET),
    (0.0, 0.3, FAINT),
)  # from this confidence on: how thick, which color


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one row: its words' type size, and the bottom of its bar."""

    box: Box
    size: int
    tail: int  # the size of its age and duration
    wide: bool  # age and duration stand beside the words rather than below
    bar_y: int


def slots(layout: Layout, count: int) -> list[Slot]:
    """Places for up to `count` rows, the first one the largest; as many as fit."""
    if layout.history is None:
        return []
    left, top, right, bottom = layout.history
    wide, found = right - left > 17 * layout.row, list[Slot]()
    bottom -= axis_height(layout)
    for at in range(min(count, MOST_ROWS)):
        size = layout.row if at or not wide else round(FIRST * layout.row)
        tail = round(TAIL * layout.row)
        high = round(1.25 * size + (0 if wide else 1.2 * tail) + 0.56 * layout.row)
        if top + high > bottom:
            break
        found.append(Slot((left, top, right, top + high), size, tail, wide, top + high - round(0.12 * layout.row)))
        top += high
    return found


def axis_height(layout: Layout) -> int:
    """The place of the words below the bars."""
    return round(1.3 * layout.small)


def row_patch(row: Row, slot: Slot) -> Patch | None:
    """A row's words: what it is, how sure, its age and its duration; the frame is for what is urgent."""
    left, top, right, bottom = slot.box
    layer, size = Layer(right - left, bottom - top), slot.size
    tail = (Run(f"{row.when}, {row.lasted}", 1.0, INK if row.going else QUIET),)
    limit = right - left - (line_width(tail, slot.tail) + slot.tail if slot.wide else 0)
    words = fitted(row_words(row), size, limit)
    layer.line(words, 0, 0.62 * size, size)
    if slot.wide:
        layer.line(tail, right - left, 0.62 * size + 0.36 * (size - slot.tail), slot.tail, "right")
    else:
        layer.line(tail, 0, 1.2 * size + 0.6 * slot.tail, slot.tail)
    return layer.finished(left, top)


def row_words(row: Row) -> Line:
    """What it is in large type and how sure in small type; `URGENT` in front stays after it was seen."""
    color = ACCENT if row.urgent and row.going else INK if row.going else QUIET
    urgent = (Run("URGENT ", HEDGE, ACCENT),) if row.urgent else ()
    return (*urgent, *hedged(row.hedge, row.words, color))


def hedged(hedge: str, words: str, color: tuple[int, int, int] = INK) -> Line:
    """Words with what weakens them, which is smaller and fainter; so is what is only possible."""
    if not hedge:
        return (Run(words, 1.0, color),)
    if hedge.startswith("possibly"):
        return (Run(hedge, HEDGE, FAINT), Run(words, 0.8, FAINT))
    return (Run(hedge, HEDGE, QUIET), Run(words, 1.0, color))


def fitted(line: Line, size: int, limit: float) -> Line:
    """The line in smaller type when it is too wide."""
    wide = line_width(line, size)
    if wide <= limit:
        return line
    share = max(0.3, 0.98 * limit / wide)
    return tuple(Run(run.words, share * run.share, run.color) for run in line)


def draw_bars(out: Picture, rows: Sequence[Row], places: Sequence[Slot], layout: Layout, now_s: float) -> None:
    """When each sounded in the last SPAN_S: thick for sure, thinner for less; a line for each minute."""
    if layout.history is None or not places:
        return
    left, _, right, _ = layout.history
    scale = (right - left - 1) / SPAN_S
    for row, slot in zip(rows, places, strict=False):
        full = max(4, round(0.32 * layout.row))
        top, bottom = slot.bar_y - full, slot.bar_y
        cv2.line(out, (left, bottom), (right - 1, bottom), GRID, 1)
        for minute in range(int(SPAN_S // 60) + 1):
            x = right - 1 - round(60 * minute * scale)
            cv2.line(out, (x, bottom - full // 4), (x, bottom), GRID, max(1, layout.row // 25))
        for piece in row.pieces:
            end_s = now_s if piece.end_s is None else piece.end_s
            first = max(left, right - 1 - round((now_s - piece.start_s) * scale))
            last = max(first + max(2, layout.row // 10), right - 1 - round((now_s - end_s) * scale))
            share, color = next((share, color) for least, share, color in SURENESS if piece.confidence >= least)
            color = ACCENT if row.urgent else color
            cv2.rectangle(
                out, (first, bottom - round(share * (bottom - top))), (min(last, right - 1), bottom), color, -1
            )


def axis_patch(last: Slot, layout: Layout) -> Patch | None:
    """What the bars' ends mean, below the last row."""
    left, _, right, top = last.box
    layer, size = Layer(right - left, axis_height(layout)), layout.small
    middle = layer.height / 2
    layer.text(f"{SPAN_S / 60:.0f} min ago", 0, middle, size, QUIET, "left")
    layer.text("now", layer.width, middle, size, QUIET, "right")
    return layer.finished(left, top)


def empty_patch(layout: Layout) -> Patch | None:
    """The history before anything was heard."""
    assert layout.history is not None
    left, top, right, bottom = layout.history
    layer = Layer(right - left, max(1, bottom - top))
    layer.line(fitted((Run("nothing heard so far", 1.0, FAINT),), layout.row, layer.width), 0, layout.row, layout.row)
    return layer.finished(left, top)


def banner_patch(row: Row, layout: Layout, at: int, count: int, *, bright: bool) -> Patch | None:
    """The line of an urgent sound that nobody has seen yet: the full width, larger than all else."""
    left, top, right, bottom = layout.banners
    high = (bottom - top) // count
    if high < 8:
        return None
    layer, thick = Layer(right - left, high), max(2, high // 16)
    paper, ink = (ACCENT, PAPER) if bright else (PAPER, ACCENT)
    layer.panel(0, 0, layer.width, high, 0, paper, 1.0)
    layer.frame(0, 0, layer.width, high, thick)
    size = max(8, round(0.62 * high))
    tail: Line = (Run(f"{row.when}, {row.lasted}", 0.55, ink),)
    hint, hint_size = (Run("press a key when seen", 1.0, ink),), round(0.26 * size)
    head = (Run("URGENT  ", 0.55, ink), Run(row.hedge, 0.55, ink), Run(row.words, 1.0, ink))
    inset = 0.35 * size
    aside = line_width(tail, size) + 2 * inset
    if aside > 0.45 * layer.width:
        aside, tail = inset, ()
    layer.line(fitted(head, size, layer.width - aside - inset), inset, high / 2, size)
    if tail:
        layer.line(tail, layer.width - inset, 0.4 * high, size, "right")
        if hint_size >= 10:
            layer.line(hint, layer.width - inset, 0.79 * high, hint_size, "right")
    return layer.finished(left, top + at * high)
