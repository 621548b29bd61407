"""Threads for blocking work, such that one that hangs can't keep the program from ending."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
M_ARENA_MAX, HEAPS = -8, 2  # of glibc's malloc.h


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_heaps() -> None:
    """Have the threads that are started from now on share two heaps. glibc gives each its own, and what it took for a
    moment stays there. Has no effect with another C library, or once there are more heaps.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)


def without_pools() -> None:
    """Have numpy and OpenCV, which must not be loaded yet, work on the thread that calls them: arrays and pictures are
    small here, and the pools' idle threads spin, which cost a seventh of a movie's CPU time.
    """
    for pool in ("OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(pool, "1")


_turns = tuple(threading.Lock() for _ in range(max(1, cores() - 1)))  # one core is the narrator's
_streams = itertools.count()


def turn() -> threading.Lock:
    """A lock to hold while working on what a stream captured, and not while waiting for more.

    All share a few: threads that all want to run Python at once wake each other again and again for nothing.
    """
    return _turns[next(_streams) % len(_turns)]


class NoAnswerError(Exception):
    """A call that did not come back in time."""


def within(limit_s: float, function: Callable[[], T], *, name: str) -> T:
    """The result of a call that may hang, on a thread of this name. Raises what it raises.

    Raises NoAnswerError when it takes longer; its thread is then left behind.
    """
    outcome: list[tuple[T | None, BaseException | None]] = []

    def call() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, name=name, daemon=True)
    thread.start()
    thread.join(limit_s)
    if not outcome:
        raise NoAnswerError
    result, error = outcome[0]
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


class Worker:
    """A daemon thread that runs what it is given, one call after another."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """The result of a function, or what it raises. A cancelled call is left to end by itself."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if not done.done():
                done.set_exception(error) if error else done.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, failure = None, None
            try:
                result = function(*arguments)
            except BaseException as error:
                failure = error
            with suppress(RuntimeError):  # the loop is gone when this took longer than was waited for
                loop.call_soon_threadsafe(settle, result, failure)

        self._calls.put(run)
        return done

    def end(self) -> None:
        """Let the thread end once it has done what it was given."""
        self._calls.put(None)

    def _work(self) -> None:
        while (run := self._calls.get()) is not None:
            run()
