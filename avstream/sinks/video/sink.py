"""A copy of the movie with the narration drawn in: captions, boxes and heatmap over the picture, its own sound kept.

The movie is read a second time, by a reader of its own and only as far as it was narrated, so that the picture is
as sharp as it was and memory does not grow. Sound alone gets a plain dark picture to show the captions on.
"""

from __future__ import annotations

import heapq
import math
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from avstream.drawing.following import Follower
from avstream.drawing.overlay import Overlay, fit_caption, follower_of
from avstream.errors import ConfigError, SinkError, SourceError
from avstream.records import AudioChunk, Narration, Sound, SoundEvent, StreamInfo, VideoFrame
from avstream.sinks.base import Sink
from avstream.sinks.files import check_output, part_path, why
from avstream.sinks.timeline import Change, Timeline
from avstream.sinks.video.muxing import FORMATS, FFmpegError, MovieWriter, SoundPackets
from avstream.sources.file.movie import Movie

ALL_PICTURES_HZ = 1000.0  # more than any movie has: none is left out
MAX_SIDE = 4096  # what every H.264 decoder can show
PLAIN_SIZE = (1280, 720)
PLAIN_RATE_HZ = 10.0
PLAIN_COLOR = (24, 24, 30)
EDGE_S = 1e-3  # a picture this little before a focus begins belongs to it: stamps are rounded
TAIL_S = 0.25  # pictures after the last focus that are still shown: streams rarely end together
ROUGH_ORDER_S = 2.0  # how far out of order sound and picture may come
MOST_WAITING = 256  # narrations kept for pictures that come late

Item = tuple[float, Any]  # time in seconds, and a VideoFrame, an AudioChunk or a coded packet


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """What is drawn from `start_s` on: the places that a narration knows of."""

    start_s: float
    sounds: tuple[Sound, ...]
    heatmap: NDArray[np.float32] | None
    follower: Follower | None


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """The caption from `start_s` on."""

    start_s: float
    caption: str


T = TypeVar("T", _Shown, _Said)


class VideoSink(Sink):
    """Renders `movie_path` to `out_path` (mp4, m4v, mov or mkv); [start_s, end_s) of it becomes the new movie.

    Raises ConfigError in the constructor when the output is the input or of another kind, SinkError when it can't
    be written or the movie can't be read again. Without any narration no file is made.
    """

    name = "video"

    def __init__(
        self, movie_path: str | Path, out_path: str | Path, *, start_s: float = 0.0, end_s: float | None = None
    ) -> None:
        self._movie_path = Path(movie_path)
        self._start_s, self._end_s = float(start_s), math.inf if end_s is None else float(end_s)
        suffix = Path(out_path).suffix.lower()
        if suffix not in FORMATS:
            raise ConfigError(str(out_path), expected=f"a name to render to that ends in {', '.join(FORMATS)}")
        self._format = FORMATS[suffix]
        real = Path(os.path.realpath(out_path))
        if _same_file(real, self._movie_path) or _same_file(part_path(real), self._movie_path):
            raise ConfigError(f"can't render to {out_path}: it would overwrite the movie", "choose another name")
        self._path = check_output(out_path)
        if self._path.exists() and not self._path.is_file():
            raise SinkError(f"can't write {out_path}: a movie can't be written to a device or a pipe", "name a file")
        self._part = part_path(self._path)
        self._writer: MovieWriter | None = None

    def open(self, info: StreamInfo) -> None:
        """Open the movie again and start the new one."""
        try:
            self._movie = Movie(
                self._movie_path,
                start_s=self._start_s,
                end_s=None if self._end_s == math.inf else self._end_s,
                picture_rate_hz=ALL_PICTURES_HZ,
                max_side=MAX_SIDE,
            )
        except SourceError as error:
            raise SinkError(f"can't render {self._path}: {error.found}", error.fix) from error
        self._packets = self._coded_sound()
        self._items = self._all_items()
        self._next: Item | None = None
        self._waiting: deque[_Shown] = deque(maxlen=MOST_WAITING)
        self._captions: deque[_Said] = deque(maxlen=MOST_WAITING)
        self._timeline = Timeline()
        self._marked: set[str] = set()  # the labels of the narration before
        self._now: tuple[_Shown | None, _Said | None] = (None, None)
        self._overlay: Overlay | None = None
        self._narrated_s: float | None = None
        self._failed = False
        width, height, rate_hz = self._picture_format()
        copied = self._packets.stream if self._packets else None
        try:
            self._part.unlink(missing_ok=True)  # of a killed run
            self._writer = MovieWriter(
                self._part,
                self._format,
                width=width,
                height=height,
                rate_hz=rate_hz,
                copied=copied,
                encoded=self._movie.info.has_audio and copied is None,
            )
        except (OSError, FFmpegError) as error:
            self._release()
            raise SinkError(f"can't write {self._part}: {why(error)}", "name another place") from error

    def event(self, event: SoundEvent) -> None:
        """Take what became of a sound."""
        self._timeline.event(event)

    def write(self, narration: Narration) -> None:
        """Render the movie as far as it is known what sounds in it: to some seconds before a narration's focus."""
        # The narration itself is let go of: its key frame is large.
        key = narration.key_frame
        follower = follower_of(None if key is None else key.rgb, narration.sounds)
        self._waiting += _phases(narration, self._marked, follower)
        self._marked = {sound.label for sound in narration.sounds}
        self._narrated_s = narration.focus_end_s
        self._caption(self._timeline.settle(narration))
        if not self._failed:
            self._render(min(narration.focus_end_s, self._timeline.settled_s) - EDGE_S)

    def close(self) -> None:
        """Render what is left of the narrated part and give the file its name; harmless when repeated."""
        if self._writer is None:
            return
        try:
            if self._narrated_s is None or self._failed:
                self._writer.abandon()
                if self._narrated_s is None:
                    self._part.unlink(missing_ok=True)
                return
            self._caption(self._timeline.finish())
            self._render(self._narrated_s + TAIL_S, last=True)
            with self._writing():
                self._writer.close()
                if self._part.exists():  # it doesn't when nothing could be decoded
                    os.replace(self._part, self._path)
        finally:
            self._writer = None
            self._release()

    # Reading

    def _coded_sound(self) -> SoundPackets | None:
        """The movie's sound as packets, or None when it has none that can be copied."""
        try:
            packets = SoundPackets(self._movie_path, self._format, start_s=self._start_s, end_s=self._end_s)
        except SourceError:
            return None
        if packets.stream is None:
            packets.close()
            return None
        return packets

    def _picture_format(self) -> tuple[int, int, float]:
        """Width, height and pictures a second of the new movie."""
        info = self._movie.info
        if not self._has_pictures():
            return *PLAIN_SIZE, PLAIN_RATE_HZ
        scale = min(1.0, MAX_SIDE / max(info.width, info.height))
        width, height = max(1, round(info.width * scale)), max(1, round(info.height * scale))
        return width, height, info.frame_rate_hz or 25.0

    def _has_pictures(self) -> bool:
        info = self._movie.info
        return info.has_video and info.width > 0 and info.height > 0

    def _all_items(self) -> Iterator[Item]:
        """Pictures and sound in order of time, or nearly, to the end of what can be read."""
        if not self._has_pictures():
            return _with_plain_pictures(self._packets or self._decoded(), self._start_s)
        if self._packets is None:
            return self._decoded()
        pictures = (item for item in self._decoded() if isinstance(item[1], VideoFrame))
        return heapq.merge(pictures, self._packets, key=lambda item: item[0])

    def _decoded(self) -> Iterator[Item]:
        with suppress(SourceError):  # who narrates the movie says so; here it is just the end
            for item in self._movie:
                yield (item.start_s if isinstance(item, AudioChunk) else item.time_s), item

    # Writing

    def _render(self, until_s: float, *, last: bool = False) -> None:
        """Write everything before `until_s`; for the last time, also what comes a little out of order."""
        while True:
            if self._next is None:
                self._next = next(self._items, None)
            if self._next is None:
                return
            time_s, item = self._next
            if time_s < until_s:
                with self._writing():
                    self._emit(time_s, item)
            elif not last or time_s > until_s + ROUGH_ORDER_S:
                return
            self._next = None

    def _emit(self, time_s: float, item: Any) -> None:
        assert self._writer is not None
        new_s = time_s - self._start_s
        if isinstance(item, VideoFrame):
            self._writer.write_picture(new_s, self._drawn(time_s, item.rgb))
        elif isinstance(item, AudioChunk):
            self._writer.write_sound(new_s, item)
        else:
            self._writer.write_packet(new_s, item)

    def _caption(self, changes: Sequence[Change]) -> None:
        for start_s, ids in changes:
            self._captions.append(_Said(start_s, "\n".join(fit_caption(self._timeline.sounds(ids)))))

    def _drawn(self, time_s: float, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture with the narration and the caption of its time."""
        shown, said = now = _current(self._waiting, time_s), _current(self._captions, time_s)
        if shown is None:
            return rgb
        height, width = rgb.shape[:2]
        if self._overlay is None or now != self._now or (self._overlay.width, self._overlay.height) != (width, height):
            caption = said.caption if said else ""
            self._overlay = Overlay(
                width, height, heatmap=shown.heatmap, sounds=shown.sounds, caption=caption, follower=shown.follower
            )
            self._now = now
        return self._overlay.draw(rgb)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what goes wrong while the movie is written into a SinkError; nothing more is written then."""
        try:
            yield
        except (OSError, FFmpegError) as error:
            self._failed = True
            raise SinkError(
                f"could not go on rendering {self._path}: {why(error)}; what was rendered is kept as {self._part.name}",
                "free some space, then run again",
            ) from error

    def _release(self) -> None:
        self._movie.close()
        if self._packets is not None:
            self._packets.close()


def _phases(narration: Narration, marked: set[str], follower: Follower | None) -> Iterator[_Shown]:
    """What is drawn of a focus: a sound that is not `marked` already has its place from its onset on."""
    start_s = narration.focus_start_s
    from_s = {
        sound: start_s if sound.onset_s is None or sound.label in marked else max(start_s, sound.onset_s)
        for sound in narration.sounds
    }
    for time_s in sorted({start_s, *from_s.values()}):
        sounds = tuple(sound for sound, since_s in from_s.items() if since_s <= time_s)
        yield _Shown(time_s, sounds, narration.heatmap if sounds else None, follower)


def _current(waiting: deque[T], time_s: float) -> T | None:
    """The last that begins by a time, letting go of what was before it; None when it is too early for the first."""
    while len(waiting) > 1 and waiting[1].start_s <= time_s + EDGE_S:
        waiting.popleft()
    return waiting[0] if waiting and waiting[0].start_s <= time_s + EDGE_S else None


def _with_plain_pictures(sounds: Any, start_s: float) -> Iterator[Item]:
    """The sounds, and in step with them the same dark picture again and again."""
    width, height = PLAIN_SIZE
    rgb = np.full((height, width, 3), PLAIN_COLOR, np.uint8)
    shown, time_s = 0, start_s
    for time_s, sound in sounds:
        while (tick_s := start_s + shown / PLAIN_RATE_HZ) <= time_s:
            yield tick_s, VideoFrame(tick_s, rgb)
            shown += 1
        yield time_s, sound


def _same_file(path: Path, other: Path) -> bool:
    with suppress(OSError, ValueError):
        return os.path.samefile(path, other)
    return False
