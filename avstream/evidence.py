"""The evidence: which sounds the vector holds, how sure that is, from the sound alone. No picture reaches this room."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from avstream.errors import ModelError
from avstream.wording import OTHER

MOST_CLAIMS = 3  # a narration is a sentence, not a list


@dataclass(frozen=True, slots=True)
class Claim:
    """A label and the calibrated probability that it sounds."""

    label: str
    confidence: float


class EvidenceHead(nn.Module):
    """LayerNorm, one hidden layer, one logit a label: (B, dim) -> (B, labels)."""

    def __init__(self, dim: int, hidden: int, labels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, labels))

    def forward(self, vector: Tensor) -> Tensor:
        """(B, dim) -> logits (B, labels)."""
        return self.layers(vector)


class Evidence:
    """A trained head with its calibration: p = sigmoid(scale * logit + bias), claimed from its threshold up."""

    def __init__(self, folder: Path) -> None:
        """Load `evidence.json` and `evidence.safetensors`. Raises ModelError."""
        try:
            about = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
            weights = load_file(folder / "evidence.safetensors")
            self.labels: tuple[str, ...] = tuple(about["labels"])
            self._head = EvidenceHead(about["dim"], about["hidden"], len(self.labels)).eval()
            self._head.load_state_dict({key: value.float() for key, value in weights.items()})
            self._scale = torch.tensor(about["calibration"]["scale"])
            self._bias = torch.tensor(about["calibration"]["bias"])
            self.thresholds = dict(zip(self.labels, about["thresholds"], strict=True))
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"the evidence head in {folder} can't be used: {error}; reinstall avstream") from error

    @torch.inference_mode()
    def probabilities(self, vector: Tensor) -> Tensor:
        """The calibrated probability of every label: (dim,) -> (labels,)."""
        return torch.sigmoid(self._head(vector[None].float())[0] * self._scale + self._bias)

    def claims(self, vector: Tensor) -> list[Claim]:
        """What can be claimed of a sound, the surest first. A sound that is none of the labels is `other`, with
        the probability that it is none of them; silence is the caller's to see, from the level.
        """
        confidence = self.probabilities(vector).tolist()
        found = [
            Claim(label, p) for label, p in zip(self.labels, confidence, strict=True) if p >= self.thresholds[label]
        ]
        found.sort(key=lambda claim: -claim.confidence)
        return found[:MOST_CLAIMS] or [Claim(OTHER, 1 - max(confidence))]
