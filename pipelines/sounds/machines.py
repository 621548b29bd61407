"""Things that sound by machine or weather: alarms, telephones, sirens, horns, engines, rain and sea. numpy only."""

from __future__ import annotations

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
    sine,
    uniform,
    wander,
)
from pipelines.sounds.strikes import SCALE, midi_hz, strike_times

# One cycle of each standard signal: (length, spans that sound), seconds
TEMPORAL_THREE = (4.0, ((0.0, 0.5), (1.0, 1.5), (2.0, 2.5)))  # ISO 8201: leave the building
TEMPORAL_FOUR = (5.8, ((0.0, 0.1), (0.2, 0.3), (0.4, 0.5), (0.6, 0.7)))  # carbon monoxide


def square(freq: float | Signal, n: int, rate: int, duty: float = 0.5, top: int = 40) -> Signal:
    """A band-limited pulse wave."""
    k = np.arange(1, top + 1)
    return harmonic(freq, np.sin(np.pi * k * duty) / k, n, rate)


def pattern_alarm(
    pattern: tuple[float, tuple[tuple[float, float], ...]],
    freq_hz: float,
    duration_s: float,
    rate: int,
    offset_s: float = 0.0,
    duty: float = 0.0,
) -> Signal:
    """A steady tone cut by a standard pattern that begins at `offset_s`; a pulse wave when `duty` is not 0."""
    n = samples(duration_s, rate)
    tone = square(freq_hz, n, rate, duty) if duty else sine(freq_hz, n, rate)
    return tone * gate(n, rate, every(pattern[0], pattern[1], duration_s, offset_s))


def smoke_alarm(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Smoke (three beeps) and carbon monoxide (four) alarms: 520 Hz square, or 2.8 to 3.5 kHz piezo."""
    low = rng.random() < 0.3
    freq = 520 * uniform(rng, 0.9, 1.1) if low else uniform(rng, 2700, 3500)
    pattern = TEMPORAL_THREE if rng.random() < 0.7 else TEMPORAL_FOUR
    duty = uniform(rng, 0.3, 0.5) if low or rng.random() < 0.5 else 0.0
    return pattern_alarm(pattern, freq, duration_s, rate, uniform(rng, -0.6, 0.5), duty)


def beeping(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Alarm clocks, timers, reversing lorries, machines: groups of equal beeps."""
    n = samples(duration_s, rate)
    on = log_uniform(rng, 0.04, 0.5)
    count, off = int(rng.choice([1, 1, 2, 3, 4, 4])), on * uniform(rng, 0.6, 1.3)
    spans = [(i * (on + off), i * (on + off) + on) for i in range(count)]
    cycle = spans[-1][1] + (off if count == 1 else uniform(rng, 0.3, 0.8))
    freq, duty = log_uniform(rng, 600, 4200), float(rng.choice([0.0, 0.5, 0.3]))
    tone = square(freq, n, rate, duty) if duty else sine(freq, n, rate)
    if rng.random() < 0.25:
        tone = tone + uniform(rng, 0.2, 1) * sine(freq * uniform(rng, 1.1, 2.2), n, rate)
    return tone * gate(n, rate, every(cycle, spans, duration_s, uniform(rng, 0, min(0.5, cycle))), 0.003)


def buzzer(duration_s: float, rate: int, rng: Rng) -> Signal:
    """A rasping buzzer or evacuation horn, continuous or in long pulses."""
    n = samples(duration_s, rate)
    tone = np.tanh(3 * harmonic(log_uniform(rng, 180, 700), rng.lognormal(0, 0.6, 20), n, rate, rng) / 3)
    tone *= 1 - uniform(rng, 0, 0.8) * (0.5 + 0.5 * sine(log_uniform(rng, 8, 60), n, rate))
    tone = peaks(tone, rate, rng.uniform(700, 5000, 3), rng.uniform(1, 6, 3))
    on = log_uniform(rng, 0.15, 1.5)
    return (
        tone if rng.random() < 0.3 else tone * gate(n, rate, every(2 * on, [(0, on)], duration_s, uniform(rng, 0, on)))
    )


def ring_spans(duration_s: float, rng: Rng) -> list[tuple[float, float]]:
    """The cadences of telephones: 2 s on and 4 off, 1 on and 3 off, double rings..."""
    kinds = ((6.0, [(0, 2.0)]), (4.0, [(0, 1.0)]), (3.0, [(0, 0.4), (0.6, 1.0)]), (2.0, [(0, 1.0)]), (3.0, [(0, 2.0)]))
    cycle, spans = kinds[int(rng.integers(len(kinds)))]
    return every(cycle, spans, duration_s, uniform(rng, -0.5, 0.5))


def phone_bell(duration_s: float, rate: int, rng: Rng) -> Signal:
    """An old telephone: a clapper between two small gongs, some 20 strokes a second."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    gongs = []
    for f in np.array([1.0, uniform(rng, 1.05, 1.3)]) * log_uniform(rng, 700, 1900):
        ratios = np.concatenate([[1.0, 1.003], rng.uniform(1.4, 5.5, 6)])
        amps, t60s = rng.lognormal(0, 0.6, 8), log_uniform(rng, 0.3, 1.5) / ratios**0.6
        gongs.append(partials(f * ratios, amps, t60s, samples(1.2, rate), rate, rng))
    step = 1 / uniform(rng, 14, 30)
    for start, end in ring_spans(duration_s, rng):
        for i, at in enumerate(np.arange(start, end, step)):
            place(out, gongs[i % 2] * uniform(rng, 0.7, 1.0), at, rate)
    return out


def phone_trill(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Electronic rings: two alternating tones, a warble, or the dual tone heard in the receiver."""
    n = samples(duration_s, rate)
    spans = ring_spans(duration_s, rng)
    if rng.random() < 0.2:
        dual = ((440, 480), (400, 450), (425, 425.5))[int(rng.integers(3))]
        return (sine(dual[0], n, rate) + sine(dual[1], n, rate)) * gate(n, rate, spans, 0.01)
    low = log_uniform(rng, 500, 2600)
    high, speed = low * uniform(rng, 1.08, 1.6), uniform(rng, 8, 32)
    switch = np.floor(np.arange(n) / rate * speed * 2) % 2 == 0
    track = np.where(switch, low, high)
    tone = square(track, n, rate, uniform(rng, 0.2, 0.5)) if rng.random() < 0.6 else sine(track, n, rate)
    return tone * gate(n, rate, spans, 0.005)


def phone_tune(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Ring tones: a short motif, repeated exactly, as beeps, marimba or synth plucks; sometimes a buzz of vibration."""
    n = samples(duration_s, rate)
    out = np.zeros(n)
    voice, beat = rng.choice(["beep", "marimba", "pluck"]), uniform(rng, 0.07, 0.22)
    notes = int(rng.integers(66, 86)) + rng.choice(SCALE, int(rng.integers(4, 12)))
    lengths = beat * rng.choice([1, 1, 1, 2], len(notes))
    period = float(lengths.sum()) + float(rng.choice([0, 0, 0.4, 1.0]))
    for start in np.arange(uniform(rng, -0.5, 0.3), duration_s, period):
        for note, length, at in zip(notes, lengths, start + np.cumsum(lengths) - lengths, strict=True):
            f = midi_hz(float(note))
            if voice == "beep":
                tone = ramped(square(f, samples(0.9 * length, rate), rate, 0.4), rate)
            elif voice == "marimba":
                tone = partials(
                    f * np.array([1, 3.98, 9.9]), [1, 0.3, 0.1], [0.5, 0.15, 0.06], samples(0.7, rate), rate
                )
            else:
                m = samples(0.6, rate)
                tone = harmonic(f, 1 / np.arange(1, 9) ** 1.3, m, rate, rng) * decay(m, rate, 0.6)
            place(out, ramped(tone, rate, 0.002, 0.01), float(at), rate)
    if rng.random() < 0.15:
        out += (
            0.3 * square(uniform(rng, 130, 190), n, rate, 0.3) * gate(n, rate, every(1.5, [(0, 0.8)], duration_s), 0.02)
        )
    return out


def siren(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Wail, yelp, hi-lo, phaser and air raid sirens, coming and passing by."""
    n = samples(duration_s, rate)
    t = np.arange(n) / rate
    kind = rng.choice(["wail", "yelp", "hilo", "phaser", "raid"], p=[0.35, 0.2, 0.25, 0.08, 0.12])
    low, high = uniform(rng, 380, 800), uniform(rng, 1000, 1800)
    period = {
        "wail": uniform(rng, 2, 8),
        "yelp": uniform(rng, 0.18, 0.5),
        "hilo": uniform(rng, 0.7, 2.2),
        "phaser": uniform(rng, 0.05, 0.12),
        "raid": uniform(rng, 5, 14),
    }[kind]
    phase = (t / period + rng.random()) % 1
    if kind == "hilo":
        low = uniform(rng, 380, 700)
        track = np.where(phase < 0.5, low, low * float(rng.choice([1.335, 1.25, 1.2, 1.5])))
    else:
        if kind == "raid":
            low, high = uniform(rng, 120, 300), uniform(rng, 350, 650)
        rise = uniform(rng, 0.35, 0.85)
        shape = np.where(phase < rise, phase / rise, (1 - phase) / (1 - rise)) ** uniform(rng, 0.6, 1.4)
        track = low * (high / low) ** shape
    track = track * (1 + uniform(rng, -0.06, 0.06) * np.tanh((t - uniform(rng, 0, duration_s)) * uniform(rng, 0.5, 3)))
    if kind == "hilo":
        track = np.convolve(np.pad(track, 64, mode="edge"), np.ones(129) / 129, "valid")[:n]
    amps = 1 / np.arange(1, 16) ** uniform(rng, 0.6, 2) * rng.lognormal(0, 0.4, 15)
    tone = np.tanh(uniform(rng, 0.5, 3) * harmonic(track, amps, n, rate))
    tone = peaks(tone, rate, rng.uniform(500, 4000, 3), rng.uniform(0, 4, 3), 3)
    street = band(noise(n, rng, 4), rate, 30) * log_uniform(rng, 0.003, 0.15)
    return tone * wander(n, rng, 4, 0.35, 1.0) + street


def horn_tone(freqs: Signal, n: int, rate: int, rng: Rng) -> Signal:
    """Reeds blown together: rich harmonics under the broad resonance of a trumpet."""
    top = 40
    k = np.arange(1, top + 1)
    peak = uniform(rng, 1200, 3500)
    tone = np.zeros(n)
    for f in freqs:
        amps = (0.25 + np.exp(-(((k * f - peak) / (0.7 * peak)) ** 2))) / k**0.3 * rng.lognormal(0, 0.4, top)
        drift = f * (1 + 0.004 * np.exp(-np.arange(n) / (0.05 * rate)) * uniform(rng, -6, 1))
        tone += harmonic(drift, amps, n, rate, rng)
    return tone


def honks(duration_s: float, rng: Rng) -> list[tuple[float, float]]:
    """One long honk, or short impatient ones."""
    spans, t = [], uniform(rng, 0, 0.5)
    while t < duration_s:
        length = log_uniform(rng, 0.1, 2.5)
        spans.append((t, t + length))
        t += length + log_uniform(rng, 0.08, 1.2)
    return spans


def car_horn(duration_s: float, rate: int, rng: Rng) -> Signal:
    """A pair of disc or snail horns a third apart; sometimes the single thin one of a scooter."""
    n = samples(duration_s, rate)
    base = uniform(rng, 290, 520)
    freqs = np.array([base]) if rng.random() < 0.2 else np.array([base, base * uniform(rng, 1.15, 1.3)])
    return horn_tone(freqs, n, rate, rng) * gate(n, rate, honks(duration_s, rng), 0.015)


def air_horn(duration_s: float, rate: int, rng: Rng) -> Signal:
    """The low chord of a lorry, and its air."""
    n = samples(duration_s, rate)
    freqs = uniform(rng, 140, 280) * np.array([1.0, 1.19, 1.5, 1.78])[: int(rng.integers(2, 5))]
    tone = horn_tone(freqs, n, rate, rng)
    return (tone + 0.05 * tone.std() * noise(n, rng, 1)) * gate(n, rate, honks(duration_s, rng), 0.04)


def engine(duration_s: float, rate: int, rng: Rng) -> Signal:
    """A combustion engine idling, revving or passing: uneven firing pulses through an exhaust, plus rattle and roar."""
    n = samples(duration_s, rate)
    idle = log_uniform(rng, 10, 70)
    style = rng.choice(["idle", "rev", "pass"], p=[0.45, 0.35, 0.2])
    points = {"idle": 8, "rev": int(rng.integers(4, 9)), "pass": 3}[style]
    spread = {"idle": 1.06, "rev": uniform(rng, 1.5, 4), "pass": 1.4}[style]
    firing = idle * spread ** wander(n, rng, points, 0, 1)
    turns = np.cumsum(firing) / rate
    cylinders = int(rng.choice([1, 2, 3, 4, 4, 6, 8]))
    strength = rng.uniform(0.6, 1.0, cylinders)[(np.floor(turns).astype(int)) % cylinders]
    fire = strength * np.exp(-(turns % 1) * uniform(rng, 3, 14))
    exhaust = peaks(fire - fire.mean(), rate, np.exp(rng.uniform(np.log(50), np.log(1500), 6)), rng.uniform(1, 8, 6), 4)
    roar = band(noise(n, rng, uniform(rng, 1, 5)), rate, 40, log_uniform(rng, 800, 7000), 1)
    rattle = fire * band(noise(n, rng), rate, log_uniform(rng, 500, 2500), log_uniform(rng, 3000, 7500))
    out = (
        exhaust / exhaust.std()
        + uniform(rng, 0.05, 0.6) * roar
        + uniform(rng, 0.05, 1.2) * rattle / (rattle.std() + 1e-9)
    )
    if rng.random() < 0.5:
        out = out + 0.2 * harmonic(firing * uniform(rng, 2, 12), [1, 0.5, 0.3], n, rate)
    return np.tanh(uniform(rng, 0.2, 0.8) * out) * wander(n, rng, 4, 0.4 if style == "pass" else 0.8, 1.0)


def rain(duration_s: float, rate: int, rng: Rng) -> Signal:
    """The hiss of many drops, and single ones nearby."""
    n = samples(duration_s, rate)
    out = band(noise(n, rng, uniform(rng, 0, 3)), rate, log_uniform(rng, 100, 1500), log_uniform(rng, 4000, 15000), 1)
    out *= wander(n, rng, 8, 0.8, 1.0)
    m = samples(0.03, rate)
    for at in rng.uniform(0, duration_s, int(duration_s * log_uniform(rng, 5, 120))):
        drop = sine(log_uniform(rng, 800, 7000), m, rate) * decay(m, rate, uniform(rng, 0.004, 0.03))
        place(out, drop * rng.exponential(0.9), float(at), rate)
    return out


def sea_waves(duration_s: float, rate: int, rng: Rng) -> Signal:
    """Waves that swell, break brightly and run out."""
    n = samples(duration_s, rate)
    out = 0.15 * noise(n, rng, 5)
    for at in strike_times(duration_s + 4, rng, 2, 6, 0.2):
        length = samples(uniform(rng, 2, 5), rate)
        swell = np.interp(np.arange(length), [0, 0.35 * length, length], [0, 1, 0]) ** 2
        body = noise(length, rng, uniform(rng, 2.5, 5))
        crest = band(noise(length, rng, 1), rate, 800) * swell**2
        place(out, uniform(rng, 0.5, 1) * (body * swell + uniform(rng, 0.2, 0.8) * crest), at - 3, rate)
    return out
