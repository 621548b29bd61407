"""The one list of clips that training and evaluation read: JSON Lines, one segment of a movie a line.

    {"clip": "clips/a_01.mp4", "start_s": 0.0, "split": "train", "scores": {"temporal": 10, ...},
     "captions": ["a bell is ringing."], "sources": {"visible": ["bell"], "invisible": [], "silent": ["knock"]}}

`clip` is relative to the manifest's folder, or absolute. `sound` (optional) is a sound file when the clip has none of
its own. `split` is train, valid or test. `scores` are AVE-2's five, out of 10; empty where a data set has none.
`sources` are what sounds in the picture, what sounds outside it, and what is silent in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avstream.errors import ConfigError, SinkError, SourceError

SPLITS = ("train", "valid", "test")
SCORES = ("temporal", "spatial", "contextual", "causality", "visibility")
SOURCES = ("visible", "invisible", "silent")
ABOVE = 8.0  # the paper's filter: every score above this


@dataclass(frozen=True, slots=True)
class Row:
    """One 3-second segment and all that is known of it."""

    clip: str
    start_s: float = 0.0
    split: str = "train"
    scores: dict[str, float] = field(default_factory=dict)
    captions: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    invisible: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    sound: str | None = None

    @property
    def sounding(self) -> tuple[str, ...]:
        """What sounds, in the picture or not."""
        return (*self.visible, *self.invisible)

    def passes(self, above: float) -> bool:
        """Whether every score is above `above`; a row without scores passes."""
        return all(score > above for score in self.scores.values())

    def to_dict(self) -> dict[str, Any]:
        """The row as a line of the manifest holds it."""
        row: dict[str, Any] = {"clip": self.clip, "start_s": self.start_s, "split": self.split}
        row |= {} if self.sound is None else {"sound": self.sound}
        row |= {"scores": self.scores, "captions": list(self.captions)}
        return row | {"sources": {name: list(getattr(self, name)) for name in SOURCES}}


def parse(found: object) -> Row:
    """A line's object as a Row. Raises ValueError, which says what is wrong with it."""
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, found {type(found).__name__}")
    known = {"clip", "start_s", "split", "sound", "scores", "captions", "sources"}
    if unknown := sorted(set(found) - known):
        raise ValueError(f"unknown key {unknown[0]!r} (known: {', '.join(sorted(known))})")
    clip, start, split = found.get("clip"), found.get("start_s", 0.0), found.get("split")
    if not isinstance(clip, str) or not clip:
        raise ValueError(f"clip must be a path, found {clip!r}")
    if not _is_number(start) or start < 0:
        raise ValueError(f"start_s must be a number from 0 up, found {start!r}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, found {split!r}")
    sound = found.get("sound")
    if sound is not None and not isinstance(sound, str):
        raise ValueError(f"sound must be a path, found {sound!r}")
    sources = found.get("sources", {})
    if not isinstance(sources, dict) or set(sources) - set(SOURCES):
        raise ValueError(f"sources must have only {', '.join(SOURCES)}, found {sources!r}")
    visible, invisible, silent = (_texts(sources.get(name, []), f"sources.{name}") for name in SOURCES)
    scores, captions = _scores(found.get("scores", {})), _texts(found.get("captions", []), "captions")
    return Row(clip, float(start), split, scores, captions, visible, invisible, silent, sound)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _scores(found: object) -> dict[str, float]:
    if not isinstance(found, dict) or set(found) - set(SCORES):
        raise ValueError(f"scores must have only {', '.join(SCORES)}, found {found!r}")
    for name, value in found.items():
        if not _is_number(value) or not 0 <= value <= 10:
            raise ValueError(f"the score {name!r} must be from 0 to 10, found {value!r}")
    return {name: float(value) for name, value in found.items()}


def _texts(found: object, name: str) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError(f"{name} must be a list of texts, found {found!r}")
    return tuple(found)


def read_manifest(path: Path) -> list[Row]:
    """Every row. Raises SourceError, with the line: unreadable, not JSON, not a row, the same segment twice, no row."""
    rows: list[Row] = []
    seen: set[tuple[str, float]] = set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"the manifest {path} can't be read: {error}; make one with: python -m pipelines.make_manifest"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = parse(json.loads(line))
            if (row.clip, row.start_s) in seen:
                raise ValueError(f"{row.clip} at {row.start_s:g} s is there already")
        except ValueError as error:
            raise SourceError(f"{path}, line {number}: {error}") from error
        seen.add((row.clip, row.start_s))
        rows.append(row)
    if not rows:
        raise SourceError(f"the manifest {path} has no rows; make one with: python -m pipelines.make_manifest")
    return rows


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows under the manifest's name once they are complete. Raises SinkError."""
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row.to_dict(), ensure_ascii=False) + "\n")
        partial.replace(path)
    except OSError as error:
        raise SinkError(f"the manifest {path} can't be written: {error}") from error


def select(rows: Sequence[Row], split: str, above: float) -> list[Row]:
    """The rows of a split that pass the filter. Raises SourceError when none is left, and says where they went."""
    of_split = [row for row in rows if row.split == split]
    if not of_split:
        there = ", ".join(sorted({row.split for row in rows}))
        raise SourceError(f"the manifest has no rows of the split {split!r}, only of {there}")
    kept = [row for row in of_split if row.passes(above)]
    if not kept:
        raise SourceError(
            f"none of the {len(of_split)} rows of the split {split!r} has every score above {above:g}: lower --above"
        )
    return kept


def filter_range(text: str) -> float:
    """The value of `--above`, for argparse. Raises ConfigError outside of -1 to 10."""
    try:
        above = float(text)
    except ValueError as error:
        raise ConfigError(f"--above must be a number, found {text!r}") from error
    if not -1 <= above < 10:
        raise ConfigError(f"--above must be from -1 (keep all) to below 10 (the highest score), found {text}")
    return above
