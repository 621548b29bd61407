"""The projection in training, and the file that it becomes: the program's Projection, with notes of its making."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from avstream.alignment import Projection
from avstream.errors import ModelError
from pipelines.data.embeddings import OWN, pool
from pipelines.projection.mlp import ProjectionMLP

NOTES = ("audio", "vision", "pooling", "loss", "seed")
LAYERS = "layer_weights"  # a note of a `weighted` projection: what it learned for each layer


class Projector(nn.Module):
    """ProjectionMLP, and for `weighted` pooling the softmax weights of the layers before it.

    (B, d_a) or (B, L, d_a) -> (B, d).
    """

    def __init__(self, audio_dim: int, width: int, layers: int = 0) -> None:
        super().__init__()
        self.mlp = ProjectionMLP(audio_dim, width)
        self.layer_logits = nn.Parameter(torch.zeros(layers)) if layers else None

    def forward(self, vectors: Tensor) -> Tensor:
        """Sounds into the pictures' space."""
        if self.layer_logits is not None:
            vectors = torch.einsum("l,bld->bd", self.layer_logits.softmax(0), vectors)
        return self.mlp(vectors)


class Trained:
    """A projection's file, for evaluation: `project` takes what the cache has, (n, d_a) or (n, L, d_a)."""

    def __init__(self, path: Path) -> None:
        """Read weights and notes. Raises ModelError for a file that pipelines.train_projection did not write."""
        try:
            with safe_open(path, "pt") as file:
                self.notes: dict[str, str] = file.metadata() or {}
                shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}
        except (OSError, SafetensorError) as error:
            raise ModelError(f"projection weights expected at {path}: {error}") from error
        first, last = shapes.get("layers.0.weight"), shapes.get("layers.8.weight")
        if not set(NOTES) <= set(self.notes) or first is None or last is None:
            raise ModelError(
                f"{path} has no notes of what it was trained on; expected a projection.safetensors that "
                "python -m pipelines.train_projection wrote"
            )
        self.audio_dim, self.width = int(first[1]), int(last[0])
        Projection.load(path, self.audio_dim, self.width)  # says what is wrong with a file that does not fit
        self._mlp = ProjectionMLP.load(path)
        weights = self.notes.get(LAYERS)
        self._layers = None if weights is None else torch.tensor([float(part) for part in weights.split()])

    @torch.inference_mode()
    def project(self, vectors: Tensor) -> Tensor:
        """(n, d_a) or (n, L, d_a) -> (n, width). Raises ModelError for vectors of another encoder."""
        pooled = self.pooled(vectors)
        if pooled.shape[-1] != self.audio_dim:
            raise ModelError(
                f"a projection from {self.audio_dim} numbers ({self.notes['audio']}) can't take {pooled.shape[-1]}"
            )
        return self._mlp(pooled)

    def pooled(self, vectors: Tensor) -> Tensor:
        """What goes into the projection, (n, d_a): the raw vector that it is compared with."""
        if self._layers is not None:
            return torch.einsum("l,nld->nd", self._layers, vectors)
        return pool(vectors, OWN if vectors.ndim == 2 else self.notes["pooling"])
