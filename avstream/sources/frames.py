"""Decoded frames of PyAV turned into records: pictures picked, scaled and upright, sound at one rate."""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from avstream.records import AudioChunk, MotionFrame, VideoFrame

SOUND_GAP_S = 0.05  # a shorter hole in the sound is a rounded stamp
PADDING_S = 0.1  # the most that a codec adds to fill its last packet
RATES_HZ = range(1000, 768_001)  # other sample rates are a damaged header
MOTION_RATE_HZ = 30.0
EARLY = 0.4  # of a step: stamps of a camera jitter by so much; half would be the step of one twice as fast
ROUNDED_S = 0.001  # Matroska and FLV give whole milliseconds, and 0.033 s is meant to be 1/30
PICTURE_RATE_HZ, PICTURE_SIDE = 2.0, 672  # of what the narrator looks at
KEPT_PX = 1920 * 1088  # of decoded pictures that wait to be asked for; larger ones would fill the memory
SHOWN_SIDE = 1280  # of live pictures for people
# pixel formats of 8 bits whose first plane is luma; "gray" itself is in full range
LUMA_FIRST = frozenset("yuv420p yuv422p yuv444p yuvj420p yuvj422p yuvj444p nv12 nv21".split())
FULL_RANGE = 2  # AVCOL_RANGE_JPEG; an unknown range is taken as limited, as libswscale does
LIMITED_RANGE = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)


class OnePerSlot:
    """Picks the first picture in each 1/rate_hz of stream time, wherever reading began."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz, self._last_slot = rate_hz, -1

    def wants(self, time_s: float) -> bool:
        """Whether a picture is to be taken."""
        return self._slot(time_s) > self._last_slot

    def took(self, time_s: float) -> None:
        """It was."""
        self._last_slot = self._slot(time_s)

    def _slot(self, time_s: float) -> int:
        return math.floor((time_s + ROUNDED_S) * self._rate_hz)


class AtMost:
    """Picks at most `rate_hz` pictures a second, and all of those that come about as often, though they jitter."""

    def __init__(self, rate_hz: float) -> None:
        self._step_s, self._due_s = 1 / rate_hz, -math.inf

    def wants(self, time_s: float) -> bool:
        """Whether a picture is to be taken."""
        return time_s >= self._due_s - EARLY * self._step_s

    def took(self, time_s: float) -> None:
        """It was."""
        self._due_s = max(self._due_s, time_s) + self._step_s


class Pictures:
    """Decoded frames of a movie -> pictures for the narrator (OnePerSlot), or motion frames (AtMost)."""

    def __init__(
        self,
        *,
        start_s: float,
        end_s: float,
        rate_hz: float,
        max_side: int,
        aspect: Any = None,
        gray: bool = False,
    ) -> None:
        """`aspect` is the width of a pixel over its height, None when unknown. `gray` makes motion frames."""
        self._start_s, self._end_s, self._max_side = start_s, end_s, max_side
        self._aspect, self._gray = float(aspect or 0), gray
        self._picker = AtMost(rate_hz) if gray else OnePerSlot(rate_hz)
        self._scaler, self._scaling = VideoReformatter(), threading.Lock()
        self._form: tuple[str, int, int] | None = None  # of the last picture that was converted

    def take(self, time_s: float, frame: Any) -> list[VideoFrame | MotionFrame]:
        """One picture or none. Raises av.FFmpegError or ValueError for a frame that can't be converted."""
        if not self._start_s <= time_s < self._end_s or not self._picker.wants(time_s):
            return []
        if self._gray:
            gray = gray_upright(frame, self._scaler, max_side=self._max_side, aspect=self._aspect)
            made: VideoFrame | MotionFrame = MotionFrame(time_s, gray)
        else:
            made = self._picture(time_s, frame)
        self._picker.took(time_s)
        return [made]

    def _picture(self, time_s: float, frame: Any) -> VideoFrame:
        """A picture to look at: most are never looked at, so of a form that is known to convert it is made then."""
        form = (frame.format.name, frame.width, frame.height)
        picture = VideoFrame(time_s, partial(self._upright, frame))
        if form != self._form or frame.width * frame.height > KEPT_PX:
            _ = picture.rgb
            self._form = form
        return picture

    def _upright(self, frame: Any) -> NDArray[np.uint8]:
        with self._scaling:
            return upright(frame, self._scaler, max_side=self._max_side, aspect=self._aspect)


class Sounds:
    """Sound at the rate and channels it begins with: mono stays mono, stereo stereo, more become stereo."""

    def __init__(self, *, start_s: float, end_s: float, stated_s: float = math.inf, gather_s: float = 0.0) -> None:
        """`stated_s` is the stated length: the last packet is padded to a little past it, which is cut. Frames that
        follow each other are gathered until they last `gather_s`.
        """
        self.gap_s = 0.0  # holes inside the sound so far
        self._start_s, self._end_s = start_s, end_s
        self._stated_s, self._gather_s = stated_s, gather_s
        self._gathered: list[NDArray[np.float32]] = []
        self._gathered_s = self._follows_s = 0.0  # where these begin and end
        self._reached_s: float | None = None
        self._resampler: av.AudioResampler | None = None
        self._coming: tuple[str, str, int] | None = None
        self._going: tuple[str, int] = ("mono", 0)

    def take(self, time_s: float, frame: Any) -> list[AudioChunk]:
        """The sound that is complete with a frame. Raises av.FFmpegError or ValueError when it makes no sense."""
        if frame.sample_rate not in RATES_HZ:
            raise ValueError(f"a sample rate of {frame.sample_rate} Hz")
        chunks = []
        for piece in self._resampled(frame):
            if self._gathered and abs(time_s - self._follows_s) > SOUND_GAP_S:
                chunks += self.rest()
            if not self._gathered:
                self._gathered_s = self._follows_s = time_s
            self._gathered.append(np.asarray(piece.to_ndarray(), dtype=np.float32))
            length_s = piece.samples / self._going[1]
            time_s += length_s
            self._follows_s += length_s
            if self._follows_s - self._gathered_s >= self._gather_s:
                chunks += self.rest()
        return chunks

    def rest(self) -> list[AudioChunk]:
        """What was gathered so far."""
        if not self._gathered:
            return []
        samples = self._gathered[0] if len(self._gathered) == 1 else np.concatenate(self._gathered, axis=1)
        self._gathered = []
        if not math.isfinite(float(samples.sum())):  # a damaged decoder state gives NaN
            samples = np.nan_to_num(samples)
        chunk = AudioChunk(self._gathered_s, self._going[1], samples.clip(-1.0, 1.0))  # loud codings go over 1
        padded = self._stated_s < self._follows_s <= self._stated_s + PADDING_S
        chunks = trimmed(chunk, self._start_s, min(self._end_s, self._stated_s) if padded else self._end_s)
        for one in chunks:
            if self._reached_s is not None and one.start_s > self._reached_s + SOUND_GAP_S:
                self.gap_s += one.start_s - self._reached_s
            self._reached_s = one.start_s + one.samples.shape[1] / one.rate_hz
        return chunks

    def _resampled(self, frame: Any) -> list[Any]:
        """A frame in the outgoing layout and rate; a change of what comes in starts a new resampler."""
        coming = (frame.format.name, frame.layout.name, frame.sample_rate)
        rest = []
        if self._coming is None:
            self._going = ("mono" if frame.layout.nb_channels == 1 else "stereo", frame.sample_rate)
        if coming != self._coming:
            # a resampler with nothing to do passes on what it gets, even None
            if self._resampler is not None and self._coming != ("fltp", *self._going):
                rest = self._resampler.resample(None)
            self._resampler = av.AudioResampler("fltp", *self._going)
            self._coming = coming
        assert self._resampler is not None
        return [piece for piece in rest + self._resampler.resample(frame) if piece is not None]


def upright(frame: Any, scaler: VideoReformatter, *, max_side: int, aspect: Any) -> NDArray[np.uint8]:
    """A decoded frame scaled down as far as needed, with square pixels: RGB uint8 (H, W, 3).

    Raises av.FFmpegError or ValueError when it can't be converted.
    """
    return turned(_reformatted(frame, scaler, _fitting(frame, max_side, aspect), "rgb24"), frame)


def gray_upright(frame: Any, scaler: VideoReformatter, *, max_side: int, aspect: Any) -> NDArray[np.uint8]:
    """The same in gray levels, uint8 (H, W): of 8-bit video from the plane of luma, at a quarter of the cost."""
    size = _fitting(frame, max_side, aspect)
    if frame.format.name not in LUMA_FIRST:
        return turned(_reformatted(frame, scaler, size, "gray"), frame)
    plane = frame.planes[0]
    luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    while luma.shape[1] >= 2 * size[0] and luma.shape[0] >= 2 * size[1]:
        half = luma.shape[1] // 2, luma.shape[0] // 2
        luma = cv2.resize(luma, half, interpolation=cv2.INTER_AREA)  # halving is fast
    small = luma if luma.shape[::-1] == size else cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    full_range = frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    return turned(np.asarray(small if full_range else cv2.LUT(small, LIMITED_RANGE), np.uint8), frame)


def _fitting(frame: Any, max_side: int, aspect: Any) -> tuple[int, int]:
    """Width and height of a frame with square pixels, scaled down so that no side is over `max_side`."""
    width, height = shown_size(frame, aspect)
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _reformatted(frame: Any, scaler: VideoReformatter, size: tuple[int, int], form: str) -> NDArray[np.uint8]:
    width, height = size
    area = Interpolation.AREA
    # with more threads than one a picture takes half as much CPU time again
    scaled = scaler.reformat(frame, width=width, height=height, format=form, interpolation=area, threads=1)
    return np.asarray(scaled.to_ndarray(), np.uint8)


def turned(picture: NDArray[np.uint8], frame: Any) -> NDArray[np.uint8]:
    """A frame's picture as its container says that it is to be shown."""
    transposed, flip_x, flip_y = turn(frame)
    picture = np.swapaxes(picture, 0, 1) if transposed else picture
    picture = picture[:, ::-1] if flip_x else picture
    picture = picture[::-1] if flip_y else picture
    return np.ascontiguousarray(picture)


def shrunk(picture: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """A picture, uint8 (H, W, 3), scaled down if a side is longer than `max_side`, else itself."""
    height, width = picture.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def trimmed(chunk: AudioChunk, start_s: float, end_s: float) -> list[AudioChunk]:
    """The part of a chunk inside [start_s, end_s), to the sample; nothing when it is empty."""
    count, rate = chunk.samples.shape[1], chunk.rate_hz
    first = max(0, math.ceil((start_s - chunk.start_s) * rate - 1e-2))
    past = count if end_s == math.inf else min(count, math.ceil((end_s - chunk.start_s) * rate - 1e-2))
    if first >= past:
        return []
    return [AudioChunk(chunk.start_s + first / rate, rate, chunk.samples[:, first:past])]


def shown_size(frame: Any, aspect: Any) -> tuple[int, int]:
    """Width and height with square pixels, neither larger than stored, before the picture is turned."""
    width, height = frame.width, frame.height
    if aspect and 1 < aspect < 4:
        height = max(1, round(height / aspect))
    elif aspect and 1 / 4 < aspect < 1:
        width = max(1, round(width * aspect))
    return width, height


def turn(frame: Any) -> tuple[bool, bool, bool]:
    """How to make a frame upright: swap rows with columns, then mirror left to right, then top to bottom."""
    # Not `frame.side_data`, which frame and data then hold each other by: a hundred pictures, 300 MB of HD, would wait
    # for Python to look for such cycles.
    for data in SideDataContainer(frame):  # type: ignore[call-arg]  # the stubs leave its argument out
        if data.type.name == "DISPLAYMATRIX":
            # a stored point (p, q) is shown at (a p + c q, b p + d q); the rest is scale and place
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float)
            if abs(b) + abs(c) > abs(a) + abs(d):
                return True, bool(c < 0), bool(b < 0)
            return False, bool(a < 0), bool(d < 0)
    return False, False, False
