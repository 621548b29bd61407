r"""Train the projection from an audio encoder's space into a vision tower's, as SoundCLIP does (arXiv 2506.10416).

    python -m pipelines.make_embeddings --manifest ave2.jsonl --preset llava-1.5-7b --audio whisperclip
    python -m pipelines.train_projection --manifest ave2.jsonl --preset llava-1.5-7b --audio whisperclip \
        --seeds 1 2 3 --out runs/projection/whisperclip
    avstream file movie.mp4 --preset llava-1.5-7b --audio whisperclip \
        --alignment runs/projection/whisperclip/seed-1/projection.safetensors

It needs the vectors only, neither models nor movies. Every default is the paper's; --loss, --pooling and --audio (the
backbone: whisperclip:openai/whisper-tiny ... medium) are its ablations. OUT gets seed-N/ with the weights and a log,
loss.png and a model card. Ctrl-C or SIGTERM saves; the same command with --resume goes on from that very step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from avstream import torch_models
from avstream.config import presets
from avstream.errors import ConfigError, SinkError
from pipelines.data.arguments import add_cache, add_data, audio_name, rows_of, settings_of
from pipelines.data.embeddings import OWN, POOLINGS, pairs, pool, pooling_of, store_name
from pipelines.data.running import Stop, command_line, finish, progress
from pipelines.data.store import Store
from pipelines.evaluation.tables import write_text
from pipelines.projection.card import card, plot_losses
from pipelines.projection.losses import LOSSES
from pipelines.projection.plan import Pairs, Plan, fingerprint
from pipelines.projection.train import STATE, Training, read_log


def parser() -> argparse.ArgumentParser:
    """The options."""
    out = argparse.ArgumentParser(
        "train_projection", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data(out)
    add_cache(out)
    out.add_argument("--preset", default="nano", help="whose vision tower, and audio encoder unless --audio (nano)")
    out.add_argument("--language", metavar="CHECKPOINT", help="a LLaVA whose vision tower is the target")
    out.add_argument("--audio", metavar="ENCODER[:CHECKPOINT]", help="the audio encoder, or the ablations' backbone")
    out.add_argument("--pooling", choices=POOLINGS, help="of a Whisper's layers (default: as the encoder does)")
    out.add_argument("--loss", choices=LOSSES, default="both", help="default: both, the paper's")
    out.add_argument("--epochs", type=int, default=Plan.epochs, help=f"default: {Plan.epochs}")
    out.add_argument("--batch", type=int, default=Plan.batch, help=f"default: {Plan.batch}")
    out.add_argument("--lr", type=float, default=Plan.lr, help=f"default: {Plan.lr:g}")
    out.add_argument("--patience", type=int, default=Plan.patience, help=f"epochs (default: {Plan.patience})")
    out.add_argument("--seeds", type=int, nargs="+", default=[1], metavar="N", help="one training each (default: 1)")
    out.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    out.add_argument("--resume", action="store_true", help="go on where an earlier run of this command stopped")
    out.add_argument("--device", choices=presets.CHOICES["device"], default="auto")
    out.add_argument("--threads", type=int, default=0, help="0: one for each core")
    return out


def load_pairs(args: argparse.Namespace, pooling: str, vision: str, audio: str) -> tuple[Pairs, Pairs]:
    """The vectors of train and valid. Raises SourceError."""
    splits = [rows_of(args, split) for split in ("train", "valid")]
    stores = Store.find(args.cache, "audio", store_name(audio)), Store.find(args.cache, "vision", vision)
    found = []
    for rows in splits:
        sounds, pictures, _ = pairs(rows, args.manifest.parent, *stores)
        found.append(Pairs(pool(sounds, pooling), pictures))
    return found[0], found[1]


def check(args: argparse.Namespace) -> None:
    """Raises ConfigError for options outside their range."""
    if args.epochs < 1 or args.batch < 2 or args.patience < 0:
        raise ConfigError("--epochs must be 1 or more, --batch 2 or more and --patience 0 or more")
    if not 0 < args.lr < 1:
        raise ConfigError(f"--lr must be above 0 and below 1, found {args.lr:g}")
    if len(set(args.seeds)) < len(args.seeds):
        raise ConfigError("--seeds names a seed twice")


def choose_pooling(wanted: str | None, audio: str) -> str:
    """The pooling of an encoder. Raises ConfigError when one is asked of an encoder without layers to choose from."""
    usual = pooling_of(audio)
    if wanted and usual == OWN:
        raise ConfigError(f"--pooling is for whisper and whisperclip: {audio} gives one vector")
    return wanted or usual


def train(args: argparse.Namespace) -> int:
    """Train every seed; gives the exit code. Raises AvstreamError."""
    check(args)
    audio, settings = audio_name(args, args.audio), settings_of(args, args.audio)
    pooling = choose_pooling(args.pooling, audio)
    device = torch_models.choose_device(args.device)
    torch_models.use_threads(args.threads, device)
    splits = load_pairs(args, pooling, settings.language, audio)
    plan = Plan(
        audio, settings.language, pooling, args.loss, args.epochs, args.batch, args.lr, args.patience,
        data=fingerprint(splits),
    )  # fmt: skip
    with Stop() as stop, progress() as bar:
        for seed in args.seeds:
            training = begin(replace(plan, seed=seed), args, splits, device)
            task = bar.add_task(f"seed {seed}", total=args.epochs, completed=training.epoch)
            training.run(stop, lambda epoch, task=task: bar.update(task, completed=epoch))  # type: ignore[misc]
            if stop:
                print("stopped: the same command with --resume goes on")
                return stop.code
    report(plan, args, splits)
    return 0


def begin(plan: Plan, args: argparse.Namespace, splits: tuple[Pairs, Pairs], device: torch.device) -> Training:
    """A training at its beginning, or where it was. Raises ConfigError, ModelError, SinkError."""
    folder = args.out / f"seed-{plan.seed}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"the folder {folder} can't be made: {error}") from error
    training = Training(plan, folder, *splits, device)
    there = (folder / STATE).exists()
    if there and not args.resume:
        raise ConfigError(f"{folder} holds a training: add --resume to go on with it, or choose another --out")
    if there:
        training.resume()
    return training


def report(plan: Plan, args: argparse.Namespace, splits: tuple[Pairs, Pairs]) -> None:
    """Print what came of each seed; write the plot and the card."""
    logs = {seed: read_log(args.out / f"seed-{seed}") for seed in args.seeds}
    for seed, lines in logs.items():
        best = min(lines, key=lambda line: line["valid_rank"])
        found = f"mean rank {best['valid_rank']:.1f}, loss {best['valid_loss']:.4f}"
        print(f"seed {seed}, validation: {found}, in epoch {best['epoch']} of {len(lines)}")
    plot_losses(logs, args.out / "loss.png")
    counts = {"train": len(splits[0]), "valid": len(splits[1]), "above": float(args.above)}
    write_text(args.out / "README.md", card(plan, logs, counts, args.command_line))
    print(f"weights, losses and card: {args.out}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit code."""
    args = parser().parse_args(arguments)
    args.command_line = command_line("train_projection", arguments)
    return finish("train_projection", lambda: train(args))


if __name__ == "__main__":
    sys.exit(main())
