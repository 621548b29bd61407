"""Clips x encoders x alignments x k -> what is said, which patches are kept, and which picture a sound finds.

The sentence comes from the tokens alone: the language model does not get what was heard, as it does in narrations.
Otherwise all encoders would say the same. Each clip also gets the narration that avstream itself gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avstream import loading
from avstream.alignment import Projection, dim_match
from avstream.comparison import scores
from avstream.comparison.truth import Truth, named
from avstream.config import families, presets
from avstream.encoders.audio import AudioEncoder, mono
from avstream.encoders.picture import PictureTokens
from avstream.errors import ConfigError, SourceError
from avstream.loading import WINDOW_S, Models
from avstream.narrator import Narrator, key_frame
from avstream.records import VideoFrame, Window
from avstream.sources.file.movie import Movie
from avstream.substitution import substitute
from avstream.windows import Windower

NEIGHBOURS = 3
Floats = scores.Floats
SettingsFor = Callable[..., presets.Settings]  # the preset with `audio` and `alignment` put over it


@dataclass(frozen=True, slots=True)
class Choice:
    """What to compare. `projections` are {encoder: file}; `raw` is always compared."""

    encoders: tuple[str, ...]
    projections: dict[str, Path]
    tokens: tuple[int, ...]
    start_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Three seconds of a movie, and how the vision tower sees their middle."""

    name: str  # its file's, or all of its path where two files have one name
    path: Path
    window: Window
    frame: VideoFrame
    picture: PictureTokens
    truth: Truth | None

    @property
    def seen(self) -> Floats:
        """What a sound is compared with in retrieval: the CLS token, or the patches' mean where there is none."""
        cls = self.picture.cls
        return cls if cls is not None else self.picture.patches.mean(0)


def read_window(path: Path, start_s: float | None) -> Window:
    """Three seconds of a movie from `start_s` on, or from its middle. Raises SourceError without sound or picture."""
    if start_s is None:
        probe = Movie(path)
        start_s = max(0.0, ((probe.info.duration_s or WINDOW_S) - WINDOW_S) / 2)
        probe.close()
    source = Movie(path, start_s=start_s, end_s=start_s + WINDOW_S, motion=True)
    try:
        if not (source.info.has_audio and source.info.has_video):
            missing = "picture" if source.info.has_audio else "sound"
            raise SourceError(f"{path} has no {missing}", "compare on a movie with picture and sound")
        windower = Windower(start_s=start_s, has_audio=True, has_video=True)
        windows = [window for item in source for window in windower.push(item)]
        windows += windower.finish(source.reached_s)
    finally:
        source.close()
    if not windows or not windows[0].frames:
        raise SourceError(f"{path} has nothing to read at {start_s:.1f} s", "choose another --start")
    return windows[0]


def compare(
    paths: Sequence[Path],
    truths: dict[str, Truth],
    settings_for: SettingsFor,
    choice: Choice,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[dict[str, Any], list[Clip]]]:
    """Compare, and give what is known after each encoder: an interrupted run keeps what was done.

    The dict is plain JSON: `settings`, `summary`, `clips` with their `entries`, and `problems`, the clips that can't
    be read. Raises ConfigError, ModelError, and SourceError when no clip can be read.
    """
    settings = settings_for()
    if settings.audio not in choice.encoders:  # its own encoder is not loaded for nothing
        settings = settings_for(audio=choice.encoders[0], alignment="raw")
    models = loading.load(settings, progress)
    report: dict[str, Any] = {"settings": described(settings, choice), "summary": [], "clips": [], "problems": []}
    clips = read_clips(paths, truths, models, choice, report, progress)
    report["clips"] = [clip_entry(clip) for clip in clips]
    narrator = Narrator(models)
    for clip, entry in zip(clips, report["clips"], strict=True):
        progress(f"narrating {clip.name}")
        entry["narration"] = narrator.narrate_window(clip.window, clip.name).text
    for spec in choice.encoders:
        progress(f"audio encoder {spec}")
        chosen = settings_for(audio=spec, alignment="raw")
        own = (chosen.audio_encoder, chosen.audio_checkpoint) == (settings.audio_encoder, settings.audio_checkpoint)
        audio = models.audio if own else loading.load_audio(chosen)
        z = heard(clips, audio)
        for alignment, projection in alignments_of(spec, choice, settings_for, audio.dim, models):
            add_way(report, clips, models, choice, (spec, alignment), aligned(z, projection, models), progress)
        yield report, clips


def described(settings: presets.Settings, choice: Choice) -> dict[str, Any]:
    """What the page says it was made with."""
    notices = dict.fromkeys(families.notice(spec) for spec in choice.encoders)
    return {
        "preset": settings.name, "language": settings.language, "prompt": settings.prompt,
        "unselected": settings.unselected, "window_s": WINDOW_S, "notices": [text for text in notices if text],
    }  # fmt: skip


def read_clips(
    paths: Sequence[Path], truths: dict[str, Truth], models: Models, choice: Choice, report: dict[str, Any],
    progress: Callable[[str], None],
) -> list[Clip]:  # fmt: skip
    """The clips that can be read; what is wrong with the others goes into the report. SourceError when none can."""
    clips = []
    for path in paths:
        progress(f"reading {path.name}")
        try:
            window = read_window(path, choice.start_s)
        except SourceError as error:
            report["problems"].append(str(error))
            continue
        frame = key_frame(window)
        assert frame is not None
        name = path.name if [one.name for one in paths].count(path.name) == 1 else str(path)
        clips.append(Clip(name, path, window, frame, models.tower.encode(frame.rgb), truths.get(path.stem)))
    if not clips:
        raise SourceError("; ".join(report["problems"]) or "no clip", "name clips that can be read")
    return clips


def clip_entry(clip: Clip) -> dict[str, Any]:
    """A clip without what is compared."""
    sources = None if clip.truth is None else list(clip.truth.sources)
    published = {} if clip.truth is None else clip.truth.published
    return {
        "name": clip.name, "path": str(clip.path), "start_s": clip.window.start_s, "end_s": clip.window.end_s,
        "grid": list(clip.picture.grid), "sources": sources, "entries": [],
        "published": [
            {"encoder": encoder, "alignment": way, "sentence": text, "named": judged(text, sources)}
            for encoder, ways in published.items() for way, text in ways.items()
        ],
    }  # fmt: skip


def alignments_of(
    spec: str, choice: Choice, settings_for: SettingsFor, dim: int, models: Models
) -> Iterator[tuple[str, Projection | None]]:
    """`raw`, then `projected` where weights were given, or are shipped for the pair."""
    yield "raw", None
    if spec in choice.projections:
        yield "projected", Projection.load(choice.projections[spec], dim, models.tower.width)
        return
    with suppress(ConfigError):  # nothing is shipped for the pair
        settings = settings_for(audio=spec, alignment="projected")
        yield "projected", loading.load_alignment(settings, dim, models.tower.width)


def heard(clips: Sequence[Clip], audio: AudioEncoder) -> Floats:
    """z_a of each clip: (n, dim)."""
    return np.stack([audio.encode(mono(one.window.audio, one.window.rate_hz, audio.rate_hz)) for one in clips])


def aligned(z: Floats, projection: Projection | None, models: Models) -> Floats:
    """f_a of each clip: (n, width)."""
    return np.stack([projection(one) if projection else dim_match(one, models.tower.width) for one in z])


def add_way(
    report: dict[str, Any], clips: Sequence[Clip], models: Models, choice: Choice, way: tuple[str, str], f: Floats,
    progress: Callable[[str], None],
) -> None:  # fmt: skip
    """One encoder with one alignment: every clip under every k, and the summary rows."""
    cosines = scores.similarity(f, np.stack([clip.seen for clip in clips]))
    places, near, found = scores.ranks(cosines), scores.nearest(cosines, NEIGHBOURS), scores.retrieval(cosines)
    patches = min(len(clip.picture.patches) for clip in clips)
    for k in dict.fromkeys(min(tokens, patches) for tokens in choice.tokens):
        row = {"encoder": way[0], "alignment": way[1], "tokens": k}
        made = []
        for i, clip in enumerate(clips):
            progress(f"{way[0]}, {way[1]}, k {k}: {clip.name}")
            entry = row | say(clip, f[i], k, models)
            entry |= {"rank": float(places[i]), "near": [clips[j].name for j in near[i]]}
            report["clips"][i]["entries"].append(entry)
            made.append(entry)
        report["summary"].append(row | found | summed(made))


def say(clip: Clip, f: Floats, k: int, models: Models) -> dict[str, Any]:
    """What the language model makes of a clip's tokens, and which patches it got."""
    tokens, _, kept = substitute(f, clip.picture.patches, k, models.unselected)
    sentence = " ".join(models.language.describe(tokens, models.prompt, "").split())
    sources = None if clip.truth is None else clip.truth.sources
    return {"sentence": sentence, "kept": kept.tolist(), "named": judged(sentence, sources)}


def judged(sentence: str, sources: Sequence[str] | None) -> list[str] | None:
    """The true sources that are named; None where the truth is not known."""
    return named(sentence, sources) if sources else None


def summed(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many sentences name a true source, of how many whose truth is known, and how many differ."""
    known = [entry for entry in entries if entry["named"] is not None]
    right = sum(bool(entry["named"]) for entry in known)
    return {
        "right": right, "of": len(known), "interval": list(scores.wilson(right, len(known))),
        "different": len({entry["sentence"] for entry in entries}), "clips": len(entries),
    }  # fmt: skip
