"""A row of the manifest -> its sound and its picture, through the reader that the program narrates with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from avstream.errors import SourceError
from avstream.narrator import key_frame
from avstream.records import VideoFrame, Window
from avstream.sources.file.movie import Movie
from avstream.windows import Windower
from pipelines.data.importers import SEGMENT_S
from pipelines.data.manifest import Row


def read_segment(row: Row, root: Path) -> tuple[Window, VideoFrame]:
    """The segment's window and the picture nearest to its middle. `root` is the manifest's folder.

    Raises SourceError: no such file, damaged, ended before the segment, no sound or no picture in it.
    """
    window = first_window(root / row.clip, row.start_s)
    if row.sound is not None:
        heard = first_window(root / row.sound, row.start_s)
        window = replace(window, audio=heard.audio, rate_hz=heard.rate_hz)
    frame = key_frame(window)
    if frame is None:
        raise SourceError(f"{row.clip} has no picture at {row.start_s:g} s")
    if not window.audio.any():
        raise SourceError(f"{row.sound or row.clip} is silent or has no sound at {row.start_s:g} s")
    return window, frame


def first_window(path: Path, start_s: float) -> Window:
    """The window of a file that begins at `start_s`. Raises SourceError."""
    movie = Movie(path, start_s=start_s, end_s=start_s + SEGMENT_S)
    windower = Windower(
        SEGMENT_S, SEGMENT_S, start_s=start_s, has_audio=movie.info.has_audio, has_video=movie.info.has_video
    )
    windows = [window for item in movie for window in windower.push(item)]
    windows += windower.finish(min(start_s + SEGMENT_S, movie.reached_s or start_s))
    if not windows:
        raise SourceError(f"{path} has nothing at {start_s:g} s")
    return windows[0]
