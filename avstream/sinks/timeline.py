"""What sounds when, from events: a sound that lasts eight seconds is one stretch of time, however it wavered in it.

An event may still turn out to have ended some seconds ago, so the past settles only after a while.
"""

from __future__ import annotations

import math
from dataclasses import replace

from avstream.records import Narration, Sound, SoundEvent

Change = tuple[float, tuple[str, ...]]  # from this time on exactly these events go on, by their ids


class Timeline:
    """The changes of what sounds, in order of time, as soon as nothing can alter them any more."""

    def __init__(self) -> None:
        self.settled_s = -math.inf  # what is before this changes no more
        self._events: dict[str, SoundEvent] = {}
        self._missed_s: dict[str, float] = {}  # where an event that goes on may yet have ended
        self._heard: set[str] = set()  # since the last narration
        self._going: tuple[str, ...] = ()

    def event(self, event: SoundEvent) -> None:
        """Take what became of an event; those of a window come before its narration."""
        if event.onset_s < self.settled_s and event.id not in self._events:
            event = replace(event, onset_s=self.settled_s)  # too late to be shown where it began
        elif event.id in self._events:
            event = replace(event, onset_s=self._events[event.id].onset_s)
        self._events[event.id] = event
        self._heard.add(event.id)
        self._missed_s.pop(event.id, None)

    def settle(self, narration: Narration) -> list[Change]:
        """The changes that are certain after a narration."""
        for id, event in self._events.items():
            if event.end_s is None and id not in self._heard:
                self._missed_s.setdefault(id, narration.start_s)
        self._heard.clear()
        return self._changes_until(min([narration.start_s, *self._missed_s.values()]))

    def finish(self) -> list[Change]:
        """The changes that are left at the end of the stream, when every event has ended."""
        return self._changes_until(math.inf)

    def sounds(self, ids: tuple[str, ...]) -> tuple[Sound, ...]:
        """Events of the latest change, or of one before that was returned with it, as sounds, the surest first."""
        events = sorted((self._events[id] for id in ids), key=lambda event: -event.peak_confidence)
        return tuple(
            Sound(one.label, one.peak_confidence, one.visible, one.box, one.direction, one.level_dbfs) for one in events
        )

    def _changes_until(self, settled_s: float) -> list[Change]:
        before_s, self.settled_s = self.settled_s, max(self.settled_s, settled_s)
        self._events = {
            id: event
            for id, event in self._events.items()
            if event.end_s is None or event.end_s >= before_s or id in self._going
        }
        edges = {edge_s for one in self._events.values() for edge_s in (one.onset_s, one.end_s) if edge_s is not None}
        changes: list[Change] = []
        for time_s in sorted(edge_s for edge_s in edges if before_s <= edge_s < self.settled_s):
            going = tuple(id for id, event in self._events.items() if _goes_on(event, time_s))
            if going != self._going:
                changes.append((time_s, going))
                self._going = going
        return changes


def _goes_on(event: SoundEvent, time_s: float) -> bool:
    return event.onset_s <= time_s and (event.end_s is None or time_s < event.end_s)
