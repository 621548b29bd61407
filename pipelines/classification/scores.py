"""How often an answer is right, how sure that is, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avstream.comparison.scores import wilson
from pipelines.classification.clips import Clip
from pipelines.classification.methods import Answers, words
from pipelines.evaluation.plots import figure, save
from pipelines.evaluation.tables import markdown

DRAWS = 2000
NONE = "(none)"


def score(answers: Answers, clips: Sequence[Clip], labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy with two 95 % intervals, recall of each class, and the confusion matrix.

    `wilson` takes clips for independent. `bootstrap` draws recordings, whose takes are alike: the more honest one.
    The matrix's rows are the truth, its columns the answers, the last for those that name no class.
    """
    right = np.array([said == clip.label for said, clip in zip(answers.labels, clips, strict=True)])
    columns = {label: i for i, label in enumerate([*labels, NONE])}
    matrix = np.zeros((len(labels), len(labels) + 1), int)
    for said, clip in zip(answers.labels, clips, strict=True):
        matrix[columns[clip.label], columns[said if said in columns else NONE]] += 1
    recall = {label: float(row[i] / row.sum()) for i, (label, row) in enumerate(zip(labels, matrix, strict=True)) if
              row.sum()}  # fmt: skip
    return {
        "method": answers.name, "note": answers.note, "clips": len(clips), "accuracy": float(right.mean()),
        "wilson": list(wilson(int(right.sum()), len(clips))),
        "bootstrap": list(bootstrap(right, [clip.recording for clip in clips])),
        "recall": recall, "confusion": matrix.tolist(),
    }  # fmt: skip


def bootstrap(right: np.ndarray, recordings: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a share when recordings are drawn, with replacement."""
    names = sorted(set(recordings))
    place = np.array([names.index(name) for name in recordings])
    hits, sizes = np.bincount(place, right, len(names)), np.bincount(place, minlength=len(names))
    drawn = np.random.default_rng(seed).integers(len(names), size=(DRAWS, len(names)))
    low, high = np.quantile(hits[drawn].sum(1) / sizes[drawn].sum(1), (0.025, 0.975))
    return float(low), float(high)


def table(entries: Sequence[dict[str, Any]]) -> str:
    """A row a method, in percent."""
    rows = [
        [one["method"], str(one["clips"]), f"{100 * one['accuracy']:.1f}", span(one["wilson"]), span(one["bootstrap"]),
         one["note"]]
        for one in entries
    ]  # fmt: skip
    return markdown(["", "clips", "right, %", "95 %, Wilson", "95 %, by recording", ""], rows) + "\n"


def span(interval: Sequence[float]) -> str:
    """`85.1 to 91.0`."""
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def plot(entry: dict[str, Any], labels: Sequence[str], path: Path) -> None:
    """The confusion matrix as a picture; a cell's shade is the share of its row. Raises ConfigError, SinkError."""
    matrix = np.array(entry["confusion"])
    if not matrix[:, -1].any():
        matrix = matrix[:, :-1]
    names = [*map(words, labels), "names none"][: matrix.shape[1]]
    side = 2.2 + 0.42 * len(labels)
    drawing, axes = figure((side + 0.6, side))
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(False)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), list(map(words, labels)))
    axes.set(xlabel="answer", ylabel="truth", title=f"{entry['method']}\n{100 * entry['accuracy']:.1f} % right")
    for (row, column), count in np.ndenumerate(matrix):
        if count and len(labels) <= 20:
            shade = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=shade)
    save(drawing, path)
