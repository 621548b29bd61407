"""A sink with its queue and its thread, so that each sink costs only itself.

The policy says what happens when the sink is slow: the one who has news waits (movies), or the oldest news is dropped
and counted, narrations and states before events (live).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from avstream.errors import AvstreamError, SinkError
from avstream.records import Narration, SoundEvent, Status, StreamInfo
from avstream.sinks.base import Sink
from avstream.workers import Worker

AHEAD = {"wait": 8, "drop_oldest": 64}  # news that a sink may be behind
Policy = Literal["wait", "drop_oldest"]
News = Narration | SoundEvent | Status


class Outlet:
    """Passes news to a sink. What the sink raises goes to `on_error`; it is then left alone until it is closed.

    A `shared` sink is not closed: other streams use it too.
    """

    def __init__(
        self, sink: Sink, policy: Policy, on_error: Callable[[AvstreamError], None], *, shared: bool = False
    ) -> None:
        self.sink, self.working, self.dropped = sink, True, 0
        self._policy, self._ahead, self._on_error, self._shared = policy, AHEAD[policy], on_error, shared
        self._queue: deque[News] = deque()
        self._came, self._went, self._ending = asyncio.Event(), asyncio.Event(), False
        self._worker = Worker(f"sink {sink.name}")
        self.task = asyncio.create_task(self._run(), name=f"sink {sink.name}")
        self._takes: dict[type, Callable[[Any], None]] = {
            Narration: sink.write,
            SoundEvent: sink.event,
            Status: sink.status,
        }

    async def open(self, info: StreamInfo) -> None:
        """Open the sink. Raises SinkError."""
        await self._worker.call(self.sink.open, info)

    def offer(self, news: News) -> None:
        """Add news for the sink; a new status replaces one that was not passed on yet."""
        if not self.working:
            return
        if isinstance(news, Status) and self._queue and isinstance(self._queue[-1], Status):
            self._queue.pop()
        if self._policy == "drop_oldest" and len(self._queue) >= self._ahead:
            least = next((old for old in self._queue if not isinstance(old, SoundEvent)), self._queue[0])
            self._queue.remove(least)
            self.dropped += not isinstance(least, Status)
        self._queue.append(news)
        self._came.set()

    async def room(self) -> None:
        """Wait, if that is the policy, until the sink has caught up."""
        while self._policy == "wait" and self.working and len(self._queue) >= self._ahead:
            self._went.clear()
            await self._went.wait()

    def end(self) -> None:
        """Nothing more comes: pass on what is left and close the sink. Await `task` for it, or cancel that."""
        self._ending = True
        self._came.set()

    async def _run(self) -> None:
        try:
            while self._queue or not self._ending:
                if not self._queue:
                    self._came.clear()
                    await self._came.wait()
                    continue
                news = self._queue.popleft()
                self._went.set()
                if self.working:
                    await self._call(self._takes[type(news)], news)
            if not self._shared:
                await self._call(self.sink.close)
        finally:
            self._worker.end()

    async def _call(self, function: Callable[..., None], *arguments: News) -> None:
        """Call the sink; an error in one sink must not end what runs for weeks."""
        try:
            await self._worker.call(function, *arguments)
        except SinkError as error:
            self._fail(error)
        except Exception as error:
            failure = SinkError(f"{self.sink.name} failed ({type(error).__name__}: {error})", "all else goes on")
            failure.__cause__ = error
            self._fail(failure)

    def _fail(self, error: SinkError) -> None:
        self.working = False
        self._went.set()
        self._on_error(error)
