"""The loop: sources -> windows -> narrator -> events -> sinks, for movies and for live streams.

It knows the records, the streams (`stream.py`) and two protocols, nothing else. What blocks runs on threads of its own
that can be left behind: one reads each source, one or a few narrate, and each sink has its own (`outlets.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from avstream.errors import AvstreamError, SinkError, SourceError
from avstream.outlets import Outlet
from avstream.records import Narration, Problem, Window
from avstream.stream import Stream
from avstream.workers import Worker

STATUS_S = 0.2
ERRORS_IN_A_ROW = 5  # internal ones; then something is wrong with more than a window
OWED_S = 1.0  # for sinks of live streams to write what is left, from the moment the loop is to stop
SERVED_S = 0.4  # from then on, until services are to finish though a sink still hangs: they need a second
CLOSING_S = 1.6  # from then on, for services to finish and devices to let go


class Thinker(Protocol):
    """Window -> Narration. Called on one thread, or on as many as `run` is told, each for another source."""

    def narrate_window(self, window: Window, source: str) -> Narration:
        """Narrate one window of a source."""
        ...


class Service(Protocol):
    """Something that runs beside the streams, such as the connection to a broker."""

    async def run(self) -> None:
        """Run until cancelled, and then finish soon. Raises SinkError for what waiting can't fix."""
        ...

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong now; empty when all is well. Their `since_s` is of time.monotonic()."""
        ...


async def run(
    streams: Sequence[Stream],
    thinker: Thinker,
    *,
    stop: asyncio.Event | None = None,
    services: Sequence[Service] = (),
    on_error: Callable[[AvstreamError], None] = lambda error: None,
    on_end: Callable[[], None] = lambda: None,
    at_once: int = 1,
) -> None:
    """Narrate streams until all have ended or `stop` is set; their reports say how it went.

    The thinker gets windows of up to `at_once` streams at a time, those of one stream in order. `on_end` is called
    once the reports are final, before anything that may hang is waited for.

    A sink that can't be opened, a service that fails for good, and a narrator that fails again and again end it and
    are raised. Later on a source or a sink that fails, and an internal error in one window, are put into the stream's
    report and passed to `on_error`; the rest goes on, as long as anybody listens.
    However it ends, also by cancellation: events end, sinks are closed, devices are let go. For live streams that
    takes about 2 s at most; the sinks of a movie get all the time they need.
    """
    loop = _Loop(streams, thinker, services, on_error, on_end, stop or asyncio.Event(), at_once)
    try:
        await loop.work()
    finally:
        await asyncio.shield(loop.shut_down())


class _Loop:
    """The tasks of a run."""

    def __init__(
        self,
        streams: Sequence[Stream],
        thinker: Thinker,
        services: Sequence[Service],
        on_error: Callable[[AvstreamError], None],
        on_end: Callable[[], None],
        stop: asyncio.Event,
        at_once: int,
    ) -> None:
        self._streams, self._thinker, self._services = streams, thinker, services
        self._on_error, self._on_end, self._stop = on_error, on_end, stop
        self._models = [Worker(f"model {number}") for number in range(max(1, min(at_once, len(streams))))]
        self._came = asyncio.Event()
        self._turn = self._errors = 0
        self._began = perf_counter()
        self._was_opened = False
        self._serving: list[asyncio.Task[None]] = []
        self._closing: dict[int, asyncio.Future[None]] = {}
        for stream in streams:
            fail = partial(self._fail, stream)
            stream.outlets = [Outlet(sink, stream.policy, fail) for sink in stream.sinks]
            stream.outlets += [Outlet(sink, stream.policy, fail, shared=True) for sink in stream.shared]

    async def work(self) -> None:
        """Read, narrate and tell, until `stop` is set, every stream has ended, or nobody listens any more."""
        self._was_opened = await self._open_sinks()
        if not self._was_opened:
            return
        for service in self._services:
            self._serving.append(asyncio.create_task(service.run(), name=type(service).__name__))
        try:
            async with asyncio.TaskGroup() as group:
                running: list[asyncio.Task[Any]] = [group.create_task(self._tick(), name="status")]
                running += [group.create_task(_result(task), name="watch a service") for task in self._serving]
                for stream in self._streams:
                    running.append(group.create_task(self._read(stream), name=f"read {stream.name}"))
                stopping = group.create_task(self._stop.wait(), name="stop")
                narrating = group.create_task(self._narrate(), name="narrate")
                await asyncio.wait([stopping, narrating], return_when=asyncio.FIRST_COMPLETED)
                for task in (*running, stopping, narrating):
                    task.cancel()
        except BaseExceptionGroup as failed:
            raise _first_error(failed) from None

    async def _open_sinks(self) -> bool:
        """Open every sink; whether that came to its end before `stop` was set. Raises SinkError."""

        async def open_all() -> None:
            for stream in self._streams:
                for outlet in stream.outlets:
                    await outlet.open(stream.source.info)

        opening = asyncio.create_task(open_all(), name="open sinks")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
            if opening.done() and not self._stop.is_set():  # a signal that stops us may have ended the window too
                opening.result()
            return opening.done() and not opening.exception()
        finally:
            opening.cancel()
            stopping.cancel()

    async def _read(self, stream: Stream) -> None:
        """Read on a thread of its own, until the stream ends."""
        loop = asyncio.get_running_loop()

        def arrive(window: Window, last: bool) -> None:
            stream.arrive(window, last)
            self._came.set()

        def deliver(window: Window, last: bool) -> None:
            loop.call_soon_threadsafe(arrive, window, last)

        def fail(error: SourceError) -> None:
            loop.call_soon_threadsafe(self._fail, stream, error)

        reader = Worker(f"read {stream.name}")
        try:
            await asyncio.sleep(stream.begins_after_s)
            await reader.call(stream.read, deliver, fail)
        finally:
            reader.end()
            stream.has_ended = True
            self._came.set()
            self._close(stream)

    async def _narrate(self) -> None:
        """Narrate the streams' windows in turns until all have ended, on each of the models' threads."""
        async with asyncio.TaskGroup() as group:
            for number, model in enumerate(self._models):
                group.create_task(self._narrate_on(model), name=f"narrate {number}")

    async def _narrate_on(self, model: Worker) -> None:
        while not all([stream.is_over() for stream in self._streams]):
            stream = self._next()
            if stream is None:
                await self._came.wait()
                self._came.clear()
                continue
            window, stream.is_narrated = stream.next_window(), True
            try:
                narration = await model.call(self._thinker.narrate_window, window, stream.name)
            except AvstreamError:
                raise
            except Exception as error:
                self._survive(stream, error)
            else:
                self._errors = 0
                await stream.room()
                stream.take(window, narration)
            finally:
                stream.is_narrated = False
                self._came.set()  # another window of it may wait, or it is over

    def _survive(self, stream: Stream, error: Exception) -> None:
        """Leave a window out and say so, once for each kind of error; raises it when nothing else comes.

        An internal error in one window must not end what runs for weeks.
        """
        self._errors += 1
        if self._errors >= ERRORS_IN_A_ROW:
            raise error
        stream.report.dropped += 1
        failure = AvstreamError(f"internal error: {type(error).__name__}: {error}", "the window was left out")
        failure.__cause__ = error
        if str(failure) not in map(str, stream.report.errors):
            self._fail(stream, failure)

    def _next(self) -> Stream | None:
        """The next stream, after the one that was served last, that has a window."""
        for step in range(len(self._streams)):
            turn = (self._turn + step) % len(self._streams)
            if self._streams[turn].waiting and not self._streams[turn].is_narrated:
                self._turn = turn + 1
                return self._streams[turn]
        return None

    async def _tick(self) -> None:
        live = [stream for stream in self._streams if stream.is_live]
        while live:
            problems = [problem for service in self._services for problem in service.problems]
            for stream in live:
                if not stream.is_over():
                    stream.tell_status(problems)
            await asyncio.sleep(STATUS_S)

    def _close(self, stream: Stream) -> None:
        """Let go of a stream's devices, off the loop: one that hangs must not hold up the rest."""
        if id(stream) not in self._closing:
            stream.stop_reading()
            worker = Worker(f"close {stream.name}")
            self._closing[id(stream)] = worker.call(stream.source.close)
            worker.end()

    def _fail(self, stream: Stream, error: AvstreamError) -> None:
        stream.report.errors.append(error)
        self._on_error(error)
        outlets = [outlet for each in self._streams for outlet in each.outlets]
        if isinstance(error, SinkError) and not any(outlet.working and outlet.sink.is_essential for outlet in outlets):
            self._stop.set()

    async def shut_down(self) -> None:
        """End events, finish sinks, side by side, then services, which sinks may have sent something to until then."""
        began = perf_counter()
        for model in self._models:
            model.end()
        for stream in self._streams:
            if self._was_opened and (error := stream.nothing_came()):
                self._fail(stream, error)
            self._close(stream)
            stream.end_events()
            for outlet in stream.outlets:
                outlet.end()
        patient = not all(stream.is_live for stream in self._streams)
        sinks = [outlet.task for stream in self._streams for outlet in stream.outlets]
        await _wait(sinks, None if patient and not self._serving else SERVED_S)
        for task in self._serving:
            task.cancel()
        await _wait(sinks, None if patient else began + OWED_S - perf_counter())
        for task in sinks:
            task.cancel()
        _settled(await _wait([*sinks, *self._serving], None if patient else began + CLOSING_S - perf_counter()))
        for stream in self._streams:
            stream.report.wall_s = perf_counter() - self._began
            stream.report.warnings = [*stream.source.warnings, *stream.losses()]
        self._on_end()
        _settled(await _wait(self._closing.values(), began + CLOSING_S - perf_counter()))


async def _wait(futures: Any, timeout_s: float | None) -> set[asyncio.Future[Any]]:
    """Those that were done in time."""
    waiting = list(futures)
    if not waiting:
        return set()
    done, _ = await asyncio.wait(waiting, timeout=None if timeout_s is None else max(0.0, timeout_s))
    return done


def _settled(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Let go of futures that are done: what does not end well is of no more interest."""
    for future in futures:
        if not future.cancelled():
            future.exception()


async def _result(task: asyncio.Task[None]) -> None:
    """What a service ends with; it is not cancelled with who watches it, as sinks may still need it."""
    await asyncio.shield(task)


def _first_error(failed: BaseExceptionGroup) -> BaseException:
    """The first of the errors that ended a group of tasks."""
    first = failed.exceptions[0]
    return _first_error(first) if isinstance(first, BaseExceptionGroup) else first
