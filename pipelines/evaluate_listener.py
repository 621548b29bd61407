"""Score listeners beside one another: `python -m pipelines.evaluate_listener --data DATA --yamnet yamnet.tflite`.

Recordings of the test split (no network learned from their sources), kinds outside the vocabulary, mixtures with known
onsets, worse conditions, an hour of grounds. Writes scores.json, plots, and with --card the tables into the model card.

Kinds outside the vocabulary were trained as unknown in what is shipped. So they are scored with --left-out RUNS: the
networks in RUNS/group-0 to group-2 never heard their group, and each is asked about its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avstream.errors import AvstreamError, SourceError
from pipelines.listening import card, clips, conditions, mixtures, plots
from pipelines.listening.clips import Clip, Heard, hear, of_left_out
from pipelines.listening.listeners import Named, cost_ms, open_named
from pipelines.sounds.recordings import Recording, decode, gather
from pipelines.sounds.vocabulary import ESC50, LABELS, LEFT_OUT, outside_kinds

REPO = Path(__file__).resolve().parent.parent
NANO = REPO / "avstream" / "models" / "nano"


@dataclass(frozen=True)
class Material:
    """What is listened to."""

    known: list[Clip]
    outside: list[Clip]
    grounds: list[Clip]
    unreadable: list[str]


def load(data: Path, most: int | None) -> Material:
    """The test's recordings, at most `most` a kind. SourceError when there are none."""
    bad: list[str] = []
    counts: dict[str, int] = {}
    parts: dict[str, list[Clip]] = {"known": [], "outside": [], "noise": []}
    for r in gather(data / "sounds", data / "esc10"):
        part = place(r)
        if part is None or (most is not None and counts.get(r.kind, 0) >= most):
            continue
        try:
            parts[part].append(Clip(decode(data / "sounds" / r.path), r.kind, r.group, r.fold))
            counts[r.kind] = counts.get(r.kind, 0) + 1
        except SourceError as error:
            bad.append(str(error))
    if not parts["known"]:
        raise SourceError(f"no recordings of the test split in {data / 'sounds'}")
    return Material(parts["known"], parts["outside"], parts["noise"] or parts["known"][:1], bad)


def place(r: Recording) -> str | None:
    """Which part of the material a recording belongs to."""
    if r.kind in outside_kinds():
        return "outside"
    if r.split != "test":
        return None
    return "known" if r.kind in LABELS else "noise" if r.kind == "noise" else None


def outside_heard(listener: Named, left_out: Path | None, outside: list[Clip]) -> tuple[Heard, str]:
    """What is claimed of outside kinds, and by whom: networks that never heard them where there are any."""
    folders = [left_out / f"group-{g}" for g in range(LEFT_OUT)] if left_out else []
    if not listener.own or not folders or not all((f / "listener.onnx").exists() for f in folders):
        return hear(listener, outside), "by itself: trained as unknown" if listener.own else "by itself"
    parts = [hear(open_named(str(folder)), of_left_out(outside, g)) for g, folder in enumerate(folders)]
    return parts[0].joined(parts[1]).joined(parts[2]), "by networks that never heard them"


def left_out_recall(left_out: Path | None, known: list[Clip]) -> list[dict[str, object]]:
    """Recall and precision of the networks that never heard a group, so that their false claims can be read with it."""
    out = []
    for g in range(LEFT_OUT):
        if left_out and (left_out / f"group-{g}" / "listener.onnx").exists():
            network = open_named(str(left_out / f"group-{g}"))
            heard = hear(network, [c for c in known if c.fold == 4])
            half = clips.macro(heard, np.full(len(LABELS), 0.5), ESC50)
            out.append({"group": g, "top1": round(clips.top1(heard, ESC50, False), 4),
                        "macro_recall_0.5": half["macro_recall"],
                        "macro_precision_0.5": half["macro_precision"]})  # fmt: skip
    return out


def scores(listener: Named, material: Material, left_out: Path | None, quick: bool) -> dict[str, object]:
    """All tables of a listener."""
    heard = hear(listener, material.known)
    fold4 = [c for c in material.known if c.fold == 4]
    of_fold4 = Heard([c.kind for c in fold4],
                     [w for w, c in zip(heard.windows, material.known, strict=True) if c.fold == 4])  # fmt: skip
    unknown, how = outside_heard(listener, left_out, material.outside)
    every = heard.joined(unknown)
    present = [label for label in LABELS if label in heard.kinds]
    rng = np.random.default_rng(2)
    voices = [c for c in material.known if c.kind == "speech"]
    events = [c for c in material.known if c.kind != "speech" or rng.random() < 0.3]
    made = mixtures.scenes(events, material.grounds, 4 if quick else 150)
    names = ("as recorded", "noise, 10 dB") if quick else tuple(conditions.CONDITIONS)
    limits = listener.thresholds
    return {
        "esc50_fold4": {
            "clips": len(fold4),
            "top1_clips": clips.rounded(clips.top1(of_fold4, ESC50, False)),
            "top1_windows": clips.rounded(clips.top1(of_fold4, ESC50, True)),
            **{k: v for k, v in clips.macro(of_fold4.joined(unknown), limits, ESC50).items() if k != "classes"},
            "alone": {k: v for k, v in clips.macro(of_fold4, limits, ESC50).items() if k != "classes"},
        },
        "all_labels": {
            "clips": len(heard.kinds),
            "top1_clips": clips.rounded(clips.top1(heard, present, False)),
            "top1_windows": clips.rounded(clips.top1(heard, present, True)),
            **clips.macro(heard.joined(unknown), limits, present),
        },
        "at_recall_70": clips.at_recall(of_fold4, unknown, ESC50),
        "unknown_kinds": {"how": how, **clips.false_claims(unknown, limits)},
        "calibration": {**clips.calibration(every), "known_only": clips.calibration(heard)},
        "reliability": clips.reliability(every),
        "confusion": clips.confusion(of_fold4, ESC50).tolist(),
        "mixtures": mixtures.score(listener, made),
        "conditions": conditions.conditions(listener, fold4[::2] or material.known, names),
        "hour": conditions.hour(listener, [c for c in material.outside if c.kind == "traffic"], voices,
                                21 if quick else conditions.HOUR),
        "cpu_ms_a_window": round(cost_ms(listener, 5 if quick else 40), 2),
    }  # fmt: skip


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Score listeners beside one another, on sources that none learned from."
    )
    parser.add_argument(
        "listeners", nargs="*", default=["nano"], help="as --listener takes them; or a folder of listener.onnx"
    )
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data", help="holds sounds/ and esc10/")
    parser.add_argument("--yamnet", type=Path, metavar="FILE", help="yamnet.tflite, to have YAMNet beside them")
    parser.add_argument("--left-out", type=Path, help="a training's --runs: networks that never heard a group of kinds")
    parser.add_argument("--out", type=Path, default=REPO / "runs" / "listener-scores", help="scores.json and plots")
    parser.add_argument("--card", action="store_true", help="write scores and tables into nano's card as well")
    parser.add_argument("--quick", action="store_true", help="two recordings a kind and short tests: does it run?")
    return parser.parse_args(arguments)


def evaluate(options: argparse.Namespace) -> dict[str, object]:
    """Score, plot and write."""
    named = [open_named(spec) for spec in options.listeners]
    if options.yamnet is not None:
        named.append(open_named(f"yamnet:{options.yamnet}"))
    began = time.monotonic()
    material = load(options.data, 2 if options.quick else None)
    for line in material.unreadable:
        print(f"evaluate_listener: left out: {line}", file=sys.stderr)
    out: dict[str, object] = {"clips": {"known": len(material.known), "outside": len(material.outside)}}
    for listener in named:
        out[listener.name] = scores(listener, material, options.left_out, options.quick)
        print(f"{listener.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if options.left_out is not None:
        out["left_out_networks"] = left_out_recall(options.left_out, material.known)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "scores.json").write_text(json.dumps(out, indent=1) + "\n")
    plots.draw(out, options.out)
    return out


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    options = parse(arguments)
    try:
        out = evaluate(options)
        text = card.tables(out)
        print(text)
        if options.card:
            card.write(out, text, NANO, options.out)
    except AvstreamError as error:
        print(f"evaluate_listener: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
