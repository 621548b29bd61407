"""What things stand in front of in synthetic pictures: gradients, clouds, blobs, wallpaper, rooms."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def _color(rng: np.random.Generator) -> NDArray[np.float32]:
    """Any color, more often a muted one, float32 (3,) in [0, 255]."""
    gray = rng.uniform(20, 245)
    return np.clip(gray + rng.normal(0, 35, 3), 0, 255).astype(np.float32)


def _gradient(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Colors that run into each other between 2 x 2 to 4 x 4 points."""
    rows, columns = rng.integers(2, 5, 2)
    base = _color(rng) + rng.normal(0, rng.uniform(10, 60), (rows, columns, 3))
    return cv2.resize(base.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)


def _clouds(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Soft random texture between two colors, from three sizes of grain."""
    mix = np.zeros((height, width), np.float32)
    for grain in (3, 7, 19):
        noise = rng.normal(0, 1.2 / grain**0.5, (grain, grain)).astype(np.float32)
        mix += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    mix = (1 / (1 + np.exp(-2 * mix))).astype(np.float32)
    return _color(rng) * mix[..., None] + _color(rng) * (1 - mix[..., None])


def _blobs(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Out-of-focus ovals over a gradient."""
    out = np.ascontiguousarray(_gradient(width, height, rng))
    for _ in range(int(rng.integers(4, 14))):
        center = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        axes = (int(rng.uniform(0.04, 0.22) * width), int(rng.uniform(0.04, 0.22) * height))
        cv2.ellipse(out, center, axes, rng.uniform(0, 180), 0, 360, _color(rng).tolist(), -1)
    return cv2.blur(out, (1 + width // int(rng.integers(12, 120)),) * 2)


def _stripes(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Wallpaper: stripes at any angle, or tiles."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / min(width, height)
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(4, 14)
    wave = np.sin(2 * np.pi * pitch * (x * np.cos(angle) + y * np.sin(angle)))
    if rng.random() < 0.5:
        wave = np.maximum(wave, np.sin(2 * np.pi * pitch * (y * np.cos(angle) - x * np.sin(angle))))
    mix = 0.5 + 0.5 * np.tanh(wave[..., None] * rng.uniform(1, 8))
    base = _color(rng)
    return base + (_color(rng) - base) * mix * rng.uniform(0.15, 0.7)


def _room(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A wall or a sky, a floor or a meadow, and perhaps a frame or a window."""
    out = np.ascontiguousarray(_gradient(width, height, rng))
    line = int(height * rng.uniform(0.5, 0.85))
    floor = (_stripes if rng.random() < 0.4 else _clouds)(width, height - line, rng)
    out[line:] = floor * np.linspace(0.8, 1.1, height - line, dtype=np.float32)[:, None, None]
    if rng.random() < 0.6:
        cv2.line(out, (0, line), (width, line), _color(rng).tolist(), max(1, height // 50))
    for _ in range(int(rng.integers(0, 3))):
        x, y = int(rng.uniform(0, 0.8) * width), int(rng.uniform(0.02, 0.3) * height)
        corner = (x + int(rng.uniform(0.1, 0.3) * width), y + int(rng.uniform(0.1, 0.3) * height))
        cv2.rectangle(out, (x, y), corner, _color(rng).tolist(), -1)
        cv2.rectangle(out, (x, y), corner, _color(rng).tolist(), max(1, height // 60))
    return out


BACKGROUNDS = (_gradient, _clouds, _blobs, _stripes, _room, _room)


def background(width: int, height: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Something to put things in front of: RGB uint8 (height, width, 3), light or dark, plain or noisy."""
    out = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))](width, height, rng)
    out = out * rng.uniform(0.35, 1.15)
    if rng.random() < 0.4:
        noise = rng.standard_normal((height, width, 1), dtype=np.float32)
        out = out + noise * rng.uniform(2, 18)
    return np.clip(out, 0, 255).astype(np.uint8)
