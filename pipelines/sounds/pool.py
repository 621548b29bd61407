"""Windows mixed as sound, with what the teacher hears in each: a pool to distil from, written in shards.

Mel power can be mixed anew for each batch (`crops`), but the teacher hears samples, and takes as long as a step of
training. So these windows are made once, in the background if you like: training takes in each shard as it comes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipelines.nano.listener import BINS, FRAMES, HOP, NAMES, STEPS, WINDOW, MelPower, leveled
from pipelines.sounds.augment import Surroundings
from pipelines.sounds.crops import NOISE, Crops, Sounds, mask
from pipelines.sounds.dsp import Rng
from pipelines.sounds.mels import stretched
from pipelines.sounds.recordings import RATE_HZ, Store
from pipelines.sounds.vocabulary import OTHER
from pipelines.sounds.yamnet import Yamnet

Row = dict[str, object]
SHARD, PIECE = 3000, 60
STEP_SAMPLES = WINDOW // STEPS
FIELDS = ("mel", "vectors", "targets", "weights")
MIDDLES = (5, 10, 14, 19, 24)  # steps at the middle of the teacher's patches of 0.975 s, one each 0.48 s
UNKNOWN = 12.0  # how often an unknown or unlabelled sound is drawn, a label counting 1
SEED = 7


@dataclass(frozen=True)
class Part:
    """One sound of a window: samples float32 (WINDOW,), int8 (STEPS,) when it sounds, its row in the targets' table."""

    samples: np.ndarray
    active: np.ndarray
    kind: int


class Mixer:
    """Draws windows of one, two or three sounds."""

    def __init__(self, stores: list[tuple[Store, Sounds]], keep: Callable[[Row], bool]) -> None:
        self.stores = stores
        self.crops = Crops([sounds for _, sounds in stores], keep, SEED)
        self.names = [name for name in self.crops.names if name != NOISE]
        chances = np.array([UNKNOWN if name == OTHER else 1.0 for name in self.names])
        self.chances = chances / chances.sum()
        unlabelled = self.crops.table.get(("unlabelled", False))
        if unlabelled is not None:  # nothing is known of it, not even that it is unknown: the teacher alone speaks
            self.crops.targets[unlabelled] = self.crops.weights[unlabelled] = 0

    def part(self, rng: Rng) -> Part:
        """Three loud seconds of a recording, faster or slower; a short one in silence."""
        s, i = self.crops.pick(str(rng.choice(self.names, p=self.chances)), rng)
        store, sounds = self.stores[s]
        x, active, level = store[i], sounds.activity[0][i], sounds.level[0][i]
        speed = float(np.exp(rng.uniform(-0.25, 0.25))) if rng.random() < 0.7 else 1.0
        need = int(STEPS * speed)
        start, at = 0, 0
        if len(active) > need:
            for _ in range(5):
                start = int(rng.integers(0, len(active) - need + 1))
                if level[start : start + need].max() > level.max() - 10 or rng.random() < 0.03:
                    break
        piece = stretched(x[start * STEP_SAMPLES : start * STEP_SAMPLES + int(WINDOW * speed) + 2], speed)[:WINDOW]
        steps = len(piece) // STEP_SAMPLES
        if steps < STEPS:
            at = int(rng.integers(0, STEPS - steps + 1))
        out, sounding = np.zeros(WINDOW, np.float32), np.zeros(STEPS, np.int8)
        out[at * STEP_SAMPLES : at * STEP_SAMPLES + len(piece)] = piece[: WINDOW - at * STEP_SAMPLES]
        place = np.minimum(start + (np.arange(steps) * speed).astype(int), len(active) - 1)
        sounding[at : at + steps] = active[place]
        loudest = np.square(out).reshape(STEPS, STEP_SAMPLES).mean(1).max()
        row = sounds.rows[i]
        return Part(
            out / np.sqrt(max(loudest, 1e-9)), sounding, self.crops.table[(str(row["kind"]), bool(row.get("music")))]
        )

    def windows(self, n: int, rng: Rng) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
        """Samples (n, WINDOW), frame targets and weights (n, STEPS, names)."""
        count = rng.choice([1, 2, 3], n, p=[0.4, 0.45, 0.15])
        layers: list[list[Part | None]] = [[self.part(rng) if c > k else None for c in count] for k in range(3)]
        gains = np.where(rng.random((3, n)) < 0.7, rng.uniform(-7, 7, (3, n)), rng.uniform(-20, -6, (3, n)))
        gains[0] = 0
        mix, powers = np.zeros((n, WINDOW), np.float32), []
        for layer, gain in zip(layers, 10 ** (gains / 20), strict=True):
            own = np.stack([np.zeros(WINDOW, np.float32) if p is None else p.samples * g
                            for p, g in zip(layer, gain, strict=True)])  # fmt: skip
            mix += own
            powers.append(torch.from_numpy(np.square(own).reshape(n, FRAMES, HOP).mean(2, keepdims=True)))
        crops = [[None if p is None else p for p in layer] for layer in layers]
        _, targets, weights = self.crops.truth(powers, crops)  # type: ignore[arg-type]
        return mix, targets, weights


class PoolWriter:
    """Writes shards pool/N.npz of SHARD windows each."""

    def __init__(self, folder: Path, stores: list[tuple[Store, Sounds]], keep: Callable[[Row], bool],
                 yamnet: Yamnet) -> None:  # fmt: skip
        self.folder, self.yamnet, self.mel = folder, yamnet, MelPower()
        self.mixer = Mixer(stores, keep)
        self.surroundings = Surroundings(SEED + 3)

    def write(self, shard: int, size: int = SHARD) -> None:
        """Write one shard, unless it is there."""
        index = self.folder / f"{shard}.json"
        if index.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        parts: list[tuple[np.ndarray, ...]] = []
        for piece in range(size // PIECE):
            rng = np.random.default_rng([SEED, 83, shard, piece])
            mix, targets, weights = self.mixer.windows(PIECE, rng)
            heard = self.surroundings(torch.from_numpy(mix), rng)
            with torch.no_grad():
                mel = torch.log10(self.mel(heard) + 1e-9).transpose(1, 2).half().numpy()
            vectors = np.stack([self.yamnet(x)[0][: len(MIDDLES)] for x in heard.numpy()]).astype(np.float16)
            parts.append((mel, vectors, targets.to(torch.uint8).numpy(), weights.to(torch.uint8).numpy()))
        for name, values in zip(FIELDS, zip(*parts, strict=True), strict=True):
            np.save(self.folder / f"{shard}-{name}.npy", np.concatenate(values))
        partial = index.with_suffix(".part")
        partial.write_text(json.dumps({"windows": size, "names": len(NAMES), "bins": BINS, "rate_hz": RATE_HZ}))
        partial.replace(index)


@dataclass(frozen=True)
class Windows:
    """Windows of the pool: log-mels (n, BINS, FRAMES), the teacher's vectors (n, 5, 1024), frame targets and weights
    (n, STEPS, names).
    """

    mel: torch.Tensor
    vectors: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


class Pool:
    """The shards that are there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shards = folder, {}  # type: ignore[var-annotated]
        self.look()

    def look(self) -> None:
        """Take in shards that have been written since the last look."""
        for index in sorted(self.folder.glob("*.json"), key=lambda path: int(path.stem)):
            if index.stem not in self.shards:
                self.shards[index.stem] = [np.load(self.folder / f"{index.stem}-{name}.npy", mmap_mode="r")
                                           for name in FIELDS]  # fmt: skip

    def taught(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All windows' vectors (n, 5, 1024), and their targets and weights as a clip's, (n, names)."""
        parts = []
        for _, vectors, targets, weights in self.shards.values():
            clip = targets.max(1)
            parts.append((np.array(vectors), clip, np.maximum(clip, weights.min(1))))
        vectors, clip, weight = (np.concatenate(values) for values in zip(*parts, strict=True))
        return torch.from_numpy(vectors).float(), torch.from_numpy(clip).float(), torch.from_numpy(weight).float()

    def batch(self, n: int, step: int) -> Windows:
        """The windows of a step: the same step and shards give the same windows, masked as training is."""
        rng = np.random.default_rng([SEED, 85, step])
        shard = list(self.shards.values())[int(rng.integers(len(self.shards)))]
        rows = np.sort(rng.choice(len(shard[0]), n, replace=False))
        mel, vectors, targets, weights = (torch.from_numpy(np.array(field[rows])) for field in shard)
        log = leveled(torch.pow(10.0, mel.float()).transpose(1, 2))
        mask(log, rng)
        return Windows(log, vectors.float(), targets.float(), weights.float())
