"""Between something that may block for ever and its reader, who can always stop waiting: one bounded queue.

It knows nothing of what it carries.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """A bounded queue: one thread puts items in until it says `end`, another iterates over them until `close`.

    When it is full, `put` waits if `waits` is set, else the oldest item is dropped and counted.
    """

    def __init__(self, *, most: int, first_s: float, silence_s: float) -> None:
        """`first_s` is how long the first item may take, `silence_s` every other; `most` fit into the queue."""
        self.waits, self.silence_s = False, silence_s
        self.dropped = 0
        self._most, self._first_s = most, first_s
        self._changed = threading.Condition()
        self._queue: deque[T] = deque()
        self._ended = self._closed = False
        self._failure: BaseException | None = None

    def __iter__(self) -> Iterator[T]:
        """The items, until they end or `close` is called; raises what they ended with.

        Raises TimeoutError when nothing came for too long.
        """
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
                # wake the producer for half a queue, not for each item
                if self.waits and len(self._queue) == self._most // 2:
                    self._changed.notify_all()
            patience_s = self.silence_s
            yield item

    def put(self, item: T) -> bool:
        """Hand an item over; whether more is wanted."""
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

    def end(self, failure: BaseException | None = None) -> None:
        """Nothing more comes: the iteration ends after what waits, with the failure if there is one."""
        with self._changed:
            if not self._closed:  # else nobody will ask, and the error would hold what it went through
                self._failure = failure
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the iteration at once, from any thread; harmless when repeated."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()


class Pump(Handover[T]):
    """Iterates `items` on a daemon thread of its own, which starts with the iteration over the pump.

    After `close` the thread is left to itself: it ends, and closes `items`, as soon as `items` comes up with something.
    """

    def __init__(
        self, items: Generator[T, None, None], *, name: str, most: int, first_s: float, silence_s: float
    ) -> None:
        """See Handover."""
        super().__init__(most=most, first_s=first_s, silence_s=silence_s)
        self._source = items
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __iter__(self) -> Iterator[T]:
        """See Handover."""
        self._thread.start()
        yield from super().__iter__()

    @property
    def is_alive(self) -> bool:
        """Whether the thread still reads, or hangs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        failure = None
        try:
            for item in self._source:
                if not self.put(item):
                    break
            self._source.close()
        except BaseException as error:
            failure = error
        self.end(failure)
