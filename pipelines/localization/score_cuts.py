"""Windows with a cut, of every kind and at any place: whether it is seen, and whether anything is claimed across it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.localization.fusion import fuse
from avstream.localization.stereo import direction
from avstream.localization.synchrony import synchrony
from pipelines.localization.scenes import Scene, make_scene
from pipelines.localization.score_scenes import percent
from pipelines.scenes.sound_bank import Bank


def cut_report(args: argparse.Namespace) -> dict[str, Any]:
    """By kind of cut, of N windows, percent: how many were seen, and in how many there was a box, or "off-screen"."""
    bank, rng = Bank(held_out=True, data=args.data), np.random.default_rng(args.seed)
    rows: dict[str, list[tuple[bool, bool, bool]]] = {}
    for seed in range(args.seed, args.seed + args.cuts):
        for kind, scene in cut_scenes(seed, bank, rng):
            found = synchrony(scene.gray, scene.times_s, scene.audio, scene.rate_hz)
            visible = fuse(found, direction(scene.audio, scene.rate_hz)).visible
            rows.setdefault(kind, []).append((found is not None and found.cut, visible is True, visible is False))
    names = ("seen", "box", "off-screen")
    return {kind: dict(zip(names, map(percent, zip(*row, strict=True)), strict=True)) for kind, row in rows.items()}


def cut_scenes(seed: int, bank: Bank, rng: np.random.Generator) -> Iterator[tuple[str, Scene]]:
    """A plain scene that is cut, at any of its pictures, to another scene, itself mirrored, and a closer view."""
    scene, other = make_scene("plain", seed, bank), make_scene("plain", seed + 100_000, bank)
    yield "another scene", joined(scene, other.gray, rng)
    yield "mirrored", joined(scene, scene.gray[:, :, ::-1], rng)
    zoom, (x, y) = rng.uniform(1.15, 1.6), rng.uniform(0, 1, 2)
    height, width = scene.gray.shape[1:]
    pose = np.array([[zoom, 0, -x * (zoom - 1) * width], [0, zoom, -y * (zoom - 1) * height]])
    yield "closer", joined(scene, np.stack([cv2.warpAffine(gray, pose, (width, height)) for gray in scene.gray]), rng)
    dark, darker = (make_scene("low light", number, bank) for number in (seed, seed + 100_000))
    yield "another scene, low light", joined(dark, darker.gray, rng)


def joined(scene: Scene, gray: NDArray[np.uint8], rng: np.random.Generator) -> Scene:
    """The scene, from some picture on with other pictures."""
    at = int(rng.integers(1, len(gray)))
    return replace(scene, gray=np.concatenate([scene.gray[:at], gray[at:]]))
