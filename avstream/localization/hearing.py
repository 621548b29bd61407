"""What motion is compared with: how loud it is and how suddenly it gets louder, in steps of 10 ms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avstream.level import LOCALIZABLE_DBFS
from avstream.localization.spectra import band_power

STEP_S = 0.01
LONGEST_FRAME_S = 0.033  # frames are a power of two of samples, at most so long
RANGE_DB = 45.0  # below the loudest: what is quieter counts as silence
AT_ONCE = 64  # frames: more leave the processor's cache, and take four times as long
BANDS_HZ = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)


@dataclass(frozen=True, slots=True, eq=False)
class Loudness:
    """`level` and `onset`, each float64 (n,), every 10 ms from `start_s` on; both from 0 to about 1."""

    start_s: float
    level: NDArray[np.float64]
    onset: NDArray[np.float64]

    def between(self, starts_s: NDArray[np.float64], ends_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of both in each stretch of time, times of any shape -> (2, *shape); what lies outside is silence."""
        edges = self.start_s + STEP_S * np.arange(len(self.level) + 1)
        out = np.empty((2, *starts_s.shape))
        for row, values in enumerate((self.level, self.onset)):
            sums = np.concatenate([[0.0], np.cumsum(values)]) * STEP_S
            out[row] = np.interp(ends_s, edges, sums) - np.interp(starts_s, edges, sums)
        return out / np.maximum(1e-6, ends_s - starts_s)


def loudness(audio: NDArray[np.float32], rate_hz: int, start_s: float = 0.0) -> Loudness | None:
    """Level and onset strength of float32 (channels, n); None for silence and for less than 0.1 s.

    The onset strength is the rise of the level in those bands that the rate has (spectral flux).
    """
    steps = int(audio.shape[-1] / rate_hz / STEP_S)
    if steps < 10 or not len(audio):
        return None
    mono = np.asarray(audio, np.float32).sum(axis=0) / np.float32(len(audio))
    power = _band_power(mono, rate_hz, steps)
    total = power.sum(axis=1)
    loudest_db = 10 * np.log10(max(float(total.max()), 1e-20))
    if loudest_db < LOCALIZABLE_DBFS:
        return None
    level = np.maximum(0, 1 + (10 * np.log10(total + 1e-20) - loudest_db) / RANGE_DB)
    bands = np.maximum(0, 1 + (10 * np.log10(power + 1e-20) - loudest_db) / RANGE_DB)
    rise = np.zeros_like(bands)
    rise[2:] = np.maximum(0, bands[2:] - bands[:-2])
    onset = rise.mean(axis=1)
    return Loudness(start_s, level, onset / max(1e-6, float(onset.max())))


def _band_power(mono: NDArray[np.float32], rate_hz: int, steps: int) -> NDArray[np.float64]:
    """Mean square in each band and step, (steps, bands)."""
    size = 1 << int(np.log2(LONGEST_FRAME_S * rate_hz))
    hop = rate_hz * STEP_S
    firsts = (np.arange(steps) * hop + (hop - size) / 2).astype(int) + size // 2  # frames around their step
    padded = np.pad(mono, size // 2 + 1)
    window = np.hanning(size).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)
    firsts = np.clip(firsts, 0, len(padded) - size)
    edges = [round(f * size / rate_hz) for f in BANDS_HZ if f <= rate_hz / 2]
    edges = sorted({min(edge, size // 2) for edge in [*edges, size // 2]})
    out = np.empty((steps, len(edges) - 1))
    for k in range(0, steps, AT_ONCE):
        out[k : k + AT_ONCE] = band_power(frames[firsts[k : k + AT_ONCE]] * window, edges[:-1])
    return out * (2 / (size * float(np.square(window).sum())))
