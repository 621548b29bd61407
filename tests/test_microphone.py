"""A real sound server: what is played is heard, at the right time; when the server dies or hangs, that is reported."""

import shlex
import subprocess
import sys
import threading
import time
import wave

import numpy as np
import pytest
from rich.console import Console

from avstream.errors import SourceError
from avstream.sources.devices import (
    CAPABILITIES,
    Microphone,
    cameras,
    captures,
    microphones,
    pick,
    print_devices,
    typed,
    video_nodes,
)
from avstream.sources.live import portaudio
from avstream.sources.live.capture import CapturedSound
from avstream.sources.live.drift import SteadySound
from avstream.sources.live.microphone import MicrophoneFeed
from avstream.sources.live.supervision import Supervisor
from tests.pulse import pulse_server

RATE = 48_000


@pytest.fixture
def pulse(monkeypatch):
    with pulse_server() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def chirp(tmp_path_factory):
    """A WAV file of a one-second chirp, and its samples."""
    time_s = np.arange(RATE) / RATE
    samples = 0.5 * np.sin(2 * np.pi * (300 * time_s + 2000 * time_s**2))
    path = tmp_path_factory.mktemp("chirp") / "chirp.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path, samples


def find(reference, sound):
    """Where a reference begins in a sound, and the correlation there (at most 1)."""
    size = 1 << (len(sound) + len(reference)).bit_length()
    spectrum = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(reference, size))
    products = np.fft.irfft(spectrum, size)[: len(sound) - len(reference) + 1]
    at = int(np.argmax(products))
    part = sound[at : at + len(reference)]
    return at, float(products[at] / (np.linalg.norm(reference) * np.linalg.norm(part)))


@pytest.mark.parametrize("device", ["", "PULS"])
def test_a_chirp_is_heard_when_it_is_played(pulse, chirp, device):
    path, reference = chirp
    feed, steady, ended_s = MicrophoneFeed(device), SteadySound(), []
    coming = iter(feed)
    blocks = [next(coming)]
    began_s, player = time.monotonic(), pulse.play(path)
    threading.Thread(target=lambda: (player.wait(), ended_s.append(time.monotonic())), daemon=True).start()
    for block in coming:
        assert (block.rate_hz, block.samples.shape, block.samples.dtype) == (RATE, (2, RATE // 10), np.float32)
        assert 0.1 <= time.monotonic() - block.monotonic_s < 2.0
        blocks.append(block)
        if ended_s and block.monotonic_s > ended_s[0]:
            break
    coming.close()
    pieces = [piece for block in blocks for piece in steady.push(block)]
    assert player.returncode == 0
    at, correlation = find(reference, np.concatenate([block.samples[0] for block in blocks]))
    assert correlation > 0.9
    number, rest = divmod(at, RATE // 10)
    # it can't have begun before paplay did, nor ended after that had seen it out
    earliest_s, latest_s = began_s - 0.045, ended_s[0] - len(reference) / RATE + 0.045
    assert earliest_s < blocks[number].monotonic_s + rest / RATE < latest_s
    assert steady.gap_s == 0.0 and feed.lost == {}
    first = next(piece for piece in pieces if np.abs(piece.samples).max() > 0.05)
    assert earliest_s < first.monotonic_s + np.argmax(np.abs(first.samples[0]) > 0.05) / RATE < latest_s


def test_a_server_that_dies_is_reported_and_a_new_feed_hears_the_next_one(pulse):
    feed = MicrophoneFeed("pulse")
    blocks = iter(feed)
    next(blocks)
    pulse.kill()
    began = time.monotonic()
    with pytest.raises(SourceError, match="microphone pulse was lost"):
        for _ in blocks:
            assert time.monotonic() - began < 3.0
    assert time.monotonic() - began < 3.0
    with pytest.raises(SourceError, match="no microphone"):
        next(iter(MicrophoneFeed("pulse")))
    pulse.start()
    again = MicrophoneFeed("pulse")
    assert isinstance(next(iter(again)), CapturedSound)
    again.close()


def test_a_microphone_that_is_unplugged_is_reported_and_heard_again_when_it_is_back(pulse):
    feed = MicrophoneFeed("pulse")
    blocks = iter(feed)
    next(blocks)
    pulse.unplug()
    began = time.monotonic()
    with pytest.raises(SourceError, match="microphone pulse"):
        for _ in blocks:
            assert time.monotonic() - began < 10.0
    pulse.plug()
    again = MicrophoneFeed("pulse")
    assert isinstance(next(iter(again)), CapturedSound)
    again.close()


def test_two_feeds_at_once_and_one_that_fails_leaves_the_other_alone(pulse):
    first, second = MicrophoneFeed("pulse"), MicrophoneFeed("default")
    ones, twos = iter(first), iter(second)
    next(ones)
    with pytest.raises(SourceError):
        next(iter(MicrophoneFeed("no such device")))
    next(twos)
    second.close()
    assert list(twos) == []
    assert len([next(ones) for _ in range(3)]) == 3
    first.close()


def test_close_from_another_thread_ends_the_iteration_and_lets_the_device_go(pulse):
    feed = MicrophoneFeed("pulse")
    blocks = iter(feed)
    next(blocks)
    threading.Timer(0.3, feed.close).start()
    began = time.monotonic()
    rest = list(blocks)
    assert time.monotonic() - began < 1.3
    assert rest
    assert not portaudio._streams
    assert not [thread for thread in threading.enumerate() if "microphone" in thread.name]
    feed.close()
    assert list(feed) == []


def test_a_closed_feed_opens_nothing(pulse):
    feed = MicrophoneFeed("pulse")
    feed.close()
    assert list(feed) == []


LISTENS = """
import sys
from avstream.errors import SourceError
from avstream.sources.live.microphone import MicrophoneFeed
for _ in range(int(sys.argv[1])):
    try:
        for block in MicrophoneFeed(""):
            print("heard", flush=True)
            if sys.stdin.readline() == "enough\\n":
                sys.exit()
    except SourceError as error:
        print("lost:", error, flush=True)
"""


@pytest.fixture
def listener():
    """A program that opens a feed so many times, and answers each line on its standard input with what it heard."""
    programs = []

    def start(times):
        command = [sys.executable, "-c", LISTENS, str(times)]
        programs.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1))
        assert programs[0].stdout.readline() == "heard\n"
        return programs[0]

    yield start
    for program in programs:
        program.kill()
        program.communicate()


def test_a_server_that_hangs_is_reported_and_does_not_hang_the_exit(pulse, listener):
    program = listener(1)
    pulse.freeze()
    rest, _ = program.communicate("go on\n" * 100, timeout=20)
    assert rest.splitlines()[-1].startswith("lost: the microphone gives no sound")
    assert program.returncode == 0


def test_a_server_that_hung_is_heard_again(pulse, listener):
    program = listener(100)
    pulse.freeze()
    line = ""
    while not line.startswith("lost"):
        program.stdin.write("go on\n")
        line = program.stdout.readline()
    pulse.thaw()
    while line != "heard\n":
        line = program.stdout.readline()
        assert line, "it ended without hearing anything"
    program.communicate("enough\n", timeout=20)
    assert program.returncode == 0


def test_a_slow_reader_loses_the_oldest_and_that_is_counted_and_reported(pulse, monkeypatch):
    monkeypatch.setattr("avstream.sources.live.microphone.MOST", 3)
    feed, came, go_on = MicrophoneFeed("pulse"), [], threading.Event()

    def take(block):
        came.append(block)
        go_on.wait(20)

    supervisor = Supervisor("sound", lambda: feed, take)
    supervisor.start()
    try:
        wait_until(lambda: feed.lost.get("blocks of sound dropped", 0) >= 3)
        go_on.set()
        wait_until(lambda: len(came) > 1)
    finally:
        go_on.set()
        supervisor.close(5.0)
    assert came[1].monotonic_s - came[0].monotonic_s > 0.25
    (warning,) = supervisor.warnings
    count, _, what = warning.partition(" ")
    assert int(count) >= 3 and what == "blocks of sound dropped"


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_unknown_device_is_reported_with_those_there_are(pulse):
    with pytest.raises(SourceError, match=r"no microphone is called 'USB'; there are: .*pulse.*avstream devices"):
        next(iter(MicrophoneFeed("USB")))


def test_without_the_library_the_message_says_how_to_get_it(tmp_path):
    """A Python in which PortAudio can't be found: sounddevice then raises OSError on import."""
    code = (
        "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
        "from avstream.errors import SourceError\n"
        "from avstream.sources.live.microphone import MicrophoneFeed\n"
        "try: next(iter(MicrophoneFeed('')))\n"
        "except SourceError as error: print(error)"
    )
    if sys.platform != "linux":
        pytest.skip("elsewhere the library comes with sounddevice")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "PortAudio library is missing" in done.stdout and "libportaudio2" in done.stdout
    assert done.stderr == ""


THERE = [
    Microphone(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)", 2, 44_100, False),
    Microphone(4, "USB Audio: - (hw:1,0)", 1, 48_000, False),
    Microphone(5, "USB Audio Two: - (hw:2,0)", 1, 48_000, False),
    Microphone(7, "pulse", 32, 44_100, False),
    Microphone(8, "default", 32, 44_100, True),
]


def test_a_microphone_is_picked_by_number_name_or_part():
    assert pick("", THERE).index == 8
    assert pick("4", THERE).index == 4
    assert pick("intel", THERE).index == 0
    assert pick("usb audio two", THERE).index == 5
    assert pick("PULSE", THERE).index == 7
    with pytest.raises(SourceError, match=r"several microphones are called 'usb': 4 USB Audio: - .*; 5 USB Audio Two"):
        pick("usb", THERE)
    with pytest.raises(SourceError, match="no microphone is called '2'"):
        pick("2", THERE)
    with pytest.raises(SourceError, match="no microphone"):
        pick("", [])


def test_what_is_to_be_typed_picks_that_microphone():
    for microphone in THERE:
        (word,) = shlex.split(typed(microphone, THERE))
        assert pick(word, THERE) is microphone
    assert typed(THERE[2], THERE) == '"USB Audio Two"'
    assert typed(THERE[4], THERE) == "default"
    for name in ('a "quoted" $HOME `name`', "it's", "7", "twins"):
        twins = [Microphone(1, name, 1, 1, True), Microphone(2, "twins", 1, 1, False)]
        (word,) = shlex.split(typed(twins[0], twins))
        assert pick(word, twins) is twins[0]


def test_devices_are_listed_with_what_to_type(pulse, capsys):
    assert [one.name for one in microphones() if one.default and one.source is None] == ["default"]
    print_devices(Console(width=40, highlight=False))
    shown = capsys.readouterr().out
    assert '--mic "Monitor of Null Output"' in shown, "by its true name, and however narrow the terminal is in one line"
    assert "channels" not in shown and "--mic pulse" not in shown
    assert shown.splitlines()[-1].startswith("try: avstream live ")
    assert '--mic "Monitor of Null Output" --window' in shown.splitlines()[-1]


def test_a_microphone_of_the_sound_server_is_picked_by_its_true_name(pulse, chirp):
    """Two inputs behind PortAudio's only device: each is heard, and the default one is again the default one after."""
    path, _ = chirp
    other = ["sink_name=other", "sink_properties=device.description=Kitchen"]
    pulse._control("load-module", "module-null-sink", *other, "rate=48000", "norewinds=1")
    names = [one.name for one in microphones() if one.source]
    assert "Monitor of Kitchen" in names and "Monitor of Null Output" in names

    def loudest(device: str) -> float:
        feed = MicrophoneFeed(device)
        player, peaks = None, list[float]()
        for block in feed:
            player = player or pulse.play(path)
            peaks.append(float(np.abs(block.samples).max()))
            if len(peaks) == 30:
                break
        feed.close()
        return max(peaks)

    assert loudest("kitchen") < 0.01, "nothing plays there"
    assert loudest("null output") > 0.3
    assert loudest("") > 0.3


def test_closing_the_last_microphone_does_not_start_portaudio_again(pulse, monkeypatch):
    feed = MicrophoneFeed("")
    blocks = iter(feed)
    assert next(blocks).rate_hz > 0
    started = []
    monkeypatch.setattr(sys.modules["sounddevice"], "_initialize", lambda: started.append("again"))
    feed.close()
    feed._watchdog.join(10.0)
    assert started == [] and portaudio.caveat() == "" and not feed._watchdog.is_alive()


def test_without_devices_the_list_says_what_to_try(monkeypatch, capsys):
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    if microphones() or cameras():
        pytest.skip("this machine has a microphone or a camera of its own")
    print_devices(Console(width=80, highlight=False))
    shown = capsys.readouterr().out
    assert "no microphone; " in shown and "PULSE_SERVER" in shown
    assert "no camera; " in shown
    assert shown.splitlines()[-1] == "try: avstream live --camera rtsp://HOST/PATH --window"


def test_only_nodes_that_answer_as_cameras_are_listed(tmp_path):
    nodes, files = tmp_path / "sys", tmp_path / "dev"
    (nodes / "video0").mkdir(parents=True)
    (nodes / "video7").mkdir()
    (nodes / "video0" / "name").write_text("A file\n")
    files.mkdir()
    (files / "video0").write_text("no camera")
    assert video_nodes(nodes, files) == []
    assert video_nodes(tmp_path / "missing", files) == []
    with pytest.raises(OSError):
        captures(files / "video0")
    assert CAPABILITIES.size == 104  # of struct v4l2_capability, which is in the ioctl's number
