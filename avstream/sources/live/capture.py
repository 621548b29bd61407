"""What devices and live streams hand over, on the clock of this machine, before a stream has a time of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class CapturedPicture(ABC):
    """A picture, and when it was taken: seconds of time.monotonic().

    Most pictures are only looked at for motion, so what is wanted is made when it is asked for, from any thread.
    """

    monotonic_s: float

    @abstractmethod
    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        """Upright RGB uint8 (H, W, 3), no side over `max_side`. Raises one of `container.DAMAGE` if that fails."""

    @abstractmethod
    def gray(self, max_side: int) -> NDArray[np.uint8]:
        """The same in gray levels, uint8 (H, W)."""


@dataclass(frozen=True, slots=True, eq=False)
class CapturedSound:
    """A piece of sound, float32 (channels, n) in [-1, 1]; its first sample was at time.monotonic() `monotonic_s`."""

    monotonic_s: float
    rate_hz: int
    samples: NDArray[np.float32]


class Feed(Protocol):
    """One connection to a camera, a microphone or a network stream. To connect again, make a new one."""

    name: str  # for people; never with credentials

    @property
    def lost(self) -> dict[str, int]:
        """What was lost so far -> how often; empty when all is well."""
        ...

    def __iter__(self) -> Iterator[CapturedPicture | CapturedSound]:
        """Connect, then hand over what comes, as it comes; blocks. For a live input there is no good end: it raises
        SourceError when it can't connect, when nothing comes for too long, and when it is lost. A file played at
        real speed simply ends.
        """
        ...

    def close(self) -> None:
        """End the iteration soon, from any thread, also while it is blocked; harmless when repeated."""
        ...
