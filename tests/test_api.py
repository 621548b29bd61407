"""The front door: what the README shows works, costs little, says nothing, and lets go of everything."""

import asyncio
import contextlib
import doctest
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import avstream
from avstream import api, errors
from avstream.records import VideoFrame, Window
from avstream.testing import MemorySource, ScriptedNarrator
from tests.synth import make_movie, with_siren

RATE_HZ = 16_000
OURS = ("avstream", "read", "model", "sink", "close", "capture")


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    return with_siren(make_movie(folder / "silent.mp4", audio=False), folder / "movie.mp4")


@pytest.fixture(scope="module")
def nano():
    return avstream.load("nano")


@pytest.fixture(autouse=True)
def nothing_is_left_or_said(capfd):
    """No thread, no file, no word, no handler of signals or logs."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    loggers = [*logging.root.handlers], logging.root.level
    yield
    until = time.monotonic() + 10
    while (left := kept()) and time.monotonic() < until:
        time.sleep(0.02)
    assert left == []
    assert handlers == {number: signal.getsignal(number) for number in handlers}
    assert loggers == ([*logging.root.handlers], logging.root.level)
    assert capfd.readouterr() == ("", "")


def kept():
    """Our threads, and movies that are open."""
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith(OURS)]
    files = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            files.append(os.readlink(f"/proc/self/fd/{number}"))
    return threads + [name for name in files if name.endswith(".mp4")]


@pytest.mark.parametrize("module", [avstream, api, errors])
def test_the_examples_run(module, movie, monkeypatch):
    monkeypatch.chdir(movie.parent)
    result = doctest.testmod(module)
    assert result.attempted >= 2 and result.failed == 0


def test_the_page_runs(movie, monkeypatch):
    monkeypatch.chdir(movie.parent)
    page = Path(__file__).parents[1] / "docs" / "python.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 15 and result.failed == 0


def test_importing_costs_nothing():
    code = (
        "import sys, time; before = set(sys.modules); began = time.process_time()\n"
        "import avstream; cost = time.process_time() - began\n"
        "assert set(avstream.__all__) <= set(dir(avstream))\n"
        "print(cost, {'torch', 'av', 'numpy', 'cv2', 'transformers'} & (set(sys.modules) - before))"
    )
    cost_s, came = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split(" ", 1)
    assert float(cost_s) < 0.2 and came.strip() == "set()"


def test_every_name_is_there_and_typed():
    for name in avstream.__all__:
        assert getattr(avstream, name) is not None
    assert (Path(avstream.__file__).parent / "py.typed").exists()
    with pytest.raises(AttributeError, match="nothing_such"):
        avstream.nothing_such  # noqa: B018


def test_a_movie_is_narrated_as_the_command_does(movie, nano):
    found = list(avstream.narrate(movie, nano))
    assert [n.index for n in found] == [0, 1, 2, 3] and found[1].sounds and found[1].text
    assert found[-1].focus_end_s == pytest.approx(6, abs=0.1)
    part = list(avstream.narrate(str(movie), nano, start_s=1, end_s=5, hop_s=0.5))
    assert [n.start_s for n in part] == [1, 1.5, 2]
    muted = avstream.Rules(muted={sound.label for n in found for sound in n.sounds})
    assert not any(n.sounds for n in avstream.narrate(movie, nano, rules=muted))


def test_a_source_of_your_own_in_a_running_loop_too():
    source, narrator = MemorySource(20), ScriptedNarrator(bell=[(5, 9)])

    async def notebook():
        return [n.text for n in avstream.narrate(source, narrator)]

    texts = asyncio.run(notebook())
    assert len(texts) == 18 and texts.count("a bell is ringing.") in (4, 5) and source.closed.is_set()


@pytest.mark.parametrize("how", ["break", "close", "error", "forget"])
def test_who_leaves_early_leaves_nothing(movie, how):
    narrator = ScriptedNarrator(bell=[(0, 1e9)])
    found = avstream.narrate(movie, narrator)
    assert next(found).index == 0
    if how == "close":
        found.close()
    elif how == "forget":
        del found
    elif how == "break":
        for _ in found:
            break
        del found
    else:
        with pytest.raises(ZeroDivisionError):
            for _ in found:
                1 / 0  # noqa: B018
        found.close()


def test_work_goes_on_a_little_while_you_are_slow():
    source = MemorySource(1e6)
    found = avstream.narrate(source, ScriptedNarrator())
    next(found)
    time.sleep(0.5)
    assert 5 < source.read_s < 40
    found.close()


def test_never_begun_nothing_is_opened(tmp_path):
    avstream.narrate(tmp_path / "none.mp4", ScriptedNarrator())


def test_errors_come_where_they_belong(tmp_path):
    with pytest.raises(avstream.SourceError, match="is not there") as error:
        next(avstream.narrate(tmp_path / "none.mp4", ScriptedNarrator()))
    assert error.value.fix == "check the name and the folder"
    seen = []
    with pytest.raises(avstream.SourceError, match="memory broke"):
        for n in avstream.narrate(MemorySource(30, fails_at_s=7.5), ScriptedNarrator()):
            seen.append(n.index)
    assert seen == list(range(6))
    with pytest.raises(avstream.ConfigError, match="a hop above 0 s"):
        next(avstream.narrate(MemorySource(), ScriptedNarrator(), hop_s=0))
    with pytest.raises(avstream.ConfigError, match="did you mean 'nano'"):
        avstream.load("nanoo")


def test_a_narrator_that_only_fails_is_raised():
    class Broken(ScriptedNarrator):
        def narrate_window(self, window, source):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(avstream.narrate(MemorySource(60), Broken()))


# Live


def collect(movie, *, until, narrator=None, **options):
    """What `live` gives until there is enough."""

    async def main():
        items = []
        stream = avstream.live(
            str(movie), preset=narrator or ScriptedNarrator(bell=[(0, 1e9)]), realtime=True, **options
        )
        async with contextlib.aclosing(stream):
            async for item in stream:
                items.append(item)
                if until(items):
                    break
        left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        return items, left

    return asyncio.run(main())


def test_live_gives_narrations_and_events_to_the_end(movie):
    items, left = collect(movie, until=lambda items: False, name="rehearsal")
    phases = [item.phase for item in items if isinstance(item, avstream.SoundEvent)]
    assert phases[0] == "began" and phases[-1] == "ended"
    assert {item.source for item in items} == {"rehearsal"} and left == []
    assert sum(isinstance(item, avstream.Narration) for item in items) >= 3


def test_live_ends_for_who_is_slow_too(movie):
    """Its last items were still waiting to be taken when the loop gave up on them, and nobody said that it was over."""

    async def main():
        items = []
        async with asyncio.timeout(40):
            async for item in avstream.live(str(movie), preset=ScriptedNarrator(bell=[(0.0, 1e9)]), realtime=True):
                items.append(item)
                await asyncio.sleep(1.5)
        left = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        return items, left

    items, left = asyncio.run(main())
    assert items and left == set()


def test_live_left_early_lets_go(movie):
    items, left = collect(movie, until=lambda items: len(items) >= 2, repeat=True)
    assert len(items) == 2 and left == []


def test_live_cancelled_lets_go(movie):
    async def main():
        seen = asyncio.Event()

        async def listen():
            async for _ in avstream.live(str(movie), preset=ScriptedNarrator(), realtime=True, repeat=True):
                seen.set()

        task = asyncio.create_task(listen())
        await asyncio.wait_for(seen.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(100):  # the generator is closed by the loop, once it is forgotten
            if asyncio.all_tasks() == {asyncio.current_task()}:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(asyncio.all_tasks())

    asyncio.run(main())


def test_live_says_what_is_wrong(tmp_path):
    (tmp_path / "notes.mp4").write_text("nothing to see here")
    with pytest.raises(avstream.SourceError, match="can't be read"):
        collect(tmp_path / "notes.mp4", until=lambda items: False)
    with pytest.raises(avstream.ConfigError, match="needs a camera or a microphone"):
        asyncio.run(anext(avstream.live(None, "none", preset=ScriptedNarrator())))


# One window


def test_a_window_from_arrays(nano):
    samples = (0.3 * np.sin(2 * np.pi * 880 * np.arange(3 * RATE_HZ) / RATE_HZ)).astype(np.float32)
    rgb = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    found = nano.narrate(samples, RATE_HZ, rgb)
    window = Window(0, 0.0, 3.0, 0.0, 3.0, (VideoFrame(1.5, rgb),), samples[None], RATE_HZ)
    assert found.sounds == nano.narrate_window(window, "samples").sounds != () and found.key_frame.rgb is rgb
    integers = np.round(samples * 32767).astype(np.int16)
    for other in (samples.tolist(), np.stack([samples, samples]), integers):
        assert [s.label for s in nano.narrate(other, RATE_HZ).sounds] == [s.label for s in found.sounds]
    assert nano.narrate(np.zeros(RATE_HZ), RATE_HZ).text == ""


@pytest.mark.parametrize(
    ("samples", "rate_hz", "message"),
    [
        (np.zeros((48_000, 2)), RATE_HZ, "transpose them"),
        (np.zeros(4 * RATE_HZ), RATE_HZ, "up to 3 s"),
        (np.zeros(100), 10, "up to 3 s"),
        (np.zeros(100, np.int32), RATE_HZ, "int16"),
        (np.zeros(0), RATE_HZ, "int16"),
        (np.zeros((2, 3, 4)), RATE_HZ, "int16"),
        (np.full(100, np.nan), RATE_HZ, "nan_to_num"),
    ],
)
def test_arrays_of_another_form_are_refused(nano, samples, rate_hz, message):
    with pytest.raises(avstream.ConfigError, match=message):
        nano.narrate(samples, rate_hz)


def test_pictures_of_another_form_are_refused(nano):
    for picture in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(avstream.ConfigError, match="RGB uint8"):
            nano.narrate(np.zeros(RATE_HZ), RATE_HZ, picture)
