"""The loop with small fakes: nothing lost, order kept, failures told, cancellation leaves nothing behind."""

import asyncio
import threading
import time

import numpy as np
import pytest

from avstream.errors import SinkError, SourceError
from avstream.records import AudioChunk, Narration, StreamInfo
from avstream.run import WINDOWS_AHEAD, narrate_stream
from avstream.windows import Windower

RATE = 1000


class Tone:
    """A source of `seconds_long` seconds in half-second chunks, failing at `fails_at` seconds."""

    warnings = ("tone: one thing was lost",)
    reached_s = None

    def __init__(self, seconds_long=10, fails_at=None, endless=False):
        self.info = StreamInfo("tone", seconds_long, False, True)
        self.seconds_long, self.fails_at, self.endless = seconds_long, fails_at, endless
        self.closed, self.read_s = threading.Event(), 0.0

    def __iter__(self):
        while (self.read_s < self.seconds_long or self.endless) and not self.closed.is_set():
            if self.fails_at is not None and self.read_s >= self.fails_at:
                raise SourceError("the tone broke")
            yield AudioChunk(self.read_s, RATE, np.full((1, RATE // 2), 0.1, np.float32))
            self.read_s += 0.5

    def close(self):
        self.closed.set()


class Echo:
    """A narrator that says when."""

    def __init__(self, delay_s=0.0, fails_at=None):
        self.delay_s, self.fails_at, self.threads = delay_s, fails_at, set()

    def narrate(self, window, source):
        self.threads.add(threading.current_thread().name)
        time.sleep(self.delay_s)
        if window.index == self.fails_at:
            raise RuntimeError("a bug")
        return Narration(
            source, window.index, window.start_s, window.end_s, window.focus_start_s, window.focus_end_s,
            f"window {window.index}", (), -20.0, timings_ms={"audio": 1.0},
        )  # fmt: skip


class Collect:
    """A sink that keeps what it gets, and may be slow or fail."""

    def __init__(self, name="collect", delay_s=0.0, fails_at=None):
        self.name, self.delay_s, self.fails_at = name, delay_s, fails_at
        self.got, self.opened, self.closed = [], 0, 0

    def open(self, info):
        self.opened += 1

    def write(self, narration):
        time.sleep(self.delay_s)
        if narration.index == self.fails_at:
            raise SinkError(f"{self.name} is full")
        self.got.append(narration.index)

    def close(self):
        self.closed += 1


def narrate(source, thinker, sinks, shared=()):
    windower = Windower(has_audio=True, has_video=False)
    return asyncio.run(narrate_stream(source, windower, thinker, sinks, shared))


def our_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith(("read", "model", "sink"))]


def test_every_window_reaches_every_sink_in_order():
    thinker, fast, slow = Echo(), Collect("fast"), Collect("slow", delay_s=0.01)
    report = narrate(Tone(60), thinker, [fast, slow])
    assert fast.got == slow.got == list(range(58)) and fast.closed == slow.closed == 1
    assert len(thinker.threads) == 1 and report.windows == 58
    assert report.stream_s == pytest.approx(60) and report.silent == 58
    assert list(report.warnings) == ["tone: one thing was lost"] and not report.errors
    assert report.percentiles() == {"audio": (1.0, 1.0)}
    wait_for(lambda: not our_threads())


def test_a_failing_sink_costs_only_itself():
    good, bad = Collect("good"), Collect("bad", fails_at=3)
    report = narrate(Tone(60), Echo(), [bad, good])
    assert good.got == list(range(58)) and bad.got == [0, 1, 2] and bad.closed == 1
    assert [str(error) for error in report.errors] == ["bad is full"]


def test_a_failing_source_keeps_what_was_before():
    sink = Collect()
    report = narrate(Tone(60, fails_at=7.2), Echo(), [sink])
    assert sink.got == list(range(6)), "7.5 s of sound make the windows from 0 to 4 s and a last partial one"
    assert isinstance(report.errors[0], SourceError)


def test_a_shared_sink_is_left_open():
    shared = Collect()
    for _ in range(2):
        narrate(Tone(5), Echo(), [], [shared])
    assert shared.got == [0, 1, 2] * 2 and shared.opened == 2 and shared.closed == 0


def test_a_bug_in_the_narrator_is_raised_and_everything_closed():
    source, sink = Tone(60), Collect()
    with pytest.raises(RuntimeError, match="a bug"):
        narrate(source, Echo(fails_at=4), [sink])
    assert source.closed.is_set() and sink.closed == 1
    wait_for(lambda: not our_threads())


def test_reading_never_runs_far_ahead_of_thinking():
    source = Tone(endless=True)

    class Watch(Echo):
        ahead = 0.0

        def narrate(self, window, name):
            self.ahead = max(self.ahead, source.read_s - window.end_s)
            if window.index == 30:
                source.close()
            return super().narrate(window, name)

    watch = Watch(delay_s=0.005)
    narrate(source, watch, [Collect()])
    assert watch.ahead <= WINDOWS_AHEAD + 3


def test_cancelling_closes_everything_and_leaves_no_thread():
    source, sink = Tone(endless=True), Collect()

    async def cancelled():
        run = asyncio.create_task(
            narrate_stream(source, Windower(has_audio=True, has_video=False), Echo(delay_s=0.01), [sink])
        )
        await asyncio.sleep(0.3)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        return [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    left = asyncio.run(cancelled())
    assert source.closed.is_set() and sink.closed == 1 and len(sink.got) > 3
    assert not [name for name in left if not name.startswith("Task-")]
    wait_for(lambda: not our_threads())


def wait_for(condition, timeout_s=2.0):
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
