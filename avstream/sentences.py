"""Whether a sentence claims only what was heard. What is said to sound must be evidence; what is seen may be said.

"A dog barks by the fire": barking is said to sound, the fire is scenery. A sentence makes a claim

- by a word that is a sound: a bark, singing, "thunder";
- by what a thing does: an engine runs, waves break, a guitar plays; almost anything hums, roars or beeps;
- by saying so: "the sound of a car", "I hear a cat", "a train can be heard".

The words are the vocabulary's; this module has only those of hearing, seeing and place. It reads clauses, not grammar:
strict where the two differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from avstream.records import Sound
from avstream.vocabulary import ENTRIES, OTHER, ancestors, covered, is_kind
from avstream.wording import LIKELY, listed, sentence

HARD = set(". ; : ! ? ( ) while as but when whenever where whereas because although though until since then".split())
SOFT = set(", and or with plus amid".split())
NEGATIONS = set(
    "no not without never nothing neither nor silent silently quiet quietly muted inaudible isn't aren't can't cannot "
    "doesn't don't".split()
)
SEEN = set(
    "picture photo photograph image scene video frame painting poster sign logo toy statue seen visible shown shows "
    "show depicts depicted see sees looks appears visually view drawing drawn".split()
)
PLACES = set(
    "in on at by near beside behind under below above over inside outside across past around along next front between "
    "toward towards against onto into beneath beyond through opposite through atop".split()
)
BE = set("is are was were be been being am has have had can could may might seems seem appears".split())
VERBS = set(
    "sit sits stand stands lie lies walk walks run runs rest rests sleep sleeps wait waits hold holds wear wears watch "
    "watches look looks move moves pass passes drive drives go goes come comes hang hangs face faces fill fills make "
    "makes use uses ride rides take takes get gets continue continues start starts begin begins".split()
)
AGENTS = {"person"}
NOISES = set("sound sounds noise noises audio".split())
GENERIC = (
    "ring sound hum buzz roar rumble hiss whir whirr beep rattle click clatter bang crash howl whine screech squeal "
    "squeak creak chime blare clang clank echo drone jingle clink crackle whistle wail boom resound toot honk chug "
    "sputter tick thud thump pound grind gurgle splash rustle reverberate"
).split()
HEDGES = set("possibly maybe perhaps probably might may could seems seem likely apparently sounds".split())
Labels = frozenset[str]


@dataclass(slots=True)
class Item:
    """A word or phrase of the vocabulary in a clause: a `thing`, a `sound`, or an `act`; `generic` is anybody's act."""

    kind: str
    text: str
    labels: Labels
    begin: int
    end: int
    generic: bool = False


@dataclass(slots=True)
class Said:
    """What a text claims: each claim is the labels it may stand for. `seen` are those of sounds that it says are seen
    ("the picture shows a barking dog"), `named` those of the things that it merely names.
    """

    claims: list[Labels] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    noise: bool = False  # a sound without a name


def agrees(text: str, sounds: Sequence[Sound]) -> bool:
    """Whether a sentence may stand for the evidence: it claims nothing else, says all that is at least likely, and
    does not say plainly what is only possible.
    """
    if not text or not sounds:
        return False
    if plain(text) in (plain(sentence(sounds)), plain(listed(sounds))):
        return True
    found, heard = said(text), [sound.label for sound in sounds]
    if heard == [OTHER]:
        return not found.claims and found.noise
    if not all(any(fits(label, one) for label in claim for one in heard) for claim in found.claims):
        return False
    wanted = [sound.label for sound in sounds if sound.confidence >= LIKELY] or heard[:1]
    mentioned = [*found.claims, frozenset(found.seen)]
    if not all(any(fits(label, one) for claim in mentioned for label in claim) for one in wanted):
        return False
    return sounds[0].confidence >= LIKELY or hedged(text)


def plain(text: str) -> list[str]:
    """A text without its case and the mark at its end."""
    return text.lower().rstrip(" .!").split()


def fits(label: str, heard: str) -> bool:
    """Whether a word for a sound is right for what was heard: the same, a general word for it, or its very voice."""
    if label == heard or label in covered(heard):
        return True
    if label not in ENTRIES or heard not in ENTRIES or not is_kind(label, heard):
        return False
    things, own = set(ENTRIES[heard].things), set(ENTRIES[label].things)
    return bool(things & own) or (not own and bool(ancestors(heard)))


def hedged(text: str) -> bool:
    """Whether a text says that it is not sure."""
    return bool(set(words_of(text)) & HEDGES)


def said(text: str) -> Said:
    """What a text says to sound, clause by clause."""
    found = Said()
    for clause in clauses(words_of(text)):
        read(clause, found)
    return found


def words_of(text: str) -> list[str]:
    """Lower-case words and marks; a possessive loses its s."""
    text = text.lower().replace("’", "'").replace("'s ", " ")
    return re.findall(r"[a-z0-9]+(?:[-'&][a-z]+)*|[.;:!?,()]", text)


def clauses(words: Sequence[str]) -> list[list[str]]:
    """Words -> clauses. A list of things goes to the verb that it belongs to."""
    found: list[list[str]] = []
    for part in split(words, HARD):
        waiting: list[str] = []
        done: list[list[str]] = []
        for piece in split(part, SOFT):
            if has_verb(piece):
                done.append([*waiting, *piece])
                waiting = []
            elif done:
                done[-1] += piece
            else:
                waiting += piece
        found += done or [waiting]
        if done:
            done[-1] += waiting
    return [clause for clause in found if clause]


def split(words: Iterable[str], marks: set[str]) -> list[list[str]]:
    """Words at the marks apart; a mark that is a word begins the next part."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word in marks:
            parts.append([word] if word.isalpha() else [])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def has_verb(words: Sequence[str]) -> bool:
    """Whether a piece says what something does."""
    if any(word in BE or word in VERBS for word in words):
        return True
    items = items_of(words)
    things = {place for item in items if item.kind == "thing" for place in range(item.begin, item.end)}
    acting = any(item.kind != "thing" for item in items)
    return acting or any(word.endswith(("ing", "ed")) for place, word in enumerate(words) if place not in things)


def read(words: Sequence[str], found: Said) -> None:
    """Add what one clause claims."""
    items = items_of(words)
    things = [item for item in items if item.kind == "thing"]
    found.named |= {label for item in things if not located(words, item) for label in item.labels}
    framed = [frame for frame in frames(words) if not negated(words, frame[0])]
    found.noise |= any(word in NOISES for word in words)
    seen = not framed and bool(SEEN & set(words))
    bound: set[int] = set()
    acted: set[int] = set()  # where an act has its doer: birds that sing do not sing as people do
    named = {item.begin for item in items if item.kind == "sound"}
    for item in sorted(items, key=lambda item: item.kind):
        if item.kind == "thing" or item.begin in acted or negated(words, item.begin):
            continue
        labels, owners = meant(words, item, things)
        if not labels or (item.kind == "act" and not owners and item.begin in named):
            continue
        if item.kind == "act" and owners:
            acted.add(item.begin)
        bound |= owners
        if seen:
            found.seen |= labels
        else:
            found.claims.append(labels)
    for place, forward in framed:
        scope = [
            item
            for item in things
            if (item.begin > place) == forward and item.begin not in bound and not located(words, item)
        ]
        patient = [item for item in scope if not item.labels & AGENTS]
        alone = scope if not bound else []
        found.claims += [item.labels for item in patient or alone]


def meant(words: Sequence[str], item: Item, things: Sequence[Item]) -> tuple[Labels, set[int]]:
    """The labels that a sound or an act may stand for in its clause, and the things (by place) that it belongs to."""
    free = [thing for thing in things if not located(words, thing) or item.begin == thing.end]
    if item.kind == "sound":
        own = [thing for thing in things if thing.labels & item.labels]
        narrowed = frozenset(label for thing in own for label in thing.labels & item.labels)
        labels = narrowed | frozenset(label for label in item.labels if not ENTRIES[label].things) or item.labels
        owner = subject(words, item, free)
        general = frozenset().union(*(ancestors(label) for label in item.labels))  # water splashes: no other water
        if item.generic and owner is not None and not own and not owner.labels & general:
            return item.labels | owner.labels, {owner.begin}
        return labels, {thing.begin for thing in own}
    doers = [thing for thing in free if thing.labels & item.labels]
    if doers:
        doer = subject(words, item, doers) or doers[0]
        return doer.labels & item.labels, {doer.begin}
    if not item.generic:
        return frozenset(), set()
    owner = subject(words, item, free)
    if owner is None or owner.labels & AGENTS:
        return item.labels, set()
    return owner.labels, {owner.begin}


def subject(words: Sequence[str], item: Item, things: Sequence[Item]) -> Item | None:
    """The thing that does something: the last before it, else the first after it; of "the motor of a car" the motor."""
    before = [thing for thing in things if thing.end <= item.begin]
    heads = [thing for thing in before if "of" not in words[max(0, thing.begin - 3) : thing.begin]]
    return (heads or before)[-1] if before else next(iter(things), None)


def located(words: Sequence[str], item: Item) -> bool:
    """Whether a thing only says where: "by the old fire"."""
    return any(word in PLACES for word in words[max(0, item.begin - 3) : item.begin] if word not in NOISES)


def negated(words: Sequence[str], place: int) -> bool:
    """Whether a word stands under a "no" or "not"."""
    return any(word in NEGATIONS for word in words[max(0, place - 4) : place])


def frames(words: Sequence[str]) -> list[tuple[int, bool]]:
    """Where a clause speaks of hearing, and whether what is heard follows: (place, forward)."""
    found = []
    for place, word in enumerate(words):
        before, after = words[max(0, place - 3) : place], words[place + 1 : place + 4]
        if word in ("hear", "hears", "hearing") or (word.startswith("listen") and "to" in after):
            found.append((place, True))
        elif word == "heard":
            passive = any(one in BE for one in before) or not before
            found.append((place, not (passive and place)))
        elif word in ("audible", "hearable"):
            found.append((place, False))
        elif word in NOISES and {"of", "from", "like", "by"} & set(after[:3]):
            found.append((place, True))
        elif word in NOISES and any(one in ("making", "makes", "make", "made") for one in before):
            found.append((place, False))
    return found


def items_of(words: Sequence[str]) -> list[Item]:
    """The vocabulary's words in a clause, the longest phrase first, none twice."""
    table, found, place = lexicon(len(ENTRIES)), [], 0
    while place < len(words):
        for length in (4, 3, 2, 1):
            entry = table.get(tuple(words[place : place + length])) if place + length <= len(words) else None
            if entry is not None:
                break
        if entry is None:
            place += 1
            continue
        text = " ".join(words[place : place + length])
        found += [Item(kind, text, labels, place, place + length, text in generic_forms()) for kind, labels in entry]
        place += length
    ends = {item.end for item in found if item.kind == "thing"}
    return [item for item in found if item.text not in NOISES or (item.begin in ends and not is_noun(words, item))]


def is_noun(words: Sequence[str], item: Item) -> bool:
    """`sounds` of something: not what something does, as an alarm sounds."""
    return item.end < len(words) and words[item.end] in ("of", "from", "like", "is", "are", "can")


@lru_cache(maxsize=1)
def generic_forms() -> frozenset[str]:
    """The forms of what almost anything does."""
    return frozenset(form for word in GENERIC for form in forms(word))


@lru_cache(maxsize=2)
def lexicon(size: int) -> dict[tuple[str, ...], list[tuple[str, Labels]]]:
    """Phrase -> what it may be, from the vocabulary (of that size: a run may learn more)."""
    table: dict[tuple[str, ...], dict[str, set[str]]] = {}

    def add(kind: str, phrase: str, label: str) -> None:
        for form in forms(phrase) if kind != "thing" else plurals(phrase):
            table.setdefault(tuple(form.split()), {}).setdefault(kind, set()).add(label)

    for label, entry in ENTRIES.items():
        for kind, phrases in (("thing", entry.things), ("sound", entry.sounds), ("act", entry.acts)):
            for phrase in phrases:
                add(kind, phrase, label)
    for word in GENERIC:
        for form in forms(word):
            row = table.setdefault((form,), {})
            if "sound" not in row:
                row.setdefault("act", set())
    for words, row in table.items():  # a church bell is a bell: what stands before the noun may be seen
        if len(words) > 1 and "thing" in row:
            row["thing"] |= table.get(words[-1:], {}).get("thing", set())
    return {words: [(kind, frozenset(labels)) for kind, labels in row.items()] for words, row in table.items()}


def plurals(phrase: str) -> set[str]:
    """A noun and its plural; of a phrase, the last word's."""
    if phrase.endswith(("s", "x", "z", "ch", "sh")):
        return {phrase, phrase + "es"}
    if re.search(r"[^aeiou]y$", phrase):
        return {phrase, phrase[:-1] + "ies"}
    return {phrase, phrase + "s"}


def forms(phrase: str) -> set[str]:
    """A verb or noun with its endings; of a phrase, the last word's. Some of them are no words, which does no harm."""
    found = plurals(phrase) | {phrase + "ing", phrase + "ed"}
    if phrase.endswith("e"):
        found |= {phrase[:-1] + "ing", phrase + "d"}
    if re.search(r"[^aeiou][aeiou][bdgmnprt]$", phrase):
        found |= {phrase + phrase[-1] + "ing", phrase + phrase[-1] + "ed"}
    if re.search(r"[^aeiou]y$", phrase):
        found |= {phrase[:-1] + "ied"}
    return found
