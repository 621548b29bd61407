"""The one way to PortAudio, which is not thread safe and sees new devices only when it starts anew.

Any call here may hang with the sound server. So a caller must be on a thread that may be left behind, and says
`abandon()` when it leaves one.
"""

from __future__ import annotations

import atexit
import ctypes
import ctypes.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from avstream.errors import SourceError

LOCK_S = 5.0  # a call that takes longer than this has hung
INSTALL = (
    "install it (Debian and Ubuntu: `sudo apt install libportaudio2`, Fedora: `sudo dnf install portaudio`, "
    "macOS: `brew install portaudio`)"
)

_lock = threading.Lock()
_users_source = os.environ.get("PULSE_SOURCE")
_streams: set[Any] = set()  # those of ours that are open
_orphans: set[Any] = set()  # those among them that nobody wants, and that could not be closed when that was asked


@contextmanager
def session() -> Iterator[Any]:
    """The module sounddevice, for this thread alone; its devices are those of now, unless a stream of ours is open.

    Raises SourceError when PortAudio is missing, can't start, or hangs in somebody else's call.
    """
    with _alone():
        is_old = "sounddevice" in sys.modules  # and so may be its list of devices
        library = _library()
        if is_old and not _streams:
            with suppress(library.PortAudioError):  # it did not start last time
                library._terminate()
            try:
                library._initialize()
            except library.PortAudioError as error:
                raise SourceError(f"PortAudio does not start: {reason(error)}", "start the sound server") from error
        yield library


@contextmanager
def _alone() -> Iterator[None]:
    """PortAudio for this thread alone, without the streams that nobody wants. Raises SourceError when it hangs."""
    if not _lock.acquire(timeout=LOCK_S):
        raise SourceError("the sound system does not answer", "restart the sound server, or this machine")
    try:
        while _orphans:
            _end(_orphans.pop())
        yield
    finally:
        _lock.release()


def aim(source: str | None) -> None:
    """The next stream of a sound server is to be of this input of it, or of its default one. Call this in a session.

    ALSA's plugin for PulseAudio takes the default, and its library that from this variable.
    """
    wanted = source or _users_source
    if wanted is not None:
        os.environ["PULSE_SOURCE"] = wanted
    else:
        os.environ.pop("PULSE_SOURCE", None)


def start(stream: Any) -> None:
    """Start a new stream; from here on PortAudio must not start anew. Call this inside the session that made it."""
    try:
        stream.start()
    except Exception:
        stream.close(ignore_errors=True)
        raise
    _streams.add(stream)


def close(stream: Any) -> None:
    """Stop and close a stream, whatever became of it; while the sound system hangs, that is left to the next session.

    Raises SourceError for a sound system that hangs.
    """
    _orphans.add(stream)
    with _alone():
        pass


def _end(stream: Any) -> None:
    stream.abort(ignore_errors=True)
    stream.close(ignore_errors=True)
    _streams.discard(stream)


def caveat() -> str:
    """What to add when a device is missed: while another is open, PortAudio knows only those that it began with."""
    return "; one that was just plugged in is seen once no other microphone is open" if _streams else ""


def abandon() -> None:
    """A call hangs: don't let it hang the exit of Python as well, where sounddevice would wait for it."""
    library = sys.modules.get("sounddevice")
    if library is not None:
        atexit.unregister(library._exit_handler)


def reason(error: Exception) -> str:
    """PortAudio's own words, on one line, without its codes."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.split()).removesuffix(".")


def _library() -> Any:
    """Import sounddevice, which starts PortAudio, and keep ALSA from talking to the terminal. Raises SourceError."""
    if "sounddevice" not in sys.modules:
        _silence_alsa()
    try:
        import sounddevice
    except OSError as error:
        raise SourceError("the PortAudio library is missing, which reads microphones", INSTALL) from error
    except ImportError as error:
        raise SourceError("the package sounddevice is missing", "run `pip install sounddevice`") from error
    except Exception as error:  # PortAudioError, whose class can't be had without the module
        raise SourceError(f"PortAudio does not start: {reason(error)}", "start the sound server") from error
    return sounddevice


def _silence_alsa() -> None:
    """ALSA prints what it could not find to stderr unless it is given a handler; strlen is one that does nothing."""
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        handler = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(handler)
