"""Train and export nano's Whisper-shaped encoder, whose vector takes CLS's place: `python -m pipelines.train_encoder`.

First a convolutional teacher learns from the labels, then the Whisper-shaped student learns from labels and teacher.
Both stop on a time budget; checkpoints make every stage resumable (`--resume`). Batches are fixed by seed and step;
how many steps fit the budget is the machine's affair.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from avstream.errors import AvstreamError, ModelError
from pipelines.nano.encoder import LogMel, Student, Teacher
from pipelines.nano.export_encoder import export
from pipelines.nano.labels import LABELS
from pipelines.nano.score_encoder import validation_report
from pipelines.nano.trainer import Log, Trainer
from pipelines.sounds.augment import masked
from pipelines.sounds.batches import Batch, Sampler
from pipelines.sounds.corpus import REPO, load_corpus

EMA, CLIP = 0.998, 1.0
COOLED = 0.01  # the last rate of the first
SAVE_S = 120.0
CHECK_S = 240.0
Check = Callable[[nn.Module], dict[str, object]]


def label_loss(logits: torch.Tensor, batch: Batch, soft: torch.Tensor | None) -> torch.Tensor:
    """Binary cross-entropy a label, summed; with a teacher its probabilities count for a third."""
    targets, weights = batch.targets, batch.weights
    if soft is not None:
        targets = torch.where(weights > 0, 0.7 * targets + 0.3 * soft, soft)
        weights = torch.ones_like(weights)
    each = nn.functional.binary_cross_entropy_with_logits(logits, targets, weight=weights, reduction="none")
    return each.sum(1).mean()


def hint_loss(guess: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """How far the student's guess points from the teacher's vector."""
    return (1 - nn.functional.cosine_similarity(guess, vector, dim=1)).mean()


class Batches(Dataset[tuple[torch.Tensor, Batch, torch.Tensor | None, torch.Tensor | None]]):
    """The batch of each step, with the teacher's probabilities and vector: made beside the training, in a worker."""

    def __init__(self, sampler: Sampler, size: int, teacher: nn.Module | None, first_step: int) -> None:
        self.sampler, self.size, self.teacher, self.first_step = sampler, size, teacher, first_step
        self.mel = LogMel()

    def __len__(self) -> int:
        return 10_000_000

    @torch.no_grad()
    def __getitem__(self, item: int) -> tuple[torch.Tensor, Batch, torch.Tensor | None, torch.Tensor | None]:
        """Features (n, 80, 300) after masking, the batch, soft targets (n, 21), teacher's vectors (n, 256)."""
        step = self.first_step + item
        offset = 0 if self.teacher is None else 1_000_000  # the student sees other batches than the teacher did
        batch = self.sampler.batch(self.size, offset + step)
        features = masked(self.mel(batch.sounds), np.random.default_rng([self.sampler.seed, 41, step]))
        if self.teacher is None:
            return features, batch, None, None
        with torch.autocast("cpu", torch.bfloat16):
            logits, vector = self.teacher(features)
        return features, batch, logits.float().sigmoid(), vector.float()


def trainer_of(network: nn.Module, lr: float, minutes: float, path: Path) -> Trainer[nn.Module]:
    """A trainer as both stages use it."""
    return Trainer(network, (lr, COOLED * lr), minutes, path, ema=EMA, clip=CLIP)


def train(
    trainer: Trainer[nn.Module], teacher: nn.Module | None, sampler: Sampler, size: int, log: Log, check: Check
) -> None:
    """Train until the time is over or the process is asked to stop."""
    name, last_save, last_check, losses = trainer.path.stem, time.monotonic(), time.monotonic(), []
    batches = Batches(sampler, size, teacher, trainer.step)
    loader = iter(DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=4))
    while trainer.elapsed_s < trainer.budget_s and not trainer.stopped:
        began = time.monotonic()
        features, batch, soft, vector = next(loader)
        made = time.monotonic()
        trainer.network.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits, guess = trainer.network(features)
        loss = label_loss(logits.float(), batch, soft)
        if vector is not None:
            loss = loss + hint_loss(guess.float(), vector)
        trainer.update(loss)
        losses.append(loss.item())
        now = time.monotonic()
        trainer.elapsed_s += now - began
        if trainer.step % 50 == 0:
            log(stage=name, step=trainer.step, minutes=round(trainer.elapsed_s / 60, 2), loss=round(np.mean(losses), 4),
                ms=round(1000 * (now - began)), data_ms=round(1000 * (made - began)))  # fmt: skip
            losses.clear()
        if now - last_save > SAVE_S:
            trainer.save()
            last_save = now
        if now - last_check > CHECK_S:
            log(stage=name, step=trainer.step, **check(trainer.average))
            last_check = time.monotonic()
    trainer.save()


def run(options: argparse.Namespace) -> None:
    """All the stages that were asked for, one after another."""
    options.out.mkdir(parents=True, exist_ok=True)
    log = Log(options.out / "train.jsonl")
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("medium")
    if not options.skip_training:
        clips, rows = load_corpus(options.corpus, ("train",))
        sampler = Sampler(clips, rows, options.seed)
        held = load_corpus(options.corpus, ("valid",))
        log(stage="start", clips=len(rows), held_out=len(held[1]), seed=options.seed)
        first = trainer_of(Teacher(), 3e-3, options.teacher_minutes, options.out / "teacher.pt")
        second = trainer_of(Student(), 1.2e-3, options.minutes, options.out / "student.pt")
        if options.resume:
            first.restore()
            second.restore()

        def stop(*_: object) -> None:
            first.stopped = second.stopped = True

        signal.signal(signal.SIGTERM, stop)
        train(first, None, sampler, options.batch, log, lambda net: validation_report(net, *held))
        if not first.stopped:
            train(second, first.average, sampler, options.batch, log, lambda net: validation_report(net, *held))
    if options.export:
        export(options.out / "student.pt", options.bundle)
        log(stage="export", bundle=str(options.bundle))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=f"Train the encoder on {len(LABELS)} labels.")
    parser.add_argument("--corpus", type=Path, default=REPO / "runs" / "corpus")
    parser.add_argument("--out", type=Path, default=REPO / "runs" / "listener", help="checkpoints, log, scores")
    parser.add_argument("--bundle", type=Path, default=REPO / "avstream" / "models" / "nano")
    parser.add_argument("--teacher-minutes", type=float, default=12)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--skip-training", action="store_true", help="only export what there is")
    parser.add_argument("--export", action="store_true")
    options = parser.parse_args()
    try:
        if options.minutes <= 0 or options.teacher_minutes <= 0:
            raise ModelError("--minutes and --teacher-minutes must be above 0")
        run(options)
    except AvstreamError as error:
        print(f"train_encoder: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
