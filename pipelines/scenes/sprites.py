"""Drawings of what sounds, one function a label, with random color, proportions and line width.

Each draws with a Pen on its board of 100 x 100 units, x to the right and y downward. Here: creatures, people
and weather, and the register of all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.scenes import sprite_things as things
from pipelines.scenes.pen import CREAM, WHITE, Color, Pen, Point, shade, spline


def dog(pen: Pen) -> None:
    """A dog's head with hanging ears and tongue."""
    fur = pen.paint(0.08, 0.55, 0.75, 0.03) if pen.rng.uniform() < 0.7 else pen.paint(0.6, 0.1, 0.75, 0.3)
    ear, low = shade(fur, 0.6), pen.rng.uniform(52, 66)
    pen.blob([(50, 14), (72, 22), (78, 48), (70, 76), (50, 86), (30, 76), (22, 48), (28, 22)], fur)
    for side in (-1, 1):
        ear_points = [(18, 18), (34, 20), (40, 44), (34, low), (26, low - 4), (25, 40)]
        pen.blob([(50 + side * x, y) for x, y in ear_points], ear)
    pen.oval(50, 80, 8, 13, pen.paint(0.97, 0.5, 0.9))
    pen.oval(41, 68, 14, 11, CREAM)
    pen.oval(59, 68, 14, 11, CREAM)
    pen.oval(50, 66, 9, 8, CREAM, outlined=False)
    pen.blob([(40, 55), (50, 53), (60, 55), (55, 63), (50, 66), (45, 63)], pen.ink)
    pen.eyes(38, 62, 42, 5.5)


def rain(pen: Pen) -> None:
    """A cloud and its drops."""
    gray = pen.paint(0.6, 0.18, pen.rng.uniform(0.6, 0.9))
    drop = pen.paint(0.58, 0.75, 0.9)
    for row, y in enumerate((64, 78)):
        for x in range(24 + 7 * row, 84 - 6 * row, 15):
            x0, y0 = x + pen.rng.uniform(-2, 2), y + pen.rng.uniform(-3, 3)
            pen.blob([(x0 + 2, y0 - 6), (x0 + 4, y0 + 3), (x0, y0 + 8), (x0 - 4, y0 + 3)], drop)
    bumps = [(27, 42, 15), (45, 30, 19), (66, 37, 16), (79, 46, 10)]
    for x, y, r in bumps:  # outlines first, so that only the outer one stays
        pen.oval(x, y, r + pen.width / 2, r + pen.width / 2, pen.ink, outlined=False)
    pen.box(15, 40, 88, 57, gray, 8)
    for x, y, r in bumps:
        pen.oval(x, y, r - pen.width / 2, r - pen.width / 2, gray, outlined=False)
    pen.oval(42, 25, 8, 5, shade(gray, 2), outlined=False)


def sea(pen: Pen) -> None:
    """Three rows of waves whose crests curl over, with foam."""
    hue, length = pen.rng.uniform(0.5, 0.62), pen.rng.uniform(26, 34)
    crest: list[Point] = [(0.1, -1), (0.35, -5), (0.55, -14), (0.78, -19)]
    crest += [(0.98, -15), (1.0, -10), (0.86, -12), (0.78, -6)]
    for row in range(3):
        y, start = 38 + row * 17, 4 - length * pen.rng.uniform(0.1, 0.9)
        tops = [(start + (wave + x) * length, y + dy) for wave in range(5) for x, dy in crest]
        tops = [(x, y) for x, y in spline(tops, closed=False) if 4 <= x <= 96]
        water = pen.hsv(hue + row * 0.015, 0.85 - row * 0.12, 0.6 + row * 0.16)
        pen.shape([*tops, (96, 76 + row * 10), (4, 76 + row * 10)], water, outlined=False)
        pen.stroke([(x, y + 3) for x, y in tops], shade(water, 1.8), pen.width * 1.6)
        pen.stroke(tops, WHITE, pen.width * 1.9)
        for wave in range(5):
            x = start + (wave + 0.9) * length
            if 8 < x < 92:
                pen.oval(x, y - 1, 2, 2, WHITE, outlined=False)
                pen.oval(x - 5, y + 4, 1.4, 1.4, WHITE, outlined=False)


def face(pen: Pen, x: float, y: float, radius: float) -> Color:
    """A bare head; gives the color of its skin."""
    skin = pen.paint(0.07, pen.rng.uniform(0.25, 0.6), pen.rng.uniform(0.6, 1.0), 0.015)
    for side in (-1, 1):
        pen.oval(x + side * radius, y + 3, radius * 0.2, radius * 0.24, skin)
    pen.oval(x, y, radius, radius * 1.06, skin)
    return skin


def baby(pen: Pen) -> None:
    """A crying baby, wrapped up."""
    cloth = pen.any(0.35, 0.95)
    pen.blob([(22, 66), (50, 60), (78, 66), (88, 96), (50, 98), (12, 96)], cloth)
    face(pen, 50, 46, 32)
    pen.curve([(50, 14), (44, 4), (54, 1), (56, 9), (50, 11)])
    for side in (-1, 1):
        x = 50 + side * 14
        pen.arc(x, 40, 6, 4, 180, 360, pen.width * 1.4)
        pen.stroke([(x - side * 7, 30), (x + side * 5, 33)])
        tear = [(x + side * 3, 44), (x + side * 8, 54), (x + side * 3, 60), (x - side, 53)]
        pen.blob(tear, pen.paint(0.55, 0.6, 1))
        pen.oval(50 + side * 24, 54, 4, 3, pen.paint(0.98, 0.45, 1, 0.01), outlined=False)
    pen.oval(50, 62, 12, pen.rng.uniform(8, 12), pen.hsv(0.97, 0.8, 0.4))
    pen.oval(50, 67, 7, 4, pen.hsv(0.97, 0.5, 0.95), outlined=False)


def sneeze(pen: Pen) -> None:
    """A head from the side and the spray in front of it."""
    hair = pen.paint(0.08, 0.6, pen.rng.uniform(0.2, 0.7), 0.06)
    pen.blob([(20, 30), (36, 8), (62, 14), (70, 40), (60, 66), (30, 66), (18, 50)], hair)
    skin = pen.paint(0.07, 0.4, pen.rng.uniform(0.7, 1.0), 0.015)
    head = [(40, 24), (58, 24), (62, 38), (74, 47), (64, 53), (66, 60)]
    head += [(60, 63), (64, 70), (52, 79), (36, 76), (29, 52)]
    pen.blob(head, skin)
    pen.oval(34, 50, 6, 8, skin)
    pen.stroke([(44, 36), (54, 41), (44, 45)], None, pen.width * 1.3)
    pen.stroke([(42, 30), (54, 33)], None, pen.width * 1.6)
    pen.oval(68, 48, 4, 4, pen.hsv(0.99, 0.55, 0.95), outlined=False)
    pen.shape([(26, 80), (52, 80), (60, 97), (16, 97)], pen.any(0.6, 0.8))
    spray = pen.paint(0.53, 0.4, 1)
    for far in (6, 14, 22, 29):  # it widens away from the mouth
        for slope in (-0.6, -0.2, 0.2, 0.6) if far > 8 else (0,):
            x, y = 67 + far + pen.rng.uniform(-2, 2), 62 + slope * far + pen.rng.uniform(-1.5, 1.5)
            pen.oval(x, y, 1.2 + far / 12, 1 + far / 14, spray)


def rooster(pen: Pen) -> None:
    """From the side, beak to the right."""
    body = pen.paint(pen.rng.choice([0.06, 0.1, 0.13]), 0.7, pen.rng.uniform(0.5, 0.95))
    red = pen.paint(0, 0.85, 0.85, 0.01)
    for lift in range(4):  # the tail
        across, up = lift * 4, lift * 6
        feather = [(40, 62), (17 + across, 54 - up), (6 + across, 34 - up), (22 + across, 34 - up), (42, 50)]
        pen.blob(feather, pen.hsv(pen.rng.uniform(0.3, 0.6), 0.6, 0.3 + 0.12 * lift))
    for x in (48, 58):
        pen.stroke([(x, 78), (x, 94), (x + 8, 96)], pen.paint(0.11, 0.8, 0.9), pen.width * 1.6)
    for x, y in ((66, 13), (73, 10), (80, 14)):
        pen.oval(x, y, 5, 7, red)
    trunk = [(74, 14), (83, 24), (78, 44), (74, 66), (58, 82)]
    trunk += [(38, 78), (28, 60), (46, 58), (58, 44), (64, 22)]
    pen.blob(trunk, body)
    pen.shape([(82, 22), (97, 27), (82, 33)], pen.paint(0.12, 0.8, 1))
    pen.oval(82, 40, 4, 7, red)
    pen.blob([(38, 62), (52, 56), (64, 62), (54, 74), (42, 72)], shade(body, 0.7))
    pen.eyes(75, 75, 24, 3)


def fire(pen: Pen) -> None:
    """Flames over two logs."""
    hue = pen.rng.uniform(0.0, 0.03)
    colors = pen.hsv(hue, 0.9, 0.92), pen.hsv(hue + 0.07, 0.9, 1), pen.hsv(hue + 0.14, 0.6, 1)
    for size, color in zip((1, 0.7, 0.4), colors, strict=True):
        sway = pen.rng.uniform(-6, 6)
        flame = [(-27, -8), (-30, -34), (-18 + sway, -52), (-13, -40), (-2 + sway, -80)]
        flame += [(8, -48), (17 + sway, -60), (29, -32), (26, -8), (0, 4)]
        pen.blob([(50 + x * size, 82 + y * size) for x, y in flame], color, outlined=size == 1)
    wood = pen.paint(0.07, 0.6, 0.5, 0.02)
    for y, tilt in ((84, 7), (84, -7)):
        pen.stroke([(16, y - tilt), (84, y + tilt)], pen.ink, 11 + pen.width)
        pen.stroke([(16, y - tilt), (84, y + tilt)], wood, 10 - pen.width)
        end = 84 if tilt > 0 else 16
        pen.oval(end, 91, 4.5, 4.5, CREAM)


def speech(pen: Pen) -> None:
    """A person and a speech bubble."""
    hair, shirt = pen.paint(0.08, 0.6, pen.rng.uniform(0.15, 0.8), 0.07), pen.any(0.65, 0.8)
    long = pen.rng.uniform(44, 74)
    pen.blob([(36, 12), (58, 22), (62, 44), (58, long), (14, long), (10, 44), (14, 22)], hair)
    pen.blob([(36, 74), (62, 78), (72, 97), (36, 99), (0, 97), (10, 78)], shirt)
    skin = face(pen, 36, 45, 22)
    pen.box(30, 66, 42, 76, skin, 4)
    pen.oval(36, 45, 21, 23, skin, outlined=False)
    pen.blob([(16, 38), (20, 22), (36, 16), (52, 22), (56, 38), (44, 30), (30, 30)], hair)
    pen.eyes(28, 44, 44, 3)
    pen.oval(36, 58, 7, pen.rng.uniform(4, 6.5), pen.hsv(0.98, 0.7, 0.5))
    pen.box(61, 10, 98, 42, WHITE, 5)
    pen.shape([(75, 42), (62, 53), (66, 42)], WHITE)
    pen.stroke([(67, 41), (74, 41)], WHITE, pen.width * 1.5)
    for y in (19, 26, 33):
        pen.stroke([(67, y), (pen.rng.uniform(80, 92), y)], None, pen.width * 1.2)


DRAWINGS: dict[str, Callable[[Pen], None]] = {
    "dog_bark": dog,
    "rain": rain,
    "sea_waves": sea,
    "baby_cry": baby,
    "clock_tick": things.clock,
    "sneeze": sneeze,
    "helicopter": things.helicopter,
    "chainsaw": things.chainsaw,
    "rooster": rooster,
    "fire_crackling": fire,
    "speech": speech,
    "guitar": things.guitar,
    "piano": things.piano,
    "bell": things.bell,
    "alarm": things.alarm,
    "doorbell": things.doorbell,
    "phone_ring": things.phone,
    "siren": things.siren,
    "car_horn": things.car,
    "knock": things.knock,
    "engine": things.engine,
}
UPRIGHT = {"rain", "sea_waves", "piano", "alarm", "doorbell", "knock", "car_horn", "siren", "fire_crackling"}


def draw_source(label: str, size_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A fresh drawing of the label, cut to its edges: RGBA uint8 (h, w, 4), the longer side `size_px`.

    Raises KeyError for a label that has no drawing.
    """
    pen = Pen(size_px, rng)
    DRAWINGS[label](pen)
    tilt = rng.uniform(-4, 4) if label in UPRIGHT else rng.uniform(-14, 14)
    if label == "guitar":
        tilt = rng.uniform(-70, 70)
    image = pen.image.rotate(tilt, Image.Resampling.BILINEAR, expand=True)
    image = image.crop(image.getchannel("A").getbbox())
    wide, tall = image.width * rng.uniform(0.88, 1.12), image.height
    scale = size_px / max(wide, tall)
    image = image.resize((max(1, round(wide * scale)), max(1, round(tall * scale))), Image.Resampling.BOX)
    return np.asarray(image)


def premultiplied(sprite: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The RGBA sprite with its color multiplied by its alpha."""
    out = sprite.copy()
    out[..., :3] = (sprite[..., :3].astype(np.uint16) * sprite[..., 3:] + 127) // 255
    return out


def paste(picture: NDArray[np.uint8], sprite: NDArray[np.uint8], left: int, top: int) -> None:
    """Lay a premultiplied sprite over the picture, in place; what falls outside is left out."""
    height, width = picture.shape[:2]
    first_y, last_y = max(0, top), min(height, top + sprite.shape[0])
    first_x, last_x = max(0, left), min(width, left + sprite.shape[1])
    if first_y >= last_y or first_x >= last_x:
        return
    part = sprite[first_y - top : last_y - top, first_x - left : last_x - left]
    under = picture[first_y:last_y, first_x:last_x]
    keep = (255 - part[..., 3:]).astype(np.uint16)
    under[:] = np.minimum((under * keep + 127) // 255 + part[..., :3], 255)
