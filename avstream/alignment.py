"""From an audio encoder's space to the vision tower's: learned (`projected`) or merely cut to size (`raw`).

Plain arrays; the trainable projection stands with its training.
"""

from __future__ import annotations

from math import erf, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from avstream.errors import ModelError

Floats = NDArray[np.float32]
EPSILON = 1e-5  # of torch's LayerNorm
_erf = np.frompyfunc(erf, 1, 1)  # numpy has none; a thousand numbers a window take 0.1 ms


def dim_match(vector: Floats, width: int) -> Floats:
    """The paper's DimMatch: zeros on the right, or cut. (d_a,) -> (width,)."""
    return np.pad(vector[:width], (0, max(0, width - vector.size)))


class Projection:
    """W3 . GELU(LN(W2 . GELU(LN(W1 z + b1)) + b2)) + b3 (SoundCLIP, section 3.2); every width is the tower's."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        """`weights` as torch names them in `Sequential(Linear, LayerNorm, GELU, Dropout, Linear, ...)`."""
        self._weights = {key: value.astype(np.float32) for key, value in weights.items()}

    def __call__(self, vector: Floats) -> Floats:
        """(d_a,) -> (width,)."""
        for linear, norm in ((0, 1), (4, 5)):
            vector = gelu(self._norm(norm, self._linear(linear, vector)))
        return self._linear(8, vector)

    def _linear(self, layer: int, x: Floats) -> Floats:
        return self._weights[f"layers.{layer}.weight"] @ x + self._weights[f"layers.{layer}.bias"]

    def _norm(self, layer: int, x: Floats) -> Floats:
        return layer_norm(x, self._weights[f"layers.{layer}.weight"], self._weights[f"layers.{layer}.bias"])

    @classmethod
    def load(cls, path: Path, audio_dim: int, width: int) -> Projection:
        """Read a trained projection. Raises ModelError when it is missing or of other widths."""
        try:
            weights = load_file(path)
        except (OSError, SafetensorError) as error:
            fix = "give the path of trained weights, or use --alignment raw"
            raise ModelError(f"none ({error})", fix, f"projection weights at {path}") from error
        if {key: value.shape for key, value in weights.items()} != shapes(audio_dim, width):
            first = weights.get("layers.0.weight")
            raise ModelError(
                "other keys" if first is None else f"one from {first.shape[1]} to {first.shape[0]}",
                "use weights trained for this audio encoder and this vision tower, or --alignment raw",
                f"a projection from {audio_dim} to {width} numbers in {path}",
            )
        return cls(weights)


def shapes(audio_dim: int, width: int) -> dict[str, tuple[int, ...]]:
    """Every weight of a projection and its shape."""
    found: dict[str, tuple[int, ...]] = {}
    for layer, inputs in ((0, audio_dim), (4, width), (8, width)):
        found |= {f"layers.{layer}.weight": (width, inputs), f"layers.{layer}.bias": (width,)}
    for layer in (1, 5):
        found |= {f"layers.{layer}.weight": (width,), f"layers.{layer}.bias": (width,)}
    return found


def layer_norm(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """(d,) -> (d,), with torch's epsilon."""
    return (x - x.mean()) / np.sqrt(x.var() + EPSILON) * weight + bias


def gelu(x: Floats) -> Floats:
    """X * Phi(x), exactly."""
    return (0.5 * x * (1 + _erf(x / sqrt(2)).astype(np.float32))).astype(np.float32)
