"""A microphone of this machine as a Feed of sound, by PortAudio. It knows no pictures and no stream time.

PortAudio reports nothing when the sound server dies, and hangs when that hangs. So its calls are made by a watchdog, a
thread that may be left behind, and a silence of blocks counts as a loss.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avstream.errors import SourceError
from avstream.sources.devices import Microphone, inputs, pick
from avstream.sources.live import portaudio
from avstream.sources.live.capture import CapturedSound
from avstream.sources.live.pump import Handover

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
    first sample was heard. PortAudio's own thread puts the blocks into one queue, and whoever iterates reads them.
    """

    def __init__(self, device: str) -> None:
        self.name = f"microphone {device}" if device else "the microphone"
        self._device = device
        self._rate_hz, self._latency_s = RATE_HZ, 0.0
        self._blocks: Handover[CapturedSound] = Handover(most=MOST, first_s=FIRST_S, silence_s=SILENCE_S)
        self._ended = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)

    @property
    def lost(self) -> dict[str, int]:
        """What was dropped because the reader was slow -> how often; empty when all is well."""
        return {"blocks of sound dropped": self._blocks.dropped} if self._blocks.dropped else {}

    def __iter__(self) -> Iterator[CapturedSound]:
        """Blocks as they come. Raises SourceError when it isn't there, can't be opened, or is lost."""
        if self._ended.is_set():
            return
        self._watchdog.start()
        try:
            yield from self._blocks
        except TimeoutError:
            raise SourceError(
                f"{self.name} gives no sound", "check its plug, and whether the sound server is well"
            ) from None
        finally:
            self.close()
            self._watchdog.join(RELEASE_S)
            if self._watchdog.is_alive():
                portaudio.abandon()

    def close(self) -> None:
        """End the iteration at once; a device that hangs keeps its watchdog, which can't be ended."""
        self._ended.set()
        self._blocks.close()

    def _watch(self) -> None:
        """Open the device, ask now and then whether it lives, and close it: any call here may hang."""
        try:
            stream = self._open()
            try:
                while not self._ended.wait(WATCH_S) and stream.active:
                    pass
            finally:
                with suppress(SourceError):  # the sound system hangs: the loss is what matters
                    portaudio.close(stream)
            raise SourceError(f"{self.name} was lost", "check its plug, and whether the sound server runs")
        except BaseException as error:
            self._blocks.end(error)

    def _open(self) -> Any:
        """A stream that runs. Raises SourceError."""
        with portaudio.session() as library:
            try:
                microphone = pick(self._device, inputs(library))
            except SourceError as error:
                raise SourceError(f"{error.found}{portaudio.caveat()}", error.fix) from error
            channels = min(2, microphone.channels)
            portaudio.aim(microphone.source)
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

    def _hear(self, data: NDArray[np.float32], count: int, times: Any, status: object) -> None:
        """PortAudio's callback: `data` is (count, channels), and its own.

        It may come after `close`, when a stream could not be closed as its server hung: the queue then takes nothing.
        """
        now_s, length_s = time.monotonic(), count / self._rate_hz
        age_s = times.currentTime - times.inputBufferAdcTime
        if times.inputBufferAdcTime <= 0 or not 0 <= age_s <= OLDEST_S:
            age_s = length_s + self._latency_s
        age_s = max(age_s, length_s)  # the first block after a start is said to be younger than it is long
        self._blocks.put(CapturedSound(now_s - age_s, self._rate_hz, np.array(data.T, order="C")))

    def _finish(self) -> None:
        """PortAudio's callback when a stream ends, whyever."""
        self._ended.set()


def usable_rate_hz(library: Any, microphone: Microphone, channels: int) -> int:
    """48 kHz if a microphone takes it, else its usual rate."""
    with suppress(library.PortAudioError):
        library.check_input_settings(microphone.index, channels=channels, dtype="float32", samplerate=RATE_HZ)
        return RATE_HZ
    return microphone.rate_hz
