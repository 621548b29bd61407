"""The loop for live streams with small fakes: never late, fair, never down, and gone within two seconds."""

import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from avstream import live_stream
from avstream.errors import SinkError, SourceError
from avstream.events import Rules
from avstream.live import narrate_live
from avstream.live_stream import NEWS_AHEAD, LiveStream
from avstream.records import AudioChunk, Narration, Sound, SoundEvent, Status, StreamInfo, Watermark
from avstream.windows import Windower

RATE, HOP_S, SPEED = 1000, 1.0, 20.0  # a stream second takes 50 ms
CALM = 5.0  # where no window may be dropped: a busy machine stalls for longer than 50 ms


class Tone:
    """A live source that goes `speed` times as fast as time. Before `silent_s` it has no sound."""

    problems = ()
    reached_s = None

    def __init__(self, name="tone", seconds_long=1e9, fails_at=None, close_takes_s=0.0, speed=SPEED, silent_s=0.0):
        self.info = StreamInfo(name, None, False, True, epoch_s=1e9)
        self.seconds_long, self.fails_at, self.close_takes_s = seconds_long, fails_at, close_takes_s
        self.speed, self.silent_s = speed, silent_s
        self.closed, self.warnings = threading.Event(), []
        self._began = time.monotonic()

    def now_s(self):
        return (time.monotonic() - self._began) * self.speed

    def latest(self):
        return None

    def __iter__(self):
        at = 0.0
        while at < self.seconds_long and not self.closed.is_set():
            if self.fails_at is not None and at >= self.fails_at:
                raise SourceError("the tone broke")
            time.sleep(max(0.0, (at + 0.1 - self.now_s()) / self.speed))
            if at >= self.silent_s:
                yield AudioChunk(at, RATE, np.full((1, RATE // 10), 0.1, np.float32))
            at += 0.1
            yield Watermark(at - 0.05)

    def close(self):
        self.closed.set()
        time.sleep(self.close_takes_s)


class Bell:
    """A narrator that always hears a bell, and may take its time."""

    def __init__(self, takes_s=0.0):
        self.takes_s, self.calls, self.threads = takes_s, [], set()

    def narrate(self, window, source):
        self.calls.append(source)
        self.threads.add(threading.current_thread().name)
        time.sleep(self.takes_s)
        return Narration(
            source, window.index, window.start_s, window.end_s, window.focus_start_s, window.focus_end_s,
            "a bell is ringing.", (Sound("bell", 0.9, level_dbfs=-20.0),), -20.0,
        )  # fmt: skip


class Collect:
    """A sink that keeps all it is told."""

    def __init__(self, name="collect", takes_s=0.0, fails_at=None, opens=True):
        self.name, self.takes_s, self.fails_at, self.opens = name, takes_s, fails_at, opens
        self.told, self.closed = [], 0

    def open(self, info):
        if not self.opens:
            raise SinkError(f"{self.name} can't be opened")

    def write(self, news):
        time.sleep(self.takes_s)
        if self.fails_at is not None and len(self.told) >= self.fails_at:
            raise SinkError(f"{self.name} is full")
        self.told.append(news)

    event = status = write

    def of(self, kind):
        return [news for news in self.told if isinstance(news, kind)]

    def close(self):
        self.closed += 1


def stream(source, *sinks):
    windower = Windower(hop_s=HOP_S, has_audio=True, has_video=False)
    return LiveStream(source, windower, Rules(), sinks)


def run(streams, thinker, for_s=1.0, services=(), complain=lambda error: None):
    """Run for a while, stop, and give how long the stop took."""

    async def main():
        stop, asked = asyncio.Event(), []
        asyncio.get_running_loop().call_later(for_s, lambda: (asked.append(time.monotonic()), stop.set()))
        try:
            await narrate_live(streams, thinker, stop, services, complain)
        finally:
            left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            assert not left
        return time.monotonic() - asked[0] if asked else None

    return asyncio.run(main())


def our_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith(("read", "model", "sink", "close"))]


@pytest.fixture(autouse=True)
def nothing_left_over():
    yield
    until = time.monotonic() + 10
    while our_threads() and time.monotonic() < until:
        time.sleep(0.02)
    assert not our_threads()


def test_a_stream_is_narrated_with_events_and_status():
    source, sink, bell = Tone(speed=CALM), Collect(), Bell()
    live = stream(source, sink)
    run([live], bell, for_s=3.0)
    indices = [narration.index for narration in sink.of(Narration)]
    assert indices == sorted(indices) and len(indices) > 5
    phases = [event.phase for event in sink.of(SoundEvent)]
    assert phases[0] == "began" and phases[-1] == "ended" and set(phases[1:-1]) == {"continues"}
    assert live.report.events == 1 and live.report.windows == len(indices) == indices[-1] + 1 - live.report.dropped
    last = sink.of(Status)[-1]
    assert round(last.level_dbfs) == -20 and last.latency_s < HOP_S
    assert sink.closed == 1 and source.closed.is_set() and bell.threads == {"model"}


def test_the_level_outlives_a_moment_without_sound(monkeypatch):
    """Statuses come more often than sound does."""
    live, told = stream(Tone()), []
    live.outlets = [SimpleNamespace(offer=told.append)]

    def levels(*peaks):
        """What the next three statuses say, after chunks of sound with these peaks."""
        told.clear()
        for peak in peaks:
            live.hear(AudioChunk(0.0, RATE, np.full((1, RATE // 10), peak, np.float32)))
        for _ in range(3):
            live.tell_status()
        return [round(status.level_dbfs) for status in told]

    assert levels() == [-120] * 3
    monkeypatch.setattr(live_stream, "LEVEL_LASTS_S", 600.0)
    assert levels(0.1, 1.0, 0.01) == [0, 0, 0]
    assert levels(0.1) == [-20, -20, -20]
    monkeypatch.setattr(live_stream, "LEVEL_LASTS_S", 0.0)
    assert levels(0.1) == [-20, -120, -120]


def test_sound_that_does_not_come_is_counted_once():
    source = Tone(seconds_long=10, silent_s=5)
    live, bell = stream(source, Collect()), Bell()
    for item in source:
        for window in live.windower.push(item):
            live.take(window, bell.narrate(window, "tone"))
    for window in live.windower.finish():
        live.take(window, bell.narrate(window, "tone"))
    assert live.report.missing_s == pytest.approx(5, abs=0.2)


def test_a_busy_narrator_drops_the_oldest_and_is_never_late():
    sink = Collect()
    live = stream(Tone(), sink)
    run([live], Bell(takes_s=0.12), for_s=2.0)  # 2.4 stream seconds a window
    indices = [narration.index for narration in sink.of(Narration)]
    assert indices == sorted(set(indices)) and live.report.dropped > 5
    assert live.report.dropped >= indices[-1] + 1 - len(indices)
    # it waited for one narration at most, and took one: 4.8 s of stream, and what a busy machine adds
    assert np.percentile(live.report.latencies_s, 90) < 4.8 + 2


def test_streams_take_turns():
    streams = [stream(Tone(name), Collect()) for name in ("a", "b", "c")]
    bell = Bell(takes_s=0.05)
    run(streams, bell, for_s=1.5)
    counts = [bell.calls.count(name) for name in ("a", "b", "c")]
    assert min(counts) >= 3 and max(counts) - min(counts) <= 2


def test_a_slow_sink_loses_its_oldest_narrations_but_no_event():
    slow, quick = Collect("slow", takes_s=0.03), Collect("quick")
    live = stream(Tone(seconds_long=120), slow, quick)
    run([live], Bell(), for_s=8.0)
    assert len(quick.of(Narration)) > NEWS_AHEAD
    assert [e.phase for e in quick.of(SoundEvent)][-1] == "ended"
    assert len(slow.of(Narration)) < len(quick.of(Narration)) and live.outlets[0].dropped > 0


def test_it_ends_in_two_seconds_though_everything_hangs():
    """Model, device and a sink hang; the other sink is told the end of every event and closed."""
    stuck, good = Collect("stuck", takes_s=3.0), Collect("good")
    hanging = Bell()
    live = stream(Tone(close_takes_s=3.0), stuck, good)

    def later():
        hanging.takes_s = 3.0

    threading.Timer(0.5, later).start()
    took_s = run([live], hanging, for_s=1.0)
    assert took_s < 2.0 + 0.5, "and what a busy machine adds"
    assert good.closed == 1 and good.of(SoundEvent)[-1].phase == "ended"


def test_a_sink_that_fails_costs_only_itself():
    bad, good, heard = Collect("bad", fails_at=3), Collect("good"), []
    live = stream(Tone(), bad, good)
    run([live], Bell(), complain=heard.append)
    assert [str(error) for error in heard] == ["bad is full"] == [str(error) for error in live.report.errors]
    assert len(bad.told) == 3 and bad.closed == 1 and len(good.of(Narration)) > 8


def test_a_fault_in_a_sink_costs_only_that_sink():
    odd, good, heard = Collect("odd"), Collect("good"), []
    odd.status = lambda status: 1 / 0
    run([stream(Tone(), odd, good)], Bell(), complain=heard.append)
    assert len(heard) == 1 and isinstance(heard[0], SinkError) and "ZeroDivisionError" in str(heard[0])
    assert len(good.of(Narration)) > 8 and odd.closed == 1


def test_when_nobody_is_told_any_more_it_ends():
    began = time.monotonic()
    run([stream(Tone(), Collect("bad", fails_at=3))], Bell(), for_s=60)
    assert time.monotonic() - began < 10


def test_told_to_stop_while_a_sink_opens_it_ends_in_time():
    slow, source = Collect("slow"), Tone()
    slow.open = lambda info: time.sleep(4)
    assert run([stream(source, slow)], Bell(), for_s=0.3) < 2.5
    assert source.closed.is_set()


def test_a_stream_that_ended_has_no_events_that_go_on():
    short, other = Collect("short"), Collect("other")
    ended_at = []

    def event(event):
        if event.phase == "ended":
            ended_at.append(time.monotonic())

    short.event = event
    run([stream(Tone(seconds_long=8, speed=CALM), short), stream(Tone("b", speed=CALM), other)], Bell(), for_s=4.0)
    assert ended_at and time.monotonic() - ended_at[0] > 1.0, "well before the other one"
    assert short.of(Narration)[-1].end_s == pytest.approx(8, abs=0.15)
    indices = [narration.index for narration in short.of(Narration)]
    assert indices == list(range(len(indices))), "the last ones are not dropped"


def test_a_sink_that_can_not_be_opened_ends_it_at_once():
    source, good = Tone(), Collect("good")
    with pytest.raises(SinkError, match="can't be opened"):
        run([stream(source, good, Collect("bad", opens=False))], Bell(), for_s=60)
    assert good.closed == 1


def test_it_ends_when_every_stream_has_ended():
    sink = Collect()
    live = [stream(Tone(seconds_long=6), sink), stream(Tone(fails_at=4), Collect())]
    run(live, Bell(), for_s=60)
    assert sink.of(Narration)[-1].end_s == pytest.approx(6, abs=0.15) and sink.of(SoundEvent)[-1].phase == "ended"
    assert isinstance(live[1].report.errors[0], SourceError)


class Broker:
    problems = ("the broker is away",)

    def __init__(self, fails):
        self.fails, self.ended = fails, False

    async def run(self):
        try:
            await asyncio.sleep(0.2 if self.fails else 60)
            raise SinkError("wrong password")
        finally:
            self.ended = True


def test_a_service_runs_until_all_is_told():
    broker, sink = Broker(fails=False), Collect()
    assert run([stream(Tone(), sink)], Bell(), for_s=0.5, services=[broker]) < 1
    assert broker.ended and {status.problems for status in sink.of(Status)} == {Broker.problems}


def test_a_service_is_told_to_finish_though_a_sink_hangs(monkeypatch):
    """Both in turn would take longer than there is."""
    monkeypatch.setattr(live_stream, "FAREWELL_S", 8.0)
    broker, stuck, released = Broker(fails=False), Collect("stuck"), threading.Event()
    stuck.close = lambda: released.wait(20)
    service_run = broker.run

    async def run_and_release():
        try:
            await service_run()
        finally:
            released.set()

    broker.run = run_and_release
    assert run([stream(Tone(), stuck)], Bell(), for_s=0.5, services=[broker]) < 6


def test_a_service_that_fails_for_good_ends_it():
    sink = Collect()
    with pytest.raises(SinkError, match="wrong password"):
        run([stream(Tone(), sink)], Bell(), for_s=60, services=[Broker(fails=True)])
    assert sink.closed == 1


def test_a_fault_in_one_window_is_told_and_survived():
    sink, bell, heard = Collect(), Bell(), []
    whole = bell.narrate

    def narrate(window, source):
        if window.index in (3, 5):
            raise IndexError("out of range")
        return whole(window, source)

    bell.narrate = narrate
    live = stream(Tone(speed=CALM), sink)
    run([live], bell, for_s=4.0, complain=heard.append)
    indices = [narration.index for narration in sink.of(Narration)]
    assert {3, 5}.isdisjoint(indices) and {2, 4, 6, 7} <= set(indices)
    assert len(heard) == 1 and "fault of ours: IndexError: out of range" in str(heard[0])
    assert live.report.dropped == 2


def test_a_bug_in_the_narrator_is_raised():
    sink = Collect()
    bell = Bell()
    bell.narrate = lambda window, source: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run([stream(Tone(), sink)], bell, for_s=60)
    assert sink.closed == 1
