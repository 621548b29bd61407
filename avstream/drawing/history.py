"""What sounded lately: a row for each sound, the newest first, and what is urgent until seen.

Pure: it draws nothing and reads no clock but the stream's time that it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from avstream.records import Sound, SoundEvent
from avstream.wording import hedge, phrase

SPAN_S = 300.0  # of the timeline
KEPT = 256  # events
UNSEEN_S = 30.0  # an urgent line stays so long after its sound has ended, unless it was seen before
LONG_AGO_S = 3600.0  # from then on the time of day says more than "87 min ago"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the timeline in which a sound was heard, and how surely; `end_s` is None while it goes on."""

    start_s: float
    end_s: float | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Row:
    """One sound: `hedge` is "", "probably " or "possibly "; `when` (it began) and `lasted` are words."""

    label: str
    hedge: str
    words: str
    when: str
    lasted: str
    going: bool
    urgent: bool
    pieces: tuple[Piece, ...]


class History:
    """The events of a stream."""

    def __init__(self) -> None:
        self._events: dict[str, SoundEvent] = {}
        self._seen: set[str] = set()

    def add(self, event: SoundEvent) -> None:
        """Take an event, or what became of it; of too many the oldest that ended is forgotten."""
        self._events[event.id] = event
        if len(self._events) > KEPT:
            ended = (id for id, kept in self._events.items() if kept.end_s is not None)
            self._events.pop(next(ended, next(iter(self._events))))
            self._seen &= self._events.keys()

    def see(self) -> bool:
        """The user has seen what is urgent; whether there was something to see."""
        unseen = {event.id for event in self._events.values() if event.urgent} - self._seen
        self._seen |= unseen
        return bool(unseen)

    def going(self) -> list[SoundEvent]:
        """What goes on, the newest first."""
        going = [event for event in self._events.values() if event.end_s is None]
        return sorted(going, key=lambda event: event.onset_s, reverse=True)

    def unseen(self, now_s: float, epoch_s: float | None) -> tuple[Row, ...]:
        """Urgent sounds that nobody has seen yet, a row each, the newest first."""
        return self._rows(lambda event: self._waits(event, now_s), now_s, epoch_s)

    def rows(self, now_s: float, epoch_s: float | None, count: int) -> tuple[Row, ...]:
        """The other sounds, a row each, the newest first; where not all fit, what goes on stays."""
        waiting = {event.label for event in self._events.values() if self._waits(event, now_s)}
        rows = self._rows(lambda event: event.label not in waiting, now_s, epoch_s)
        kept = {row.label for row in sorted(rows, key=lambda row: not row.going)[:count]}
        return tuple(row for row in rows if row.label in kept)

    def _waits(self, event: SoundEvent, now_s: float) -> bool:
        """Whether an event is urgent and still to be seen."""
        is_recent = event.end_s is None or now_s - event.end_s < UNSEEN_S
        return event.urgent and is_recent and event.id not in self._seen

    def _rows(self, wanted: Callable[[SoundEvent], bool], now_s: float, epoch_s: float | None) -> tuple[Row, ...]:
        by_label: dict[str, list[SoundEvent]] = {}
        for event in sorted(self._events.values(), key=lambda event: event.onset_s, reverse=True):
            if wanted(event):
                by_label.setdefault(event.label, []).append(event)
        return tuple(_row(events, now_s, epoch_s) for events in by_label.values())


def _row(events: Sequence[SoundEvent], now_s: float, epoch_s: float | None) -> Row:
    """The row of one label's events, the newest first: the words are of the newest."""
    newest = events[0]
    sound = Sound(newest.label, newest.peak_confidence, direction=newest.direction)
    lasted_s = (now_s if newest.end_s is None else newest.end_s) - newest.onset_s
    return Row(
        label=newest.label,
        hedge=hedge(sound),
        words=phrase(sound).removeprefix(hedge(sound)),
        when="now" if newest.end_s is None else ago(now_s - newest.onset_s, newest.onset_s, epoch_s),
        lasted=f"for {span(lasted_s)}",
        going=newest.end_s is None,
        urgent=newest.urgent,
        pieces=tuple(
            Piece(one.onset_s, one.end_s, one.peak_confidence)
            for one in events
            if one.end_s is None or now_s - one.end_s < SPAN_S
        ),
    )


def span(seconds: float) -> str:
    """`8 s`, `45 s`, `3 min`: as exact as people want it, and no second hand that distracts."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 60:
        return f"{int(seconds // 5 * 5)} s"
    return f"{int(seconds // 60)} min" if seconds < LONG_AGO_S else f"{int(seconds // LONG_AGO_S)} h"


def ago(seconds: float, onset_s: float, epoch_s: float | None) -> str:
    """How long ago something began; after an hour the time of day."""
    if seconds >= LONG_AGO_S and epoch_s is not None:
        return f"at {time.strftime('%H:%M', time.localtime(epoch_s + onset_s))}"
    return f"{span(seconds)} ago"
