"""The pen of the drawings: smooth shapes and strokes on a board of 100 x 100 units, y downward.

It knows Pillow and numpy only, and nothing of what is drawn.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]
OVERSIZE = 4  # drawn this much too large and shrunk: that is the antialiasing
WHITE, CREAM, STEEL, GLASS = (255, 255, 255), (250, 240, 215), (176, 184, 194), (178, 220, 240)


class Pen:
    """A board of 100 x 100 units with closed shapes (filled and outlined) and strokes on it."""

    def __init__(self, size_px: int, rng: np.random.Generator) -> None:
        self.unit = size_px * OVERSIZE / 100
        self.image = Image.new("RGBA", (size_px * OVERSIZE, size_px * OVERSIZE))
        self.draw = ImageDraw.Draw(self.image)
        self.rng = rng
        self.width = rng.uniform(1.2, 2.4)
        self.ink = self.hsv(rng.uniform(0, 1), 0.45, rng.uniform(0.1, 0.25))

    @staticmethod
    def hsv(hue: float, saturation: float, value: float) -> Color:
        """A color from parts in [0, 1]; the hue wraps."""
        red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
        return int(red * 255), int(green * 255), int(blue * 255)

    def paint(self, hue: float, saturation: float, value: float, spread: float = 0.04) -> Color:
        """About this color: the hue varies by `spread`, the rest a little."""
        vary = self.rng.uniform
        saturation, value = saturation * vary(0.8, 1.15), value * vary(0.85, 1.1)
        return self.hsv(hue + vary(-spread, spread), min(1, saturation), min(1, value))

    def any(self, saturation: float = 0.7, value: float = 0.85) -> Color:
        """Any hue."""
        return self.paint(self.rng.uniform(), saturation, value)

    def stroke(self, points: Sequence[Point], color: Color | None = None, width: float | None = None) -> None:
        """A line with round ends and joints; ink and the pen's own width unless given."""
        color, radius = color or self.ink, (width or self.width) * self.unit / 2
        pixels = [(x * self.unit, y * self.unit) for x, y in points]
        self.draw.line(pixels, fill=color, width=max(1, round(radius * 2)), joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    def shape(self, points: Sequence[Point], fill: Color, outlined: bool = True) -> None:
        """A closed polygon."""
        self.draw.polygon([(x * self.unit, y * self.unit) for x, y in points], fill=fill)
        if outlined:
            self.stroke([*points, points[0], points[1]])

    def blob(self, points: Sequence[Point], fill: Color, outlined: bool = True) -> None:
        """A smooth closed shape through the points."""
        self.shape(spline(points, closed=True), fill, outlined)

    def curve(self, points: Sequence[Point], color: Color | None = None, width: float | None = None) -> None:
        """A smooth stroke through the points."""
        self.stroke(spline(points, closed=False), color, width)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Color, outlined: bool = True) -> None:
        """An ellipse around (x, y)."""
        self.shape(ring(x, y, rx, ry), fill, outlined)

    def arc(
        self, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float | None = None
    ) -> None:
        """A part of an ellipse in ink, degrees clockwise from the right."""
        self.stroke(ring(x, y, rx, ry, start, end), None, width)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Color, radius: float = 2) -> None:
        """A rectangle with rounded corners."""
        corners = ((right, top, -90), (right, bottom, 0), (left, bottom, 90), (left, top, 180))
        points: list[Point] = []
        for x, y, start in corners:
            inner_x = x - radius if x == right else x + radius
            inner_y = y - radius if y == bottom else y + radius
            points += ring(inner_x, inner_y, radius, radius, start, start + 90)
        self.shape(points, fill)

    def eyes(self, left: float, right: float, y: float, radius: float) -> None:
        """Two dark eyes with a glint."""
        for x in (left, right):
            self.oval(x, y, radius, radius * 1.15, self.ink, outlined=False)
            self.oval(x - radius * 0.3, y - radius * 0.4, radius * 0.32, radius * 0.32, WHITE, outlined=False)


def ring(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> list[Point]:
    """Points along an ellipse, degrees clockwise from the right."""
    angles = np.radians(np.linspace(start, end, max(8, int(abs(end - start) / 5))))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def spline(points: Sequence[Point], closed: bool) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, 12)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return [(float(x), float(y)) for x, y in np.concatenate(parts)]


def shade(color: Color, factor: float) -> Color:
    """Darker below 1, lighter above."""
    if factor <= 1:
        return tuple(int(c * factor) for c in color)  # type: ignore[return-value]
    return tuple(int(255 - (255 - c) / factor) for c in color)  # type: ignore[return-value]
