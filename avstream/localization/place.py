"""The seam of all that says where: a window and the labels heard in it -> one `Place` a label."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from avstream.records import Box, Direction, Outline, VideoFrame, Window

Heat = NDArray[np.float32]
T = TypeVar("T")
MOST_SOURCES = 64  # whose pictures are remembered, about 1 MB each: movies end and leave theirs behind


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a sound comes from, as far as it is known.

    `visible` True comes with a box, and often with a heatmap, float32 (rows, columns) in [0, 1]; without it both are
    None. `here` and `absent` are the chances that the source is where the box is, and that it is out of the picture;
    None when nothing could have answered. `one_of`: several things fit and nothing shows which of them it is; their
    boxes, the likeliest, which is `box`, first. `outline` is the thing's contour in [0, 1], where a mask is at hand.
    """

    visible: bool | None
    heatmap: Heat | None
    box: Box | None
    direction: Direction | None
    here: float | None
    absent: float | None
    one_of: tuple[Box, ...] = ()
    outline: Outline = ()

    @property
    def confidence(self) -> float | None:
        """How sure `visible` is, 0..1; None without it."""
        if self.visible is None:
            return None
        return self.here if self.visible else self.absent


class Localizer(Protocol):
    """Says where sounds are. One serves several streams, each by a key of its own, one window of each at a time."""

    def watch(self, window: Window, source: str) -> None:
        """Look at the window's motion. What is narrated of a source comes here in order, silent windows too; one of
        index 0 begins anew.
        """
        ...

    def places(self, window: Window, source: str, labels: Sequence[str]) -> tuple[Place, ...]:
        """Where each of the labels heard in a window sounds, in their order, after `watch`."""
        ...


class PerSource(Generic[T]):
    """What is remembered of each source; the one that was used longest ago is forgotten first. For any thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._kept, self._lock = make, dict[str, T](), threading.Lock()

    def of(self, source: str, *, anew: bool = False) -> T:
        """What is remembered of a source; `anew` forgets what was before."""
        with self._lock:
            before = self._kept.pop(source, None)
            kept = self._make() if anew or before is None else before
            self._kept[source] = kept
            if len(self._kept) > MOST_SOURCES:
                self._kept.pop(next(iter(self._kept)))
            return kept


def key_time_s(window: Window) -> float:
    """The middle of what a window speaks for: the moment that boxes and heatmaps are true for."""
    return (window.focus_start_s + window.focus_end_s) / 2


def key_frame(window: Window) -> VideoFrame | None:
    """The picture nearest to `key_time_s`."""
    at_s = key_time_s(window)
    return min(window.frames, key=lambda frame: abs(frame.time_s - at_s), default=None)


def heat_of(places: Sequence[Place]) -> Heat | None:
    """One heatmap of all places: the hotter of them everywhere, in the size of the largest; None without any."""
    heats = {id(place.heatmap): place.heatmap for place in places if place.heatmap is not None}
    found = sorted(heats.values(), key=lambda heat: -heat.size)
    if len(found) < 2:
        return found[0] if found else None
    rows, columns = found[0].shape
    return np.maximum.reduce([_resized(heat, rows, columns) for heat in found])


def _resized(heat: Heat, rows: int, columns: int) -> Heat:
    """Nearest neighbors: heatmaps of one picture differ in their grids only."""
    y = np.arange(rows) * heat.shape[0] // rows
    x = np.arange(columns) * heat.shape[1] // columns
    return heat[y][:, x]
