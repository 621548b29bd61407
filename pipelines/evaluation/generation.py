"""Sentences for every clip under every condition, through the program's own parts: encoder, alignment, substitution,
LLaVA. No words of evidence are given, as in the paper: what is said can come from the tokens only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avstream import loading
from avstream.alignment import Projection, dim_match
from avstream.config.presets import Settings
from avstream.encoders.audio import AudioEncoder, mono
from avstream.encoders.picture import VisionTower
from avstream.errors import SinkError, SourceError
from avstream.loading import LanguageModel
from avstream.substitution import Unselected, substitute
from pipelines.data.manifest import Row
from pipelines.data.running import Stop
from pipelines.data.segments import read_segment

RAW = "raw"
Floats = NDArray[np.float32]
Key = tuple[str, float, "Condition"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to make a sentence. `alpha` 1 is raw, 0 is the projection in `alignment` alone."""

    audio: str
    alignment: str  # raw, or the path of a projection
    alpha: float
    tokens: int
    unselected: Unselected


@dataclass(frozen=True, slots=True, eq=False)
class Speaker:
    """The models of one language checkpoint: `encoders` by audio name, `projections` by (audio name, path)."""

    language: LanguageModel
    tower: VisionTower
    encoders: dict[str, AudioEncoder]
    projections: dict[tuple[str, str], Projection]
    prompt: str


def load_speaker(settings: Settings, audios: dict[str, Settings], alignments: Sequence[tuple[str, str]]) -> Speaker:
    """Load all once. `alignments` are (audio name, path). Raises ConfigError and ModelError."""
    language, tower, _ = loading.load_language(settings)
    encoders = {name: loading.load_audio(one) for name, one in audios.items()}
    projections = {
        (name, path): Projection.load(Path(path), encoders[name].dim, tower.width) for name, path in alignments
    }
    return Speaker(language, tower, encoders, projections, settings.prompt)


class Sentences:
    """What was said, in a file that grows line by line, so that an interrupted run goes on."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a torn last line is dropped. Raises SourceError for a file of something else."""
        self.path = path
        self.said: dict[Key, str] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        kept = []
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                text, clip, start_s = entry.pop("text"), entry.pop("clip"), entry.pop("start_s")
                self.said[clip, start_s, Condition(**entry)] = text
                kept.append(line)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if number < len(lines):
                    raise SourceError(f"{path}, line {number} is no sentence of this command: {error}") from error
        if len(kept) < len(lines):
            path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def add(self, key: Key, text: str) -> None:
        """Keep a sentence. Raises SinkError."""
        clip, start_s, condition = key
        self.said[key] = text
        line = {"clip": clip, "start_s": start_s} | asdict(condition) | {"text": text}
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise SinkError(f"{self.path} can't be written: {error}") from error


def speak(
    speaker: Speaker,
    rows: Sequence[Row],
    root: Path,
    conditions: Sequence[Condition],
    sentences: Sentences,
    stop: Stop,
    progress: Callable[[int], None],
) -> list[tuple[Row, str]]:
    """Say what is missing, a clip at a time; gives the clips that could not be read. Raises SinkError."""
    broken = []
    for done, row in enumerate(rows, 1):
        missing = [one for one in conditions if (row.clip, row.start_s, one) not in sentences.said]
        if stop:
            break
        if missing:
            try:
                said = describe(speaker, row, root, missing)
            except SourceError as error:
                broken.append((row, str(error)))
            else:
                for condition, text in said:
                    sentences.add((row.clip, row.start_s, condition), text)
        progress(done)
    return broken


def describe(speaker: Speaker, row: Row, root: Path, conditions: Sequence[Condition]) -> list[tuple[Condition, str]]:
    """One clip under the conditions. Raises SourceError."""
    window, frame = read_segment(row, root)
    picture = speaker.tower.encode(frame.rgb)
    heard: dict[str, Floats] = {}
    out = []
    for one in conditions:
        if one.audio not in heard:
            encoder = speaker.encoders[one.audio]
            heard[one.audio] = encoder.encode(mono(window.audio, window.rate_hz, encoder.rate_hz))
        f = aligned(speaker, heard[one.audio], one)
        k = min(one.tokens, len(picture.patches))  # as the narrator has it: a small tower has fewer than 150
        tokens, _, _ = substitute(f, picture.patches, k, one.unselected)
        out.append((one, " ".join(speaker.language.describe(tokens, speaker.prompt, "").split())))
    return out


def aligned(speaker: Speaker, z: Floats, condition: Condition) -> Floats:
    """f_a of a condition: alpha * raw + (1 - alpha) * projected."""
    raw = dim_match(z, speaker.tower.width)
    if condition.alignment == RAW:
        return raw
    projected = speaker.projections[condition.audio, condition.alignment](z)
    return (condition.alpha * raw + (1 - condition.alpha) * projected).astype(np.float32)


def selection(rows: Sequence[Row], limit: int) -> list[Row]:
    """Up to `limit` rows with captions, evenly spaced through the list. Raises SourceError when there is none."""
    captioned = [row for row in rows if row.captions]
    if not captioned:
        raise SourceError("none of the clips has a caption to compare with")
    step = max(1.0, len(captioned) / limit)
    return [captioned[int(i * step)] for i in range(min(limit, len(captioned)))]
