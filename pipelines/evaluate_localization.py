"""How well the localizers find what sounds: on synthetic scenes, real clips, and the field's benchmarks.

    python -m pipelines.evaluate_localization --scenes 500 --data ESC10 --json scenes.json --plot docs/reliability.png
    python -m pipelines.evaluate_localization --fit 40 --data ESC10
    python -m pipelines.evaluate_localization --cost 10
    python -m pipelines.evaluate_localization --clips FOLDER --localizer detector:FastestDet.onnx --sounds SOUNDS
    python -m pipelines.evaluate_localization --composed FOLDER 30 --localizer detector:FastestDet.onnx --data ESC10
    python -m pipelines.evaluate_localization --pairs 200 --acl acl.pth --beats beats.pt --clipseg clipseg
    python -m pipelines.evaluate_localization --ablate 100 --data ESC10
    python -m pipelines.evaluate_localization --cuts 200 --data ESC10
    python -m pipelines.evaluate_localization --dataset vggss FOLDER --limit 100
    python -m pipelines.evaluate_localization --dcase FOLDER --localizer detector:FastestDet.onnx
    python -m pipelines.evaluate_localization --avatar FOLDER --localizer detector:FastestDet.onnx
    python -m pipelines.evaluate_localization --negatives FOLDER --limit 100

`--data` is a folder of ESC-10's recordings by label; without it all sounds are made. A further evaluation is a
function from the arguments to a report, in EVALUATIONS under the name of its option.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Column, Table

from avstream import loading
from avstream.config import presets
from avstream.errors import AvstreamError
from avstream.localization import choosing
from avstream.localization.fusion import FEATURES, TABLE
from pipelines.localization.benchmarks import Localizer, acl_localizer, add_arguments, dataset_report, similarity_or_acl
from pipelines.localization.composed import composed_report
from pipelines.localization.plots import reliability_plot
from pipelines.localization.scenes import CONDITIONS, make_scene
from pipelines.localization.score_ablations import ablation_report
from pipelines.localization.score_clips import clip_report
from pipelines.localization.score_cost import grounding_cost
from pipelines.localization.score_cuts import cut_report
from pipelines.localization.score_offscreen import avatar_report, dcase_report, negatives_report
from pipelines.localization.score_pairs import pairs_report
from pipelines.localization.score_scenes import (
    Outcome,
    calibration_error,
    fitted,
    fitted_choice,
    hop_cost,
    outcomes,
    percent,
    ranks_above,
    reliability,
    shown_chance,
    summary,
)
from pipelines.localization.score_similarity import Similarity
from pipelines.localization.score_things import things_report
from pipelines.scenes.sound_bank import Bank

# N scenes each: the conditions of the bars, live and as movies are read; every other one has a tenth
WHOLE = ("plain", "off-screen", "15 frames/s", "off-screen, 15 frames/s")
FIT_SEED = 1_000_000  # far from those of any evaluation
ABSENT_SHARE = 2  # scenes of each off-screen condition to one of each other, so that both are about as many
COST_SIZES = ((640, 360), (320, 180))  # of the pictures: the decoder's motion frames are already small
TABLES = {
    "Where, %, held-out scenes": (
        "scenes", "synchrony cIoU", "synchrony AUC", "synchrony half", "motion alone cIoU", "motion alone half",
        "middle cIoU", "similarity cIoU", "similarity half", "ACL-SSL cIoU",
    ),
    "What is said, %, the same scenes": (
        "side right", "said visible", "peak right when visible", "box right when visible", "said off-screen",
        "said null",
    ),
}  # fmt: skip


def scenes_report(args: argparse.Namespace) -> dict[str, Any]:
    """Every method on every condition, the bars, and how far the chances can be believed."""
    bank, others = Bank(held_out=True, data=args.data), class_aware(args)
    found: dict[str, list[Outcome]] = {}
    for name in CONDITIONS:
        count = args.scenes if name in WHOLE else max(1, args.scenes // 10)
        found[name] = list(outcomes(name, range(args.seed, args.seed + count), bank, others))
    curves = believed([one for group in found.values() for one in group if one.here is not None])
    report = {
        "scenes": args.scenes,
        "seed": args.seed,
        "recorded sound": args.data is not None,
        "conditions": {name: summary(group) for name, group in found.items()},
        "bars": bars(found),
        "calibration error": {name: calibration_error(rows) for name, rows in curves.items()},
        "reliability": curves,
    }
    if args.plot:
        reliability_plot(curves, args.plot)
    return report


def believed(every: list[Outcome]) -> dict[str, list[tuple[float, float, float]]]:
    """The reliability of both chances, were half of all sounds off-screen, as when they were fitted."""
    seen = [one.on_screen for one in every]
    weights = [1 / max(1, seen.count(one)) for one in seen]
    here = reliability([one.here or 0.0 for one in every], [one.inside for one in every], weights)
    absent = reliability([one.absent or 0.0 for one in every], [not one for one in seen], weights)
    return {"here": here, "absent": absent}


def class_aware(args: argparse.Namespace) -> dict[str, Localizer]:
    """The localizers that know classes: a preset's similarity, and ACL-SSL when its weights are given."""
    others: dict[str, Localizer] = {"similarity": Similarity(args.preset)}
    return others | {"ACL-SSL": acl_localizer(args)} if args.acl else others


def bars(found: dict[str, list[Outcome]]) -> dict[str, float | None]:
    """What the method has to reach; `--cost` measures the rest."""
    plain, away = found["plain"], found["off-screen"]
    main, sides = summary(plain), [one.side for group in found.values() for one in group if one.side is not None]
    here, gone = [shown_chance(one) for one in plain], [shown_chance(one) for one in away]
    raw = [[one.features[0] if one.features is not None else -1.0 for one in group] for group in (plain, away)]
    return {
        "synchrony cIoU@0.5, %": main["synchrony cIoU"],
        "right half, %": main["synchrony half"],
        "off-screen AUC, fusion": ranks_above(here, gone),
        "off-screen AUC, correlation alone": ranks_above(*raw),
        "stereo side, %": percent(sides),
    }


def fit_report(args: argparse.Namespace) -> dict[str, Any]:
    """Fit the tables of fusion and choosing on scenes that no evaluation uses, and write them into the package."""
    found: list[Outcome] = []
    for data in dict.fromkeys((None, args.data)):
        bank = Bank(held_out=False, data=data)
        for name in CONDITIONS:
            count = args.fit * (ABSENT_SHARE if name.startswith("off-screen") else 1)
            found += outcomes(name, range(FIT_SEED + args.seed, FIT_SEED + args.seed + count), bank, fitting=True)
    command = f"python -m pipelines.evaluate_localization --fit {args.fit} --seed {args.seed}"
    about = {"made_by": command + (" --data ESC10" if args.data else ""), "scenes": len(found)}
    table = {**about, "features": list(FEATURES), **fitted(found)}
    choice = {**about, "features": list(choosing.FEATURES), **fitted_choice(found)}
    write_table(TABLE, table)
    write_table(choosing.TABLE, choice)
    return {"fusion": table, "choosing": choice}


def write_table(path: Path, table: dict[str, Any]) -> None:
    """As JSON, a line for each row."""
    rows = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in table.items()]
    path.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def show(report: dict[str, Any], console: Console) -> None:
    """The report of `--scenes` as tables."""
    console = Console(width=max(170, console.width))
    for title, columns in TABLES.items():
        table = Table(Column("condition", no_wrap=True), *columns, title=title)
        for name, row in report["conditions"].items():
            table.add_row(name, *(figure(row.get(column)) for column in columns))
        console.print(table)
    bar = Table("bar", "measured")
    for name, value in {**report["bars"], **{f"ECE {k}": v for k, v in report["calibration error"].items()}}.items():
        bar.add_row(name, figure(value) if value is None or value >= 1 else f"{value:.3f}")
    console.print(bar)


def figure(value: float | None) -> str:
    """A cell of the table."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def cost_report(args: argparse.Namespace) -> dict[str, Any]:
    """The median cost of synchrony, stereo and fusion together, in percent of a hop of 1 s, on one core."""
    bank, seeds = Bank(held_out=True, data=args.data), range(args.seed, args.seed + args.cost)
    report: dict[str, Any] = {f"{width} x {height}": {} for width, height in COST_SIZES}
    for name in ("plain", "pan", "hand-held", "noise"):
        scenes = [make_scene(name, seed, bank) for seed in seeds]
        for (width, height), row in zip(COST_SIZES, report.values(), strict=True):
            row[name] = float(np.median([hop_cost(scene, (width, height)) for scene in scenes])) / 10
    return report


def models_of(args: argparse.Namespace) -> loading.Models:
    """A preset with the localizer that was asked for."""
    return loading.load(presets.load(args.preset, localizer=args.localizer))


def composed_of(args: argparse.Namespace) -> dict[str, Any]:
    """Drawn things over real clips, with the localizer that was asked for and the label that is true."""
    localizer = loading.load_localizer(presets.load(args.preset, localizer=args.localizer))
    folder, count = Path(args.composed[0]), int(args.composed[1])
    return composed_report(folder, localizer, count, Bank(held_out=True, data=args.data), args.seed)


def grounding_of(args: argparse.Namespace) -> dict[str, Any]:
    """The cost of the localizer that was asked for."""
    return grounding_cost(args.grounding, loading.load_localizer(presets.load(args.preset, localizer=args.localizer)))


EVALUATIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "scenes": scenes_report,
    "fit": fit_report,
    "cost": cost_report,
    "clips": lambda args: clip_report(args.clips, models_of(args), args.sounds, args.swaps),
    "things": lambda args: things_report(args.things, Bank(held_out=True, data=args.data), args.seed),
    "composed": composed_of,
    "grounding": grounding_of,
    "pairs": lambda args: pairs_report(args.pairs, class_aware(args)),
    "cuts": cut_report,
    "ablate": ablation_report,
    "dataset": dataset_report,
    "dcase": lambda args: dcase_report(args.dcase, models_of(args)),
    "avatar": lambda args: avatar_report(args.avatar, models_of(args)),
    "negatives": lambda args: negatives_report(args, similarity_or_acl(args)),
}


def parser() -> argparse.ArgumentParser:
    """The options."""
    out = argparse.ArgumentParser("evaluate_localization", description=(__doc__ or "").split("\n")[0])
    what = out.add_mutually_exclusive_group(required=True)
    what.add_argument("--scenes", type=int, metavar="N", help="score all on N scenes, and N/10 of each condition")
    what.add_argument("--fit", type=int, metavar="N", help="fit fusion's table on N scenes a condition")
    what.add_argument("--cost", type=int, metavar="N", help="time N scenes of a few conditions at 640x360")
    what.add_argument("--clips", type=Path, metavar="FOLDER", help="score on the clips of AVE whose truth is known")
    what.add_argument(
        "--composed", nargs=2, metavar=("FOLDER", "N"), help="N drawn things over clips, and N beside them"
    )
    what.add_argument("--grounding", type=Path, metavar="FOLDER", help="time a --localizer on the clips")
    what.add_argument("--things", type=int, metavar="N", help="N scenes a condition with a detector of drawn things")
    what.add_argument("--pairs", type=int, metavar="N", help="score what knows classes on N drawings whose sounds fit")
    what.add_argument("--cuts", type=int, metavar="N", help="cut N scenes, in four ways")
    what.add_argument("--ablate", type=int, metavar="N", help="score synchrony without each of its parts on N scenes")
    what.add_argument("--dataset", nargs=2, metavar=("KIND", "FOLDER"), help="vggss, flickr or avsbench")
    what.add_argument("--dcase", type=Path, metavar="FOLDER", help="stereo SELD of DCASE 2025 task 3")
    what.add_argument("--avatar", type=Path, metavar="FOLDER", help="AVATAR's off-screen scenario")
    what.add_argument("--negatives", type=Path, metavar="FOLDER", help="wrong sounds for frames/ of audio/")
    add_arguments(out.add_argument_group("for --dataset, and but for the first four for --negatives and --scenes"))
    out.add_argument("--localizer", metavar="HOW", help="for films and clips, as `avstream file` takes it")
    out.add_argument("--sounds", type=Path, metavar="FOLDER", help="for --clips: recordings to swap in, LABEL/*.ogg")
    out.add_argument("--swaps", type=int, default=10, metavar="N", help="of those, under each clip")
    out.add_argument("--data", type=Path, metavar="ESC10", help="recorded sounds, LABEL/*.ogg")
    out.add_argument("--seed", type=int, default=0)
    out.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    out.add_argument("--plot", type=Path, metavar="PNG", help="draw the reliability of the chances there")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one evaluation, print it, and write it as JSON. The exit code."""
    args = parser().parse_args(arguments)
    cv2.setNumThreads(0)
    name = next(name for name in EVALUATIONS if getattr(args, name) is not None)
    try:
        report = EVALUATIONS[name](args)
    except AvstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    console = Console()
    if name == "scenes":
        show(report, console)
    else:
        console.print_json(json.dumps(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
