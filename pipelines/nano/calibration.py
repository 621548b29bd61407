"""Logits into probabilities: Platt scaling on sources that were neither trained on nor tested, unknown kinds included.

Unknown kinds are heard by a network that was fine-tuned without them (see `stages`), so what the calibration knows
of them is what will be claimed of kinds that were never heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipelines.nano.export_listener import Calibration
from pipelines.nano.listener import KNOWN, Listener
from pipelines.sounds.crops import Crops

EFFECTIVE = 0.08  # what a crop counts for: few recordings stand behind many crops
OWN, COMMON = 6.0, 0.5  # how strongly a name's scale and bias are held near the common ones, and these near (1, 0)
PRECISION = 0.78  # of a label's claims at its threshold
WARY = 0.1  # logits below what the held sources ask for: they are of the libraries that taught it, the world is not
LOWEST, HIGHEST = 0.35, 0.6
SHRINK = 40.0  # crops' worth of the common threshold in each label's own


@dataclass
class Logits:
    """What a network says of crops, and what is true: clip (n, names) and frames (n * some, names)."""

    clip: torch.Tensor
    clip_target: torch.Tensor
    clip_weight: torch.Tensor
    frames: torch.Tensor
    frames_target: torch.Tensor
    frames_weight: torch.Tensor


@torch.no_grad()
def collect(network: Listener, crops: Crops, batches: int, first: int = 0, size: int = 64) -> Logits:
    """Logits of `batches` batches; of the frames every fifth."""
    network.eval()
    parts: list[list[torch.Tensor]] = [[] for _ in range(6)]
    for step in range(batches):
        batch = crops.batch(size, first + step)
        frames, clip, _ = network(batch.mel)
        some = slice(step % 5, None, 5)
        flat = [v[:, some].flatten(0, 1) for v in (frames, batch.frames, batch.frames_weight)]
        for part, value in zip(parts, (clip, batch.clip, batch.clip_weight, *flat), strict=True):
            part.append(value)
    return Logits(*(torch.cat(part) for part in parts))


def joined(parts: Sequence[Logits]) -> Logits:
    """Several networks' logits as one."""
    return Logits(*(torch.cat([getattr(p, name) for p in parts]) for name in Logits.__dataclass_fields__))


def platt(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, effective: float
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias of each name, float64 (names,): cross-entropy, each held near all names' common pair."""
    common, own = torch.zeros(2, requires_grad=True), torch.zeros(2, logits.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([common, own], max_iter=150, line_search_fn="strong_wolfe")

    def parameters() -> tuple[torch.Tensor, torch.Tensor]:
        return torch.exp(common[0] + own[0]), common[1] + own[1]

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        scale, bias = parameters()
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            scale * logits + bias, targets, weight=weights * effective, reduction="sum"
        )
        loss = each + OWN * own.square().sum() + COMMON * common.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    scale, bias = parameters()
    return scale.detach().double().numpy(), bias.detach().double().numpy()


def applied(logits: torch.Tensor, pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Probabilities."""
    return 1 / (1 + np.exp(-(logits.double().numpy() * pair[0] + pair[1])))


def lowest(confidence: np.ndarray, right: np.ndarray, precision: float) -> float:
    """The lowest bar above which at least `precision` of the claims are right."""
    order = np.argsort(-confidence)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(share >= precision)
    return float(confidence[order[good[-1]]]) if len(good) else 1.0


def thresholds(confidence: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Claim thresholds of the labels and `other`: each its own, drawn to the common one, within bounds."""
    own = KNOWN + 1
    known = weight[:, :KNOWN] > 0
    common = lowest(confidence[:, :KNOWN][known], target[:, :KNOWN][known], PRECISION)
    out = np.full(own, common)
    for k in range(own):
        used = weight[:, k] > 0
        count = float(target[used, k].sum())
        out[k] = (SHRINK * common + count * lowest(confidence[used, k], target[used, k], PRECISION)) / (SHRINK + count)
    return np.clip(out, LOWEST, HIGHEST)


def expected_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15, least: float = 0.05) -> float:
    """Expected calibration error of all answers with a confidence of at least `least`: the rest are easy denials."""
    keep = confidence >= least
    confidence, right = confidence[keep], right[keep]
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(sum(abs(confidence[place == b].mean() - right[place == b].mean()) * (place == b).mean()
                     for b in np.unique(place)))  # fmt: skip


def fit(logits: Logits, words: str) -> Calibration:
    """Scales, biases and thresholds, and a report of the fit itself."""
    scale, bias = platt(logits.clip, logits.clip_target, logits.clip_weight, EFFECTIVE)
    clip = scale, bias - WARY
    frames = platt(logits.frames, logits.frames_target, logits.frames_weight, EFFECTIVE / 6)
    confidence, target = applied(logits.clip, clip), logits.clip_target.numpy()
    weight = logits.clip_weight.numpy()
    limits = thresholds(confidence, target, weight)
    known = weight[:, :KNOWN] > 0
    claims = (confidence[:, :KNOWN] >= limits[:KNOWN]) & known
    true = (target[:, :KNOWN] > 0) & known
    report: dict[str, object] = {
        "fitted_on": words,
        "crops": len(confidence),
        "ece": round(expected_error(confidence[:, :KNOWN][known], true[known]), 4),
        "ece_before": round(expected_error(logits.clip.sigmoid().numpy()[:, :KNOWN][known], true[known]), 4),
        "precision": round(float((claims & true).sum() / max(1, claims.sum())), 4),
        "recall": round(float((claims & true).sum() / true.sum()), 4),
    }
    return Calibration(clip, frames, limits, report)
