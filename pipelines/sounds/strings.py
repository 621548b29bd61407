"""Guitars and pianos: plucked and hammered strings, and what people play on them. numpy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipelines.sounds.dsp import (
    Rng,
    Signal,
    band,
    decay,
    log_uniform,
    noise,
    partials,
    peaks,
    place,
    ramped,
    samples,
    uniform,
)
from pipelines.sounds.strikes import CHORDS, SCALE, midi_hz


def string(freq: float, n: int, rate: int, rng: Rng, t60_s: float, brightness: float, position: float) -> Signal:
    """A plucked string: harmonics with slight stiffness, the pluck's comb, and highs that die first."""
    k = np.arange(1, int(min(45, 0.44 * rate / freq)) + 1)
    freqs = freq * k * np.sqrt(1 + uniform(rng, 1e-5, 1.5e-4) * k**2)
    amps = np.abs(np.sin(np.pi * k * position)) / k ** (2.2 - 1.5 * brightness) * rng.lognormal(0, 0.25, len(k))
    t60s = t60_s / (1 + uniform(rng, 0.1, 0.45) * k**0.9)
    return ramped(partials(freqs, amps, t60s, n, rate, rng), rate, uniform(rng, 0.001, 0.004), 0.01)


def karplus(freq: float, n: int, rate: int, rng: Rng, t60_s: float, brightness: float, position: float) -> Signal:
    """Karplus-Strong, a period at a time; the exact pitch is set by resampling."""
    period = max(2, int(rate / freq))
    loops = int(n * freq / rate) + 2
    block = band(rng.uniform(-1, 1, period), rate, 0, 1500 + 9000 * brightness, 1)
    block = block - np.roll(block, max(1, int(position * period)))
    keep = 10 ** (-3 / (t60_s * freq))
    mix = uniform(rng, 0.3, 0.5)
    rows = np.empty((loops, period))
    for i in range(loops):
        rows[i] = block
        block = keep * ((1 - mix) * block + mix * np.concatenate([block[-1:], block[:-1]]))
    flat = rows.ravel()
    at = np.arange(n) * (freq * period / rate)
    return ramped(np.interp(at, np.arange(len(flat)), flat), rate, 0.001, 0.01)


def guitar(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Strummed chords, picked patterns or a melody on a guitar with a body."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    pluck: Callable[..., Signal] = karplus if rng.random() < 0.5 else string
    bright, position = uniform(rng, 0.1, 0.95), uniform(rng, 0.08, 0.4)
    t60, root = log_uniform(rng, 0.8, 5), float(rng.integers(40, 53))
    style = rng.choice(["strum", "pick", "melody"])
    beat, t = uniform(rng, 0.12, 0.5), uniform(rng, 0, 0.3)
    while t < duration_s:
        chord = np.array(CHORDS[int(rng.integers(len(CHORDS)))]) + root + int(rng.choice([0, 5, 7, 2, -3]))
        notes = np.sort(np.concatenate([chord, chord + 12, chord[:1] + 24]))
        if style == "strum":
            spread, order = uniform(rng, 0.004, 0.03), notes if rng.random() < 0.6 else notes[::-1]
            for i, note in enumerate(order[: int(rng.integers(3, 7))]):
                place(
                    out,
                    pluck(midi_hz(note), min(n, samples(2.5, rate)), rate, rng, t60, bright, position),
                    t + i * spread,
                    rate,
                )
            t += beat * float(rng.choice([1, 2, 2, 4]))
        else:
            low = 0 if style == "pick" else 12
            for note in rng.permutation(notes)[: int(rng.integers(3, 7))] + low * (rng.random() < 0.7):
                place(
                    out,
                    uniform(rng, 0.5, 1)
                    * pluck(midi_hz(note), min(n, samples(2.5, rate)), rate, rng, t60, bright, position),
                    t,
                    rate,
                )
                t += beat * float(rng.choice([0.5, 1, 1, 2]) if style == "melody" else 1)
    body = [uniform(rng, 90, 125), uniform(rng, 180, 240), uniform(rng, 350, 480), uniform(rng, 600, 1200)]
    return peaks(out, rate, body, rng.uniform(0.5, 4, 4), 5)


def piano_note(freq: float, n: int, rate: int, rng: Rng) -> Signal:
    """A piano note: stiff strings, a fast and a slow decay, the thud of the hammer."""
    k = np.arange(1, int(min(30, 0.44 * rate / freq)) + 1)
    freqs = freq * k * np.sqrt(1 + 4e-4 * (freq / 262) ** 1.2 * k**2)
    amps = np.exp(-k * uniform(rng, 0.12, 0.5) * (freq / 262) ** 0.5) * rng.lognormal(0, 0.3, len(k))
    slow = 9 * (262 / freq) ** 0.6 / (1 + 0.12 * k)
    tone = partials(freqs, amps, slow / 5, n, rate, rng) + partials(freqs * 1.0004, 0.3 * amps, slow, n, rate, rng)
    thud = min(n, samples(0.06, rate))
    tone[:thud] += 0.25 * amps.sum() * band(noise(thud, rng, 3), rate, 50, 1200) * decay(thud, rate, 0.05)
    return ramped(tone, rate, 0.002, 0.05)


def piano(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Chords, arpeggios and a melody on a piano."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    root, beat, t = float(rng.integers(43, 62)), uniform(rng, 0.12, 0.6), uniform(rng, 0, 0.3)
    with_chords, with_melody = rng.random() < 0.7, rng.random() < 0.8
    while t < duration_s:
        chord = np.array(CHORDS[int(rng.integers(len(CHORDS)))]) + root + int(rng.choice([0, 5, 7, 9]))
        held = samples(uniform(rng, 0.4, 2.5), rate)
        for note in chord if with_chords or not with_melody else []:
            place(out, piano_note(midi_hz(note), held, rate, rng), t + uniform(rng, 0, 0.02), rate)
        for _ in range(int(rng.integers(1, 5)) if with_melody else 1):
            if with_melody:
                note = root + 12 + float(rng.choice(SCALE))
                place(
                    out,
                    uniform(rng, 0.6, 1.3)
                    * piano_note(midi_hz(note), samples(uniform(rng, 0.2, 1.5), rate), rate, rng),
                    t,
                    rate,
                )
            t += beat * float(rng.choice([0.5, 1, 1, 2]))
    return out
