"""The pictures of the study's page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.data.manifest import Row
from pipelines.data.segments import read_segment
from pipelines.evaluation.generation import RAW
from pipelines.evaluation.plots import figure, save
from pipelines.evaluation.retrieval import WAYS

SPEAKERS = {"pictures": "model of pictures only", "nano": "nano"}


def examples(rows: Iterable[Row], root: Path, path: Path, count: int = 4) -> None:
    """Pictures of the first test clips that differ in kind, with what sounds. Raises SinkError."""
    test = [row for row in rows if row.split == "test"]
    kinds = {(len(row.visible), len(row.invisible), len(row.silent)): row for row in test[::-1]}
    wanted = [key for key in ((1, 0, 0), (2, 0, 1), (3, 0, 0), (1, 1, 0)) if key in kinds]
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(9, 2.9), layout="constrained")
    for axes, row in zip(drawing.subplots(1, count), [kinds[key] for key in wanted], strict=False):
        axes.imshow(read_segment(row, root)[1].rgb)
        lines = [f"sounds: {', '.join(row.visible)}"]
        lines += [f"sounds, not in the picture: {', '.join(row.invisible)}"] if row.invisible else []
        lines += [f"silent: {', '.join(row.silent)}"] if row.silent else []
        axes.set_title("\n".join(line.replace("_", " ") for line in lines), fontsize="small", loc="left", wrap=True)
        axes.axis("off")
    save(drawing, path)


def interpolation(report: Mapping[str, Any], path: Path) -> None:
    """Top-1 by alpha, both ways, with chance and the bound. Raises SinkError."""
    drawing, axes = figure()
    for i, way in enumerate(WAYS):
        top = [(one["alpha"], one["scores"][way]["top-1"]) for one in report["entries"]]
        axes.errorbar(
            [alpha for alpha, _ in top], [x["mean"] for _, x in top], [x["half"] for _, x in top],
            fmt="os"[i] + "-:"[i], color=f"C{i}", capsize=3, label=way,
        )  # fmt: skip
    for (name, limit), style in zip(report["limits"].items(), (":", "--"), strict=False):
        axes.axhline(
            limit["top-1"], color="0.5", linestyle=style, linewidth=1, label=name.replace("bound: ", "bound: ")
        )
    axes.set_xlabel("alpha: 0 is projected, 1 is raw")
    axes.set_ylabel("top-1, %")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize="small")
    save(drawing, path)


def by_tokens(reports: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Source named by k: a plot a language model, a line for raw and projected, zero and drop. Raises SinkError."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (speaker, report) in zip(drawing.subplots(1, len(reports), sharey=True), reports.items(), strict=True):
        lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for one in report["entries"]:
            lines.setdefault((one["alignment"], one["unselected"]), []).append(one)
        colors = {alignment: f"C{i}" for i, alignment in enumerate(dict.fromkeys(key[0] for key in lines))}
        for (alignment, unselected), ones in lines.items():
            share = [one["scores"]["source named"] for one in ones]
            name = RAW if alignment == RAW else "shipped" if "shipped" in alignment else "projected"
            axes.errorbar(
                range(len(ones)), [100 * x["mean"] for x in share], [100 * x["half"] for x in share],
                fmt="o-" if unselected == "zero" else "s:", color=colors[alignment], capsize=2,
                label=f"{name}, {unselected}",
            )  # fmt: skip
            axes.set_xticks(range(len(ones)), [str(one["tokens"]) for one in ones])
        axes.set_title(SPEAKERS[speaker], fontsize="medium")
        axes.set_xlabel("k, patches kept")
        axes.set_ylim(0, 105)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="x-small")
    drawing.axes[0].set_ylabel("source named, % of clips")
    save(drawing, path)


def trade_off(
    alphas: Sequence[str],
    retrieved: Sequence[Mapping[str, float]],
    spoken: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]],
    path: Path,
) -> None:
    """Source named over top-1, a line through alpha for each language model. Raises SinkError."""
    drawing, axes = figure()
    gains = [one["mean"] for one in retrieved]
    for i, (speaker, scores) in enumerate(spoken.items()):
        share = [one["source named"] for one in scores]
        axes.errorbar(
            gains, [100 * x["mean"] for x in share], [100 * x["half"] for x in share], fmt="o-", color=f"C{i}",
            capsize=3, label=SPEAKERS[speaker],
        )  # fmt: skip
        for at, (alpha, gain, one) in enumerate(zip(alphas, gains, share, strict=True)):
            place, side = ((-6, 4), "right") if at == 0 else ((6, -11 if at == 1 else 5), "left")
            axes.annotate(
                f"alpha {alpha}", (gain, 100 * one["mean"]), xytext=place, textcoords="offset points", ha=side,
                fontsize="x-small", color=f"C{i}",
            )  # fmt: skip
    axes.set_xlabel("top-1, sound to picture, %")
    axes.set_ylabel("source named, % of clips, all patches")
    axes.set_ylim(0, 105)
    axes.legend(frameon=False, fontsize="small")
    save(drawing, path)
