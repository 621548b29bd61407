"""How a sound is put into words: the caption in brackets, the plain sentence, and how sureness is said.

Captions follow the accessibility conventions: lower case in square brackets, source first, a participle while
the sound goes on, the direction in words, and "probably" or "possibly" for what is not sure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from avstream.records import Problem, Sound
from avstream.vocabulary import ENTRIES, OTHER

UNIDENTIFIED = "unidentified sound"
SURE, LIKELY = 0.8, 0.5  # below the first a caption says "probably", below the second "possibly"
POSSIBLE = LIKELY - 0.05  # the cap for what may only be said with "possibly": it begins no event


def words(label: str) -> str:
    """`dog barking`: the caption words of a label."""
    return ENTRIES[label].caption if label in ENTRIES else UNIDENTIFIED


def claim(sound: Sound) -> str:
    """`probably dog barking`: what was heard and how surely, without where."""
    return hedge(sound) + words(sound.label)


def hedge(sound: Sound) -> str:
    """How surely it is said: nothing, "probably " or "possibly ". An unidentified sound claims nothing to doubt."""
    if sound.label == OTHER or sound.confidence >= SURE:
        return ""
    return "probably " if sound.confidence >= LIKELY else "possibly "


def phrase(sound: Sound) -> str:
    """`dog barking, left`: the caption words of one sound, without brackets."""
    text = claim(sound)
    if sound.direction in ("left", "right"):
        text += f", {sound.direction}"
    if sound.visible is False:
        text += ", off-screen"
    return text


def caption(sounds: Sequence[Sound]) -> str:
    """`[dog barking, left] [rain falling]`; empty when nothing sounds."""
    return " ".join(f"[{phrase(sound)}]" for sound in sounds)


def clock(time_s: float) -> str:
    """`0:05` or `1:02:03`: a stream time as people read it."""
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def sentence(sounds: Sequence[Sound]) -> str:
    """`a dog is barking and probably rain is falling.`: the evidence in plain words; empty for silence."""
    clauses = []
    for sound in sounds:
        clause = ENTRIES[sound.label].sentence if sound.label in ENTRIES else f"an {UNIDENTIFIED} is heard"
        clauses.append(hedge(sound) + clause)
    return " and ".join(clauses) + "." if clauses else ""


def listed(sounds: Sequence[Sound]) -> str:
    """`dog barking, probably rain falling.`: the evidence as a list; empty for silence."""
    return ", ".join(map(claim, sounds)) + "." if sounds else ""


def heard(sounds: Sequence[Sound]) -> str:
    """`Heard: dog barking and probably rain falling.`: the evidence as the language model is given it."""
    return "Heard: " + " and ".join(claim(sound) for sound in sounds) + "." if sounds else ""


def problem_text(problem: Problem) -> str:
    """`camera 0 was lost; check its plug; trying again in 2 s`: a problem as a sentence."""
    text = f"{problem.found}; {problem.fix}" if problem.fix else problem.found
    return text if problem.retry_s is None else f"{text}; trying again in {max(1, round(problem.retry_s))} s"


def unknown(what: str, name: str, known: Iterable[str]) -> tuple[str, str]:
    """`found` and `fix` of the error for a name that is not known; the fix names the nearest known one."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    choices = ", ".join(known)
    fix = f"did you mean {near[0]!r}? (known: {choices})" if near else f"use one of {choices}"
    return f"unknown {what} {name!r}", fix
