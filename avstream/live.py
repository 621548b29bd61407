"""The loop that does not end: live sources -> windowers -> one narrator in turns -> events -> sinks.

It knows the records, the rules of events and some protocols, nothing else. It is never late: of a stream's windows
the newest waits for the narrator, an older one is dropped and counted; a sink that is slow loses its oldest news,
narrations and figures before events, counted too. What blocks runs on threads of its own that can be left behind.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from avstream.errors import AvstreamError, SinkError, SourceError
from avstream.events import EventTracker, Rules
from avstream.level import FLOOR_DBFS, loudness_dbfs
from avstream.records import AudioChunk, Narration, SoundEvent, Status, VideoFrame, Window
from avstream.run import Outlet, Report, Sink, Source, Thinker, first_error
from avstream.windows import Windower
from avstream.workers import Worker

NEWS_AHEAD = 64  # a sink may be this far behind
STATUS_S = 0.2
LATENCIES = 3600
FAREWELL_S = 1.0  # for each sink to write what is owed
FAULTS_IN_A_ROW = 5
CLOSING_S = 1.6  # for devices to let go, from the moment the loop is told to stop

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


class Service(Protocol):
    """Something that runs beside the streams, such as the connection to a broker."""

    async def run(self) -> None:
        """Run until cancelled, and then finish soon. Raises SinkError for what can't be mended by waiting."""
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
        self._level_dbfs = FLOOR_DBFS
        self._latency_s: float | None = None

    def hear(self, chunk: AudioChunk) -> None:
        """Note how loud it is; called on the reading thread."""
        self._level_dbfs = max(self._level_dbfs, loudness_dbfs(chunk.samples, chunk.rate_hz))

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
        self._tell([narration, *self._tracker.update(narration)])

    def tell_status(self, shared_problems: tuple[str, ...] = ()) -> None:
        """Pass on how it goes; `shared_problems` are those of what all streams share."""
        level, self._level_dbfs = self._level_dbfs, FLOOR_DBFS
        now_s, problems = self.source.now_s(), self.source.problems + shared_problems
        epoch_s = time.time() - now_s
        self._tell([Status(self.name, now_s, self._latency_s, self.report.dropped, level, problems, epoch_s)])

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


async def narrate_live(
    streams: Sequence[LiveStream],
    thinker: Thinker,
    stop: asyncio.Event,
    services: Sequence[Service] = (),
    complain: Callable[[AvstreamError], None] = lambda error: None,
) -> None:
    """Narrate live streams until `stop` is set or all have ended; their reports tell how it went.

    A sink that can't be opened, a service that fails for good, and the narrator's own errors end it and are raised; a
    fault in a single window does not.
    Later on a source or a sink that fails is put into the stream's report and told to `complain`; the rest go on.
    In any case events end, sinks are closed, and devices are let go, within about 2 s of being told to stop.
    """
    loop = _Loop(streams, thinker, services, complain)
    try:
        async with asyncio.TaskGroup() as group:
            running = []
            try:
                if not await loop.open_sinks(stop):
                    return
                running = [group.create_task(service.run(), name=type(service).__name__) for service in services]
                await loop.work(stop)
            finally:
                await loop.farewell()
                for task in running:
                    task.cancel()
    except BaseExceptionGroup as failed:
        raise first_error(failed) from None
    finally:
        await loop.closed()


class _Loop:
    """The tasks of a run."""

    def __init__(
        self,
        streams: Sequence[LiveStream],
        thinker: Thinker,
        services: Sequence[Service],
        complain: Callable[[AvstreamError], None],
    ) -> None:
        self._streams, self._thinker, self._services, self._complain = streams, thinker, services, complain
        self._model = Worker("model")
        self._came = asyncio.Event()
        self._stop: asyncio.Event | None = None
        self._turn = self._faults = 0
        self._began = self._told_to_end = perf_counter()
        self._closing: dict[str, asyncio.Future[None]] = {}
        for stream in streams:
            stream.outlets = [LiveOutlet(sink, self._failure(stream)) for sink in stream.sinks]

    async def open_sinks(self, stop: asyncio.Event) -> bool:
        """Open every sink; whether that came to its end before `stop` was set. Raises SinkError."""
        opening = asyncio.ensure_future(self._open_sinks())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
            return opening.done() and opening.result()
        finally:
            opening.cancel()
            stopping.cancel()

    async def _open_sinks(self) -> bool:
        for stream in self._streams:
            for outlet in stream.outlets:
                await outlet.open(stream.source.info)
        return True

    async def work(self, stop: asyncio.Event) -> None:
        """Read, think and tell, until `stop` is set, every stream has ended, or nobody is told any more."""
        self._stop = stop
        async with asyncio.TaskGroup() as group:
            running: list[asyncio.Task[Any]] = [group.create_task(self._tick(), name="status")]
            for stream in self._streams:
                running.append(group.create_task(self._read(stream), name=f"read {stream.name}"))
                for outlet in stream.outlets:
                    name = f"sink {outlet.sink.name} of {stream.name}"
                    running.append(group.create_task(outlet.run(), name=name))
            running.append(group.create_task(stop.wait(), name="stop"))
            running.append(group.create_task(self._think(), name="narrate"))
            await asyncio.wait(running[-2:], return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()

    async def _read(self, stream: LiveStream) -> None:
        """Read on a thread of its own, until the stream ends."""
        loop = asyncio.get_running_loop()

        def arrive(window: Window) -> None:
            stream.arrive(window)
            self._came.set()

        def pump() -> None:
            for item in stream.source:
                if isinstance(item, AudioChunk):
                    stream.hear(item)
                for window in stream.windower.push(item):
                    loop.call_soon_threadsafe(arrive, window)
            loop.call_soon_threadsafe(stream.waiting.extend, stream.windower.finish(stream.source.reached_s))

        reader = Worker(f"read {stream.name}")
        try:
            await reader.call(pump)
        except SourceError as error:
            self._failure(stream)(error)
        finally:
            reader.end()
            stream.ended = True
            self._came.set()
            self._close(stream)

    async def _think(self) -> None:
        """Narrate the streams' windows in turns, on one thread, until all have ended."""
        while not all(stream.over() for stream in self._streams):
            stream = self._next()
            if stream is None:
                await self._came.wait()
                self._came.clear()
                continue
            window = stream.waiting.popleft()
            try:
                stream.take(window, await self._model.call(self._thinker.narrate, window, stream.name))
                self._faults = 0
            except AvstreamError:
                raise
            except Exception as error:  # a fault of ours in one window must not end what runs for weeks
                self._survive(stream, error)

    def _survive(self, stream: LiveStream, error: Exception) -> None:
        """Leave a window out and say so, once for each kind of fault; raises it when nothing else comes."""
        self._faults += 1
        if self._faults >= FAULTS_IN_A_ROW:
            raise error
        stream.report.dropped += 1
        told = AvstreamError(f"a fault of ours: {type(error).__name__}: {error}; the window was left out")
        if str(told) not in map(str, stream.report.errors):
            self._failure(stream)(told)

    def _next(self) -> LiveStream | None:
        """The next stream, after the one that was served last, that has a window."""
        for step in range(len(self._streams)):
            turn = (self._turn + step) % len(self._streams)
            if self._streams[turn].waiting:
                self._turn = turn + 1
                return self._streams[turn]
        return None

    async def _tick(self) -> None:
        while True:
            problems = tuple(problem for service in self._services for problem in service.problems)
            for stream in self._streams:
                stream.tell_status(problems)
            await asyncio.sleep(STATUS_S)

    def _close(self, stream: LiveStream) -> None:
        """Let go of a stream's devices, off the loop: one that hangs must not hold up the rest."""
        if stream.name not in self._closing:
            worker = Worker(f"close {stream.name}")
            self._closing[stream.name] = worker.call(stream.source.close)
            worker.end()

    async def farewell(self) -> None:
        """End events and finish sinks, side by side."""
        self._told_to_end = perf_counter()
        self._model.end()
        for stream in self._streams:
            self._close(stream)
            stream.end_events()
        await asyncio.gather(*(outlet.farewell() for stream in self._streams for outlet in stream.outlets))
        for stream in self._streams:
            stream.report.wall_s = perf_counter() - self._began
            stream.report.warnings = [*stream.source.warnings, *stream.losses()]

    async def closed(self) -> None:
        """Wait for the devices, but not for ones that hang."""
        if self._closing:
            patience_s = CLOSING_S - (perf_counter() - self._told_to_end)
            done, _ = await asyncio.wait(self._closing.values(), timeout=max(0.0, patience_s))
            for future in done:
                future.exception()  # a device that does not close well is of no more interest

    def _failure(self, stream: LiveStream) -> Callable[[AvstreamError], None]:
        def fail(error: AvstreamError) -> None:
            stream.report.errors.append(error)
            self._complain(error)
            if self._stop and not any(outlet.working for each in self._streams for outlet in each.outlets):
                self._stop.set()

        return fail
