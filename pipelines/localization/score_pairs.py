"""The localizers that know classes on drawn pictures whose sounds fit: one thing sounds, another does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.localization.benchmarks import Localizer
from pipelines.localization.metrics import SIZE, auc, box_truth, ciou, success
from pipelines.localization.score_scenes import ranks_above
from pipelines.nano.labels import LABELS
from pipelines.scenes.compose import compose
from pipelines.sounds.synthesis import SYNTHESIZERS, synthesize

SEED = 600_000  # far from the training's
RATE_HZ = 16_000
PX = 352


def pairs_report(count: int, localizers: Mapping[str, Localizer]) -> dict[str, dict[str, Any]]:
    """cIoU, AUC, how often the hottest place is on the thing that sounds, of those that are on a thing, and how well
    the confidence tells the true sound from that of a thing that is not there (area under the curve), percent.
    """
    able = [label for label in LABELS if label in SYNTHESIZERS]
    found: dict[str, list[list[Any]]] = {name: [] for name in (*localizers, "middle")}
    for k in range(count):
        rng = np.random.default_rng([SEED, k])
        sounding, other, absent = (str(label) for label in rng.choice(able, 3, replace=False))
        rgb, boxes = compose([sounding, other], PX, PX, rng)
        true, wrong = (synthesize(label, 3.0, RATE_HZ, rng) for label in (sounding, absent))
        truths = [box_truth([box]) for box in boxes]
        for name, one in localizers.items():
            seen, strange = one.locate(rgb, true), one.locate(rgb, wrong)
            found[name].append([*judged(seen.heatmap, truths), seen.confidence, strange.confidence])
        middle = np.zeros((SIZE, SIZE), np.float32)
        middle[SIZE // 4 : 3 * SIZE // 4, SIZE // 4 : 3 * SIZE // 4] = 1
        found["middle"].append([*judged(middle, truths), 0.0, 0.0])
    return {name: row(values) for name, values in found.items()}


def judged(heat: np.ndarray, truths: list[np.ndarray]) -> tuple[float, bool | None]:
    """CIoU with the sounding thing, and whether the hottest place is on it (None: on neither)."""
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    on = [bool(truth[y, x] > 0) for truth in truths]
    return ciou(heat, truths[0], 0.5), on[0] if any(on) else None


def row(values: list[list[Any]]) -> dict[str, Any]:
    """One localizer's figures."""
    overlaps, right, true, wrong = zip(*values, strict=True)
    hit = [one for one in right if one is not None]
    return {
        "pairs": len(values), "cIoU": success(overlaps), "AUC": auc(overlaps),
        "on a thing": 100 * len(hit) / len(values), "on the right one": float(100 * np.mean(hit)) if hit else None,
        "true sound told from another": 100 * ranks_above(true, wrong),
    }  # fmt: skip
