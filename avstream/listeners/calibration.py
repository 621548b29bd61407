"""Chances that are true ones: Platt scaling, a label at a time, p' = sigmoid(scale * logit(p) + bias).

A file is JSON: `listener`, `fitted_on` (words), `labels` {name: [scale, bias]}, and `others` [scale, bias] for labels
that had too few recordings of their own. `python -m pipelines.calibrate_listener` writes one. Without one, chances
stay as the listener gives them, and it says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avstream.errors import ModelError

SHIPPED = Path(__file__).with_name("calibrations")
EDGE = 1e-6  # chances of 0 and 1 have no logit
NOT_CALIBRATED = "not calibrated: its chances are as the model gives them"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scale and bias of each label; the identity where nothing is known."""

    labels: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    others: tuple[float, float] = (1.0, 0.0)
    words: str = NOT_CALIBRATED

    @staticmethod
    def load(path: Path) -> Calibration:
        """A calibration file. Raises ModelError for one that is damaged or holds no finite, rising curve."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            labels = {name: _pair(pair) for name, pair in values["labels"].items()}
            return Calibration(labels, _pair(values["others"]), f"calibrated on {values['fitted_on']}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{path} is no calibration: {' '.join(str(error).split())}",
                "write one with `python -m pipelines.calibrate_listener`: JSON with fitted_on, labels "
                "{name: [scale, bias]} and others [scale, bias]",
            ) from error

    @staticmethod
    def shipped(listener: str) -> Calibration:
        """The one that comes with avstream, or none."""
        path = SHIPPED / f"{listener}.json"
        return Calibration.load(path) if path.is_file() else Calibration()

    def __call__(self, chances: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float32]:
        """(..., L) chances of L names -> calibrated ones."""
        if not self.labels and self.others == (1.0, 0.0):
            return chances
        scale, bias = np.array([self.labels.get(name, self.others) for name in names], np.float64).T
        return sigmoid(scale * logit(chances) + bias).astype(np.float32)


def _pair(values: Sequence[float]) -> tuple[float, float]:
    scale, bias = (float(value) for value in values)
    if not (np.isfinite([scale, bias]).all() and scale > 0):
        raise ValueError(f"scale and bias must be finite and the scale above 0, found {[scale, bias]}")
    return scale, bias


def logit(chances: NDArray[np.float32]) -> NDArray[np.float64]:
    """log(p / (1 - p)), finite for 0 and 1."""
    clipped = np.clip(chances.astype(np.float64), EDGE, 1 - EDGE)
    return np.log(clipped / (1 - clipped))


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))
