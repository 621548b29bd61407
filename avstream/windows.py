"""Pieces of picture and sound in, windows out; pure: no files, no clock of its own, no torch.

Sound is the clock. A window closes once sound has passed its end, so that there is surely more to come, and
the pictures have reached it too; neither waits for the other longer than `wait_s`. However the stream is cut
into pieces, the windows are the same, bit for bit, while the two streams come within `wait_s` of each other.
A live source also sends watermarks: a window whose end they have passed closes with what has come. And live, no
window waits for a picture that is not due before its end; one that comes early all the same is in the next window.

Sound is placed by its time stamps, but a chunk within JITTER_S of where the last one ended goes right there:
stamps are rounded, and a sample too many or too few would click. A larger hole stays silent and is counted in
`gap_s`, a larger overlap keeps what came first; either way the time stamps hold again from there on.

Foci: window k speaks for the middle hop of itself, or live for the newest, the first from the start of the stream. A
full window leaves only when the stream is known to go on, a movie by more than TAIL_S. The last one takes what remains:
it is shorter than the others, or that of a movie by at most TAIL_S longer.

Live, a window may be wanted between these (`Windower.ends_at`). It speaks for what came since the one before, and the
next one for what came since it. A window of the grid that would come less than LATER_S before or after is left out.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avstream.errors import ConfigError, SourceError
from avstream.records import AudioChunk, MotionFrame, StreamItem, VideoFrame, Watermark, Window

WINDOW_S = 3.0  # the paper's segment; nano is trained on it
JITTER_S = 0.05
TAIL_S = 0.1  # of a movie
LATER_S = Fraction(1, 4)  # between a window that was wanted and one of the grid; of a short hop, a quarter
SILENT_RATE_HZ = 16000  # of the zeros where there is no sound (yet)


_streams = itertools.count(1)


class Windower:
    """Windows [start_s + k hop_s, start_s + k hop_s + window_s) of one stream, each sample-exact, in order.

    `wait_s` (seconds of stream) is how long a window waits for the slower of sound and picture: generous, for
    files, whose packets may come far apart. Memory holds window_s + wait_s at most. With `newest` a window's focus is
    its last hop: what is said is of now, with less to go by than in the middle.
    Raises ConfigError unless 0 < hop_s <= window_s.
    """

    def __init__(
        self,
        window_s: float = WINDOW_S,
        hop_s: float = 1.0,
        *,
        start_s: float = 0.0,
        has_audio: bool,
        has_video: bool,
        wait_s: float = 5.0,
        newest: bool = False,
    ) -> None:
        if not (math.isfinite(window_s) and window_s > 0):
            raise ConfigError(f"{window_s:g} s", expected="a window longer than 0 s")
        if not 0 < hop_s <= window_s:
            raise ConfigError(f"{hop_s:g} s", expected=f"a hop above 0 s and at most {window_s:g} s, the window")
        self._start, self._wait_s = Fraction(start_s), wait_s
        # decimal seconds as they were meant: 0.1 is 1/10, so that window 36000 is where it should be
        self._window, self._hop = (Fraction(s).limit_denominator(1_000_000) for s in (window_s, hop_s))
        if not self._hop:
            raise ConfigError(f"{hop_s:g} s", expected="a hop of at least a microsecond")
        self._has_audio, self._has_video = has_audio, has_video
        self._newest, self._stream = newest, next(_streams)
        self._later = min(LATER_S, self._hop / 4, (self._window - self._hop) / 2)  # so that no sound is between two
        self._tail_s = 0.0 if newest else TAIL_S
        self._before = (self._window - self._hop) * (1 if newest else Fraction(1, 2))  # in a window, of its focus
        self._index, self._at = 0, Fraction(0)  # the next window, and where it begins after the start
        self._grid = Fraction(0)  # where the next one of the grid does
        self._last_at: Fraction | None = None  # where the one before did
        self._wanted: Fraction | None = None  # where a window is to end, after the start
        self._sound = _Sound(self._start)
        self._frames: list[VideoFrame] = []
        self._motion: list[MotionFrame] = []
        self._mark_s = -math.inf  # the latest watermark
        self._picture_s: float | None = None  # time of the latest picture, and how long after the one before it
        self._picture_step = hop_s
        self._moved_s, self._due_s = math.inf, -math.inf  # time of the latest motion frame, and when the next is due
        self._plan()

    def push(self, item: StreamItem) -> list[Window]:
        """Take one item; return the windows that are now complete, often none, in order.

        Raises SourceError when sound changes its rate or its channels, which a source must not do.
        """
        if isinstance(item, Watermark):
            self._mark_s = max(self._mark_s, item.time_s)
        elif isinstance(item, AudioChunk):
            if self._has_audio and self._sound.add(item):
                self._plan()
        elif self._has_video:
            self._add_picture(item)
        closed = []
        while self._is_complete():
            closed.append(self._close(self._sound.first(self._at) + self._full()))
        return closed

    def ends_at(self, time_s: float) -> None:
        """Live, a window is wanted that ends at a time; one that is wanted already gives way. Only with `newest`."""
        if self._newest:
            self._wanted = Fraction(time_s).limit_denominator(1000) - self._start
            self._choose()
            self._plan()

    def _choose(self) -> None:
        """Where the next window begins: one of the grid, or the one that is wanted when that comes first or soon after.

        A wanted one that would come too soon after the last window is left out.
        """
        if self._last_at is None:
            return
        while self._grid - self._last_at <= (self._later if self._newest else 0):
            self._grid += self._hop
        self._at = self._grid
        if self._wanted is None or self._wanted - self._window >= self._grid + self._later:
            return
        if self._wanted - self._window - self._last_at > self._later:
            self._at = self._wanted - self._window
        self._wanted = None

    def finish(self, end_s: float | None = None) -> list[Window]:
        """The windows up to the end of the stream, the last partial one included; call it once.

        `end_s` is where the stream ends, if known to be later than its sound. Otherwise it ends with that,
        or at its last picture when that is later; without sound, that lasts as long as the one before it.
        """
        end = self._end(end_s)
        total = _nearest(end * self._sound.rate_hz)
        closed: list[Window] = []
        last = total <= self._covered()
        while not last:
            full = self._sound.first(self._at) + self._full()
            last = total <= full + self._tail()
            closed.append(self._close(total if last else full, end if last else None))
        return closed

    def _add_picture(self, frame: VideoFrame | MotionFrame) -> None:
        if self._picture_s is not None and frame.time_s > self._picture_s:
            self._picture_step = max(0.001, min(frame.time_s - self._picture_s, 1.0))
        self._picture_s = frame.time_s if self._picture_s is None else max(self._picture_s, frame.time_s)
        if isinstance(frame, MotionFrame):
            self._due_s, self._moved_s = frame.time_s + (frame.time_s - self._moved_s), frame.time_s
        if frame.time_s >= self._begin_s:
            kept: list[Any] = self._motion if isinstance(frame, MotionFrame) else self._frames
            kept.append(frame)

    def _full(self) -> int:
        """Samples of a full window at the rate of now."""
        return _nearest(self._window * self._sound.rate_hz)

    def _tail(self) -> int:
        """Samples that are too few to be worth a window of their own."""
        return math.floor(self._tail_s * self._sound.rate_hz + 0.5)

    def _covered(self) -> int:
        """The sample at which the windows so far end."""
        return 0 if self._last_at is None else self._sound.first(self._last_at) + self._full()

    def _plan(self) -> None:
        """Note what the next window waits for, as every item asks for it."""
        self._begin_s, self._end_s = float(self._start + self._at), float(self._start + self._at + self._window)
        self._past = self._sound.first(self._at) + self._full()
        self._tail_count = self._tail()

    def _is_complete(self) -> bool:
        """Whether the next window has all it waits for, and is known not to be the last."""
        if self._mark_s > self._end_s + self._tail_s:
            return True
        seen_s = -math.inf if self._picture_s is None else self._picture_s - self._end_s
        if not self._has_audio:
            return seen_s > self._tail_s
        heard = self._sound.filled - self._past  # samples past its end
        if heard > self._tail_count:
            is_seen = seen_s >= 0 or (self._newest and self._due_s >= self._end_s)
            return not self._has_video or is_seen or heard > self._wait_s * self._sound.rate_hz
        return seen_s > self._wait_s

    def _end(self, end_s: float | None) -> Fraction:
        """Where the stream ends, in seconds after its start."""
        ends = [Fraction(self._sound.filled, self._sound.rate_hz)] if self._sound.filled else []
        if end_s is not None and math.isfinite(end_s):
            ends.append(Fraction(end_s) - self._start)
        if self._picture_s is not None and self._picture_s >= self._start:
            seen = Fraction(self._picture_s) - self._start
            if not any(end > seen for end in ends):
                # alone it must be inside; past the end of the sound it only says that there is more
                ends.append(seen + (0 if self._sound.filled else Fraction(self._picture_step)))
        return max(ends, default=Fraction(0))

    def _spoken(self, at: Fraction) -> Fraction:
        """The end, after the start, of the focus of the window that begins `at`."""
        return at + self._before + self._hop

    def _close(self, past: int, last: Fraction | None = None) -> Window:
        """The next window, up to the sample `past`; `last` is the end of the stream when nothing follows."""
        rate, start = self._sound.rate_hz, self._at
        first = self._sound.first(start)
        audio, missing = self._sound.cut(first, past)
        begin_s = float(self._start + start)
        end_s = float(self._start + (start + self._window if last is None else last))
        inside = [frame for frame in self._frames if begin_s <= frame.time_s < end_s]
        moved = [frame for frame in self._motion if begin_s <= frame.time_s < end_s]
        window = Window(
            index=self._index,
            start_s=begin_s,
            end_s=end_s,
            focus_start_s=begin_s if self._last_at is None else float(self._start + self._spoken(self._last_at)),
            focus_end_s=float(self._start + self._spoken(start)) if last is None else end_s,
            frames=tuple(sorted(inside, key=lambda frame: frame.time_s)),
            audio=audio,
            rate_hz=rate,
            gap_s=missing / rate if self._has_audio else 0.0,
            motion=tuple(sorted(moved, key=lambda frame: frame.time_s)),
            stream=self._stream,
        )
        self._index, self._last_at = self._index + 1, start
        self._choose()
        self._plan()
        needed = start if self._newest else self._at  # another window may yet be wanted before the next
        self._sound.forget(self._sound.first(needed))
        needed_s = float(self._start + needed)
        self._frames = [frame for frame in self._frames if frame.time_s >= needed_s]
        self._motion = [frame for frame in self._motion if frame.time_s >= needed_s]
        return window


class _Sound:
    """The sound that coming windows need, by sample number: sample 0 is at the start of the stream."""

    def __init__(self, start: Fraction) -> None:
        self.rate_hz, self.channels = SILENT_RATE_HZ, 1
        self.filled = 0  # the sample after the last one that came
        self._start_s = float(start)
        self._kept = 0  # samples before this one are forgotten
        self._pieces: deque[tuple[int, NDArray[np.float32]]] = deque()
        self._began = False
        self._next_stamp = self._moved = 0  # the stamp of a chunk that goes on; how far stamps are moved now

    def first(self, after_start: Fraction) -> int:
        """The number of the sample at a time after the start of the stream."""
        return _nearest(after_start * self.rate_hz)

    def add(self, chunk: AudioChunk) -> bool:
        """Append a chunk where its time stamp says, or right after the last one when that is near.

        Returns whether it is the first one, from which the rate is known.
        """
        is_first = not self._began
        if is_first:
            self._begin(chunk)
        if (chunk.rate_hz, chunk.samples.shape[0]) != (self.rate_hz, self.channels):
            raise SourceError(
                f"{chunk.rate_hz} Hz and {chunk.samples.shape[0]}",
                "resample it in the source",
                f"sound to go on with {self.rate_hz} Hz and {self.channels} channels",
            )
        stamp = math.floor((chunk.start_s - self._start_s) * self.rate_hz + 0.5)
        if self.filled and stamp != self._next_stamp:  # else it goes on from the last, maybe cut from it
            near = abs(self.filled - stamp) <= JITTER_S * self.rate_hz
            self._moved = self.filled - stamp if near else 0
        self._next_stamp = stamp + chunk.samples.shape[1]
        place = stamp + self._moved
        late = max(0, max(self.filled, self._kept) - place)
        samples = chunk.samples[:, late:]
        if samples.shape[1]:
            self._pieces.append((place + late, samples))
            self.filled = place + late + samples.shape[1]
        return is_first

    def _begin(self, chunk: AudioChunk) -> None:
        self._kept = _nearest(Fraction(self._kept, self.rate_hz) * chunk.rate_hz)
        self.rate_hz, self.channels, self._began = chunk.rate_hz, chunk.samples.shape[0], True

    def cut(self, first: int, past: int) -> tuple[NDArray[np.float32], int]:
        """Samples [first, past) as (channels, n), zeros where none came, and the number of those zeros."""
        audio = np.zeros((self.channels, past - first), np.float32)
        came = 0
        for place, samples in self._pieces:
            low, high = max(first, place), min(past, place + samples.shape[1])
            if low < high:
                audio[:, low - first : high - first] = samples[:, low - place : high - place]
                came += high - low
        return audio, past - first - came

    def forget(self, before: int) -> None:
        """Let go of the pieces that end before a sample."""
        self._kept = max(self._kept, before)
        while self._pieces and self._pieces[0][0] + self._pieces[0][1].shape[1] <= before:
            self._pieces.popleft()


def _nearest(value: Fraction) -> int:
    """The nearest integer, halves up: the same on either side of a cut, unlike round()."""
    return math.floor(value + Fraction(1, 2))
