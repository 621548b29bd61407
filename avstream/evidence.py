"""The evidence: which sounds the vector holds, how sure that is, from the sound alone. No picture reaches this room."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from avstream.alignment import gelu, layer_norm
from avstream.errors import ModelError
from avstream.wording import OTHER

MOST_CLAIMS = 3  # a narration is a sentence, not a list


@dataclass(frozen=True, slots=True)
class Claim:
    """A label and the calibrated probability that it sounds."""

    label: str
    confidence: float


class Evidence:
    """A trained head with its calibration: p = sigmoid(scale * logit + bias), claimed from its threshold up."""

    def __init__(self, folder: Path) -> None:
        """Load `evidence.json` and `evidence.safetensors`. Raises ModelError."""
        try:
            about = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
            weights = load_file(folder / "evidence.safetensors")
            self.labels: tuple[str, ...] = tuple(about["labels"])
            self._weights = {key: value.astype(np.float32) for key, value in weights.items()}
            self._scale, self._bias = (np.array(about["calibration"][key], np.float32) for key in ("scale", "bias"))
            self.thresholds = dict(zip(self.labels, about["thresholds"], strict=True))
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"the evidence head in {folder} can't be used: {error}; reinstall avstream") from error

    def probabilities(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """The calibrated probability of every label: (dim,) -> (labels,)."""
        weights = self._weights
        x = layer_norm(vector, weights["layers.0.weight"], weights["layers.0.bias"])
        x = gelu(weights["layers.1.weight"] @ x + weights["layers.1.bias"])
        logits = weights["layers.3.weight"] @ x + weights["layers.3.bias"]
        return 1 / (1 + np.exp(-(logits * self._scale + self._bias)))

    def claims(self, vector: NDArray[np.float32]) -> list[Claim]:
        """What can be claimed of a sound, the surest first. A sound that is none of the labels is `other`, with
        the probability that it is none of them; silence is the caller's to see, from the level.
        """
        confidence = self.probabilities(vector).tolist()
        found = [
            Claim(label, p) for label, p in zip(self.labels, confidence, strict=True) if p >= self.thresholds[label]
        ]
        found.sort(key=lambda claim: -claim.confidence)
        return found[:MOST_CLAIMS] or [Claim(OTHER, 1 - max(confidence))]
