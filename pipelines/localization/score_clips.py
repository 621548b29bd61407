"""Real clips of AVE (`clips.json`) through the narrator: where it says that they sound, and what of wrong sound.

Muted, nothing may be said. Swapped, another recording is under the picture, and any box is wrong. Shifted, the sound is
rolled by half of its length.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avstream.errors import SourceError
from avstream.loading import Models
from avstream.localization.grounding.thing import overlap
from avstream.narrator import Narrator
from avstream.records import Box, Sound, Window
from avstream.sources.file.movie import Movie
from avstream.windows import Windower
from pipelines.localization.datasets import read_sound
from pipelines.localization.score_scenes import holds

TRUTH = Path(__file__).with_name("clips.json")
WINDOW_S = 3.0
LOUD = 0.1  # RMS that swapped sounds are brought to


def clip_report(folder: Path, models: Models, sounds: Path | None = None, swaps: int = 10) -> dict[str, Any]:
    """What is said of each clip in the folder whose truth is known, and how often a box was wrong: of what the
    listener hears in it, and, `named`, of what it is, for the localizer alone.

    `sounds` holds recordings, LABEL/NAME, for swaps; the clips' own sounds are swapped always. Raises SourceError.
    """
    truth, narrator = json.loads(TRUTH.read_text())["clips"], Narrator(models)
    windows = {name: clip_window(folder / f"{name}.mp4") for name in truth}
    rng = np.random.default_rng(0)
    others = recordings(sounds, rng)[: len(truth) * swaps] if sounds else []
    report: dict[str, Any] = {}
    for at, (name, known) in enumerate(truth.items()):
        window = windows[name]
        own = [replace(window, audio=fitted(one.audio, one.rate_hz, window)) for n, one in windows.items() if n != name]
        models.localizer.watch(window, name)
        (place,) = models.localizer.places(window, name, [known["label"]])
        named = Sound(known["label"], 1.0, place.visible, place.box, place_confidence=place.confidence)
        report[name] = {"named": scored([replace(named, one_of=place.one_of)], known)}
        report[name] |= scored(narrator.narrate_window(window, name).sounds, known)
        report[name] |= {
            "muted boxes": boxes_of([muted(window)], narrator),
            "shifted boxes": boxes_of([shifted(window)], narrator),
            "swapped with clips": boxes_of(own, narrator),
            "swapped with recordings": boxes_of(swapped(window, others[at :: len(truth)]), narrator),
        }
    return report | {"false boxes": totals(report)}


def clip_window(path: Path) -> Window:
    """The first three seconds as one window, as `avstream file` makes it."""
    movie = Movie(path, motion=True)
    windower = Windower(WINDOW_S, WINDOW_S, start_s=0.0, has_audio=movie.info.has_audio, has_video=movie.info.has_video)
    windows = [window for item in movie for window in windower.push(item)] + windower.finish()
    return windows[0]


def scored(said: Sequence[Sound], known: dict[str, Any]) -> dict[str, Any]:
    """What was said of a clip against its truth, for the likeliest sound that was given a box."""
    heard = {sound.label: round(sound.confidence, 2) for sound in said}
    sound = next((one for one in said if one.box), None)
    row: dict[str, Any] = {"heard": heard, "box": None, "right": False, "visible": [s.visible for s in said]}
    if sound is None or sound.box is None:
        return row
    boxes = [as_box(box) for box in known["boxes"]]
    middle = (sound.box[0] + sound.box[2]) / 2, (sound.box[1] + sound.box[3]) / 2
    best = max(overlap(sound.box, box) for box in (*boxes, hull(boxes)))
    return row | {
        "box": [round(v, 3) for v in sound.box], "sure": sound.place_confidence, "IoU": best,
        "one of": len(sound.one_of), "right": any(holds(box, middle) for box in boxes) and best >= 0.3,
    }  # fmt: skip


def boxes_of(windows: Sequence[Window] | Iterator[Window], narrator: Narrator) -> dict[str, Any]:
    """How many windows were given a box, of how many, and for which sounds."""
    found = [[s.label for s in narrator.narrate_window(window, "counterfactual").sounds if s.box] for window in windows]
    return {
        "windows": len(found),
        "boxes": sum(map(bool, found)),
        "of": sorted({label for one in found for label in one}),
    }


def totals(report: dict[str, Any]) -> dict[str, str]:
    """The wrong boxes over all clips."""
    rows = list(report.values())
    kinds = [kind for kind in rows[0] if kind.endswith("boxes") or kind.startswith("swapped")]
    return {k: f"{sum(row[k]['boxes'] for row in rows)} of {sum(row[k]['windows'] for row in rows)}" for k in kinds}


def muted(window: Window) -> Window:
    """The same picture without its sound."""
    return replace(window, audio=np.zeros_like(window.audio))


def shifted(window: Window) -> Window:
    """The sound rolled by half of its length."""
    return replace(window, audio=np.roll(window.audio, window.audio.shape[1] // 2, axis=1))


def swapped(window: Window, paths: Sequence[Path]) -> Iterator[Window]:
    """The picture with each of the recordings under it."""
    for path in paths:
        audio = read_sound(path, window.rate_hz)[None]
        yield replace(window, audio=fitted(audio, window.rate_hz, window))


def fitted(audio: NDArray[np.float32], rate_hz: int, window: Window) -> NDArray[np.float32]:
    """Another sound (channels, n) at its rate as the window's: repeated or cut, equally loud in each channel."""
    channels, count = window.audio.shape
    mono = audio.mean(axis=0)
    if rate_hz != window.rate_hz:
        at = np.arange(round(mono.size * window.rate_hz / rate_hz)) * rate_hz / window.rate_hz
        mono = np.interp(at, np.arange(mono.size), mono).astype(np.float32)
    mono = np.resize(mono, count)
    return np.repeat(mono[None] * (LOUD / max(1e-4, float(np.sqrt(np.square(mono).mean())))), channels, axis=0)


def recordings(folder: Path, rng: np.random.Generator) -> list[Path]:
    """One recording of each label in a random order, then the second of each, and so on. Raises SourceError."""
    labels = [
        sorted(p for p in sub.iterdir() if p.suffix in (".ogg", ".wav", ".flac", ".mp3", ".opus"))
        for sub in sorted(folder.iterdir())
        if sub.is_dir() and sub.name not in ("rir", "noise", "unlabelled")
    ]
    labels = [list(rng.permutation(np.array(paths, object))) for paths in labels if paths]
    if not labels:
        raise SourceError(f"expected recordings as LABEL/NAME.ogg in {folder}, found none")
    rounds = [[paths[k] for paths in labels if k < len(paths)] for k in range(max(map(len, labels)))]
    return [path for one in rounds for path in rng.permutation(np.array(one, object))]


def as_box(values: Sequence[float]) -> Box:
    """Four numbers of JSON."""
    return values[0], values[1], values[2], values[3]


def hull(boxes: Sequence[Box]) -> Box:
    """The box around all."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
