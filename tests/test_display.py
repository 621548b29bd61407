"""The display, on a real X server: what it shows, what the keys do, and what happens when the display is no use."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from avstream.errors import SinkError
from avstream.records import Narration, Sound, SoundEvent, Status, StreamInfo, VideoFrame
from avstream.sinks.display.sink import DisplaySink, check_display
from tests.display import x_server

SIZE = (640, 360)
INFO = StreamInfo("rtsp://user:secret@kitchen/live", None, True, True, *SIZE, 30.0, 1_790_000_000.0)
DOG = Sound("dog_bark", 0.97, True, None, None, -20.0)
HEAT = np.zeros((9, 16), np.float32)
HEAT[3:6, 6:10] = 1
CENTER = (192, 137)  # of the picture, in the heat
DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def display():
    with x_server() as (name, _):
        yield name


def wait_for(condition):
    end = time.monotonic() + DEADLINE_S
    while (result := condition()) is None or result is False:
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return result


class Bench:
    """A display sink with a picture, a clock and callbacks that the test holds."""

    def __init__(self, folder: Path) -> None:
        self.color = (0, 60, 160)
        self.now_s = 100.0
        self.calls: list[str] = []
        self.sink = DisplaySink(
            self.latest, lambda: self.now_s, closed=lambda: self.calls.append("closed"),
            mute=lambda label: self.calls.append(f"mute {label}"), size=SIZE, snapshots=folder, flash=False,
        )  # fmt: skip

    def latest(self) -> VideoFrame:
        return VideoFrame(self.now_s, np.full((SIZE[1], SIZE[0], 3), self.color, np.uint8))

    def tell(self, *sounds: Sound, heatmap=None) -> None:
        at = self.now_s
        self.sink.status(Status("kitchen", at, 0.4, 0, -20.0))
        self.sink.write(Narration("kitchen", 0, at - 3, at, at - 2, at - 1, "", sounds, -20.0, heatmap))
        self.later(1)

    def later(self, seconds: float) -> None:
        """Let the stream's time pass in steps of a tenth, so that what fades has faded."""
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            time.sleep(0.04)

    def is_clear(self) -> bool:
        """Whether the keys, which are shown first, have gone and the picture is seen."""
        self.now_s += 10
        return near(self.color)


@contextmanager
def opened(folder: Path):
    """A bench with its window open, and closed whatever happens."""
    bench = Bench(folder)
    try:
        bench.sink.open(INFO)
        yield bench
    finally:
        bench.sink.close()


@pytest.fixture
def bench(display, tmp_path, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)
    with opened(tmp_path) as bench:
        xdo("windowactivate", "--sync", str(window_id()))
        wait_for(bench.is_clear)
        yield bench


def xdo(*words: str) -> str:
    return subprocess.run(["xdotool", *words], check=True, capture_output=True, text=True, timeout=20).stdout


def grab() -> np.ndarray:
    """What is on the display where the window was opened: RGB uint8."""
    shell = xdo("getwindowgeometry", "--shell", str(window_id())).split()
    place = dict(line.split("=") for line in shell)
    command = ["ffmpeg", "-v", "error", "-f", "x11grab", "-draw_mouse", "0", "-video_size", f"{SIZE[0]}x{SIZE[1]}",
               "-i", f"{os.environ['DISPLAY']}+{place['X']},{place['Y']}",
               "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]  # fmt: skip
    raw = subprocess.run(command, check=True, capture_output=True, timeout=20).stdout
    return np.frombuffer(raw, np.uint8).reshape(SIZE[1], SIZE[0], 3)


def near(color, at=CENTER) -> bool:
    return bool(np.abs(grab()[at[1], at[0]].astype(int) - color).max() < 8)


def window_id() -> int:
    return int(xdo("search", "--sync", "--onlyvisible", "--class", "avstream").split()[0])


def delete_window(display: str) -> None:
    """What the cross in a window's corner sends to it."""
    send(display, b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")


def leave_full_screen(display: str) -> None:
    """What a desktop's own key for it asks of the window manager."""
    remove, manager = 0, 0x180000  # SubstructureRedirectMask | SubstructureNotifyMask
    send(display, b"_NET_WM_STATE", remove, b"_NET_WM_STATE_FULLSCREEN", mask=manager)


def send(display: str, kind: bytes, *data: int | bytes, mask: int = 0) -> None:
    """Send a client message about our window: to the window, or with a mask to the root window."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = x11.XInternAtom.restype = ctypes.c_void_p
    x11.XDefaultRootWindow.restype = ctypes.c_ulong
    x11.XDefaultRootWindow.argtypes = x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    window = window_id()
    connection = x11.XOpenDisplay(display.encode())
    kind, *data = (x11.XInternAtom(connection, a, 0) if isinstance(a, bytes) else a for a in (kind, *data))
    # XClientMessageEvent: type, serial, send_event, display, window, message_type, format, data
    event = (ctypes.c_long * 24)(33, 0, 1, connection, window, kind, 32, *data)
    x11.XSendEvent(connection, x11.XDefaultRootWindow(connection) if mask else window, 0, mask, event)
    x11.XCloseDisplay(connection)


def test_the_picture_and_the_words_are_on_the_display(bench):
    bench.tell(DOG)
    seen = wait_for(lambda: shot if (shot := grab())[300:340].max() > 240 else None)
    assert np.abs(seen[CENTER[1], CENTER[0]].astype(int) - bench.color).max() < 8
    assert "kitchen" in xdo("getwindowname", str(window_id()))
    assert "secret" not in xdo("getwindowname", str(window_id()))


def test_the_picture_follows_the_camera_and_space_freezes_it(bench):
    bench.color = (0, 160, 60)
    wait_for(lambda: near(bench.color))
    before = grab()[:80, :320]
    xdo("key", "space")
    wait_for(lambda: (grab()[:80, :320] != before).any())  # it says that the picture is frozen
    kept, bench.color = bench.color, (160, 60, 0)
    bench.tell(DOG)
    wait_for(lambda: grab()[300:340].max() > 240)  # the words go on
    assert near(kept)
    xdo("key", "space")
    wait_for(lambda: near(bench.color))


def test_h_hides_the_heat_and_brings_it_back(bench):
    def heat_is(seen: bool) -> bool:
        bench.tell(DOG, heatmap=HEAT)  # time must go on for it to fade, whenever the key is taken
        return near(bench.color) != seen

    wait_for(lambda: heat_is(True))
    for seen in (False, True):
        xdo("key", "h")
        wait_for(lambda: heat_is(seen))  # noqa: B023


def test_m_mutes_the_newest_sound(bench):
    for label, onset_s in (("rain", 90.0), ("siren", 95.0), ("dog_bark", 80.0)):
        bench.sink.event(SoundEvent(label, "kitchen", label, "continues", onset_s, None, 0.9, 0.9, -20.0))
    xdo("key", "m")
    wait_for(lambda: bench.calls == ["mute siren"])
    xdo("key", "m")
    wait_for(lambda: bench.calls == ["mute siren", "mute rain"])


def test_s_saves_what_is_seen(bench, tmp_path):
    bench.tell(DOG)
    for count in (1, 2, 3):
        xdo("key", "s")
        wait_for(lambda: len(list(tmp_path.glob("avstream-*.png"))) == count)  # noqa: B023
    oldest = min(tmp_path.glob("*.png"), key=lambda path: path.stat().st_mtime_ns)  # it is complete by now
    saved = cv2.imread(str(oldest))
    assert saved.shape == (SIZE[1], SIZE[0], 3) and saved[300:340].max() > 240


def test_a_snapshot_that_can_not_be_written_is_reported_and_nothing_else(bench, tmp_path):
    tmp_path.rmdir()
    before = grab()
    xdo("key", "s")
    wait_for(lambda: (grab() != before).any())
    bench.color = (0, 160, 60)
    wait_for(lambda: near(bench.color))
    bench.tell(DOG)


@pytest.mark.parametrize("seen_by", [("key", "x"), ("click", "1")])
def test_what_is_urgent_stays_until_a_key_or_a_click(bench, seen_by):
    def banner() -> bool:
        return bool((grab()[29:90] == (255, 214, 10)).all(axis=2).mean() > 0.3)

    bench.sink.event(SoundEvent("1", "kitchen", "alarm", "ended", 95.0, 97.0, 0.9, 0.9, -20.0, urgent=True))
    wait_for(banner)
    xdo("mousemove", "--window", str(window_id()), "300", "200")
    xdo(*seen_by)
    wait_for(lambda: not banner())
    assert bench.calls == []


@pytest.mark.parametrize("key", ["question", "F1"])
def test_the_keys_are_explained_for_a_while(bench, key):
    bench.later(1)
    before = grab()
    xdo("key", key)
    wait_for(lambda: (grab()[120:265, 300:600] != before[120:265, 300:600]).mean() > 0.3)
    bench.now_s += 10
    wait_for(lambda: (grab() == before).mean() > 0.95)


def test_capitals_are_letters_and_what_is_pressed_with_ctrl_or_alt_is_the_desktops(bench, tmp_path):
    bench.sink.event(SoundEvent("1", "kitchen", "siren", "continues", 95.0, None, 0.9, 0.9, -20.0))
    xdo("key", "ctrl+q", "alt+m", "shift+s")
    wait_for(lambda: list(tmp_path.glob("avstream-*.png")) != [])
    assert bench.calls == []
    xdo("key", "shift+m")
    wait_for(lambda: bench.calls == ["mute siren"])


def test_f_fills_the_screen_and_back(bench):
    for full in (True, False):
        xdo("key", "f")
        wait_for(lambda: fills_the_screen() == full)  # noqa: B023


def test_f_fills_the_screen_again_after_the_desktop_has_ended_it(bench, display):
    xdo("key", "f")
    wait_for(fills_the_screen)
    leave_full_screen(display)
    wait_for(lambda: not fills_the_screen())
    for full in (True, False):
        xdo("key", "f")
        wait_for(lambda: fills_the_screen() == full)  # noqa: B023


def fills_the_screen() -> bool:
    return "Geometry: 1280x800" in xdo("getwindowgeometry", str(window_id()))


def test_type_stays_sharp_when_the_window_is_resized(bench):
    xdo("windowsize", "--sync", str(window_id()), "320", "180")
    wait_for(lambda: not near(bench.color, (400, 250)))
    bench.tell(DOG)
    wait_for(lambda: grab()[150:172, :320].max() > 240)  # white type, not a gray blur of it
    assert near(bench.color, (160, 80))


@pytest.mark.parametrize("key", ["q", "Escape"])
def test_q_and_escape_close_once(bench, key):
    xdo("key", key)
    wait_for(lambda: bench.calls == ["closed"])
    assert is_ended(bench)


def test_a_window_that_the_user_closes_tells_it_once(bench, display):
    delete_window(display)
    wait_for(lambda: bench.calls == ["closed"])
    assert is_ended(bench)


def is_ended(bench: Bench) -> bool:
    """Whether the thread and the process of the window end, and what still comes is dropped quietly."""
    wait_for(lambda: not children())
    bench.tell(DOG)
    bench.sink.close()
    return bench.calls == ["closed"]


def children() -> list[int]:
    """Our processes that have a window, or had one and were not waited for: the only ones of Python."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if child.name().startswith("python"):
                found.append(child.pid)
    return found


def test_close_ends_all_of_it_and_calls_nobody(bench):
    assert children() and bench.calls == []
    bench.sink.close()
    bench.sink.close()
    wait_for(lambda: not children())
    assert bench.calls == []


def test_a_window_that_hangs_is_ended_too(bench):
    (hung,) = children()
    os.kill(hung, signal.SIGSTOP)
    bench.tell(DOG)  # who tells does not wait
    bench.sink.close()
    wait_for(lambda: not children())


@pytest.mark.parametrize("lost", ["display", "window"])
def test_what_is_lost_costs_the_window_only(tmp_path, monkeypatch, lost):
    with x_server() as (name, server):
        monkeypatch.setenv("DISPLAY", name)
        with opened(tmp_path) as bench:
            bench.tell(DOG)
            if lost == "display":
                server.kill()
            else:
                xdo("windowkill", str(window_id()))

            def reason():
                try:
                    bench.tell(DOG)
                except SinkError as error:
                    return str(error)

            assert "the window is gone: its display" in wait_for(reason)
        wait_for(lambda: not children())
    assert bench.calls == []


@pytest.mark.parametrize("name", [None, "", ":4093", "nonsense", "127.0.0.1:4093"])
def test_no_display_is_said_before_anything_breaks(name, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    if name is not None:
        monkeypatch.setenv("DISPLAY", name)
    sink = Bench(tmp_path).sink
    with pytest.raises(SinkError, match=r"no display: .*DISPLAY.* --mqtt"):
        sink.open(INFO)
    sink.close()
    with pytest.raises(SinkError, match="no display"):
        check_display()
    assert not children()


def test_a_display_that_lets_us_in_passes(display, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)
    check_display()
    assert not children()


def test_every_window_is_painted_on_a_display_without_a_window_manager(tmp_path, monkeypatch):
    """OpenCV's own windows stayed black in one start of twelve."""
    with x_server(is_managed=False) as (name, _):
        monkeypatch.setenv("DISPLAY", name)
        for _ in range(6):
            with opened(tmp_path) as bench:
                wait_for(bench.is_clear)


def test_the_window_ends_with_a_program_that_is_killed(display):
    code = (
        "import time\n"
        "from avstream.sinks.display.sink import DisplayProcess\n"
        "display = DisplayProcess('avstream', (64, 48))\n"
        "print(display._process.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "DISPLAY": display}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as program:
        pid = int(program.stdout.readline())
        os.kill(pid, signal.SIGINT)  # Ctrl-C reaches both; the window waits for what the program does about it
        time.sleep(0.5)
        assert is_running(pid)
        program.kill()
    wait_for(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
