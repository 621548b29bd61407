"""The study's corpus: drawn scenes that sound, whose truth is known, in the layout that AVE-2 is released in.

    CORPUS/data/{train,valid,test}_00000.json   one object a clip: scores, caption, and the three lists of sources
    CORPUS/clips/ID_01.mp4                       3 s, 160 x 160, stereo at 16 kHz

Clips differ in *which set of things* sounds: one to three of the labels that can both be drawn and synthesized.
Clips with equal sets can't be distinguished by what nano knows, so the share of distinct sets in a pool bounds what
retrieval can reach there (`evaluation.retrieval.bound`). A quarter of the pictures has a silent thing too, and in a
seventh of the clips one thing that sounds is out of the picture: their visibility score is low, and the paper's filter
leaves them out. Splits share neither drawings nor sounds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avstream import wording
from avstream.records import Box, Sound
from pipelines.nano.labels import LABELS
from pipelines.scenes.movie import SceneEvent, write_scene_movie
from pipelines.scenes.sound_bank import made
from pipelines.scenes.sprites import DRAWINGS
from pipelines.sounds.synthesis import SYNTHESIZERS

SIZE_PX, FPS, RATE_HZ, SECONDS = 160, 8, 16000, 3.0
SOUNDS = 48  # made sounds of a label in each split
KINDS = tuple(label for label in LABELS if label in SYNTHESIZERS and label in DRAWINGS)
CLIPS = {"train": 1200, "valid": 150, "test": 300}
HOW_MANY = {1: 0.3, 2: 0.5, 3: 0.2}  # things that sound
SILENT, OFF_SCREEN = 0.25, 1 / 7
TRIES = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """One clip before it is drawn: which labels sound in the picture, sound outside it, and are silent in it."""

    visible: tuple[str, ...]
    invisible: tuple[str, ...]
    silent: tuple[str, ...]


def plan(rng: np.random.Generator) -> Plan:
    """Draw what a clip holds."""
    count = int(rng.choice(list(HOW_MANY), p=list(HOW_MANY.values())))
    labels = [KINDS[i] for i in rng.choice(len(KINDS), count + 1, replace=False)]
    away = 1 if rng.random() < OFF_SCREEN else 0
    silent = labels[count:] if rng.random() < SILENT else []
    return Plan(tuple(labels[: count - away]), tuple(labels[count - away : count]), tuple(silent))


def boxes(count: int, rng: np.random.Generator) -> list[Box]:
    """Places that do not overlap, about as large as those that the tower was trained on."""
    largest = 0.85 / max(1, count) ** 0.6
    for attempt in range(TRIES):
        found: list[Box] = []
        for side in rng.uniform(0.55, 1, count) * largest * (1 - attempt / TRIES / 2):
            left, top = rng.uniform(0.02, 0.98 - side, 2)
            found.append((float(left), float(top), float(left + side), float(top + side)))
        if not any(_touch(a, b) for i, a in enumerate(found) for b in found[:i]):
            return found
    return [(i / count, 0.3, (i + 0.9) / count, 0.3 + 0.9 / count) for i in range(count)]


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def draw(path: Path, what: Plan, split: str, rng: np.random.Generator) -> None:
    """Write the clip. `split` decides which made sounds may be heard; the drawings are fresh in every clip."""
    first = list(CLIPS).index(split) * SOUNDS

    def sound(label: str, duration_s: float, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float32]:
        long = made(label, 1000 + first + int(rng.integers(SOUNDS)))
        start = int(rng.integers(len(long) - round(duration_s * rate_hz) + 1))
        return long[start : start + round(duration_s * rate_hz)]

    seen = [*what.visible, *what.silent]
    places = boxes(len(seen), rng)
    events = [
        SceneEvent(label, 0.0, SECONDS, (place,), audible=label in what.visible)
        for label, place in zip(seen, places, strict=True)
    ]
    events += [SceneEvent(label, 0.0, SECONDS, ((0.4, 0.4, 0.6, 0.6),), visible=False) for label in what.invisible]
    partial = path.with_suffix(".part.mp4")
    write_scene_movie(
        partial, events, size=(SIZE_PX, SIZE_PX), fps=FPS, rate_hz=RATE_HZ, rng=rng, duration_s=SECONDS,
        make_sound=sound, quick=True,
    )  # fmt: skip
    partial.rename(path)


def row(name: str, what: Plan) -> dict[str, object]:
    """The clip's entry in the release's own words. Out of sight means low coherence and visibility."""
    sounding = sorted((*what.visible, *what.invisible), key=LABELS.index)
    seen = 10 if not what.invisible else 4 if what.visible else 0
    return {
        "youtube_id": name,
        "sample_id": f"{name}_01",
        "segment_start_time": 0.0,
        "segment_end_time": SECONDS,
        "temporal_alignment_score": 10,
        "spatial_coherence_score": seen,
        "contextual_relevance_score": 10,
        "physical_causality_score": 10,
        "sound_source_visibility_score": seen,
        "video_caption": wording.sentence([Sound(label, 1.0) for label in sounding]),
        "visible_active_sources": list(what.visible),
        "invisible_active_sources": list(what.invisible),
        "visible_silent_objects": list(what.silent),
    }


def make_corpus(
    folder: Path, seed: int, clips: Mapping[str, int] = CLIPS, progress: Callable[[int, int], None] = lambda *_: None
) -> Path:
    """Write what is not there yet, so that an interrupted run goes on; the same seed gives the same corpus."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    done, total = 0, sum(clips.values())
    for split, count in clips.items():
        rows = []
        for i in range(count):
            rng = np.random.default_rng([seed, list(CLIPS).index(split), i])
            name, what = f"drawn-{split}-{i:05d}", plan(rng)
            path = folder / "clips" / f"{name}_01.mp4"
            if not path.exists():
                draw(path, what, split, rng)
            rows.append(row(name, what))
            done += 1
            progress(done, total)
        made.cache_clear()  # 200 MB, and no other split has these sounds
        (folder / "data" / f"{split}_00000.json").write_text(json.dumps(rows, indent=0) + "\n")
    return folder
