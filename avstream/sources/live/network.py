"""A network stream, or a file at its own speed, as a Feed: PyAV in, pictures and sound on our clock out.

Delay is bounded: packets are read as they come, on a thread of their own, whatever decoding takes.
"""

from __future__ import annotations

import errno
import heapq
import math
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import av.error

from avstream.errors import SourceError
from avstream.records import Problem
from avstream.redact import hide
from avstream.sources.address import explain, is_url
from avstream.sources.container import DAMAGE, check_file, choose_stream, open_file
from avstream.sources.live.capture import CapturedPicture, CapturedSound
from avstream.sources.live.decoding import FAILURES, Arrived, Decoder, Track, track
from avstream.sources.live.pump import Pump

OPEN_S = 8.0  # a camera may take a while to answer, and as long again to send what is looked at first
SILENCE_S = 3.0  # libav gives up after up to twice as long
TRACK_SILENCE_S = 10.0  # when the sound goes on and the picture doesn't, or the other way round
MOST_PACKETS = 2000
FILE_PACKETS = 100  # of a file, which waits: more would only have all of it read at the start
PACKETS_AHEAD = 64  # of a file whose picture and sound lie apart
OPTIONS = {
    "rtsp_transport": "tcp",
    "fflags": "nobuffer",  # else what was looked at first stays as a backlog
    "analyzeduration": "500000",
    "protocol_whitelist": "rtsp,rtsps,rtp,udp,tcp,tls,http,https,httpproxy,crypto,hls,rtmp,rtmps,rtmpt",  # no files
}
PIECEMEAL = {"hls", "dash"}  # seconds of stream come at once, and are played from then on
PIECE_SILENCE_S = 30.0  # between two pieces nothing comes
WORDS = {"video": "picture", "audio": "sound"}


class NetworkFeed:
    """What PyAV can open: rtsp, http(s), udp or tcp addresses, and, with `realtime`, a file at its own speed.

    `has_sound` is None until it is connected. No side of a picture is over 1280.
    """

    def __init__(self, url: str, *, sound: bool = True, realtime: bool = False, loop: bool = False) -> None:
        """A file plays once, or with `loop` again and again without a gap."""
        self._url, self._is_file, self._loop = url, realtime and not is_url(url), loop
        self.name = url if self._is_file else hide(url)
        self.has_sound: bool | None = None
        self._has_picture = False
        self._track_silence_s = TRACK_SILENCE_S
        self._first_s = self._opened_s = 0.0  # by time.monotonic()
        self._latest_s: dict[str, float] = {}  # kind -> when it came last
        self._wanted = ["video", "audio"] if sound else ["video"]
        self._stop = threading.Event()
        self._decoder = Decoder(lambda seconds: self._stop.wait(max(0.0, seconds)))
        most = FILE_PACKETS if self._is_file else MOST_PACKETS
        self._pump: Pump[Arrived] = Pump(
            self._packets(), name=f"read {self.name}", most=most, first_s=4 * OPEN_S + 2.0, silence_s=SILENCE_S
        )

    @property
    def lost(self) -> dict[str, int]:
        """What was lost so far -> how often; empty when all is well."""
        counts = {
            "damaged packets": self._decoder.damaged,
            "pictures left out to keep up": self._decoder.skipped,
            "packets dropped to keep up": self._pump.dropped,
        }
        return {what: count for what, count in counts.items() if count}

    @property
    def lacks(self) -> list[Problem]:
        """What is wanted and does not come, though the rest does."""
        found = []
        name, mic = self.name, "name a microphone with --mic"
        if "audio" in self._wanted and self.has_sound is False:
            found.append(Problem("no_sound", name, f"{name} has no sound", mic, self._opened_s))
        if self.has_sound and self._is_missing("audio"):  # some send none while it is quiet
            since_s = self._latest_s.get("audio", self._opened_s)
            found.append(Problem("no_sound", name, f"{name} sends no sound now", f"check it, or {mic}", since_s))
        if self._has_picture and self._is_missing("video"):
            since_s = self._latest_s.get("video", self._opened_s)
            found.append(Problem("no_picture", name, f"{name} sends no picture now", "check its camera", since_s))
        return found

    def __iter__(self) -> Iterator[CapturedPicture | CapturedSound]:
        """Items as they come. Raises SourceError when it can't be read or is lost; only a file ends."""
        dropped = 0
        try:
            for arrived in self._pump:
                if self._pump.dropped > dropped:
                    dropped = self._pump.dropped
                    self._decoder.expect_key()
                if not self._is_file:
                    self._note(arrived)
                yield from self._decoder.paced(arrived) if self._pump.waits else self._decoder.live(arrived)
                if self._decoder.failed_in_a_row > FAILURES:
                    raise SourceError(f"{self.name} can't be decoded any more", "check how it is coded")
        except TimeoutError:
            raise SourceError(f"{self.name} sends nothing", "check that it is on, and the network") from None
        finally:
            self.close()

    def close(self) -> None:
        """End the iteration at once; what still waits for the network ends when that times out."""
        self._stop.set()
        self._pump.close()

    def _note(self, arrived: Arrived) -> None:
        """Raises SourceError when the picture came and does so no more."""
        self._first_s = self._first_s or arrived.arrival_s
        self._latest_s[arrived.track.kind] = arrived.arrival_s
        if "video" in self._latest_s and self._is_missing("video"):
            raise SourceError(f"{self.name} sends no picture any more", "check that it is well")

    def _is_missing(self, kind: str) -> bool:
        """Whether the other kind has come for long without this one."""
        last_s = self._latest_s.get(kind, self._first_s)
        return max(self._latest_s.values(), default=0.0) - last_s > self._track_silence_s

    # On the pump's thread

    def _packets(self) -> Generator[Arrived, None, None]:
        shift_s = 0.0
        while not self._stop.is_set():
            container = self._open()
            try:
                tracks = self._choose(container)
                if self._is_file:
                    shift_s = yield from self._played(container, tracks, shift_s)
                else:
                    yield from self._received(container, tracks)
            except DAMAGE as error:
                if isinstance(error, av.error.ExitError) or getattr(error, "errno", None) == errno.EIO:  # HLS gave up
                    raise TimeoutError from None
                raise explain(error, self._url) from None
            finally:
                container.close()
            if not self._is_file:
                raise SourceError(f"{self.name} has ended", "check that it is on")
            if not self._loop:
                return

    def _open(self) -> Any:
        if self._is_file:
            check_file(Path(self._url))
            return open_file(Path(self._url))
        try:
            container = self._connected(SILENCE_S)
            if _is_piecemeal(container):  # how long to wait can't be changed, and what for is known only now
                container.close()
                container = self._connected(PIECE_SILENCE_S)
            return container
        except (*DAMAGE, OSError) as error:
            raise explain(error, self._url) from None

    def _connected(self, silence_s: float) -> Any:
        return av.open(self._url, options=OPTIONS, timeout=(OPEN_S, silence_s), metadata_errors="replace")

    def _choose(self, container: Any) -> dict[int, Track]:
        """The streams that are wanted and there, by their numbers."""
        streams = [choose_stream(container, kind) for kind in self._wanted]
        streams = [stream for stream in streams if stream is not None]
        self._opened_s = time.monotonic()
        self.has_sound, self._has_picture = (any(one.type == kind for one in streams) for kind in ("audio", "video"))
        if not streams:
            what = " or ".join(WORDS[kind] for kind in self._wanted)
            raise SourceError(f"{self.name} has no {what} that can be read here", "try it in a player")
        self._pump.waits = self._is_file or _is_piecemeal(container)
        if _is_piecemeal(container):
            self._pump.silence_s = PIECE_SILENCE_S
            self._track_silence_s = 2 * PIECE_SILENCE_S
        return {stream.index: track(stream) for stream in streams}

    def _played(self, container: Any, tracks: dict[int, Track], shift_s: float) -> Generator[Arrived, None, float]:
        """The packets of a file in order of time, beginning at `shift_s`; returns where the next round begins."""
        first_s, end_s = None, 0.0
        for packet in _in_order(self._demuxed(container, tracks)):
            if packet.pts is not None:
                stamp_s = float(packet.pts * packet.time_base)
                first_s = stamp_s if first_s is None else first_s
                end_s = max(end_s, stamp_s - first_s + float((packet.duration or 0) * packet.time_base))
            yield Arrived(tracks[packet.stream.index], packet, time.monotonic(), shift_s - (first_s or 0.0))
        if not end_s:
            raise SourceError(f"nothing in {self._url} could be decoded", "it is damaged, fetch it again")
        return shift_s + end_s

    def _received(self, container: Any, tracks: dict[int, Track]) -> Iterator[Arrived]:
        """The packets of a live stream. An RTSP sender that reports its wall clock says when each was taken.

        Where a format has no stamps (pictures by HTTP) libav makes them up at a rate of its own: arrival is more exact.
        """
        unstamped = bool(container.format.flags & av.format.Flags.no_timestamps.value)
        for packet in self._demuxed(container, tracks):
            arrival_s, taken_s = time.monotonic(), None
            if not packet.size:
                continue
            if unstamped:
                packet.pts = packet.dts = None
            if container.start_time_realtime is not None and packet.pts is not None:
                wall_s = container.start_time_realtime / 1e6 + float(packet.pts * packet.time_base)
                taken_s = arrival_s - (time.time() - wall_s)
            yield Arrived(tracks[packet.stream.index], packet, arrival_s, taken_s=taken_s)

    def _demuxed(self, container: Any, tracks: dict[int, Track]) -> Iterator[Any]:
        """The packets of some streams, to the end or until nobody wants them.

        PyAV can choose streams too, but would go on for ever without a word while only others come.
        """
        try:
            for packet in container.demux():
                if self._stop.is_set():
                    return
                if packet.stream.index in tracks:
                    yield packet
        except IndexError:
            pass  # the end: PyAV can't flush streams that showed up late


def _is_piecemeal(container: Any) -> bool:
    return not PIECEMEAL.isdisjoint(container.format.name.split(","))


def _in_order(packets: Iterable[Any]) -> Iterator[Any]:
    """Packets sorted by time as far as PACKETS_AHEAD allow, empty ones last."""
    ahead: list[tuple[float, int, Any]] = []
    latest_s = 0.0
    for number, packet in enumerate(packets):
        latest_s = float(packet.dts * packet.time_base) if packet.dts is not None else latest_s
        heapq.heappush(ahead, (latest_s if packet.size else math.inf, number, packet))
        if len(ahead) > PACKETS_AHEAD:
            yield heapq.heappop(ahead)[2]
    while ahead:
        yield heapq.heappop(ahead)[2]
