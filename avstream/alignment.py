"""From an audio encoder's space to the vision tower's: learned (`projected`) or merely cut to size (`raw`)."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avstream.errors import ModelError


def dim_match(vector: Tensor, width: int) -> Tensor:
    """The paper's DimMatch: zeros on the right, or cut. (d_a,) -> (width,)."""
    short = width - vector.shape[-1]
    return nn.functional.pad(vector, (0, short)) if short > 0 else vector[..., :width]


class ProjectionMLP(nn.Module):
    """W3 . GELU(LN(W2 . GELU(LN(W1 z + b1)) + b2)) + b3 (SoundCLIP, section 3.2); every width is the tower's.

    (..., d_a) -> (..., width).
    """

    def __init__(self, audio_dim: int, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(audio_dim, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )

    def forward(self, vector: Tensor) -> Tensor:
        """(..., d_a) -> (..., width)."""
        return self.layers(vector)

    def save(self, path: Path) -> None:
        """Write the weights, float16, as safetensors."""
        save_file({key: value.half().contiguous() for key, value in self.state_dict().items()}, path)

    @classmethod
    def load(cls, path: Path, audio_dim: int, width: int) -> ProjectionMLP:
        """Read weights that `save` wrote. Raises ModelError when they are missing or of other widths."""
        try:
            weights = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"projection weights expected at {path}: {error}") from error
        model = cls(audio_dim, width)
        try:
            model.load_state_dict({key: value.to(torch.float32) for key, value in weights.items()})
        except RuntimeError as error:
            shape = tuple(weights["layers.0.weight"].shape) if "layers.0.weight" in weights else "other keys"
            raise ModelError(
                f"{path} does not fit: expected a projection from {audio_dim} to {width} numbers, found {shape}; "
                "use weights trained for this audio encoder and this vision tower, or --alignment raw"
            ) from error
        return model.eval()
