"""A feed kept alive: read on a thread of its own, and opened again, after longer and longer pauses, when it is lost.

It knows feeds and errors only.
"""

from __future__ import annotations

import gc
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

from avstream.errors import SourceError
from avstream.records import Problem, ProblemKind
from avstream.redact import hide
from avstream.sources.live.capture import CapturedPicture, CapturedSound, Feed

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
What = Literal["picture", "sound", "stream"]
KINDS: dict[What, ProblemKind] = {"picture": "no_picture", "sound": "no_sound", "stream": "no_stream"}
GOOD_S = 10.0  # a connection that held so long makes up for what was before


class Supervisor:
    """Hands every item of a feed to `take`, on a thread of its own, until `close`; `what` is what it gives.

    `problem` is what is wrong now, on the clock of time.monotonic(), or None. A feed that `ends`, as a file does, is
    read once: then `ended` is set, with the `failure` if it was no good end. `feed` is the connection of now, if any.
    """

    def __init__(
        self,
        what: What,
        connect: Callable[[], Feed],
        take: Callable[[CapturedPicture | CapturedSound], None],
        *,
        ends: bool = False,
    ) -> None:
        self.problem: Problem | None = None
        self.failure: SourceError | None = None
        self.ended = False
        self._what, self._connect, self._take, self._ends = what, connect, take, ends
        self._stop = threading.Event()
        self.feed: Feed | None = None
        self._thread = threading.Thread(target=self._run, name=f"capture {what}", daemon=True)
        self._times_lost, self._lost_s = 0, 0.0
        self._began_s = self._good_s = self._connected_s = 0.0  # of all, of the last item, of the first since
        self._came = False
        self._name: str = what
        self._counts: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to read."""
        self._began_s = time.monotonic()
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """End the reading; a device that hangs for longer than `timeout_s` is left behind."""
        self._stop.set()
        if (feed := self.feed) is not None:
            feed.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    @property
    def warnings(self) -> list[str]:
        """What was lost so far, a sentence each."""
        found = []
        if not self._came and self.problem is not None:
            found.append(f"the {self._what} never came")
        elif self._times_lost:
            times = "once" if self._times_lost == 1 else f"{self._times_lost} times"
            lost_s = self._lost_s + (time.monotonic() - self._good_s if self.problem else 0.0)
            found.append(f"the {self._what} was lost {times}, {lost_s:.0f} s in all")
        feed = self.feed
        counts = self._counts + Counter(feed.lost if feed is not None else {})
        return found + [f"{count} {what}" for what, count in counts.items()]

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            error = self._read()
            if self._stop.is_set():
                return
            if self._ends:
                self.failure, self.ended = error, True
                return
            # The error holds what it went through, a decoder with its threads and pictures too, and is held by it in
            # turn: Python would clear that up some day, and until then every loss costs megabytes.
            found, fix = (error.found, error.fix) if error else (f"the {self._what} ended", "")
            error = None
            gc.collect()
            now_s = time.monotonic()
            if self._connected_s and now_s - self._connected_s >= GOOD_S:
                pause_s = FIRST_PAUSE_S
            self._note_lost(found, fix, pause_s)
            self._stop.wait(pause_s * random.uniform(0.8, 1.2))  # so that many don't come back all at once
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _read(self) -> SourceError | None:
        """Read one connection to its end; returns what was wrong with it."""
        self._connected_s = 0.0
        feed = self._connect()
        self.feed, self._name = feed, feed.name
        if self._stop.is_set():  # close() came in between and has not seen it
            return None
        try:
            for item in feed:
                self._note_good()
                self._take(item)
                if self._stop.is_set():
                    break
        except SourceError as error:
            return error
        except Exception as error:  # a library at odds with a device: the others must go on, and so must this
            return SourceError(f"{feed.name} failed ({hide(str(error)) or type(error).__name__})", "check the device")
        finally:
            feed.close()
            self.feed = None
            self._counts += Counter(feed.lost)
        return None

    def _note_good(self) -> None:
        now_s = time.monotonic()
        self._connected_s = self._connected_s or now_s
        if self.problem is not None:
            self._lost_s += now_s - self._good_s if self._came else 0.0
            self.problem = None
        self._came, self._good_s = True, now_s

    def _note_lost(self, found: str, fix: str, pause_s: float) -> None:
        self._times_lost += self._came and self.problem is None
        since_s = self.problem.since_s if self.problem else time.monotonic()
        self.problem = Problem(KINDS[self._what], self._name, found, fix, since_s, pause_s)
