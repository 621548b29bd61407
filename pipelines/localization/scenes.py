"""Three-second scenes with known truth for the localizers: gray pictures and sound as arrays, no encoding.

Every thing that moves follows a sound: the source its own, as heard; a distractor another one, which is not heard.
So the two move alike, and only the timing tells them apart. Nothing follows perfectly: see `drive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.records import Box
from pipelines.scenes.backdrops import background
from pipelines.scenes.sound_bank import RATE_HZ, SECONDS, Bank, loudness, mixed
from pipelines.scenes.sprites import DRAWINGS, draw_source, premultiplied

FPS = 30
WIDTH, HEIGHT = 320, 180
MARGIN = 48  # of the world around the picture, for cameras that move
DRAWINGS_EACH = 6
STYLES = ("bounce", "shake", "squash", "blink")


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One window with its truth.

    `gray` is uint8 (T, 180, 320) at `times_s` (T,), `audio` float32 (2, n) at `rate_hz`. `boxes` are where the
    sounding things are in the middle picture, in [0, 1]; empty when none is in it. `level_db` is right over left.
    """

    condition: str
    gray: NDArray[np.uint8]
    times_s: NDArray[np.float64]
    audio: NDArray[np.float32]
    rate_hz: int
    boxes: tuple[Box, ...]
    distractors: tuple[Box, ...]
    level_db: float


@dataclass(frozen=True, slots=True, eq=False)
class Mover:
    """A thing in the world: its center and size in pixels, how it moves, and how much in each frame, (T,)."""

    sprite: NDArray[np.uint8]
    center: tuple[float, float]
    style: str
    amount: float
    motion: NDArray[np.float64]
    rhythm: NDArray[np.float64]  # the swing of what shakes, (T,) in [-1, 1]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a condition asks for."""

    sources: int = 1
    distractors: int = 1
    seen: bool = True
    camera: str = "fixed"
    spoil: str = ""
    reverberant: bool = False
    steady: bool = False
    step: int = 1
    mono: bool = False


RECIPES: dict[str, Recipe] = {
    "plain": Recipe(),
    "off-screen": Recipe(distractors=2, seen=False),  # as many things move as in "plain"
    "off-screen, one distractor": Recipe(seen=False),
    "off-screen, pan": Recipe(distractors=2, seen=False, camera="pan"),
    "off-screen, low light": Recipe(distractors=2, seen=False, spoil="low light"),
    "off-screen, 15 frames/s": Recipe(distractors=2, seen=False, step=2),
    "off-screen, mono": Recipe(distractors=2, seen=False, mono=True),
    "no distractor": Recipe(distractors=0),
    "two distractors": Recipe(distractors=2),
    "two sources": Recipe(sources=2),
    "pan": Recipe(camera="pan"),
    "hand-held": Recipe(camera="hand-held"),
    "cut": Recipe(spoil="cut"),
    "noise": Recipe(spoil="noise"),
    "low light": Recipe(spoil="low light"),
    "flicker": Recipe(spoil="flicker"),
    "reverberation": Recipe(reverberant=True),
    "15 frames/s": Recipe(step=2),  # of 30: so movies are read
    "steady sound": Recipe(steady=True),
    "mono": Recipe(mono=True),
}
CONDITIONS = tuple(RECIPES)


@cache
def drawing(label: str, number: int) -> NDArray[np.uint8]:
    """A numbered drawing in gray: premultiplied brightness and alpha, uint8 (h, w, 2)."""
    rgba = premultiplied(draw_source(label, 112, np.random.default_rng([77, number, *label.encode()])))
    gray = cv2.cvtColor(np.ascontiguousarray(rgba[..., :3]), cv2.COLOR_RGB2GRAY)
    return np.stack([gray, rgba[..., 3]], axis=-1)


def drive(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
    """How much a thing moves in each frame, (T,) from 0 to about 1.5, given its sound.

    It follows loudness or onsets, up to a frame early or late, unevenly strong, missing some, with idle motion of
    its own; and it has inertia.
    """
    level = loudness(sound, FPS)
    rise = np.maximum(0, np.diff(level, prepend=level[:1]))
    kick = rise / max(1e-6, rise.max())
    mix = rng.uniform(0.2, 0.9)
    wanted = mix * level + (1 - mix) * np.maximum(kick, 0.6 * np.roll(kick, 1))
    late = rng.uniform(-1, 1)
    wanted = np.interp(np.arange(len(wanted)) - late, np.arange(len(wanted)), wanted)
    wanted *= np.exp(0.25 * wander(len(wanted), 4, rng))
    for _ in range(int(rng.integers(0, 3))):  # a moment when it stays still although it sounds
        at = int(rng.integers(len(wanted)))
        wanted[at : at + 5] *= 0.2
    inertia = rng.uniform(0.0, 0.45)
    for frame in range(1, len(wanted)):
        wanted[frame] = max(wanted[frame], 0) * (1 - inertia) + inertia * wanted[frame - 1]
    idle = rng.uniform(0.02, 0.12) * np.abs(wander(len(wanted), 3, rng))
    return wanted + idle


def wander(count: int, knots_apart: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth noise of about unit size, (count,)."""
    knots = rng.standard_normal(count // knots_apart + 2)
    return np.interp(np.arange(count) / knots_apart, np.arange(len(knots)), knots)


def mover(center: tuple[float, float], size_px: float, motion: NDArray[np.float64], rng: np.random.Generator) -> Mover:
    """A thing with a look, a style and a strength of motion drawn at random."""
    sprite = drawing(str(rng.choice(sorted(DRAWINGS))), int(rng.integers(DRAWINGS_EACH)))
    scale = size_px / max(sprite.shape[:2])
    shape = (max(8, round(sprite.shape[1] * scale)), max(8, round(sprite.shape[0] * scale)))
    sprite = cv2.resize(sprite[:, :: int(rng.choice([-1, 1]))], shape, interpolation=cv2.INTER_AREA)
    swing = np.sin(2 * np.pi * rng.uniform(3, 9) / FPS * np.arange(len(motion)) + wander(len(motion), 6, rng))
    return Mover(sprite, center, str(rng.choice(STYLES)), rng.uniform(0.5, 1.5), motion, swing)


def box_of(thing: Mover) -> tuple[float, float, float, float]:
    """Where it is at rest, in pixels of the world."""
    (x, y), (tall, wide) = thing.center, thing.sprite.shape[:2]
    return x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2


def paint(world: NDArray[np.uint8], thing: Mover, frame: int) -> None:
    """Draw the thing as it is in that frame, to a fraction of a pixel."""
    tall, wide = thing.sprite.shape[:2]
    left, top, _, bottom = box_of(thing)
    much, high, brighter, shift = thing.motion[frame] * thing.amount, 1.0, 1.0, 0.0
    if thing.style == "bounce":
        top -= 0.09 * tall * much
    elif thing.style == "shake":
        shift = 0.05 * wide * much * thing.rhythm[frame]
    elif thing.style == "squash":
        high = 1 - min(0.5, 0.18 * much)
        top = bottom - tall * high
    else:
        brighter = 1 + 0.45 * much
    x0, y0 = int(np.floor(left + shift)) - 1, int(np.floor(top)) - 1
    place = np.array([[1, 0, left + shift - x0], [0, high, top - y0]])
    sprite = cv2.warpAffine(thing.sprite, place, (wide + 3, tall + 3), flags=cv2.INTER_LINEAR)
    clipped = (slice(max(0, y0), max(0, y0 + tall + 3)), slice(max(0, x0), max(0, x0 + wide + 3)))
    under = world[clipped]
    sprite = sprite[max(0, -y0) :, max(0, -x0) :][: under.shape[0], : under.shape[1]].astype(np.uint16)
    shown = np.minimum(sprite[..., 0] * round(64 * brighter) // 64, 255)
    under[:] = np.minimum((under * (255 - sprite[..., 1]) + 127) // 255 + shown, 255)


def camera_path(kind: str, frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The upper left corner of the picture in the world and the turn in radians, (frames, 3)."""
    at = np.linspace(-0.5, 0.5, frames)
    if kind == "pan":
        angle = rng.uniform(0, 2 * np.pi)
        length, sway = rng.uniform(30, 80), 1 + 0.2 * wander(frames, 15, rng)
        offset = np.stack([np.cos(angle) * length * at * sway, 0.5 * np.sin(angle) * length * at * sway, 0 * at])
    elif kind == "hand-held":
        shake = [wander(frames, knots, rng) for knots in (12, 12, 5, 5, 10)]
        offset = np.stack([4 * shake[0] + 0.7 * shake[2], 3 * shake[1] + 0.7 * shake[3], 0.008 * shake[4]])
    else:
        offset = np.zeros((3, frames))
    path: NDArray[np.float64] = offset.T
    path[:, :2] = np.clip(path[:, :2], -MARGIN, MARGIN)
    return path


def view(world: NDArray[np.uint8], pose: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What the camera sees of the world, uint8 (180, 320)."""
    if not pose.any():
        return world[MARGIN : MARGIN + HEIGHT, MARGIN : MARGIN + WIDTH].copy()
    turn = cv2.getRotationMatrix2D((world.shape[1] / 2, world.shape[0] / 2), float(np.degrees(pose[2])), 1)
    turn[:, 2] -= MARGIN + pose[:2]
    return np.asarray(cv2.warpAffine(world, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.uint8)


def film(
    things: Sequence[Mover], camera: str, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The pictures, uint8 (T, 180, 320), and the camera's path."""
    frames = FPS * SECONDS
    size = (WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN)
    behind = cv2.cvtColor(background(*size, rng), cv2.COLOR_RGB2GRAY)
    path = camera_path(camera, frames, rng)
    out = np.empty((frames, HEIGHT, WIDTH), np.uint8)
    for frame in range(frames):
        world = behind.copy()
        for thing in things:
            paint(world, thing, frame)
        out[frame] = view(world, path[frame])
    return out, path


def spoiled(gray: NDArray[np.uint8], kind: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The pictures as a worse camera would give them; a little noise is everywhere."""
    frames = len(gray)
    gain, noise = np.ones(frames), rng.uniform(0.3, 2.0)
    if kind == "noise":
        noise = rng.uniform(6, 14)
    elif kind == "low light":
        gain, noise = gain * rng.uniform(0.1, 0.25), rng.uniform(2, 5)
    elif kind == "flicker":
        gain = 1 + 0.12 * rng.uniform(0.4, 1) * (wander(frames, 3, rng) + np.sin(np.arange(frames) * rng.uniform(1, 3)))
    grain = np.random.default_rng(rng.integers(2**32)).standard_normal((HEIGHT, WIDTH + 256), dtype=np.float32)
    out = np.empty_like(gray)
    for frame in range(frames):
        x, y = rng.integers(256), rng.integers(HEIGHT)
        shifted = np.roll(grain[:, x : x + WIDTH], y, axis=0)
        out[frame] = np.clip(gray[frame] * gain[frame] + noise * shifted + 0.5, 0, 255)
    return out


def free_places(sizes: Sequence[float], rng: np.random.Generator) -> list[tuple[float, float]]:
    """Centers in the picture, in pixels, that leave the things apart; the sizes must fit."""
    places: list[tuple[float, float]] = []
    while len(places) < len(sizes):
        places, tries = [], 0
        while len(places) < len(sizes) and tries < 40:
            half, tries = sizes[len(places)] / 2, tries + 1
            x, y = rng.uniform(half + 6, WIDTH - half - 6), rng.uniform(half + 6, HEIGHT - half - 6)
            reach = [(sizes[i] / 2 + half + 6) for i in range(len(places))]
            if all(max(abs(x - a), abs(y - b)) > far for (a, b), far in zip(places, reach, strict=True)):
                places.append((x, y))
    return places


def make_scene(condition: str, seed: int, bank: Bank) -> Scene:
    """The scene of a condition and a seed: equal arguments give equal scenes. KeyError for an unknown condition."""
    recipe, rng = RECIPES[condition], np.random.default_rng([seed, *condition.encode()])
    sounds = [bank.draw(rng, steady=recipe.steady) for _ in range(recipe.sources)]
    others = [bank.draw(rng) for _ in range(recipe.distractors)]
    seen = sounds if recipe.seen else []
    count = len(seen) + len(others)
    sizes = [rng.uniform(44, 84 if count > 2 else 104) for _ in range(count)]
    things = [
        mover((x + MARGIN, y + MARGIN), size, drive(sound, rng), rng)
        for (x, y), size, sound in zip(free_places(sizes, rng), sizes, [*seen, *others], strict=True)
    ]
    gray, path = film(things, recipe.camera, rng)
    if recipe.spoil == "cut":
        gray = cut_in(gray, bank, rng)
    gray = spoiled(gray, recipe.spoil, rng)
    pans = [2 * (thing.center[0] - MARGIN) / WIDTH - 1 for thing in things[: len(seen)]] or [rng.uniform(-1, 1)]
    audio, level_db = mixed(sounds, pans, rng, reverberant=recipe.reverberant)
    if recipe.mono:
        audio, level_db = np.repeat(audio.mean(axis=0, keepdims=True), 2, axis=0), 0.0
    boxes = [picture_box(thing, path[len(path) // 2]) for thing in things]
    times = np.arange(len(gray)) / FPS
    return Scene(
        condition, gray[:: recipe.step], times[:: recipe.step], audio, RATE_HZ,
        tuple(boxes[: len(seen)]), tuple(boxes[len(seen) :]), level_db,
    )  # fmt: skip


def cut_in(gray: NDArray[np.uint8], bank: Bank, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The pictures with another shot in their first or last 0.3 to 0.8 seconds."""
    length = int(rng.integers(FPS * 3 // 10, FPS * 8 // 10))
    other = mover((WIDTH / 2 + MARGIN, HEIGHT / 2 + MARGIN), 90, drive(bank.draw(rng), rng), rng)
    shot, _ = film([other], "fixed", rng)
    out = gray.copy()
    where = slice(0, length) if rng.random() < 0.5 else slice(len(gray) - length, None)
    out[where] = shot[where]
    return out


def picture_box(thing: Mover, pose: NDArray[np.float64]) -> Box:
    """Where the thing is in the picture, in [0, 1]; the small turn of the camera is left out."""
    left, top, right, bottom = box_of(thing)
    x, y = MARGIN + pose[0], MARGIN + pose[1]
    sides = np.clip([(left - x) / WIDTH, (top - y) / HEIGHT, (right - x) / WIDTH, (bottom - y) / HEIGHT], 0, 1)
    return float(sides[0]), float(sides[1]), float(sides[2]), float(sides[3])
