"""Things over time: the same thing keeps its track from picture to picture, by ByteTrack (arXiv 2110.06864)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avstream.errors import ModelError
from avstream.localization.grounding.thing import Thing

if TYPE_CHECKING:
    from trackers import ByteTrackTracker

KEPT = 2  # pictures that a thing may be missed in
LEAST_IOU = 0.15  # pictures may be a second apart
GRID = 1000  # the tracker wants pixels


def require_tracker() -> None:
    """Raises ModelError unless ByteTrack, which comes with an extra of avstream, is installed."""
    try:
        import trackers  # noqa: F401
    except ImportError as error:
        raise ModelError(f"a detector needs the package {error.name}", "pip install 'avstream[detector]'") from error


@dataclass(frozen=True, slots=True)
class Tracked:
    """A thing with the name of its track, empty for one that has none: it is new, or too unsure."""

    thing: Thing
    track: str


class Tracks:
    """The things of one stream, a tracker for each name: a bird does not become a clock."""

    def __init__(self, sure: float) -> None:
        """`sure`: the score from which on a thing starts a track."""
        self._sure = sure
        self._trackers: dict[str, ByteTrackTracker] = {}

    def update(self, things: Sequence[Thing]) -> list[Tracked]:
        """The things of the next picture, in their order."""
        tracks = [""] * len(things)
        for name in sorted({thing.name for thing in things} | set(self._trackers)):
            places = [k for k, thing in enumerate(things) if thing.name == name]
            for k, number in self._follow(name, [things[k] for k in places]):
                tracks[places[k]] = f"{name} {number}"
        return [Tracked(thing, track) for thing, track in zip(things, tracks, strict=True)]

    def _follow(self, name: str, things: Sequence[Thing]) -> list[tuple[int, int]]:
        """Which of the things of one name have a track, and its number."""
        from supervision import Detections
        from trackers import ByteTrackTracker

        if name not in self._trackers:
            if not any(thing.score >= self._sure for thing in things):
                return []
            self._trackers[name] = ByteTrackTracker(
                lost_track_buffer=KEPT, frame_rate=30, track_activation_threshold=self._sure,
                minimum_consecutive_frames=1, minimum_iou_threshold=LEAST_IOU, high_conf_det_threshold=self._sure,
            )  # fmt: skip
        boxes = np.array([thing.box for thing in things], np.float32).reshape(-1, 4) * GRID
        scores = np.array([thing.score for thing in things], np.float32)
        order = np.arange(len(things))
        found = self._trackers[name].update(Detections(boxes, confidence=scores, data={"order": order}))
        if found.tracker_id is None or not len(found):
            return []
        return [(int(k), int(n)) for k, n in zip(found.data["order"], found.tracker_id, strict=True) if n >= 0]
