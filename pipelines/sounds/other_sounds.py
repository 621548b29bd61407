"""`other`: sounds that are none of the labels, so that a listener learns to say so. numpy only."""

from __future__ import annotations

import numpy as np

from pipelines.sounds.dsp import (
    Rng,
    Signal,
    band,
    decay,
    gate,
    harmonic,
    log_uniform,
    noise,
    partials,
    peaks,
    place,
    ramped,
    samples,
    sine,
    uniform,
    wander,
)
from pipelines.sounds.strikes import SCALE, midi_hz, strike_times


def sweeps(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Single slow or fast glides, up or down."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    for at in strike_times(duration_s, rng, 0.8, 3):
        m = samples(log_uniform(rng, 0.1, 2), rate)
        track = np.geomspace(log_uniform(rng, 80, 5000), log_uniform(rng, 80, 5000), m)
        place(out, ramped(harmonic(track, rng.lognormal(0, 1, 3) / [1, 3, 6], m, rate), rate, 0.02, 0.05), at, rate)
    return out


def fm_drone(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Frequency modulation with a slowly moving depth."""
    n = samples(duration_s, rate)
    f = log_uniform(rng, 50, 1500)
    depth = wander(n, rng, 5, 0, 6)
    return np.sin(2 * np.pi * f * np.arange(n) / rate + depth * sine(f * uniform(rng, 0.3, 4), n, rate))


def noise_bursts(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Hisses, claps, steps, rustle: bursts of filtered noise."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    low = log_uniform(rng, 60, 3000)
    length = log_uniform(rng, 0.01, 0.6)
    for at in strike_times(duration_s, rng, max(0.06, length), 1.5, 0.3):
        m = samples(3 * length, rate)
        burst = band(noise(m, rng, uniform(rng, 0, 4)), rate, low, low * uniform(rng, 1.5, 20)) * decay(m, rate, length)
        place(out, ramped(burst, rate, log_uniform(rng, 0.001, 0.05)) * uniform(rng, 0.4, 1), at, rate)
    return out


def filtered_noise(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Air: hiss, fans, ventilation, distant traffic."""
    n = samples(duration_s, rate)
    x = band(noise(n, rng, uniform(rng, 0, 6)), rate, log_uniform(rng, 20, 500), log_uniform(rng, 500, 8000), 1)
    return peaks(x, rate, np.exp(rng.uniform(4.5, 8.5, 3)), rng.uniform(0, 4, 3)) * wander(n, rng, 6, 0.7, 1)


def wind(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Gusts, with a whistle that follows them."""
    n = samples(duration_s, rate)
    gust = wander(n, rng, int(4 + 2 * duration_s), 0.1, 1.0)
    out = noise(n, rng, uniform(rng, 4, 6)) * gust + 0.15 * band(noise(n, rng, 2), rate, 300, 1500) * gust**2
    if rng.random() < 0.4:
        out += 0.4 * band(noise(n, rng), rate, 500, 700, 4) * gust**3
    return out


def fan(duration_s: float, rate: int, rng: Rng) -> Signal:
    """A motor that turns evenly (fan, vacuum cleaner, drill): air noise, blade tone and whine."""
    n = samples(duration_s, rate)
    f = log_uniform(rng, 80, 900) * (1 + 0.01 * wander(n, rng, 5, -1, 1))
    tone = harmonic(f, rng.lognormal(0, 0.8, 12) / np.arange(1, 13), n, rate, rng)
    return tone * uniform(rng, 0.05, 0.7) + filtered_noise(duration_s, rate, rng)


def hum(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Mains hum of transformers and refrigerators."""
    n = samples(duration_s, rate)
    amps = rng.lognormal(0, 1, 16) / np.arange(1, 17) ** uniform(rng, 0.5, 1.5)
    return harmonic(float(rng.choice([50, 60, 100, 120])), amps, n, rate, rng) + uniform(rng, 0, 0.3) * noise(n, rng, 4)


def clicks(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Keys, switches, tools, dishes: irregular clicks with small resonances."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    m = samples(0.15, rate)
    spread = uniform(rng, 0.02, 0.5)
    modes = np.exp(rng.uniform(np.log(400), np.log(7000), 7))
    for at in np.cumsum(rng.exponential(log_uniform(rng, 0.08, 0.8), int(duration_s * 12))):
        hit = partials(
            modes * np.exp(spread * rng.standard_normal(7)),
            rng.lognormal(0, 1, 7),
            rng.uniform(0.005, 0.12, 7),
            m,
            rate,
        )
        place(out, rng.exponential(1.0) * (hit + noise(m, rng) * decay(m, rate, 0.01)), float(at), rate)
    return out


def drums(duration_s: float, rate: int, rng: Rng) -> Signal:
    """A drum pattern: kick, snare, hat."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    step, m = uniform(rng, 0.1, 0.25), samples(0.35, rate)
    kick = sine(50 + 120 * decay(m, rate, 0.15), m, rate) * decay(m, rate, 0.3)
    snare = 0.5 * band(noise(m, rng), rate, 500) * decay(m, rate, 0.2) + 0.5 * sine(
        uniform(rng, 150, 250), m, rate
    ) * decay(m, rate, 0.15)
    hat = 0.35 * band(noise(m, rng), rate, 5000, order=4) * decay(m, rate, uniform(rng, 0.04, 0.25))
    for i in range(int(duration_s / step)):
        for hit, chance in ((kick, 0.6 if i % 4 == 0 else 0.15), (snare, 0.8 if i % 8 == 4 else 0.08), (hat, 0.6)):
            if rng.random() < chance:
                place(out, hit * uniform(rng, 0.6, 1), i * step, rate)
    return out


def pad(duration_s: float, rate: int, rng: Rng) -> Signal:
    """A held synthesizer chord with slow changes of color."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    for note in int(rng.integers(40, 65)) + rng.choice(SCALE, 4):
        f = midi_hz(float(note)) * (1 + 0.003 * np.sin(2 * np.pi * uniform(rng, 0.2, 6) * np.arange(n) / rate))
        out += harmonic(f, 1 / np.arange(1, 13) ** uniform(rng, 0.8, 2), n, rate, rng) * wander(n, rng, 4, 0.3, 1)
    return out


def sustained(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Melodies of blown, bowed, sung and piped tones: vibrato, breath, soft attacks."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    kind = rng.choice(["flute", "violin", "organ", "whistle", "reed"])
    low, high = {"flute": (60, 90), "violin": (55, 90), "organ": (40, 75), "whistle": (80, 102), "reed": (45, 80)}[kind]
    root, slope = (
        float(rng.integers(low, high - 12)),
        {"flute": 2.2, "violin": 1.0, "organ": 1.2, "whistle": 4, "reed": 0.8}[kind],
    )
    color, breath = rng.lognormal(0, 0.5, 20) / np.arange(1, 21) ** slope, uniform(rng, 0.002, 0.08)
    t = uniform(rng, 0, 0.3)
    while t < duration_s:
        m = samples(log_uniform(rng, 0.12, 1.5), rate)
        vibrato = 0 if kind == "organ" else uniform(rng, 0, 0.012)
        f = midi_hz(root + float(rng.choice(SCALE))) * (
            1 + vibrato * np.sin(2 * np.pi * uniform(rng, 4, 7) * np.arange(m) / rate)
        )
        tone = harmonic(f, color, m, rate, rng)
        if kind == "organ":
            tone += harmonic(f * 1.5, color, m, rate, rng) * 0.5
        tone += breath * band(noise(m, rng, 1), rate, 500, 6000) * tone.std() * 5
        place(out, ramped(tone, rate, uniform(rng, 0.01, 0.1), 0.06), t, rate)
        t += m / rate * uniform(rng, 0.9, 1.3)
    return out


def chirping(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Birds and insects: short fast glides high up, in phrases."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    f, m = log_uniform(rng, 1800, 6000), samples(log_uniform(rng, 0.02, 0.25), rate)
    shape = np.exp(wander(m, rng, int(rng.integers(2, 6)), -0.35, 0.35))
    for at in strike_times(duration_s, rng, 0.05, 0.9, 0.25):
        place(
            out,
            ramped(sine(f * shape * uniform(rng, 0.95, 1.05), m, rate), rate, 0.01, 0.01) * uniform(rng, 0.4, 1),
            at,
            rate,
        )
    return out


def crowd(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Applause, frying, gravel: very many small noises."""
    n = samples(duration_s, rate)
    rain = rng.standard_normal(n) * (rng.random(n) < log_uniform(rng, 0.003, 0.1)) * rng.exponential(1, n)
    kernel = noise(samples(0.02, rate), rng) * decay(samples(0.02, rate), rate, log_uniform(rng, 0.003, 0.02))
    low = log_uniform(rng, 100, 2000)
    return band(np.convolve(rain, kernel)[:n], rate, low, low * uniform(rng, 3, 30)) * wander(n, rng, 5, 0.5, 1)


def bubbles(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Water poured or dripping: rising blips over a little noise."""
    n = samples(duration_s, rate)
    out = uniform(rng, 0, 0.05) * band(noise(n, rng), rate, 500, 5000)
    for at in rng.uniform(0, duration_s, int(duration_s * log_uniform(rng, 2, 60))):
        m = samples(log_uniform(rng, 0.02, 0.12), rate)
        f = log_uniform(rng, 300, 2500)
        place(
            out,
            sine(np.linspace(f, f * uniform(rng, 1.0, 1.6), m), m, rate)
            * decay(m, rate, m / rate)
            * rng.exponential(0.5),
            float(at),
            rate,
        )
    return out


def tone(duration_s: float, rate: int, rng: Rng) -> Signal:
    """A steady test tone or chord, on for most of the time."""
    n = samples(duration_s, rate)
    x = sum(sine(log_uniform(rng, 80, 5000), n, rate) for _ in range(int(rng.integers(1, 4))))
    return x * gate(n, rate, [(uniform(rng, 0, 0.3), duration_s - uniform(rng, 0, 0.3))], 0.05)


OTHERS = (
    sweeps,
    fm_drone,
    noise_bursts,
    filtered_noise,
    wind,
    fan,
    hum,
    clicks,
    drums,
    pad,
    sustained,
    sustained,
    chirping,
    crowd,
    bubbles,
    tone,
)
