"""Hearing by sight: a vision-language model is shown the spectrogram and asked which sound it is.

After the idea of arXiv 2411.12058. Examples, when asked for, stand with their names on the same sheet, above the one
in question: so a model that takes one picture can have them too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from avstream import loading
from avstream.comparison.truth import roots
from avstream.config import presets
from avstream.encoders.audio import at_least, mono
from pipelines.classification.clips import Clip, Floats, read_sound
from pipelines.classification.methods import Answers, Tick, words
from pipelines.data.running import Stop
from pipelines.evaluation.endpoint import Endpoint

RATE_HZ, FFT, HOP, MELS = 22_050, 1024, 256, 128
SIDE, SMALL, COLUMNS, LINE = 448, 160, 5, 22  # pixels: the one in question, an example, examples a row, a name
QUESTION = (
    "The picture is the mel spectrogram of a recorded sound of {seconds:.0f} seconds: time runs from left to right, "
    "frequency from low at the bottom to high at the top, and brighter is louder.{examples} Which of these sounds is "
    "it: {labels}? Answer with one of these names and nothing else."
)
EXAMPLES = " The small ones above are examples with their names; the large one at the bottom is the one in question."
Picture = NDArray[np.uint8]


class Viewer(Protocol):
    """Answers a question about a picture."""

    def ask(self, rgb: Picture, question: str) -> str:
        """The answer in words. Raises SourceError when there is none to be had."""
        ...


class LocalViewer:
    """A LLaVA preset with its own CLS token and all its patches: as LLaVA is meant to see."""

    def __init__(self, preset: str) -> None:
        """Load it. Raises ConfigError and ModelError."""
        self._language, self._tower, _ = loading.load_language(presets.load(preset))

    def ask(self, rgb: Picture, question: str) -> str:
        """See `Viewer`."""
        seen = self._tower.encode(rgb)
        tokens = seen.patches if seen.cls is None else np.concatenate([seen.cls[None], seen.patches])
        return self._language.describe(tokens, question, "")


class RemoteViewer:
    """A model behind an OpenAI-compatible endpoint. The key is taken from AVSTREAM_VLM_KEY or OPENAI_API_KEY."""

    def __init__(self, url: str, model: str, pause_s: float = 1.0) -> None:
        """Raises ConfigError for no http address."""
        self._endpoint = Endpoint(url, model, option="--vlm", key="AVSTREAM_VLM_KEY", pause_s=pause_s)

    def ask(self, rgb: Picture, question: str) -> str:
        """See `Viewer`."""
        file = BytesIO()
        Image.fromarray(rgb).save(file, "PNG")
        uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        return self._endpoint.ask(
            [{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": uri}}]
        )


def draw(samples: Floats, side: int) -> Picture:
    """Mono samples at 22.05 kHz -> a square picture of the mel spectrogram over 80 dB, uint8 (side, side, 3)."""
    from matplotlib import colormaps

    filters = mel_filter_bank(FFT // 2 + 1, MELS, 0.0, RATE_HZ / 2, RATE_HZ, norm="slaney", mel_scale="slaney")
    window = window_function(FFT, "hann")
    mel = spectrogram(
        at_least(samples, FFT), window, FFT, HOP, FFT, power=2.0, mel_filters=filters, mel_floor=1e-10, log_mel="dB"
    )
    level = np.clip((mel - mel.max()) / 80 + 1, 0, 1)[::-1]
    rgb = (colormaps["magma"](level)[..., :3] * 255).astype(np.uint8)
    return np.array(Image.fromarray(rgb).resize((side, side), Image.Resampling.BICUBIC))


def sheet(question: Picture, examples: Sequence[tuple[str, Picture]]) -> Picture:
    """The examples with their names in rows, and below them, large, the one in question."""
    if not examples:
        return question
    rows = -(-len(examples) // COLUMNS)
    width, height = COLUMNS * SMALL, rows * (SMALL + LINE) + LINE + SIDE
    page = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(16)
    for i, (label, picture) in enumerate(examples):
        x, y = i % COLUMNS * SMALL, i // COLUMNS * (SMALL + LINE)
        pen.text((x + 3, y + 2), words(label), "black", font)
        page.paste(Image.fromarray(picture), (x, y + LINE))
    pen.text(((width - SIDE) // 2, height - SIDE - LINE + 2), "Which sound is this?", "black", font)
    page.paste(Image.fromarray(question), ((width - SIDE) // 2, height - SIDE))
    return np.array(page)


def named_label(answer: str, labels: Sequence[str]) -> str | None:
    """The label that an answer means: the same words, or the first of those whose words all occur in it."""
    plain = {words(label).lower(): label for label in labels}
    if (exact := answer.strip().strip(".\"'*").lower().replace("_", " ")) in plain:
        return plain[exact]
    said, text = roots(answer), answer.lower()
    found = [label for label in labels if roots(words(label)) <= said]
    if not found:
        return None
    longest = [label for label in found if not any(roots(words(label)) < roots(words(other)) for other in found)]
    return min(longest, key=lambda label: text.find(words(label).lower().split()[0][:3]) % (len(text) + 1))


def examples_for(clip: Clip, clips: Sequence[Clip], shots: int, seed: int) -> list[Clip]:
    """`shots` clips of each class, none from the fold of the one in question: no take of the same recording."""
    rng = np.random.default_rng([seed, clip.fold])
    chosen: list[Clip] = []
    for label in sorted({one.label for one in clips}):
        others = [one for one in clips if one.label == label and one.fold != clip.fold]
        order = rng.permutation(len(others))[:shots]
        chosen += [others[i] for i in order]
    return chosen


def look(
    viewer: Viewer, name: str, clips: Sequence[Clip], labels: Sequence[str], kept: Path, stop: Stop, tick: Tick,
    *, shots: int = 0, seed: int = 0, pool: Sequence[Clip] = (),
) -> Answers:  # fmt: skip
    """Ask about each clip. Answers are kept in a file as they come: a run that was interrupted goes on from there.

    `pool` is where examples are taken from. Raises SourceError when the viewer can't be asked.
    """
    done = read_kept(kept)
    said: list[str | None] = []
    for clip in clips:
        if stop:
            break
        question, picture = prepared(clip, labels, shots, seed, pool)
        key = f"{clip.path.name} {question}"
        if key not in done:
            done[key] = viewer.ask(picture(), question)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "answer": done[key]}) + "\n")
        said.append(named_label(done[key], labels))
        tick()
    none = sum(label is None for label in said)
    way = f"{shots} example{'s' if shots > 1 else ''} a class" if shots else "zero-shot"
    said += [None] * (len(clips) - len(said))
    return Answers(f"{name} on spectrograms, {way}", said, f"{none} answers name no class" if none else "")


def prepared(
    clip: Clip, labels: Sequence[str], shots: int, seed: int, pool: Sequence[Clip]
) -> tuple[str, Callable[[], Picture]]:
    """The question about a clip, and how to draw its picture."""
    audio, rate_hz = read_sound(clip.path)
    question = QUESTION.format(
        seconds=audio.shape[1] / rate_hz, examples=EXAMPLES if shots else "", labels=", ".join(map(words, labels))
    )

    def picture() -> Picture:
        shown = [(one.label, draw(mono(*read_sound(one.path), RATE_HZ), SMALL)) for one in
                 (examples_for(clip, pool, shots, seed) if shots else [])]  # fmt: skip
        return sheet(draw(mono(audio, rate_hz, RATE_HZ), SIDE), shown)

    return question, picture


def read_kept(path: Path) -> dict[str, str]:
    """The answers of an earlier run; a torn last line is left out."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
            found[entry["key"]] = entry["answer"]
        except (ValueError, KeyError, TypeError):
            continue
    return found
