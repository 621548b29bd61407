"""Pictures for the docs of localization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

TITLES = {"here": "said: the source is here", "absent": "said: out of the picture"}
DOT_AREA = 900.0  # points squared, for all scenes


def reliability_plot(curves: Mapping[str, Sequence[tuple[float, float, float]]], path: Path) -> None:
    """Each curve side by side: the chance given against how often it was true. Writes the picture.

    A point is (chance given, share that was true, share of the scenes); the last is the area of its dot.
    """
    figure = Figure(figsize=(5 * len(curves), 5), layout="constrained")  # without pyplot no window system is touched
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, (name, rows) in zip(panels, curves.items(), strict=True):
        given, true, share = zip(*rows, strict=True) if rows else ((), (), ())
        panel.plot([0, 1], [0, 1], color="0.75", linestyle="--")
        panel.plot(given, true, color="tab:blue")
        panel.scatter(given, true, [DOT_AREA * part for part in share], color="tab:blue", clip_on=False, zorder=3)
        panel.set(title=TITLES[name], xlabel="chance given", ylabel="true", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        panel.xaxis.set_major_formatter(PercentFormatter(1.0))
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.grid(color="0.9")
    figure.savefig(path, dpi=120)
