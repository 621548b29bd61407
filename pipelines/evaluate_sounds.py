"""Which class is a sound of? CLAP by words, encoders with a linear probe, the listener, and a model that is shown the
spectrogram: accuracy with intervals, confusion matrices, and the vectors as a map to look around in.

    python -m pipelines.evaluate_sounds ESC-50 --esc10 --clap --probe whisperclip --listener
    python -m pipelines.evaluate_sounds FOLDER --probe whisperclip:nano --test-folds 4     FOLDER/CLASS/*.wav
    python -m pipelines.evaluate_sounds FOLDER --vlm tiny-llava --shots 1 --limit 10
    AVSTREAM_VLM_KEY=... python -m pipelines.evaluate_sounds FOLDER --vlm https://host/v1 --vlm-model NAME

Each fold is answered by a probe that was trained on the others; clips of one recording share a fold. nano's encoder
and listener were trained on ESC-10's folds 1 to 3: only the others say anything of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avstream.config import families, presets
from avstream.errors import ConfigError
from pipelines.classification import maps
from pipelines.classification.clips import Clip, read_clips
from pipelines.data.running import Stop, finish, progress
from pipelines.evaluation.tables import write_json, write_text

if TYPE_CHECKING:
    from pipelines.classification.methods import Answers

CLAP = families.FAMILIES["clap"].checkpoint
Method = Callable[[Callable[[], None]], "Answers"]


def parser() -> argparse.ArgumentParser:
    """The options."""
    out = argparse.ArgumentParser(
        "evaluate_sounds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("data", type=Path, metavar="FOLDER", help="ESC-50 as published, or FOLDER/CLASS/*")
    out.add_argument("--esc10", action="store_true", help="only the ten classes of ESC-10, of ESC-50")
    out.add_argument("--limit", type=int, metavar="N", help="at most N clips a class")
    out.add_argument(
        "--test-folds", type=int, nargs="+", metavar="FOLD", help="answer these only; probes learn the rest"
    )
    group = out.add_argument_group("methods, one or more")
    group.add_argument(
        "--clap", nargs="?", const=CLAP, metavar="CHECKPOINT", help=f"zero-shot by words (default: {CLAP})"
    )
    group.add_argument("--probe", nargs="+", default=[], metavar="ENCODER", help="see `avstream presets --encoders`")
    group.add_argument("--listener", nargs="*", metavar="NAME", help="see docs/listeners.md (default: nano)")
    group.add_argument(
        "--vlm", metavar="PRESET|URL", help="shown the spectrogram: a LLaVA preset, or an endpoint's base"
    )
    group.add_argument("--vlm-model", metavar="NAME", help="the endpoint's model")
    group.add_argument("--shots", type=int, default=0, metavar="N", help="examples a class on the sheet (default: 0)")
    out.add_argument("--map", choices=maps.KINDS, default="tsne", help="how vectors are laid out (default: tsne)")
    out.add_argument("--seed", type=int, default=0, help="of the map and of the examples")
    out.add_argument("--out", type=Path, default=Path("runs/sounds"), metavar="DIR", help="default: runs/sounds")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the methods, print the table, write the rest. The exit code."""
    args = parser().parse_args(arguments)
    if args.listener == []:
        args.listener = ["nano"]
    return finish("evaluate_sounds", lambda: evaluate(args))


def evaluate(args: argparse.Namespace) -> int:
    """Every method in turn. What was done before an interruption is kept."""
    if not (args.clap or args.probe or args.listener or args.vlm):
        raise ConfigError("nothing to evaluate: give --clap, --probe ENCODER, --listener or --vlm PRESET")
    if args.shots < 0 or (args.limit is not None and args.limit < 1):
        raise ConfigError("--shots must be 0 or more, and --limit 1 or more")
    everything = read_clips(args.data, esc10=args.esc10, limit=args.limit)
    check_encoders(args)
    from pipelines.classification.methods import readable
    from pipelines.classification.scores import table

    pool, problems = readable(everything)
    clips = [clip for clip in pool if not args.test_folds or clip.fold in args.test_folds]
    if not clips:
        folds = ", ".join(map(str, sorted({clip.fold for clip in pool})))
        raise ConfigError(f"no clip is in the folds that were asked for; there are {folds}")
    labels = sorted({clip.label for clip in pool})
    for problem in problems:
        print(f"evaluate_sounds: left out: {problem}", file=sys.stderr)
    entries: list[dict[str, Any]] = []
    with Stop() as stop:
        for asked, method in methods(args, pool, clips, labels, stop):
            with progress() as bar:
                task = bar.add_task("clips", total=len(asked))
                answers = method(partial(bar.advance, task))
            if stop:
                break
            entries.append(keep(answers, asked, clips, labels, args))
            write_json(args.out / "sounds.json", {"labels": labels, "problems": problems, "methods": entries})
            write_text(args.out / "sounds.md", table(entries))
    if entries:
        print(table(entries), end="")
        print(f"in {args.out}")
    return stop.code


def check_encoders(args: argparse.Namespace) -> None:
    """Say what must be said of the weights. Raises ConfigError for an encoder that is not known."""
    for name in args.probe:
        presets.load("nano", audio=name, alignment="raw")
        if notice := families.notice(name):
            print(f"evaluate_sounds: {notice}", file=sys.stderr)
    if args.vlm and "://" in args.vlm and not args.vlm_model:
        raise ConfigError("--vlm URL needs --vlm-model NAME, the model that the endpoint shall use")


def methods(
    args: argparse.Namespace, pool: list[Clip], clips: list[Clip], labels: list[str], stop: Stop
) -> list[tuple[list[Clip], Method]]:
    """What to run, with the clips that it goes through."""
    from pipelines.classification.methods import ZeroShotClap, listener, probe

    out: list[tuple[list[Clip], Method]] = []
    if args.clap:
        out.append((clips, lambda tick: ZeroShotClap(args.clap).answer(clips, labels, tick)))
    for name in args.probe:
        out.append((pool, partial(probe, name, pool, args.test_folds)))
    for name in args.listener or []:
        out.append((clips, partial(listener, name, clips, labels)))
    if args.vlm:
        out.append((clips, lambda tick: shown(args, pool, clips, labels, stop, tick)))
    return out


def shown(
    args: argparse.Namespace, pool: list[Clip], clips: list[Clip], labels: list[str], stop: Stop,
    tick: Callable[[], None],
) -> Answers:  # fmt: skip
    """A vision-language model's answers about spectrograms."""
    from pipelines.classification.vision import LocalViewer, RemoteViewer, look

    remote = "://" in args.vlm
    viewer = RemoteViewer(args.vlm, args.vlm_model) if remote else LocalViewer(args.vlm)
    name = args.vlm_model if remote else args.vlm
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / f"answers-{file_name(name)}-{args.shots}.jsonl"
    return look(viewer, name, clips, labels, kept, stop, tick, shots=args.shots, seed=args.seed, pool=pool)


def keep(
    answers: Answers, asked: list[Clip], clips: list[Clip], labels: list[str], args: argparse.Namespace
) -> dict[str, Any]:
    """Score a method's answers, and write its matrix and its map. Raises SinkError."""
    from pipelines.classification.methods import Answers
    from pipelines.classification.scores import plot, score

    counted = [i for i, clip in enumerate(asked) if clip in set(clips)]
    vectors = None if answers.vectors is None else answers.vectors[counted]
    answers = Answers(answers.name, [answers.labels[i] for i in counted], answers.note, vectors)
    entry = score(answers, clips, labels)
    args.out.mkdir(parents=True, exist_ok=True)
    name = file_name(answers.name)
    plot(entry, labels, args.out / f"confusion-{name}.png")
    if vectors is not None and len(clips) > 2:
        path = args.out / f"map-{name}.html"
        write_text(path, maps.page(answers, clips, args.map, path, args.seed))
    return entry


def file_name(text: str) -> str:
    """Letters, digits and dashes."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


if __name__ == "__main__":
    sys.exit(main())
