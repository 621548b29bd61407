"""The vision tower of a LLaVA: a picture -> CLS token and patch tokens, from the layer that LLaVA reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from avstream.encoders.picture import Normalization, PictureTokens
from avstream.errors import ModelError


class ClipTower:
    """LLaVA's own tower, borrowed: CLIP (with CLS) or SigLIP (without)."""

    def __init__(
        self, tower: nn.Module, *, layer: int, mean: Sequence[float], std: Sequence[float], resample: int
    ) -> None:
        """`layer` is LLaVA's vision_feature_layer (negative); blocks past it are removed, for they need not run.

        Raises ModelError for a layout that is not known.
        """
        if layer >= 0:
            raise ModelError(f"{layer}", expected="a vision_feature_layer counted from the end, such as -2")
        config: Any = tower.config
        self._tower = tower.eval()
        if layer < -1:
            blocks = cast(Any, tower).encoder.layers
            del blocks[len(blocks) + layer + 1 :]
        side = config.image_size // config.patch_size
        self.grid: tuple[int, int] = (side, side)
        self.width: int = config.hidden_size
        # SigLIP's hidden layer as LLaVA reads it is the encoder's last output; CLIP's holds one token more
        self.has_cls = "clip" in config.model_type and "siglip" not in config.model_type
        self._normalization = Normalization(config.image_size, tuple(mean), tuple(std), resample)

    @torch.inference_mode()
    def encode(self, rgb: NDArray[np.uint8]) -> PictureTokens:
        """uint8 (H, W, 3) -> the tokens that LLaVA's projector takes."""
        weight = next(self._tower.parameters())
        output = self._tower(torch.from_numpy(self._normalization.pixels(rgb)).to(weight), output_hidden_states=True)
        tokens = output.hidden_states[-1][0].float().numpy(force=True)
        if self.has_cls:
            return PictureTokens(tokens[0], tokens[1:], self.grid)
        return PictureTokens(None, tokens, self.grid)
