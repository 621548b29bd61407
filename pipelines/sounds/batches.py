"""Training batches drawn from the corpus: three-second crops that hold their event, mixed, stretched and surrounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from avstream.vocabulary import OTHER
from pipelines.nano.labels import LABELS
from pipelines.sounds.augment import Surroundings
from pipelines.sounds.dsp import Rng, uniform

RATE_HZ = 16000
WINDOW = 3 * RATE_HZ
FRAME = 800  # 50 ms
NOISE = "noise"
# How often a label is drawn: more often where recordings are few, where real ones must be met, and unknown sounds
WEIGHTS = {label: 1.5 if i < 10 else 1.0 for i, label in enumerate(LABELS)}
WEIGHTS |= {"speech": 1.8, "guitar": 2.5, "bell": 4.0, OTHER: 4.0, NOISE: 1.6}


@dataclass(frozen=True)
class Batch:
    """Sounds float32 (n, 48000); targets and weights float32 (n, 21): weight 0 where it is unknown."""

    sounds: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def frame_db(clips: np.ndarray) -> np.ndarray:
    """The level of each 50 ms of int16 clips (n, samples), dBFS float32 (n, samples // 800)."""
    out = np.empty((len(clips), clips.shape[1] // FRAME), np.float32)
    for i, clip in enumerate(clips):
        power = np.square(clip.reshape(-1, FRAME).astype(np.float32) / 32768).mean(1)
        out[i] = 10 * np.log10(power + 1e-12)
    return out


class Sampler:
    """Draws crops from clips by label."""

    def __init__(self, clips: np.ndarray, rows: list[dict[str, str]], seed: int) -> None:
        self.clips, self.levels, self.seed = clips, frame_db(clips), seed
        self.by_label: dict[str, np.ndarray] = {
            label: np.array([i for i, row in enumerate(rows) if row["label"] == label]) for label in (*LABELS, OTHER)
        }
        part = np.array([row["part"] for row in rows])
        self.sources = {
            k: [i[part[i] == name] for name in np.unique(part[i])] for k, i in self.by_label.items() if len(i)
        }
        self.names = [name for name in WEIGHTS if name == NOISE or len(self.by_label[name])]
        self.chances = np.array([WEIGHTS[name] for name in self.names])
        self.chances /= self.chances.sum()
        self.surroundings = Surroundings(seed)

    def pick(self, label: str, rng: Rng) -> int:
        """A clip of a label; its sources (parts) take equal turns with their sizes' square roots."""
        sources = self.sources[label]
        shares = np.sqrt([len(source) for source in sources])
        return int(rng.choice(sources[rng.choice(len(sources), p=shares / shares.sum())]))

    def crop(self, label: str, rng: Rng) -> tuple[np.ndarray, float]:
        """Three seconds of a clip, faster or slower, and how present its event is: 1, 0, or 0.5 for can't tell."""
        i = self.pick(label, rng)
        speed = float(np.exp(rng.uniform(-0.24, 0.24))) if rng.random() < 0.8 else 1.0
        need = min(int(WINDOW * speed) + 2, self.clips.shape[1])
        levels = self.levels[i]
        loudest = levels.max()
        for _ in range(6):
            start = int(rng.integers(0, self.clips.shape[1] - need + 1))
            heard = levels[start // FRAME : (start + need) // FRAME].max() - loudest
            if heard > -12 or rng.random() < 0.04:
                break
        piece = self.clips[i, start : start + need].astype(np.float32) / 32768
        x = stretched(piece, speed)
        present = 1.0 if heard > -20 else 0.0 if heard < -45 else 0.5
        if present == 1.0 and rng.random() < 0.12:
            x, present = self.shortened(x, rng)
        return x, present

    def shortened(self, x: np.ndarray, rng: Rng) -> tuple[np.ndarray, float]:
        """The loudest part of a crop alone in the window: a stream that begins or ends here."""
        length = int(uniform(rng, 0.7, 2.5) * RATE_HZ)
        peak = int(np.argmax(np.abs(x)))
        start = int(np.clip(peak - uniform(rng, 0.1, 0.7) * length, 0, WINDOW - length))
        out = np.zeros_like(x)
        at = int(rng.integers(0, WINDOW - length + 1))
        out[at : at + length] = x[start : start + length]
        return out, 1.0

    def silence(self, rng: Rng) -> np.ndarray:
        """Room tone, hiss and hum at low level, or nothing at all."""
        if rng.random() < 0.1:
            return np.zeros(WINDOW, np.float32)
        return self.surroundings.bed(WINDOW, rng) * np.float32(10 ** (uniform(rng, -85, -22) / 20))

    def one(self, rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """One window before its surroundings, its targets and weights, and whether it is a noise window."""
        target, weight = np.zeros(len(LABELS), np.float32), np.ones(len(LABELS), np.float32)
        name = self.names[rng.choice(len(self.names), p=self.chances)]
        if name == NOISE:
            return self.silence(rng), target, weight, True
        x, present = self.crop(name, rng)
        self.say(name, present, target, weight)
        if rng.random() < 0.35:
            second = self.names[rng.choice(len(self.names), p=self.chances)]
            if second not in (NOISE, name):
                y, present = self.crop(second, rng)
                below = uniform(rng, 0, 24)
                scale = 10 ** (-below / 20) * loudness(x) / max(loudness(y), 1e-5)
                x = x + y * np.float32(scale)
                self.say(second, present if below < 10 else min(present, 0.5), target, weight)
        return x, target, weight, False

    def say(self, name: str, present: float, target: np.ndarray, weight: np.ndarray) -> None:
        """Note in targets and weights that `name` sounds, does not, or may."""
        if name in LABELS and present:
            k = LABELS.index(name)
            target[k], weight[k] = (1.0, 1.0) if present == 1.0 else (0.0, 0.0)

    def batch(self, n: int, step: int) -> Batch:
        """The batch of a step: the same seed and step give the same batch."""
        rng = np.random.default_rng([self.seed, 31, step])
        sounds, targets, weights, quiet = zip(*(self.one(rng) for _ in range(n)), strict=True)
        plain = torch.from_numpy(np.stack(sounds))
        x = self.surroundings(plain, rng)
        still = torch.tensor(quiet)
        x[still] = plain[still]  # silence keeps its low level
        return Batch(x, torch.from_numpy(np.stack(targets)), torch.from_numpy(np.stack(weights)))


def stretched(x: np.ndarray, speed: float) -> np.ndarray:
    """The first 48000 samples of a sound played `speed` times as fast: linear interpolation in float32."""
    at = np.arange(WINDOW, dtype=np.float32) * np.float32(speed)
    first = np.minimum(at.astype(np.int32), len(x) - 2)
    part = at - first.astype(np.float32)
    return x[first] * (1 - part) + x[first + 1] * part


def loudness(x: np.ndarray) -> float:
    """The level of the loudest 50 ms: how loud a short event is, however long the window."""
    return float(np.sqrt(np.square(x.reshape(-1, FRAME)).mean(1).max()))
