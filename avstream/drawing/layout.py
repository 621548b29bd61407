"""Where things go in a display window of a given size: pixels, nothing drawn.

Made to be read from three metres. From the top: a strip that says whether it listens and how loud it is, a banner for
each urgent sound, then the picture with the caption below it and the history in a column beside it (in a tall window
below). Without a camera the history has it all. In a small window picture and caption are all there is.

On a screen of 14 inches that shows 1280 x 720, seen from 3 m, a pixel is 0.28 minutes of arc, and a capital letter 0.72
of its type's size: a row's is 10', the caption's up to 17', a banner's 15'. 20/20 sight needs 5'.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

ROW = 0.0715  # the size of the history's type, of the window's height
STRIP = 0.62  # the strip's type, of a row's
CAPTION = 0.115  # the most of the caption's, of the window's height
COLUMN = 0.4  # how wide the history is beside a picture
SMALL = 240, 360  # below this height or width there is picture and caption only
SMALLEST = 12  # type that can still be read at a desk

Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Layout:
    """Places in pixels. `row` is the type's size in the history; `strip`, `history` are None where they don't fit."""

    size: tuple[int, int]  # of the display window: width, height
    row: int
    gap: int
    strip: Box | None
    banners: Box  # a slice of it for each
    picture: Box  # empty for sound alone
    caption: Box
    over: bool  # whether the caption lies over the picture
    history: Box | None
    view: Box  # all below the strip and the banners

    @property
    def small(self) -> int:
        """The size of the strip's and the panels' type."""
        return max(SMALLEST, round(STRIP * self.row))


@lru_cache(maxsize=8)
def arrange(width: int, height: int, picture: tuple[int, int] | None, banners: int = 0) -> Layout:
    """The layout of a display window for a picture of (height, width) pixels, or for sound alone."""
    row = max(SMALLEST, round(ROW * min(height, 0.62 * width)))
    gap = max(2, round(0.016 * min(width, height)))
    is_small = height < SMALL[0] or width < SMALL[1]
    strip = None if is_small else (0, 0, width, round(1.15 * row))
    top = strip[3] if strip else 0
    deep = banners * round(min(2.3 * row, 0.3 * height / max(1, banners)))
    banner_box = (0, top, width, top + deep)
    view = (0, top + deep, width, height)
    if is_small:
        full = (0, 0, width, height)
        box = inside(full, picture) if picture else (0, 0, 0, 0)
        return Layout((width, height), row, gap, None, banner_box, box, full, picture is not None, None, view)
    top += deep
    if picture is None:
        history = (gap, top, width - gap, height - gap)
        return Layout((width, height), row, gap, strip, banner_box, (0, 0, 0, 0), view, False, history, view)
    if width >= 1.2 * height:
        stage = round((1 - COLUMN) * width)
        box = inside((0, top, stage, height - round(0.24 * (height - top))), picture)
        caption, history = (gap, box[3], stage - gap, height - gap), (stage + gap, top, width - gap, height - gap)
        box = centered(box, 0, stage)
    else:
        box = inside((0, top, width, top + round(0.45 * (height - top))), picture)
        middle = box[3] + round(0.22 * (height - box[3]))
        caption, history = (gap, box[3], width - gap, middle), (gap, middle, width - gap, height - gap)
        box = centered(box, 0, width)
    return Layout((width, height), row, gap, strip, banner_box, box, caption, False, history, view)


def inside(space: Box, picture: tuple[int, int]) -> Box:
    """The largest box of a picture's shape in a space, at its top, in the middle of its width."""
    left, top, right, bottom = space
    scale = min((right - left) / picture[1], (bottom - top) / picture[0])
    wide = min(right - left, max(1, round(scale * picture[1])))
    high = min(bottom - top, max(1, round(scale * picture[0])))
    start = left + (right - left - wide) // 2
    return (start, top, start + wide, top + high)


def centered(box: Box, left: int, right: int) -> Box:
    """A box in the middle between two columns."""
    wide = box[2] - box[0]
    start = left + (right - left - wide) // 2
    return (start, box[1], start + wide, box[3])
