"""The seam of the listeners: samples -> the chance of each label, frame by frame, and what can be claimed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avstream import vocabulary
from avstream.listeners.calibration import logit, sigmoid
from avstream.vocabulary import OTHER

MOST_CLAIMS = 3  # a narration is a sentence, not a list
SURE_ENOUGH = 0.5  # "probably": below it a kind gives way to a general word that is this sure
ACTIVE = 0.5  # of its highest frame: where a sound is there
BRIDGED_S = 0.3  # a pause inside one sound
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What a listener makes of a stretch of sound: chances in [0, 1] of L labels and P parents.

    `frames` is (T, L), one every `hop_s` from the stretch's start on; `clip` is (L,), of the stretch as one; the same
    for the parents. `embedding` is (d,) or None.
    """

    frames: Floats
    clip: Floats
    hop_s: float
    parent_frames: Floats
    parent_clip: Floats
    embedding: Floats | None = None


class Listener(Protocol):
    """Turns sound into chances. `labels` are names of the vocabulary, `other` among them where it is trained.

    `parents` are general names that it is sure or unsure of by themselves, each with its kinds. A claim needs
    `thresholds`; a label without one, `SURE_ENOUGH`. `calibration` says in words what makes its chances true ones.
    """

    name: str
    rate_hz: int
    labels: tuple[str, ...]
    parents: dict[str, tuple[str, ...]]
    thresholds: dict[str, float]
    calibration: str

    def listen(self, samples: Floats) -> Heard:
        """Mono float32 (n,) in [-1, 1] at `rate_hz` -> what is in it. Any n from 1 on."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """A label, its chance, and where in the stretch it begins and ends (seconds; None: at or beyond its edge)."""

    label: str
    confidence: float
    onset_s: float | None = None
    end_s: float | None = None


def no_parents(frames: int) -> tuple[Floats, Floats]:
    """`parent_frames` and `parent_clip` of a listener that has none."""
    return np.zeros((frames, 0), np.float32), np.zeros(0, np.float32)


def mean(heard: Sequence[Heard]) -> Heard:
    """What one listener makes of stretches of one length, together: the means of its logits. Without `embedding`."""
    parts = ((one.frames, one.clip, one.parent_frames, one.parent_clip) for one in heard)
    frames, clip, parent_frames, parent_clip = (
        sigmoid(logit(np.stack(part)).mean(axis=0)).astype(np.float32) for part in zip(*parts, strict=True)
    )
    return Heard(frames, clip, heard[0].hop_s, parent_frames, parent_clip)


def claims(listener: Listener, heard: Heard, begin_s: float, end_s: float) -> list[Claim]:
    """What can be claimed of the part from `begin_s` to `end_s` of what was heard, the surest first.

    The most specific that is sure enough is said, and never together with what it is a kind of; else a general word;
    else `other`, a sound that is none of them. Silence is the caller's to see, from the level.
    """
    columns, chances = _chances(listener, heard, begin_s, end_s)
    found = {
        name: chance
        for name, chance in chances.items()
        if name != OTHER and vocabulary.sayable(name) and chance >= listener.thresholds.get(name, SURE_ENOUGH)
    }
    named = [chance for name, chance in chances.items() if name != OTHER and vocabulary.sayable(name)]
    unknown = max(chances.get(OTHER, 0.0), 1 - max(named, default=0.0))
    best = sorted(_specific(found, listener).items(), key=lambda item: -item[1])[:MOST_CLAIMS]
    if not best or best[0][1] < min(SURE_ENOUGH, chances.get(OTHER, 0.0)):
        best = [(OTHER, unknown)]
    return [
        Claim(name, float(chance), *_extent(columns.get(name), heard.hop_s, begin_s, end_s)) for name, chance in best
    ]


def _chances(
    listener: Listener, heard: Heard, begin_s: float, end_s: float
) -> tuple[dict[str, Floats], dict[str, float]]:
    """The frames (T,) and the chance of each name. A sound whose frames stand outside the part loses its chance."""
    names = (*listener.parents, *listener.labels)  # a label comes after a parent of its name, and so counts for it
    frames = np.concatenate([heard.parent_frames, heard.frames], axis=1)
    clip = np.concatenate([heard.parent_clip, heard.clip])
    inside = frames[_part(len(frames), heard.hop_s, begin_s, end_s)].max(axis=0)
    share = inside / np.maximum(frames.max(axis=0), 1e-6)
    chance = clip * np.minimum(1, share / ACTIVE)
    return dict(zip(names, frames.T, strict=True)), dict(zip(names, chance.tolist(), strict=True))


def _part(count: int, hop_s: float, begin_s: float, end_s: float) -> slice:
    """The frames that a part touches, one at least."""
    first = min(count - 1, max(0, int(begin_s / hop_s + 1e-6)))
    return slice(first, max(first + 1, min(count, int(np.ceil(end_s / hop_s - 1e-6)))))


def _specific(found: Mapping[str, float], listener: Listener) -> dict[str, float]:
    """Of names that stand for one sound, one: the special one where it is sure enough, else the general one."""
    kept = dict(found)
    spoken_for: set[str] = set()  # general words that stand for a special one
    for special, chance in found.items():
        own = {parent for parent, kinds in listener.parents.items() if special in kinds}
        general = vocabulary.covered(special) | own
        surer = max((found[name] for name in general - {special} if name in found), default=0.0)
        if chance < SURE_ENOUGH <= surer:
            kept.pop(special, None)
            spoken_for |= general
        else:
            for name in general - {special}:
                kept.pop(name, None)
    if any(name in listener.labels for name in kept):  # a general word beside a special one may be the same sound
        kept = {name: chance for name, chance in kept.items() if name in listener.labels or name in spoken_for}
    return _one_a_source(kept)


def _one_a_source(found: Mapping[str, float]) -> dict[str, float]:
    """Of the sounds of one thing (a bark, a growl) the surest: kinds of the same, made by the same."""
    kept: dict[str, float] = {}
    for name, chance in sorted(found.items(), key=lambda item: -item[1]):
        if not any(_same_source(name, other) for other in kept):
            kept[name] = chance
    return kept


def _same_source(one: str, other: str) -> bool:
    a, b = vocabulary.ENTRIES.get(one), vocabulary.ENTRIES.get(other)
    if a is None or b is None or not a.kinds or a.kinds[0] not in b.kinds:
        return False
    narrow = bool(vocabulary.ancestors(a.kinds[0]))  # laughter, not person
    return bool(set(a.things) & set(b.things)) or (narrow and not a.things and not b.things)


def _extent(frames: Floats | None, hop_s: float, begin_s: float, end_s: float) -> tuple[float | None, float | None]:
    """Where the sound that is strongest within a part begins and ends, pauses of BRIDGED_S apart."""
    if frames is None or len(frames) < 2:
        return None, None
    part = _part(len(frames), hop_s, begin_s, end_s)
    middle = part.start + int(frames[part].argmax())
    active = frames >= ACTIVE * frames.max()
    bridged = max(1, round(BRIDGED_S / hop_s))
    first = last = middle
    while (earlier := np.flatnonzero(active[max(0, first - bridged) : first])).size:
        first = max(0, first - bridged) + int(earlier[0])
    while (later := np.flatnonzero(active[last + 1 : last + 1 + bridged])).size:
        last = last + 1 + int(later[-1])
    return first * hop_s if first else None, (last + 1) * hop_s if last + 1 < len(frames) else None
