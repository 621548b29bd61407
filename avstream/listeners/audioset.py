"""What AudioSet's listeners share: their 527 (YAMNet: 521) scores as chances of the vocabulary, parents included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avstream.listeners.base import Floats, Heard
from avstream.listeners.calibration import Calibration
from avstream.vocabulary import AUDIOSET, ENTRIES, PARENTS

LEFT_OUT = {"male_speech", "female_speech", "battle_cry", "male_singing", "female_singing", "funny_music"}
YAMNET: tuple[str, ...] = tuple(name for name in AUDIOSET if name not in LEFT_OUT)
LEAST = 0.1  # chances below it are no sign: hundreds of them would add up to anything
KINDS: dict[str, tuple[str, ...]] = {  # the general words that AudioSet has no class for
    parent: tuple(name for name in AUDIOSET if parent in ENTRIES[name].kinds)
    for parent in PARENTS
    if parent not in AUDIOSET
}


def heard(
    frames: Floats,
    clip: Floats,
    hop_s: float,
    names: Sequence[str],
    calibration: Calibration,
    embedding: Floats | None = None,
) -> Heard:
    """Scores of AudioSet's classes, frames (T, L) and clip (L,), calibrated, and with the chances of the parents."""
    frames, clip = calibration(frames, names), calibration(clip, names)
    return Heard(frames, clip, hop_s, any_of(frames, names), any_of(clip, names), embedding)


def any_of(chances: Floats, names: Sequence[str]) -> Floats:
    """(..., L) -> (..., P): the chance that any direct kind of each parent sounds, as if they were independent."""
    columns = {name: place for place, name in enumerate(names)}
    found = np.where(chances < LEAST, 0, chances)
    parts = [
        1 - np.prod(1 - found[..., [columns[kind] for kind in kinds if kind in columns]], axis=-1)
        for kinds in KINDS.values()
    ]
    return np.stack(parts, axis=-1).astype(np.float32)


def by_titles(titles: Sequence[str]) -> tuple[str, ...]:
    """Names of the vocabulary for AudioSet's display names. Raises ValueError for a title that is not AudioSet's."""
    known = {ENTRIES[name].title.lower(): name for name in AUDIOSET}
    strange = [title for title in titles if title.lower() not in known]
    if strange:
        raise ValueError(f"expected classes of AudioSet, found {strange[0]!r}")
    return tuple(known[title.lower()] for title in titles)
