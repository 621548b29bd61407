"""`--localizer detector:MODEL`: things that can make what is heard, what of them moves with it, and from which side.

Where the detector has nothing to say of a sound, the answer is that of `synchrony`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avstream.localization.choosing import Candidate, Choice, choose, elsewhere, of_motion, taken
from avstream.localization.fusion import fuse, unattributed
from avstream.localization.grounding.thing import Detector, area
from avstream.localization.grounding.things import Sources, sources
from avstream.localization.localizer_synchrony import bearing_of
from avstream.localization.place import PerSource, Place, key_frame, key_time_s
from avstream.localization.stereo import Bearing
from avstream.localization.synchrony import Shot, Synchrony
from avstream.localization.tracks import Tracked, Tracks
from avstream.records import Box, Window

SURE_VISIBLE = 0.6  # the chance from which on there is a box,
STAYS = 0.5  # and down to which it stays on the thing that had it
SURE_ABSENT = 0.7
NEWEST = 0.5  # of what is believed of a thing's motion comes from the newest window: they overlap
MOST_BELIEFS = 200  # of things that left
NEAR_FILLS = 0.02  # of the picture
DARK, FLAT = 25.0, 12.0  # gray levels: a picture of less light, or less contrast, is not well seen
KNOWN_THING = 0.6  # the score from which on it is known what moves there
LOWER_FACE, HANDS = (0.3, 0.1, 0.7, 0.28), (0.0, 0.35, 1.0, 1.0)  # of a person's box
REGIONS = {"voice": (LOWER_FACE, HANDS), "hands": (HANDS, (0.0, 0.0, 1.0, 1.0)), "body": ((0.0, 0.0, 1.0, 1.0),)}


class _Seen:
    """What is remembered of one stream."""

    def __init__(self, sure: float) -> None:
        self.motion, self.tracks = Synchrony(), Tracks(sure)
        self.beliefs: dict[tuple[str, str], float] = {}  # of each label and track: what its motion says
        self.had: dict[str, str] = {}  # label -> the track that was given the box


@dataclass(frozen=True, slots=True)
class _Look:
    """One window: its motion, its side, and the things in its picture."""

    shot: Shot | None
    bearing: Bearing
    things: tuple[Tracked, ...]
    well_seen: bool
    alone: Place  # what synchrony says


class DetectorLocalizer:
    """Grounding, synchrony and stereo together. One picture a window is looked at, when something sounds in it."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._seen = PerSource(lambda: _Seen(detector.sure))

    def watch(self, window: Window, source: str) -> None:
        """Take the window's motion pictures."""
        self._seen.of(source, anew=not window.index).motion.watch(window)

    def places(self, window: Window, source: str, labels: Sequence[str]) -> tuple[Place, ...]:
        """One place a label."""
        seen = self._seen.of(source)
        wanted = [sources(label) for label in labels]
        look = self._look(window, seen, wanted)
        places = []
        for label, each in zip(labels, wanted, strict=True):
            alone = look.alone if len(labels) == 1 else unattributed(look.alone)
            places.append(self._place(label, each, replace(look, alone=alone), seen))
        return tuple(places)

    def _look(self, window: Window, seen: _Seen, wanted: Sequence[Sources]) -> _Look:
        """Detect, and see what moves."""
        at = key_frame(window)
        bearing = bearing_of(window.audio, window.rate_hz)
        shot = seen.motion.shot(window.start_s, window.end_s, window.audio, window.rate_hz, key_time_s(window))
        alone = fuse(None if shot is None else shot.map(), bearing)
        words = list(dict.fromkeys(word for each in wanted for word in each.words))
        known = any(each.known(self._detector.names) for each in wanted)
        if at is None or not (known or (words and alone.box is not None)):
            return _Look(shot, bearing, (), False, alone)
        things = self._detector.find(at.rgb, words)
        clear = well_lit(at.rgb) and any(one.score >= self._detector.sure for one in things)
        return _Look(shot, bearing, tuple(seen.tracks.update(things)), clear, alone)

    def _place(self, label: str, wanted: Sources, look: _Look, seen: _Seen) -> Place:
        """Where one label sounds. Of one that anything may make, no thing can be said to be something else."""
        if not wanted.words:
            return look.alone
        if not wanted.known(self._detector.names):
            return self._unless_taken(look)
        candidates = self._candidates(label, wanted, look, seen)
        fitting = [one for one in candidates if not elsewhere(one.box, look.bearing)]
        if fitting:
            choice = choose(fitting, look.bearing)
            track = choice.chosen[0].tracked.track
            if choice.chance >= (STAYS if track and track == seen.had.get(label) else SURE_VISIBLE):
                seen.had[label] = track
                return chosen(choice, look)
        seen.had.pop(label, None)
        return self._not_there(wanted, look, bool(candidates))

    def _candidates(self, label: str, wanted: Sources, look: _Look, seen: _Seen) -> list[Candidate]:
        """The things that can make the sound; those that play it only where it is not there itself."""
        least = NEAR_FILLS if wanted.near else 0.0
        sure = [one for one in look.things if one.thing.score >= self._detector.sure and area(one.thing.box) >= least]
        for names in (wanted.things, wanted.players):
            fitting = [one for one in sure if one.thing.name in names]
            if fitting:
                return [
                    Candidate(one, names[one.thing.name], believed(label, one, wanted, look.shot, seen))
                    for one in fitting
                ]
        return []

    def _not_there(self, wanted: Sources, look: _Look, unsure: bool) -> Place:
        """The place when no thing has the sound: what moves with it may still, or nothing of it is in the picture."""
        fits = {*wanted.things, *wanted.players}
        weak = [one for one in look.things if one.thing.name in fits and not elsewhere(one.thing.box, look.bearing)]
        moving = self._unless_taken(look)
        if moving.visible is not None or (unsure and weak):
            return moving
        if wanted.absent is not None and look.well_seen and not weak and wanted.absent >= SURE_ABSENT:
            return replace(moving, visible=False, absent=wanted.absent)
        return moving

    def _unless_taken(self, look: _Look) -> Place:
        """Synchrony's answer, unless what moves is a thing that is known: that can't make the sound, or was weighed
        with all of its motion.
        """
        place, least = look.alone, max(KNOWN_THING, self._detector.sure)
        if place.box is not None and taken(
            place.box, [one.thing.box for one in look.things if one.thing.score >= least]
        ):
            return replace(place, visible=None, box=None, heatmap=None)
        return place


def chosen(choice: Choice, look: _Look) -> Place:
    """The place of what was chosen. Synchrony's heatmap stays where it lies in the box."""
    several = len(choice.chosen) > 1 and not choice.group
    boxes = tuple(one.box for one in choice.chosen) if several else ()
    outline = () if len(choice.chosen) > 1 else choice.chosen[0].tracked.thing.outline
    heat = within(look.alone.heatmap, choice.box)
    side = look.alone.direction
    return Place(True, heat, choice.box, side, choice.chance, 1 - choice.chance, boxes, outline)


def within(heat: NDArray[np.float32] | None, box: Box) -> NDArray[np.float32] | None:
    """A heatmap inside a box; None when its hottest place is elsewhere."""
    if heat is None:
        return None
    rows, columns = heat.shape
    mask = np.zeros_like(heat)
    mask[int(box[1] * rows) : int(np.ceil(box[3] * rows)), int(box[0] * columns) : int(np.ceil(box[2] * columns))] = 1
    kept = heat * mask
    return kept if kept.max() >= heat.max() > 0 else None


def believed(label: str, one: Tracked, wanted: Sources, shot: Shot | None, seen: _Seen) -> float:
    """What the motion of a thing says for it, over the windows that it was seen in; log odds."""
    key = label, one.track
    before = seen.beliefs.get(key) if one.track else None
    now = before or 0.0
    if shot is not None and wanted.moves in REGIONS:
        fits = shot.fits([part(one.thing.box, region) for region in REGIONS[wanted.moves]])
        found = of_motion(fits, shot.share)
        now = found if before is None else before + NEWEST * (found - before)
    if one.track:
        seen.beliefs.pop(key, None)
        seen.beliefs[key] = now
        if len(seen.beliefs) > MOST_BELIEFS:
            seen.beliefs.pop(next(iter(seen.beliefs)))
    return now


def part(box: Box, region: Box) -> Box:
    """A region, in shares of a box, as a box of the picture."""
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    return left + region[0] * wide, top + region[1] * high, left + region[2] * wide, top + region[3] * high


def well_lit(rgb: NDArray[np.uint8]) -> bool:
    """Whether a picture has the light and the contrast that a detector needs."""
    small = rgb[::8, ::8]
    return float(small.mean()) >= DARK and float(small.std()) >= FLAT
