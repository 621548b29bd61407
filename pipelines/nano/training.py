"""Training the listener: losses, averaged weights, a clock, checkpoints that survive being stopped at any time."""

from __future__ import annotations

import copy
import json
import math
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipelines.nano.listener import Listener
from pipelines.nano.teacher import Teacher
from pipelines.sounds.crops import SEGMENTS, Batch, Crops

EMA, SAVE_S = 0.999, 120.0
SMOOTH = 0.02  # label smoothing
TEACHER_SHARE = 0.3  # of the clip's targets
Report = Callable[[nn.Module], dict[str, object]]


class Log:
    """JSON lines, to a file and to the terminal."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, **fields: object) -> None:
        """Write one line."""
        line = json.dumps(fields)
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


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


class Trainer:
    """A network, its averaged weights, its optimizer and its clock; saved and restored as one file."""

    def __init__(self, network: Listener, lr: tuple[float, float], minutes: float, path: Path) -> None:
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        flat = [p for p in network.parameters() if p.ndim < 2]
        deep = [p for p in network.parameters() if p.ndim >= 2]
        groups = [{"params": deep, "weight_decay": 0.05}, {"params": flat, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr[0], betas=(0.9, 0.98))
        self.lr, self.budget_s, self.path = lr, 60 * minutes, path
        self.step, self.elapsed_s, self.stopped = 0, 0.0, False

    def update(self, loss: torch.Tensor) -> None:
        """One step, at a rate that warms up by steps and cools by time from lr[0] to lr[1]."""
        warm = min(1.0, (self.step + 1) / 200)
        cool = 0.5 * (1 + math.cos(math.pi * min(1.0, self.elapsed_s / self.budget_s)))
        for group in self.optimizer.param_groups:
            group["lr"] = warm * (self.lr[1] + (self.lr[0] - self.lr[1]) * cool)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        keep = min(EMA, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)

    def save(self) -> None:
        """Write the checkpoint complete or not at all."""
        state = {"network": self.network.state_dict(), "average": self.average.state_dict(), "step": self.step,
                 "optimizer": self.optimizer.state_dict(), "elapsed_s": self.elapsed_s}  # fmt: skip
        torch.save(state, self.path.with_suffix(".part"))
        self.path.with_suffix(".part").replace(self.path)

    def restore(self) -> bool:
        """Go on from the checkpoint, if there is one."""
        if not self.path.exists():
            return False
        state = torch.load(self.path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]
        return True

    def start_from(self, path: Path) -> None:
        """Take the averaged weights of another run."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["average"])
        self.average.load_state_dict(state["average"])


def train(trainer: Trainer, teacher: Teacher | None, crops: Crops, size: int, log: Log, report: Report,
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
