r"""What does the language model say? Encoders, raw and projected, with k patches: sentences against references.

    python -m pipelines.evaluate_generation --manifest ave2.jsonl --preset llava-1.5-7b --audio whisperclip clap \
        --alignment raw runs/projection/*/seed-1/projection.safetensors --tokens 15 150 --out runs/generation \
        --retrieval runs/retrieval/retrieval.json

A projection is used with the encoder that it was trained for. Measured: BLEU, ROUGE-L, BERTScore, CLIPScore, and
whether a source that sounds is named, exactly those, or another one. A judge is any OpenAI-compatible endpoint
(--judge URL --judge-model NAME; its key from AVSTREAM_JUDGE_KEY). OUT gets sentences.jsonl, generation.md,
generation.json, and tradeoff.png with --retrieval. Stopped, it goes on when run again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avstream import torch_models
from avstream.errors import AvstreamError, ConfigError, SourceError
from pipelines.data.arguments import add_data, add_models, audio_name, rows_of, settings_of
from pipelines.data.embeddings import write_broken
from pipelines.data.manifest import SPLITS, Row
from pipelines.data.running import Stop, command_line, finish, progress
from pipelines.evaluation import texts, tradeoff
from pipelines.evaluation.clip_score import ClipScore
from pipelines.evaluation.generation import RAW, Condition, Sentences, load_speaker, selection, speak
from pipelines.evaluation.judge import Judge
from pipelines.evaluation.marks import Marks
from pipelines.evaluation.scores import score_condition, table
from pipelines.evaluation.tables import write_json, write_text
from pipelines.projection.model import Trained

BERT, CLIP, NONE = "roberta-large", "openai/clip-vit-base-patch32", "none"


def parser() -> argparse.ArgumentParser:
    """The options."""
    out = argparse.ArgumentParser(
        "evaluate_generation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data(out)
    out.add_argument("--split", choices=SPLITS, default="test", help="default: test")
    out.add_argument("--limit", type=int, default=200, metavar="N", help="clips, evenly spaced (default: 200)")
    add_models(out)
    out.add_argument("--audio", nargs="+", metavar="ENCODER", default=[None], help="as for avstream; several if wanted")
    out.add_argument("--alignment", nargs="+", metavar="raw|FILE", default=[RAW], help="default: raw")
    out.add_argument("--alpha", nargs="+", type=float, default=[0.0], help="for projections; 1 is raw (default: 0)")
    out.add_argument(
        "--tokens", nargs="+", type=int, default=[15, 150], metavar="K", help="default: 15 150; at most all"
    )
    out.add_argument("--unselected", nargs="+", choices=("zero", "drop"), default=["zero"], help="default: zero")
    out.add_argument("--bert", default=BERT, metavar="CHECKPOINT", help=f"for BERTScore, or {NONE} (default: {BERT})")
    out.add_argument("--bert-layer", type=int, metavar="N", help="where bert-score does not know the checkpoint")
    out.add_argument("--clip", default=CLIP, metavar="CHECKPOINT", help=f"for CLIPScore, or {NONE} (default: {CLIP})")
    out.add_argument("--judge", metavar="URL", help="an OpenAI-compatible endpoint, such as http://localhost:8000/v1")
    out.add_argument("--judge-model", metavar="NAME")
    out.add_argument("--retrieval", type=Path, metavar="FILE", help="retrieval.json, for the trade-off")
    out.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return out


def conditions_of(args: argparse.Namespace, audios: Sequence[str]) -> list[Condition]:
    """Encoder x alignment x alpha x k x zero or drop; a projection only with the encoder it was trained for.

    Raises ModelError for a file that is no trained projection, ConfigError when it is for none of the encoders.
    """
    systems = [(audio, RAW, 1.0) for audio in audios if RAW in args.alignment]
    for path in args.alignment:
        if path == RAW:
            continue
        notes = Trained(Path(path)).notes
        if notes["audio"] not in audios:
            raise ConfigError(f"{path} is for {notes['audio']}; add it to --audio, or leave the file out")
        systems += [(notes["audio"], path, alpha) for alpha in args.alpha]
    return [
        Condition(*system, tokens, unselected)
        for system in systems
        for tokens in args.tokens
        for unselected in args.unselected
    ]


def say(args: argparse.Namespace, rows: Sequence[Row], sentences: Sentences) -> tuple[list[Condition], int]:
    """Say what is missing; gives the conditions and the exit code of an interruption, else 0. Raises AvstreamError."""
    audios = {audio_name(args, audio): settings_of(args, audio) for audio in args.audio}
    conditions = conditions_of(args, list(audios))
    if all((row.clip, row.start_s, one) in sentences.said for row in rows for one in conditions):
        return conditions, 0
    alignments = sorted({(one.audio, one.alignment) for one in conditions if one.alignment != RAW})
    speaker = load_speaker(settings_of(args, args.audio[0]), audios, alignments)
    with Stop() as stop, progress() as bar:
        task = bar.add_task("clips", total=len(rows))
        broken = speak(
            speaker, rows, args.manifest.parent, conditions, sentences, stop,
            lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    write_broken(args.out / "broken.jsonl", broken)
    if broken:
        print(f"{len(broken)} of {len(rows)} clips can't be read; they are listed in {args.out / 'broken.jsonl'}")
    return conditions, stop.code


def scorers(args: argparse.Namespace) -> tuple[ClipScore | None, Any]:
    """CLIPScore's model and BERTScore's function, or None with the reason said: their weights are often not here."""
    device = torch_models.choose_device(args.device or "auto")
    clip = None
    try:
        clip = None if args.clip == NONE else ClipScore(args.clip, device)
    except AvstreamError as error:
        print(f"CLIPScore is left out: {error}", file=sys.stderr)
    if args.bert == NONE:
        return clip, None
    try:
        texts.bert_score(["a"], [["a"]], args.bert, args.bert_layer, device)
    except AvstreamError as error:
        print(f"BERTScore is left out: {error}", file=sys.stderr)
        return clip, None
    return clip, lambda said, references: texts.bert_score(said, references, args.bert, args.bert_layer, device)


def points_of(args: argparse.Namespace, entries: list[dict[str, Any]], measure: str) -> list[tradeoff.Point]:
    """Each projection's gain and loss, at the largest k in its first kind of substitution. Raises SourceError."""
    try:
        found = json.loads(args.retrieval.read_text(encoding="utf-8"))["entries"]
        top = {
            (one["audio"], path, one["alpha"]): one["scores"]["audio to video"]["top-1"]["mean"]
            for one in found
            for path in one["files"] or [RAW]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{args.retrieval} is no retrieval.json of pipelines.evaluate_retrieval: {error}") from error
    at = (max(args.tokens), args.unselected[0])
    chosen = [one for one in entries if (one["tokens"], one["unselected"]) == at]
    raw = {one["audio"]: one["scores"][measure]["mean"] for one in chosen if one["alignment"] == RAW}
    points = []
    for one in chosen:
        key = (one["audio"], one["alignment"], one["alpha"])
        base = top.get((one["audio"], one["alignment"], 1.0), top.get((one["audio"], RAW, 1.0)))
        if one["alignment"] != RAW and key in top and base is not None and one["audio"] in raw:
            name = one["audio"] if one["alpha"] == 0 else f"{one['audio']}, alpha {one['alpha']:g}"
            lost = tradeoff.loss(raw[one["audio"]], one["scores"][measure]["mean"])
            points.append(tradeoff.Point(name, top[key] - base, lost))
    return points


def measure(args: argparse.Namespace) -> int:
    """Say, score, write, print; gives the exit code. Raises AvstreamError."""
    if args.limit < 1 or min(args.tokens) < 0:
        raise ConfigError("--limit must be 1 or more, and --tokens 0 or more")
    if bool(args.judge) != bool(args.judge_model):
        raise ConfigError("--judge and --judge-model go together")
    judge = Judge(args.judge, args.judge_model) if args.judge else None
    rows = selection(rows_of(args, args.split), args.limit)
    write_text(args.out / "README.md", f"Made by `{args.command_line}`.\n")
    sentences = Sentences(args.out / "sentences.jsonl")
    conditions, code = say(args, rows, sentences)
    if code:
        print("stopped: run the same command again to go on")
        return code
    clip, bert = scorers(args)
    marks = Marks(args.out / "marks.jsonl", judge) if judge else None
    entries = [
        score_condition(one, rows, args.manifest.parent, sentences.said, clip, bert, marks) for one in conditions
    ]
    report: dict[str, Any] = {"clips": len(rows), "entries": entries}
    text = table(entries)
    if args.retrieval:
        points = points_of(args, entries, "ROUGE-L")
        report["trade-off"] = {"points": [[p.name, p.gain, p.loss] for p in points], "line": tradeoff.line(points)}
        tradeoff.plot({"": points}, args.out / "tradeoff.png", "ROUGE-L")
    write_json(args.out / "generation.json", report)
    write_text(args.out / "generation.md", text)
    print(text)
    print(f"written to {args.out}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit code."""
    args = parser().parse_args(arguments)
    args.command_line = command_line("evaluate_generation", arguments)
    return finish("evaluate_generation", lambda: measure(args))


if __name__ == "__main__":
    sys.exit(main())
