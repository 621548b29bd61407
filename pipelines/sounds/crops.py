"""Batches of three-second crops: drawn by label, mixed in the power domain with known truth, surrounded, masked."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipelines.nano.listener import BINS, FRAMES, NAMES, STEPS, leveled
from pipelines.sounds.dsp import Rng
from pipelines.sounds.truth import activity, targets
from pipelines.sounds.vocabulary import ESC50, LABELS, OTHER

STEP = FRAMES // STEPS  # mel frames in 0.1 s
SEGMENTS = (5, 10, 15, 20, 25)  # steps at whose middle the teacher is asked
NOISE = "noise"
AUDIBLE = 0.05  # of the mixture's power
BEGUN = (5, 24)  # steps of a sound that has just begun
QUIET = 3.0  # how often a window of nothing but noise is drawn, a label counting 1
UNLABELLED = 0.4  # of the recordings that are unknown sounds; the outside kinds share the rest evenly


@dataclass(frozen=True)
class Batch:
    """`mel` (n, BINS, FRAMES); clip targets and weights (n, names); those of frames (n, STEPS, names); the teacher's
    vectors (n, 5, 1024) of the first sound, `alone` (n,) where nothing else was mixed in and the teacher was asked.
    """

    mel: torch.Tensor
    clip: torch.Tensor
    clip_weight: torch.Tensor
    frames: torch.Tensor
    frames_weight: torch.Tensor
    vectors: torch.Tensor
    alone: torch.Tensor
    second: torch.Tensor  # teacher's vectors of the second sound, zeros where there is none
    mixed: torch.Tensor  # (n,) whether there is a second sound that the teacher knows


class Sounds:
    """A store's rows, its mels in all variants that are there, and the teacher's vectors."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows = folder, json.loads((folder / "rows.json").read_text())
        self.mels: list[np.ndarray] = []
        self.starts: list[np.ndarray] = []
        self.speeds: list[np.ndarray] = []
        self.activity: list[list[np.ndarray]] = []
        self.level: list[list[np.ndarray]] = []
        self.vectors: np.ndarray | None = None
        self.seen: set[str] = set()
        self.look()

    def look(self) -> None:
        """Take in variants that have been written since the last look."""
        for index in sorted(self.folder.glob("mel-*.json")):
            if index.name in self.seen:
                continue
            self.seen.add(index.name)
            parts = json.loads(index.read_text())
            self.mels.append(np.load(index.with_suffix(".npy"), mmap_mode="r"))
            self.starts.append(np.array(parts["starts"]))
            self.speeds.append(np.array(parts["speeds"]))
            self.note_activity(self.mels[-1], self.starts[-1])
        file = self.folder / "yamnet.npz"
        if self.vectors is None and file.exists():
            stored = np.load(file)
            self.vectors, self.offsets = stored["embeddings"], stored["offsets"]

    def note_activity(self, mel: np.ndarray, starts: np.ndarray) -> None:
        """When each sound of a variant sounds, in steps of 0.1 s."""
        power = np.empty(len(mel), np.float32)
        for s in range(0, len(mel), 200_000):
            power[s : s + 200_000] = (10 ** mel[s : s + 200_000].astype(np.float32)).sum(1)
        active, levels = [], []
        for row, a, b in zip(self.rows, starts, starts[1:], strict=False):
            piece = power[a:b]
            piece = np.pad(piece, (0, -len(piece) % STEP))
            level = 10 * np.log10(piece.reshape(-1, STEP).mean(1) + 1e-9)
            levels.append(level)
            active.append(activity(level, row["kind"]))
        self.activity.append(active)
        self.level.append(levels)

    def asked(self, i: int, start_s: np.ndarray) -> np.ndarray:
        """The teacher's vectors (times, 1024) of a sound about these times of the recording, in seconds."""
        a, b = self.offsets[i], self.offsets[i + 1]
        at = np.clip((start_s - 0.4875) / 0.48, 0, b - a - 1)
        low = at.astype(int)
        high = np.minimum(low + 1, b - a - 1)
        part = (at - low)[:, None].astype(np.float32)
        return (1 - part) * self.vectors[a + low] + part * self.vectors[a + high]  # type: ignore[index]


@dataclass
class Crop:
    """One sound's part of a crop."""

    mel: np.ndarray  # float16 (FRAMES, BINS)
    active: np.ndarray  # int8 (STEPS,)
    kind: int  # row of the table of targets
    vectors: np.ndarray | None


class Crops:
    """Draws batches. `keep` tells which rows may be drawn, so that a split or a kind can be left out; so many of the
    sounds have just `begun`.
    """

    def __init__(self, stores: Sequence[Sounds], keep: Callable[[dict[str, object]], bool], seed: int,
                 other: float = 9.0, plain: bool = False, begun: float = 0.0) -> None:  # fmt: skip
        self.stores, self.seed, self.plain, self.begun = stores, seed, plain, begun
        self.places: dict[str, list[list[tuple[int, int]]]] = defaultdict(lambda: [[], []])
        self.kinds: list[tuple[str, bool]] = []
        for s, store in enumerate(stores):
            for i, row in enumerate(store.rows):
                if row["kind"] == "rir" or not keep(row):
                    continue
                name = row["kind"] if row["kind"] in LABELS or row["kind"] == NOISE else OTHER
                self.places[name][row["path"].startswith("made/")].append((s, i))
        self.unknown: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for s, i in self.places[OTHER][0] if OTHER in self.places else []:
            self.unknown[stores[s].rows[i]["kind"]].append((s, i))
        self.table: dict[tuple[str, bool], int] = {(NOISE, False): 0}
        pairs = [targets(NOISE)]
        for store in stores:
            for row in store.rows:
                key = (row["kind"], bool(row.get("music")))
                if key not in self.table:
                    self.table[key] = len(pairs)
                    pairs.append(targets(*key))
        self.targets = torch.from_numpy(np.stack([t for t, _ in pairs]))
        self.weights = torch.from_numpy(np.stack([w for _, w in pairs]))
        self.names = [name for name in (*LABELS, OTHER) if name in self.places]
        if not plain or NOISE in self.places:
            self.names.append(NOISE)
        special = {OTHER: other, NOISE: QUIET}
        chances = [special.get(name, 1.0 if name in ESC50 else 0.8) for name in self.names]
        self.chances = np.array(chances) / sum(chances)

    def pick(self, name: str, rng: Rng) -> tuple[int, int]:
        """A recording of a label; recordings go before made sounds, sources take equal turns."""
        real, made = self.places[name]
        if name == OTHER and len(self.unknown) > 1 and rng.random() < 0.75:
            kinds = [kind for kind in self.unknown if kind != "unlabelled"]
            kind = str(kinds[int(rng.integers(len(kinds)))])
            if "unlabelled" in self.unknown and rng.random() < UNLABELLED:
                kind = "unlabelled"
            return self.unknown[kind][int(rng.integers(len(self.unknown[kind])))]
        share = len(real) / (len(real) + 8) * 0.9 if made else 1.0
        pool = real if real and rng.random() < share else made or real
        return pool[int(rng.integers(len(pool)))]

    def crop(self, place: tuple[int, int], rng: Rng) -> Crop:
        """Three seconds of a recording, in one of its variants; a short one, or one that begins here, is in silence."""
        s, i = place
        store = self.stores[s]
        v = 0 if self.plain or rng.random() < 0.15 else int(rng.integers(len(store.mels)))
        a, b = store.starts[v][i], store.starts[v][i + 1]
        active, level = store.activity[v][i], store.level[v][i]
        steps, start, at = len(active), 0, 0
        if steps > STEPS:
            for _ in range(5):
                start = int(rng.integers(0, steps - STEPS + 1))
                if level[start : start + STEPS].max() > level.max() - 10 or rng.random() < 0.03:
                    break
            if rng.random() < 0.12:
                at = int(rng.integers(0, 18))
        else:
            at = int(rng.integers(0, STEPS - steps + 1))
        of = start + np.arange(STEPS) - at  # the recording's step in each of the crop's
        inside = (of >= start) & (of < steps)
        if self.begun and rng.random() < self.begun:
            of, inside = just_begun(active, rng), np.ones(STEPS, bool)
        frames = (a + of[inside, None] * STEP + np.arange(STEP)).ravel()
        mel = np.full((FRAMES, BINS), -9, np.float16)
        mel[np.repeat(inside, STEP)] = np.where((frames < b)[:, None], store.mels[v][np.minimum(frames, b - 1)], -9)
        sounding = np.zeros(STEPS, np.int8)
        sounding[inside] = active[of[inside]]
        row = store.rows[i]
        vectors = None
        if store.vectors is not None:
            vectors = store.asked(i, of[list(SEGMENTS)] * 0.1 * store.speeds[v][i])
        return Crop(mel, sounding, self.table[(row["kind"], bool(row.get("music")))], vectors)

    def batch(self, n: int, step: int) -> Batch:
        """The batch of a step: the same seed, step and variants give the same batch."""
        rng = np.random.default_rng([self.seed, 81, step])
        names = rng.choice(len(self.names), (2, n), p=self.chances)
        first: list[Crop | None] = [self.draw(self.names[k], rng) for k in names[0]]
        pairs = np.zeros(n, bool) if self.plain else rng.random(n) < 0.55
        second = [self.draw(self.names[k], rng) if pair else None
                  for k, pair in zip(names[1], pairs, strict=True)]  # fmt: skip
        power = [powers(first), powers(second)]
        below = np.where(rng.random(n) < 0.7, rng.uniform(-7, 7, n), rng.uniform(6, 22, n))
        power[1] = power[1] * torch.from_numpy(10 ** (-below / 10)).float()[:, None, None]
        mix, frames, frames_weight = self.truth(power, [first, second])
        if not self.plain:
            mix = self.surrounded(mix, rng)
        mel = leveled(mix.transpose(1, 2))
        if not self.plain:
            mask(mel, rng)
        clip = frames.amax(1)
        clip_weight = torch.maximum(clip, frames_weight.amin(1))
        vectors, alone = asked(first)
        others, known = asked(second)
        pair = torch.from_numpy(pairs)
        return Batch(
            mel, clip, clip_weight, frames, frames_weight, vectors, alone & ~pair, others, alone & known & pair
        )

    def draw(self, name: str, rng: Rng) -> Crop:
        """A crop of a label; of noise, more often a made one."""
        if name == NOISE and (NOISE not in self.places or rng.random() < 0.6):
            mel = torch.log10(made_bed(rng) / 100 + 1e-9).clamp(-9, 4).half().numpy()
            return Crop(mel, np.ones(STEPS, np.int8), 0, None)
        return self.crop(self.pick(name, rng), rng)

    def truth(self, power: list[torch.Tensor], parts: list[list[Crop | None]]) -> tuple[torch.Tensor, ...]:
        """The mixture's power, and targets and weights of its frames: what is not audible is unknown."""
        mix = power[0] + power[1]
        total = mix.mean(2).unflatten(1, (STEPS, STEP)).mean(2)
        sounds, unsure = torch.zeros(len(mix), STEPS, len(NAMES)), torch.zeros(len(mix), STEPS, len(NAMES))
        for part, own in zip(parts, power, strict=True):
            kinds = torch.tensor([0 if crop is None else crop.kind for crop in part])
            state = torch.from_numpy(np.stack([np.zeros(STEPS, np.int8) if c is None else c.active for c in part]))
            heard = own.mean(2).unflatten(1, (STEPS, STEP)).mean(2) > AUDIBLE * total
            target, weight = self.targets[kinds][:, None], self.weights[kinds][:, None]
            on = ((state == 1) & heard)[:, :, None].float()
            perhaps = ((state == -1) | ((state == 1) & ~heard))[:, :, None].float()
            sounds = torch.maximum(sounds, on * target * (weight > 0))
            unsure = torch.maximum(unsure, torch.maximum(perhaps * target, (state != 0)[:, :, None] * (1 - weight)))
        return mix, sounds, torch.maximum(sounds, 1 - unsure)

    def surrounded(self, mix: torch.Tensor, rng: Rng) -> torch.Tensor:
        """A room's ground, a microphone's response, a narrower band: all in the power domain."""
        n = len(mix)
        ground = torch.zeros_like(mix)
        for i in np.flatnonzero(rng.random(n) < 0.7):
            real = NOISE in self.places and rng.random() < 0.4
            bed = self.bed(rng) if real else made_bed(rng)
            snr = rng.uniform(2, 40)
            ground[i] = bed * float(10 ** (-snr / 10) / max(float(bed.mean()), 1e-9))
        mix = mix + ground
        curve = rng.normal(0, 1, (n, 6)) * rng.uniform(0, 6, (n, 1)) + rng.uniform(-8, 8, (n, 1)) * np.linspace(
            -1, 1, 6
        )
        gain = np.stack([np.interp(np.arange(BINS), np.linspace(0, BINS - 1, 6), row) for row in curve])
        for i in np.flatnonzero(rng.random(n) < 0.2):  # a narrow band: old phones, small loudspeakers, low rates
            high, low = rng.integers(34, 64), rng.integers(0, 12)
            at = np.arange(BINS)
            gain[i] -= np.maximum(0, at - high) * rng.uniform(2, 12) + np.maximum(0, low - at) * rng.uniform(0, 4)
        mix = mix * torch.from_numpy(10 ** (gain / 10)).float()[:, None]
        for i in np.flatnonzero(rng.random(n) < 0.25):  # some pitch
            mix[i] = torch.roll(mix[i], int(rng.integers(-2, 3)), 1)
        level = mix.mean((1, 2), keepdim=True)
        floor = torch.from_numpy(10 ** (-rng.uniform(3.5, 7.5, (n, 1, 1)))).float()
        return mix + level * floor

    def bed(self, rng: Rng) -> torch.Tensor:
        """A piece of recorded noise, power (FRAMES, BINS)."""
        return powers([self.crop(self.pick(NOISE, rng), rng)])[0]


def just_begun(active: np.ndarray, rng: Rng) -> np.ndarray:
    """The first steps of a sound, or others of it, repeated to fill a window, as the narrator hears what has just begun
    in a live window: the recording's step in each of the window's, (STEPS,).
    """
    starts = np.flatnonzero(active[: max(1, len(active) - BEGUN[0])] == 1)
    start = int(starts[0 if rng.random() < 0.4 else rng.integers(len(starts))]) if len(starts) else 0
    period = min(int(rng.integers(*BEGUN)), len(active) - start)
    return start + np.arange(STEPS) % period


def made_bed(rng: Rng) -> torch.Tensor:
    """Colored noise that comes and goes a little, power (FRAMES, BINS)."""
    shape = np.interp(
        np.arange(BINS), np.linspace(0, BINS - 1, 5), rng.normal(0, 6, 5) - np.linspace(0, 1, 5) * rng.uniform(-10, 40)
    )
    if rng.random() < 0.3:  # mains hum and its harmonics, or a whine
        shape[rng.integers(0, 20 if rng.random() < 0.7 else BINS, int(rng.integers(1, 7)))] += rng.uniform(3, 25)
    slow = np.interp(np.arange(FRAMES), np.linspace(0, FRAMES - 1, 6), rng.uniform(-4, 0, 6))
    grain = rng.exponential(1, (FRAMES, BINS)).astype(np.float32) * 0.5 + 0.5
    return torch.from_numpy((10 ** ((shape[None] + slow[:, None]) / 10)).astype(np.float32) * grain)


def powers(crops: Sequence[Crop | None]) -> torch.Tensor:
    """Power (n, FRAMES, BINS), the loudest 0.1 s of each at one; zeros for None."""
    quiet = np.full((FRAMES, BINS), -9, np.float16)
    log = torch.from_numpy(np.stack([quiet if crop is None else crop.mel for crop in crops])).float()
    power = torch.pow(10.0, log) - 1e-9
    top = power.mean(2).unflatten(1, (STEPS, STEP)).mean(2).amax(1)
    return power.clamp_min(0) / top.clamp_min(1e-9)[:, None, None]


def asked(crops: Sequence[Crop | None]) -> tuple[torch.Tensor, torch.Tensor]:
    """The teacher's vectors (n, 5, 1024) and whether it was asked."""
    none = np.zeros((len(SEGMENTS), 1024), np.float32)
    answers = [None if crop is None else crop.vectors for crop in crops]
    vectors = np.stack([none if answer is None else answer for answer in answers]).astype(np.float32)
    return torch.from_numpy(vectors), torch.tensor([answer is not None for answer in answers])


def mask(mel: torch.Tensor, rng: Rng) -> None:
    """SpecAugment: up to two bands of time and of frequency sunk to the crop's floor, in place."""
    for clip in mel:
        floor = clip.min()
        for _ in range(int(rng.integers(0, 3))):
            width = int(rng.integers(4, 40))
            start = int(rng.integers(0, FRAMES - width))
            clip[:, start : start + width] = floor
        for _ in range(int(rng.integers(0, 3))):
            width = int(rng.integers(1, 9))
            start = int(rng.integers(0, BINS - width))
            clip[start : start + width] = floor
