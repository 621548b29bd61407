"""From which side a sound comes, by two channels: level difference and GCC-PHAT.

GCC-PHAT: C. Knapp and G. Carter, "The generalized correlation method for estimation of time delay", 1976. How the two
are joined, and how sure the answer is, is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avstream.level import LOCALIZABLE_DBFS
from avstream.localization.spectra import rfft
from avstream.records import Direction

Power = NDArray[np.float32]

LARGEST_LAG_S = 0.001  # microphones at most 34 cm apart
FULL_DB = 12.0  # a level difference that means "all the way to that side"
FULL_LAG_S = 0.0006
SIDE = 0.13  # azimuth from which on it is called left or right: 1.6 dB, or a clear lag of 0.18 ms
LEAST = 0.3  # confidence below which nothing is said
SAME_DB = -60.0  # channels whose difference is so far below them were mono once
FRAME = 2048
MOST_FRAMES = 48  # the loudest ones are enough
BAND_HZ = (150.0, 7000.0)


@dataclass(frozen=True, slots=True)
class Bearing:
    """Where a sound comes from: `azimuth` from -1, left, to 1, right, and how sure that is (0..1).

    `side` is None when it can't be decided. `level_db` is right over left; `lag_s` is positive when the right one hears
    it first; `coherence` (0..1) is how clear that lag is.
    """

    side: Direction | None
    azimuth: float
    confidence: float
    level_db: float = 0.0
    lag_s: float = 0.0
    coherence: float = 0.0


UNKNOWN = Bearing(None, 0.0, 0.0)


def direction(audio: NDArray[np.float32], rate_hz: int) -> Bearing:
    """The bearing of float32 (channels, n). Unknown for silence, less than 50 ms, and anything but two channels.

    Two equal channels are mono in disguise: they carry no direction either, so they are unknown too. When level and
    lag speak for different sides, what is said is unsure or unknown.
    """
    if audio.ndim != 2 or len(audio) != 2 or audio.shape[1] < 0.05 * rate_hz:
        return UNKNOWN
    pair = np.asarray(audio, np.float32)
    power, apart = float(np.vecdot(pair, pair).max()), pair[1] - pair[0]
    power /= pair.shape[1]
    if 10 * np.log10(power + 1e-20) < LOCALIZABLE_DBFS:
        return UNKNOWN
    if float(np.vecdot(apart, apart)) / len(apart) <= power * 10 ** (SAME_DB / 10):
        return UNKNOWN
    left, right, cross = _spectra(pair)
    lag_s, coherence = _lag(left + right, cross, rate_hz)
    return _joined(_level_db(left, right), lag_s, coherence)


def _spectra(pair: NDArray[np.float32]) -> tuple[Power, Power, NDArray[np.complex64]]:
    """Power of the left and of the right channel, and the cross spectrum, (bins,), summed over the loudest frames."""
    count = pair.shape[1]
    size = min(FRAME, count) // 2 * 2
    starts = np.arange(0, count - size + 1, size)
    frames = pair[:, : len(starts) * size].reshape(2, -1, size)
    power = np.vecdot(frames, frames).sum(axis=0)
    loudest = np.argsort(-power, kind="stable")[:MOST_FRAMES]
    loudest = loudest[power[loudest] > 0.01 * power.max()]  # 20 dB below the loudest is another sound, or its echo
    window = np.hanning(size + 2)[1:-1].astype(np.float32)
    spectra = rfft((frames[:, loudest] * window).reshape(-1, size)).reshape(2, -1, size // 2 + 1)
    powers = (spectra.real**2 + spectra.imag**2).sum(axis=1)
    cross = (spectra[1].conj() * spectra[0]).sum(axis=0)
    return powers[0], powers[1], cross


def _level_db(left: Power, right: Power) -> float:
    """How much louder the right channel is, dB, within +-60."""
    return float(np.clip(10 * np.log10((right.sum() + 1e-12) / (left.sum() + 1e-12)), -60, 60))


def _lag(power: Power, cross: NDArray[np.complex64], rate_hz: int) -> tuple[float, float]:
    """By how many seconds the right channel is first, and how clear that is, 0..1.

    Every frequency counts the same, where there is sound.
    """
    size = 2 * len(cross) - 2
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    audible = (hz >= BAND_HZ[0]) & (hz <= min(BAND_HZ[1], 0.45 * rate_hz)) & (power > 1e-5 * power.max())
    if audible.sum() < 8:
        return 0.0, 0.0
    phase = np.where(audible, cross / np.maximum(np.abs(cross), 1e-20), 0)
    most = int(np.ceil(LARGEST_LAG_S * rate_hz))
    fine = 4  # steps to a sample
    curve = np.fft.irfft(phase, fine * size) * fine
    curve = np.concatenate([curve[-fine * most :], curve[: fine * most + 1]]) * size
    best = int(curve.argmax())
    clear = float(np.clip(curve[best] / (2 * audible.sum()), 0, 1))
    return (best - fine * most) / fine / rate_hz, clear


def _joined(level_db: float, lag_s: float, coherence: float) -> Bearing:
    """Level and lag as one bearing: each counts by how clear it is, and a quarrel makes it unsure."""
    by_level = float(np.clip(level_db / FULL_DB, -1, 1))
    by_lag = float(np.clip(lag_s / FULL_LAG_S, -1, 1))
    trust = 0.0 if abs(by_lag) < 0.05 else 0.8 * coherence  # no lag says "a panorama knob", not "center"
    azimuth = (by_level + trust * by_lag) / (1 + trust)
    quarrel = min(abs(by_level), trust * abs(by_lag)) if by_level * by_lag < 0 else 0.0
    distance = abs(abs(azimuth) - SIDE) / 0.25
    confidence = float(np.clip((0.5 + 0.5 * min(1.0, distance)) * (1 - 2 * quarrel), 0, 1))
    side: Direction | None = "center" if abs(azimuth) < SIDE else "left" if azimuth < 0 else "right"
    if side == "center":  # equally loud rain from everywhere is not in the middle: that takes one wave front
        confidence *= min(1.0, 2 * coherence)
    if quarrel > 0.25 or confidence < LEAST:
        return Bearing(None, azimuth, 0.0, level_db, lag_s, coherence)
    return Bearing(side, azimuth, confidence, level_db, lag_s, coherence)
