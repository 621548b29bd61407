"""SoundCLIP's trade-off: what a projection gains in retrieval against what it loses in generation.

Gain: percentage points of top-1, sound to picture, over raw. Loss: percent of a measure of generation, of raw's. The
paper's line: loss = 0.163 * gain + 11.867, r = 0.89, over its five encoders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.evaluation.plots import figure, save

PAPER = (0.163, 11.867, 0.89)


@dataclass(frozen=True, slots=True)
class Point:
    """One projection: what it is, its gain (points) and its loss (percent)."""

    name: str
    gain: float
    loss: float


def line(points: Sequence[Point]) -> tuple[float, float, float] | None:
    """Slope, intercept and Pearson's r of loss over gain; None for fewer than three points or no spread."""
    gains, losses = np.array([p.gain for p in points]), np.array([p.loss for p in points])
    if len(points) < 3 or np.ptp(gains) == 0 or np.ptp(losses) == 0:
        return None
    slope, intercept = np.polyfit(gains, losses, 1)
    return float(slope), float(intercept), float(np.corrcoef(gains, losses)[0, 1])


def loss(raw: float, projected: float) -> float:
    """How much is lost, in percent of raw; 0 where raw is 0."""
    return 100 * (raw - projected) / raw if raw else 0.0


def plot(groups: dict[str, Sequence[Point]], path: Path, measure: str) -> None:
    """The points, a line through each group's, and the paper's. Raises SinkError, ConfigError."""
    drawing, axes = figure()
    for i, (name, points) in enumerate(groups.items()):
        gains = [point.gain for point in points]
        axes.plot(gains, [point.loss for point in points], "o", color=f"C{i}", label=name or None)
        for point in points:
            axes.annotate(
                point.name, (point.gain, point.loss), xytext=(4, 4), textcoords="offset points", fontsize="x-small"
            )
        if fitted := line(points):
            ends = np.array([min(gains), max(gains)])
            axes.plot(ends, fitted[0] * ends + fitted[1], color=f"C{i}", linewidth=1)
    axes.axhline(0, color="0.5", linewidth=1)
    axes.set_xlabel("gain in retrieval: top-1, sound to picture, points over raw")
    axes.set_ylabel(f"loss in generation: {measure}, % of raw")
    if any(groups):
        axes.legend(frameon=False, fontsize="small")
    save(drawing, path)
