"""Recordings in classes: ESC-50 as it is published, its ten-class part, or any folder of folders."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avstream.encoders.audio import mono
from avstream.errors import SourceError
from avstream.level import SILENCE_DBFS, loudness_dbfs
from avstream.loading import WINDOW_S
from avstream.records import AudioChunk
from avstream.sources.file.movie import Movie

SOUNDS = {".wav", ".ogg", ".mp3", ".flac", ".m4a", ".opus", ".aac", ".mp4", ".mkv", ".webm"}
NAMED = re.compile(r"(\d)-(\d+)-[A-Z]")  # ESC: fold, recording, take
FOLDS = 5
HOP_S = 1.0
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording. Clips of one `recording` are takes of the same sound, and are in one `fold`."""

    path: Path
    label: str
    fold: int
    recording: str


def read_clips(folder: Path, *, esc10: bool = False, limit: int | None = None) -> list[Clip]:
    """`FOLDER/meta/esc50.csv` with `FOLDER/audio/`, or `FOLDER/CLASS/*`. `limit` is of clips a class.

    Raises SourceError: no such folder, fewer than two classes.
    """
    if not folder.is_dir():
        raise SourceError(f"no folder {folder}")
    table = folder / "meta" / "esc50.csv"
    clips = _of_table(table, folder / "audio", esc10) if table.is_file() else _of_folders(folder)
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(clip.label, []).append(clip)
    if len(found) < 2:
        raise SourceError(f"expected FOLDER/CLASS/*.wav of two classes or more, or ESC-50, in {folder}")
    return [clip for label in sorted(found) for clip in spread(found[label], limit)]


def spread(clips: list[Clip], limit: int | None) -> list[Clip]:
    """Up to `limit` of them, evenly through the list, which is in order of folds and recordings."""
    if limit is None or limit >= len(clips):
        return clips
    return [clips[int(i * len(clips) / limit)] for i in range(limit)]


def _of_table(table: Path, audio: Path, esc10: bool) -> list[Clip]:
    try:
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
        return [
            Clip(audio / row["filename"], row["category"], int(row["fold"]), row["src_file"])
            for row in rows
            if not esc10 or row["esc10"] == "True"
        ]
    except (KeyError, ValueError) as error:
        raise SourceError(f"{table} is not ESC-50's table: {error}") from error


def _of_folders(folder: Path) -> list[Clip]:
    clips = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(path for path in place.iterdir() if path.suffix.lower() in SOUNDS)
        for i, path in enumerate(files):
            named = NAMED.match(path.stem)
            fold, recording = (int(named[1]), named[2]) if named else (1 + i % FOLDS, path.stem)
            clips.append(Clip(path, place.name, fold, recording))
    return clips


def read_sound(path: Path) -> tuple[Floats, int]:
    """All of a file's sound: (channels, n) and its rate. Raises SourceError."""
    movie = Movie(path)
    try:
        chunks = [item for item in movie if isinstance(item, AudioChunk)]
    finally:
        movie.close()
    if not chunks:
        raise SourceError(f"{path} has no sound")
    return np.concatenate([chunk.samples for chunk in chunks], axis=1), chunks[0].rate_hz


def windows(audio: Floats, rate_hz: int, wanted_hz: int) -> list[Floats]:
    """The 3-second pieces of a sound at another rate, one a second; silent ones are left out unless all are."""
    samples = mono(audio, rate_hz, wanted_hz)
    length, hop = round(WINDOW_S * wanted_hz), round(HOP_S * wanted_hz)
    starts = range(0, max(1, samples.size - length + 1), hop)
    pieces = [samples[start : start + length] for start in starts]
    heard = [piece for piece in pieces if loudness_dbfs(piece[None], wanted_hz) >= SILENCE_DBFS]
    return heard or pieces[:1]
