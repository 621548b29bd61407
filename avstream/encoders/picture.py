"""What every vision tower shares: its face, and the picture as it wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True, eq=False)
class PictureTokens:
    """`patches` (N, d) in raster order over `grid` = (rows, columns); `cls` (d,), or None for a tower without one."""

    cls: NDArray[np.float32] | None
    patches: NDArray[np.float32]
    grid: tuple[int, int]


class VisionTower(Protocol):
    """Turns a picture into CLS and patch tokens."""

    grid: tuple[int, int]
    width: int

    def encode(self, rgb: NDArray[np.uint8]) -> PictureTokens:
        """uint8 (H, W, 3) -> the tokens that LLaVA's projector takes."""
        ...


@dataclass(frozen=True, slots=True)
class Normalization:
    """How a tower wants its pixels: a square of `size`, each channel less `mean` over `std` (of values in [0, 1]).

    The complete picture is squeezed to the square, not cropped: what sounds at the edge counts, and the patch grid
    covers the picture exactly.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resample: int  # PIL's number of the filter

    def pixels(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (H, W, 3) -> float32 (1, 3, size, size)."""
        picture = Image.fromarray(rgb)
        if picture.size != (self.size, self.size):
            picture = picture.resize((self.size, self.size), Image.Resampling(self.resample))
        values = np.asarray(picture, np.float32) / np.float32(255)
        normalized = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normalized.transpose(2, 0, 1)[None], np.float32)
