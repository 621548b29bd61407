"""The plots' common look: matplotlib without a display, readable at the width of a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avstream.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_IN, DPI = (6.4, 4.0), 110


def figure(size_in: tuple[float, float] = SIZE_IN) -> tuple[Figure, Axes]:
    """An empty figure with one plot. Raises ConfigError when matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install -e .[train]") from error
    drawing = Figure(figsize=size_in, layout="constrained")
    axes = drawing.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    return drawing, axes


def save(drawing: Figure, path: Path) -> None:
    """Write a PNG. Raises SinkError."""
    try:
        drawing.savefig(path, dpi=DPI, metadata={"Software": None})
    except OSError as error:
        raise SinkError(f"the plot {path} can't be written: {error}") from error
