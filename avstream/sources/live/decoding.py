"""Packets of a live stream decoded, placed on our clock, and left out when there is no time for them.

What is damaged is skipped and counted. It opens nothing: packets come with the time of their arrival.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from avstream.records import AudioChunk
from avstream.sources.container import DAMAGE
from avstream.sources.frames import Sounds, gray_upright, upright
from avstream.sources.live.capture import CapturedPicture, CapturedSound
from avstream.sources.live.clocks import ArrivalClock, PlaybackClock
from avstream.sources.live.drift import duration_s
from avstream.workers import turn

BEHIND_S = 0.5  # decoding that is later than this skips to a key frame
GATHER_S = 0.05  # of sound that is handed over at once: threads of many streams wait for each other at every step
NO_KEY_S = 10.0  # a stream without key frames for so long has none: its pictures are decoded all the same
SETTLING_S = 0.7  # senders begin with a burst or late, which would be placed wrong, and sound is put right slowly
FAILURES = 50  # undecodable packets in a row: the stream has become something else
LATE_PICTURES = {"mpegts": 2}  # format -> pictures that begin before libav knows that one is complete


@dataclass(frozen=True, slots=True)
class Track:
    """What decoding needs to know of a stream. libav's own stream must not be touched once its container is closed.

    `aspect` is a pixel's width over its height; `held_back_s` how long libav has a picture before it hands it over.
    """

    kind: str  # "video" or "audio"
    codec: Any
    aspect: Any
    held_back_s: float


@dataclass(frozen=True, slots=True)
class Arrived:
    """A packet, when it came (seconds of time.monotonic()), and what is to be added to its stamps (seconds)."""

    track: Track
    packet: Any
    arrival_s: float
    shift_s: float = 0.0
    taken_s: float | None = None  # by the sender's wall clock, on our clock


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPicture(CapturedPicture):
    """A frame as libav gives it; `aspect` is a pixel's width over its height."""

    frame: Any
    aspect: Any

    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        """See CapturedPicture."""
        return upright(self.frame, VideoReformatter(), max_side=max_side, aspect=self.aspect)

    def gray(self, max_side: int) -> NDArray[np.uint8]:
        """See CapturedPicture."""
        return gray_upright(self.frame, VideoReformatter(), max_side=max_side, aspect=self.aspect)


class Decoder:
    """Turns the packets of one connection into pictures and sound.

    `damaged` counts packets that made no sense, `skipped` pictures that were left out to keep up.
    """

    def __init__(self, wait: Callable[[float], bool]) -> None:
        """`wait` sleeps for so many seconds and returns whether to give up; only paced streams need it."""
        self.damaged = self.skipped = 0
        self.failed_in_a_row = 0
        self._wait, self._turn = wait, turn()
        self._arrivals, self._playback = ArrivalClock(), PlaybackClock()
        self._sounds = Sounds(start_s=0.0, end_s=math.inf, gather_s=GATHER_S)
        self._first_s = math.inf
        self._needs_key, self._keyless_since_s, self._began = True, math.inf, False

    def live(self, arrived: Arrived) -> Iterator[CapturedPicture | CapturedSound]:
        """What a packet of a live stream holds, stamped with when it was taken."""
        packet = arrived.packet
        stamp_s = _seconds(packet.pts, packet.time_base, arrived)
        if stamp_s is not None:
            self._arrivals.note(stamp_s, arrived.arrival_s - arrived.track.held_back_s, arrived.taken_s)
        self._first_s = min(self._first_s, arrived.arrival_s)
        for frame in self._frames(arrived, late_s=time.monotonic() - arrived.arrival_s):
            if arrived.arrival_s < self._first_s + SETTLING_S:
                continue
            stamp_s = _seconds(frame.pts, frame.time_base, arrived)
            yield from self._items(arrived.track, frame, self._arrivals.place(stamp_s, arrived.arrival_s))

    def paced(self, arrived: Arrived) -> Iterator[CapturedPicture | CapturedSound]:
        """What a packet of a file holds, no earlier than a camera and a microphone would give it."""
        packet = arrived.packet
        stamp_s, late_s = _seconds(packet.pts, packet.time_base, arrived), 0.0
        if stamp_s is not None:
            late_s = time.monotonic() - self._playback.place(stamp_s, 0.0)
        for frame in self._frames(arrived, late_s):
            stamp_s = _seconds(frame.pts, frame.time_base or packet.time_base, arrived)
            length_s = frame.samples / frame.sample_rate if arrived.track.kind == "audio" else 0.0
            yield from self._awaited(self._items(arrived.track, frame, self._playback.place(stamp_s, length_s)))
        if not packet.size and arrived.track.kind == "audio":
            yield from self._awaited(_captured(self._sounds.rest()))

    def _awaited(self, items: Iterable[CapturedPicture | CapturedSound]) -> Iterator[CapturedPicture | CapturedSound]:
        """Each when it is over: sound is gathered, so that most of its frames are not waited for one by one."""
        for item in items:
            length_s = duration_s(item) if isinstance(item, CapturedSound) else 0.0
            if self._wait(item.monotonic_s + length_s - time.monotonic()):
                return
            yield item

    def expect_key(self) -> None:
        """Packets were lost: pictures make no sense before the next key frame."""
        self._needs_key = True

    def _frames(self, arrived: Arrived, late_s: float) -> list[Any]:
        packet = arrived.packet
        if arrived.track.kind == "video" and packet.size and self._skips(packet, late_s):
            return []
        self.damaged += bool(packet.is_corrupt)
        try:
            with self._turn:
                frames = arrived.track.codec.decode(packet if packet.size else None)
        except EOFError:
            return []
        except DAMAGE:
            self.damaged += 1
            self.failed_in_a_row += 1
            return []
        if frames:
            self.failed_in_a_row = 0
        return [frame for frame in frames if not frame.is_corrupt]

    def _skips(self, packet: Any, late_s: float) -> bool:
        """Whether a picture is left out: before the first key frame, and while decoding is behind."""
        now_s = time.monotonic()
        if late_s > BEHIND_S and not self._needs_key:
            self._needs_key = True
        if not self._needs_key:
            self._keyless_since_s = math.inf
            return False
        self._keyless_since_s = min(self._keyless_since_s, now_s)
        if late_s <= BEHIND_S and (packet.is_keyframe or now_s - self._keyless_since_s > NO_KEY_S):
            self._needs_key, self._began = False, True
            return False
        self.skipped += self._began  # what came before the first key frame was never promised
        return True

    def _items(self, track: Track, frame: Any, time_s: float) -> Iterator[CapturedPicture | CapturedSound]:
        try:
            if track.kind == "video":
                yield DecodedPicture(time_s, frame, track.aspect)
            else:
                yield from _captured(self._sounds.take(time_s, frame))
        except DAMAGE:
            self.damaged += 1


def _captured(chunks: list[AudioChunk]) -> Iterator[CapturedSound]:
    return (CapturedSound(chunk.start_s, chunk.rate_hz, chunk.samples) for chunk in chunks)


def _seconds(stamp: int | None, base: Any, arrived: Arrived) -> float | None:
    return None if stamp is None or not base else float(stamp * base) + arrived.shift_s


def track(stream: Any) -> Track:
    """What is to be known of a stream that was chosen, made ready to decode without delay."""
    stream.thread_type = "SLICE"  # frame threads hold pictures back
    if stream.type == "audio":
        return Track("audio", stream.codec_context, None, 0.0)
    late = LATE_PICTURES.get(stream.container.format.name, 0)
    rate_hz = float(stream.average_rate or stream.guessed_rate or 0)
    held_back_s = late / rate_hz if 1 <= rate_hz <= 1000 else 0.0
    return Track("video", stream.codec_context, stream.sample_aspect_ratio, held_back_s)
