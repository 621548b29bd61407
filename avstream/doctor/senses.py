"""Checks that use what is there: they listen to the microphone for some seconds, look through a camera's address, and
see whether the memory will do. Nothing is recorded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from avstream.doctor.check import Check
from avstream.errors import AvstreamError

LISTEN_S = 3.0
QUIET_DBFS = -60.0  # a person who speaks nearby is louder
NOTHING_DBFS = -119.0  # digital silence: no microphone's own noise is so low
LOOK_S = 15.0  # for a first picture
NEEDS_MIB = 350  # of memory for one stream with nano and an HD camera, by `python -m tests.soak`
FURTHER_MIB = 60  # for each further stream, by `python -m tests.memory`: 25 of 1280x720, 55 of 1920x1080


def microphone(which: str, say: Callable[[str], None]) -> Check:
    """What is heard while somebody speaks; `which` is as for --mic, and "" the default."""
    from avstream.level import loudness_dbfs
    from avstream.sources.live.microphone import MicrophoneFeed

    feed, levels, until_s = MicrophoneFeed(which), list[float](), 0.0
    try:
        for block in feed:
            if not levels:
                say(f"speak now: listening for {LISTEN_S:.0f} s")
                until_s = time.monotonic() + LISTEN_S
            levels.append(loudness_dbfs(block.samples, block.rate_hz))
            if time.monotonic() > until_s:
                break
    except AvstreamError as error:
        return Check("hearing", False, error.found, error.fix)
    finally:
        feed.close()
    loudest, quietest = max(levels), min(levels)
    found = f"{bar(loudest)} {loudest:.0f} dBFS at the loudest, {quietest:.0f} at the quietest"
    if loudest < NOTHING_DBFS:
        fix = "unmute it in the system's sound settings, or choose another one (`avstream devices`)"
        return Check("hearing", False, "nothing at all: the microphone gives digital silence", fix)
    if loudest < QUIET_DBFS:
        return Check("hearing", None, found, "if somebody spoke: turn its volume up in the system's sound settings")
    return Check("hearing", True, found)


def bar(level_dbfs: float) -> str:
    """Ten cells from -60 dBFS to 0."""
    filled = round(10 * min(1.0, max(0.0, 1 + level_dbfs / 60)))
    return "#" * filled + "." * (10 - filled)


def camera(address: str) -> Check:
    """A first picture, and whether there is sound, of an address or a camera's number."""
    from avstream.redact import hide
    from avstream.sources.address import is_device
    from avstream.sources.container import DAMAGE
    from avstream.sources.frames import SHOWN_SIDE
    from avstream.sources.live.camera import CameraFeed
    from avstream.sources.live.capture import CapturedPicture
    from avstream.sources.live.network import NetworkFeed

    name, began_s = f"camera {hide(address)}", time.monotonic()
    feed = CameraFeed(address) if is_device(address) else NetworkFeed(address, sound=True)
    try:
        for item in feed:
            if isinstance(item, CapturedPicture):
                height, width = item.rgb(SHOWN_SIDE).shape[:2]
                sound = ", with sound" if getattr(feed, "has_sound", False) else ", without sound"
                took_s = time.monotonic() - began_s
                return Check(name, True, f"{width}x{height}, first picture after {took_s:.1f} s{sound}")
            if time.monotonic() - began_s > LOOK_S:
                break
    except AvstreamError as error:
        return Check(name, False, error.found, error.fix)
    except DAMAGE as error:
        return Check(name, False, f"its pictures can't be converted ({error})", "choose another coding in the camera")
    finally:
        feed.close()
    return Check(name, False, f"no picture for {LOOK_S:.0f} s", "check that it sends one")


def memory() -> Check:
    """Whether the memory is enough for a stream, and for how many."""
    free_mib = free_memory_mib()
    if free_mib is None:
        return Check("memory", None, "how much is free is not known here", f"a stream needs {NEEDS_MIB} MB")
    if free_mib < NEEDS_MIB:
        return Check("memory", False, f"{free_mib} MB free, a stream needs {NEEDS_MIB} MB", "close other programs")
    more = 1 + (free_mib - NEEDS_MIB) // FURTHER_MIB
    found = f"{free_mib} MB free; nano needs {NEEDS_MIB} MB and {FURTHER_MIB} MB for each further stream: up to {more}"
    return Check("memory", True, f"{found}; a 7B preset needs 16 GB")


def free_memory_mib() -> int | None:
    """What programs can have without swapping: the machine's, or this container's where that is less."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) // 1024)
    with suppress(OSError, ValueError):
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current"))
        found.append((int(limit) - int(used)) // 2**20)
    if not found:
        with suppress(OSError, ValueError, AttributeError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**21)  # half of it, say
    return min(found) if found else None
