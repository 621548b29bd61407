"""Which things can make which sound: `things.yaml`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from avstream.errors import ConfigError
from avstream.vocabulary import ENTRIES, ancestors

TABLE = Path(__file__).with_name("things.yaml")
MOVES = ("voice", "hands", "body", "nothing")
UNLISTED = 0.6  # the chance of a thing that only the vocabulary names


@dataclass(frozen=True, slots=True)
class Sources:
    """What can make a sound: `things` by itself, else the `players`, each with its chance. See things.yaml; `kinds` is
    the share of the chances that things of its kinds have.
    """

    things: Mapping[str, float] = field(default_factory=dict)
    players: Mapping[str, float] = field(default_factory=dict)
    absent: float | None = None
    moves: str = "nothing"
    near: bool = False
    kinds: float | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """All that is to be looked for."""
        return (*self.things, *self.players)

    def known(self, names: frozenset[str] | None) -> bool:
        """Whether a detector of those names (None: any) would find some of it."""
        return bool(self.words) and (names is None or not names.isdisjoint(self.words))


@cache
def sources(label: str) -> Sources:
    """What can make the sound of a label: its own line of the table, else that of the nearest kind that it is of, else
    the things that the vocabulary names for it. Those are also what it has of the line of a general word.
    """
    listed, kinds = table(), [label]
    named = dict.fromkeys((ENTRIES[label].things if label in ENTRIES else ()) or (label.replace("_", " "),), UNLISTED)
    for name in kinds:  # breadth first: grows as it goes
        row = listed.get(name)
        if row and name == label:
            return with_kinds(label, row)
        if row and row.kinds is not None:
            return with_kinds(label, replace(row, things=named | dict(row.things)))
        if row and row.words:
            return row
        entry = ENTRIES.get(name)
        kinds += [kind for kind in entry.kinds if kind not in kinds] if entry else []
    return Sources(named)


def with_kinds(label: str, row: Sources) -> Sources:
    """A line, if it is a general word's with the things of all that is a kind of the label, each with its best chance;
    not of quiet ones, which are heard as what they are or not at all.
    """
    if row.kinds is None:
        return row
    things = dict(row.things)
    for kind in (one for name, one in table().items() if label in ancestors(name) and not one.near):
        for thing, chance in kind.things.items():
            things[thing] = max(things.get(thing, 0.0), round(row.kinds * chance, 3))
    return replace(row, things=things)


@cache
def table() -> dict[str, Sources]:
    """things.yaml by label. Raises ConfigError, as `read`."""
    return read(TABLE)


def read(path: Path) -> dict[str, Sources]:
    """A file of that form. Raises ConfigError, which names the label."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {' '.join(str(error).split())}", "correct the file") from error
    if not isinstance(rows, dict):
        raise ConfigError(f"a {type(rows).__name__}", expected=f"`label: {{things: ...}}` lines in {path}")
    return {str(label): _row(row, f"{path}: {label}") for label, row in rows.items()}


def _row(row: Any, where: str) -> Sources:
    if not isinstance(row, dict) or set(row) - {"things", "else", "kinds", "absent", "moves", "near"}:
        raise ConfigError(f"{row!r}", expected=f"{{things, else, kinds, absent, moves, near}} in {where}")
    named = (*_names(row, "things", where).values(), *_names(row, "else", where).values())
    for chance in (*named, row.get("absent", 0), row.get("kinds", 0)):
        if isinstance(chance, bool) or not isinstance(chance, (int, float)) or not 0 <= chance <= 1:
            raise ConfigError(f"{chance!r}", expected=f"chances from 0 to 1 in {where}")
    if row.get("moves", "nothing") not in MOVES:
        raise ConfigError(f"{row['moves']!r}", expected=f"moves to be one of {', '.join(MOVES)} in {where}")
    names = (_names(row, "things", where), _names(row, "else", where))
    if not isinstance(row.get("near", False), bool):
        raise ConfigError(f"{row['near']!r}", expected=f"near to be true or false in {where}")
    return Sources(*names, row.get("absent"), row.get("moves", "nothing"), row.get("near", False), row.get("kinds"))


def _names(row: dict[str, Any], key: str, where: str) -> dict[str, float]:
    found = row.get(key, {})
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ConfigError(f"{found!r}", expected=f"`name: chance` as {key} in {where}")
    return found
