"""What every timed training shares: a log, and a network with averaged weights, a clock and one checkpoint file."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)
WARM_STEPS = 200


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


class Trainer(Generic[Net]):
    """A network, its averaged weights, its optimizer and its clock; saved and restored as one file.

    The rate goes from `lr[0]` to `lr[1]` within `minutes`. The weights are averaged exponentially with the factor
    `ema`; gradients are cut at the norm `clip`.
    """

    def __init__(
        self,
        network: Net,
        lr: tuple[float, float],
        minutes: float,
        path: Path,
        *,
        ema: float = 0.999,
        clip: float = 5.0,
    ) -> None:
        self.network: Net = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        flat = [p for p in network.parameters() if p.ndim < 2]
        deep = [p for p in network.parameters() if p.ndim >= 2]
        groups = [{"params": deep, "weight_decay": 0.05}, {"params": flat, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr[0], betas=(0.9, 0.98))
        self.lr, self.budget_s, self.path = lr, 60 * minutes, path
        self._ema, self._clip = ema, clip
        self.step, self.elapsed_s, self.stopped = 0, 0.0, False

    def update(self, loss: torch.Tensor) -> None:
        """One step, at a rate that warms up by steps and cools by time from lr[0] to lr[1]."""
        warm = min(1.0, (self.step + 1) / WARM_STEPS)
        cool = 0.5 * (1 + math.cos(math.pi * min(1.0, self.elapsed_s / self.budget_s)))
        for group in self.optimizer.param_groups:
            group["lr"] = warm * (self.lr[1] + (self.lr[0] - self.lr[1]) * cool)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self._clip)
        self.optimizer.step()
        self.step += 1
        keep = min(self._ema, (1 + self.step) / (10 + self.step))
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
