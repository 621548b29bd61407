"""For tests of your own code: a source from memory that can lose things, a scripted narrator, a sink that remembers.

No devices, files or models are needed:

>>> import asyncio
>>> from avstream import loop
>>> from avstream.stream import Stream
>>> sink = RecordingSink()
>>> source = MemorySource(duration_s=8.0, gaps=[(3.0, 4.0)])
>>> stream = Stream(source, [sink])
>>> asyncio.run(loop.run([stream], ScriptedNarrator(bell=[(2.0, 5.0)])))
>>> [narration.text for narration in sink.narrations][:3]
['', 'a bell is ringing.', 'a bell is ringing.']
>>> [(event.label, event.phase) for event in sink.events if event.phase != "continues"]
[('bell', 'began'), ('bell', 'ended')]
>>> stream.report.windows, round(stream.report.missing_s)
(6, 1)
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from avstream import wording
from avstream.errors import SinkError, SourceError
from avstream.records import (
    AudioChunk,
    Narration,
    Problem,
    Sound,
    SoundEvent,
    Status,
    StreamInfo,
    StreamItem,
    VideoFrame,
    Watermark,
    Window,
)
from avstream.sinks.base import Sink

CHUNK_S = 0.1
LEVEL_DBFS = -20.0
Spans = Sequence[tuple[float, float]]  # stretches of time, seconds


class MemorySource:
    """A source from memory: `samples`, float32 (channels, n), or without any a steady level of -20 dBFS.

    It has a `picture`, uint8 (H, W, 3), twice a second if one is given. In the `gaps` nothing comes, and of all other
    pieces the share `loss` is lost, the same ones for the same `seed`. At `fails_at_s` it raises SourceError. With a
    `speed` it is live and goes so many times as fast as time, else as fast as it is read. `close_takes_s` is how long
    its device takes to let go. `problems` and `warnings` are what you put there.
    """

    def __init__(
        self,
        duration_s: float = 10.0,
        *,
        samples: NDArray[np.float32] | None = None,
        rate_hz: int = 16_000,
        picture: NDArray[np.uint8] | None = None,
        name: str = "memory",
        gaps: Spans = (),
        loss: float = 0.0,
        seed: int = 0,
        fails_at_s: float | None = None,
        speed: float | None = None,
        close_takes_s: float = 0.0,
    ) -> None:
        height, width = (0, 0) if picture is None else picture.shape[:2]
        length_s = duration_s if speed is None else None
        epoch_s = None if speed is None else time.time()
        self.info = StreamInfo(name, length_s, picture is not None, True, width, height, 2.0, epoch_s)
        self.problems: tuple[Problem, ...] = ()
        self.warnings: list[str] = []
        self.reached_s: float | None = None
        self.read_s = 0.0  # how far it was read
        self.closed = threading.Event()
        self._duration_s, self._samples, self._rate_hz, self._picture = duration_s, samples, rate_hz, picture
        self._gaps, self._loss, self._random = gaps, loss, random.Random(seed)
        self._fails_at_s, self._speed, self._close_takes_s = fails_at_s, speed, close_takes_s
        self._began_s: float | None = None

    def __iter__(self) -> Iterator[StreamItem]:
        """Pieces of CHUNK_S. Raises SourceError at `fails_at_s`."""
        self._began_s = time.monotonic()
        for count in range(round(self._duration_s / CHUNK_S)):
            start_s = count * CHUNK_S
            if self.closed.is_set():
                return
            if self._fails_at_s is not None and start_s >= self._fails_at_s - 1e-9:
                raise SourceError(f"{self.info.name} broke", "fix the test")
            if self._speed is not None:
                self.closed.wait(max(0.0, (start_s + CHUNK_S - self.now_s()) / self._speed))
            if not self._is_lost(start_s):
                yield from self._items(count, start_s)
            self.read_s = start_s + CHUNK_S
            if self._speed is not None:
                yield Watermark(max(0.0, self.read_s - CHUNK_S / 2))

    def now_s(self) -> float:
        """The stream time of this moment; without a `speed`, how far it was read."""
        if self._speed is None or self._began_s is None:
            return self.read_s
        return (time.monotonic() - self._began_s) * self._speed

    def latest(self) -> VideoFrame | None:
        """The picture, for a window that shows it."""
        return None if self._picture is None else VideoFrame(self.now_s(), self._picture)

    def close(self) -> None:
        """End the iteration; from any thread."""
        self.closed.set()
        time.sleep(self._close_takes_s)

    def _is_lost(self, start_s: float) -> bool:
        in_gap = any(begin_s - 1e-9 <= start_s < end_s - 1e-9 for begin_s, end_s in self._gaps)
        return in_gap or (self._loss > 0 and self._random.random() < self._loss)

    def _items(self, count: int, start_s: float) -> Iterator[StreamItem]:
        if self._picture is not None and count % 5 == 0:
            yield VideoFrame(start_s, self._picture)
        first, past = (round(s * self._rate_hz) for s in (start_s, start_s + CHUNK_S))
        level = np.full((1, past - first), 10 ** (LEVEL_DBFS / 20), np.float32)
        yield AudioChunk(start_s, self._rate_hz, level if self._samples is None else self._samples[:, first:past])


class ScriptedNarrator:
    """A narrator that hears what the script says where a window's focus overlaps it, with confidence 0.9.

    `takes_s` is how long it thinks. `calls` are the (source, index) of the windows that it was given.
    """

    def __init__(self, takes_s: float = 0.0, **script: Spans) -> None:
        self.takes_s, self._script = takes_s, script
        self.calls: list[tuple[str, int]] = []
        self.threads: set[str] = set()

    def narrate_window(self, window: Window, source: str) -> Narration:
        """The narration of a window."""
        self.calls.append((source, window.index))
        self.threads.add(threading.current_thread().name)
        time.sleep(self.takes_s)
        focus = window.focus_start_s, window.focus_end_s
        sounds = tuple(
            Sound(label, 0.9, level_dbfs=LEVEL_DBFS)
            for label, spans in self._script.items()
            if any(begin_s < focus[1] and end_s > focus[0] for begin_s, end_s in spans)
        )
        return Narration(
            source, window.index, window.start_s, window.end_s, *focus, wording.sentence(sounds), sounds, LEVEL_DBFS,
            timings_ms={"script": 1000 * self.takes_s},
        )  # fmt: skip


class RecordingSink(Sink):
    """A sink that remembers all it gets, in `news`; it may be slow, fail after so many, or refuse to open.

    `fails_after` counts what it took before it raises SinkError.
    """

    def __init__(
        self, name: str = "recording", *, takes_s: float = 0.0, fails_after: int | None = None, opens: bool = True
    ) -> None:
        self.name, self.takes_s, self._fails_after, self._opens = name, takes_s, fails_after, opens
        self.news: list[Narration | SoundEvent | Status] = []
        self.opened: list[StreamInfo] = []
        self.closed = 0

    @property
    def narrations(self) -> list[Narration]:
        """The narrations among the news."""
        return [news for news in self.news if isinstance(news, Narration)]

    @property
    def events(self) -> list[SoundEvent]:
        """The events among the news."""
        return [news for news in self.news if isinstance(news, SoundEvent)]

    @property
    def statuses(self) -> list[Status]:
        """The states among the news."""
        return [news for news in self.news if isinstance(news, Status)]

    def open(self, info: StreamInfo) -> None:
        """Remember the stream."""
        if not self._opens:
            raise SinkError(f"{self.name} can't be opened", "change the test")
        self.opened.append(info)

    def event(self, event: SoundEvent) -> None:
        """Remember an event."""
        self._take(event)

    def write(self, narration: Narration) -> None:
        """Remember a narration."""
        self._take(narration)

    def status(self, status: Status) -> None:
        """Remember a status."""
        self._take(status)

    def close(self) -> None:
        """Count it."""
        self.closed += 1

    def _take(self, news: Narration | SoundEvent | Status) -> None:
        time.sleep(self.takes_s)
        if self._fails_after is not None and len(self.news) >= self._fails_after:
            raise SinkError(f"{self.name} is full", "make room")
        self.news.append(news)
