"""A live stream between its source and its sinks: the window that waits, its events, what each sink is yet to be told.

It is never late: the newest window waits for the narrator, an older one is dropped and counted; a sink that is slow
loses its oldest news, narrations and figures before events, counted too.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from avstream.errors import AvstreamError, SinkError
from avstream.events import EventTracker, Rules
from avstream.level import FLOOR_DBFS, loudness_dbfs
from avstream.records import AudioChunk, Narration, SoundEvent, Status, VideoFrame, Window
from avstream.run import Outlet, Report, Sink, Source
from avstream.windows import Windower

NEWS_AHEAD = 64  # a sink may be this far behind
LATENCIES = 3600
FAREWELL_S = 1.0  # for each sink to write what is owed
LEVEL_LASTS_S = 1.0  # sound comes in pieces, and may be late: only after this long without any there is none

News = Narration | SoundEvent | Status


class LiveSource(Source, Protocol):
    """A source that goes on by itself whatever happens to its devices; see `avstream.run.Source`."""

    def now_s(self) -> float:
        """The stream time of this moment."""
        ...

    def latest(self) -> VideoFrame | None:
        """The newest picture, at the rate of the camera, for who wants to show it."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, a short sentence each; empty when all is well."""
        ...


@dataclass(slots=True)
class LiveReport(Report):
    """How a live stream went. Latencies are seconds from the end of a window to its narration, the last LATENCIES."""

    source: str = ""
    dropped: int = 0
    missing_s: float = 0.0  # of sound that came too late for its windows, or not at all
    events: int = 0
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))

    def latency_s(self, percentile: float) -> float:
        """A percentile of the latencies; 0 when there is none yet."""
        return float(np.percentile(self.latencies_s, percentile)) if self.latencies_s else 0.0


class LiveStream:
    """One source with its windower, its rules and its sinks, and what is under way between them."""

    def __init__(self, source: LiveSource, windower: Windower, rules: Rules, sinks: Sequence[Sink]) -> None:
        self.source, self.windower, self.rules, self.sinks = source, windower, rules, sinks
        self.name = source.info.name
        self.report = LiveReport(source=self.name)
        self.waiting: deque[Window] = deque()  # one, but for the last ones of a stream that has ended
        self.ended = False
        self.outlets: list[LiveOutlet] = []
        self._tracker = EventTracker(self.name, rules)
        self._loudest_dbfs: float | None = None  # of what came since the last status
        self._level_dbfs, self._heard_at_s = FLOOR_DBFS, 0.0
        self._latency_s: float | None = None

    def hear(self, chunk: AudioChunk) -> None:
        """Note how loud it is; called on the reading thread."""
        level_dbfs = loudness_dbfs(chunk.samples, chunk.rate_hz)
        before_dbfs = self._loudest_dbfs
        self._loudest_dbfs = level_dbfs if before_dbfs is None else max(before_dbfs, level_dbfs)

    def arrive(self, window: Window) -> None:
        """Take a window to be narrated; one that still waited is dropped."""
        self.report.dropped += len(self.waiting)
        self.waiting.clear()
        self.waiting.append(window)

    def over(self) -> bool:
        """Whether nothing more will be narrated; its events then end, though other streams go on."""
        over = self.ended and not self.waiting
        if over:
            self.end_events()
        return over

    def take(self, window: Window, narration: Narration) -> None:
        """Pass on a narration and what becomes of events."""
        narration = self.rules.applied(narration)
        self._latency_s = self.source.now_s() - window.end_s
        self.report.latencies_s.append(self._latency_s)
        self.report.count(window, narration)
        # windows share their sound: each second that is missing counts in full only over all that it is in
        share = (window.focus_end_s - window.focus_start_s) / (window.end_s - window.start_s)
        self.report.missing_s += window.gap_s * share
        self._tell([narration, *self._tracker.update(narration)])

    def tell_status(self, shared_problems: tuple[str, ...] = ()) -> None:
        """Pass on how it goes; `shared_problems` are those of what all streams share."""
        now_s, problems = self.source.now_s(), self.source.problems + shared_problems
        epoch_s = time.time() - now_s
        self._tell([Status(self.name, now_s, self._latency_s, self.report.dropped, self._level(), problems, epoch_s)])

    def _level(self) -> float:
        """The loudest since the last status; for a while, what it was when nothing came."""
        loudest, self._loudest_dbfs = self._loudest_dbfs, None
        if loudest is not None:
            self._level_dbfs, self._heard_at_s = loudest, time.monotonic()
        elif time.monotonic() - self._heard_at_s >= LEVEL_LASTS_S:
            self._level_dbfs = FLOOR_DBFS
        return self._level_dbfs

    def end_events(self) -> None:
        """Whatever goes on ends."""
        self._tell(self._tracker.finish())

    def losses(self) -> list[str]:
        """What sinks were too slow for, a sentence each."""
        return [
            f"{self.name}: {outlet.dropped} narrations or events were dropped, as {outlet.sink.name} was too slow"
            for outlet in self.outlets
            if outlet.dropped
        ]

    def _tell(self, told: Sequence[News]) -> None:
        self.report.events += sum(isinstance(news, SoundEvent) and news.phase == "began" for news in told)
        for outlet in self.outlets:
            for news in told:
                outlet.offer(news)


class LiveOutlet(Outlet):
    """A sink with what it has yet to be told, the newest NEWS_AHEAD of it."""

    def __init__(self, sink: Sink, fail: Callable[[AvstreamError], None]) -> None:
        super().__init__(sink, fail)
        self.dropped = 0
        self._news: deque[News] = deque()
        self._came = asyncio.Event()
        self._takes: dict[type, Callable[..., None] | None] = {
            Narration: sink.write,
            SoundEvent: getattr(sink, "event", None),
            Status: getattr(sink, "status", None),
        }

    async def call(self, function: Callable[..., None], *arguments: object) -> bool:
        """As for a movie; and a fault in one sink must not end what runs for weeks."""
        try:
            return await super().call(function, *arguments)
        except Exception as error:
            self.fail(SinkError(f"{self.sink.name} failed ({type(error).__name__}: {error}); all else goes on"))
            return False

    def offer(self, news: News) -> None:
        """Add news for the sink, if it takes such; a new status replaces one that was not told yet."""
        if self._takes[type(news)] is None or not self.working:
            return
        if isinstance(news, Status) and self._news and isinstance(self._news[-1], Status):
            self._news.pop()
        if len(self._news) >= NEWS_AHEAD:
            least = next((old for old in self._news if not isinstance(old, SoundEvent)), self._news[0])
            self._news.remove(least)
            self.dropped += not isinstance(least, Status)
        self._news.append(news)
        self._came.set()

    async def run(self) -> None:
        """Tell the sink what comes, until cancelled."""
        while True:
            await self._tell_all()
            await self._came.wait()
            self._came.clear()

    async def farewell(self) -> None:
        """Tell what is left and finish the sink; one that hangs is left behind after FAREWELL_S."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._tell_all()
                await self.call(self.sink.close)
        self.end()

    async def _tell_all(self) -> None:
        while self._news and self.working:
            news = self._news.popleft()
            take = self._takes[type(news)]
            assert take is not None
            await self.call(take, news)
