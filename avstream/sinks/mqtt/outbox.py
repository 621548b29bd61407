"""What is still to be sent, between the threads that say it and the task that sends it.

States (retained: only the newest counts) are kept by topic, messages in order. It knows no broker and no loop.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One publication. `born_s` is the monotonic time at which it was said."""

    topic: str
    payload: bytes
    retain: bool
    born_s: float


class Outbox:
    """Thread safe. Messages are kept in order until they are acknowledged, for `max_age_s`, up to `max_count` of them
    and up to `max_bytes` of payloads.

    What is older, or too much, is dropped, the oldest first, and counted in `lost`. `wake` is called, on whatever
    thread, when there is something to send.
    """

    def __init__(self, wake: Callable[[], None], *, max_age_s: float, max_count: int, max_bytes: int) -> None:
        self.lost = 0
        self._wake, self._max_age_s = wake, max_age_s
        self._max_count, self._max_bytes, self._bytes = max_count, max_bytes, 0
        self._lock = threading.Lock()
        self._states: dict[str, bytes] = {}
        self._due: dict[str, None] = {}  # topics of states to send, in order
        self._queue: deque[Message] = deque()
        self._in_flight = 0  # of the queue, from its head

    def state(self, topic: str, payload: bytes, *, again: bool = False) -> None:
        """Say a state, which the broker retains; what it is already is said again only on `again`."""
        with self._lock:
            if self._states.get(topic) == payload and not again:
                return
            self._states[topic] = payload
            self._due[topic] = None
        self._wake()

    def message(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Say something that must arrive, after all that was said before it."""
        now_s = time.monotonic()
        with self._lock:
            if retain:
                self._states[topic] = payload
                self._due.pop(topic, None)  # after `renew`: what is newer would be sent first
            self._queue.append(Message(topic, payload, retain, now_s))
            self._bytes += len(payload)
            self._trim(now_s)
        self._wake()

    def renew(self) -> None:
        """Say every state again: the broker, or who listens there, may have forgotten them."""
        with self._lock:
            coming = {message.topic for message in self._queue}  # of these the newest comes last by itself
            self._due = {topic: None for topic in self._states if topic not in coming}
        self._wake()

    def take(self, count: int) -> list[Message]:
        """Up to `count` things to send now, states first; `done` must follow once the broker has them.

        Without it, messages are taken again the next time, and states after `renew`.
        """
        now_s = time.monotonic()
        with self._lock:
            self._in_flight = 0
            self._trim(now_s)
            topics = list(self._due)[:count]
            for topic in topics:
                del self._due[topic]
            states = [Message(topic, self._states[topic], True, now_s) for topic in topics]
            queued = [self._queue[at] for at in range(min(count - len(states), len(self._queue)))]
            self._in_flight = len(queued)
        return states + queued

    def done(self, batch: Sequence[Message]) -> None:
        """Forget what has arrived."""
        arrived = set(batch)
        with self._lock:
            while self._queue and self._queue[0] in arrived:
                self._bytes -= len(self._queue.popleft().payload)
            self._in_flight = 0

    def says(self, topic: str) -> bytes | None:
        """What a state is now; None for one that was never set."""
        with self._lock:
            return self._states.get(topic)

    def give_up(self) -> None:
        """Drop and count what could not be sent: nobody will take it any more."""
        with self._lock:
            self.lost += len(self._queue)
            self._queue.clear()
            self._bytes = 0

    def _trim(self, now_s: float) -> None:
        """Drop what is too old or too much, but not what is on its way just now."""
        at = self._in_flight
        while len(self._queue) > at and (
            len(self._queue) > self._max_count
            or self._bytes > self._max_bytes
            or now_s - self._queue[at].born_s > self._max_age_s
        ):
            self._bytes -= len(self._queue[at].payload)
            del self._queue[at]
            self.lost += 1
