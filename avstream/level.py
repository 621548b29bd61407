"""How loud a sound is. Numpy only: whoever shows a level needs no models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_S = 0.1
FLOOR_DBFS = -120.0
BAR_FROM_DBFS = -60.0  # where a bar that shows a level begins; it ends at 0
SILENCE_DBFS = -55.0  # of the loudest block: below the hiss of ordinary microphones there is nothing to claim
LOCALIZABLE_DBFS = -60.0  # a quieter sound has no place: neither its direction nor what moves with it is measured


def loudness_dbfs(audio: NDArray[np.float32], rate_hz: int) -> float:
    """RMS of the loudest 100 ms of (channels, n), over its loudest channel; FLOOR_DBFS for digital silence."""
    block = max(1, round(BLOCK_S * rate_hz))
    used = audio.shape[1] // block * block
    blocks = audio[:, :used].reshape(len(audio), -1, block) if used else audio[:, None, :]
    if not blocks.size:
        return FLOOR_DBFS
    power = float(np.square(blocks, dtype=np.float64).mean(axis=-1).max())
    return max(FLOOR_DBFS, 10 * float(np.log10(power))) if power > 0 else FLOOR_DBFS
