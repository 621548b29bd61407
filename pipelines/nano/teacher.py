"""Teachers of nano's own names on YAMNet's vectors: one hidden layer, trained on the clips, or on the pool's windows.

None of them is shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipelines.nano.listener import NAMES, TEACHER_DIM
from pipelines.sounds.crops import Sounds
from pipelines.sounds.pool import Pool
from pipelines.sounds.truth import targets
from pipelines.sounds.vocabulary import LABELS

STEPS, BATCH = 2000, 128
POOL_STEPS, POOL_BATCH = 4000, 256


class Teacher(nn.Module):
    """Vectors (n, times, 1024) -> logits (n, names) from their mean and maximum over time.

    `unit`: of the square roots of the vectors, each of length one, which rare values count for more in.
    """

    def __init__(self, unit: bool = False) -> None:
        super().__init__()
        self.unit = unit
        self.mean = nn.Buffer(torch.zeros(2 * TEACHER_DIM))
        self.scale = nn.Buffer(torch.ones(2 * TEACHER_DIM))
        self.layers = nn.Sequential(nn.Dropout(0.5), nn.Linear(2 * TEACHER_DIM, 512), nn.ReLU(), nn.Dropout(0.4),
                                    nn.Linear(512, len(NAMES)))  # fmt: skip

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """See the class."""
        if self.unit:
            vectors = nn.functional.normalize(vectors.clamp_min(0).sqrt(), dim=2)
        pooled = torch.cat([vectors.mean(1), vectors.amax(1)], 1)
        return self.layers((pooled - self.mean) / self.scale)


def pooled(stores: list[Sounds], keep: object) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray]:
    """(n, 2, 1024) mean and maximum of each kept clip, targets, weights, and the chance to be drawn."""
    x, kinds = [], []
    for store in stores:
        if store.vectors is None:
            continue
        for i, row in enumerate(store.rows):
            if row["kind"] in LABELS and keep(row):  # type: ignore[operator]
                own = store.vectors[store.offsets[i] : store.offsets[i + 1]].astype(np.float32)
                x.append(np.stack([own.mean(0), own.max(0)]))
                kinds.append(row["kind"])
    pairs = [targets(kind) for kind in kinds]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    chance = np.array([counts[kind] ** -0.8 for kind in kinds])
    return (torch.from_numpy(np.stack(x)), torch.from_numpy(np.stack([t for t, _ in pairs])),
            torch.from_numpy(np.stack([w for _, w in pairs])), chance / chance.sum())  # fmt: skip


def train_teacher(stores: list[Sounds], keep: object, seed: int) -> Teacher:
    """Train it: between-class mixing of vectors, binary cross-entropy. Half a minute."""
    torch.manual_seed(seed)
    rng, teacher = np.random.default_rng([seed, 91]), Teacher()
    x, y, w, chance = pooled(stores, keep)
    flat = x.flatten(1)
    teacher.mean.copy_(flat.mean(0))
    teacher.scale.copy_(flat.std(0) + 0.05)
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=1e-3, weight_decay=0.05)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        a, b = rng.choice(len(x), (2, BATCH), p=chance)
        share = torch.from_numpy(rng.beta(0.4, 0.4, (BATCH, 1))).float()
        share = torch.maximum(share, 1 - share)
        pair = share * flat[a] + (1 - share) * flat[b]
        logits = teacher.layers((pair - teacher.mean) / teacher.scale)
        goal = share * y[a] + (1 - share) * y[b]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, goal, weight=w[a] * w[b], reduction="sum") / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return teacher.eval()


def train_on_pool(pool: Pool, seed: int) -> Teacher:
    """A `unit` teacher of the pool's windows, mixtures as they are. A few minutes."""
    torch.manual_seed(seed)
    rng, teacher = np.random.default_rng([seed, 92]), Teacher(unit=True)
    vectors, y, w = pool.taught()
    roots = nn.functional.normalize(vectors.sqrt(), dim=2)
    x = torch.cat([roots.mean(1), roots.amax(1)], 1)
    teacher.mean.copy_(x.mean(0))
    teacher.scale.copy_(x.std(0) + 0.01)
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=1e-3, weight_decay=0.05)
    for step in range(POOL_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + np.cos(np.pi * step / POOL_STEPS))
        rows = rng.integers(0, len(x), POOL_BATCH)
        logits = teacher.layers((x[rows] - teacher.mean) / teacher.scale)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, y[rows], weight=w[rows], reduction="sum")
        optimizer.zero_grad()
        (loss / POOL_BATCH).backward()
        optimizer.step()
    return teacher.eval()


def load_teacher(path: Path, train: Callable[[], Teacher], unit: bool = False) -> Teacher:
    """A teacher of a run, trained at the first call."""
    if not path.exists():
        torch.save(train().state_dict(), path)
    teacher = Teacher(unit)
    teacher.load_state_dict(torch.load(path, weights_only=True))
    return teacher.eval()
