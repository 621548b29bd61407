"""A microphone of this machine as a Feed of sound, by PortAudio. It knows no pictures and no stream time.

PortAudio tells nothing when the sound server dies, and hangs when that hangs. So its calls are made on the pump's
thread, which may be left behind, and a silence of blocks counts as a loss.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avstream.errors import SourceError
from avstream.sources.devices import Microphone, inputs, pick
from avstream.sources.live import portaudio
from avstream.sources.live.capture import CapturedSound
from avstream.sources.live.pump import Pump

RATE_HZ = 48_000
BLOCK_S = 0.1  # smaller ones come by the thousand, and cost more than the narrator
MOST = 50  # blocks, 5 s, that wait for a slow reader; the oldest are dropped then
FIRST_S = 8.0  # a sound server may start only now
SILENCE_S = 2.0
WATCH_S = 0.25  # how often a stream is asked whether it lives
RELEASE_S = 1.0  # for a device to be let go
OLDEST_S = 5.0  # a block that claims to be older has a stamp of another clock


class MicrophoneFeed:
    """The sound of one microphone in blocks of 100 ms, given by number, by (part of) its name, or "" for the default.

    48 kHz if it can, else at its usual rate; one or two channels. A block is stamped by when PortAudio says that its
    first sample was heard.
    """

    def __init__(self, device: str) -> None:
        self.name = f"microphone {device}" if device else "the microphone"
        self._device = device
        self._heard: queue.SimpleQueue[CapturedSound | None] = queue.SimpleQueue()  # the pump bounds what waits
        self._closed, self._lost, self._released = threading.Event(), threading.Event(), threading.Event()
        self._rate_hz, self._latency_s = RATE_HZ, 0.0
        self._pump: Pump[CapturedSound] = Pump(
            self._blocks(), name=f"read {self.name}", most=MOST, first_s=FIRST_S, silence_s=SILENCE_S
        )

    @property
    def lost(self) -> dict[str, int]:
        """What was dropped because the reader was slow -> how often; empty when all is well."""
        return {"blocks of sound dropped": self._pump.dropped} if self._pump.dropped else {}

    def __iter__(self) -> Iterator[CapturedSound]:
        """Blocks as they come. Raises SourceError when it isn't there, can't be opened, or is lost."""
        if self._closed.is_set():
            return
        try:
            yield from self._pump
        except TimeoutError:
            raise SourceError(
                f"{self.name} gives no sound", "check its plug, and whether the sound server is well"
            ) from None
        finally:
            self.close()
            if not self._released.wait(RELEASE_S):
                portaudio.abandon()

    def close(self) -> None:
        """End the iteration at once; a device that hangs keeps its thread, which can't be ended."""
        self._closed.set()
        self._heard.put(None)
        self._pump.close()

    def _blocks(self) -> Generator[CapturedSound, None, None]:
        """Open and read, on the pump's thread: every call here may block."""
        try:
            stream = self._open()
            try:
                while not self._closed.is_set():
                    block = self._next(stream)
                    if block is not None:
                        yield block
            finally:
                with suppress(SourceError):  # the sound system hangs: the loss is what matters
                    portaudio.close(stream)
        finally:
            self._released.set()

    def _open(self) -> Any:
        """A stream that runs. Raises SourceError."""
        with portaudio.session() as library:
            try:
                microphone = pick(self._device, inputs(library))
            except SourceError as error:
                raise SourceError(f"{error.found}{portaudio.caveat()}", error.fix) from error
            channels = min(2, microphone.channels)
            try:
                self._rate_hz = usable_rate_hz(library, microphone, channels)
                stream = library.InputStream(
                    device=microphone.index,
                    channels=channels,
                    samplerate=self._rate_hz,
                    blocksize=round(self._rate_hz * BLOCK_S),
                    latency="high",
                    dtype="float32",
                    callback=self._hear,
                    finished_callback=self._finish,
                )
                self._latency_s = stream.latency
                portaudio.start(stream)
            except library.PortAudioError as error:
                raise SourceError(
                    f"{self.name} can't be opened: {portaudio.reason(error)}",
                    "close what else uses it, or see `avstream devices` for others",
                ) from error
        return stream

    def _next(self, stream: Any) -> CapturedSound | None:
        """The next block, or None after WATCH_S without one. Raises SourceError when the device is gone."""
        with suppress(queue.Empty):
            block = self._heard.get(timeout=WATCH_S)
            if block is not None:
                return block
        if not self._closed.is_set() and (self._lost.is_set() or not stream.active):
            raise SourceError(f"{self.name} was lost", "check its plug, and whether the sound server runs")
        return None

    def _hear(self, data: NDArray[np.float32], count: int, times: Any, status: object) -> None:
        """PortAudio's callback: `data` is (count, channels), and its own."""
        if self._closed.is_set():
            return  # a stream that could not be closed, as its server hung, comes back
        now_s, length_s = time.monotonic(), count / self._rate_hz
        age_s = times.currentTime - times.inputBufferAdcTime
        if times.inputBufferAdcTime <= 0 or not 0 <= age_s <= OLDEST_S:
            age_s = length_s + self._latency_s
        age_s = max(age_s, length_s)  # the first block after a start is said to be younger than it is long
        self._heard.put(CapturedSound(now_s - age_s, self._rate_hz, np.array(data.T, order="C")))

    def _finish(self) -> None:
        """PortAudio's callback when a stream ends, whyever."""
        self._lost.set()
        self._heard.put(None)


def usable_rate_hz(library: Any, microphone: Microphone, channels: int) -> int:
    """48 kHz if a microphone takes it, else its usual rate."""
    with suppress(library.PortAudioError):
        library.check_input_settings(microphone.index, channels=channels, dtype="float32", samplerate=RATE_HZ)
        return RATE_HZ
    return microphone.rate_hz
