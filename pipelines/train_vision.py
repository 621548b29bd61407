"""Nano's vision tower: a small CLIP, trained on drawn scenes whose truth is known. It never sees a real picture.

Each label has a direction in the tower's space. A scene's CLS token learns to point to the labels that are in it,
and each patch to the label that it shows, so that a vector of that space finds its patches by cosine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import CLIPVisionConfig, CLIPVisionModel

from pipelines.nano.labels import LABELS
from pipelines.scenes.compose import DRAWN, compose

SIZE_PX, PATCH_PX, WIDTH = 160, 16, 192
SIDE = SIZE_PX // PATCH_PX
MEAN = STD = (0.5, 0.5, 0.5)
CONFIG = CLIPVisionConfig(
    hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=4, num_attention_heads=4,
    image_size=SIZE_PX, patch_size=PATCH_PX, projection_dim=WIDTH,
)  # fmt: skip
HELD_OUT = range(48, 60)  # drawings that training never sees
BATCH, PEAK_LR, WARM_UP = 32, 1e-3, 100
SAVE_S = 120
Scene = tuple[Tensor, Tensor, Tensor]


class Scenes(IterableDataset[Scene]):
    """Endless scenes: pixels (3, 160, 160), labels present (L,) and the label of each patch (N,), L for none."""

    def __init__(self, seed: int, drawings: range = DRAWN) -> None:
        self._seed, self._drawings = seed, drawings

    def __iter__(self) -> Iterator[Scene]:
        """Draw on; each worker has a seed of its own."""
        worker = get_worker_info()
        rng = np.random.default_rng([self._seed, worker.id if worker else 0])
        while True:
            yield scene(rng, self._drawings)


def scene(rng: np.random.Generator, drawings: range = DRAWN) -> Scene:
    """One scene of one to three things."""
    chosen = rng.choice(len(LABELS), size=int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2])), replace=False)
    rgb, boxes = compose([LABELS[i] for i in chosen], SIZE_PX, SIZE_PX, rng, drawings=drawings)
    present = torch.zeros(len(LABELS))
    patches = torch.full((SIDE, SIDE), len(LABELS))
    for label, (left, top, right, bottom) in zip(chosen, boxes, strict=True):
        present[label] = 1
        rows = slice(round(top * SIDE), max(round(top * SIDE) + 1, round(bottom * SIDE)))
        columns = slice(round(left * SIDE), max(round(left * SIDE) + 1, round(right * SIDE)))
        patches[rows, columns] = int(label)
    return normalized(rgb), present, patches.flatten()


def normalized(rgb: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) -> float32 (3, H, W), as the bundle's image processor does."""
    return (torch.from_numpy(rgb).permute(2, 0, 1).float() / 255 - 0.5) / 0.5


class Probe(nn.Module):
    """The labels' directions, and what turns a cosine into a logit. Used in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(len(LABELS), WIDTH))
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.present_bias = nn.Parameter(torch.tensor(-4.0))
        self.nothing = nn.Parameter(torch.tensor(2.0))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1 + N, d) -> logits of presence (B, L) and of each patch, the last one for nothing (B, N, L + 1)."""
        logits = normalize(tokens, dim=-1) @ normalize(self.directions, dim=-1).T * self.scale
        nothing = self.nothing.expand(*logits.shape[:2], 1)
        return logits[:, 0] + self.present_bias, torch.cat([logits, nothing], dim=-1)[:, 1:]


def losses(tower: CLIPVisionModel, probe: Probe, batch: Scene) -> tuple[Tensor, Tensor]:
    """The loss of CLS and of the patches."""
    pixels, present, patches = batch
    with torch.autocast("cpu", torch.bfloat16):
        tokens = tower(pixels).last_hidden_state
    cls_logits, patch_logits = probe(tokens.float())
    return (
        binary_cross_entropy_with_logits(cls_logits, present) * len(LABELS) / 4,
        cross_entropy(patch_logits.flatten(0, 1), patches.flatten()),
    )


@torch.inference_mode()
def evaluate(tower: CLIPVisionModel, probe: Probe, scenes: int = 200) -> dict[str, float]:
    """On held-out drawings: how often the best label of CLS is in the scene, and of a thing's patches is right."""
    rng = np.random.default_rng(99)
    batch = [torch.stack(part) for part in zip(*(scene(rng, HELD_OUT) for _ in range(scenes)), strict=True)]
    cls_logits, patch_logits = probe(tower.eval()(batch[0]).last_hidden_state)
    tower.train()
    on_thing = batch[2] < len(LABELS)
    right = patch_logits[..., :-1].argmax(-1) == batch[2]
    return {
        "cls_top1": float(batch[1].gather(1, cls_logits.argmax(1, keepdim=True)).mean()),
        "patch_top1": float(right[on_thing].float().mean()),
    }


def train(out: Path, minutes: float, seed: int, resume: bool) -> None:
    """Train for a while; `out` gets last.pt every two minutes, log.jsonl, and tower/ at the end."""
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    tower, probe = CLIPVisionModel(CONFIG).train(), Probe()
    parameters = [*tower.parameters(), *probe.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_LR, weight_decay=0.02)
    average = torch.optim.swa_utils.AveragedModel(tower, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    step, spent_s = 0, 0.0
    if resume and (out / "last.pt").is_file():
        state = torch.load(out / "last.pt", weights_only=True)
        tower.load_state_dict(state["tower"]), probe.load_state_dict(state["probe"])
        average.load_state_dict(state["average"]), optimizer.load_state_dict(state["optimizer"])
        step, spent_s = state["step"], state["spent_s"]
    began, saved = time.monotonic() - spent_s, time.monotonic()
    loader = iter(DataLoader(Scenes(seed + step), batch_size=BATCH, num_workers=1, prefetch_factor=4))
    while (done := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LR * min(1, (step + 1) / WARM_UP) * max(0.02, 0.5 + 0.5 * np.cos(np.pi * done))
        cls_loss, patch_loss = losses(tower, probe, next(loader))
        optimizer.zero_grad()
        (cls_loss + patch_loss).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update_parameters(tower)
        step += 1
        if time.monotonic() - saved > SAVE_S:
            saved = time.monotonic()
            scores = evaluate(average.module, probe)
            line = {"step": step, "minutes": (saved - began) / 60, "cls": cls_loss.item(), "patch": patch_loss.item()}
            log(out, {**line, **scores})
            state = {"tower": tower, "probe": probe, "average": average, "optimizer": optimizer}
            torch.save(
                {key: value.state_dict() for key, value in state.items()} | {"step": step, "spent_s": saved - began},
                out / "last.pt",
            )
    averaged: CLIPVisionModel = average.module.eval()
    averaged.save_pretrained(out / "tower")
    log(out, {"step": step, "final": True, **evaluate(averaged, probe, 600)})


def log(out: Path, line: Mapping[str, object]) -> None:
    """One JSON line to the log and the screen."""
    print(json.dumps(line), flush=True)
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/nano/vision"))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from last.pt")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    train(args.out, args.minutes, args.seed, args.resume)


if __name__ == "__main__":
    main()
