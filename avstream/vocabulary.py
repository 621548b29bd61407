"""The one vocabulary: AudioSet's 527 classes and a few that homes need, each with its words and what it is a kind of.

`vocabulary.tsv` has a line a sound: the name that options, JSON and MQTT use; AudioSet's id and title (in AudioSet's
own order, which is that of its models' outputs); `kinds`, what it is a kind of; `also`, what is heard along with it and
is not said beside it; the words for it in a sentence (`things` that make it, words that are the `sounds` themselves,
and `acts`, which mean the sound only of such a thing); a caption, a plain sentence, and other words people look for.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

OTHER = "other"  # a sound that is there, and is none of these
SCENE = "scene"  # kinds of it are places and qualities, which are not said as sounds
AUDIOSET_CLASSES = 527


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the vocabulary; `caption` has no brackets, `sentence` no capital and no full stop."""

    name: str
    id: str
    title: str
    kinds: tuple[str, ...]
    also: tuple[str, ...]
    things: tuple[str, ...]
    sounds: tuple[str, ...]
    acts: tuple[str, ...]
    caption: str
    sentence: str
    aliases: tuple[str, ...]

    @property
    def words(self) -> set[str]:
        """Every single word that names it, for who looks for it."""
        texts = (self.name.replace("_", " "), self.title, self.caption, *self.things, *self.sounds, *self.aliases)
        return set(re.findall(r"[a-z]+", " ".join(texts).lower()))


def _read(path: Path) -> dict[str, Entry]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    lists = {"kinds": " ", "also": " ", "things": ",", "sounds": ",", "acts": ",", "aliases": ","}
    entries = {}
    for row in rows:
        parts: dict[str, Any] = {key: tuple(filter(None, row[key].split(mark))) for key, mark in lists.items()}
        entries[row["name"]] = Entry(**{**row, **parts})
    return entries


ENTRIES: dict[str, Entry] = _read(Path(__file__).with_name("vocabulary.tsv"))
AUDIOSET: tuple[str, ...] = tuple(ENTRIES)[:AUDIOSET_CLASSES]  # in the order of AudioSet's models
PARENTS: tuple[str, ...] = (
    "animal", "person", "music", "water", "vehicle", "machine", "signal", "bang", "object", "weather",
)  # fmt: skip


@cache
def ancestors(name: str) -> frozenset[str]:
    """All that a sound is a kind of: `dog_bark` -> dog, pet, animal."""
    kinds = ENTRIES[name].kinds if name in ENTRIES else ()
    return frozenset(kinds).union(*(ancestors(kind) for kind in kinds))


@cache
def covered(name: str) -> frozenset[str]:
    """All that is not said beside a sound, since it is said with it: what it is a kind of, and what goes along."""
    also = ENTRIES[name].also if name in ENTRIES else ()
    found = ancestors(name).union(also, *(ancestors(one) for one in also))
    return found.union(*(ENTRIES[one].also for one in ancestors(name))) - {name}


def is_kind(name: str, of: str) -> bool:
    """Whether a sound is another, or a kind of it."""
    return name == of or of in ancestors(name)


def includes(names: Iterable[str], name: str) -> bool:
    """Whether a sound, or what it is a kind of, is among the names."""
    names = set(names)
    return name in names or not names.isdisjoint(ancestors(name))


def sayable(name: str) -> bool:
    """Whether it is a sound: a place, an echo or silence are classes of AudioSet, too."""
    return SCENE not in ancestors(name) and name != SCENE


def known(name: str) -> bool:
    """Whether a name is one of the vocabulary, or `other`."""
    return name == OTHER or name in ENTRIES


def slug(text: str) -> str:
    """`My cat!` -> `my_cat`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def learn(text: str) -> str:
    """Take a label in a user's own words into the vocabulary of this run; its name, an old one where there is one.

    Raises ValueError for a text without letters.
    """
    name = slug(text)
    if not name:
        raise ValueError(f"expected words for a sound such as kettle whistling, found {text!r}")
    if not known(name):
        by_caption = {slug(entry.caption): entry.name for entry in reversed(ENTRIES.values()) if entry.id}
        if name in by_caption:
            return by_caption[name]
        words = " ".join(text.split())
        ENTRIES[name] = Entry(
            name, "", words, (), (), (words.lower(),), (words.lower(),), (), words, f"{words} is heard", ()
        )
    return name


def unknown(name: str) -> tuple[str, str]:
    """`found` and `fix` of the error for a sound that is not known; the fix names those that are meant most likely."""
    meant = suggestions(name)
    all_of_them = "`avstream labels` lists what there is"
    fix = f"did you mean {' or '.join(map(repr, meant))}? ({all_of_them})" if meant else all_of_them
    return f"unknown sound {name!r}", fix


def suggestions(name: str, most: int = 3) -> list[str]:
    """Names that people may mean by one that is not known: by its words first, then by its spelling."""
    asked = set(re.findall(r"[a-z]+", name.lower()))
    ranked = []
    for place, entry in enumerate(ENTRIES.values()):
        hit = len(asked & entry.words)
        if hit and sayable(entry.name):
            named = len(asked & set(entry.name.split("_")))
            ranked.append((-hit, not _of_homes(entry.name), -named, place, entry.name))
    if ranked:
        return [found[-1] for found in sorted(ranked)[:most]]
    return difflib.get_close_matches(slug(name), ENTRIES, n=1)


def _of_homes(name: str) -> bool:
    """Whether a sound is likelier asked for in a home than others of its words."""
    return name in HOME or includes(("alarm",), name)


HOME: tuple[str, ...] = tuple(
    "dog_bark rain sea_waves baby_cry clock_tick sneeze helicopter chainsaw rooster fire_crackling speech guitar piano "
    "bell alarm doorbell phone_ring siren car_horn knock engine cat_meow birds crow hen cow sheep pig frog crickets "
    "insects cough laughter breathing snoring clapping footsteps brushing_teeth drinking scream singing whistling "
    "music drum violin flute door door_creak glass_breaking can_opening keyboard_typing mouse_click vacuum_cleaner "
    "washing_machine drill hand_saw water_drops water_pouring water_running water_splash toilet_flush thunder wind "
    "train airplane fireworks gunshot".split()
)  # what nano's listener hears, in its order
