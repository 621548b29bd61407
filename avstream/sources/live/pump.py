"""Something that may block for ever, read on a thread of its own, so that its reader can always stop waiting.

It knows nothing of what it carries.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Pump(Generic[T]):
    """Iterates `items` on a daemon thread into a bounded queue, and hands them over in its own iteration.

    When the queue is full the thread waits if `waits` is set, else the oldest item is dropped and counted. After
    `close` the thread is left to itself: it ends, and closes `items`, as soon as `items` comes up with something.
    """

    def __init__(
        self, items: Generator[T, None, None], *, name: str, most: int, first_s: float, silence_s: float
    ) -> None:
        """`first_s` is how long the first item may take, `silence_s` every other; `most` fit into the queue."""
        self.waits, self.silence_s = False, silence_s
        self.dropped = 0
        self._source, self._most, self._first_s = items, most, first_s
        self._changed = threading.Condition()
        self._queue: deque[T] = deque()
        self._ended = self._closed = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __iter__(self) -> Iterator[T]:
        """The items, until they end or `close` is called; passes on what they raise.

        Raises TimeoutError when nothing came for too long.
        """
        self._thread.start()
        patience_s = self._first_s
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._queue or self._ended or self._closed, patience_s):
                    raise TimeoutError
                if self._closed:
                    return
                if not self._queue:
                    if self._failure is not None:
                        raise self._failure
                    return
                item = self._queue.popleft()
                self._changed.notify_all()
            patience_s = self.silence_s
            yield item

    def close(self) -> None:
        """End the iteration at once, from any thread; harmless when repeated."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()

    @property
    def is_alive(self) -> bool:
        """Whether the thread still reads, or hangs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    break
            self._source.close()
        except BaseException as error:
            if not self._closed:  # nobody will ask, and the error would hold what it went through
                self._failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Whether more is wanted."""
        with self._changed:
            if self.waits:
                self._changed.wait_for(lambda: len(self._queue) < self._most or self._closed)
            elif len(self._queue) >= self._most:
                self._queue.popleft()
                self.dropped += 1
            if not self._closed:
                self._queue.append(item)
                self._changed.notify_all()
            return not self._closed
