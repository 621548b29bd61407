"""Stamps of a stream placed on the clock of this machine, time.monotonic(); pure, knows no libav.

A stream's own stamps keep its picture and its sound together; only where they begin on our clock must be found.
"""

from __future__ import annotations

import time
from collections import deque

JUMP_S = 2.0  # stamps that leap further than this begin anew
SETTLE_S = 2.0
SLEW = 0.004  # seconds in a second
STEP_S = 0.1  # corrected at once: the sender was held up for good, or reported its wall clock
WINDOW_S = 10.0  # the least delay of so long is taken: clocks drift apart by under a millisecond in it
BELIEVED_S = 0.3  # a sender's wall clock that puts the picture further back than this is not our time
LATE_S = 1.0  # a playback this late starts over from where it is
EARLY_S = 60.0  # and one that would have to wait so long


class ArrivalClock:
    """For live streams: an item was taken when it came, less the least delay there is.

    What comes soonest after its stamp shows how stamps lie on our clock; everything else was only held up. One
    clock serves the picture and the sound of a connection, so what the sender took together stays together. After
    the first SETTLE_S small corrections are made by SLEW at most: what smooths sound later on can follow that.
    """

    def __init__(self) -> None:
        self._least: deque[tuple[float, float]] = deque()  # (arrival, offset): both rising, the least first
        self._delay: deque[tuple[float, float]] = deque()
        self._began_s = self._noted_s = self._offset_s = 0.0

    def note(self, stamp_s: float, arrival_s: float, taken_s: float | None = None) -> None:
        """Something with a stamp came; `taken_s` is when, by the sender's wall clock, on our clock."""
        if not self._least or abs(arrival_s - stamp_s - self._least[0][1]) > JUMP_S:
            self._least.clear()
            self._delay.clear()
            self._began_s = arrival_s
        _add(self._least, arrival_s, arrival_s - stamp_s)
        if taken_s is not None:
            _add(self._delay, arrival_s, arrival_s - taken_s)
        delay_s = self._delay[0][1] if self._delay else 0.0
        wanted_s = self._least[0][1] - (delay_s if 0 < delay_s <= BELIEVED_S else 0.0)
        if arrival_s - self._began_s > SETTLE_S and abs(wanted_s - self._offset_s) < STEP_S:
            most_s = SLEW * max(0.0, arrival_s - self._noted_s)
            wanted_s = self._offset_s + min(most_s, max(-most_s, wanted_s - self._offset_s))
        self._offset_s, self._noted_s = wanted_s, arrival_s

    def place(self, stamp_s: float | None, arrival_s: float) -> float:
        """When an item was taken, in seconds of time.monotonic(); `arrival_s` where its stamp makes no sense."""
        if stamp_s is None or not self._least:
            return arrival_s
        placed_s = stamp_s + self._offset_s
        return placed_s if abs(arrival_s - placed_s) <= JUMP_S + WINDOW_S else arrival_s


class PlaybackClock:
    """For files played at their own speed, and streams that come in large pieces: the first item begins now."""

    def __init__(self) -> None:
        self._base_s: float | None = None

    def place(self, stamp_s: float | None, length_s: float) -> float:
        """When an item that lasts so long is due, in seconds of time.monotonic(): maybe in the future."""
        now_s = time.monotonic()
        if stamp_s is None:
            return now_s
        if self._base_s is None or not -LATE_S <= self._base_s + stamp_s + length_s - now_s <= EARLY_S:
            self._base_s = now_s - stamp_s
        return self._base_s + stamp_s


def _add(rising: deque[tuple[float, float]], at_s: float, value: float) -> None:
    """Keep the values of the last WINDOW_S that may yet become the least."""
    while rising and rising[-1][1] >= value:
        rising.pop()
    rising.append((at_s, value))
    while rising[0][0] < at_s - WINDOW_S:
        rising.popleft()
