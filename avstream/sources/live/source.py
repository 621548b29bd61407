"""A camera and a microphone, or a network stream, as one Source on one clock that goes on whatever happens to them.

Times are seconds since the iteration began, by time.monotonic(). Pictures are never waited for, sound hardly ever.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from avstream.errors import ConfigError, SourceError
from avstream.records import (
    MOTION_SIDE,
    AudioChunk,
    MotionFrame,
    Problem,
    StreamInfo,
    StreamItem,
    VideoFrame,
    Watermark,
)
from avstream.redact import hide
from avstream.sources.address import is_device, is_url, stream_name
from avstream.sources.container import DAMAGE, check_file
from avstream.sources.frames import (
    MOTION_RATE_HZ,
    PICTURE_RATE_HZ,
    PICTURE_SIDE,
    SHOWN_SIDE,
    SOUND_GAP_S,
    AtMost,
    OnePerSlot,
    trimmed,
)
from avstream.sources.live.camera import CameraFeed
from avstream.sources.live.capture import CapturedPicture, CapturedSound, Feed
from avstream.sources.live.drift import SteadySound
from avstream.sources.live.microphone import MicrophoneFeed
from avstream.sources.live.network import NetworkFeed
from avstream.sources.live.supervision import Supervisor, What
from avstream.workers import turn

PATIENCE_S = 0.5  # what comes later than this after it was taken is late
MARK_S = 0.1
BOUND_S = 10.0  # of stream that wait to be read
CLOSE_S = 1.0  # for devices to let go


class LiveSource:
    """What a camera and a microphone give from now on; lost, they are tried again, and are among the `problems`.

    `camera` is a number, a device file, an address or, with `realtime`, a movie file that is played at its own speed,
    with `loop` again and again; None for no pictures. `microphone` is a number, part of a name, "none", or "stream"
    for the sound inside the address or file. None means "stream" for these, else the default microphone.
    Raises ConfigError for what makes no sense together, SourceError for a file that is not there.
    """

    def __init__(
        self,
        *,
        camera: str | None,
        microphone: str | None,
        realtime: bool = False,
        loop: bool = False,
        name: str | None = None,
    ) -> None:
        device = camera is None or is_device(camera)
        _check(camera, microphone, played=realtime or loop)
        microphone = microphone if microphone is not None else "" if device else "stream"
        self._info = StreamInfo(
            name=name or stream_name(camera),
            duration_s=None,
            has_video=camera is not None,
            has_audio=microphone != "none",
        )
        self._origin_s = self._epoch_s = 0.0
        self._read_once, self._stop = False, threading.Event()
        self._inbox, self._turn = _Inbox(), turn()
        self._pictures = _Pictures()
        self._steady = SteadySound()
        self._supervisors: list[Supervisor] = []
        in_stream = microphone == "stream"  # where the sound should be
        is_file = camera is not None and not device and not is_url(camera)
        if camera is not None and device:
            self._supervise("picture", lambda: CameraFeed(camera))
        elif camera is not None:

            def connect() -> NetworkFeed:
                return NetworkFeed(camera, sound=in_stream, realtime=realtime, loop=loop)

            self._supervise("stream" if in_stream else "picture", connect, ends=is_file)
        if microphone not in ("none", "stream"):
            self._supervise("sound", lambda: MicrophoneFeed(microphone))

    @property
    def info(self) -> StreamInfo:
        """What it is; before the iteration begins, `epoch_s` is as if it began now."""
        return replace(self._info, epoch_s=self._epoch_s or time.time())

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong now."""
        found = [problem for one in self._supervisors if (problem := one.problem) is not None]
        feeds = [one.feed for one in self._supervisors]
        return (*found, *(what for feed in feeds if isinstance(feed, NetworkFeed) for what in feed.lacks))

    @property
    def warnings(self) -> list[str]:
        """What was lost so far, counted, one sentence each; empty when all is well."""
        found = [warning for one in self._supervisors for warning in one.warnings]
        if self._pictures.damaged:
            found.append(f"{self._pictures.damaged} pictures were of a kind that can't be read")
        if self._inbox.pictures_dropped:
            found.append(f"{self._inbox.pictures_dropped} pictures were dropped, as nobody took them in time")
        if self._inbox.sound_dropped_s:
            found.append(f"{self._inbox.sound_dropped_s:.1f} s of sound were dropped, as nobody took them in time")
        if self._steady.gap_s >= SOUND_GAP_S:
            found.append(f"{self._steady.gap_s:.2f} s of sound are missing and taken as silence")
        return [f"{self._info.name}: {warning}" for warning in found]

    @property
    def reached_s(self) -> float | None:
        """Where what was read so far ends; None when that is nothing."""
        return self._inbox.reached_s or None

    def now_s(self) -> float:
        """The stream time of this moment; 0 before the iteration begins."""
        return time.monotonic() - self._origin_s if self._origin_s else 0.0

    def latest(self) -> VideoFrame | None:
        """The newest picture, no side over SHOWN_SIDE, at the rate of the camera; None before the first.

        For one thread at a time.
        """
        return self._pictures.latest()

    def close(self) -> None:
        """End the iteration and let go of the devices; one that hangs is left behind after about a second."""
        self._stop.set()
        deadline_s = time.monotonic() + CLOSE_S
        for supervisor in self._supervisors:
            supervisor.close(0.0)
        for supervisor in self._supervisors:
            supervisor.close(max(0.0, deadline_s - time.monotonic()))

    def __iter__(self) -> Iterator[StreamItem]:
        """Items in rough order of time, and a Watermark every 0.1 s whatever comes.

        Ends after `close`, or with a file. Raises SourceError when read twice, or when a file can't be read.
        """
        if self._read_once:
            raise SourceError(f"{self._info.name} was read already", "open it again to read it again")
        self._read_once = True
        return self._items()

    def _items(self) -> Iterator[StreamItem]:
        self._origin_s, self._epoch_s = time.monotonic(), time.time()
        mark_s = 0.0
        try:
            if not self._stop.is_set():
                for supervisor in self._supervisors:
                    supervisor.start()
            while not self._stop.is_set():
                ended = any(supervisor.ended for supervisor in self._supervisors)
                yield from self._inbox.take(max(0.0, mark_s + MARK_S - self.now_s()))
                if self.now_s() >= mark_s + MARK_S:
                    mark_s = self.now_s()
                    yield Watermark(max(0.0, mark_s - PATIENCE_S))
                if ended:
                    break
        finally:
            self.close()
        for supervisor in self._supervisors:
            if supervisor.failure is not None:
                raise supervisor.failure

    def _supervise(self, what: What, connect: Callable[[], Feed], *, ends: bool = False) -> None:
        self._supervisors.append(Supervisor(what, connect, self._take, ends=ends))

    def _take(self, item: CapturedPicture | CapturedSound) -> None:
        """Take what a feed gives, on its thread. Only one feed gives pictures and only one sound."""
        with self._turn:
            if isinstance(item, CapturedPicture):
                self._take_picture(item)
            else:
                self._take_sound(item)

    def _take_picture(self, captured: CapturedPicture) -> None:
        for picture in self._pictures.take(captured.monotonic_s - self._origin_s, captured):
            self._inbox.put_picture(picture)

    def _take_sound(self, captured: CapturedSound) -> None:
        for piece in self._steady.push(captured):
            chunk = AudioChunk(piece.monotonic_s - self._origin_s, piece.rate_hz, piece.samples)
            for part in trimmed(chunk, 0.0, math.inf):
                self._inbox.put_sound(part)


class _Pictures:
    """Of the pictures of a camera now and then one to narrate and one for motion, and the newest to show if asked."""

    def __init__(self) -> None:
        self.damaged = 0
        self._newest: tuple[float, CapturedPicture] | None = None
        self._shown: VideoFrame | None = None
        self._seen_s = -1.0
        self._narrated, self._motion = OnePerSlot(PICTURE_RATE_HZ), AtMost(MOTION_RATE_HZ)

    def take(self, time_s: float, picture: CapturedPicture) -> list[VideoFrame | MotionFrame]:
        """What to pass on of a picture, its times ever rising."""
        if time_s < 0 or time_s <= self._seen_s:
            return []
        self._seen_s = time_s
        made: list[VideoFrame | MotionFrame] = []
        try:
            if self._narrated.wants(time_s):
                made.append(VideoFrame(time_s, picture.rgb(PICTURE_SIDE)))
                self._narrated.took(time_s)
            if self._motion.wants(time_s):
                made.append(MotionFrame(time_s, picture.gray(MOTION_SIDE)))
                self._motion.took(time_s)
        except DAMAGE:
            self.damaged += 1
            return []
        self._newest = time_s, picture
        return made

    def latest(self) -> VideoFrame | None:
        """The newest picture, as large as people are shown it."""
        newest = self._newest
        if newest is not None and (self._shown is None or self._shown.time_s != newest[0]):
            with suppress(*DAMAGE):
                self._shown = VideoFrame(newest[0], newest[1].rgb(SHOWN_SIDE))
        return self._shown


class _Inbox:
    """What waits to be read, BOUND_S of it; what is more drops the oldest, counted."""

    def __init__(self) -> None:
        self.pictures_dropped, self.sound_dropped_s, self.reached_s = 0, 0.0, 0.0
        self._came = threading.Condition()
        self._pictures: deque[VideoFrame | MotionFrame] = deque()
        self._sound: deque[AudioChunk] = deque()

    def put_picture(self, picture: VideoFrame | MotionFrame) -> None:
        with self._came:
            self._pictures.append(picture)
            while self._pictures[-1].time_s - self._pictures[0].time_s > BOUND_S:
                self.pictures_dropped += isinstance(self._pictures.popleft(), VideoFrame)
            self.reached_s = max(self.reached_s, picture.time_s)
            self._came.notify()

    def put_sound(self, chunk: AudioChunk) -> None:
        with self._came:
            self._sound.append(chunk)
            while chunk.start_s - self._sound[0].start_s > BOUND_S:
                old = self._sound.popleft()
                self.sound_dropped_s += old.samples.shape[1] / old.rate_hz
            self.reached_s = max(self.reached_s, chunk.start_s + chunk.samples.shape[1] / chunk.rate_hz)
            self._came.notify()

    def take(self, timeout_s: float) -> list[VideoFrame | MotionFrame | AudioChunk]:
        """All that waits, in order of time, as soon as there is something."""
        with self._came:
            self._came.wait_for(lambda: self._pictures or self._sound, timeout_s)
            items = [*self._pictures, *self._sound]
            self._pictures.clear()
            self._sound.clear()
        return sorted(items, key=lambda item: item.start_s if isinstance(item, AudioChunk) else item.time_s)


def _check(camera: str | None, microphone: str | None, *, played: bool) -> None:
    """Raises ConfigError, and SourceError for a file that is not there."""
    if played and (camera is None or is_device(camera) or is_url(camera)):
        raise ConfigError("--realtime and --loop play a movie as if it were live", "name its file with --camera")
    if camera is None and microphone == "none":
        raise ConfigError("a live stream needs a camera or a microphone", "leave out --mic none, or give --camera")
    if microphone == "stream" and (camera is None or is_device(camera)):
        raise ConfigError("--mic stream is the sound of an address or a file", "give one as --camera, or leave it out")
    if camera is None or is_device(camera) or is_url(camera):
        return
    path = Path(camera)
    if not played:
        if path.exists():
            raise ConfigError(
                f"{camera} is a file", f"add --realtime to play it as if it were live, or use `avstream file {camera}`"
            )
        raise ConfigError(
            f"--camera {hide(camera)} is neither a number (0), a device (/dev/video0) nor an address",
            "an address begins with rtsp://, http://, https://, udp:// or tcp://",
        )
    check_file(path)
