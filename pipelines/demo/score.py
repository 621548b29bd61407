"""What was narrated, beside what was true: the comparison that the demo prints. It knows records and rich only.

A window of 3 s hears more than the part of the stream it speaks for (its focus). So a truth is looked for where
the focus is well inside it, and a claim is wrong only when nothing of that name sounds anywhere in the window; an
unidentified sound is no wrong claim where something sounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from avstream.records import Sound
from avstream.wording import OTHER, clock, phrase
from pipelines.scenes.movie import SceneEvent

BLUR_S = 1.5  # half a window: how far a sound reaches into the narration of its neighbors
SILENCE_S = 3.0  # shorter pauses are in no window alone
Line = dict[str, Any]  # one Narration.to_dict()


@dataclass(frozen=True, slots=True)
class Row:
    """One truth and what was made of it; `event` is None for silence."""

    start_s: float
    end_s: float
    event: SceneEvent | None
    heard: str
    confidence: float | None
    verdict: str

    @property
    def right(self) -> bool:
        """Whether the narration agreed."""
        return self.verdict.startswith("✓")


def silences(truth: Sequence[SceneEvent], end_s: float) -> list[tuple[float, float]]:
    """The stretches of at least SILENCE_S between 0 and `end_s` in which nothing sounds."""
    out, last = [], 0.0
    for start, stop in sorted([(event.start_s, event.end_s) for event in truth if event.audible] + [(end_s, end_s)]):
        if start - last >= SILENCE_S:
            out.append((last, start))
        last = max(last, stop)
    return out


def _inside(lines: Sequence[Line], start_s: float, end_s: float, margin_s: float) -> list[Line]:
    """The narrations whose focus has its middle in the stretch, `margin_s` from its edges."""
    middles = [(line["focus_start_s"] + line["focus_end_s"]) / 2 for line in lines]
    low, high = start_s + margin_s, end_s - margin_s
    return [line for line, middle in zip(lines, middles, strict=True) if low <= middle <= high]


def _heard(lines: Sequence[Line]) -> tuple[str, float | None, dict[str, int]]:
    """What these narrations claim: the leading sound in words, its mean confidence, and windows by label."""
    by_label: dict[str, list[Line]] = {}
    for line in lines:
        for sound in line["sounds"]:
            by_label.setdefault(sound["label"], []).append(sound)
    if not by_label:
        return "nothing", None, {}
    sounds = max(by_label.values(), key=lambda claims: sum(claim["confidence"] for claim in claims))
    best = max(sounds, key=lambda claim: claim["confidence"])
    mean = sum(claim["confidence"] for claim in sounds) / len(sounds)
    words = phrase(Sound(best["label"], mean, best["visible"], None, best["direction"]))
    return words, mean, {label: len(claims) for label, claims in by_label.items()}


def judge_event(event: SceneEvent, lines: Sequence[Line]) -> Row:
    """A sound is heard when at least half of the windows well inside it name it."""
    core = _inside(lines, event.start_s, event.end_s, min(1.0, (event.end_s - event.start_s) / 3))
    heard, confidence, counts = _heard(core)
    if not core:
        verdict = "✗ not narrated"
    elif 2 * counts.get(event.label, 0) >= len(core):
        verdict = "✓ heard"
    elif counts.get(event.label):
        verdict = "✗ too seldom"
    else:
        verdict = "✗ mistaken" if set(counts) - {OTHER} else "✗ not recognized" if counts else "✗ missed"
    return Row(event.start_s, event.end_s, event, heard, confidence, verdict)


def judge_silence(start_s: float, end_s: float, lines: Sequence[Line]) -> Row:
    """Silence is kept when no window that lies wholly in it claims a sound."""
    core = _inside(lines, start_s, end_s, BLUR_S)
    heard, confidence, counts = _heard(core)
    verdict = "✗ claimed a sound" if counts else "✓ silent" if core else "✗ not narrated"
    return Row(start_s, end_s, None, heard, confidence, verdict)


def false_claims(truth: Sequence[SceneEvent], lines: Sequence[Line]) -> list[tuple[float, str]]:
    """Time and label of each claim whose window holds no such sound."""
    return [
        (line["focus_start_s"], sound["label"])
        for line in lines
        for sound in line["sounds"]
        if not any(
            event.audible
            and sound["label"] in (event.label, OTHER)
            and event.start_s < line["end_s"]
            and line["start_s"] < event.end_s
            for event in truth
        )
    ]


def compare(truth: Sequence[SceneEvent], lines: Sequence[Line]) -> list[Row]:
    """One row for each sound and each silence, by time."""
    end_s = max((line["focus_end_s"] for line in lines), default=0.0)
    rows = [judge_event(event, lines) for event in truth if event.audible]
    rows += [judge_silence(start, end, lines) for start, end in silences(truth, end_s)]
    return sorted(rows, key=lambda row: row.start_s)


def score(rows: Sequence[Row], wrong: Sequence[tuple[float, str]], windows: int) -> str:
    """The result in one line."""
    sounds, quiet = [row for row in rows if row.event], [row for row in rows if not row.event]
    return (
        f"Score: {sum(row.right for row in sounds)} of {len(sounds)} sounds heard, "
        f"{sum(row.right for row in quiet)} of {len(quiet)} silences kept, "
        f"{len(wrong)} wrong {'claim' if len(wrong) == 1 else 'claims'} in {windows} windows."
    )


def print_score(truth: Sequence[SceneEvent], lines: Sequence[Line], console: Console) -> None:
    """Print the table, the wrong claims and the score."""
    table = Table(title="What was true, and what was narrated")
    for name in ("time", "truth", "narrated", "sure", "verdict"):
        table.add_column(name, justify="right" if name == "sure" else "left", no_wrap=name in ("time", "sure"))
    rows, wrong = compare(truth, lines), false_claims(truth, lines)
    for row in rows:
        event, sure = row.event, "" if row.confidence is None else f"{row.confidence:.0%}"
        true = "silence" if event is None else phrase(Sound(event.label, 1.0, event.visible, None, event.direction))
        verdict = f"[{'green' if row.right else 'red'}]{row.verdict}[/]"
        table.add_row(f"{clock(row.start_s)}-{clock(row.end_s)}", true, row.heard, sure, verdict)
    console.print(table)
    if wrong:
        listed = ", ".join(f"{label} at {clock(time)}" for time, label in wrong)
        console.print(f"Wrong claims: {listed}", highlight=False)
    console.print(score(rows, wrong, len(lines)), style="bold", highlight=False)
    console.print("Labels are scored; direction and visibility are only shown.", style="dim")
