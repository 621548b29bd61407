"""The display: a window that people watch, with the live picture, what sounds drawn in, and keys.

A thread of its own draws and hands the picture to a process of its own that shows it (`process.py` says why).
What it is given only changes the screen's state under a lock, so a slow display holds nobody up.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avstream.drawing.canvas import Picture
from avstream.drawing.screen import Screen
from avstream.errors import SinkError
from avstream.records import Narration, Sound, SoundEvent, Status, StreamInfo, VideoFrame
from avstream.redact import hide
from avstream.sinks.base import Sink
from avstream.sinks.display import process as display_process
from avstream.sinks.display.process import REPLY, REQUEST
from avstream.sinks.files import why
from avstream.wording import claim

RATE_HZ = 30.0
STILL_RATE_HZ = 12.0  # for fades and keys while no new picture comes
START_S = 20.0  # for the process to open its window, on a slow machine
CLOSE_S = 0.4  # for the thread, and then for the process, to end by themselves
ESCAPE = 27
HELP = ord("?")
INSTEAD = "or leave the window out: captions go to the terminal and over --mqtt all the same"


def lacks_display() -> bool:
    """Whether there is nothing to open a window on: neither Windows, a Mac nor an X server that is named."""
    return sys.platform not in ("win32", "darwin") and not os.environ.get("DISPLAY")


def check_display() -> None:
    """Open a window for a moment. Raises SinkError that says why none can be opened here."""
    DisplayProcess("avstream", (64, 48)).close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the window says: is it open, the key that was pressed, CLICK or -1, and its content's (width, height)."""

    is_open: bool
    key: int
    size: tuple[int, int]


class DisplayProcess:
    """The process that has the window. Opened by the constructor, which raises SinkError; so does `show`."""

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        if lacks_display():
            raise SinkError("no display: DISPLAY is not set", f"start this from a desktop, set DISPLAY, {INSTEAD}")
        program = [sys.executable, "-P", display_process.__file__, title, *map(str, size)]
        try:
            self._stderr = tempfile.TemporaryFile()
            self._process = subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
            )
        except OSError as error:
            raise SinkError(f"can't start the window: {why(error)}", f"free some memory, {INSTEAD}") from error
        assert self._process.stdin and self._process.stdout
        self._requests, self._replies = self._process.stdin, self._process.stdout
        patience = threading.Timer(START_S, self.kill)
        patience.daemon = True
        patience.start()
        try:
            self.answer = self._read()
        except SinkError:
            self.close()
            raise
        finally:
            patience.cancel()

    def show(self, rgb: Picture | None) -> Answer:
        """Show a picture, uint8 (height, width, 3), or keep the one there is, and see what the user did."""
        height, width = (0, 0) if rgb is None else rgb.shape[:2]
        try:
            self._requests.write(REQUEST.pack(width, height))
            if rgb is not None:
                self._requests.write(np.ascontiguousarray(rgb).data)
            self._requests.flush()
        except OSError:
            raise self._reason() from None
        self.answer = self._read()
        return self.answer

    def _read(self) -> Answer:
        reply = self._replies.read(REPLY.size)
        if len(reply) < REPLY.size:
            raise self._reason()
        is_open, key, width, height = REPLY.unpack(reply)
        return Answer(is_open, key, (width, height))

    def _reason(self) -> SinkError:
        """Why the process has ended, from what it wrote to standard error."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_S)
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip()
        display = os.environ.get("DISPLAY")
        if "x11 not available" in said:
            refused = "rotocol" in said or "COOKIE" in said
            found = "refuses this user (check XAUTHORITY, or xhost)" if refused else "does not answer"
            libraries = "" if refused else "install libX11 and libXext if they are missing, "
            fix = f"set DISPLAY to one that does, {libraries}{INSTEAD}"
            return SinkError(f"no display: DISPLAY={display} {found}", fix)
        if "fatal IO error" in said or "X connection to" in said:
            gone = f"its display DISPLAY={display} has ended, or has ended it"
            return SinkError(f"the window is gone: {gone}, and all else goes on", "start this again to have it back")
        if "No module named 'pygame'" in said:
            return SinkError("the window needs pygame-ce, which is missing", f"pip install pygame-ce, {INSTEAD}")
        if "no attribute 'Window'" in said:
            fix = f"pip uninstall pygame, then pip install --force-reinstall pygame-ce, {INSTEAD}"
            return SinkError("the window needs pygame-ce, and pygame is in its place", fix)
        last = said.rpartition("\n")[2].strip() or "it said nothing"
        found = f"the window has ended (exit code {self._process.poll()}): {last[:200]}"
        return SinkError(found, f"try again, {INSTEAD}")

    def kill(self) -> None:
        """End the process at once; who waits for its answer gets a SinkError. Safe from any thread."""
        self._process.kill()

    def close(self) -> None:
        """Close the window and let go of its process; harmless when repeated."""
        for pipe in (self._requests, self._replies):
            with suppress(OSError):
                pipe.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()


class DisplaySink(Sink):
    """Shows one stream. `latest` gives the picture of now, `now_s` the stream's time.

    `closed` is called once when the user closes the window or presses q or Esc, `mute` with the label that m mutes;
    both on the display's thread. Snapshots go into the folder `snapshots`. Without `flash` what is urgent stands still.
    Raises SinkError when no window can be opened, and on the next call when it has gone.
    """

    name = "display"

    def __init__(
        self,
        latest: Callable[[], VideoFrame | None],
        now_s: Callable[[], float],
        *,
        closed: Callable[[], None],
        mute: Callable[[str], None],
        size: tuple[int, int] = (1280, 720),
        snapshots: Path = Path("."),
        flash: bool = True,
    ) -> None:
        self._flash = flash
        self._latest, self._now_s, self._closed, self._mute = latest, now_s, closed, mute
        self._size, self._snapshots = size, snapshots
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._error: SinkError | None = None
        self._display: DisplayProcess | None = None
        self._thread: threading.Thread | None = None

    def open(self, info: StreamInfo) -> None:
        """Open the window."""
        self._screen = Screen(info, flash=self._flash)
        self._display = DisplayProcess(f"{hide(info.name)} - avstream", self._size)
        self._thread = threading.Thread(target=self._work, args=(self._display,), name="display", daemon=True)
        self._thread.start()

    def write(self, narration: Narration) -> None:
        """Show a narration."""
        self._check()
        with self._lock:
            self._screen.write(narration)

    def event(self, event: SoundEvent) -> None:
        """Show an event in the history."""
        self._check()
        with self._lock:
            self._screen.event(event)

    def status(self, status: Status) -> None:
        """Show how the stream is doing."""
        self._check()
        with self._lock:
            self._screen.status(status)

    def close(self) -> None:
        """Close the window; harmless when repeated."""
        self._stopping.set()
        if self._thread is None or self._display is None:
            return
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():  # the display hangs
            self._display.kill()
            self._thread.join(CLOSE_S)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    # On the display's thread

    def _work(self, display: DisplayProcess) -> None:
        try:
            with self._lock:
                self._screen.show_keys(self._now_s())
            self._show(display)
        except SinkError as error:
            self._error = error
        except Exception as error:  # it must be reported, not lost with the thread
            self._error = SinkError(f"the window failed ({type(error).__name__}: {error})", "all else goes on")
        finally:
            display.close()

    def _show(self, display: DisplayProcess) -> None:
        """Draw and look for keys until the window or the run is closed."""
        shown: VideoFrame | None = None
        drawn_s = -1.0
        while not self._stopping.is_set():
            began_s = time.monotonic()
            picture, rgb = self._latest(), None
            if picture is not shown or began_s - drawn_s >= 1 / STILL_RATE_HZ:
                shown, drawn_s = picture, began_s
                rgb = self._render(picture, display.answer.size)
            answer = display.show(rgb)
            if not answer.is_open or answer.key in (ord("q"), ESCAPE):
                if not self._stopping.is_set():
                    self._closed()
                return
            self._press(answer, picture)
            self._stopping.wait(max(0.0, began_s + 1 / RATE_HZ - time.monotonic()))

    def _render(self, picture: VideoFrame | None, size: tuple[int, int]) -> Picture:
        with self._lock:
            return self._screen.render(picture, size, self._now_s())

    def _press(self, answer: Answer, picture: VideoFrame | None) -> None:
        """Do what a key asks for."""
        key, screen = answer.key, self._screen
        if key >= 0:  # any key, and a click
            with self._lock:
                screen.see()
        if key == ord("s"):
            said = self._save(self._render(picture, answer.size))
            with self._lock:
                screen.say(said, self._now_s())
        elif key == ord("m"):
            self._mute_newest()
        with self._lock:
            if key == ord(" "):
                screen.toggle_frozen()
            elif key == ord("h"):
                screen.toggle_heatmap()
            elif key == HELP:
                screen.show_keys(self._now_s())

    def _mute_newest(self) -> None:
        with self._lock:
            label = self._screen.newest()
            if label is None:
                self._screen.say("nothing sounds that could be muted", self._now_s())
                return
            self._screen.mute(label)
            self._screen.say(f"muted: {claim(Sound(label, 1.0))}", self._now_s())
        self._mute(label)

    def _save(self, rgb: Picture) -> str:
        """Write a snapshot that overwrites nothing; what to say about it."""
        stem = time.strftime("avstream-%Y%m%d-%H%M%S")
        data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
        for name in (f"{stem}.png", *(f"{stem}-{number}.png" for number in range(2, 100))):
            try:
                with open(self._snapshots / name, "xb") as file:
                    file.write(data)
                return f"saved {name}"
            except FileExistsError:
                continue
            except OSError as error:
                return f"no snapshot saved in {self._snapshots.absolute()}: {why(error)}"
        return "no snapshot saved: too many in one second"
