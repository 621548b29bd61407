"""A complete live source: real streams and a real sound server, which die, stall and come back."""

import threading
import time
import weakref
from itertools import pairwise

import numpy as np
import pytest

from avstream.errors import ConfigError, SourceError
from avstream.records import AudioChunk, MotionFrame, VideoFrame, Watermark
from avstream.sources.live import supervision
from avstream.sources.live.camera import CameraPicture
from avstream.sources.live.pump import Pump
from avstream.sources.live.source import LiveSource
from avstream.sources.live.supervision import Supervisor
from avstream.workers import cores
from tests.pulse import pulse_server
from tests.stream_servers import sending
from tests.synth import make_movie

SYNC_S = 0.045


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """A flash and a tone of 0.4 s, every 1.2 s when it is repeated."""
    path = tmp_path_factory.mktemp("movies") / "flash.mp4"
    return make_movie(path, duration_s=1.2, tone=(0.6, 1.0), square=(0.6, 1.0), audio_rate=48000)


@pytest.fixture(autouse=True)
def nothing_left():
    """Whatever happened, the threads of a source end."""
    yield
    deadline = time.monotonic() + 8
    while left := [t.name for t in threading.enumerate() if t.name.startswith(("capture ", "read ", "watch "))]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def read(source, *, until=lambda items: False, seconds=25.0):
    """Items up to when there is enough; the time it took must not run out."""
    items, deadline = [], time.monotonic() + seconds
    for item in source:
        items.append(item)
        if until(items):
            source.close()
            return items
        assert time.monotonic() < deadline, source.problems
    return items


def of(kind, items):
    return [item for item in items if isinstance(item, kind)]


def offsets(items):
    """Sound minus picture of each flash that has a tone near it, in seconds."""
    frames = of(MotionFrame, items)
    lit = [frame.gray[: frame.gray.shape[0] // 3, : frame.gray.shape[1] // 3].mean() > 128 for frame in frames]
    flashes = [f.time_s for f, before, now in zip(frames[1:], lit, lit[1:], strict=False) if now and not before]
    tones, loud_s = [], -1.0
    for chunk in of(AudioChunk, items):
        loud = np.flatnonzero(np.abs(chunk.samples[0]) > 0.2)
        for place in (loud[0], loud[-1]) if loud.size else ():
            at_s = chunk.start_s + place / chunk.rate_hz
            if at_s - loud_s > 0.15:
                tones.append(at_s)
            loud_s = at_s
    near = [min(tones, key=lambda tone: abs(tone - flash)) - flash for flash in flashes] if tones else []
    return [offset for offset in near if abs(offset) < 0.5]


def in_step(items):
    """Whether five of the last six flashes came with their tones. A busy machine may have played one late, for real."""
    return sum(abs(offset) <= SYNC_S for offset in offsets(items)[-6:]) >= 5


def check_items(items):
    """What holds for every live stream: one kind of sound without overlap, rising times, ceaseless watermarks."""
    chunks, frames, marks = of(AudioChunk, items), of(MotionFrame, items), of(Watermark, items)
    assert len({(chunk.rate_hz, chunk.samples.shape[0]) for chunk in chunks}) <= 1
    for before, after in pairwise(chunks):
        assert after.start_s >= before.start_s + before.samples.shape[1] / before.rate_hz - 0.5 / before.rate_hz
    assert all(chunk.samples.dtype == np.float32 and np.abs(chunk.samples).max() <= 1 for chunk in chunks)
    assert np.all(np.diff([frame.time_s for frame in frames]) > 0)
    assert np.all(np.diff([mark.time_s for mark in marks]) >= 0)
    assert all(max(frame.gray.shape) <= 320 and frame.gray.dtype == np.uint8 for frame in frames)


def test_a_stream_gives_everything_in_step(tmp_path):
    sizes = {"duration_s": 1.2, "size": (1280, 720), "audio_rate": 48000}
    large = make_movie(tmp_path / "large.mp4", tone=(0.6, 1.0), square=(0.6, 1.0), **sizes)
    with sending(large) as sender:
        source = LiveSource(camera=sender.url, microphone=None, name="kitchen")
        assert source.now_s() == 0 and source.latest() is None and source.info.name == "kitchen"
        items = read(source, until=lambda items: len(items) % 50 == 0 and len(offsets(items)) >= 3)
    check_items(items)
    assert max(abs(offset) for offset in offsets(items)) <= SYNC_S
    pictures = of(VideoFrame, items)
    seconds = pictures[-1].time_s - pictures[0].time_s
    assert len(pictures) == pytest.approx(2 * seconds + 1, abs=1.5)
    assert len(of(MotionFrame, items)) == pytest.approx(25 * seconds, rel=0.3)
    assert {frame.rgb.shape for frame in pictures} == {(378, 672, 3)}
    assert source.latest().rgb.shape == (720, 1280, 3)
    assert abs(source.info.epoch_s + source.now_s() - time.time()) < 0.05
    assert source.problems == ()


def test_picture_by_network_and_sound_by_microphone(movie, monkeypatch):
    """One ffmpeg sends the picture by UDP and plays the sound into the sound server."""
    with pulse_server() as pulse:
        for name, value in pulse.env.items():
            monkeypatch.setenv(name, value)
        with sending(movie, coding="-map 0:v -c copy", more="-map 0:a -f pulse -buffer_duration 20 beep") as sender:
            source = LiveSource(camera=sender.url, microphone="pulse")
            items = read(source, until=lambda items: len(items) % 50 == 0 and in_step(items))  # or time runs out
    check_items(items)


def test_a_killed_stream_is_reported_and_comes_back(movie):
    with sending(movie, over="http", coding="-c copy") as sender:
        source = LiveSource(camera=sender.url, microphone=None)
        reported, state = [], {"killed": False, "back": False}

        def until(items):
            if not state["killed"] and len(of(VideoFrame, items)) >= 3:
                state["lost"] = weakref.ref(source._supervisors[0].feed)
                sender.kill()
                state["killed"] = True
            elif source.problems and not reported:
                reported.extend(source.problems)
                sender.start()
                state["mark"] = len(items)
            return bool(reported) and not source.problems and len(of(VideoFrame, items[state["mark"] :])) >= 3

        items = read(source, until=until)
    check_items(items)
    assert len(reported) == 1 and reported[0].kind == "no_stream" and reported[0].retry_s == 0.5
    assert state["lost"]() is None  # with its decoder and its pictures
    assert any("the stream was lost once" in warning for warning in source.warnings)


def test_a_stalled_stream_is_reported_and_comes_back(movie):
    with sending(movie) as sender:
        source = LiveSource(camera=sender.url, microphone=None)
        times = {}

        def until(items):
            if "stalled" not in times and len(of(VideoFrame, items)) >= 3:
                sender.stall()
                times["stalled"] = time.monotonic()
            elif "stalled" in times and "reported" not in times and source.problems:
                times["reported"] = time.monotonic()
                sender.resume()
                times["mark"] = len(items)
            return "reported" in times and not source.problems and len(of(VideoFrame, items[times["mark"] :])) >= 3

        items = read(source, until=until)
    check_items(items)
    assert times["reported"] - times["stalled"] < 8.0
    marks = [mark.time_s for mark in of(Watermark, items)]
    assert max(np.diff(marks)) < 3.0  # windows went on while nothing came for 5 s; a busy machine halts a thread for 2


def test_the_picture_is_lost_and_the_sound_goes_on(movie, tmp_path, monkeypatch):
    """And the other way round."""
    wav = make_movie(tmp_path / "long.wav", duration_s=60.0, tone=(0.0, 60.0), audio_rate=48000)
    with pulse_server() as pulse, sending(movie) as sender:
        for name, value in pulse.env.items():
            monkeypatch.setenv(name, value)
        pulse.play(wav)
        source = LiveSource(camera=sender.url, microphone="pulse")
        state = {"lost": 0}

        def until(items):
            recent = items[state["lost"] :]
            if not state["lost"] and of(VideoFrame, items) and of(AudioChunk, items):
                sender.kill()
                state["lost"] = len(items)
            elif "picture" not in state and source.problems:
                state["picture"] = source.problems
                state["lost"] = len(items)
            elif "picture" in state and "back" not in state and len(of(AudioChunk, recent)) > 5:
                sender.start()
                state["back"] = True
            elif "back" in state and "sound" not in state and not source.problems:
                pulse.kill()
                state["sound"] = ()
            elif state.get("sound") == () and source.problems:
                state["sound"] = source.problems
                state["lost"] = len(items)
            return bool(state.get("sound")) and len(of(VideoFrame, recent)) >= 2

        read(source, until=until)
    assert len(state["picture"]) == len(state["sound"]) == 1
    assert "udp://" in state["picture"][0].source and "microphone" in state["sound"][0].source
    assert state["picture"][0].kind == "no_picture" and state["sound"][0].kind == "no_sound"


def test_nothing_there_and_still_going_on():
    source = LiveSource(camera="63", microphone="none", name="attic")
    items = read(source, until=lambda items: len(items) >= 12)
    assert set(map(type, items)) == {Watermark}
    assert items[-1].time_s > 0.3
    (problem,) = source.problems
    assert (
        problem.found.startswith("camera 63 is not there") and problem.fix.startswith("plug it in") and problem.retry_s
    )
    assert 0 < time.monotonic() - problem.since_s < 30
    assert source.warnings == ["attic: the picture never came"]
    assert source.reached_s is None


def test_a_file_plays_to_its_end(movie):
    source = LiveSource(camera=str(movie), microphone=None, realtime=True)
    items = read(source)
    check_items(items)
    assert max(abs(offset) for offset in offsets(items)) <= SYNC_S
    assert source.reached_s == pytest.approx(1.2, abs=0.15)
    assert source.warnings == []
    with pytest.raises(SourceError, match="read already"):
        iter(source)


def test_a_file_that_is_none_ends_in_words(tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_text("nothing to see here")
    with pytest.raises(SourceError, match=r"notes\.mp4 can't be read"):
        read(LiveSource(camera=str(path), microphone=None, realtime=True))


def test_sound_alone(tmp_path):
    """A stream without a picture, though one was hoped for."""
    movie = make_movie(tmp_path / "radio.ts", duration_s=2.0, video=False, tone=(0.0, 2.0))
    with sending(movie) as sender:
        items = read(LiveSource(camera=sender.url, microphone=None), until=lambda i: len(of(AudioChunk, i)) > 30)
    check_items(items)
    assert not of(VideoFrame, items)


def test_a_reader_that_sleeps_finds_a_bounded_past(movie):
    """Pictures and sound of the last 10 s wait; what is older is dropped and counted."""
    source = LiveSource(camera=str(movie), microphone=None, realtime=True, loop=True)
    source._inbox.take(0.0)
    for k in range(1000):
        source._inbox.put_sound(AudioChunk(k * 0.02, 16000, np.zeros((1, 320), np.float32)))
        source._inbox.put_picture(MotionFrame(k * 0.02, np.zeros((2, 2), np.uint8)))
        if k % 25 == 0:
            source._inbox.put_picture(VideoFrame(k * 0.02, np.zeros((2, 2, 3), np.uint8)))
    waiting = source._inbox.take(0.0)
    assert len(of(AudioChunk, waiting)) == len(of(MotionFrame, waiting)) == pytest.approx(501, abs=1)
    assert any("s of sound were dropped" in warning for warning in source.warnings)
    assert any(": 20 pictures were dropped" in warning for warning in source.warnings), "motion is made from the same"


def test_close_before_and_twice_and_from_elsewhere(movie):
    source = LiveSource(camera=str(movie), microphone=None, realtime=True, loop=True)
    source.close()
    assert list(source) == []
    source = LiveSource(camera=str(movie), microphone=None, realtime=True, loop=True)
    threading.Timer(0.5, source.close).start()
    began = time.monotonic()
    list(source)
    assert time.monotonic() - began < 2.0
    source.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"camera": None, "microphone": "none"}, "needs a camera or a microphone"),
        ({"camera": "0", "microphone": "stream"}, "--mic stream is the sound of an address"),
        ({"camera": None, "microphone": "stream"}, "--mic stream is the sound of an address"),
        ({"camera": "olga:s3cret@10.0.0.7/cam", "microphone": None}, "an address begins with rtsp://"),
        ({"camera": __file__, "microphone": None}, "add --realtime .* or use `avstream file"),
    ],
)
def test_what_makes_no_sense_is_reported_at_once(options, words):
    with pytest.raises(ConfigError, match=words) as caught:
        LiveSource(**options)
    assert "s3cret" not in str(caught.value)


def test_names_hold_no_secrets():
    source = LiveSource(camera="rtsp://olga:s3cret@10.0.0.7:554/cam?token=t0p", microphone=None)
    assert source.info.name == "10.0.0.7"
    assert LiveSource(camera="0", microphone="none").info.name == "camera 0"
    assert LiveSource(camera=None, microphone=None).info.name == "microphone"


class Flaky:
    """A feed that gives one picture and is lost."""

    name = "flaky"

    @property
    def lost(self):
        return {"damaged packets": 2}

    def __iter__(self):
        yield CameraPicture(time.monotonic(), np.zeros((2, 2, 3), np.uint8))
        raise SourceError("gone")

    def close(self):
        pass


def test_pictures_that_make_no_sense_are_counted():
    class Odd(CameraPicture):
        def rgb(self, max_side):
            raise ValueError("no such pixels")

    source, now_s = LiveSource(camera="0", microphone="none"), time.monotonic()
    for picture in (Odd(now_s, np.zeros((2, 2, 3), np.uint8)), CameraPicture(now_s + 1, np.zeros((2, 2, 3), np.uint8))):
        source._take(picture)
    assert "1 pictures were of a kind that can't be read" in source.warnings[0]
    assert source.latest().rgb.shape == (2, 2, 3)


def test_pauses_grow_and_end_after_good_times(monkeypatch):
    pauses = []

    class Watched(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            if len(pauses) == 10:
                supervisor.close(0.0)
            return False

    supervisor = Supervisor("picture", Flaky, lambda item: None)
    supervisor._stop = Watched()
    supervisor.start()
    supervisor._thread.join(60)
    nominal = [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert all(0.8 * want <= pause <= 1.2 * want for pause, want in zip(pauses, nominal, strict=True))
    assert (supervisor.problem.found, supervisor.problem.retry_s) == ("gone", 30)
    pauses.clear()
    monkeypatch.setattr(supervision, "GOOD_S", 0.0)  # any connection is now a good one
    supervisor = Supervisor("picture", Flaky, lambda item: None)
    supervisor._stop = Watched()
    supervisor.start()
    supervisor._thread.join(60)
    assert max(pauses) <= 0.6
    lost, counted = supervisor.warnings
    assert lost.startswith("the picture was lost 10 times") and counted == "20 damaged packets"


def test_a_lost_connection_is_let_go():
    """Before the next one, which may last for days."""
    feeds = []

    class Long(Flaky):
        def __iter__(self):
            if len(feeds) == 1:
                yield from super().__iter__()
            closed.wait(10)

    def connect():
        feed = Long()
        feeds.append(weakref.ref(feed))
        return feed

    closed = threading.Event()
    supervisor = Supervisor("picture", connect, lambda item: None)
    supervisor.start()
    deadline = time.monotonic() + 10
    while len(feeds) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert feeds[1]() is not None and feeds[0]() is None
    closed.set()
    supervisor.close(5.0)


def test_a_fault_in_a_driver_costs_one_connection():
    """What no feed should raise is a loss like any other."""

    class Broken(Flaky):
        def __iter__(self):
            raise RuntimeError("rtsp://olga:s3cret@h/ is odd")
            yield

    supervisor = Supervisor("picture", Broken, lambda item: None)
    supervisor.start()
    deadline = time.monotonic() + 5
    while supervisor.problem is None and time.monotonic() < deadline:
        time.sleep(0.01)
    supervisor.close(1.0)
    assert supervisor.problem.found == "flaky failed (rtsp://***@h/ is odd)"


@pytest.mark.parametrize("most", [1, 2, 7, 100])
def test_a_pump_that_waits_hands_everything_over_in_order(most):
    pump: Pump[int] = Pump((number for number in range(500)), name="pump", most=most, first_s=5.0, silence_s=5.0)
    pump.waits = True
    assert list(pump) == list(range(500)) and not pump.dropped


def test_few_captured_streams_are_worked_on_at_once(movie):
    """Of many threads that want to run Python most only wake each other: all wait for one of a few locks instead."""
    sources = [LiveSource(camera=str(movie), microphone=None, realtime=True) for _ in range(3 * cores())]
    locks = {id(source._turn) for source in sources}
    assert len(locks) == max(1, cores() - 1)
    source = sources[0]
    with source._turn:
        early = read(source, until=lambda items: items[-1].time_s > 0.1 and bool(of(Watermark, items)), seconds=10.0)
    assert not of(VideoFrame, early) and not of(AudioChunk, early), "nothing is decoded out of turn"
    other = next(one for one in sources[1:] if one._turn is source._turn)
    assert of(VideoFrame, read(other)), "once it is let go, its other streams are"
    for one in sources:
        one.close()
