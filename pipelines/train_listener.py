"""Train nano's listener from recordings to the shipped file: `python -m pipelines.train_listener --data DATA`.

Stages run in order, and each goes on where it was stopped (Ctrl-C or SIGTERM save first): prepare, pool, base,
distil, groups, final, calibrate. `pipelines.nano.stages` says what they are. DATA holds sounds/ (manifest.jsonl),
and if there are any, esc10/ and speech/recordings/. Needs espeak-ng, fluidsynth and fluid-soundfont-gm for the made
sounds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from avstream.errors import AvstreamError, ConfigError
from pipelines.nano import credits, stages
from pipelines.nano.export_listener import export, trained
from pipelines.sounds.recordings import gather
from pipelines.sounds.vocabulary import LEFT_OUT

REPO = Path(__file__).resolve().parent.parent
BUNDLE = REPO / "avstream" / "models" / "nano" / "listener"
STAGES = ("prepare", "pool", "base", "distil", "groups", "final", "calibrate")
MINUTES = {"base": 62.0, "distil": 135.0, "groups": 6.0, "final": 15.0}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train, calibrate and export nano's listener.")
    parser.add_argument(
        "--data", type=Path, default=REPO.parent / "shared" / "data", help="holds sounds/, esc10/, speech/"
    )
    parser.add_argument(
        "--yamnet", type=Path, help="folder of yamnet.tflite, to be taught by it too (else by labels only)"
    )
    parser.add_argument("--runs", type=Path, default=REPO / "runs" / "listener", help="checkpoints and prepared sounds")
    parser.add_argument("--out", type=Path, default=BUNDLE, help="where listener.onnx and listener.json go")
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=STAGES)
    parser.add_argument("--minutes", nargs="*", default=[], metavar="STAGE=N",
                        help="of one core: " + ", ".join(f"{k}={v:g}" for k, v in MINUTES.items()))  # fmt: skip
    parser.add_argument("--shards", type=int, default=28, help="of 3000 windows each, in the pool; half a minute each")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def minutes(given: list[str]) -> dict[str, float]:
    """Budgets of the stages. ConfigError for one that is none."""
    out = dict(MINUTES)
    for text in given:
        name, _, value = text.partition("=")
        if name not in out or not value.replace(".", "", 1).isdigit():
            raise ConfigError(f"--minutes {text}: expected STAGE=N with a stage of {', '.join(out)}")
        out[name] = float(value)
    return out


def calibrate_and_export(run: stages.Run, out: Path) -> None:
    """Write the shipped listener, and beside the checkpoints those that never heard a group of kinds, for scoring."""
    stages.average(run)
    shipped = trained(run.folder / "shipped.pt")
    export(shipped, stages.above_grounds(shipped, stages.calibrated(run)), out)
    for group in range(LEFT_OUT):
        name = f"group-{group}"
        if (run.folder / f"{name}.pt").exists():
            others = tuple(g for g in range(LEFT_OUT) if g != group)
            export(trained(run.folder / f"{name}.pt"), stages.calibrated(run, name, others), run.folder / name)
    credits.write(gather(run.sounds, run.data / "esc10" if run.data else None), out.parent / "CREDITS.tsv")


def train(options: argparse.Namespace) -> None:
    """The chosen stages."""
    budget = minutes(options.minutes)
    options.runs.mkdir(parents=True, exist_ok=True)
    run = stages.Run(options.runs, options.data / "sounds", options.data, options.yamnet)
    if "prepare" in options.stages:
        for line in stages.prepare(run):
            print(f"train_listener: left out: {line}", file=sys.stderr)
    if "pool" in options.stages and run.yamnet is not None:
        stages.pool(run, options.shards)
    trained_by = {"base": stages.base, "distil": stages.distil, "groups": stages.groups, "final": stages.final}
    for name, learn in trained_by.items():
        if name in options.stages and not learn(run, budget[name]):
            raise SystemExit(f"train_listener: {name} was stopped and saved; the same command goes on with it")
    if "calibrate" in options.stages:
        calibrate_and_export(run, options.out)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    try:
        train(options)
    except AvstreamError as error:
        print(f"train_listener: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
