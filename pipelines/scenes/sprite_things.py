"""Drawings of things: machines, instruments, and what rings in a house. The same board as in `sprites`."""

from __future__ import annotations

import math

from pipelines.scenes.pen import CREAM, GLASS, STEEL, WHITE, Pen, Point, ring, shade, spline


def clock(pen: Pen) -> None:
    """A wall clock at any time of day."""
    rim = pen.any(0.6, 0.7)
    pen.oval(50, 50, 45, 45, rim)
    pen.oval(50, 50, 37, 37, CREAM)
    for hour in range(12):
        angle, inner = math.radians(hour * 30), 26 if hour % 3 == 0 else 30
        cos, sin = math.cos(angle), math.sin(angle)
        mark = [(50 + inner * cos, 50 + inner * sin), (50 + 33 * cos, 50 + 33 * sin)]
        pen.stroke(mark, None, pen.width * 1.3)
    for length, width in ((18, 2.6), (28, 1.8)):
        angle = pen.rng.uniform(0, 2 * math.pi)
        tip = (50 + length * math.cos(angle), 50 + length * math.sin(angle))
        pen.stroke([(50, 50), tip], None, pen.width * width)
    pen.oval(50, 50, 4, 4, pen.paint(0, 0.8, 0.85))


def helicopter(pen: Pen) -> None:
    """From the side, nose to the left."""
    paint = pen.any(0.75, 0.8)
    pen.shape([(50, 42), (94, 34), (94, 42), (52, 60)], paint)
    pen.shape([(88, 24), (95, 22), (97, 42), (90, 42)], shade(paint, 0.7))
    pen.oval(93, 34, 1.5, 12, STEEL)
    pen.blob([(10, 58), (18, 40), (36, 34), (56, 36), (66, 52), (58, 68), (34, 74), (16, 70)], paint)
    pen.blob([(13, 57), (20, 44), (33, 39), (35, 58), (24, 63)], GLASS)
    pen.box(42, 43, 54, 55, GLASS)
    pen.stroke([(43, 34), (43, 22)], None, pen.width * 2)
    blade = pen.rng.uniform(34, 42)
    pen.oval(43, 21, blade, 2.4, STEEL)
    for x in (26, 52):
        pen.stroke([(x, 71), (x - 3, 84)])
    pen.curve([(6, 79), (12, 84), (40, 84), (68, 84)], None, pen.width * 1.6)


def chainsaw(pen: Pen) -> None:
    """Motor and handle left, blade right."""
    paint = pen.paint(pen.rng.choice([0.05, 0.0, 0.3]), 0.85, 0.9)
    bar = [(40, 44), (90, 44), (96, 48), (97, 53), (95, 58), (88, 62), (40, 62)]
    for x in range(42, 93, 7):  # the teeth
        for y, tip in ((44, 38), (62, 68)):
            pen.shape([(x, y), (x + 5, y), (x + 5, tip)], pen.ink)
    pen.blob(bar, STEEL)
    pen.stroke([(52, 53), (84, 53)], shade(STEEL, 0.7), pen.width * 1.6)
    pen.curve([(10, 44), (4, 52), (4, 66), (10, 74), (24, 72)], None, 6)
    pen.box(8, 40, 46, 74, paint, 6)
    pen.curve([(16, 40), (20, 24), (38, 22), (46, 36)], None, 5.5)
    pen.oval(22, 57, 9, 9, shade(paint, 0.7))
    pen.oval(22, 57, 3, 3, CREAM)
    for x in (36, 40):
        pen.stroke([(x, 47), (x, 66)])


def guitar(pen: Pen) -> None:
    """An acoustic guitar, upright here."""
    wood = pen.paint(0.08, 0.75, pen.rng.uniform(0.55, 0.95), 0.03)
    half = [(14, 42), (17, 52), (13, 60), (22, 72), (22, 88), (10, 97)]
    body = [(50, 40), *((50 + x, y) for x, y in half), *((50 - x, y) for x, y in half[::-1])]
    pen.blob(body, wood)
    top = [(50 + (x - 50) * 0.86, 70 + (y - 70) * 0.88) for x, y in body]
    pen.blob(top, shade(wood, 1.5), outlined=False)
    pen.oval(50, 66, 9, 9, pen.ink)
    pen.box(40, 83, 60, 88, shade(wood, 0.5), 1)
    pen.box(46, 12, 54, 60, shade(wood, 0.45), 1)
    pen.shape([(44, 1), (56, 1), (55, 14), (45, 14)], shade(wood, 0.6))
    for y in (3, 7, 11):
        for x in (42, 58):
            pen.oval(x, y, 1.8, 1.5, CREAM)
    for y in range(18, 58, 7):
        pen.stroke([(46, y), (54, y)], STEEL, 0.8)
    for x in (48, 50, 52):
        pen.stroke([(x, 6), (x, 85)], WHITE, 0.5)


def piano(pen: Pen) -> None:
    """An upright piano from the front."""
    lacquer = pen.paint(0.05, pen.rng.uniform(0.1, 0.8), pen.rng.uniform(0.15, 0.6), 0.05)
    pen.box(12, 12, 88, 50, lacquer, 4)
    pen.box(20, 18, 80, 34, shade(lacquer, 1.35), 2)
    pen.shape([(38, 20), (50, 22), (62, 20), (62, 34), (50, 36), (38, 34)], WHITE)
    for left in (14, 78):
        pen.box(left, 66, left + 8, 96, shade(lacquer, 0.8), 1)
    pen.box(20, 68, 80, 88, shade(lacquer, 0.6), 1)
    pen.box(6, 44, 94, 70, lacquer, 3)
    keys = int(pen.rng.integers(8, 12))
    step = 80 / keys
    pen.box(10, 48, 90, 66, WHITE, 1)
    for key in range(1, keys):
        x = 10 + key * step
        pen.stroke([(x, 48), (x, 66)], None, 0.9)
        if key % 7 not in (3, 0):
            pen.box(x - step * 0.26, 48, x + step * 0.26, 58, pen.ink, 0.3)


def bell(pen: Pen) -> None:
    """A golden bell with its clapper."""
    gold = pen.paint(0.12, 0.75, 0.95, 0.03)
    wide = pen.rng.uniform(30, 40)
    pen.arc(50, 13, 7, 7, 0, 360, pen.width * 2)
    pen.oval(50, 85, 9, 9, shade(gold, 0.6))
    half = [(8, 18), (19, 26), (23, 46), (27, 64), (wide, 76)]
    outline = [(50 - x, y) for x, y in half][::-1] + [(50 + x, y) for x, y in half]
    pen.shape(spline(outline, closed=False), gold)
    pen.curve([(38, 28), (33, 48), (30, 62)], shade(gold, 3), pen.width * 2.2)
    pen.box(50 - wide - 2, 74, 50 + wide + 2, 83, shade(gold, 0.85), 4)
    pen.curve([(27, 62), (50, 65), (73, 62)], shade(gold, 0.6))


def alarm(pen: Pen) -> None:
    """A fire alarm on a wall: red gong below a white lamp."""
    red = pen.paint(0.0, 0.9, 0.85, 0.015)
    pen.box(26, 3, 74, 26, WHITE, 4)
    for x in (34, 44, 54, 64):
        pen.box(x - 2.5, 8, x + 4.5, 21, pen.paint(0.15, 0.35, 1), 1.5)
    pen.box(10, 22, 90, 97, shade(red, 0.7), 6)
    for radius, color in ((34, red), (26, shade(red, 1.4)), (17, red)):
        pen.oval(50, 60, radius, radius, color)
    pen.oval(50, 60, 6, 6, STEEL)
    pen.arc(50, 60, 30, 30, 190, 240, pen.width * 0.8)
    for x in (16, 84):
        for y in (28, 91):
            pen.oval(x, y, 2, 2, STEEL)


def doorbell(pen: Pen) -> None:
    """A plate with a lit button and a name."""
    plate = pen.paint(pen.rng.uniform(), pen.rng.uniform(0, 0.35), pen.rng.uniform(0.55, 0.95))
    pen.box(26, 2, 74, 98, plate, pen.rng.uniform(4, 14))
    pen.oval(50, 38, 19, 19, shade(plate, 0.6))
    pen.oval(50, 38, 13, 13, pen.paint(0.13, 0.25, 1, 0.05))
    pen.oval(46, 34, 4, 3, WHITE, outlined=False)
    pen.box(33, 70, 67, 82, WHITE, 1)
    pen.stroke([(38, 76), (pen.rng.uniform(50, 62), 76)], None, pen.width * 1.2)
    for y in (9, 91):
        pen.oval(50, y, 2.2, 2.2, STEEL)


def phone(pen: Pen) -> None:
    """A telephone with a dial."""
    paint = pen.any(0.75, 0.75)
    pen.blob([(50, 40), (70, 42), (82, 66), (92, 90), (50, 93), (8, 90), (18, 66), (30, 42)], paint)
    for x in (34, 66):
        pen.box(x - 4, 34, x + 4, 46, shade(paint, 0.7), 2)
    half = [(32, 13), (46, 26), (44, 40), (24, 40), (20, 28)]
    receiver = [(50, 9), *((50 + x, y) for x, y in half), (50, 25), *((50 - x, y) for x, y in half[::-1])]
    pen.blob(receiver, shade(paint, 0.85))
    pen.oval(50, 67, 21, 20, CREAM)
    for hole in range(9):
        angle = math.radians(-60 + hole * 33)
        pen.oval(50 + 15 * math.cos(angle), 67 + 14 * math.sin(angle), 3, 3, pen.ink, outlined=False)
    pen.oval(50, 67, 6.5, 6, paint)


def siren(pen: Pen) -> None:
    """A beacon with rays, as on a police car."""
    light = pen.hsv(pen.rng.choice([0.0, 0.6, 0.62, 0.99]), 0.85, 0.95)
    for angle in range(190, 351, 20):
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        far = pen.rng.uniform(46, 50)
        beam = [(50 + 38 * cos, 56 + 40 * sin), (50 + far * cos, 56 + far * sin)]
        pen.stroke(beam, pen.paint(0.13, 0.75, 1), 3.6)
    dome = ring(50, 54, 27, 30, 180, 360)
    pen.shape([(23, 78), *dome, (77, 78)], light)
    pen.shape([(36, 76), *ring(50, 54, 13, 18, 180, 360), (64, 76)], shade(light, 2), outlined=False)
    pen.curve([(30, 68), (30, 50), (38, 36)], WHITE, pen.width * 1.6)
    pen.box(17, 74, 83, 85, STEEL, 3)
    pen.box(10, 84, 90, 96, pen.paint(0.6, 0.15, 0.35), 3)


def car(pen: Pen) -> None:
    """A car from the side."""
    paint, roof = pen.any(0.8, 0.85), pen.rng.uniform(24, 32)
    pen.blob([(20, 50), (30, roof + 4), (40, roof), (62, roof), (72, roof + 6), (82, 50), (50, 58)], paint)
    body = [(3, 58), (8, 50), (22, 47), (78, 47), (93, 52), (97, 62), (95, 72), (50, 74), (5, 72)]
    pen.blob(body, paint)
    pen.shape([(28, 48), (35, roof + 7), (48, roof + 6), (48, 48)], GLASS)
    pen.shape([(53, 48), (53, roof + 6), (64, roof + 7), (73, 48)], GLASS)
    pen.stroke([(50, 50), (50, 70)])
    pen.stroke([(54, 55), (60, 55)], None, pen.width * 1.3)
    pen.oval(94, 58, 3, 4, pen.paint(0.15, 0.5, 1))
    pen.oval(5, 59, 2.5, 4, pen.paint(0, 0.9, 0.9))
    for x in (25, 75):
        pen.oval(x, 73, 11, 11, (40, 40, 44))
        pen.oval(x, 73, 5, 5, STEEL)


def knock(pen: Pen) -> None:
    """A fist at a door."""
    wood = pen.paint(0.07, pen.rng.uniform(0.3, 0.7), pen.rng.uniform(0.4, 0.85), 0.05)
    pen.box(22, 2, 74, 98, shade(wood, 0.6), 1)
    pen.box(27, 7, 69, 97, wood, 1)
    for top, bottom in ((13, 46), (54, 90)):
        pen.box(33, top, 63, bottom, shade(wood, 0.85), 1)
    pen.oval(31, 52, 2.6, 2.6, pen.paint(0.13, 0.7, 1))
    sleeve = pen.any(0.7, 0.7)
    pen.shape([(74, 50), (98, 60), (94, 78), (70, 62)], sleeve)
    skin = pen.paint(0.07, 0.4, pen.rng.uniform(0.6, 1.0), 0.015)
    pen.blob([(54, 30), (70, 28), (79, 38), (80, 54), (70, 62), (56, 58), (50, 46)], skin)
    for y in (35, 42, 49):
        pen.curve([(51 + abs(y - 42) * 0.3, y + 2), (58, y), (65, y + 2)])
    pen.curve([(64, 54), (60, 50), (68, 44), (74, 46)], None, pen.width * 1.2)
    for angle in (150, 180, 210):
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        pen.stroke([(46 + 3 * cos, 42 + 9 * sin), (46 + 12 * cos, 42 + 20 * sin)], WHITE, pen.width * 1.4)


def engine(pen: Pen) -> None:
    """A motor block with pipes and a gear."""
    metal = pen.paint(0.6, pen.rng.uniform(0.05, 0.4), pen.rng.uniform(0.5, 0.8), 0.3)
    for x in (24, 40, 56):  # the exhaust pipes
        pen.stroke([(x + 6, 34), (x + 6, 14), (x, 6)], pen.ink, 7.5)
        pen.stroke([(x + 6, 34), (x + 6, 14), (x, 6)], STEEL, 7.5 - 2 * pen.width)
    pen.box(16, 26, 74, 42, pen.paint(0.0, 0.75, 0.8, 0.05), 3)
    pen.box(12, 40, 78, 82, metal, 3)
    pen.shape([(20, 82), (70, 82), (64, 95), (26, 95)], shade(metal, 0.6))
    for y in (49, 57, 65, 73):
        pen.stroke([(18, y), (50, y)], shade(metal, 0.6), 3)
    teeth = int(pen.rng.integers(9, 13))
    gear: list[Point] = []
    for tooth in range(teeth):
        for part, radius in ((0, 21), (0.4, 21), (0.5, 16), (0.9, 16)):
            angle = 2 * math.pi * (tooth + part) / teeth
            gear.append((76 + radius * math.cos(angle), 62 + radius * math.sin(angle)))
    pen.shape(gear, shade(metal, 1.6))
    pen.oval(76, 62, 9, 9, shade(metal, 0.7))
    pen.oval(76, 62, 3, 3, STEEL)
