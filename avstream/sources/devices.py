"""Which microphones and cameras this machine has, and what to type for them. It reads none of them."""

from __future__ import annotations

import os
import shlex
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
from rich.console import Console
from rich.text import Text

from avstream.errors import SourceError
from avstream.sources.live import portaudio
from avstream.sources.sound_server import sound_sources
from avstream.workers import NoAnswerError, within

T = TypeVar("T")
ANSWER_S = 4.0  # what takes longer to list has hung
PROBED = 4  # where the system has no list of cameras, the first few numbers are tried
QUERYCAP = 0x80685600  # V4L2: VIDIOC_QUERYCAP
CAPABILITIES = struct.Struct("16s32s32sIII12x")  # driver, card, bus, version, of all nodes, of this node
CAPTURES = 0x1 | 0x1000  # V4L2_CAP_VIDEO_CAPTURE, and the same with several planes
MAY_READ = "run `sudo usermod -aG video $USER`, then log out and in again"  # a camera, on Linux
SERVERS = ("pulse", "pipewire")  # ALSA's names for a sound server, and these for whatever the system uses:
PLUGINS = (*SERVERS, "default", "sysdefault")
HAS_OWN = 0x8000_0000  # V4L2_CAP_DEVICE_CAPS: the last number is filled in


@dataclass(frozen=True, slots=True)
class Microphone:
    """An input of PortAudio's default host: its number, name, most channels and usual rate.

    One that the sound server has, behind PortAudio's only device, has its name there as `source`.
    """

    index: int
    name: str
    channels: int
    rate_hz: int
    default: bool
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera: its number, its device file ("" where there are none), and its name. `readable` is about rights."""

    index: int
    path: str
    name: str
    readable: bool = True


def microphones() -> list[Microphone]:
    """All that can be heard with. Raises SourceError when PortAudio is missing or hangs."""

    def look() -> list[Microphone]:
        with portaudio.session() as library:
            return inputs(library)

    return answer(ANSWER_S, look)


def inputs(library: Any) -> list[Microphone]:
    """The inputs of the default host, or of every host if that has none, as sounddevice lists them."""
    default, host = library.default.device[0], library.default.hostapi
    found = [device for device in library.query_devices() if device["max_input_channels"] > 0]
    own = [device for device in found if device["hostapi"] == host]  # others list the same devices again
    listed = [
        Microphone(
            device["index"],
            " ".join(device["name"].split()),
            device["max_input_channels"],
            round(device["default_samplerate"]),
            device["index"] == default,
        )
        for device in own or found
    ]
    server = next((one for one in listed if one.name in SERVERS), None)
    return listed if server is None else [*_behind(server), *listed]


def _behind(server: Microphone) -> list[Microphone]:
    """The inputs of a sound server, which PortAudio shows as one device of 32 channels."""
    return [
        Microphone(server.index, one.description, one.channels, one.rate_hz, one.default, one.name)
        for one in sound_sources()
    ]


def cameras() -> list[Camera]:
    """All that can be seen with, by number; one that may not be read is there too."""
    if sys.platform == "linux":
        return video_nodes(Path("/sys/class/video4linux"), Path("/dev"))
    return answer(5 * ANSWER_S, lambda: [Camera(i, "", f"camera {i}") for i in range(PROBED) if opens(i)])


def video_nodes(nodes: Path, files: Path) -> list[Camera]:
    """Linux's cameras: a webcam has several nodes, of which one gives pictures."""
    found = []
    for node in nodes.glob("video*"):
        path, number = files / node.name, node.name.removeprefix("video")
        if not number.isdigit() or not path.exists():
            continue
        try:
            name = (node / "name").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            name = node.name
        try:
            if captures(path):
                found.append(Camera(int(number), str(path), name))
        except PermissionError:
            found.append(Camera(int(number), str(path), name, readable=False))
        except OSError:  # no camera, or one that was unplugged just now
            continue
    return sorted(found, key=lambda camera: camera.index)


def captures(path: Path) -> bool:
    """Whether a V4L2 node gives pictures. Raises OSError, PermissionError among them."""
    import fcntl

    answer = bytearray(CAPABILITIES.size)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.ioctl(handle, QUERYCAP, answer)
    finally:
        os.close(handle)
    *_, device, node = CAPABILITIES.unpack(answer)
    return bool((node if device & HAS_OWN else device) & CAPTURES)


def opens(index: int) -> bool:
    """Whether a camera of this number can be opened, without a word from OpenCV when not."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(index)
    try:
        return bool(capture.isOpened())
    finally:
        capture.release()
        cv2.utils.logging.setLogLevel(before)


def answer(limit_s: float, function: Callable[[], T]) -> T:
    """What a device call gives. Raises what it raises, and SourceError when it takes longer."""
    try:
        return within(limit_s, function, name="devices")
    except NoAnswerError:
        portaudio.abandon()
        raise SourceError(
            f"the devices gave no answer for {limit_s:g} s", "restart the sound server, or unplug cameras"
        ) from None


def pick(wanted: str, there: list[Microphone]) -> Microphone:
    """The microphone of a number, of a name or of a part of one; "" is the default. Raises SourceError."""
    if not there:
        raise SourceError("no microphone", no_microphone())
    if not wanted:
        default = [one for one in there if one.default]
        # by the system's own name: it follows when another one becomes the default
        return min(default, key=lambda one: one.source is not None, default=there[0])
    low = wanted.strip().lower()
    if low.isdigit():
        found = [one for one in there if str(one.index) == low and one.source is None]
    else:
        exact = [one for one in there if low in (one.name.lower(), (one.source or "").lower())]
        found = exact or [one for one in there if low in one.name.lower()]
    if len(found) == 1:
        return found[0]
    names = "; ".join(one.name if one.source else f"{one.index} {one.name}" for one in found or there)
    if found:
        raise SourceError(
            f"several microphones are called {wanted!r}: {names}",
            "give the number of one, or its name as `avstream devices` shows it",
        )
    raise SourceError(f"no microphone is called {wanted!r}; there are: {names}", "see `avstream devices`")


def typed(microphone: Microphone, there: list[Microphone]) -> str:
    """The shortest that names one microphone on a command line, and still does when devices are renumbered."""
    names = microphone.name.partition(":")[0], microphone.name.partition(" (")[0], microphone.name, microphone.source
    for name in names:
        with suppress(SourceError):
            if name and pick(name, there) is microphone:
                return f'"{name}"' if " " in name and not set(name) & set('"$`\\!') else shlex.quote(name)
    return str(microphone.index)


def print_devices(console: Console) -> None:
    """`avstream devices`: each kind with what to type, and a command that is ready to run."""
    seen = cameras()
    try:
        heard, trouble = microphones(), f"no microphone; {no_microphone()}"
        heard = named(heard)
    except SourceError as error:
        heard, trouble = [], str(error)
    camera_rows = [(f"--camera {one.index}", describe_camera(one)) for one in seen]
    show(console, "camera", camera_rows, f"no camera; {no_camera()}")
    console.print()
    microphone_rows = [(f"--mic {typed(one, heard)}", describe_microphone(one)) for one in heard]
    show(console, "microphone", microphone_rows, trouble)
    console.print()
    cameras_to_try = [f"--camera {one.index}" for one in seen if one.readable]
    default = [f"--mic {typed(one, heard)}" for one in heard if one.default]
    words = [*cameras_to_try[:1], *(default or [typed for typed, _ in microphone_rows[:1]])]
    command = " ".join(["avstream live", *(words or ["--camera rtsp://HOST/PATH"]), "--window"])
    console.print(Text.assemble("try: ", (command, "bold")), soft_wrap=True)  # one line, to be copied


def named(there: list[Microphone]) -> list[Microphone]:
    """The microphones with names of their own: without what stands for them all, where they are known."""
    behind = [one for one in there if one.source is not None]
    return [one for one in there if one.source or one.name not in PLUGINS] if behind else there


def show(console: Console, kind: str, rows: list[tuple[str, str]], otherwise: str) -> None:
    """A table of what to type and what it is, or what to do when there is nothing."""
    if not rows:
        found, _, fix = otherwise.partition("; ")
        console.print(Text.assemble((f"{found}; ", "bold"), fix))
        return
    # What is to be typed stands first and is never cut nor wrapped: it must be copied as it is.
    wide = max(len(what) for what, _ in rows)
    for what, described in [("type this", kind), *rows]:
        style = "bold" if what == "type this" else ""
        line = Text.assemble((what, style or "cyan"), " " * (wide - len(what) + 2), (described, style))
        console.print(line, soft_wrap=True)


def describe_camera(camera: Camera) -> str:
    """What a camera is, in a row of the table."""
    rights = "" if camera.readable else f"; not yours to read: {MAY_READ}"
    return f"{camera.name} ({camera.path}{rights})" if camera.path else camera.name


def describe_microphone(microphone: Microphone) -> str:
    """What a microphone is, in a row of the table."""
    default = ", default" if microphone.default else ""
    if microphone.source is None and microphone.name in PLUGINS:  # its figures are what it could do, not what it has
        return f"{microphone.index} {microphone.name} (what the system is set to{default})"
    channels = {1: "mono", 2: "stereo"}.get(microphone.channels, f"{microphone.channels} channels")
    number = "" if microphone.source else f"{microphone.index} "
    return f"{number}{microphone.name} ({channels}, {microphone.rate_hz / 1000:g} kHz{default})"


def no_camera() -> str:
    """What to do when there is none."""
    return "plug one in, or give the address of a network camera (--camera rtsp://HOST/PATH)"


def no_microphone() -> str:
    """What to do when there is none."""
    server = os.environ.get("PULSE_SERVER")
    if server:
        return "start the sound server in PULSE_SERVER, of which nothing is heard, or unset PULSE_SERVER"
    return "plug one in, start the sound server, or use the sound of a network camera"
