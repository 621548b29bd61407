"""Where things go in a window of a given size: pixels, nothing drawn.

The picture is as large as it can be. The history has a column beside it, or a band below, where the window's shape
leaves one free, else a corner of the picture; the caption keeps the lowest quarter to itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from avstream.drawing.overlay import ARROW_SIDE
from avstream.drawing.panels import ROW_STEP, margin, type_size

FREE = 0.2  # the share of the window that must be free beside or below the picture to be used
COLUMN = 0.36  # a column is at most this wide
CAPTION_TOP = 0.74  # nothing but the caption below this share of the height
CORNER_BOTTOM = 0.34  # where a history in a corner ends: above the arrows
MOST_ROWS = 12


@dataclass(frozen=True, slots=True)
class Layout:
    """Places in pixels. `type` is the panels' font size and the window's (width, height)."""

    type: tuple[int, tuple[int, int]]
    picture: tuple[int, int, int, int]  # left, top, right, bottom
    stage: int  # how wide what is left of the column is: picture and caption
    pictured: bool
    caption_room: float  # its most height
    history: tuple[float, float, float]  # right, top, widest
    history_rows: int
    crowded: int  # rows of the picture, from its top, where the history may lie over it
    status_room: float
    meter: tuple[int, int, int]  # left, right, bottom
    middle_x: float
    message_y: float
    keys: tuple[float, float]  # right, bottom


@lru_cache(maxsize=4)
def arrange(width: int, height: int, picture: tuple[int, int] | None) -> Layout:
    """The layout of a window for a picture of (height, width) pixels, or for sound alone."""
    gap, size = margin(width, height), type_size(width, height)
    column = band = 0
    if picture is None:
        column = round(COLUMN * width) if width >= 1.2 * height and width >= 480 else 0
        box = (0, 0, width - column, height)
    else:
        scale = min(width / picture[1], height / picture[0])
        wide, high = min(width, max(1, round(scale * picture[1]))), min(height, max(1, round(scale * picture[0])))
        column = min(width - wide, round(COLUMN * width)) if width - wide >= FREE * width else 0
        band = height - high if height - high >= FREE * height else 0
        left = (width - column - wide) // 2
        top = min(band // 4, 2 * gap + 2 * size) if band else (height - high) // 2
        box = (left, top, left + wide, top + high)
    stage = width - column
    right, history_top, bottom = width - gap, gap, CORNER_BOTTOM * height
    rows, room = (3 if height < 480 else 5), (0.54 if width < 800 else 0.46) * width
    if column:
        rows, room, bottom = MOST_ROWS, column - 2 * gap, height - gap
    elif picture is None:
        rows, room = 5, width - 2 * gap
    elif box[3] + gap + 3 * ROW_STEP * size <= CAPTION_TOP * height:
        rows, room, bottom, history_top = MOST_ROWS, width - 2 * gap, CAPTION_TOP * height, box[3] + gap
    crowded = 0 if picture is None or column or history_top > gap else max(0, round(bottom) - box[1])
    rows = min(rows, max(1, int((bottom - history_top - 0.6 * size) / (ROW_STEP * size))))
    inset, keys_bottom = ARROW_SIDE * stage, (CAPTION_TOP if picture else 0.49) * height
    return Layout(
        type=(size, (width, height)),
        picture=box,
        stage=stage,
        pictured=picture is not None,
        caption_room=(0.46 if picture is None else 0.22) * height,
        history=(right, history_top, room),
        history_rows=rows,
        crowded=crowded,
        status_room=(stage if column else width if band else 0.5 * width) - 2 * gap,
        meter=(round(0.3 * inset), max(round(0.3 * inset) + 3, round(0.72 * inset)), height - gap),
        middle_x=stage / 2,
        message_y=CAPTION_TOP * height - 1.2 * size,
        keys=(stage - inset - 0.13 * min(width, height) - gap, keys_bottom),
    )
