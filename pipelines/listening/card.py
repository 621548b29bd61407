"""The scores as tables for the model card, between two marks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from avstream.errors import SourceError
from pipelines.listening.plots import listeners_of

BEGIN, END = "<!-- evaluate_listener: begin -->", "<!-- evaluate_listener: end -->"
PLOTS = ("reliability.png", "conditions.png", "confusion-nano.png")
Row = tuple[str, str, bool]  # what, where its score is, whether it is a share


def percent(value: float | None) -> str:
    """`81.2 %`."""
    return "-" if value is None else f"{100 * value:.1f} %"


ROWS: tuple[Row, ...] = (
    ("ESC-50 fold 4, top label of 50, windows of 3 s", "esc50_fold4/top1_windows", True),
    ("the same, a clip at a time (mean of its windows)", "esc50_fold4/top1_clips", True),
    ("fold 4 and unknown kinds: macro precision at the default threshold", "esc50_fold4/macro_precision", True),
    ("fold 4 alone: macro precision at the default threshold", "esc50_fold4/alone/macro_precision", True),
    ("fold 4: macro recall at the default threshold", "esc50_fold4/macro_recall", True),
    ("all labels' test clips: top label of all", "all_labels/top1_clips", True),
    ("all labels and unknown kinds: macro precision at the default threshold", "all_labels/macro_precision", True),
    ("all labels: macro recall at the default threshold", "all_labels/macro_recall", True),
    ("unknown kinds: a wrong label at 0.5", "unknown_kinds/claimed_0.5", True),
    ("unknown kinds: a wrong label at 0.8", "unknown_kinds/claimed_0.8", True),
    ("unknown kinds: any label at 0.5, right general ones too", "unknown_kinds/strict_0.5", True),
    ("unknown kinds: any label at 0.8, right general ones too", "unknown_kinds/strict_0.8", True),
    ("unknown kinds: their parent is heard at 0.5 (an animal, a machine ...)", "unknown_kinds/right_parent", True),
    ("at the one threshold where fold 4's macro recall is 70 %: macro precision", "at_recall_70/macro_precision", True),
    ("at the same threshold: unknown kinds that get a wrong label", "at_recall_70/claimed", True),
    ("calibration error of clips, unknown kinds included", "calibration/ece_clips", False),
    ("calibration error of windows, unknown kinds included", "calibration/ece_windows", False),
    ("mixtures with known onsets: PSDS 1", "mixtures/psds1", False),
    ("mixtures with known onsets: PSDS 2", "mixtures/psds2", False),
    ("mixtures: event F1, onset and end within 0.2 s, default thresholds", "mixtures/event_f1", True),
    ("mixtures: event F1, onset within 0.2 s", "mixtures/onset_f1", True),
    ("mixtures: event F1, best threshold of each label", "mixtures/best_event_f1", True),
    ("an hour of quiet rooms, hum, fans, wind, traffic, babble: windows with a false claim", "hour/all/claimed", True),
    ("CPU milliseconds for a window of 3 s", "cpu_ms_a_window", False),
)  # fmt: skip


def at(scores: dict[str, Any], path: str) -> Any:
    """The value at `a/b/c`."""
    for name in path.split("/"):
        scores = scores[name]
    return scores


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def tables(scores: dict[str, Any]) -> str:
    """All tables, one column or group of columns for each listener."""
    names = listeners_of(scores)
    shown = [
        [what] + [percent(at(scores[n], path)) if share else f"{at(scores[n], path):g}" for n in names]
        for what, path, share in ROWS
    ]
    parts = [table(["what", *names], shown)]
    under = list(scores[names[0]]["conditions"])
    cells = [[c] + [condition_cell(scores[n]["conditions"][c]) for n in names] for c in under]
    parts += [
        "**Worse conditions**, every second clip of fold 4, its loudest window: top label of 50, macro recall",
        table(["", *names], cells),
    ]
    grounds = list(scores[names[0]]["hour"])
    cells = [[g] + [hour_cell(scores[n]["hour"][g]) for n in names] for g in grounds]
    parts += ["**An hour of grounds**: windows with a false claim at the default threshold", table(["", *names], cells)]
    classes = scores[names[0]]["all_labels"]["classes"]
    cells = [[label, str(scored["clips"])] + [class_cell(scores[n]["all_labels"]["classes"][label]) for n in names]
             for label, scored in classes.items()]  # fmt: skip
    parts += ["**Each label** at its default threshold, unknown kinds included: recall / precision",
              table(["label", "test clips", *names], cells)]  # fmt: skip
    return "\n\n".join(parts)


def condition_cell(scored: dict[str, Any]) -> str:
    """`81.2 %, recall 70.1 %`."""
    return f"{percent(scored['top1'])}, recall {percent(scored['macro_recall'])}"


def class_cell(scored: dict[str, Any]) -> str:
    """`75 / 92 %`."""
    precision = "-" if scored["precision"] is None else f"{100 * scored['precision']:.0f}"
    return f"{100 * scored['recall']:.0f} / {precision} %"


def hour_cell(scored: dict[str, Any]) -> str:
    """`2.1 % (engine 3)`."""
    most = ", ".join(f"{label} {count}" for label, count in scored.get("most", {}).items())
    return percent(scored["claimed"]) + (f" ({most})" if most else "")


def write(scores: dict[str, Any], text: str, nano: Path, plots: Path) -> None:
    """Put the tables into nano's README.md, the numbers into listener/scores.json, the plots beside them."""
    card = nano / "README.md"
    old = card.read_text()
    if BEGIN not in old or END not in old:
        raise SourceError(f"{card} has no place for the tables: put the lines {BEGIN} and {END} where they belong")
    card.write_text(old[: old.index(BEGIN)] + f"{BEGIN}\n\n{text}\n\n" + old[old.index(END) :])
    kept = {name: {k: v for k, v in value.items() if k != "confusion"} if isinstance(value, dict) else value
            for name, value in scores.items()}  # fmt: skip
    (nano / "listener" / "scores.json").write_text(json.dumps(kept, indent=1) + "\n")
    for name in PLOTS:
        if (plots / name).exists():
            shutil.copyfile(plots / name, nano / "listener" / name)
