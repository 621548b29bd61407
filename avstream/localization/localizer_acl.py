"""`--localizer acl:FOLDER`: ACL-SSL with trained weights (arXiv 2311.04066), behind the same seam as the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from avstream.localization.acl import AclLocalizer, Grounded
from avstream.localization.fusion import unattributed
from avstream.localization.grounding.thing import outlined
from avstream.localization.localizer_synchrony import bearing_of
from avstream.localization.place import Place, key_frame
from avstream.records import Direction, Window

SURE_HERE, SURE_ABSENT = 0.7, 0.9
Mono = Callable[[NDArray[np.float32], int, int], NDArray[np.float32]]


class AclPlaces:
    """Where the sound of a window is in its picture. It hears the mixture: several sounds have one heatmap.

    `calibration` is (scale, bias) from the cosine between sound and masked picture to log odds that it is there, as
    the training fitted it; without it there is a heatmap and nothing is claimed.
    """

    def __init__(self, localizer: AclLocalizer, mono: Mono, calibration: tuple[float, float] | None = None) -> None:
        """`mono` brings (channels, n) from one rate to another as (n,)."""
        self._localizer, self._mono, self._calibration = localizer, mono, calibration

    def watch(self, window: Window, source: str) -> None:
        """It looks at one picture, not at motion."""

    def places(self, window: Window, source: str, labels: Sequence[str]) -> tuple[Place, ...]:
        """One place a label."""
        side, frame = bearing_of(window.audio, window.rate_hz).side, key_frame(window)
        if frame is None:
            return (Place(None, None, None, side if len(labels) == 1 else None, None, None),) * len(labels)
        samples = self._mono(window.audio, window.rate_hz, self._localizer.rate_hz)
        place = self._claimed(self._localizer.locate(frame.rgb, samples), side)
        return (place,) if len(labels) == 1 else (unattributed(place),) * len(labels)

    def _claimed(self, found: Grounded, side: Direction | None) -> Place:
        """What can be said of one heatmap."""
        place = Place(None, found.heatmap, None, side, None, None)
        if self._calibration is None:
            return place
        scale, bias = self._calibration
        here = 1 / (1 + math.exp(-max(-30.0, min(30.0, scale * found.confidence + bias))))
        place = replace(place, here=here, absent=1 - here)
        parts = outlined(found.heatmap >= 0.5)
        if here >= SURE_HERE and parts:
            box, outline, _ = parts[0]
            return replace(place, visible=True, box=box, outline=outline)
        return replace(place, visible=False if 1 - here >= SURE_ABSENT else None, heatmap=None)
