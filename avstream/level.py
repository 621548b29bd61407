"""How loud a sound is. Numpy only: whoever shows a level needs no models."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

BLOCK_S = 0.1
FLOOR_DBFS = -120.0
BAR_FROM_DBFS = -60.0  # where a bar that shows a level begins; it ends at 0
SILENCE_DBFS = -55.0  # of the loudest block: below the hiss of ordinary microphones there is nothing to claim
RISE_DB = 10.0  # a sound begins where a block is so much louder than all of the second before
QUIET_S = 1.0  # how long that second is, and how long after an onset no other is looked for
LOCALIZABLE_DBFS = -60.0  # a quieter sound has no place: neither its direction nor what moves with it is measured


def loudness_dbfs(audio: NDArray[np.float32], rate_hz: int) -> float:
    """RMS of the loudest 100 ms of (channels, n), over its loudest channel; FLOOR_DBFS for digital silence."""
    block = max(1, round(BLOCK_S * rate_hz))
    used = audio.shape[1] // block * block
    blocks = audio[:, :used].reshape(len(audio), -1, block) if used else audio[:, None, :]
    if not blocks.size:
        return FLOOR_DBFS
    power = float(np.vecdot(blocks, blocks).max()) / blocks.shape[-1]
    return max(FLOOR_DBFS, 10 * float(np.log10(power))) if power > 0 else FLOOR_DBFS


class Onsets:
    """Finds where sounds begin, from the level alone. Blocks are of the stream, not of the pieces it comes in."""

    def __init__(self) -> None:
        self._rest = np.zeros((1, 0), np.float32)  # what is left of the last piece, less than a block
        self._end_s, self._last_s = 0.0, -np.inf
        self._before: deque[float] = deque(maxlen=round(QUIET_S / BLOCK_S))

    def push(self, samples: NDArray[np.float32], rate_hz: int, start_s: float) -> list[float]:
        """Onsets (seconds) in a piece (channels, n) that begins at `start_s`; after a gap it is listened to anew."""
        if abs(start_s - self._end_s) > BLOCK_S / 2 or len(samples) != len(self._rest):
            self._before.clear()
            self._rest = samples[:, :0]
        self._end_s = start_s + samples.shape[1] / rate_hz
        samples = np.concatenate([self._rest, samples], axis=1)
        block, found = max(1, round(BLOCK_S * rate_hz)), []
        for first in range(0, samples.shape[1] - block + 1, block):
            at_s = self._end_s - (samples.shape[1] - first) / rate_hz
            if self._rises(loudness_dbfs(samples[:, first : first + block], rate_hz), at_s):
                found.append(at_s)
        self._rest = samples[:, samples.shape[1] // block * block :]
        return found

    def _rises(self, level_dbfs: float, at_s: float) -> bool:
        """Whether a sound begins in the block at `at_s`."""
        known = len(self._before) == self._before.maxlen
        rises = known and level_dbfs >= max(SILENCE_DBFS, max(self._before) + RISE_DB)
        self._before.append(level_dbfs)
        if not rises or at_s - self._last_s < QUIET_S:
            return False
        self._last_s = at_s
        return True
