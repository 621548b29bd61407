"""`--localizer synchrony`: what moves with the sound, without classes and without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from avstream.localization.fusion import SURE_BEARING, fuse, unattributed
from avstream.localization.place import PerSource, Place, key_time_s
from avstream.localization.stereo import Bearing, direction
from avstream.localization.synchrony import Synchrony
from avstream.records import Window


class SynchronyLocalizer:
    """Synchrony and stereo, fused. Of several sounds at once nobody knows which one moved: see `unattributed`."""

    def __init__(self) -> None:
        self._seen = PerSource(Synchrony)

    def watch(self, window: Window, source: str) -> None:
        """Take the window's motion pictures."""
        self._seen.of(source, anew=not window.index).watch(window)

    def places(self, window: Window, source: str, labels: Sequence[str]) -> tuple[Place, ...]:
        """One place a label."""
        place = place_of(window, self._seen.of(source))
        return (place,) if len(labels) == 1 else (unattributed(place),) * len(labels)


def place_of(window: Window, seen: Synchrony) -> Place:
    """Where the one sound of a window comes from, by what moves and from which side it is heard."""
    found = seen.look(window.start_s, window.end_s, window.audio, window.rate_hz, key_time_s(window))
    return fuse(found, bearing_of(window.audio, window.rate_hz))


def bearing_of(audio: NDArray[np.float32], rate_hz: int) -> Bearing:
    """The side that float32 (channels, n) comes from, if that is sure enough to be said."""
    bearing = direction(audio, rate_hz)
    return bearing if bearing.confidence >= SURE_BEARING else replace(bearing, side=None)
