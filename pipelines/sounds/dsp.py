"""Building blocks of synthetic sound: tones, noises, envelopes, filters and placing. numpy only; mono float arrays.

Everything takes its chance from the generator it is given, so a seed fixes a sound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Signal = NDArray[np.floating]
Rng = np.random.Generator
Values = Sequence[float] | Signal
Span = tuple[float, float]  # start and end, seconds


def uniform(rng: Rng, low: float, high: float) -> float:
    """One draw, evenly between `low` and `high`."""
    return float(rng.uniform(low, high))


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """One draw, even on a logarithmic scale: right for frequencies and times."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def samples(duration_s: float, rate: int) -> int:
    """The number of samples of a duration, at least one."""
    return max(1, round(duration_s * rate))


def decay(n: int, rate: int, t60_s: float) -> Signal:
    """An exponential that falls by 60 dB in `t60_s`."""
    return np.exp(np.arange(n) * (-6.9078 / (t60_s * rate)))


def ramped(x: Signal, rate: int, attack_s: float = 0.003, release_s: float = 0.005) -> Signal:
    """A copy with linear ramps at both ends, so that it starts and stops without a click."""
    x = np.array(x, dtype=np.float64)
    a, r = min(samples(attack_s, rate), len(x)), min(samples(release_s, rate), len(x))
    x[:a] *= np.linspace(0, 1, a)
    x[-r:] *= np.linspace(1, 0, r)
    return x


def sine(freq_hz: ArrayLike, n: int, rate: int, phase: float = 0.0) -> Signal:
    """A sine of constant frequency, or of a frequency track of n values."""
    freq = np.asarray(freq_hz, dtype=np.float64)
    turns = np.cumsum(freq) / rate if freq.ndim else np.arange(n) * (float(freq) / rate)
    return np.sin(2 * np.pi * turns + phase)


def harmonic(freq_hz: ArrayLike, amplitudes: Values, n: int, rate: int, rng: Rng | None = None) -> Signal:
    """Harmonics 1, 2, 3... of a constant or moving frequency; those that would pass 0.45 x rate are left out."""
    freq = np.broadcast_to(np.asarray(freq_hz, dtype=np.float64), (n,))
    turns = np.cumsum(freq) * (2 * np.pi / rate)
    top = float(freq.max())
    out = np.zeros(n)
    for k, amplitude in enumerate(amplitudes, start=1):
        if k * top < 0.45 * rate and amplitude:
            out += amplitude * np.sin(k * turns + (uniform(rng, 0, 6.28) if rng is not None else 0.0))
    return out


def partials(freqs: ArrayLike, amps: ArrayLike, t60s: ArrayLike, n: int, rate: int, rng: Rng | None = None) -> Signal:
    """A struck thing: decaying sines of any frequencies; each stops where it has become inaudible."""
    out = np.zeros(n)
    for f, a, t60 in zip(np.ravel(freqs), np.ravel(amps), np.ravel(t60s), strict=True):
        if f < 0.45 * rate:
            m = min(n, samples(1.3 * t60, rate))
            phase = uniform(rng, 0, 6.28) if rng is not None else 0.0
            out[:m] += a * decay(m, rate, t60) * sine(f, m, rate, phase)
    return out


def noise(n: int, rng: Rng, slope_db: float = 0.0) -> Signal:
    """Noise of unit level whose spectrum falls by `slope_db` an octave: 0 white, 3 pink, 6 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    k = np.maximum(np.arange(len(spectrum)), 1.0 + 0.0005 * n)
    x = np.fft.irfft(spectrum * k ** (-slope_db / 6.0206), n)
    return x / (np.sqrt(np.mean(x**2)) + 1e-12)


def band(x: Signal, rate: int, low_hz: float = 0.0, high_hz: float = np.inf, order: int = 2) -> Signal:
    """Keep what lies between two frequencies (Butterworth magnitude, no phase)."""
    f = np.fft.rfftfreq(len(x), 1 / rate)
    gain = np.ones_like(f)
    if low_hz > 0:
        gain /= np.sqrt(1 + (low_hz / np.maximum(f, 1e-3)) ** (2 * order))
    if np.isfinite(high_hz):
        gain /= np.sqrt(1 + (f / high_hz) ** (2 * order))
    return np.fft.irfft(np.fft.rfft(x) * gain, len(x))


def peaks(x: Signal, rate: int, freqs: Values, gains: Values, q: float = 6.0) -> Signal:
    """Resonances of a body, a pipe or a cabinet added to a sound: x + sum of gain x band-passed x."""
    f = np.fft.rfftfreq(len(x), 1 / rate)
    gain = np.ones_like(f)
    for center, g in zip(freqs, gains, strict=True):
        gain += g / (1 + (q * (f / center - center / np.maximum(f, 1e-3))) ** 2)
    return np.fft.irfft(np.fft.rfft(x) * gain, len(x))


def place(out: Signal, x: Signal, at_s: float, rate: int) -> None:
    """Add `x` into `out` from a time on; what would stick out is cut."""
    i = round(at_s * rate)
    j = max(0, -i)
    m = min(len(x) - j, len(out) - max(i, 0))
    if m > 0:
        out[max(i, 0) : max(i, 0) + m] += x[j : j + m]


def gate(n: int, rate: int, spans_s: Sequence[Span], edge_s: float = 0.004) -> Signal:
    """One inside each (start, end), zero outside, with short linear edges."""
    t = np.arange(n) / rate
    out = np.zeros(n)
    for start, end in spans_s:
        i, j = np.searchsorted(t, (start, end))
        out[i:j] = np.maximum(out[i:j], np.clip(np.minimum(t[i:j] - start, end - t[i:j]) / edge_s, 0, 1))
    return out


def every(cycle_s: float, spans_s: Sequence[Span], duration_s: float, offset_s: float = 0.0) -> list[Span]:
    """Spans that repeat with a cycle, from `offset_s` until the duration is over."""
    out: list[Span] = []
    start = offset_s
    while start < duration_s:
        out += [(start + a, start + b) for a, b in spans_s if start + b > 0]
        start += cycle_s
    return out


def wander(n: int, rng: Rng, points: int, low: float, high: float) -> Signal:
    """A smooth random curve through `points` random values."""
    return np.interp(np.linspace(0, points - 1, n), np.arange(points), rng.uniform(low, high, points))


def to_peak(x: Signal, peak: float) -> NDArray[np.float32]:
    """Scaled so that the largest sample is `peak`; silence stays silence."""
    top = float(np.abs(x).max(initial=0.0))
    return (x * (peak / top) if top > 1e-9 else x * 0.0).astype(np.float32)
