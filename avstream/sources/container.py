"""Opening files with PyAV: what is wrong with one is said in words that help. All errors are SourceError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import av.error
from av.stream import Disposition

from avstream.errors import SourceError
from avstream.workers import cores

DAMAGE = (av.error.FFmpegError, ValueError, OverflowError)  # what PyAV raises for packets that make no sense
MOST_THREADS = 16  # as many as libav would take
NOT_DEBLOCKED = "bidir"  # frames that few or no others refer to: no visible difference, an eighth less decoding time
MOST_PIXELS = 8192 * 8192  # a larger picture is a damaged header, and would fill the memory
NOT_MOVING = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def open_file(path: Path) -> Any:
    """Open with PyAV. Raises SourceError."""
    try:
        # "file:" keeps libav from reading odd names as URLs, and the list keeps playlists from fetching any
        options = {"protocol_whitelist": "file"}
        return av.open(f"file:{path}", mode="r", options=options, metadata_errors="replace")
    except PermissionError as error:
        raise SourceError(f"{path} may not be read", "check its rights") from error
    except (*DAMAGE, OSError, MemoryError) as error:
        why = getattr(error, "strerror", None) or error
        raise SourceError(
            f"{path} can't be read as a movie or sound file ({why}): it is something else, or was cut before its index",
            "try to play it, or fetch it again",
        ) from error


def check_file(path: Path) -> None:
    """Tell what is wrong with a path before libav does so in its own words. Raises SourceError."""
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder, not a movie", "name a file in it")
        if not path.exists():
            raise SourceError(f"{path} is not there", "check the name and the folder")
        if not path.is_file():
            raise SourceError(f"{path} is a device or a pipe, not a movie file", "record it to a file first")
        if path.stat().st_size == 0:
            raise SourceError(f"{path} is empty", "copy or download the movie again")
    except (OSError, ValueError) as error:
        raise SourceError(f"{str(path)!r:.200} can't be read ({error})", "check its name and rights") from error


def choose_stream(container: Any, kind: str) -> Any:
    """The "video" or "audio" stream that a player would take, ready to decode.

    None when there is none (cover art is not a movie's picture), or none that this build can decode.
    """
    streams = [s for s in getattr(container.streams, kind) if not s.disposition & NOT_MOVING]
    usable = [stream for stream in streams if stream.codec_context is not None]
    if not usable:
        return None
    best = container.streams.best(kind)
    chosen = best if best in usable else usable[0]
    chosen.thread_type = "AUTO"
    chosen.codec_context.thread_count = min(max(1, cores() - 1), MOST_THREADS)  # one core is the narrator's
    if kind == "video":
        chosen.codec_context.options = {"max_pixels": str(MOST_PIXELS), "skip_loop_filter": NOT_DEBLOCKED}
    return chosen


def undecodable(container: Any) -> list[str]:
    """Which of "video", "audio" are there in codings that this build can't decode at all."""
    kinds = ("video", "audio")
    found = {kind: [s.codec_context for s in getattr(container.streams, kind)] for kind in kinds}
    return [kind for kind in kinds if found[kind] and not any(found[kind])]
