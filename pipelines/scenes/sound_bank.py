"""The sounds of the localization scenes: a bank of made or recorded clips, their loudness, and their placing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipelines.sounds.synthesis import synthesize

RATE_HZ, SECONDS = 16000, 3
EVENTS = ("alarm", "bell", "car_horn", "clock_tick", "doorbell", "guitar", "knock", "phone_ring")
STEADY = ("engine", "rain", "sea_waves")
RECORDED_EVENTS = ("baby_cry", "clock_tick", "dog_bark", "rooster", "sneeze")
RECORDED_STEADY = ("chainsaw", "helicopter", "rain", "sea_waves")
EACH = 10  # made sounds of a label
SWING_DB = 6.0  # how much the loudness of an event sound varies at least (standard deviation)
FLOOR_DB = 40.0


class Bank:
    """Sounds to draw from: float32 (48000,), mono, 3 s at 16 kHz.

    The halves `held_out` True and False share no sound: other seeds, and with `data` (a folder of ESC-10's ogg files
    by label) other folds, 4 and 5 against 1 to 3. Raises FileNotFoundError when `data` holds no ogg file.
    """

    def __init__(self, *, held_out: bool, data: Path | None = None) -> None:
        self.held_out, self.data = held_out, data
        self._files: dict[str, list[Path]] = {}
        if data is not None:
            for label in (*RECORDED_EVENTS, *RECORDED_STEADY):
                files = sorted((data / label).glob("*.ogg"))
                self._files[label] = [file for file in files if (file.name[0] in "45") == held_out]
            if not any(self._files.values()):
                raise FileNotFoundError(f"no LABEL/*.ogg of ESC-10 in {data}")

    def draw(self, rng: np.random.Generator, *, steady: bool = False) -> NDArray[np.float32]:
        """A sound that comes and goes, or a steady one; of a label at random."""
        for _ in range(40):
            sound = self._recorded(rng, steady) if self.data else self._made(rng, steady)
            if steady or np.std(FLOOR_DB * loudness(sound, 25)) >= SWING_DB:
                break
        return sound

    def _made(self, rng: np.random.Generator, steady: bool) -> NDArray[np.float32]:
        label = str(rng.choice(STEADY if steady else EVENTS))
        complete = made(label, 2 * int(rng.integers(EACH)) + self.held_out)
        start = int(rng.integers(len(complete) - SECONDS * RATE_HZ + 1))
        return complete[start : start + SECONDS * RATE_HZ]

    def _recorded(self, rng: np.random.Generator, steady: bool) -> NDArray[np.float32]:
        labels = [label for label in (RECORDED_STEADY if steady else RECORDED_EVENTS) if self._files[label]]
        files = self._files[str(rng.choice(labels))]
        sound = recorded(files[int(rng.integers(len(files)))])
        start = int(rng.integers(max(1, len(sound) - SECONDS * RATE_HZ + 1)))
        piece = sound[start : start + SECONDS * RATE_HZ]
        return np.pad(piece, (0, SECONDS * RATE_HZ - len(piece)))


@cache
def made(label: str, number: int) -> NDArray[np.float32]:
    """The numbered sound of a label: five seconds, so that scenes begin anywhere in it."""
    return synthesize(label, 5.0, RATE_HZ, np.random.default_rng([5, number, *label.encode()]))


@lru_cache(maxsize=512)
def recorded(path: Path) -> NDArray[np.float32]:
    """A sound file, mono at 16 kHz, with a peak of 0.9; silent stretches at its ends stay."""
    with av.open(str(path)) as container:
        mono = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        frames = [out for frame in container.decode(audio=0) for out in mono.resample(frame)]
    sound = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)
    return sound * np.float32(0.9 / max(1e-3, np.abs(sound).max()))


def loudness(sound: NDArray[np.float32], fps: int) -> NDArray[np.float64]:
    """The level of each video frame, (T,) in [0, 1]: 1 for the loudest, 0 for 40 dB below and less."""
    step = RATE_HZ // fps
    blocks = sound[: len(sound) // step * step].reshape(-1, step)
    power = np.square(blocks, dtype=np.float64).mean(axis=1)
    return np.maximum(0, 1 + 10 * np.log10(power / max(1e-12, power.max()) + 1e-12) / FLOOR_DB)


def placed(sound: NDArray[np.float32], pan: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A mono sound at `pan` (-1 left to 1 right) as a panorama knob, or as two microphones, would: (2, n)."""
    depth_db = rng.uniform(4, 16)
    half = 10 ** (pan * depth_db / 40)
    late_s = rng.choice([0.0, 0.0003, 0.0006]) * pan  # to the far side; 0 for a knob
    spectrum = np.fft.rfft(sound)
    turn = np.exp(1j * np.pi * np.fft.rfftfreq(len(sound), 1 / RATE_HZ) * late_s)
    pair = np.fft.irfft(np.stack([spectrum / turn / half, spectrum * turn * half]), len(sound))
    return pair.astype(np.float32)


def room(pair: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The sound (2, n) in a room: a tail of 0.25 to 0.9 s (60 dB), different for each ear."""
    t60 = rng.uniform(0.25, 0.9)
    count = int(t60 * RATE_HZ)
    tail = rng.standard_normal((2, count)) * np.exp(-6.9 * np.arange(count) / count)
    tail[:, : int(0.002 * RATE_HZ)] = 0
    tail *= 10 ** (-rng.uniform(-2, 6) / 20) / np.sqrt(np.square(tail).sum(axis=1, keepdims=True))
    size = 1 << (pair.shape[1] + count).bit_length()
    wet = np.fft.irfft(np.fft.rfft(pair.mean(axis=0), size) * np.fft.rfft(tail, size), size)[:, : pair.shape[1]]
    return (pair + wet).astype(np.float32)


def mixed(
    sounds: Sequence[NDArray[np.float32]], pans: Sequence[float], rng: np.random.Generator, *, reverberant: bool = False
) -> tuple[NDArray[np.float32], float]:
    """All sounds where they are, in a room, with its noise: float32 (2, n); and the level of right over left, dB."""
    out = np.zeros((2, RATE_HZ * SECONDS), np.float32)
    for sound, pan in zip(sounds, pans, strict=True):
        direct = placed(sound, pan, rng)
        out += room(direct, rng) if reverberant else direct
    power = np.square(out, dtype=np.float64).mean(axis=1)
    level_db = 10 * float(np.log10(power[1] / power[0]))
    loud = float(np.sqrt(power.max()))
    out += (loud * 10 ** (-rng.uniform(18, 45) / 20) * rng.standard_normal(out.shape)).astype(np.float32)
    return out * np.float32(0.7 / np.abs(out).max()), level_db
