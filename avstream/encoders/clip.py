"""The vision tower of a LLaVA: a picture -> CLS token and patch tokens, from the layer that LLaVA reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from avstream.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class PictureTokens:
    """`patches` (N, d) in raster order over `grid` = (rows, columns); `cls` (d,), or None for a tower without one."""

    cls: Tensor | None
    patches: Tensor
    grid: tuple[int, int]


class VisionTower:
    """LLaVA's own tower, borrowed: CLIP (with CLS) or SigLIP (without).

    The whole picture is squeezed to the tower's square, not cropped: what sounds at the edge counts, and the
    patch grid covers the picture exactly.
    """

    def __init__(self, tower: nn.Module, *, layer: int, mean: list[float], std: list[float], resample: int) -> None:
        """`layer` is LLaVA's vision_feature_layer (negative); blocks past it are removed, for they need not run.

        Raises ModelError for a layout that is not known.
        """
        if layer >= 0:
            raise ModelError(f"expected a vision_feature_layer counted from the end, such as -2; found {layer}")
        config: Any = tower.config
        self._tower = tower.eval()
        if layer < -1:
            blocks = cast(Any, tower).encoder.layers
            del blocks[len(blocks) + layer + 1 :]
        side = config.image_size // config.patch_size
        self.size: int = config.image_size
        self.grid: tuple[int, int] = (side, side)
        self.width: int = config.hidden_size
        # SigLIP's hidden layer as LLaVA reads it is the encoder's last output; CLIP's holds one token more
        self.has_cls = "clip" in config.model_type and "siglip" not in config.model_type
        self._mean = torch.tensor(mean).view(3, 1, 1)
        self._std = torch.tensor(std).view(3, 1, 1)
        self._resample = Image.Resampling(resample)

    def pixels(self, rgb: NDArray[np.uint8]) -> Tensor:
        """uint8 (H, W, 3) -> normalized float32 (1, 3, size, size)."""
        picture = Image.fromarray(rgb)
        if picture.size != (self.size, self.size):
            picture = picture.resize((self.size, self.size), self._resample)
        values = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
        return ((values - self._mean) / self._std)[None]

    @torch.inference_mode()
    def encode(self, rgb: NDArray[np.uint8]) -> PictureTokens:
        """uint8 (H, W, 3) -> the tokens that LLaVA's projector takes."""
        weight = next(self._tower.parameters())
        output = self._tower(self.pixels(rgb).to(weight), output_hidden_states=True)
        tokens = output.hidden_states[-1][0]
        if self.has_cls:
            return PictureTokens(tokens[0], tokens[1:], self.grid)
        return PictureTokens(None, tokens, self.grid)
