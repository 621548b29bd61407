"""Training the listener: its losses, and the loop until its time is over."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from pipelines.nano.listener import Listener
from pipelines.nano.teacher import Teacher
from pipelines.nano.trainer import Log, Trainer
from pipelines.sounds.crops import SEGMENTS, Batch, Crops
from pipelines.sounds.pool import MIDDLES, Pool, Windows

SAVE_S = 120.0
SMOOTH = 0.02  # label smoothing
TEACHER_SHARE, POOL_SHARE = 0.3, 0.3  # of the clip's targets, in crops and in the pool's windows
VECTORS = 10.0  # weight of the teacher's vectors of the pool's windows
Report = Callable[[nn.Module], dict[str, object]]


def losses(listener: Listener, teacher: Teacher | None, batch: Batch, windows: Windows | None = None
           ) -> dict[str, torch.Tensor]:  # fmt: skip
    """The parts of the loss: clips, frames and the teacher's vectors, of crops and of the pool's windows."""
    n = len(batch.mel)
    with torch.autocast("cpu", torch.bfloat16):
        h = listener.vectors(batch.mel if windows is None else torch.cat([batch.mel, windows.mel]))
    out = of_crops(listener, teacher, batch, h[:n].float())
    if windows is not None and teacher is not None:
        out |= of_windows(listener, teacher, windows, h[n:].float())
    return out


def of_crops(listener: Listener, teacher: Teacher | None, batch: Batch, h: torch.Tensor) -> dict[str, torch.Tensor]:
    """The loss of crops that were mixed as mel power: the teacher heard each sound alone, and as recorded."""
    frames, clip, _ = listener.heads(h)
    targets, weights = smoothed(batch.clip), batch.clip_weight
    if teacher is not None and (batch.alone | batch.mixed).any():
        with torch.no_grad():
            soft = torch.maximum(
                teacher(batch.vectors).sigmoid(), batch.mixed[:, None] * teacher(batch.second).sigmoid()
            )
        share = TEACHER_SHARE * (batch.alone | batch.mixed)[:, None]
        targets, weights = shared(targets, weights, soft, share)
    n = len(clip)
    out = {
        "clip": bce(clip, targets, weights) / n,
        "frames": 0.5 * bce(frames, batch.frames * (1 - SMOOTH), batch.frames_weight) / n / frames.shape[1],
    }
    if batch.alone.any():
        out["vectors"] = 2.0 * unlike(listener, h[batch.alone], SEGMENTS, batch.vectors[batch.alone])
    return out


def of_windows(listener: Listener, teacher: Teacher, windows: Windows, h: torch.Tensor) -> dict[str, torch.Tensor]:
    """The loss of windows that the teacher heard as they are."""
    frames, clip, _ = listener.heads(h)
    true = windows.targets.amax(1)
    with torch.no_grad():
        soft = teacher(windows.vectors).sigmoid()
    share = torch.full((len(clip), 1), POOL_SHARE)
    targets, weights = shared(smoothed(true), torch.maximum(true, windows.weights.amin(1)), soft, share)
    n = len(clip)
    return {
        "pool_clip": bce(clip, targets, weights) / n,
        "pool_frames": 0.5 * bce(frames, windows.targets * (1 - SMOOTH), windows.weights) / n / frames.shape[1],
        "pool_vectors": VECTORS * unlike(listener, h, MIDDLES, windows.vectors),
    }


def smoothed(targets: torch.Tensor) -> torch.Tensor:
    """Targets a little less sure."""
    return targets * (1 - SMOOTH) + SMOOTH / 10


def shared(targets: torch.Tensor, weights: torch.Tensor, soft: torch.Tensor, share: torch.Tensor
           ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Targets and weights with the teacher's `share`; where nothing is known the teacher alone counts, by its share."""
    known = weights > 0
    return torch.where(known, (1 - share) * targets + share * soft, soft), torch.where(
        known, weights, share.expand_as(weights)
    )


def unlike(listener: Listener, h: torch.Tensor, middles: Sequence[int], vectors: torch.Tensor) -> torch.Tensor:
    """How far the guessed vectors of a second about each of these steps are from the teacher's: 1 - cosine."""
    parts = torch.stack([h[:, :, s - 5 : s + 5].mean(2) for s in middles], 1)
    return (1 - nn.functional.cosine_similarity(listener.guess(parts), vectors.sqrt(), dim=2)).mean()


def bce(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted binary cross-entropy, summed."""
    return nn.functional.binary_cross_entropy_with_logits(logits, targets, weight=weights, reduction="sum")


def train(trainer: Trainer[Listener], teacher: Teacher | None, crops: Crops, size: int, log: Log, report: Report,
          pool: Pool | None = None, check_s: float = 300.0) -> None:  # fmt: skip
    """Train until the time is over or the process is asked to stop; a check each few minutes is written to the log.

    A batch of `size` is of crops, or half of crops and half of the pool's windows.
    """

    def stop(*_: object) -> None:
        trainer.stopped = True

    before = signal.signal(signal.SIGTERM, stop)
    last_save = last_check = time.monotonic()
    parts: dict[str, list[float]] = {}
    try:
        while trainer.elapsed_s < trainer.budget_s and not trainer.stopped:
            began = time.monotonic()
            batch = crops.batch(size if pool is None else size // 2, trainer.step)
            windows = None if pool is None else pool.batch(size // 2, trainer.step)
            trainer.network.train()
            each = losses(trainer.network, teacher, batch, windows)
            trainer.update(torch.stack(list(each.values())).sum())
            for name, value in each.items():
                parts.setdefault(name, []).append(value.item())
            now = time.monotonic()
            trainer.elapsed_s += now - began
            if trainer.step % 100 == 0:
                log(stage=trainer.path.stem, step=trainer.step, minutes=round(trainer.elapsed_s / 60, 2),
                    **{name: round(float(np.mean(values)), 4) for name, values in parts.items()})  # fmt: skip
                parts.clear()
                for store in crops.stores:
                    store.look()
                if pool is not None:
                    pool.look()
            if now - last_save > SAVE_S:
                trainer.save()
                last_save = now
            if now - last_check > check_s:
                log(stage=trainer.path.stem, step=trainer.step, minutes=round(trainer.elapsed_s / 60, 2),
                    **report(trainer.average))  # fmt: skip
                last_check = time.monotonic()
    finally:
        signal.signal(signal.SIGTERM, before)
        trainer.save()
    log(stage=trainer.path.stem, step=trainer.step, done=not trainer.stopped, **report(trainer.average))
