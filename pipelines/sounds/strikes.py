"""Things that are struck: bells, doorbells, knocks, clocks. numpy only."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pipelines.sounds.dsp import (
    Rng,
    Signal,
    band,
    decay,
    every,
    gate,
    harmonic,
    log_uniform,
    noise,
    partials,
    peaks,
    place,
    ramped,
    samples,
    uniform,
    wander,
)

CHURCH = (
    (0.5, 0.5, 1.0),
    (1.0, 0.6, 0.75),
    (1.19, 0.7, 0.6),
    (1.5, 0.25, 0.45),
    (2.0, 1.0, 0.45),
    (2.51, 0.3, 0.25),
    (2.66, 0.25, 0.25),
    (3.01, 0.5, 0.22),
    (4.1, 0.4, 0.16),
    (5.4, 0.25, 0.1),
    (6.8, 0.15, 0.08),
    (8.2, 0.1, 0.05),
)
SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 17, 19])
CHORDS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 3, 7, 10), (0, 5, 7), (0, 4, 7, 10), (0, 7, 12))


def midi_hz(note: float) -> float:
    """The frequency of a MIDI note number."""
    return 440.0 * 2 ** ((note - 69) / 12)


def strike_times(duration_s: float, rng: Rng, low_s: float, high_s: float, jitter: float = 0.1) -> list[float]:
    """Nearly regular times whose spacing is drawn once."""
    step, t, out = log_uniform(rng, low_s, high_s), uniform(rng, 0.0, min(0.6, duration_s / 4)), []
    while t < duration_s:
        out.append(t)
        t += step * (1 + jitter * float(rng.standard_normal()))
        t = max(t, out[-1] + 0.03)
    return out


def church_bell(note_hz: float, n: int, rate: int, rng: Rng) -> Signal:
    """One stroke of a cast bell: hum, prime, tierce, quint, nominal... each a slowly beating doublet."""
    table = np.array(CHURCH)
    ratios = table[:, 0] * (1 + 0.012 * rng.standard_normal(len(table)))
    amps = table[:, 1] * rng.lognormal(0, 0.5, len(table))
    t60 = table[:, 2] * log_uniform(rng, 4, 18) * (300 / note_hz) ** 0.4
    split = rng.uniform(0, 1.5, len(table))
    tone = partials(note_hz * ratios, amps, t60, n, rate, rng)
    tone += partials(note_hz * ratios + split, amps * rng.uniform(0, 0.8, len(table)), t60, n, rate, rng)
    clap = samples(0.03, rate)
    tone[:clap] += (uniform(rng, 0, 0.8) * noise(clap, rng, 2) * decay(clap, rate, 0.03))[: len(tone)]
    return ramped(tone, rate, log_uniform(rng, 0.0005, 0.006), 0.001)


def church(duration_s: float, rate: int, rng: Rng) -> Signal:
    """One to six church bells, tolling, swinging or pealing; often heard from afar."""
    n = samples(duration_s, rate)
    out: Signal = np.zeros(n)
    count = int(rng.choice([1, 1, 1, 2, 2, 3, 4, 6]))
    base = log_uniform(rng, 160, 1000)
    degrees = rng.choice(SCALE[:8], count, replace=False) if count < 8 else SCALE[:count]
    strokes = [church_bell(base * 2 ** (d / 12), n, rate, rng) for d in degrees]
    for stroke in strokes:
        for at in strike_times(duration_s, rng, 0.45 * count**0.4, 2.6, 0.06):
            place(out, stroke * uniform(rng, 0.5, 1.0), at - (0.4 if rng.random() < 0.3 else 0.0), rate)
    if rng.random() < 0.35:
        out = band(out, rate, uniform(rng, 60, 250), log_uniform(rng, 1500, 6000), 1)
    return out


def from_afar(x: Signal, rate: int, rng: Rng) -> Signal:
    """A tower heard across roofs: a long tail of echoes, and air that lets each band through now more, now less."""
    n = len(x)
    tail = noise(n, rng, 2) * decay(n, rate, log_uniform(rng, 1.0, 5.0))
    size = 1 << (2 * n - 1).bit_length()
    echo = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)[:n]
    mixed = x / (x.std() + 1e-9) * uniform(rng, 0, 1) + echo / (echo.std() + 1e-9)
    edges, out = (0, 300, 600, 1000, 1600, 2600, 4200, rate / 2), np.zeros(n)
    for low, high in pairwise(edges):
        out += band(mixed, rate, low, high, 2) * wander(n, rng, int(rng.integers(6, 40)), 0.15, 1.0)
    return out


def peal(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Bells of a tower swinging at once, from the street: strokes run into each other, over wind, birds or traffic."""
    n = samples(duration_s, rate)
    out: Signal = np.zeros(n)
    base, count = log_uniform(rng, 180, 800), int(rng.integers(2, 7))
    soft = log_uniform(rng, 0.002, 0.04)
    for degree in rng.choice(SCALE[:10], count, replace=False):
        stroke = ramped(church_bell(base * 2 ** (degree / 12), n, rate, rng), rate, soft, 0.001)
        loud, period, t = uniform(rng, 0.3, 1.0), uniform(rng, 0.45, 1.9), -uniform(rng, 0, 2.5)
        while t < duration_s:  # a swinging bell is struck at both ends of its swing, not quite alike
            place(out, loud * uniform(rng, 0.6, 1.0) * stroke, t, rate)
            t += period * uniform(rng, 0.93, 1.07)
    sway = 1 + uniform(rng, 0, 0.3) * np.sin(
        2 * np.pi * uniform(rng, 0.3, 2) * np.arange(n) / rate + uniform(rng, 0, 6)
    )
    out = band(out * sway, rate, uniform(rng, 60, 300), log_uniform(rng, 1500, 8000), 1)
    if rng.random() < 0.75:
        out = from_afar(out, rate, rng)
    street = band(noise(n, rng, uniform(rng, 1, 6)), rate, 30, log_uniform(rng, 500, 8000), 1)
    return out + street * out.std() * log_uniform(rng, 0.03, 0.9)


def hand_bell(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Small bells: hand, desk, bicycle, cow and sleigh bells, shaken or tapped."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    kind = rng.choice(["hand", "desk", "bicycle", "cow", "sleigh"], p=[0.35, 0.2, 0.2, 0.1, 0.15])
    f0 = {
        "hand": (400, 2500),
        "desk": (1500, 4500),
        "bicycle": (1800, 4200),
        "cow": (350, 1100),
        "sleigh": (2500, 6500),
    }
    spacing = {
        "hand": (0.12, 1.2),
        "desk": (0.25, 1.6),
        "bicycle": (0.05, 0.6),
        "cow": (0.2, 0.9),
        "sleigh": (0.05, 0.3),
    }
    t60 = {"hand": (0.6, 4), "desk": (0.8, 4), "bicycle": (0.4, 2), "cow": (0.15, 0.8), "sleigh": (0.05, 0.3)}
    f, length = log_uniform(rng, *f0[kind]), log_uniform(rng, *t60[kind])
    ratios = np.sort(np.concatenate([[1.0, 1.0 + uniform(rng, 0, 0.006)], rng.uniform(1.3, 6.5, 7)]))
    if kind in ("hand", "desk"):
        ratios[-1], ratios[-2] = 3.0 + uniform(rng, -0.2, 0.2), 2.0 + uniform(rng, -0.3, 0.8)
    for at in strike_times(duration_s, rng, *spacing[kind], 0.25 if kind in ("cow", "sleigh") else 0.08):
        jitter = 1 + (0.3 * rng.standard_normal() if kind == "sleigh" else 0.0)
        amps = rng.lognormal(0, 0.6, 9) / ratios**0.7
        tone = partials(f * abs(jitter) * ratios, amps, length / ratios**0.8, n, rate, rng)
        place(out, tone * uniform(rng, 0.4, 1.0), at, rate)
    return out


def bar_note(freq: float, n: int, rate: int, rng: Rng, t60_s: float, electronic: bool) -> Signal:
    """One note of a door chime: a struck metal bar, or its electronic likeness."""
    ratios = np.array([1.0, 2.0, 3.0, 4.0] if electronic else [1.0, 2.756, 5.404, 8.933])
    amps = np.array([1.0, 0.3, 0.15, 0.08]) * rng.lognormal(0, 0.6, 4)
    return ramped(partials(freq * ratios, amps, t60_s / ratios**0.7, n, rate, rng), rate, 0.002, 0.01)


def door_chime(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Ding-dong, single ding, three falling notes, or a Westminster-like tune; pressed once or more."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    base, electronic = midi_hz(uniform(rng, 62, 84)), rng.random() < 0.5
    tunes = (
        [0, -4],
        [0, -4],
        [0, -4],
        [0, -3],
        [0, -5],
        [0],
        [4, 0, -5],
        [0, 4, 7],
        [4, 0, 2, -5, -5, 2, 4, 0],
        [7, 4, 0, 4],
    )
    tune = tunes[int(rng.integers(len(tunes)))]
    step = uniform(rng, 0.3, 0.9) if len(tune) < 4 else uniform(rng, 0.25, 0.6)
    t60 = log_uniform(rng, 0.6, 4)
    press, gap = uniform(rng, 0, min(0.7, duration_s / 5)), len(tune) * step + uniform(rng, 0.4, 2.5)
    while press < duration_s:
        for i, semitones in enumerate(tune):
            note = bar_note(base * 2 ** (semitones / 12), n, rate, rng, t60, electronic)
            place(out, note * uniform(rng, 0.7, 1.0), press + i * step, rate)
        press += gap
    return out


def door_buzz(duration_s: float, rate: int, rng: Rng) -> Signal:
    """A mains-driven door buzzer, held in presses."""
    n = samples(duration_s, rate)
    f = float(rng.choice([50, 60, 100, 120, 180])) * uniform(rng, 0.98, 1.02)
    buzz = np.tanh(uniform(rng, 2, 9) * harmonic(f, rng.lognormal(0, 0.7, 24), n, rate, rng) / 4)
    buzz = peaks(buzz, rate, rng.uniform(400, 4000, 4), rng.uniform(1, 8, 4), 4)
    spans = every(uniform(rng, 0.8, 2.5), [(0, uniform(rng, 0.2, 0.9))], duration_s, uniform(rng, 0, 0.4))
    return buzz * gate(n, rate, spans, 0.01)


def knocking(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Two to six knocks on wood (or a tin or glass door), in groups."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    m = samples(0.35, rate)
    kind = rng.choice(["wood", "thump", "hollow", "metal"], p=[0.5, 0.2, 0.2, 0.1])
    low, high, t60 = {
        "wood": (150, 2500, 0.06),
        "thump": (60, 500, 0.09),
        "hollow": (120, 1200, 0.16),
        "metal": (250, 4000, 0.25),
    }[kind]
    modes = np.exp(rng.uniform(np.log(low), np.log(high), 9))
    amps, t60s = rng.lognormal(0, 0.6, 9) / modes**0.5, t60 * rng.lognormal(0, 0.4, 9) * (400 / modes) ** 0.3
    click = uniform(rng, 0.005, 0.06)
    t = uniform(rng, 0, min(0.5, duration_s / 5))
    while t < duration_s:
        step = uniform(rng, 0.11, 0.36)
        for _ in range(int(rng.integers(2, 7))):
            hit = partials(
                modes * (1 + 0.02 * rng.standard_normal(9)), amps * rng.lognormal(0, 0.3, 9), t60s, m, rate, rng
            )
            burst = band(noise(m, rng), rate, low, 4 * high) * decay(m, rate, 0.02)
            place(out, uniform(rng, 0.5, 1.0) * (hit + click * burst * np.abs(hit).max() * 8), t, rate)
            t += step * (1 + 0.08 * float(rng.standard_normal()))
        t += log_uniform(rng, 0.4, 2.5)
    return out


def ticking(duration_s: float, rate: int, rng: Rng) -> Signal:
    """A clock: dry ticks, often tick and tock by turns."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    m = samples(0.12, rate)
    modes = np.exp(rng.uniform(np.log(700), np.log(7000), (2, 6)))
    amps, t60s = rng.lognormal(0, 0.6, (2, 6)), rng.uniform(0.008, 0.06, (2, 6))
    tock = int(rng.random() < 0.6)
    step = float(rng.choice([1.0, 0.5, 0.25, 0.2, 0.4, 0.6]))
    for i, at in enumerate(every(step, [(0, 0.01)], duration_s, uniform(rng, 0, step))):
        side = i % 2 * tock
        click = band(noise(m, rng), rate, 2000) * decay(m, rate, 0.006) * 0.5
        place(out, partials(modes[side], amps[side], t60s[side], m, rate, rng) + click, at[0], rate)
    return out
