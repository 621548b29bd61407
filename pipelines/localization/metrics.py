"""The field's measures of localization, as ACL-SSL's published evaluation counts them. numpy only, no model, no files.

Heatmaps and truths are (224, 224), heat in [0, 1]; shares are given in percent, as the papers print them. cIoU and AUC:
VGG-SS and Flickr-SoundNet. AP, max-F1, LocAcc: the extended protocol, with sounds that are not in the picture.
mIoU and F: AVSBench.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Map = NDArray[np.floating]
SIZE = 224
FLICKR_GRID = 256
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))
F_BETA2, F_THRESHOLDS = 0.3, 255


def box_truth(boxes: Sequence[Sequence[float]]) -> Map:
    """VGG-SS: the union of boxes (left, top, right, bottom) in 0..1, clipped; pixels are cut down to integers."""
    truth = np.zeros((SIZE, SIZE))
    for box in boxes:
        left, top, right, bottom = (int(v) for v in np.clip(box, 0, 1) * SIZE)
        truth[top:bottom, left:right] = 1
    return truth


def vote_truth(boxes: Sequence[Sequence[float]]) -> Map:
    """Flickr-SoundNet: annotators' boxes on a grid of 256; half for one vote, whole for two."""
    votes = np.zeros((SIZE, SIZE))
    for box in boxes:
        left, top, right, bottom = (int(SIZE * v / FLICKR_GRID) for v in box)
        votes[top:bottom, left:right] += 1
    return np.minimum(1, votes / 2)


def ciou(heat: Map, truth: Map, threshold: float, epsilon: float = 0.0) -> float:
    """Consensus IoU: sum(P * g) / (sum(g) + the predicted pixels where g = 0), P = heat >= threshold.

    The extended protocol adds `epsilon` = 1e-12 below, for truths that are empty. 0 where nothing is true or claimed.
    """
    claimed = heat >= threshold
    whole = truth.sum() + np.count_nonzero(claimed & (truth == 0)) + epsilon
    return float((claimed * truth).sum() / whole) if whole else 0.0


def median_threshold(heat: Map) -> float:
    """The middle value of the sorted map (the upper one of two): half of the picture is claimed."""
    return float(np.sort(heat, axis=None)[heat.size // 2])


def success(values: ArrayLike, least: float = 0.5) -> float:
    """The share of pictures with a cIoU of at least `least`, percent."""
    return float(100 * np.mean(np.asarray(values) >= least))


def auc(values: ArrayLike) -> float:
    """The area under the success over the cIoU asked for, 0, 0.05, ... 1 (trapezoid), percent."""
    steps = [0.05 * i for i in range(21)]
    return float(np.trapezoid([success(values, step) for step in steps], steps))


def _counts(values: Map, confidence: Map, sounding: NDArray[np.bool_], least: float) -> tuple[int, int, int]:
    """Hits, false positives and misses when only sounds with a confidence of at least `least` are placed.

    A sounding source that is placed wrongly is a false positive, not a miss.
    """
    placed = confidence >= least
    hits = int(np.sum(placed & sounding & (values >= 0.5)))
    return hits, int(np.sum(placed)) - hits, int(np.sum(~placed & sounding))


def _precision_recall(counts: tuple[int, int, int]) -> tuple[float, float]:
    """Both are 1 where they are not defined."""
    hits, wrong, missed = counts
    return hits / (hits + wrong) if hits + wrong else 1.0, hits / (hits + missed) if hits + missed else 1.0


def extended_ap(values: ArrayLike, confidence: ArrayLike, sounding: ArrayLike) -> float:
    """Average precision over all confidences but the largest, from high to low (at most about 200 of them), percent.

    The precision's envelope times the growth of the recall; what lies before the first threshold is not counted.
    """
    v, c, s = np.asarray(values), np.asarray(confidence), np.asarray(sounding, bool)
    least = np.sort(c)[:-1][::-1][:: max(1, len(c) // 200)]
    curve = np.array([_precision_recall(_counts(v, c, s, t)) for t in least]).reshape(-1, 2)
    envelope = np.maximum.accumulate(curve[::-1, 0])[::-1]
    return float(100 * np.sum(envelope[:-1] * np.diff(curve[:, 1])))


def extended_max_f1(values: ArrayLike, confidence: ArrayLike, sounding: ArrayLike) -> float:
    """The best F1 over about ten confidences, percent; each is rounded to 0.1 percent first."""
    v, c, s = np.asarray(values), np.asarray(confidence), np.asarray(sounding, bool)
    best = 0.0
    for least in np.sort(c)[:: max(1, len(c) // 10)]:
        hits, wrong, missed = _counts(v, c, s, least)
        best = max(best, round(200 * hits / (2 * hits + wrong + missed), 1) if hits else 0.0)
    return best


def loc_acc(values: ArrayLike, sounding: ArrayLike) -> float:
    """The share of sounding sources with a cIoU above 0.5 (not equal), percent; 0 when none sounds."""
    found = np.asarray(values)[np.asarray(sounding, bool)] > 0.5
    return float(100 * found.mean()) if found.size else 0.0


def avs_iou(heat: Map, mask: Map, threshold: float) -> float:
    """AVSBench: intersection over union + 1e-7 with heat > threshold; an empty mask scores what is rightly left out."""
    claimed, true = heat > threshold, mask > 0
    if not true.any():
        return float(np.mean(~claimed))
    return float(np.sum(claimed & true) / (np.sum(claimed | true) + 1e-7))


def avs_miou(values: Sequence[float], batch: int = 1) -> float:
    """Mean of batches' means, percent: with batches, as published results have it, a short last one weighs as much."""
    batches = [values[i : i + batch] for i in range(0, len(values), batch)]
    return float(100 * np.mean([np.mean(part) for part in batches])) if batches else 0.0


def avs_f_curve(heat: Map, mask: Map) -> NDArray[np.float64] | None:
    """F with beta^2 = 0.3 at 255 thresholds from 0 to 1: (255,), or None for an empty mask, which is skipped."""
    true = mask > 0
    if not true.any():
        return None
    thresholds = np.linspace(0, 1 - 1e-10, F_THRESHOLDS)
    claimed = heat.size - np.searchsorted(np.sort(heat, axis=None), thresholds)
    hits = true.sum() - np.searchsorted(np.sort(heat[true]), thresholds)
    precision = hits / np.maximum(claimed, 1)
    recall = hits / true.sum()
    return (1 + F_BETA2) * precision * recall / np.maximum(F_BETA2 * precision + recall, 1e-20)


def avs_f(curves: Sequence[NDArray[np.float64] | None]) -> float:
    """The best threshold's mean F over the pictures, percent; 0 when every mask is empty."""
    kept = [curve for curve in curves if curve is not None]
    return float(100 * np.mean(kept, axis=0).max()) if kept else 0.0
