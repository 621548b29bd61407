"""Stream times that can be believed, from time stamps that may lie; pure, knows no files and no decoders.

Damaged and badly joined files have stamps that are missing, off by hours, or begin anew in the middle. A
wrong stamp must cost neither what it stamps nor hours of empty windows: its item goes where its stream was.
"""

from __future__ import annotations

import math
from typing import Generic, TypeVar

SMALL_JUMP_S = 1.0  # steps up to here are taken as they are
MAX_JUMP_S = 60.0  # a longer leap past all that was read is damage
PAST_END_S = 10.0  # and so is a stamp this far past the stated length

T = TypeVar("T")


class Clock:
    """What the streams of a movie know together: how far it was read, and how far its stamps are off."""

    def __init__(self, *, start_s: float, stated_s: float | None, leaps_often: bool) -> None:
        """`stated_s` is the stated length; `leaps_often` is for pictures alone, maybe a slide show."""
        self.furthest_s = start_s
        self.shift_s = 0.0
        self.wrong_stamps = 0
        self._limit_s = math.inf if stated_s is None else stated_s + PAST_END_S
        self._leaps_often = leaps_often
        self._steady_s = SMALL_JUMP_S  # read since the last leap: leaps in a row are damage, not a gap

    def believes(self, time_s: float, expected_s: float | None) -> bool:
        """Whether a stream that is at `expected_s` can go on at `time_s`."""
        if expected_s is not None and time_s < expected_s - SMALL_JUMP_S:
            return False
        if time_s > self._limit_s or time_s > self.furthest_s + MAX_JUMP_S:
            return False
        may_leap = self._leaps_often or self._steady_s >= SMALL_JUMP_S
        return may_leap or time_s <= self.furthest_s + SMALL_JUMP_S

    def advance(self, end_s: float, length_s: float) -> None:
        """Something of `length_s` that ends at `end_s` was read."""
        ahead_s = end_s - self.furthest_s
        if ahead_s > length_s + SMALL_JUMP_S:
            self._steady_s = 0.0
        elif ahead_s > 0:
            self._steady_s += ahead_s
        self.furthest_s = max(self.furthest_s, end_s)


class Track(Generic[T]):
    """The times of one stream. A leap forward is held back until a second stamp confirms it."""

    def __init__(self, clock: Clock) -> None:
        self.expected_s: float | None = None  # where the next item begins if all is well
        self._clock = clock
        self._held: tuple[float, float, float, T] | None = None  # time, how far moved, length, item

    def feed(self, stamp_s: float | None, length_s: float, item: T) -> list[tuple[float, T]]:
        """Return the (time in seconds, item) pairs that are settled now; `stamp_s` is None when unknown."""
        if stamp_s is not None and not math.isfinite(stamp_s):
            stamp_s = None
        settled = []
        if self._held is not None:
            settled.append(self._settle(confirmed=stamp_s is not None and self._follows(stamp_s)))
        time_s, moved_s = self._place(stamp_s)
        if self.expected_s is not None and time_s > self.expected_s + SMALL_JUMP_S:
            self._held = (time_s, moved_s, length_s, item)
        else:
            settled.append(self._accept(time_s, length_s, item))
        return settled

    def flush(self) -> list[tuple[float, T]]:
        """What is still held at the end of the stream."""
        return [] if self._held is None else [self._settle(confirmed=True)]

    def _follows(self, stamp_s: float) -> bool:
        """Whether a stamp goes on from the held one rather than from before it."""
        assert self._held is not None
        return stamp_s + self._held[1] >= self._held[0] - 1e-3

    def _settle(self, *, confirmed: bool) -> tuple[float, T]:
        assert self._held is not None and self.expected_s is not None
        time_s, _, length_s, item = self._held
        self._held = None
        if not confirmed:
            self._clock.wrong_stamps += 1
            time_s = self.expected_s
        return self._accept(time_s, length_s, item)

    def _place(self, stamp_s: float | None) -> tuple[float, float]:
        """The time for a stamp (as it is, else moved like the last ones, else as expected), and the move."""
        clock = self._clock
        expected_s = clock.furthest_s if self.expected_s is None else self.expected_s
        if stamp_s is None:
            return expected_s, 0.0
        for moved_s in (0.0, clock.shift_s):
            if clock.believes(stamp_s + moved_s, self.expected_s):
                return stamp_s + moved_s, moved_s
        clock.wrong_stamps += 1
        clock.shift_s = expected_s - stamp_s
        return expected_s, clock.shift_s

    def _accept(self, time_s: float, length_s: float, item: T) -> tuple[float, T]:
        self.expected_s = time_s + length_s
        self._clock.advance(self.expected_s, length_s)
        return time_s, item
