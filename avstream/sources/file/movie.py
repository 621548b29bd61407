"""A movie or sound file as a Source: PyAV in, pictures and sound on one clock out. Files only.

What is damaged is skipped and counted; memory does not grow with the length; times are a player's.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from avstream.errors import ConfigError, SourceError
from avstream.records import MOTION_SIDE, AudioChunk, MotionFrame, Problem, StreamInfo, VideoFrame
from avstream.sources.container import DAMAGE, check_file, choose_stream, open_file, undecodable
from avstream.sources.file.timestamps import Clock, Track
from avstream.sources.frames import (
    MOTION_RATE_HZ,
    PADDING_S,
    PICTURE_RATE_HZ,
    PICTURE_SIDE,
    SOUND_GAP_S,
    Pictures,
    Sounds,
    shown_size,
    turn,
)

GATHER_S = 0.1  # of sound that is handed over at once
LATE_STREAM_S = 10.0  # how far one stream may be behind the other in the file
READ_FAILURES = 50  # unreadable packets in a row, after which the rest of the file is given up
BARREN_PACKETS = 20_000  # packets in a row that decode to nothing, after which likewise
ENOUGH_MOTION_HZ = 14.5  # every second picture of 30 a second, every fourth of 60, but all of 24 or 25
ENOUGH = 0.8  # of the pictures that are wanted
SEEK_MARGIN_S = 2.0  # decoders are started this long before what is wanted
LONGEST_S = 30 * 24 * 3600.0  # a longer stated length is taken for unknown
MovieItem = VideoFrame | MotionFrame | AudioChunk
STATES_LENGTH = {"mov", "matroska", "webm", "avi", "flac", "wav", "asf", "flv"}  # elsewhere it is a guess


class Movie:
    """Reads a file once: at most `picture_rate_hz` upright pictures a second, no side over `max_side` pixels.
    `motion` asks for motion frames too: every second picture of 30 a second, every fourth of 60, all of 25.

    Sound is float32 (1 or 2, n) at the rate it begins with. With `start_s` and `end_s` (None: the end) only
    [start_s, end_s) is read, and times stay those of the movie. `reached_s` is where the stream ended.
    Creating one raises ConfigError for impossible limits and SourceError for what is not a movie.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        picture_rate_hz: float = PICTURE_RATE_HZ,
        max_side: int = PICTURE_SIDE,
        motion: bool = False,
    ) -> None:
        self.path, self.start_s = Path(path), float(start_s)
        self.end_s = math.inf if end_s is None else float(end_s)
        self._rate_hz, self._max_side, self._motion = picture_rate_hz, max_side, motion
        self._check_limits()
        check_file(self.path)
        self._lock, self._stop, self._read_once = threading.Lock(), threading.Event(), False
        self._damaged, self._frames, self._notes = 0, 0, list[str]()
        self._open()
        self.info = self._probe()
        if self.info.duration_s is not None and self.start_s >= self.info.duration_s:
            self._container.close()
            raise self._too_late(self.info.duration_s)
        self._prepare()

    @property
    def reached_s(self) -> float | None:
        """Where the stream ended, or the end of what was read so far; None when that is nothing."""
        ends = self._ends()
        if not ends or max(ends) <= self.start_s:
            return None
        padded = self._stated_s < max(ends) <= self._stated_s + PADDING_S
        return min(self._stated_s if padded else max(ends), self.end_s)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Nothing is ever wrong *now* with a file."""
        return ()

    def now_s(self) -> float:
        """How far it was read."""
        return max(self._ends(), default=self.start_s)

    @property
    def warnings(self) -> list[str]:
        """What was lost so far, counted, one sentence each; empty when all is well."""
        name, found = self.path.name, list(self._notes)
        if self._damaged:
            were = "packet was" if self._damaged == 1 else "packets were"
            found.append(f"{name}: {self._damaged} damaged {were} skipped")
        if wrong := self._clock.wrong_stamps:
            were = "stamp was" if wrong == 1 else "stamps were"
            found.append(f"{name}: {wrong} wrong time {were} put right")
        if self._sounds.gap_s >= SOUND_GAP_S:
            found.append(f"{name}: {self._sounds.gap_s:.2f} s of sound are missing and taken as silence")
        return found

    def close(self) -> None:
        """Let go of the file; an iteration under way, in whatever thread, ends soon and does so itself."""
        self._stop.set()
        with self._lock:
            if not self._read_once:
                self._container.close()

    def __iter__(self) -> Iterator[MovieItem]:
        """Items in rough order of time. Raises SourceError when read twice or when nothing decodes."""
        with self._lock:
            if self._read_once:
                raise SourceError(f"{self.path} was read already", "open it again to read it again")
            self._read_once = True
        return self._items()

    # Opening

    def _check_limits(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise ConfigError(f"--start {self.start_s:g}", expected="a --start of 0 s or more")
        if not self.end_s > self.start_s:
            raise ConfigError(f"--end {self.end_s:g}", expected=f"an --end after --start, {self.start_s:g} s")
        if not (math.isfinite(self._rate_hz) and self._rate_hz > 0 and self._max_side > 0):
            raise ConfigError(f"{self._rate_hz:g} Hz, {self._max_side} px", expected="a picture rate and side above 0")

    def _too_late(self, length_s: float) -> SourceError:
        return SourceError(
            f"{self.path} ends at {length_s:.1f} s, --start is {self.start_s:g} s", "choose an earlier start"
        )

    def _open(self) -> None:
        self._container = open_file(self.path)
        kinds = undecodable(self._container)
        self._notes = [f"{self.path.name}: its {kind} has a coding that can't be read here" for kind in kinds]
        self._video = choose_stream(self._container, "video")
        self._audio = choose_stream(self._container, "audio")
        self._streams = [stream for stream in (self._video, self._audio) if stream is not None]
        if not self._streams or self._container.format.name == "tty":  # tty: to libav any .txt is a movie
            self._container.close()
            what = " that can be read here" if kinds else ""
            raise SourceError(f"{self.path} has neither picture nor sound{what}", "name a movie or sound file")
        self._origin_s = float(_origin(self._container))
        bases = {stream.type: stream.time_base or Fraction(0) for stream in self._streams}
        self._bases = {kind: base.as_integer_ratio() for kind, base in bases.items()}

    def _probe(self) -> StreamInfo:
        length_s = (self._container.duration or 0) / 1e6
        video, width, height, frame_rate = self._video, 0, 0, None
        if video is not None:
            width, height = self._upright_size()
            average = video.average_rate or video.guessed_rate
            frame_rate = float(average) if average and 0 < average <= 1000 else None
        return StreamInfo(
            name=self.path.name,
            duration_s=length_s if 0 < length_s < LONGEST_S else None,
            has_video=video is not None,
            has_audio=self._audio is not None,
            width=width,
            height=height,
            frame_rate_hz=frame_rate,
        )

    def _prepare(self) -> None:
        """What turns packets into items."""
        states = not STATES_LENGTH.isdisjoint(self._container.format.name.split(","))
        length_s = self.info.duration_s
        self._stated_s = math.inf if length_s is None or not states else length_s
        self._clock = Clock(start_s=self.start_s, stated_s=length_s, leaps_often=self._audio is None)
        self._tracks: dict[str, Track[Any]] = {stream.type: Track(self._clock) for stream in self._streams}
        start_s, end_s = self.start_s, self.end_s
        enough_hz = max(ENOUGH_MOTION_HZ, ENOUGH * self._rate_hz)
        spare = (self.info.frame_rate_hz or 0.0) / enough_hz if self._motion else 1.0
        self._one_of = 1 << int(math.log2(max(1.0, spare)))  # as pictures refer to each other by halves and quarters
        self._shown_s: float | None = None  # of the last picture that was decoded
        self._kept_s = -math.inf  # and of the last that was taken
        aspect = self._video.sample_aspect_ratio if self._video else None
        sizes = [(self._rate_hz, self._max_side, False)] + [(MOTION_RATE_HZ, MOTION_SIDE, True)] * self._motion
        self._pictures = [
            Pictures(start_s=start_s, end_s=end_s, rate_hz=rate_hz, max_side=side, aspect=aspect, gray=gray)
            for rate_hz, side, gray in sizes
        ]
        self._sounds = Sounds(start_s=start_s, end_s=end_s, stated_s=self._stated_s, gather_s=GATHER_S)

    def _upright_size(self) -> tuple[int, int]:
        """Width and height as shown. Only a picture knows whether it is turned, so the first is decoded."""
        width, height = self._video.codec_context.width, self._video.codec_context.height
        try:
            with open_file(self.path) as container:
                for seen, packet in enumerate(container.demux(container.streams[self._video.index])):
                    frames = packet.decode() if packet.size else []
                    if frames:
                        shown = shown_size(frames[0], self._video.sample_aspect_ratio)
                        return shown[::-1] if turn(frames[0])[0] else shown
                    if seen >= READ_FAILURES:
                        break
        except DAMAGE:
            pass  # reading for real will show how much is damaged
        return width, height

    # Reading

    def _items(self) -> Iterator[MovieItem]:
        empty = True
        try:
            if self._stop.is_set():
                return
            self._seek()
            if self._one_of > 1:
                self._video.codec_context.skip_frame = "NONREF"
            for stream, packet in self._packets():
                for item in self._decoded(stream, packet):
                    if self._stop.is_set():
                        return
                    empty = False
                    yield item
            for chunk in self._sounds.rest():
                empty = False
                yield chunk
            if empty and not self._stop.is_set():
                self._explain_nothing()
        finally:
            self._container.close()

    def _explain_nothing(self) -> None:
        ends = self._ends()
        if not ends:
            raise SourceError(f"nothing in {self.path} could be decoded", "it is damaged, fetch it again")
        if max(ends) <= self.start_s:
            raise self._too_late(max(ends))

    def _seek(self) -> None:
        """Go to the key frame before the start; files that can't be sought are read from their beginning."""
        if self.start_s <= SEEK_MARGIN_S:
            return
        target_us = round((self.start_s - SEEK_MARGIN_S + self._origin_s) * 1e6)
        try:
            self._container.seek(target_us)
            packet = next(p for p in self._container.demux(self._streams) if p.pts is not None)
            if packet.pts * packet.time_base - self._origin_s <= self.start_s:
                self._container.seek(target_us)
                return
        except (*DAMAGE, StopIteration, TypeError):
            pass
        self._container.close()
        self._open()

    def _packets(self) -> Iterator[tuple[Any, Any]]:
        """(stream, packet) pairs to the end of the file, then (stream, None) to empty each decoder."""
        failures = barren = 0
        more = True
        while more and failures < READ_FAILURES:
            try:
                for packet in self._container.demux(self._streams):
                    if self._stop.is_set() or (self.end_s < math.inf and self._past_end()):
                        return
                    before, failures = self._frames, 0
                    if packet.size:  # an empty one would end the decoder
                        yield packet.stream, packet
                    barren = barren + 1 if self._frames == before else 0
                    if barren > BARREN_PACKETS:
                        break
                more = False
            except IndexError:
                more = False  # the end: PyAV can't flush streams that showed up late
            except DAMAGE:
                failures += 1  # demux can go on after most errors
                self._damaged += 1
        for stream in self._streams:
            yield stream, None
        self._note_end(failures, gave_up=failures >= READ_FAILURES or barren > BARREN_PACKETS)

    def _ends(self) -> list[float]:
        return [track.expected_s for track in self._tracks.values() if track.expected_s is not None]

    def _past_end(self) -> bool:
        ends = self._ends()
        if len(ends) < len(self._tracks):
            return bool(ends) and ends[0] >= self.end_s + LATE_STREAM_S
        return min(ends) >= self.end_s or max(ends) >= self.end_s + LATE_STREAM_S

    def _note_end(self, failures: int, gave_up: bool) -> None:
        """Tell when the file ended well before its stated length; `failures` at its end are no damage."""
        name, reached_s = self.path.name, max(self._ends(), default=0.0)
        missing_s = 0.0 if self._stated_s == math.inf else min(self._stated_s, self.end_s) - reached_s
        if missing_s > max(1.0, 0.01 * self._stated_s):
            self._damaged -= failures
            end = f"{name} ends at {reached_s:.1f} s, {missing_s:.1f} s before its stated length"
            self._notes.append(f"{end}: the file seems cut")
        elif gave_up:
            self._notes.append(f"{name}: nothing after {reached_s:.1f} s could be read")

    def _decoded(self, stream: Any, packet: Any) -> Iterator[MovieItem]:
        """What a packet holds, in place and trimmed; for None, what the decoder and the track hold back."""
        track = self._tracks[stream.type]
        frames: list[Any] = []
        try:
            frames = stream.decode(packet)
            self._damaged += packet is not None and packet.is_corrupt
        except EOFError:
            pass
        except DAMAGE:
            self._damaged += 1
        self._frames += len(frames)
        settled = [pair for frame in frames for pair in track.feed(*self._stamped(stream, frame), frame)]
        for time_s, frame in settled + (track.flush() if packet is None else []):
            try:
                items = self._taken(stream, time_s, frame)
            except DAMAGE:
                self._damaged += 1
            else:
                yield from items

    def _keep(self, time_s: float) -> bool:
        """Keep a picture, unless it follows too soon after the last that was kept; whether it was kept.

        A gap between decoded pictures means that too few are left of those to which others refer: then decode them all.
        """
        rate_hz = self.info.frame_rate_hz or 0.0
        if self._shown_s is not None and (time_s - self._shown_s) * rate_hz > self._one_of + 0.5:
            self._video.codec_context.skip_frame = "DEFAULT"
        self._shown_s = time_s
        if (time_s - self._kept_s) * rate_hz < self._one_of - 0.5:
            return False
        self._kept_s = time_s
        return True

    def _taken(self, stream: Any, time_s: float, frame: Any) -> list[MovieItem]:
        if stream is self._audio:
            return [*self._sounds.take(time_s, frame)]
        if self._one_of > 1 and not self._keep(time_s):
            return []
        return [picture for pictures in self._pictures for picture in pictures.take(time_s, frame)]

    def _stamped(self, stream: Any, frame: Any) -> tuple[float | None, float]:
        """When a frame says it begins, and how long it lasts, in seconds."""
        count, per = self._bases[stream.type]
        stamp_s = None
        if frame.pts is not None and count:
            stamp_s = round(frame.pts * count / per - self._origin_s, 9)
        if stream is self._audio:
            return stamp_s, frame.samples / max(1, frame.sample_rate)
        length_s = frame.duration * count / per if frame.duration else 0.0
        if length_s <= 0:
            length_s = 1 / (self.info.frame_rate_hz or 25.0)
        return stamp_s, min(length_s, 1.0)


def _origin(container: Any) -> Fraction:
    """The stamp, in seconds, at which a player shows 0: exact where libav rounds it to a microsecond."""
    rounded = Fraction(container.start_time or 0, 1_000_000)
    for stream in container.streams:
        if stream.start_time is not None and stream.time_base:
            exact = stream.start_time * Fraction(stream.time_base)
            if abs(exact - rounded) <= Fraction(1, 1_000_000):
                return exact
    return rounded
