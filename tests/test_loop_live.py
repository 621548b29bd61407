"""The loop with live streams: never late, fair, never down, and gone within two seconds."""

import asyncio
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

from avstream import loop
from avstream import stream as stream_module
from avstream.errors import SinkError, SourceError
from avstream.events import Rules
from avstream.outlets import AHEAD
from avstream.records import AudioChunk, Problem
from avstream.stream import APART_S, FEW, Stream
from avstream.testing import MemorySource, RecordingSink, ScriptedNarrator

RATE, HOP_S, SPEED = 1000, 1.0, 20.0  # a stream second takes 50 ms
CALM = 5.0  # where no window may be dropped: a busy machine stalls for longer than 50 ms
ALWAYS = [(0.0, 1e9)]


def playing(name="memory", duration_s=1e6, speed=SPEED, **options):
    return MemorySource(duration_s, name=name, speed=speed, rate_hz=RATE, **options)


def ringer(takes_s=0.0):
    return ScriptedNarrator(takes_s, bell=ALWAYS)


def made(source, *sinks, rules=None, policy="drop_oldest"):
    return Stream(source, sinks, policy=policy, rules=rules, hop_s=HOP_S)


def numbers(sink):
    return [narration.index for narration in sink.narrations]


def run(streams, thinker, for_s=1.0, services=(), on_error=lambda error: None, at_once=1):
    """Run for a while, stop, and give how long the stop took."""

    async def main():
        stop, asked = asyncio.Event(), []
        asyncio.get_running_loop().call_later(for_s, lambda: (asked.append(time.monotonic()), stop.set()))
        try:
            await loop.run(streams, thinker, stop=stop, services=services, on_error=on_error, at_once=at_once)
        finally:
            await asyncio.sleep(0)  # for what was cancelled last
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


@pytest.mark.parametrize(("for_s", "apart_s"), [(0.6, 5.0), (1.5, APART_S)])
def test_many_streams_begin_one_after_another(for_s, apart_s, monkeypatch):
    """Also when it is stopped before all have begun."""
    monkeypatch.setattr(stream_module, "APART_S", apart_s)  # 5 s: stopped long before the second begins
    sources = [playing(str(place), speed=1.0) for place in range(FEW + 2)]
    streams = [
        Stream(source, [], policy="drop_oldest", place=place, of=len(sources)) for place, source in enumerate(sources)
    ]
    assert run(streams, ringer(), for_s=for_s) < 2.0
    read_s = [source.read_s for source in sources]
    if for_s > apart_s * len(sources):
        assert min(read_s) > 0 and read_s[0] - read_s[-1] > 0.8 * apart_s * (len(sources) - 1)
    else:
        assert read_s[0] > 0 and read_s[-1] == 0
    assert not any(stream.report.errors for stream in streams)


def test_a_stream_is_narrated_with_events_and_status():
    source, sink, bell = playing(speed=CALM), RecordingSink(), ringer()
    live = made(source, sink)
    run([live], bell, for_s=3.0)
    indices = numbers(sink)
    assert indices == sorted(indices) and len(indices) > 5
    phases = [event.phase for event in sink.events]
    assert phases[0] == "began" and phases[-1] == "ended" and set(phases[1:-1]) == {"continues"}
    assert live.report.events == 1 and live.report.windows == len(indices) == indices[-1] + 1 - live.report.dropped
    last = sink.statuses[-1]
    assert round(last.level_dbfs) == -20 and last.latency_s < HOP_S
    assert sink.closed == 1 and source.closed.is_set() and bell.threads == {"model 0"}


def test_the_level_outlives_a_moment_without_sound(monkeypatch):
    """Statuses come more often than sound does."""
    live, told = made(playing()), []
    live.outlets = [SimpleNamespace(offer=told.append)]

    def levels(*peaks):
        """What the next three statuses say, after chunks of sound with these peaks."""
        told.clear()
        for peak in peaks:
            live._note(AudioChunk(0.0, RATE, np.full((1, RATE // 10), peak, np.float32)))
        for _ in range(3):
            live.tell_status()
        return [round(status.level_dbfs) for status in told]

    assert levels() == [-120] * 3
    monkeypatch.setattr(stream_module, "LEVEL_LASTS_S", 600.0)
    assert levels(0.1, 1.0, 0.01) == [0, 0, 0]
    assert levels(0.1) == [-20, -20, -20]
    monkeypatch.setattr(stream_module, "LEVEL_LASTS_S", 0.0)
    assert levels(0.1) == [-20, -120, -120]


def test_a_busy_narrator_drops_the_oldest_and_is_never_late():
    sink = RecordingSink()
    live = made(playing(), sink)
    run([live], ringer(takes_s=0.12), for_s=2.0)  # 2.4 stream seconds a window
    indices = numbers(sink)
    assert indices == sorted(set(indices)) and live.report.dropped > 5
    assert live.report.dropped >= indices[-1] + 1 - len(indices)
    # it waited for one narration at most, and took one: 4.8 s of stream, and what a busy machine adds
    assert np.percentile(live.report.latencies_s, 90) < 4.8 + 2


def test_streams_take_turns():
    streams = [made(playing(name), RecordingSink()) for name in ("a", "b", "c")]
    bell = ringer(takes_s=0.05)
    run(streams, bell, for_s=1.5)
    counts = [[source for source, _ in bell.calls].count(name) for name in ("a", "b", "c")]
    assert min(counts) >= 3 and max(counts) - min(counts) <= 2


def test_two_threads_narrate_more_than_one_and_never_one_stream_at_once():
    class Watched:
        """Notes which sources are narrated at a time."""

        def __init__(self):
            self.bell, self.now, self.together = ringer(takes_s=0.05), [], set()

        def narrate_window(self, window, source):
            self.now.append(source)
            self.together.add(tuple(sorted(self.now)))
            narration = self.bell.narrate_window(window, source)
            self.now.remove(source)
            return narration

    windows = {}
    for at_once in (1, 2):
        streams, watched = [made(playing(name), RecordingSink()) for name in "abcd"], Watched()
        run(streams, watched, for_s=2.0, at_once=at_once)
        windows[at_once] = sum(stream.report.windows for stream in streams)
        assert max(map(len, watched.together)) == at_once
        assert all(len(set(names)) == len(names) for names in watched.together)
        for stream in streams:
            indices = numbers(stream.sinks[0])
            assert indices == sorted(set(indices)) and stream.sinks[0].closed == 1
    assert windows[2] > 1.4 * windows[1]


def test_movies_on_two_threads_lose_nothing_and_events_end_last():
    streams = [made(playing(name, duration_s=30), RecordingSink(), policy="wait") for name in "abc"]
    run(streams, ringer(takes_s=0.01), for_s=60.0, at_once=2)
    for stream in streams:
        assert numbers(stream.sinks[0]) == list(range(stream.report.windows)) and stream.report.windows >= 28
        assert stream.sinks[0].events[-1].phase == "ended"


def test_a_slow_sink_loses_its_oldest_narrations_but_no_event():
    slow, quick = RecordingSink("slow", takes_s=0.03), RecordingSink("quick")
    live = made(playing(duration_s=120), slow, quick)
    run([live], ringer(), for_s=8.0)
    assert len(quick.narrations) > AHEAD["drop_oldest"]
    assert [e.phase for e in quick.events][-1] == "ended"
    assert len(slow.narrations) < len(quick.narrations) and live.outlets[0].dropped > 0


def test_it_ends_in_two_seconds_though_everything_hangs():
    """Model, device and a sink hang; the other sink is told the end of every event and closed."""
    stuck, good = RecordingSink("stuck", takes_s=3.0), RecordingSink("good")
    hanging = ringer()
    live = made(playing(close_takes_s=3.0), stuck, good)

    def later():
        hanging.takes_s = 3.0

    threading.Timer(0.5, later).start()
    took_s = run([live], hanging, for_s=1.0)
    assert took_s < 2.0 + 0.5, "and what a busy machine adds"
    assert good.closed == 1 and good.events[-1].phase == "ended"


def test_reports_are_final_before_what_hangs_is_waited_for():
    """A device that hangs, a sink that hangs, and a service that takes no notice of being cancelled."""
    stuck, live, final = RecordingSink("stuck", takes_s=3.0), None, []

    class Deaf(Broker):
        async def run(self):
            for _ in range(2):
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(3.0)

    async def main():
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, stop.set)
        await loop.run([live], ringer(), stop=stop, services=[Deaf(fails=False)], on_end=end)
        return time.monotonic()

    def end():
        final.append((time.monotonic(), live.report.wall_s))

    live, began_s = made(playing(close_takes_s=3.0), stuck), time.monotonic()
    ended_s = asyncio.run(main())
    ((at_s, wall_s),) = final
    assert 0.5 < wall_s < at_s - began_s <= ended_s - began_s < 0.5 + 2.0 + 0.5, "and what a busy machine adds"


def test_a_sink_that_fails_costs_only_itself():
    bad, good, heard = RecordingSink("bad", fails_after=3), RecordingSink("good"), []
    live = made(playing(), bad, good)
    run([live], ringer(), on_error=heard.append)
    assert [str(error) for error in heard] == ["bad is full; make room"] == [str(error) for error in live.report.errors]
    assert len(bad.news) == 3 and bad.closed == 1 and len(good.narrations) > 8


def test_a_fault_in_a_sink_costs_only_that_sink():
    odd, good, heard = RecordingSink("odd"), RecordingSink("good"), []
    odd.status = lambda status: 1 / 0
    run([made(playing(), odd, good)], ringer(), on_error=heard.append)
    assert len(heard) == 1 and isinstance(heard[0], SinkError) and "ZeroDivisionError" in str(heard[0])
    assert len(good.narrations) > 8 and odd.closed == 1


def test_when_nobody_is_told_any_more_it_ends():
    began = time.monotonic()
    run([made(playing(), RecordingSink("bad", fails_after=3))], ringer(), for_s=60)
    assert time.monotonic() - began < 10


def test_told_to_stop_while_a_sink_opens_it_ends_in_time():
    slow, source = RecordingSink("slow"), playing()
    slow.open = lambda info: time.sleep(4)
    assert run([made(source, slow)], ringer(), for_s=0.3) < 2.5
    assert source.closed.is_set()


def test_a_stream_that_ended_has_no_events_that_go_on():
    short, other = RecordingSink("short"), RecordingSink("other")
    ended_at = []

    def event(event):
        if event.phase == "ended":
            ended_at.append(time.monotonic())

    short.event = event
    run([made(playing(duration_s=8, speed=CALM), short), made(playing("b", speed=CALM), other)], ringer(), for_s=4.0)
    assert ended_at and time.monotonic() - ended_at[0] > 1.0, "well before the other one"
    assert short.narrations[-1].end_s == pytest.approx(8, abs=0.15)
    indices = numbers(short)
    assert indices == list(range(len(indices))), "the last ones are not dropped"


def test_a_sink_that_can_not_be_opened_ends_it_at_once():
    source, good = playing(), RecordingSink("good")
    with pytest.raises(SinkError, match="can't be opened"):
        run([made(source, good, RecordingSink("bad", opens=False))], ringer(), for_s=60)
    assert good.closed == 1


def test_it_ends_when_every_stream_has_ended():
    sink = RecordingSink()
    live = [made(playing(duration_s=6), sink), made(playing(fails_at_s=4), RecordingSink())]
    run(live, ringer(), for_s=60)
    assert sink.narrations[-1].end_s == pytest.approx(6, abs=0.15) and sink.events[-1].phase == "ended"
    assert isinstance(live[1].report.errors[0], SourceError)


class Broker:
    problems = (Problem("broker_away", "hub", "the broker is away", "", 0.0),)

    def __init__(self, fails):
        self.fails, self.ended = fails, False

    async def run(self):
        try:
            await asyncio.sleep(0.2 if self.fails else 60)
            raise SinkError("wrong password")
        finally:
            self.ended = True


def test_a_service_runs_until_all_is_told():
    broker, sink = Broker(fails=False), RecordingSink()
    assert run([made(playing(), sink)], ringer(), for_s=0.5, services=[broker]) < 1
    assert broker.ended
    assert {one.found for status in sink.statuses for one in status.problems} == {"the broker is away"}


def test_a_service_is_told_to_finish_though_a_sink_hangs(monkeypatch):
    """Both in turn would take longer than there is."""
    monkeypatch.setattr(loop, "OWED_S", 8.0)
    broker, stuck, released = Broker(fails=False), RecordingSink("stuck"), threading.Event()
    stuck.close = lambda: released.wait(20)
    service_run = broker.run

    async def run_and_release():
        try:
            await service_run()
        finally:
            released.set()

    broker.run = run_and_release
    assert run([made(playing(), stuck)], ringer(), for_s=0.5, services=[broker]) < 6


def test_a_service_that_fails_for_good_ends_it():
    sink = RecordingSink()
    with pytest.raises(SinkError, match="wrong password"):
        run([made(playing(), sink)], ringer(), for_s=60, services=[Broker(fails=True)])
    assert sink.closed == 1


def test_a_fault_in_one_window_is_told_and_survived():
    sink, bell, heard = RecordingSink(), ringer(), []
    narrate_window = bell.narrate_window

    def narrate(window, source):
        if window.index in (3, 5):
            raise IndexError("out of range")
        return narrate_window(window, source)

    bell.narrate_window = narrate
    live = made(playing(speed=CALM), sink)
    run([live], bell, for_s=4.0, on_error=heard.append)
    indices = numbers(sink)
    assert {3, 5}.isdisjoint(indices) and {2, 4, 6, 7} <= set(indices)
    assert len(heard) == 1 and "internal error: IndexError: out of range" in str(heard[0])
    assert live.report.dropped == 2


def test_a_bug_in_the_narrator_is_raised():
    sink = RecordingSink()
    bell = ringer()
    bell.narrate_window = lambda window, source: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run([made(playing(), sink)], bell, for_s=60)
    assert sink.closed == 1


def test_overload_is_a_problem_while_it_lasts(monkeypatch):
    monkeypatch.setattr(stream_module, "OVERLOAD_S", 0.5)
    sink, slow = RecordingSink(), ringer(takes_s=0.2)
    threading.Timer(1.5, lambda: setattr(slow, "takes_s", 0.0)).start()
    run([made(playing(), sink)], slow, for_s=3.5)
    overloads = [[one for one in status.problems if one.kind == "overloaded"] for status in sink.statuses]
    assert any(overloads) and not overloads[0] and not overloads[-1]
    (worst,) = max(overloads, key=lambda found: found[0].found if found else "")
    assert "s of sound were not listened to" in worst.found and worst.fix
    assert 0 < worst.since_s < 1.5 * SPEED, "on the stream's own clock"


def test_a_status_says_what_is_muted_whoever_did_it():
    rules, sink = Rules(muted={"rain"}), RecordingSink()
    threading.Timer(0.5, lambda: (rules.mute("rain", False), rules.mute("bell"))).start()
    run([made(playing(), sink, rules=rules)], ringer(), for_s=1.2)
    assert sink.statuses[0].muted == ("rain",) and sink.statuses[-1].muted == ("bell",)
    assert not sink.narrations[-1].sounds and sink.events[-1].phase == "ended"


def test_a_stream_that_has_ended_is_told_of_no_more_and_its_sinks_are_closed():
    """It said that all was well for as long as any other stream went on."""
    broken, whole = playing("broken", fails_at_s=2.0), playing("whole")
    sinks = RecordingSink(), RecordingSink()
    closed_s = []
    sinks[0].close = lambda: closed_s.append(time.monotonic())
    began_s = time.monotonic()
    run([made(broken, sinks[0]), made(whole, sinks[1])], ringer(), for_s=3.0)
    assert closed_s and closed_s[0] - began_s < 2.0, "long before the other"
    assert sinks[0].statuses[-1].time_s < 10 < sinks[1].statuses[-1].time_s
    assert sinks[0].events[-1].phase == "ended"


def test_windows_of_two_streams_of_one_name_are_told_apart():
    streams = [made(playing("cam"), RecordingSink()) for _ in range(2)]
    seen = set()

    class Noting(ScriptedNarrator):
        def narrate_window(self, window, source):
            seen.add((source, window.stream))
            return super().narrate_window(window, source)

    run(streams, Noting())
    assert len(seen) == 2 and {source for source, _ in seen} == {"cam"}
