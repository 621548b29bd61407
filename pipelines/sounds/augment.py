"""What rooms, microphones, noise and codecs do to sound: batches in torch, float32 (clips, samples) at 16 kHz.

Banks of rooms and noises are made once from a seed; a batch then costs one forward and one inverse FFT.
"""

from __future__ import annotations

import numpy as np
import torch

from pipelines.sounds.dsp import Rng, band, log_uniform, noise, uniform

RATE_HZ = 16000
FFT = 1 << 16  # three seconds and a room's tail


def room(rng: Rng, length: int = 12000) -> np.ndarray:
    """A room's impulse response, float64 (length,): direct sound, early echoes, a tail that loses its highs first."""
    t60, out = log_uniform(rng, 0.12, 1.8), np.zeros(length)
    t = np.arange(length) / RATE_HZ
    tail = noise(length, rng) * 10 ** (-3 * t / t60)
    tail = 0.5 * tail + 0.5 * band(noise(length, rng), RATE_HZ, 0, 2500, 1) * 10 ** (-3 * t / (1.6 * t60))
    tail *= 1 - np.exp(-t / uniform(rng, 0.002, 0.03))
    early = rng.integers(16, int(0.06 * RATE_HZ), 12)
    out[early] += rng.standard_normal(12) * np.exp(-early / (0.02 * RATE_HZ))
    out += tail / np.sqrt(np.sum(tail**2)) * uniform(rng, 0.3, 1.5)
    out *= 10 ** (-uniform(rng, 0, 14) / 20)
    out[0] = 1.0
    return out / np.sqrt(np.sum(out**2))


def noise_bed(rng: Rng, length: int = 10 * RATE_HZ) -> np.ndarray:
    """Ten seconds of the ground a recording stands on: colored noise, sometimes with mains hum; unit level."""
    x = noise(length, rng, uniform(rng, -1, 6))
    if rng.random() < 0.4:
        x = band(x, RATE_HZ, log_uniform(rng, 20, 600), log_uniform(rng, 800, 8000), 1)
    x *= np.interp(np.arange(length), np.linspace(0, length, 14), rng.uniform(0.6, 1, 14))
    if rng.random() < 0.3:
        t = np.arange(length) / RATE_HZ
        mains = float(rng.choice([50, 60]))
        x /= x.std()
        for k in range(1, 12):
            x += uniform(rng, 0, 1.2) / k * np.sin(2 * np.pi * k * mains * t + uniform(rng, 0, 6.28))
    return (x / x.std()).astype(np.float32)


class Surroundings:
    """Banks of rooms and noise beds, and the chain that puts clips into them."""

    def __init__(self, seed: int, rooms: int = 200, beds: int = 60, responses: int = 400) -> None:
        rng = np.random.default_rng([seed, 21])
        echoes = torch.from_numpy(np.stack([room(rng) for _ in range(rooms)]).astype(np.float32))
        self.rooms = torch.fft.rfft(echoes, FFT)
        self.beds = [noise_bed(rng) for _ in range(beds)]
        self.octave = np.log2(np.maximum(np.fft.rfftfreq(FFT, 1 / RATE_HZ), 20) / 1000)
        self.responses = torch.from_numpy(np.stack([self.response(rng) for _ in range(responses)]))

    def bed(self, n: int, rng: Rng) -> np.ndarray:
        """A cut of a noise bed, float32 (n,), of unit level."""
        bed = self.beds[int(rng.integers(len(self.beds)))]
        start = int(rng.integers(0, len(bed) - n))
        return bed[start : start + n]

    def response(self, rng: Rng) -> np.ndarray:
        """A microphone's or a codec's gain over frequency: random tilt and bumps, sometimes a narrower band."""
        knots = np.linspace(-6, 3, 8)
        shape = uniform(rng, -1.5, 1.5) * knots + rng.normal(0, 2.0, 8)
        gain = 10 ** (np.interp(self.octave, knots, shape) / 20)
        if rng.random() < 0.3:
            gain = gain / (1 + (2.0 ** (self.octave - np.log2(log_uniform(rng, 2.2, 7.5)))) ** int(rng.integers(4, 24)))
        if rng.random() < 0.2:
            gain = gain / (1 + (2.0 ** (np.log2(log_uniform(rng, 0.06, 0.5)) - self.octave)) ** 4)
        return gain.astype(np.float32)

    def __call__(self, x: torch.Tensor, rng: Rng) -> torch.Tensor:
        """Clips (n, samples) as heard elsewhere: room, response, noise, overload, coarse coding, level."""
        n, length = x.shape
        drawn = torch.from_numpy(rng.integers(0, len(self.responses), n))
        gains = self.responses[drawn].to(torch.complex64)
        roomy = torch.from_numpy(np.flatnonzero(rng.random(n) < 0.5))
        gains[roomy] *= self.rooms[torch.from_numpy(rng.integers(0, len(self.rooms), len(roomy)))]
        y = torch.fft.irfft(torch.fft.rfft(x, FFT) * gains, FFT)[:, :length]
        level = y.square().mean(1, keepdim=True).sqrt()
        snr_db = np.where(rng.random((n, 1)) < 0.6, rng.uniform(4, 50, (n, 1)), 120)
        beds = torch.from_numpy(np.stack([self.bed(length, rng) for _ in range(n)]))
        y = y + beds * (level * torch.from_numpy(10 ** (-snr_db / 20)).float())
        y = y / y.abs().amax(1, keepdim=True).clamp_min(1e-6)
        drive = torch.from_numpy(np.where(rng.random((n, 1)) < 0.1, rng.uniform(1.5, 5, (n, 1)), 1e-3)).float()
        y = torch.tanh(drive * y) / torch.tanh(drive)
        for i in np.flatnonzero(rng.random(n) < 0.35):
            y[i] = compressed(y[i], int(log_uniform(rng, 0.02, 0.4) * RATE_HZ), uniform(rng, 0.3, 0.9))
        for i in np.flatnonzero(rng.random(n) < 0.05):
            y[i] = mu_law(y[i])
        return y * torch.from_numpy(10 ** (-rng.uniform(0.5, 36, (n, 1)) / 20)).float()


def compressed(x: torch.Tensor, width: int, strength: float) -> torch.Tensor:
    """A camera's automatic gain: decays are flattened and noise comes up; x (samples,), width in samples."""
    total = torch.nn.functional.pad(x.abs().double().cumsum(0), (width + 1, width), mode="constant")
    total[-width:] = total[-width - 1]
    envelope = ((total[2 * width + 1 :] - total[: -2 * width - 1]) / (2 * width + 1)).float()
    y = x * (envelope + 0.003).pow(-strength)
    return y / y.abs().amax().clamp_min(1e-6)


def mu_law(x: torch.Tensor, steps: int = 127) -> torch.Tensor:
    """A telephone's eight bits: mu-law companding, rounded and expanded; x in [-1, 1]."""
    coded = torch.sign(x) * torch.log1p(255 * x.abs()) / np.log(256)
    coded = torch.round(coded * steps) / steps
    return torch.sign(coded) * torch.expm1(coded.abs() * np.log(256)) / 255


def masked(mel: torch.Tensor, rng: Rng) -> torch.Tensor:
    """SpecAugment: up to two bands of time and frequency sunk to the clip's floor, in place; mel (n, bins, frames)."""
    for clip in mel:
        floor = clip.min()
        for _ in range(int(rng.integers(0, 3))):
            width = int(rng.integers(1, 40))
            start = int(rng.integers(0, mel.shape[2] - width))
            clip[:, start : start + width] = floor
        for _ in range(int(rng.integers(0, 3))):
            width = int(rng.integers(1, 10))
            start = int(rng.integers(0, mel.shape[1] - width))
            clip[start : start + width] = floor
    return mel
