"""A movie file being written: H.264 pictures from RGB, and sound that is copied as it is or encoded to AAC.

Times are seconds from the start of the new movie; both streams keep their own, so that they stay in sync.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.error import FFmpegError as FFmpegError
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from avstream.records import AudioChunk
from avstream.sources.container import DAMAGE, choose_stream, open_file

TICK = Fraction(1, 90_000)  # what MPEG counts in: exact for the usual frame rates, fine enough for any other
KEY_FRAME_EVERY_S = 2.0  # also what a killed run may lose
LARGEST_GAP_S = 1.0  # a stamp that is further off its place than this is wrong when it goes backwards
READ_FAILURES = 50

# out.mp4 -> libav's name of the container, and the sound it can carry in a way that players know
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
CARRIED = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"},
    "matroska": {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac", "vorbis", "dts", "pcm_s16le", "pcm_s24le"},
}
# Written in fragments, so that a killed run leaves a readable file, and turned into a plain movie at the end.
FLUSH = {"flush_packets": "1"}
MOVFLAGS = {"movflags": "hybrid_fragmented+delay_moov+frag_keyframe", "use_editlist": "1"}


class SoundPackets:
    """The coded sound of a movie file, (time_s, packet) pairs in order, for copying.

    `stream` is None when there is no sound or `container_format` can't carry it: then it must be encoded.
    Raises SourceError when the file can't be opened.
    """

    def __init__(self, path: Path, container_format: str, *, start_s: float, end_s: float) -> None:
        self._start_s, self._end_s = start_s, end_s
        self._container = open_file(path)
        self.stream = choose_stream(self._container, "audio")
        if not _can_carry(container_format, self.stream):
            self.stream = None
        self._origin_s = (self._container.start_time or 0) / 1e6
        self._longest_s = (self._container.duration or 10**12) / 1e6 + 10.0

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        """Packets whose sound is inside [start_s, end_s), each with its time on the movie's clock."""
        expected_s, shift_s = None, 0.0
        for packet in self._packets():
            stamp = packet.pts if packet.pts is not None else packet.dts
            time_s = expected_s or 0.0
            if stamp is not None:
                time_s = float(stamp * packet.time_base) - self._origin_s + shift_s
            off = expected_s is not None and time_s < expected_s - LARGEST_GAP_S
            if off or time_s > self._longest_s:  # damage, or a file joined from several: go on where it was
                shift_s += (expected_s or 0.0) - time_s
                time_s = expected_s or 0.0
            expected_s = time_s + self._length_s(packet)
            if time_s >= self._end_s:
                return
            if expected_s > self._start_s or self._start_s == 0:
                yield time_s, packet

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def _packets(self) -> Iterator[Any]:
        if self._start_s > 1:
            with suppress(*DAMAGE):
                self._container.seek(round((self._start_s - 1 + self._origin_s) * 1e6))
        for _ in range(READ_FAILURES):
            try:
                for packet in self._container.demux(self.stream):
                    if packet.size and not packet.is_corrupt:
                        yield packet
                return
            except DAMAGE:
                continue  # demux can go on after most errors

    def _length_s(self, packet: Any) -> float:
        if packet.duration:
            return float(packet.duration * packet.time_base)
        context = self.stream.codec_context
        return (context.frame_size or 1024) / (context.sample_rate or 48_000)


def _can_carry(container_format: str, stream: Any) -> bool:
    """Whether the coded sound of a stream can be put into a container as it is."""
    context = stream.codec_context if stream else None
    if context is None or context.codec.canonical_name not in CARRIED[container_format]:
        return False
    # AAC from broadcasts carries its settings in each packet, where these containers don't look for them.
    return context.codec.canonical_name != "aac" or bool(context.extradata)


class _Output:
    """A file for libav to write, which is not touched again once a write has failed; `error` then says why.

    Nothing is raised to libav: it would go on, and turn readable fragments into a movie without an index.
    """

    def __init__(self, path: Path, *, complete_pieces: bool) -> None:
        """With `complete_pieces` a piece that fits only partly is cut off: half a fragment's head spoils an mp4."""
        self.error: OSError | None = None
        self._complete_pieces = complete_pieces
        self._file = open(path, "wb", buffering=0)
        self._size = 0

    def write(self, data: bytes) -> int:
        """Write all of it, or fail for good."""
        if self.error is not None:
            return len(data)
        start, appends = self._file.tell(), self._file.tell() == self._size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
            self._size = max(self._size, start + len(data))
        except OSError as error:
            self.error = error
            if appends and self._complete_pieces:
                with suppress(OSError):
                    self._file.truncate(start)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As for any file."""
        return offset if self.error else self._file.seek(offset, whence)

    def tell(self) -> int:
        """As for any file."""
        return self._file.tell()

    def close(self) -> None:
        """As for any file. Raises the first error, if there was one."""
        self._file.close()
        if self.error is not None:
            raise self.error


class MovieWriter:
    """Writes one movie file. Its sound is that of `copied`, a stream to copy, or `encoded`, or none.

    Raises OSError or FFmpegError wherever the file can't be written.
    """

    def __init__(
        self,
        path: Path,
        container_format: str,
        *,
        width: int,
        height: int,
        rate_hz: float,
        copied: Any = None,
        encoded: bool = False,
    ) -> None:
        """`width` and `height` are those of the pictures to come; an odd one is padded by a pixel."""
        options = FLUSH if container_format == "matroska" else FLUSH | MOVFLAGS
        self._width, self._height = width, height
        self._frame_ticks = round(1 / (rate_hz * TICK))
        self._last_pts = -1
        self._output = _Output(path, complete_pieces=container_format != "matroska")
        self._container: Any = av.open(self._output, "w", format=container_format, options=options)
        self._video = self._add_video(rate_hz)
        self._copy: Any = self._container.add_stream_from_template(copied) if copied is not None else None
        self._last_dts: int | None = None
        self._encoder: _AacTrack | None = _AacTrack(self._container, self._mux) if encoded else None

    def _add_video(self, rate_hz: float) -> Any:
        rate = Fraction(rate_hz).limit_denominator(1001)
        options = {"crf": "23", "preset": "veryfast"}
        stream = self._container.add_stream("libx264", rate=rate, options=options, time_base=TICK)
        stream.width, stream.height = self._width + self._width % 2, self._height + self._height % 2
        context = stream.codec_context
        context.max_b_frames = 0  # then pictures are written in the order of their times, from the very first
        context.gop_size = max(1, round(rate_hz * KEY_FRAME_EVERY_S))
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return stream

    def write_picture(self, time_s: float, rgb: NDArray[np.uint8]) -> None:
        """Append a picture, uint8 (H, W, 3); one of another size is scaled, one that isn't later is left out."""
        pts = round(time_s / TICK)
        if pts <= self._last_pts:
            return
        self._last_pts = pts
        if rgb.shape[:2] != (self._height, self._width):
            rgb = cv2.resize(rgb, (self._width, self._height), interpolation=cv2.INTER_AREA)
        if self._height % 2 or self._width % 2:
            rgb = cv2.copyMakeBorder(rgb, 0, self._height % 2, 0, self._width % 2, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(rgb), "rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        frame.pts, frame.time_base, frame.duration = pts, TICK, self._frame_ticks
        self._mux(self._video.encode(frame))

    def write_packet(self, time_s: float, packet: Any) -> None:
        """Append a packet of copied sound; one that makes no sense is left out."""
        base = packet.time_base
        pts = round(time_s / base)
        if self._last_dts is not None and pts <= self._last_dts:
            return
        self._last_dts = pts
        packet.pts = packet.dts = pts
        packet.stream = self._copy
        with suppress(ValueError):  # damaged
            self._mux(packet)

    def write_sound(self, time_s: float, chunk: AudioChunk) -> None:
        """Append sound that is to be encoded."""
        assert self._encoder is not None
        self._encoder.write(time_s, chunk)

    def _mux(self, packets: Any) -> None:
        self._container.mux(packets)
        if self._output.error is not None:
            raise self._output.error

    def close(self) -> None:
        """Write what the encoders hold and the index. Harmless when repeated."""
        if self._container is None:
            return
        try:
            if self._last_pts >= 0:
                self._mux(self._video.encode(None))
            if self._encoder is not None:
                self._encoder.finish()
        finally:
            container, self._container = self._container, None
            try:
                container.close()
            finally:
                self._output.close()

    def abandon(self) -> None:
        """Let go of a file that can't be finished; what is written stays."""
        container, self._container = self._container, None
        if container is not None:
            with suppress(*DAMAGE, OSError):
                container.close()
            with suppress(OSError):
                self._output.close()


class _AacTrack:
    """Sound encoded to AAC, at its own times: gaps become silence, what comes twice is left out."""

    def __init__(self, container: Any, mux: Callable[[Any], None]) -> None:
        self._mux = mux
        self._stream: Any = container.add_stream("aac", rate=48_000, layout="stereo", bit_rate=160_000)
        self._next: int | None = None  # the sample, at the rate of what comes in, at which the next one belongs
        self._rate_hz = 0

    def write(self, time_s: float, chunk: AudioChunk) -> None:
        """Append `chunk` at `time_s` of the new movie."""
        self._rate_hz = self._rate_hz or chunk.rate_hz
        samples, at = chunk.samples, max(0, round(time_s * self._rate_hz))
        if self._next is None:
            self._next = at
        slack = self._rate_hz // 20  # stamps are rounded: only a real gap or overlap counts
        if at > self._next + slack:
            self._silence(at - self._next, len(samples))
        elif at < self._next - slack:
            samples = samples[:, self._next - at :]
        self._encode(samples)

    def _silence(self, count: int, channels: int) -> None:
        while count > 0:
            part = min(count, self._rate_hz)  # a second at a time: a gap may be hours long
            self._encode(np.zeros((channels, part), np.float32))
            count -= part

    def _encode(self, samples: NDArray[np.float32]) -> None:
        if not samples.shape[1]:
            return
        layout = "mono" if len(samples) == 1 else "stereo"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
        frame.sample_rate, frame.time_base = self._rate_hz, Fraction(1, self._rate_hz)
        frame.pts = self._next
        self._next = (self._next or 0) + samples.shape[1]
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder holds."""
        if self._next is not None:
            self._mux(self._stream.encode(None))
