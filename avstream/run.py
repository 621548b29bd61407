"""The loop: source -> windower -> narrator -> sinks. It knows the records and three protocols, nothing else.

Three kinds of thread: one reads and cuts windows, one thinks, and each sink has its own. They are joined by
bounded queues; a movie never drops, so a full queue makes the one before it wait.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import numpy as np

from avstream.errors import AvstreamError, SinkError, SourceError
from avstream.records import Narration, StreamInfo, StreamItem, Window
from avstream.windows import Windower
from avstream.workers import Worker, in_thread

WINDOWS_AHEAD = 4  # read ahead while the narrator thinks
NARRATIONS_AHEAD = 32  # a sink may be this far behind
KEPT_TIMES = 20_000  # of each stage: hours of them


class Source(Protocol):
    """Something that can be read once, from start to end. Reading blocks, so the loop does it on a thread."""

    @property
    def info(self) -> StreamInfo:
        """What is known of it before it is read."""
        ...

    def __iter__(self) -> Iterator[StreamItem]:
        """Items in rough order of time; the end of the stream is the end of the iteration.

        Raises SourceError when nothing (more) can be read and that is not simply the end.
        """
        ...

    @property
    def warnings(self) -> list[str]:
        """What was lost so far, counted, one sentence each; empty when all is well."""
        ...

    @property
    def reached_s(self) -> float | None:
        """Where the stream ended, once it has; None when it held nothing."""
        ...

    def close(self) -> None:
        """Let go of files and devices; harmless when repeated, and safe to call from another thread."""
        ...


class Sink(Protocol):
    """Something that narrations go to, in order. Calls block and come from one thread at a time."""

    name: str

    def open(self, info: StreamInfo) -> None:
        """Called once for each stream. Raises SinkError."""
        ...

    def write(self, narration: Narration) -> None:
        """Take one narration. Raises SinkError."""
        ...

    def close(self) -> None:
        """Finish what was written so that it is valid, also after an interruption. Raises SinkError."""
        ...


class Thinker(Protocol):
    """Window -> Narration. Always called on the same thread."""

    def narrate(self, window: Window, source: str) -> Narration:
        """Narrate one window of a source."""
        ...


@dataclass(slots=True)
class Report:
    """How a run went. Times are wall seconds; `stage_ms` has the windows' milliseconds, the last KEPT_TIMES a stage."""

    windows: int = 0
    silent: int = 0
    stream_s: float = 0.0
    wall_s: float = 0.0
    gap_s: float = 0.0
    stage_ms: dict[str, deque[float]] = field(default_factory=dict)
    errors: list[AvstreamError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def real_time_factor(self) -> float:
        """Wall seconds for a second of stream; below 1 is faster than real time."""
        return self.wall_s / self.stream_s if self.stream_s else 0.0

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """Stage -> (p50, p95) milliseconds, over the windows in which it ran."""
        return {
            name: (float(np.percentile(ms, 50)), float(np.percentile(ms, 95))) for name, ms in self.stage_ms.items()
        }

    def count(self, window: Window, narration: Narration) -> None:
        """Take one window into account."""
        self.windows += 1
        self.silent += not narration.sounds
        self.stream_s = max(self.stream_s, 0.0) + window.focus_end_s - window.focus_start_s
        self.gap_s += window.gap_s
        for name, ms in narration.timings_ms.items():
            self.stage_ms.setdefault(name, deque(maxlen=KEPT_TIMES)).append(ms)


async def narrate_stream(
    source: Source, windower: Windower, thinker: Thinker, sinks: Sequence[Sink], shared: Sequence[Sink] = ()
) -> Report:
    """Read a source to its end, narrating every window into every sink; `shared` ones are left open for the next.

    A source or a sink that fails is put into `Report.errors`; the others go on, and all that was narrated stays.
    Cancellation closes source and sinks, so files end valid, and is passed on. Errors of the narrator are raised.
    """
    report, began = Report(), perf_counter()
    windows: asyncio.Queue[Window | None] = asyncio.Queue(WINDOWS_AHEAD)
    outlets = [FileOutlet(sink, report.errors.append) for sink in [*sinks, *shared]]
    model = Worker("model")
    try:
        async with asyncio.TaskGroup() as group:
            for outlet in outlets:
                group.create_task(outlet.run(source.info), name=f"sink {outlet.sink.name}")
            group.create_task(read(source, windower, windows, report), name="read")
            group.create_task(think(windows, thinker, model, source, outlets, report), name="narrate")
    except BaseExceptionGroup as failed:
        raise first_error(failed) from None
    finally:
        source.close()
        model.end()
        await asyncio.shield(close_all(outlets, kept=shared))
        report.wall_s = perf_counter() - began
        report.warnings = source.warnings
    return report


async def read(source: Source, windower: Windower, windows: asyncio.Queue[Window | None], report: Report) -> None:
    """Read on a thread of its own until the end, an error, or cancellation."""
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def put(found: list[Window]) -> None:
        for window in found:
            if stop.is_set():
                return
            asyncio.run_coroutine_threadsafe(windows.put(window), loop).result()

    def pump() -> None:
        try:
            for item in source:
                if stop.is_set():
                    return
                put(windower.push(item))
        except SourceError as error:  # what came before it is narrated all the same
            report.errors.append(error)
        put(windower.finish(source.reached_s))

    def release() -> None:
        stop.set()
        source.close()
        while not windows.empty():  # lets a waiting put() through
            windows.get_nowait()

    await in_thread("read", pump, release)
    await windows.put(None)


async def think(
    windows: asyncio.Queue[Window | None],
    thinker: Thinker,
    model: Worker,
    source: Source,
    outlets: Sequence[FileOutlet],
    report: Report,
) -> None:
    """Narrate window after window and hand each narration to every outlet."""
    while (window := await windows.get()) is not None:
        narration = await model.call(thinker.narrate, window, source.info.name)
        report.count(window, narration)
        for outlet in outlets:
            await outlet.queue.put(narration)
    for outlet in outlets:
        await outlet.queue.put(None)


class Outlet:
    """A sink with a thread of its own. A SinkError is told to `fail`, and the sink is then left alone until its end."""

    def __init__(self, sink: Sink, fail: Callable[[AvstreamError], None]) -> None:
        self.sink, self.working = sink, True
        self._fail = fail
        self._worker = Worker(f"sink {sink.name}")

    async def call(self, function: Callable[..., None], *arguments: object) -> bool:
        """Call the sink; whether that went well."""
        try:
            await self._worker.call(function, *arguments)
        except SinkError as error:
            self.fail(error)
            return False
        return True

    def open(self, info: StreamInfo) -> Awaitable[None]:
        """Open the sink. Raises SinkError."""
        return self._worker.call(self.sink.open, info)

    def fail(self, error: SinkError) -> None:
        """Leave the sink alone from now on."""
        self.working = False
        self._fail(error)

    def end(self) -> None:
        """Let the thread end once the sink is done."""
        self._worker.end()


class FileOutlet(Outlet):
    """A sink with a queue that makes the narrator wait. When the sink fails, the queue is emptied."""

    def __init__(self, sink: Sink, fail: Callable[[AvstreamError], None]) -> None:
        super().__init__(sink, fail)
        self.queue: asyncio.Queue[Narration | None] = asyncio.Queue(NARRATIONS_AHEAD)

    async def run(self, info: StreamInfo) -> None:
        """Open the sink and write what comes, until None comes."""
        await self.call(self.sink.open, info)
        while (narration := await self.queue.get()) is not None:
            if self.working:
                await self.call(self.sink.write, narration)

    async def close(self, *, finish: bool) -> None:
        """Finish the sink, whatever happened to it, and end its thread."""
        if finish:
            await self.call(self.sink.close)
        self.end()


async def close_all(outlets: Sequence[FileOutlet], kept: Sequence[Sink]) -> None:
    """Let every outlet end, side by side, closing the sinks that are not kept."""
    await asyncio.gather(*(outlet.close(finish=outlet.sink not in kept) for outlet in outlets))


def first_error(failed: BaseExceptionGroup) -> BaseException:
    """The first of the errors that ended a group of tasks."""
    first = failed.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first
