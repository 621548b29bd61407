"""The loop with movies: nothing lost, order kept, failures told, cancellation leaves nothing behind."""

import asyncio
import doctest
import threading
import time

import pytest

from avstream import loop, testing
from avstream.errors import AvstreamError, SinkError, SourceError
from avstream.stream import WINDOWS_AHEAD, Stream
from avstream.testing import MemorySource, RecordingSink, ScriptedNarrator

SLACK = 3  # windows: one that is narrated, and a window's own length


def narrate(source, thinker, sinks, shared=(), **options):
    stream = Stream(source, sinks, shared=shared)
    asyncio.run(loop.run([stream], thinker, **options))
    return stream.report


def indices(sink):
    return [narration.index for narration in sink.narrations]


def our_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith(("read", "model", "sink", "close"))]


def test_every_window_reaches_every_sink_in_order():
    thinker, fast, slow = ScriptedNarrator(), RecordingSink("fast"), RecordingSink("slow", takes_s=0.01)
    source = MemorySource(60)
    source.warnings.append("memory: one thing was lost")
    report = narrate(source, thinker, [fast, slow])
    assert indices(fast) == indices(slow) == list(range(58)) and fast.closed == slow.closed == 1
    assert thinker.threads == {"model 0"} and report.windows == 58
    assert report.stream_s == pytest.approx(60) and report.silent == 58 and not fast.statuses
    assert report.warnings == ["memory: one thing was lost"] and not report.errors and report.exit_code == 0
    assert report.percentiles() == {"script": (0.0, 0.0)}
    wait_for(lambda: not our_threads())


def test_a_movie_has_events_before_the_narration_that_they_come_from():
    sink = RecordingSink()
    report = narrate(MemorySource(20), ScriptedNarrator(bell=[(5, 9)], rain=[(7, 30)]), [sink])
    bell, rain = ([event for event in sink.events if event.label == label] for label in ("bell", "rain"))
    assert [bell[0].phase, bell[-1].phase] == ["began", "ended"] and {event.phase for event in bell[1:-1]} == {
        "continues"
    }
    assert rain[-1].phase == "ended" and rain[-1].end_s == pytest.approx(20) and report.events == 2
    begun = sink.news.index(bell[0])
    assert "bell" in sink.news[begun + 1].text and "bell" not in sink.news[begun - 1].text


def test_what_does_not_come_is_counted_once():
    report = narrate(MemorySource(30, gaps=[(5, 8), (20, 21)]), ScriptedNarrator(), [])
    assert report.missing_s == pytest.approx(4, abs=0.2)
    report = narrate(MemorySource(30, loss=0.2, seed=3), ScriptedNarrator(), [])
    assert 3 < report.missing_s < 9


def test_a_failing_sink_costs_only_itself():
    good, bad = RecordingSink("good"), RecordingSink("bad", fails_after=3)
    report = narrate(MemorySource(60), ScriptedNarrator(), [bad, good])
    assert indices(good) == list(range(58)) and indices(bad) == [0, 1, 2] and bad.closed == 1
    assert [str(error) for error in report.errors] == ["bad is full; make room"]
    assert report.exit_code == SinkError.exit_code


def test_the_error_of_the_last_write_is_not_lost():
    report = narrate(MemorySource(10), ScriptedNarrator(), [RecordingSink(fails_after=7, takes_s=0.02)])
    assert [str(error) for error in report.errors] == ["recording is full; make room"]


def test_when_nobody_listens_any_more_it_ends():
    source = MemorySource(1e6)
    aside = RecordingSink("aside")
    aside.is_essential = False
    report = narrate(source, ScriptedNarrator(), [RecordingSink(fails_after=3), aside])
    assert source.closed.is_set() and report.windows < 100 and report.exit_code == SinkError.exit_code


def test_a_sink_that_can_not_be_opened_ends_it_at_once():
    source, good = MemorySource(1e6), RecordingSink("good")
    with pytest.raises(SinkError, match="can't be opened"):
        narrate(source, ScriptedNarrator(), [good, RecordingSink("bad", opens=False)])
    assert good.closed == 1 and source.closed.is_set() and not good.narrations
    wait_for(lambda: not our_threads())


def test_a_failing_source_keeps_what_was_before():
    sink = RecordingSink()
    report = narrate(MemorySource(60, fails_at_s=7.5), ScriptedNarrator(), [sink])
    assert indices(sink) == list(range(6)), "7.5 s of sound make the windows from 0 to 4 s and a last partial one"
    assert isinstance(report.errors[0], SourceError)


def test_a_shared_sink_is_left_open():
    shared = RecordingSink()
    for _ in range(2):
        narrate(MemorySource(5), ScriptedNarrator(), [], [shared])
    assert indices(shared) == [0, 1, 2] * 2 and len(shared.opened) == 2 and shared.closed == 0


class Faulty(ScriptedNarrator):
    def __init__(self, faults):
        super().__init__()
        self.faults = faults

    def narrate_window(self, window, source):
        if window.index in self.faults:
            raise RuntimeError("a bug")
        return super().narrate_window(window, source)


def test_a_bug_in_one_window_costs_that_window():
    sink = RecordingSink()
    report = narrate(MemorySource(20), Faulty({4, 6}), [sink])
    assert indices(sink) == [i for i in range(18) if i not in (4, 6)] and report.dropped == 2
    assert [str(error) for error in report.errors] == ["internal error: RuntimeError: a bug; the window was left out"]
    assert type(report.errors[0]) is AvstreamError and isinstance(report.errors[0].__cause__, RuntimeError)


def test_a_narrator_that_only_fails_is_raised_and_everything_closed():
    source, sink = MemorySource(60), RecordingSink()
    with pytest.raises(RuntimeError, match="a bug"):
        narrate(source, Faulty(range(4, 60)), [sink])
    assert source.closed.is_set() and sink.closed == 1
    wait_for(lambda: not our_threads())


def test_a_bug_in_a_source_is_raised():
    class Broken(MemorySource):
        def __iter__(self):
            yield from ()
            raise ZeroDivisionError

    sink = RecordingSink()
    with pytest.raises(ZeroDivisionError):
        narrate(Broken(), ScriptedNarrator(), [sink])
    assert sink.closed == 1


def test_reading_never_runs_far_ahead_of_thinking():
    source = MemorySource(1e6)

    class Watch(ScriptedNarrator):
        ahead = 0.0

        def narrate_window(self, window, name):
            self.ahead = max(self.ahead, source.read_s - window.end_s)
            if window.index == 30:
                source.close()
            return super().narrate_window(window, name)

    watch = Watch(takes_s=0.005)
    narrate(source, watch, [RecordingSink()])
    assert watch.ahead <= WINDOWS_AHEAD + SLACK


def test_the_narrator_never_runs_far_ahead_of_a_sink():
    sink, thinker = RecordingSink(takes_s=0.02), ScriptedNarrator()
    ahead = []

    class Watched(RecordingSink):
        def write(self, narration):
            super().write(narration)
            ahead.append(len(thinker.calls) - len(self.narrations))

    sink = Watched(takes_s=0.01)
    narrate(MemorySource(60), thinker, [sink])
    assert max(ahead) <= 12 and indices(sink) == list(range(58))


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_ending_early_closes_everything_and_leaves_no_thread(how):
    """What was narrated is written, and what sounds ends."""
    source, sink = MemorySource(1e6), RecordingSink()
    stream, thinker = Stream(source, [sink]), ScriptedNarrator(takes_s=0.01, bell=[(2, 1e6)])

    async def main():
        stop = asyncio.Event()
        run = asyncio.create_task(loop.run([stream], thinker, stop=stop))
        await asyncio.sleep(0.3)
        if how == "stop":
            stop.set()
            await run
        else:
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
        await asyncio.sleep(0)  # for what was cancelled last
        return [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(main()) == []
    assert source.closed.is_set() and sink.closed == 1 and len(sink.narrations) > 3
    assert len(sink.narrations) == stream.report.windows >= len(thinker.calls) - 1
    assert sink.events[-1].phase == "ended"
    wait_for(lambda: not our_threads())


def test_the_examples_in_the_docstring_run():
    assert doctest.testmod(testing).failed == 0 and doctest.testmod(testing).attempted > 5


def wait_for(condition, timeout_s=2.0):
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
