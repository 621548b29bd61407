"""Picture + heatmap + boxes + arrows + caption -> picture. Pure: no files, no clock, and it knows nothing of movies.

All that is drawn ends up in one cached patch of color and alpha, so that a frame costs one blend.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.drawing.canvas import ACCENT, INK, PAPER, Layer, Patch, Picture, fit_size, text_width
from avstream.drawing.following import Follower
from avstream.drawing.placemarks import Area, draw_outside, draw_place, outside, placed
from avstream.records import Sound
from avstream.wording import caption as caption_of

LINE_CHARS = 42  # what accessibility guidelines allow on a line
STRENGTH = 0.6  # opacity of the hottest spot
HEAT_FROM, HEAT_FULL = 0.2, 0.6  # below the first a heatmap is transparent
HEAT_EDGE = 0.5  # the level that is outlined: color alone is lost on a picture of the same color
ARROW_Y = 0.42  # where the middle of an edge arrow is: above the caption, below what stands in the corners
ARROW_SIDE = 0.04  # free space beside it


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


class Overlay:
    """What one narration looks like on pictures of `width` x `height` pixels, drawn once, blended often.

    `heatmap` is float32 (rows, columns) in [0, 1] over all of the picture. A sound with a box is framed, one with
    an outline is outlined; one that is to the left or the right, without a box or not in view, has an arrow at that
    edge, and one that is off-screen and to no side is named at the top.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        heatmap: NDArray[np.float32] | None = None,
        sounds: Sequence[Sound] = (),
        caption: str = "",
        follower: Follower | None = None,
    ) -> None:
        """`follower`, of the boxes of `placed(sounds)`, takes the marks along with their things."""
        self.width, self.height = width, height
        self._follower, self._moving = follower, list[Patch | None]()
        layer, taken, small = Layer(width, height), list[Area](), 0.65 * target_size(width, height)
        if heatmap is not None and heatmap.size:
            _draw_heat(layer, heatmap)
        if away := outside(sounds):
            draw_outside(layer, away, small, taken)
        for group in placed(sounds):
            own = layer if follower is None else Layer(width, height)
            draw_place(own, group, small, taken)
            if follower is not None:
                self._moving.append(own.finished())
        sides = {sound.direction for sound in sounds if sound.box is None or sound.visible is False}
        for side in sorted(sides & {"left", "right"}, key=str):
            _draw_arrow(layer, 1 if side == "right" else -1)
        if lines := wrap_caption(caption):
            draw_caption(layer, lines)
        self._patch = layer.finished()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return self._patch is None and not any(self._moving)

    def draw(self, rgb: Picture) -> Picture:
        """A new picture, uint8 (height, width, 3), or `rgb` itself when there is nothing to draw.

        Raises ValueError when the size is not the overlay's.
        """
        if rgb.shape != (self.height, self.width, 3):
            raise ValueError(f"expected a picture of {(self.height, self.width, 3)}, found {rgb.shape}")
        patches = [self._patch, *self._moved(rgb)]
        if not any(patches):
            return rgb
        out = rgb.copy()
        for patch in patches:
            if patch is not None:
                patch.blend(out)
        return out

    def _moved(self, rgb: Picture) -> list[Patch | None]:
        """The marks where their things are in this picture; None for those that it does not show."""
        if self._follower is None or not self._moving:
            return []
        pairs = zip(self._moving, self._follower.shifts(rgb), strict=True)
        return [patch and shift and patch.moved(*shift, self.width, self.height) for patch, shift in pairs]


def follower_of(rgb: Picture | None, sounds: Sequence[Sound]) -> Follower | None:
    """What takes the marks of `sounds` along, from the picture that their boxes are true for; None without either."""
    boxes = [group[0].box for group in placed(sounds) if group[0].box is not None]
    return Follower(rgb, boxes) if rgb is not None and boxes else None


def draw_caption(layer: Layer, lines: Sequence[str]) -> None:
    """Draw a caption on a rounded panel at the bottom, in type as large as fits, up to `target_size`."""
    lines, size = caption_layout(lines, layer.width, layer.height)
    step, inset = 1.3 * size, 0.55 * size
    wide = max(text_width(line, size) for line in lines) + 2 * inset
    high = step * len(lines) + inset
    bottom = layer.height - max(1.0, 0.04 * layer.height)
    top, middle = max(0.0, bottom - high), layer.width / 2
    layer.panel(middle - wide / 2, top, middle + wide / 2, bottom, round(0.35 * size))
    for at, line in enumerate(lines):
        layer.text(line, middle, top + inset / 2 + step * (at + 0.5), size)


def _draw_heat(layer: Layer, heatmap: NDArray[np.float32]) -> None:
    """The heatmap from dark violet over orange to yellow, more opaque where it is hotter, and an outline."""
    # Colored at a quarter of the size: a heatmap has no detail that is lost by it, and it is much faster.
    small = (max(2, layer.width // 4), max(2, layer.height // 4))
    # Blurred in its own grid first: cubic alone shows the patches as squares.
    clean = np.clip(np.nan_to_num(heatmap.astype(np.float32)), 0, 1)
    grid = cv2.GaussianBlur(clean, (3, 3), 0.6)
    heat = np.clip(cv2.resize(grid, small, interpolation=cv2.INTER_CUBIC), 0, 1)
    ramp = np.clip((heat - HEAT_FROM) / (HEAT_FULL - HEAT_FROM), 0, 1)
    alpha = np.rint(255 * STRENGTH * ramp * ramp * (3 - 2 * ramp)).astype(np.uint8)
    bgr = cv2.applyColorMap((30 + 200 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)
    size = (layer.width, layer.height)
    cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), size, dst=layer.color, interpolation=cv2.INTER_LINEAR)
    cv2.resize(alpha, size, dst=layer.alpha, interpolation=cv2.INTER_LINEAR)
    _outline(layer, heat)


def _outline(layer: Layer, heat: NDArray[np.float32]) -> None:
    """A light line between dark ones where the heat passes HEAT_EDGE."""
    hot = cv2.resize(heat, (layer.width, layer.height), interpolation=cv2.INTER_LINEAR) > HEAT_EDGE
    rings, _ = cv2.findContours(hot.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thin = max(1, round(min(layer.width, layer.height) / 360))
    for thick, color in ((3 * thin, PAPER), (thin, INK)):
        cv2.drawContours(layer.color, rings, -1, color, thick, cv2.LINE_AA)
        cv2.drawContours(layer.alpha, rings, -1, 230, thick, cv2.LINE_AA)


def _draw_arrow(layer: Layer, way: int) -> None:
    """A chevron on a dark disc at the left (`way` -1) or right (1) edge: there is a sound to that side."""
    radius = max(7.0, 0.065 * min(layer.width, layer.height))
    inset = ARROW_SIDE * layer.width + radius
    x, y = layer.width - inset if way > 0 else inset, ARROW_Y * layer.height
    layer.disc(x, y, radius, INK)
    layer.disc(x, y, 0.9 * radius, PAPER)
    tip, back, arm, notch = (way * v * radius for v in (0.5, -0.34, 0.55, 0.02))
    arm = abs(arm)
    layer.polygon([(x + back, y - arm), (x + tip, y), (x + back, y + arm), (x + notch, y)], ACCENT)


def target_size(width: int, height: int) -> float:
    """The font size in pixels that reads well from three meters."""
    return max(11.0, 0.062 * min(height, 1.3 * width))


def caption_layout(lines: Sequence[str], width: int, height: int) -> tuple[Sequence[str], int]:
    """The lines and their font size: in a narrow picture one line becomes two rather than small."""
    target, limit = target_size(width, height), 0.92 * width - 0.06 * min(width, height)
    size = fit_size(lines, target, limit)
    if len(lines) == 1 and size < round(target):
        halves = wrap_caption(lines[0], max(4, (len(lines[0]) + 10) // 2))
        if len(halves) == 2 and "…" not in halves[-1]:
            taller = fit_size(halves, target, limit)
            if taller > size:
                return halves, taller
    return lines, size


def draw(
    rgb: Picture,
    *,
    heatmap: NDArray[np.float32] | None = None,
    sounds: Sequence[Sound] = (),
    caption: str = "",
) -> Picture:
    """A narrated copy of `rgb`, uint8 (H, W, 3); with nothing to draw, `rgb` itself.

    `heatmap` is float32 (rows, columns) in [0, 1] over all of the picture. For many pictures use `Overlay`.
    """
    height, width = rgb.shape[:2]
    return Overlay(width, height, heatmap=heatmap, sounds=sounds, caption=caption).draw(rgb)
