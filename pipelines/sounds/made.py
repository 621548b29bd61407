"""Made sounds for kinds with few recordings: standards' alarms, chimes, telephones, sirens, voices, instruments, music.

Each is five seconds; `group` is what must not be divided between splits (a seed, a voice), every eighth is `held`,
every tenth `test`. The same seed gives the same sounds.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr

from pipelines.sounds import midi, voices
from pipelines.sounds.dsp import Rng, band, gate, harmonic, log_uniform, noise, sine, to_peak, uniform, wander
from pipelines.sounds.machines import square
from pipelines.sounds.other_sounds import OTHERS
from pipelines.sounds.recordings import RATE_HZ, SEED
from pipelines.sounds.synthesis import synthesize
from pipelines.sounds.vocabulary import OTHER

SECONDS = 5.0
COUNTS = {"bell": 200, "alarm": 200, "doorbell": 320, "phone_ring": 360, "siren": 240, "car_horn": 120, "knock": 80,
          "engine": 100, "guitar": 50, "piano": 20}  # fmt: skip
# label -> (General MIDI program, style, clips); the key is a label or an outside kind
INSTRUMENTS: dict[str, tuple[tuple[int, str, int], ...]] = {
    "guitar": ((24, "plucked", 60), (25, "plucked", 60), (26, "plucked", 25), (27, "plucked", 30),
               (28, "plucked", 10), (29, "plucked", 15), (30, "plucked", 15)),
    "piano": tuple((p, "keyed", n) for p, n in ((0, 60), (1, 45), (2, 25), (3, 20), (4, 15), (5, 10))),
    "bell": ((14, "tolled", 70),),
    "violin": tuple((p, "keyed", n) for p, n in ((40, 60), (41, 20), (44, 10), (48, 15), (110, 15))),
    "flute": tuple((p, "keyed", n) for p, n in ((72, 15), (73, 60), (74, 25), (75, 15))),
    "drum": ((0, "drummed", 110), (47, "held", 8), (116, "keyed", 10), (117, "keyed", 8)),
    "whistling": ((78, "keyed", 25),),
    "phone_ring": ((124, "held", 24),),
}  # fmt: skip
# program -> outside kind: left out of training whenever that kind is
OUTSIDE_PROGRAMS = {
    10: "music_box", 11: "vibraphone", 12: "marimba", 16: "organ", 19: "organ", 56: "trumpet", 57: "trombone",
    64: "saxophone", 66: "saxophone", 71: "clarinet", 104: "sitar", 108: "kalimba", 13: OTHER, 21: OTHER, 22: OTHER,
    46: OTHER, 58: OTHER, 60: OTHER, 61: OTHER, 68: OTHER, 70: OTHER, 80: OTHER, 81: OTHER, 88: OTHER, 90: OTHER,
    107: OTHER, 109: OTHER, 114: OTHER,
}  # fmt: skip
KNOWN_BY_NOW = ("wind", "drums", "chirping", "bubbles", "sustained")  # synthesizers of what is in the vocabulary now
Sound = tuple[np.ndarray, dict[str, object]]


def row(kind: str, group: str, i: int, music: bool = False) -> dict[str, object]:
    """A made sound's row; `music` tells an outside sound that is music."""
    split = "held" if i % 8 == 7 else "test" if i % 10 == 8 else "train"
    return {"path": f"made/{group}", "kind": kind, "group": f"made:{group}", "fold": 0, "split": split, "music": music}


def at_16k(x: np.ndarray, rate_hz: int) -> np.ndarray:
    """Five seconds at most, float32 at 16 kHz, with a peak of 0.5."""
    y = soxr.resample(np.asarray(x, np.float32), rate_hz, RATE_HZ)[: round(SECONDS * RATE_HZ)]
    return (y * (0.5 / max(float(np.abs(y).max(initial=0)), 1e-4))).astype(np.float32)


def standard_alarm(rng: Rng) -> np.ndarray:
    """A smoke or CO alarm by ISO 8201 / UL 2034: temporal three or four, 520 Hz square or near 3.1 kHz."""
    n = round(SECONDS * RATE_HZ)
    if rng.random() < 0.6:  # T3: three half seconds, half a second between, then 1.5 s
        spans, cycle = [(0.0, 0.5), (1.0, 1.5), (2.0, 2.5)], 4.0
    else:  # T4: four tenths with tenths between, then five seconds
        spans, cycle = [(0.2 * k, 0.2 * k + 0.1) for k in range(4)], 5.7 if rng.random() < 0.7 else 4.7
    scale, offset = uniform(rng, 0.92, 1.08), uniform(rng, -cycle, 0)
    if cycle > 4.5:
        offset = uniform(rng, -0.5, 0) - (cycle if rng.random() < 0.3 else 0)  # the beeps, not the long pause
    times = [(offset + scale * (k * cycle + a), offset + scale * (k * cycle + b)) for k in range(3) for a, b in spans]
    on = gate(n, RATE_HZ, times, uniform(rng, 0.001, 0.006))
    if rng.random() < 0.3:
        return square(520 * uniform(rng, 0.93, 1.07), n, RATE_HZ) * on
    freq = float(rng.choice([3100, 3100, 3400, 2800, 4000])) * uniform(rng, 0.96, 1.04)
    x = sine(freq, n, RATE_HZ) + uniform(rng, 0, 0.5) * sine(2 * freq % 7900, n, RATE_HZ)
    return np.tanh(uniform(rng, 0.7, 3) * x) * on


def chirping_alarm(rng: Rng) -> np.ndarray:
    """A digital alarm clock: two to four short beeps a second, for as long as it takes."""
    n = round(SECONDS * RATE_HZ)
    beep, gap, count = uniform(rng, 0.04, 0.12), uniform(rng, 0.03, 0.1), int(rng.integers(1, 5))
    cycle = count * (beep + gap) + uniform(rng, 0.2, 0.7)
    spans = [(c * cycle + k * (beep + gap), c * cycle + k * (beep + gap) + beep)
             for c in range(int(SECONDS / cycle) + 1) for k in range(count)]  # fmt: skip
    freq = log_uniform(rng, 900, 4200)
    tone = square(freq, n, RATE_HZ) if rng.random() < 0.5 else sine(freq, n, RATE_HZ)
    return tone * gate(n, RATE_HZ, spans, 0.003)


def whistled(rng: Rng) -> np.ndarray:
    """A person whistling: a nearly pure tone with glides, vibrato and breath, in phrases."""
    n = round(SECONDS * RATE_HZ)
    points = int(rng.integers(6, 22))
    notes = log_uniform(rng, 700, 1800) * 2.0 ** (rng.integers(-5, 8, points) / 12)
    track = np.interp(np.arange(n), np.linspace(0, n, 4 * points), np.repeat(notes, 4))
    track = track * (1 + uniform(rng, 0, 0.015) * np.sin(2 * np.pi * uniform(rng, 4, 7) * np.arange(n) / RATE_HZ))
    x = harmonic(track, [1, uniform(rng, 0, 0.08), uniform(rng, 0, 0.03)], n, RATE_HZ)
    breath = band(noise(n, rng), RATE_HZ, 800, 5000) * uniform(rng, 0.01, 0.15)
    loud = np.clip(wander(n, rng, points, -0.3, 1.0), 0, 1)
    return (x / (x.std() + 1e-9) + breath / (breath.std() + 1e-9) * 0.1) * loud


EXTRA = {"alarm": (standard_alarm, chirping_alarm), "whistling": (whistled,)}
EXTRA_COUNTS = {"alarm": 240, "whistling": 60}


def synthesized() -> Iterator[Sound]:
    """Every synthesizer's share."""
    for label, count in COUNTS.items():
        for i in range(count):
            rng = np.random.default_rng([SEED, zlib.crc32(label.encode()), i])
            yield at_16k(synthesize(label, SECONDS, RATE_HZ, rng), RATE_HZ), row(label, f"synth-{label}-{i}", i)
    for label, makers in EXTRA.items():
        for i in range(EXTRA_COUNTS[label]):
            rng = np.random.default_rng([SEED, 61, zlib.crc32(label.encode()), i])
            x = makers[i % len(makers)](rng)
            yield at_16k(to_peak(x, 0.5), RATE_HZ), row(label, f"extra-{label}-{i}", i // len(makers))
    others = tuple(make for make in OTHERS if make.__name__ not in KNOWN_BY_NOW)
    for i in range(300):
        rng = np.random.default_rng([SEED, 62, i])
        x = others[i % len(others)](SECONDS, RATE_HZ, rng)[: round(SECONDS * RATE_HZ)]
        yield at_16k(x, RATE_HZ), row(OTHER, f"other-{i}", i // len(others))


def instruments() -> Iterator[Sound]:
    """The sound font's instruments, in the vocabulary and outside."""
    for label, parts in INSTRUMENTS.items():
        for program, style, count in parts:
            rng = np.random.default_rng([SEED, 63, program, zlib.crc32(style.encode())])
            for i, x in enumerate(midi.segments(program, style, count, rng)):
                yield at_16k(x, 44100), row(label, f"gm-{label}-{program}-{i}", i)
    for program, kind in OUTSIDE_PROGRAMS.items():
        rng = np.random.default_rng([SEED, 64, program])
        for x in midi.segments(program, "keyed", 6, rng):
            yield at_16k(x, 44100), row(kind, f"gm-other-{program}", 0, music=True)


def ensembles(count: int = 200) -> Iterator[Sound]:
    """Music: two to five instruments at once, often with drums."""
    rng = np.random.default_rng([SEED, 65])
    done = 0
    while done < count:
        layers = [midi.segments(int(rng.integers(0, 96)), str(rng.choice(["keyed", "plucked", "keyed"])), 10, rng)
                  for _ in range(int(rng.integers(2, 5)))]  # fmt: skip
        if rng.random() < 0.7:
            layers.append(midi.segments(0, "drummed", 10, rng))
        for parts in zip(*layers, strict=True):
            x = sum(part / (part.std() + 1e-4) * uniform(rng, 0.3, 1) for part in parts)
            yield at_16k(x, 44100), row("music", f"ensemble-{done // 10}", done // 10)
            done += 1


def spoken(data: Path | None, count: int = 330) -> Iterator[Sound]:
    """Speech by espeak-ng (some voices held out) and, where there are any, digits read by people."""
    rng = np.random.default_rng([SEED, 66])
    for i in range(count):
        held = i % 8 == 7
        x, rate, voice = voices.espeak(rng, held)
        start = int(rng.integers(0, max(1, len(x) - round(SECONDS * rate))))
        made = row("speech", f"espeak-{voice}", 0)
        yield at_16k(x[start : start + round(SECONDS * rate)], rate), {**made, "split": "held" if held else "train"}
    folder = data / "speech" / "recordings" if data else None
    if folder is None or not folder.is_dir():
        return
    speakers = sorted({f.stem.split("_")[1] for f in folder.glob("*.wav")})
    for i in range(120):
        speaker = speakers[i % len(speakers)]
        made = row("speech", f"digits-{speaker}", 0)
        held = speaker == voices.HELD_OUT_SPEAKER
        yield at_16k(voices.digits(folder, speaker, rng), 16000), {**made, "split": "held" if held else "train"}


def all_made(data: Path | None) -> Iterator[Sound]:
    """Everything."""
    yield from synthesized()
    yield from instruments()
    yield from ensembles()
    yield from spoken(data)
