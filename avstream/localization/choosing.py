"""Which of the things in a picture sounds, if any: fusion, second edition. Ours.

A thing that can make the sound stands in the picture: `things.yaml` has the chance that it is the one. Its own motion
then speaks for or against it, and so does the side that is heard. On drawn scenes both tell well (`choosing.json`,
fitted there); in films about half of what sounds doesn't visibly move with it, and microphones need not face where the
camera does, so both count as a mixture, which bounds what they can say against a thing more than for one. Of a shot
that fills half of the window motion counts half: on 400 drawn scenes that were cut to half, that lowered the
calibration error from 0.091 to 0.042.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from avstream.localization.fit import Fit
from avstream.localization.fusion import APART
from avstream.localization.grounding.thing import covered
from avstream.localization.stereo import Bearing
from avstream.localization.tracks import Tracked
from avstream.records import Box

TABLE = Path(__file__).with_name("choosing.json")
FEATURES = ("correlation", "half", "spared", "freedom")
MOVES_WITH_IT = 0.5  # of the things that sound in films: an assumption, not a measurement
FACES_IT = 0.5  # of the microphones, as the camera does: another one
SINGLED_OUT = 0.6  # of all that speaks for any thing: what one must have to be the one
MOST = 4  # things that are named together
STANDS_WITH = 1.0  # sizes: things of one name that are nearer than that are a group
GROUP = 3  # things: fewer are named one by one


@dataclass(frozen=True, slots=True)
class Candidate:
    """A thing that can make the sound, the chance that it does (0..1), and what motion says for it, in log odds."""

    tracked: Tracked
    chance: float
    motion: float = 0.0

    @property
    def box(self) -> Box:
        """Where it is."""
        return self.tracked.thing.box


@dataclass(frozen=True, slots=True)
class Choice:
    """The chance that one of the candidates sounds, and which: the likeliest first, one alone when it stands out."""

    chance: float
    chosen: tuple[Candidate, ...]

    @property
    def box(self) -> Box:
        """Of the likeliest, or of the group when it is one."""
        return hull(self.chosen) if self.group else self.chosen[0].box

    @property
    def group(self) -> bool:
        """Whether they stand together, as bells do in a tower: one place, and not several."""
        return len(self.chosen) >= GROUP and together(self.chosen)


def choose(candidates: Sequence[Candidate], bearing: Bearing) -> Choice:
    """Weigh at least one candidate. One of n sounds, or none does: the odds are those of the mean of their evidence."""
    weights = np.array([np.exp(one.motion + of_ears(one.box, bearing)) for one in candidates])
    prior = max(one.chance for one in candidates)
    odds = prior / max(1e-6, 1 - prior) * float(weights.mean())
    shares = weights * [one.chance for one in candidates]
    shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")
    best = candidates[int(order[0])]
    chosen = (best,) if shares[order[0]] >= SINGLED_OUT else tuple(candidates[int(k)] for k in order)
    if not (len(chosen) >= GROUP and together(chosen)):
        chosen = chosen[:MOST]
    return Choice(odds / (1 + odds), chosen)


def of_motion(fits: Sequence[Fit], share: float) -> float:
    """How much the fits of a thing's parts to the sound say for it, in log odds, at least log(1 - MOVES_WITH_IT): any
    one of the parts may move with it. `share` is how much of the window they are of, 0..1.
    """
    table = weights()
    values = np.array([[fit.correlation, fit.half, fit.spared, fit.freedom, 1.0] for fit in fits])
    values[:, :-1] = (values[:, :-1] - table["mean"]) / table["scale"]
    drawn = np.exp(np.clip(share * (values @ table["sounds"]), -20, 20)).mean()
    return float(np.log(MOVES_WITH_IT * drawn + 1 - MOVES_WITH_IT))


def of_ears(box: Box, bearing: Bearing) -> float:
    """What the side that is heard says for a thing there, in log odds: nothing when it is not sure or not there."""
    if not beside(box, bearing):
        return 0.0
    faces = FACES_IT * bearing.confidence
    return float(np.log(faces * np.exp(weights()["beside"]) + 1 - faces))


def beside(box: Box, bearing: Bearing) -> bool:
    """Whether the ears are sure that it sounds near a box, which does not fill the picture."""
    return bearing.side is not None and away(box, bearing) < APART / 2 and box[2] - box[0] < 0.5


def elsewhere(box: Box, bearing: Bearing) -> bool:
    """Whether the ears are sure that it sounds far from a box."""
    return bearing.side is not None and away(box, bearing) > APART


def away(box: Box, bearing: Bearing) -> float:
    """How far a box is from where it is heard, in halves of the picture's width."""
    left, right = 2 * box[0] - 1, 2 * box[2] - 1
    return max(left - bearing.azimuth, bearing.azimuth - right, 0.0)


def together(candidates: Sequence[Candidate]) -> bool:
    """Whether things of one name form one group: each is near another, and all hang together."""
    boxes = [one.box for one in candidates]
    if len({one.tracked.thing.name for one in candidates}) > 1:
        return False
    reached, waiting = {0}, [0]
    while waiting:
        near = {k for k in range(len(boxes)) if k not in reached and close(boxes[waiting[-1]], boxes[k])}
        waiting.pop()
        reached |= near
        waiting += near
    return len(reached) == len(boxes)


def close(a: Box, b: Box) -> bool:
    """Whether the gap between two boxes is less than the larger one's size."""
    across, down = max(a[0], b[0]) - min(a[2], b[2]), max(a[1], b[1]) - min(a[3], b[3])
    wide, high = max(a[2] - a[0], b[2] - b[0]), max(a[3] - a[1], b[3] - b[1])
    return max(across, 0) <= STANDS_WITH * wide and max(down, 0) <= STANDS_WITH * high


def hull(candidates: Sequence[Candidate]) -> Box:
    """The box around all."""
    lefts, tops, rights, bottoms = zip(*(one.box for one in candidates), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def taken(box: Box, others: Sequence[Box]) -> bool:
    """Whether what moves in a box is known to be something else: a box that holds most of it, or lies in it."""
    return any(covered(box, other) > 0.7 or covered(other, box) > 0.7 for other in others)


@cache
def weights() -> dict[str, Any]:
    """The fitted table: `mean` and `scale` (4,), `sounds` (5,), log odds, the last one constant; `beside`: the log odds
    of a thing on the side that is heard.
    """
    rows = json.loads(TABLE.read_text())
    return {name: np.array(row) if isinstance(row, list) else row for name, row in rows.items()}
