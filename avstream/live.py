"""The loop that does not end: live sources -> windowers -> one narrator in turns -> events -> sinks.

It knows the records, the streams (`live_stream.py`) and some protocols, nothing else. What blocks runs on threads of
its own that can be left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Protocol

from avstream.errors import AvstreamError, SinkError, SourceError
from avstream.live_stream import LiveOutlet, LiveStream
from avstream.records import AudioChunk, Window
from avstream.run import Thinker, first_error
from avstream.workers import Worker

STATUS_S = 0.2
FAULTS_IN_A_ROW = 5
CLOSING_S = 1.6  # for devices to let go, from the moment the loop is told to stop
SERVED_S = 0.4  # from then on, until services are told to finish though a sink still hangs: they need a second


class Service(Protocol):
    """Something that runs beside the streams, such as the connection to a broker."""

    async def run(self) -> None:
        """Run until cancelled, and then finish soon. Raises SinkError for what can't be mended by waiting."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, a short sentence each; empty when all is well."""
        ...


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
                await loop.farewell(running)
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
        except SinkError:
            if stop.is_set():  # what ends us has ended the window's process too
                return False
            raise
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

    async def farewell(self, services: Sequence[asyncio.Task[None]]) -> None:
        """End events, finish sinks, side by side, and then services, which sinks may have told something until then."""
        self._told_to_end = perf_counter()
        self._model.end()
        for stream in self._streams:
            self._close(stream)
            stream.end_events()
        farewells = asyncio.gather(*(outlet.farewell() for stream in self._streams for outlet in stream.outlets))
        await asyncio.wait([farewells], timeout=SERVED_S)
        for service in services:
            service.cancel()
        await farewells
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
