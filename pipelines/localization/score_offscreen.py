"""What avstream says of DCASE 2025 task 3, of AVATAR, and of negative sounds under any pictures: see `offscreen`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avstream.errors import SourceError
from avstream.loading import Models
from avstream.narrator import Narrator
from avstream.records import AudioChunk, Narration, Sound, Window
from avstream.sources.file.movie import Movie
from avstream.vocabulary import is_kind
from avstream.windows import WINDOW_S, Windower
from pipelines.localization.benchmarks import Localizer
from pipelines.localization.datasets import pairs, read_picture, read_sound
from pipelines.localization.offscreen import (
    CLASSES,
    FRAMES_HZ,
    NEGATIVES,
    Clip,
    Heard,
    Negative,
    negative_scores,
    negative_sound,
    read_avatar,
    read_seld,
    seld_scores,
    true_negatives,
    universal_threshold,
)

HOP_S = 1.0
WAIT_S = 60.0  # that windows wait for a clip's pictures, which are read after its sound
VIEW_DEGREES = 100.0  # the horizontal field of view of DCASE's pictures
AT_A_SIDE = {"left": 45.0, "center": 0.0, "right": -45.0, None: 0.0}  # degrees that a side alone is taken for
DISTANCE_M = 2.0  # of everything: distances are not estimated
NAMES = {  # DCASE's class by the vocabulary's sounds, the first that fits; whose voice it is, is seldom heard
    "female_speech": "female speech", "speech": "male speech", "clapping": "clapping", "telephone": "telephone",
    "laughter": "laughter", "footsteps": "footsteps", "door": "door", "musical_instrument": "musical instrument",
    "music": "music", "water_running": "water tap", "bell": "bell", "knock": "knock",
    "vacuum_cleaner": "domestic sounds", "fan": "domestic sounds", "boiling": "domestic sounds",
}  # fmt: skip


def dcase_report(folder: Path, models: Models) -> dict[str, Any]:
    """The measures of DCASE 2025 task 3 for a preset's narrations. Raises SourceError."""
    clips, narrator = read_seld(folder), Narrator(models)
    said = [said_of(narrations(windows_of(clip), narrator, clip.name)) for clip in clips]
    return {"clips": len(clips), **seld_scores([clip.truth for clip in clips], said)}


def windows_of(clip: Clip) -> list[Window]:
    """A clip whose sound and pictures are two files. Raises SourceError."""
    movies = [Movie(clip.sound), *([Movie(clip.video, motion=True)] if clip.video else [])]
    heard = (item for item in movies[0] if isinstance(item, AudioChunk))
    seen = (item for movie in movies[1:] for item in movie if not isinstance(item, AudioChunk))
    return windowed(chain(heard, seen), has_audio=True, has_video=bool(clip.video))


def movie_windows(path: Path) -> list[Window]:
    """A movie's windows, an overlapping one each HOP_S. Raises SourceError."""
    movie = Movie(path, motion=True)
    return windowed(movie, has_audio=movie.info.has_audio, has_video=movie.info.has_video)


def windowed(items: Any, *, has_audio: bool, has_video: bool) -> list[Window]:
    """The windows of a stream's items."""
    windower = Windower(WINDOW_S, HOP_S, has_audio=has_audio, has_video=has_video, wait_s=WAIT_S)
    return [window for item in items for window in windower.push(item)] + windower.finish()


def narrations(windows: Sequence[Window], narrator: Narrator, source: str) -> list[Narration]:
    """What is said of each window of one stream."""
    return [narrator.narrate_window(window, source) for window in windows]


def said_of(found: Sequence[Narration]) -> list[Heard]:
    """What is said of a clip in DCASE's frames and classes, at most one source of a class in each."""
    rows: dict[tuple[int, int], Heard] = {}
    for narration in found:
        for sound in narration.sounds:
            kind = class_of(sound.label)
            if kind is None:
                continue
            begin_s = max(narration.focus_start_s, sound.onset_s or 0.0)
            end_s = min(narration.focus_end_s, math.inf if sound.end_s is None else sound.end_s)
            for frame in range(round(begin_s * FRAMES_HZ), round(end_s * FRAMES_HZ)):
                heard = Heard(frame, kind, azimuth_of(sound), DISTANCE_M, sound.visible is True)
                rows.setdefault((frame, kind), heard)
    return list(rows.values())


def class_of(label: str) -> int | None:
    """The number of DCASE's class for a label; None when it has none."""
    name = next((name for of, name in NAMES.items() if is_kind(label, of)), None)
    return None if name is None else CLASSES.index(name)


def azimuth_of(sound: Sound) -> float:
    """Degrees to the left of the middle: of the box's middle, else of the side that is heard."""
    if sound.box is None:
        return AT_A_SIDE[sound.direction]
    across = sound.box[0] + sound.box[2] - 1
    return -math.degrees(math.atan(across * math.tan(math.radians(VIEW_DEGREES / 2))))


def avatar_report(folder: Path, models: Models) -> dict[str, Any]:
    """AVATAR's off-screen scenario for a preset's narrations. Raises SourceError."""
    narrator, frames, said = Narrator(models), [], []
    for video, annotated in read_avatar(folder).items():
        found = narrations(movie_windows(video), narrator, video.stem)
        for frame in annotated:
            now = [one for one in found if one.focus_start_s <= frame.time_s < one.focus_end_s] or found[-1:]
            frames.append(frame)
            said.append([sound.box for one in now for sound in one.sounds if sound.box])
    return {"frames": len(frames), **true_negatives(frames, said)}


def negatives_report(args: argparse.Namespace, localizer: Localizer) -> dict[str, Any]:
    """How much of the pictures of a folder (frames/ and audio/) is claimed for their own sound and for negative ones,
    by a localizer that knows classes. Raises SourceError.
    """
    items = pairs(args.negatives)[: args.limit]
    if len(items) < 2:
        raise SourceError(f"one picture in {args.negatives}", "add others", "two or more, for each other's sounds")
    sounds = [read_sound(item.sound, localizer.rate_hz) for item in items]
    rng, own = np.random.default_rng(args.seed), []
    wrong: dict[Negative, list[NDArray[np.float32]]] = {kind: [] for kind in NEGATIVES}
    for k, item in enumerate(items):
        rgb = read_picture(item.picture)
        own.append(claimed(localizer, rgb, sounds[k]))
        for kind, heats in wrong.items():
            heats.append(claimed(localizer, rgb, negative_sound(kind, sounds[k].size, rng, sounds[k - 1])))
    threshold = universal_threshold([heat for heats in wrong.values() for heat in heats])
    return {"pictures": len(items), "threshold": threshold, **negative_scores(own, wrong, threshold)}


def claimed(localizer: Localizer, rgb: NDArray[np.uint8], sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """A heatmap as hot as the localizer is sure, so that one threshold fits all sounds."""
    found = localizer.locate(rgb, sound)
    return found.heatmap * np.float32(max(0.0, found.confidence))
