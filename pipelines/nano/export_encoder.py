"""From a trained student to the bundle: calibration, claim thresholds, files; and the bundle back into a listener.

whisper/   config.json, model.safetensors (WhisperEncoder, float16), preprocessor_config.json
evidence/  evidence.safetensors (the head of avstream.evidence), evidence.json:
           confidence = sigmoid(scale * logit + bias), a label at a time; a claim needs confidence >= threshold
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from avstream.errors import ModelError
from avstream.wording import LABELS
from pipelines.nano.encoder import HIDDEN, WIDTH, WINDOW, EvidenceHead, Listener, LogMel, Student, feature_extractor
from pipelines.nano.graphs import export_audio
from pipelines.sounds.batches import Sampler
from pipelines.sounds.corpus import load_corpus

CALIBRATION_BATCHES = 90
PRECISION = 0.75
LOWEST, HIGHEST = 0.3, 0.75


@dataclass(frozen=True)
class Fitted:
    """A listener whose logits have become probabilities; scale, bias and thresholds are float64 (21,)."""

    listener: Listener
    scale: np.ndarray
    bias: np.ndarray
    thresholds: np.ndarray

    def confidence(self, logits: np.ndarray) -> np.ndarray:
        """Logits (n, 21) -> probabilities (n, 21)."""
        return 1 / (1 + np.exp(-(self.scale * logits + self.bias)))


def trained(path: Path) -> Listener:
    """The averaged weights of a student's checkpoint, rounded to float16 as they are shipped."""
    if not path.exists():
        raise ModelError(f"no checkpoint {path}; train first: python -m pipelines.train_encoder")
    student = Student()
    student.load_state_dict(torch.load(path, weights_only=True)["average"])
    return student.listener.half().float().eval()


def platt(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and bias a label, held near one another and near (1, 0): few labels have many examples."""
    common, own = torch.zeros(2, requires_grad=True), torch.zeros(2, logits.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([common, own], max_iter=200, line_search_fn="strong_wolfe")

    def parameters() -> tuple[torch.Tensor, torch.Tensor]:
        return torch.exp(common[0] + own[0]), common[1] + own[1]

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        scale, bias = parameters()
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            scale * logits + bias, targets, weight=weights, reduction="sum"
        )
        loss = each + 10 * own.square().sum() + common.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    scale, bias = parameters()
    return scale.detach(), bias.detach()


def threshold(confidence: np.ndarray, target: np.ndarray) -> float:
    """The lowest claim threshold above which at least PRECISION of the claims are right, within fixed bounds."""
    order = np.argsort(-confidence)
    right = np.cumsum(target[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(right >= PRECISION)
    lowest = confidence[order[good[-1]]] if len(good) else 1.0
    return float(np.clip(lowest, LOWEST, HIGHEST))


def calibrate(checkpoint: Path, corpus: Path, seed: int) -> dict[str, Any]:
    """Fit scales, biases and thresholds on held-out recordings, mixed and surrounded as in training."""
    listener, mel = trained(checkpoint), LogMel()
    sampler = Sampler(*load_corpus(corpus, ("valid",)), seed + 1)
    logits, targets, weights = [], [], []
    with torch.no_grad():
        for step in range(CALIBRATION_BATCHES):
            batch = sampler.batch(32, step)
            logits.append(listener(mel(batch.sounds))[0])
            targets.append(batch.targets)
            weights.append(batch.weights)
    x, y, w = torch.cat(logits), torch.cat(targets), torch.cat(weights)
    scale, bias = platt(x, y, w)
    confidence = torch.sigmoid(scale * x + bias).numpy()
    known = w.numpy() > 0
    limits = np.array([threshold(confidence[known[:, k], k], y.numpy()[known[:, k], k]) for k in range(len(LABELS))])
    claims, truth = (confidence >= limits) & known, y.numpy() > 0
    report = {
        "windows": len(x),
        "ece": round(expected_error(confidence[known], truth[known]), 4),
        "ece_uncalibrated": round(expected_error(torch.sigmoid(x).numpy()[known], truth[known]), 4),
        "precision": round(float((claims & truth).sum() / max(1, claims.sum())), 4),
        "recall": round(float((claims & truth).sum() / truth.sum()), 4),
    }
    return {"scale": scale.numpy(), "bias": bias.numpy(), "thresholds": limits, "report": report}


def expected_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15, least: float = 0.05) -> float:
    """Expected calibration error over all answers with confidence of at least `least`: the rest are easy denials."""
    keep = confidence >= least
    confidence, right = confidence[keep], right[keep]
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(confidence[place == b].mean() - right[place == b].mean()) * (place == b).mean() for b in np.unique(place)
    ]
    return float(sum(gaps))


def export(checkpoint: Path, fitted: Mapping[str, Any], bundle: Path) -> None:
    """Write whisper/ and evidence/ into the bundle's folder."""
    listener = trained(checkpoint)
    (bundle / "evidence").mkdir(parents=True, exist_ok=True)
    feature_extractor().save_pretrained(bundle / "whisper")
    tensors = {name: value.half().contiguous() for name, value in listener.evidence.state_dict().items()}
    save_file(tensors, bundle / "evidence" / "evidence.safetensors")
    listener.encoder.half().save_pretrained(bundle / "whisper")
    export_audio(bundle / "whisper", WINDOW, bundle / "onnx" / "audio.onnx")
    limits, scale, bias = ([round(float(v), 4) for v in fitted[key]] for key in ("thresholds", "scale", "bias"))
    description = {
        "labels": list(LABELS),
        "thresholds": limits,
        "calibration": {"scale": scale, "bias": bias},
        "dim": WIDTH,
        "hidden": HIDDEN,
        "fusion": "mean of hidden_states[1:] over layers and time",
    }
    (bundle / "evidence" / "evidence.json").write_text(json.dumps(description, indent=1) + "\n")
    for path in (*bundle.glob("whisper/*"), *bundle.glob("evidence/*")):
        path.chmod(0o644)  # safetensors writes for the owner alone


def load(bundle: Path) -> Fitted:
    """The exported listener, in float32."""
    if not (bundle / "evidence" / "evidence.json").exists():
        raise ModelError(f"no listener in {bundle}; write it with: python -m pipelines.train_encoder --export")
    description = json.loads((bundle / "evidence" / "evidence.json").read_text())
    listener = Listener()
    listener.encoder = WhisperEncoder.from_pretrained(bundle / "whisper", dtype=torch.float32)
    listener.evidence = EvidenceHead(description["dim"], description["hidden"], len(description["labels"]))
    listener.evidence.load_state_dict(load_file(bundle / "evidence" / "evidence.safetensors"))
    scale, bias = (np.array(description["calibration"][key]) for key in ("scale", "bias"))
    return Fitted(listener.float().eval(), scale, bias, np.array(description["thresholds"]))
