"""What every audio encoder shares: its face, and the sound as it wants it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray


class AudioEncoder(Protocol):
    """Turns a window's sound into one vector."""

    rate_hz: int
    dim: int

    def encode(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mono float32 (n,) at `rate_hz` -> z_a, float32 (dim,)."""
        ...


def mono(audio: NDArray[np.float32], rate_hz: int, wanted_hz: int) -> NDArray[np.float32]:
    """(channels, n) at `rate_hz` -> the channels' mean (n',) at `wanted_hz`."""
    samples = audio.mean(axis=0, dtype=np.float32)
    if rate_hz != wanted_hz:
        samples = soxr.resample(samples, rate_hz, wanted_hz, quality="HQ")
    return np.ascontiguousarray(samples, np.float32)
