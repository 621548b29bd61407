"""Training the listener: its losses, and the loop until its time is over."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from pipelines.nano.listener import Listener
from pipelines.nano.teacher import Teacher
from pipelines.nano.trainer import Log, Trainer
from pipelines.sounds.crops import SEGMENTS, Batch, Crops

SAVE_S = 120.0
SMOOTH = 0.02  # label smoothing
TEACHER_SHARE = 0.3  # of the clip's targets
Report = Callable[[nn.Module], dict[str, object]]


def losses(listener: Listener, teacher: Teacher | None, batch: Batch) -> dict[str, torch.Tensor]:
    """The parts of the loss: clips, frames, the teacher's vectors."""
    with torch.autocast("cpu", torch.bfloat16):
        h = listener.vectors(batch.mel)
    h = h.float()
    frames, clip, _ = listener.heads(h)
    targets, weights = batch.clip * (1 - SMOOTH) + SMOOTH / 10, batch.clip_weight
    if teacher is not None and (batch.alone | batch.mixed).any():
        with torch.no_grad():
            soft = torch.maximum(
                teacher(batch.vectors).sigmoid(), batch.mixed[:, None] * teacher(batch.second).sigmoid()
            )
        share = TEACHER_SHARE * (batch.alone | batch.mixed)[:, None]
        known = weights > 0
        targets = torch.where(known, (1 - share) * targets + share * soft, soft)
        weights = torch.where(known, weights, share.expand_as(weights))
    n = len(clip)
    out = {
        "clip": bce(clip, targets, weights) / n,
        "frames": 0.5 * bce(frames, batch.frames * (1 - SMOOTH), batch.frames_weight) / n / frames.shape[1],
    }
    if batch.alone.any():
        parts = torch.stack([h[batch.alone][:, :, s - 5 : s + 5].mean(2) for s in SEGMENTS], 1)
        wanted = batch.vectors[batch.alone].sqrt()
        out["vectors"] = 2.0 * (1 - nn.functional.cosine_similarity(listener.guess(parts), wanted, dim=2)).mean()
    return out


def bce(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted binary cross-entropy, summed."""
    return nn.functional.binary_cross_entropy_with_logits(logits, targets, weight=weights, reduction="sum")


def train(trainer: Trainer[Listener], teacher: Teacher | None, crops: Crops, size: int, log: Log, report: Report,
          check_s: float = 300.0) -> None:  # fmt: skip
    """Train until the time is over or the process is asked to stop; a check each few minutes is written to the log."""

    def stop(*_: object) -> None:
        trainer.stopped = True

    before = signal.signal(signal.SIGTERM, stop)
    last_save = last_check = time.monotonic()
    parts: dict[str, list[float]] = {}
    try:
        while trainer.elapsed_s < trainer.budget_s and not trainer.stopped:
            began = time.monotonic()
            batch = crops.batch(size, trainer.step)
            trainer.network.train()
            each = losses(trainer.network, teacher, batch)
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
