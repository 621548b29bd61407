"""Ctrl-C, SIGTERM and SIGHUP end a command properly: files get their names, events end. A second one ends it now."""

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

    `code` is 0, or the exit code of the signal that came. `at_once` is called before a second one ends the process.
    """

    def __init__(self, at_once: Callable[[], None] = lambda: None) -> None:
        self.code, self.stop = 0, asyncio.Event()
        self._at_once = at_once
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        in_main = threading.current_thread() is threading.main_thread()  # only there Python takes signals
        # who is started with nohup must not end with its terminal
        wanted = [number for number in STOPPING if in_main and signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._came) for number in wanted}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    async def stoppable(self, stop_after_s: float | None = None) -> asyncio.Event:
        """The event that a signal sets in this loop, or `stop_after_s` seconds from now."""
        self._loop = asyncio.get_running_loop()
        if stop_after_s is not None:
            self._loop.call_later(stop_after_s, self.stop.set)
        return self.stop

    def request(self) -> None:
        """Stop soon; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.stop.set)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self.code:
            self._at_once()
            os._exit(self.code)
        self.code = 128 + number
        if self._loop is None or not self._loop.is_running():
            raise InterruptedBySignal(self.code)
        self.request()
