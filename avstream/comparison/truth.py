"""What really sounds in a clip: read from JSON or CSV, and looked for in a sentence."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avstream.errors import SourceError

LAYOUT = (
    'JSON {"clip": ["dog"], ...}, or {"clip": {"sources": [...], "published_captions": '
    '{"encoder": {"raw": "...", "projected": "..."}}}}, the release of AVE-2, or CSV lines `clip,dog;rain`'
)
IRREGULAR = {"men": "man", "women": "woman", "children": "child", "people": "person"}
EMPTY = {"the", "and", "of", "a", "an", "in", "on", "with", "sound", "nois", "other"}  # roots that name nothing


@dataclass(frozen=True, slots=True)
class Truth:
    """The sources that sound, in words, and sentences that others published of the clip: {encoder: {way: text}}."""

    sources: tuple[str, ...]
    published: dict[str, dict[str, str]] = field(default_factory=dict)


def read_truth(path: Path) -> dict[str, Truth]:
    """Clip (its file's name, with or without extension) -> what sounds. Raises SourceError for another layout."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            return _of_csv(text)
        clips = json.loads(text)
        if isinstance(clips, list):
            return {str(row["sample_id"]): Truth(tuple(map(str, _of_row(row)))) for row in clips}
        return {stem(name): _of_json(value) for name, value in clips.items()}
    except OSError as error:
        found = f"the truth can't be read from {path}: {error.strerror or error}"
        raise SourceError(found, "check its name and rights") from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise SourceError(f"{path} has another layout ({error})", f"write it as {LAYOUT}") from error


def stem(name: str) -> str:
    """`clip.mp4` and `clip` are the same clip."""
    return Path(name).stem if Path(name).suffix else name


def _of_csv(text: str) -> dict[str, Truth]:
    rows = [row for row in csv.reader(text.splitlines()) if row and row[0].strip()]
    if rows and rows[0][0].strip().lower() in ("clip", "file", "name"):
        rows = rows[1:]
    return {stem(row[0].strip()): Truth(_listed(";".join(row[1:]))) for row in rows}


def _of_json(value: Any) -> Truth:
    if isinstance(value, str):
        return Truth(_listed(value))
    if isinstance(value, list):
        return Truth(tuple(map(str, value)))
    published = {name: {way: str(said) for way, said in ways.items()} for name, ways in
                 value.get("published_captions", {}).items()}  # fmt: skip
    return Truth(active(value["sources"]), published)


def _of_row(row: dict[str, Any]) -> list[Any]:
    return [*row["visible_active_sources"], *row["invisible_active_sources"]]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in re.split(r"[;,]", text) if part.strip())


def active(listed: Sequence[str] | str) -> tuple[str, ...]:
    """The sounding sources of a list with headings ("Visible Active:", "Visible Silent:"); without any, all of it."""
    heading, found = "active", list[str]()
    for line in [listed] if isinstance(listed, str) else listed:
        if line.strip().endswith(":"):
            heading = line.lower()
        elif "active" in heading:
            found += _listed(line)
    return tuple(found)


def named(sentence: str, sources: Sequence[str]) -> list[str]:
    """The sources that a sentence names: one word of theirs in any ending. `dog_bark` is named by dogs and barking."""
    said = roots(sentence)
    return [source for source in sources if said & (roots(source) - EMPTY)]


def roots(text: str) -> set[str]:
    """The roots of a text's words: how two texts are compared."""
    return {_root(word) for word in re.findall(r"[a-z]+", text.lower())}


def _root(word: str) -> str:
    """What is left of a word without its ending: bells -> bel, barking -> bark, waves -> wav, cries -> cri."""
    word = IRREGULAR.get(word, word)
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    word = word.removesuffix("e") if len(word) > 3 else word
    word = word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
    return word[:-1] + "i" if word.endswith("y") else word
