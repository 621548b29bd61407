"""Ctrl-C, SIGTERM and SIGHUP end a command properly: files get their names, events end. A second one ends it now, and
so does a limit on the time that this may take.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

STOPPING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # the terminal or the ssh connection was closed; Windows has none
    STOPPING.append(signal.SIGHUP)


class InterruptedBySignal(KeyboardInterrupt):
    """A signal came while no loop ran. `code` is the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class Signals:
    """While it is entered, the first signal sets `stop`, or raises InterruptedBySignal where no loop runs yet.

    `code` is 0, or the exit code of the signal that came. A second one ends the process, and so do `within_s` seconds
    from the first, or from when it was to stop otherwise; `at_once` is called before.
    """

    def __init__(self, at_once: Callable[[], None] = lambda: None, within_s: float | None = None) -> None:
        self.code, self.stop = 0, asyncio.Event()
        self._at_once, self._within_s = at_once, within_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limit: threading.Timer | None = None

    def __enter__(self) -> Self:
        in_main = threading.current_thread() is threading.main_thread()  # only there Python takes signals
        # who is started with nohup must not end with its terminal
        wanted = [number for number in STOPPING if in_main and signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._came) for number in wanted}
        return self

    def __exit__(self, *exception: object) -> None:
        if self._limit is not None:
            self._limit.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    async def stoppable(self, stop_after_s: float | None = None) -> asyncio.Event:
        """The event that a signal sets in this loop, or `stop_after_s` seconds from now."""
        self._loop = asyncio.get_running_loop()
        if stop_after_s is not None:
            self._loop.call_later(stop_after_s, self.request)
        return self.stop

    def request(self) -> None:
        """Stop soon; from any thread."""
        if self._within_s is not None and self._limit is None:
            self._limit = threading.Timer(self._within_s, self._end_now)
            self._limit.daemon = True
            self._limit.start()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.stop.set)

    def _end_now(self) -> None:
        self._at_once()
        os._exit(self.code)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self.code:
            self._end_now()
        self.code = 128 + number
        if self._loop is None or not self._loop.is_running():
            raise InterruptedBySignal(self.code)
        self.request()
