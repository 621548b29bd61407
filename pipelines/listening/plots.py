"""Plots of the scores: reliability, confusion, conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.sounds.vocabulary import ESC50

COLORS = {"nano": "#2563a8", "yamnet": "#c2571a"}


def listeners_of(scores: dict[str, Any]) -> list[str]:
    """The names of the listeners in a table of scores."""
    return [name for name, value in scores.items() if isinstance(value, dict) and "esc50_fold4" in value]


def draw(scores: dict[str, Any], folder: Path) -> None:
    """Write reliability.png, conditions.png and for each listener confusion-NAME.png."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = listeners_of(scores)
    figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=1, label="as sure as right")
    for name in names:
        points = scores[name]["reliability"]
        size = [15 + 12 * np.log10(1 + p["count"]) for p in points]
        x, y = [p["confidence"] for p in points], [p["right"] for p in points]
        axis.plot(x, y, color=COLORS.get(name, "#555555"), linewidth=1.5, label=name)
        axis.scatter(x, y, s=size, color=COLORS.get(name, "#555555"))
    axis.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1),
             title="Labels of test clips, unknown kinds included")  # fmt: skip
    axis.legend(loc="upper left")
    figure.savefig(folder / "reliability.png", dpi=110)
    plt.close(figure)
    draw_conditions(plt, scores, names, folder)
    for name in names:
        draw_confusion(plt, np.array(scores[name]["confusion"]), name, folder)


def draw_conditions(plt: Any, scores: dict[str, Any], names: list[str], folder: Path) -> None:
    """Bars: top label under each condition."""
    labels = list(scores[names[0]]["conditions"])
    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for i, name in enumerate(names):
        values = [100 * scores[name]["conditions"][label]["top1"] for label in labels]
        at = np.arange(len(labels)) + (i - (len(names) - 1) / 2) * 0.38
        axis.bar(at, values, 0.36, color=COLORS.get(name, "#555555"), label=name)
    axis.set_xticks(np.arange(len(labels)), labels, rotation=30, ha="right")
    axis.set(
        ylabel="top label of 50 right, %",
        ylim=(0, 100),
        title="Every second clip of ESC-50's fold 4 under worse conditions",
    )
    axis.grid(axis="y", color="#dddddd")
    axis.set_axisbelow(True)
    axis.legend(loc="lower left")
    figure.savefig(folder / "conditions.png", dpi=110)
    plt.close(figure)


def draw_confusion(plt: Any, counts: np.ndarray, name: str, folder: Path) -> None:
    """A matrix of true and top labels, each row as shares."""
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
    figure, axis = plt.subplots(figsize=(11, 10.5), layout="constrained")
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in zip(*np.nonzero(counts), strict=True):
        axis.text(
            j, i, counts[i, j], ha="center", va="center", fontsize=6, color="white" if share[i, j] > 0.5 else "black"
        )
    axis.set_xticks(range(len(ESC50)), ESC50, rotation=90, fontsize=7)
    axis.set_yticks(range(len(ESC50)), ESC50, fontsize=7)
    axis.set(xlabel="top label", ylabel="what sounds", title=f"{name}: clips of ESC-50's fold 4")
    figure.savefig(folder / f"confusion-{name}.png", dpi=90)
    plt.close(figure)
