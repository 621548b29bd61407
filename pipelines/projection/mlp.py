"""The projection as a trainable module; the program runs what it saves as `avstream.alignment.Projection`."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn


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

    def save(self, path: Path, notes: dict[str, str] | None = None) -> None:
        """Write the weights, float16, as safetensors; `notes` go into the file's own metadata."""
        save_file({key: value.half().cpu().contiguous() for key, value in self.state_dict().items()}, path, notes)

    @classmethod
    def load(cls, path: Path) -> ProjectionMLP:
        """Read what `save` wrote, ready to use. Raises OSError, SafetensorError, KeyError, RuntimeError."""
        weights = {key: value.float() for key, value in load_file(path).items()}
        width, audio_dim = weights["layers.0.weight"].shape
        model = cls(audio_dim, width)
        model.load_state_dict(weights)
        return model.eval()
