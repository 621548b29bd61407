"""Checks of this machine: Python, packages, codecs, a screen, devices, the folder. Each imports what it looks at."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from avstream.doctor.check import Check
from avstream.errors import AvstreamError

PACKAGES = (
    "torch", "transformers", "av", "opencv-python", "pygame-ce", "sounddevice", "aiomqtt", "numpy", "soxr", "rich",
)  # fmt: skip
DECODERS = ("h264", "hevc", "vp9", "mpeg4", "mjpeg", "aac", "opus", "mp3", "pcm_s16le")
ENCODERS = ("libx264", "aac")


def python() -> Check:
    """The interpreter."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("Python", sys.version_info >= (3, 11), found, "install Python 3.11 or newer")


def packages() -> Check:
    """Each package against what this avstream asks for."""
    from packaging.requirements import Requirement

    try:
        required = [Requirement(line) for line in metadata.requires("avstream") or []]
    except metadata.PackageNotFoundError:
        return Check("packages", None, "avstream itself is not installed", "run `pip install -e .` in its folder")
    wrong = []
    for one in required:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            there = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            there = "missing"
        if there == "missing" or not one.specifier.contains(there, prereleases=True):
            wrong.append((f"{one.name} {there}, expected {one.specifier}", f'"{one.name}{one.specifier}"'))
    if wrong:
        fix = f"run `pip install {' '.join(command for _, command in wrong)}`"
        return Check("packages", False, "; ".join(text for text, _ in wrong), fix)
    return Check("packages", True, ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES))


def codecs() -> Check:
    """What PyAV can decode and encode."""
    import av

    kinds = [(name, "r") for name in DECODERS] + [(name, "w") for name in ENCODERS]
    missing = [name for name, mode in kinds if not has_codec(av.Codec, name, mode)]
    if missing:
        return Check("codecs", False, f"PyAV lacks {', '.join(missing)}", 'run `pip install --force-reinstall "av<19"`')
    return Check("codecs", True, f"reads {', '.join(DECODERS)}; writes H.264 and AAC")


def has_codec(codec: Any, name: str, mode: str) -> bool:
    """Whether PyAV's Codec class knows a codec for reading or for writing."""
    try:
        codec(name, mode)
    except ValueError:
        return False
    return True


def display() -> Check:
    """A screen for --window, by opening one for a moment."""
    from avstream.sinks.display.sink import check_display, lacks_display

    if lacks_display():
        found = "Wayland without X" if os.environ.get("WAYLAND_DISPLAY") else "DISPLAY is not set"
        return Check("display", None, found, "for --window, start it from a desktop with X or XWayland")
    try:
        check_display()
    except AvstreamError as error:
        return Check("display", False, error.found, error.fix)
    return Check("display", True, f"a window opens on {os.environ.get('DISPLAY', 'the desktop')}")


def microphones() -> Check:
    """PortAudio and what it hears."""
    from avstream.sources import devices

    try:
        there = devices.microphones()
    except AvstreamError as error:
        return Check("microphones", False, error.found, error.fix)
    if not there:
        return Check("microphones", None, "none", devices.no_microphone())
    default = next((f", by default {one.name}" for one in there if one.default), "")
    return Check("microphones", True, f"{len(there)}{default}")


def cameras() -> Check:
    """Cameras, and the right to read them."""
    from avstream.sources import devices

    there = devices.cameras()
    refused = [one.path for one in there if not one.readable]
    if refused:
        return Check("cameras", False, f"{', '.join(refused)} may not be read", devices.MAY_READ)
    if not there:
        return Check("cameras", None, "none", devices.no_camera())
    return Check("cameras", True, ", ".join(f"{one.index} {one.name}" for one in there))


def folder() -> Check:
    """Where outputs go."""
    try:
        with tempfile.TemporaryFile(dir=Path.cwd()):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Check("this folder", False, f"can't be written to: {reason}", "go to a folder of your own")
    return Check("this folder", True, "can be written to")
