"""A camera on this machine as a Feed of pictures, by OpenCV. It knows no sound and no network."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.errors import SourceError
from avstream.sources.devices import MAY_READ
from avstream.sources.frames import shrunk
from avstream.sources.live.capture import CapturedPicture
from avstream.sources.live.pump import Pump

FIRST_S = 10.0  # a camera may take this long to wake up
SILENCE_S = 3.0  # one that gives no picture for longer has hung
PLAUSIBLE_S = 2.0  # a driver's stamp further than this from now is of another clock
SIZE = (1280, 720)  # what is asked for; the driver takes the nearest it has
BACKENDS = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_DSHOW}

_hung: dict[str, Pump[CapturedPicture]] = {}  # device -> who hung in its driver when last seen


@dataclass(frozen=True, slots=True, eq=False)
class CameraPicture(CapturedPicture):
    """A picture as OpenCV gives it: BGR uint8 (H, W, 3)."""

    bgr: NDArray[np.uint8]

    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        """See CapturedPicture."""
        return np.asarray(cv2.cvtColor(shrunk(self.bgr, max_side), cv2.COLOR_BGR2RGB), np.uint8)

    def gray(self, max_side: int) -> NDArray[np.uint8]:
        """See CapturedPicture."""
        return np.asarray(cv2.cvtColor(shrunk(self.bgr, max_side), cv2.COLOR_BGR2GRAY), np.uint8)


class CameraFeed:
    """The pictures of one camera, given by its number ("0"), its device file, or a path that OpenCV can open."""

    def __init__(self, device: str) -> None:
        self.name = f"camera {device}"
        self._device = device
        self._pump: Pump[CapturedPicture] = Pump(
            self._pictures(), name=f"read {self.name}", most=2, first_s=FIRST_S, silence_s=SILENCE_S
        )

    @property
    def lost(self) -> dict[str, int]:
        """What was left out because the reader was slow -> how often; empty when all is well."""
        return {"pictures left out to keep up": self._pump.dropped} if self._pump.dropped else {}

    def __iter__(self) -> Iterator[CapturedPicture]:
        """Pictures as they come, the oldest dropped when the reader is slow. Raises SourceError."""
        self._check()
        try:
            yield from self._pump
        except TimeoutError:
            _hung[self._device] = self._pump
            raise SourceError(
                f"{self.name} gives no pictures", "unplug it and plug it in again, or close what else uses it"
            ) from None
        finally:
            self._pump.close()

    def close(self) -> None:
        """End the iteration at once; a device that hangs keeps its thread, which can't be ended."""
        self._pump.close()

    def _check(self) -> None:
        """Tell what is wrong with a device before OpenCV does so in its own words, or hangs."""
        hung = _hung.get(self._device)
        if hung is not None and hung.is_alive:  # another try would hang too, and keep another thread
            raise SourceError(f"{self.name} still hangs", "unplug it and plug it in again, or start this machine anew")
        path = Path(f"/dev/video{self._device}" if self._device.isdigit() else self._device)
        if self._device.isdigit() and sys.platform != "linux":
            return
        if not path.exists():
            raise SourceError(
                f"{self.name} is not there (no {path})", "plug it in, or see `avstream devices` for those there are"
            )
        if not os.access(path, os.R_OK):
            raise SourceError(f"{self.name} may not be read", MAY_READ)

    def _pictures(self) -> Generator[CapturedPicture, None, None]:
        """Read on the pump's thread: every call here may block."""
        capture = self._open()
        try:
            while True:
                there, bgr = capture.read()
                arrival_s = time.monotonic()
                if not there:
                    raise SourceError(f"{self.name} was lost", "check its plug and its cable")
                stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # V4L2's are of the monotonic clock
                plausible = 0 <= arrival_s - stamp_s < PLAUSIBLE_S
                yield CameraPicture(stamp_s if plausible else arrival_s, np.asarray(bgr, np.uint8))
        finally:
            capture.release()

    def _open(self) -> Any:
        is_file = not self._device.isdigit() and not self._device.startswith("/dev/")
        backend = cv2.CAP_ANY if is_file else BACKENDS.get(sys.platform, cv2.CAP_ANY)
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it would say is said here
        capture = cv2.VideoCapture(int(self._device) if self._device.isdigit() else self._device, backend)
        if not capture.isOpened():
            raise SourceError(
                f"{self.name} can't be opened", "close what else uses it, or see `avstream devices` for others"
            )
        if not is_file:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))  # raw 720p is too much for USB 2
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, SIZE[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, SIZE[1])
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture
