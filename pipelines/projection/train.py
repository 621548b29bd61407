"""The training of one seed: Adam, a rate that falls when validation stalls, the best epoch kept; resumable at a step.

In its folder: last.pt (all that is needed to go on), log.jsonl (a line an epoch), and projection.safetensors (the
best epoch so far, which is what `--alignment` takes). The best is the one with the lowest mean rank of the true match
among the validation pairs, both ways: with few pairs a contrastive loss grows again, from sureness alone, while more
and more matches are found; and ranks compare losses of different kinds.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avstream.errors import ConfigError, ModelError, SinkError
from pipelines.data.running import Stop
from pipelines.evaluation.retrieval import POOL, ranks
from pipelines.projection.losses import LOSSES
from pipelines.projection.model import LAYERS, NOTES, Projector
from pipelines.projection.plan import Pairs, Plan

FACTOR = 0.1
SAVE_S = 60.0
WEIGHTS, STATE, LOG = "projection.safetensors", "last.pt", "log.jsonl"


class Training:
    """One seed's training. `run` goes on until it is done or stopped."""

    def __init__(self, plan: Plan, folder: Path, train: Pairs, valid: Pairs, device: torch.device) -> None:
        """Prepare to begin anew. Raises ConfigError for splits that are too small."""
        if len(train) < 2 or len(valid) < 2:
            raise ConfigError(
                f"a contrastive loss needs 2 pairs or more in train and in valid, found {len(train)} and {len(valid)}"
            )
        self.plan, self.folder, self._device = plan, folder, device
        self._train, self._valid = train, valid
        self._loss = LOSSES[plan.loss]
        torch.manual_seed(plan.seed)
        layers = train.sounds.shape[1] if plan.pooling == "weighted" else 0
        self.model = Projector(train.sounds.shape[-1], train.pictures.shape[-1], layers).to(device).train()
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=plan.lr)
        self._schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self._optimizer, factor=FACTOR, patience=plan.patience
        )
        self.epoch, self.step, self._total, self.best, self.spent_s = 0, 0, 0.0, math.inf, 0.0
        self._random = torch.get_rng_state()  # for dropout, whatever else draws before `run`

    @property
    def done(self) -> bool:
        """Whether every epoch has been."""
        return self.epoch >= self.plan.epochs

    @property
    def steps(self) -> int:
        """Batches in an epoch; a last one that is not full is left out."""
        return max(1, len(self._train) // self.plan.batch)

    def run(self, stop: Stop, progress: Callable[[int], None]) -> None:
        """Train. `progress` hears the number of epochs that are done. Raises ModelError when a loss is not finite."""
        saved = time.monotonic()
        torch.set_rng_state(self._random)
        while not self.done:
            order = self._order()
            while self.step < self.steps:
                began = time.monotonic()
                rows = order[self.step * self.plan.batch : (self.step + 1) * self.plan.batch]
                self._total += self._descend(rows)
                self.step += 1
                self.spent_s += time.monotonic() - began
                if stop:
                    return self.save()
                if time.monotonic() - saved > SAVE_S:
                    self.save()
                    saved = time.monotonic()
            self._end_epoch()
            progress(self.epoch)
        return None

    def _order(self) -> Tensor:
        """The epoch's order of the pairs: its own, so that it is the same after an interruption."""
        generator = torch.Generator().manual_seed(self.plan.seed * 100_003 + self.epoch)
        return torch.randperm(len(self._train), generator=generator)

    def _descend(self, rows: Tensor) -> float:
        f = self.model(self._train.sounds[rows].to(self._device))
        loss = self._loss(f, self._train.pictures[rows].to(self._device))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the loss became {value} in epoch {self.epoch + 1}, step {self.step + 1} (seed {self.plan.seed}): "
                f"try a lower --lr than {self.plan.lr:g}; the last good epoch's weights are in {self.folder}"
            )
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return value

    @torch.inference_mode()
    def validate(self) -> tuple[float, float]:
        """The mean loss over the validation pairs, in batches as in training; and the mean rank, both ways, of the
        true match among up to 500 of them.
        """
        self.model.eval()
        size = min(self.plan.batch, len(self._valid))
        starts = range(0, len(self._valid) - size + 1, size)
        losses = [
            float(self._loss(self.model(self._valid.sounds[i : i + size].to(self._device)),
                             self._valid.pictures[i : i + size].to(self._device)))
            for i in starts
        ]  # fmt: skip
        sounds, pictures = self._valid.sounds[:POOL], self._valid.pictures[:POOL]
        f = self.model(sounds.to(self._device)).cpu()
        self.model.train()
        rank = float(ranks(f, pictures).mean() + ranks(pictures, f).mean()) / 2
        return sum(losses) / len(losses), rank

    def _end_epoch(self) -> None:
        valid, rank = self.validate()
        if not math.isfinite(valid):
            raise ModelError(f"the validation loss became {valid} in epoch {self.epoch + 1}: try a lower --lr")
        rate = self._optimizer.param_groups[0]["lr"]
        self._schedule.step(valid)
        line = {
            "epoch": self.epoch + 1, "train_loss": round(self._total / self.steps, 6), "valid_loss": round(valid, 6),
            "valid_rank": round(rank, 4), "lr": rate, "seconds": round(self.spent_s, 3), "best": rank < self.best,
        }  # fmt: skip
        self.epoch, self.step, self._total = self.epoch + 1, 0, 0.0
        try:
            if rank < self.best:
                self.best = rank
                self.export()
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise SinkError(f"the training can't be written to {self.folder}: {error}") from error
        self.save()

    def export(self) -> None:
        """Write the weights as the program takes them."""
        notes = {name: str(getattr(self.plan, name)) for name in NOTES}
        if self.model.layer_logits is not None:
            notes[LAYERS] = " ".join(f"{weight:.6f}" for weight in self.model.layer_logits.softmax(0).tolist())
        partial = self.folder / f".{WEIGHTS}.part"
        self.model.mlp.save(partial, notes)
        partial.replace(self.folder / WEIGHTS)

    def save(self) -> None:
        """Write all that is needed to go on from this very step. Raises SinkError."""
        state = {
            "plan": asdict(self.plan), "epoch": self.epoch, "step": self.step, "total": self._total, "best": self.best,
            "spent_s": self.spent_s, "model": self.model.state_dict(), "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(), "random": torch.get_rng_state(),
        }  # fmt: skip
        if self._device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self._device)
        partial = self.folder / f".{STATE}.part"
        try:
            torch.save(state, partial)
            partial.replace(self.folder / STATE)
        except (OSError, RuntimeError) as error:
            raise SinkError(f"the training can't be saved in {self.folder}: {error}") from error

    def resume(self) -> None:
        """Go on from last.pt. Raises ModelError for a file that is none, ConfigError for one of another plan."""
        path = self.folder / STATE
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
            before = state["plan"]
        except Exception as error:  # torch raises many kinds for bytes that are none of its own
            reason = " ".join(str(error).split())[:120]
            raise ModelError(f"{path} is no saved training of this command: {reason}; choose another --out") from error
        now = asdict(self.plan)
        if differing := [name for name in now if before.get(name) != now[name]]:
            words = ", ".join(f"{name} {before.get(name)!r}, not {now[name]!r}" for name in differing)
            raise ConfigError(f"{path} was trained with {words}: give the same options, or choose another --out")
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.epoch, self.step, self._total = state["epoch"], state["step"], state["total"]
        self.best, self.spent_s = state["best"], state["spent_s"]
        self._random = state["random"]
        if "random_cuda" in state and self._device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"], self._device)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a training's log, one an epoch; a repeated epoch counts by its last line."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    return list({line["epoch"]: line for line in map(json.loads, lines)}.values())
