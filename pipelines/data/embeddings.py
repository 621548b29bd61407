"""Every clip of a manifest -> the vectors of an audio encoder and of a vision tower, each computed once.

A Whisper's layers are kept apart, so that training can choose how to pool them; `whisper` and `whisperclip` of one
checkpoint are therefore the same vectors. A picture is kept as the CLS token that LLaVA's own layer gives, which is
what sounds are aligned to; of a tower without CLS, as the mean of its patches.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avstream import loading
from avstream.checkpoints import NANO
from avstream.config.presets import Settings
from avstream.encoders.audio import mono
from avstream.encoders.picture import PictureTokens
from avstream.errors import SinkError, SourceError
from avstream.records import VideoFrame, Window
from pipelines.data.manifest import Row
from pipelines.data.running import Stop
from pipelines.data.segments import read_segment
from pipelines.data.store import Store, file_hash, key_of, weights_hash

Floats = NDArray[np.float32]
NANO_GRAPHS = NANO / "onnx"
POOLINGS = ("final", "middle", "last2", "average", "weighted")  # of a Whisper's layers
OWN = "own"  # the one vector that any other encoder gives


@dataclass(frozen=True, slots=True)
class Lens:
    """A store, and how a segment becomes a vector of it."""

    store: Store
    look: Callable[[Window, VideoFrame], Floats]


@runtime_checkable
class Layered(Protocol):
    """An audio encoder whose layers can be had one by one: a Whisper."""

    def layers(self, samples: Floats) -> Floats:
        """Mono (n,) -> (L, dim)."""
        ...


def store_name(audio: str) -> str:
    """`whisper:CHECKPOINT` for both readings of a Whisper; any other encoder's own name."""
    encoder, _, checkpoint = audio.partition(":")
    return f"whisper:{checkpoint}" if encoder == "whisperclip" else audio


def pooling_of(audio: str) -> str:
    """What an encoder does with its layers in the program."""
    return {"whisper": "final", "whisperclip": "average"}.get(audio.partition(":")[0], OWN)


def full_name(settings: Settings) -> str:
    """ENCODER:CHECKPOINT, also where the checkpoint is the encoder's default."""
    return f"{settings.audio_encoder}:{settings.audio_checkpoint}"


def audio_lens(settings: Settings, cache: Path) -> Lens:
    """The lens of a preset's audio encoder. Raises ModelError, ConfigError, SinkError."""
    encoder = loading.load_audio(settings)
    nano = settings.audio_checkpoint == loading.NANO
    weights = file_hash(NANO_GRAPHS / "audio.onnx") if nano else weights_hash(encoder)
    store = Store.create(cache, "audio", store_name(full_name(settings)), weights)
    encode = encoder.layers if isinstance(encoder, Layered) else encoder.encode
    return Lens(store, lambda window, _: encode(mono(window.audio, window.rate_hz, encoder.rate_hz)))


def vision_lens(settings: Settings, cache: Path) -> Lens:
    """The lens of a preset's vision tower. Raises ModelError, ConfigError, SinkError."""
    _, tower, _ = loading.load_language(settings)
    nano = settings.language == loading.NANO
    weights = file_hash(NANO_GRAPHS / "vision.onnx") if nano else weights_hash(tower)
    store = Store.create(cache, "vision", settings.language, weights)
    return Lens(store, lambda _, frame: target_of(tower.encode(frame.rgb)))


def target_of(picture: PictureTokens) -> Floats:
    """What a sound's vector is aligned to, (d,)."""
    return picture.patches.mean(axis=0) if picture.cls is None else picture.cls


def embed(
    rows: Sequence[Row], root: Path, lenses: Sequence[Lens], stop: Stop, progress: Callable[[int], None]
) -> list[tuple[Row, str]]:
    """Compute what is missing; gives the clips that could not be read, with the reason. What is done is saved, also
    when stopped or when something goes wrong; `progress` hears the number of rows that are done.
    """
    broken: list[tuple[Row, str]] = []
    try:
        for done, row in enumerate(rows, 1):
            if stop:
                break
            key = key_of(row, root)
            missing = [lens for lens in lenses if key not in lens.store]
            if missing:
                try:
                    window, frame = read_segment(row, root)
                except SourceError as error:
                    broken.append((row, str(error)))
                else:
                    for lens in missing:
                        lens.store.add(key, lens.look(window, frame))
            progress(done)
    finally:
        for lens in lenses:
            lens.store.flush()
    return broken


def write_broken(path: Path, broken: Sequence[tuple[Row, str]]) -> None:
    """One line a broken clip. An earlier list is replaced: what could be read by now is broken no more."""
    try:
        path.unlink(missing_ok=True)
        if broken:
            lines = [json.dumps({"clip": row.clip, "start_s": row.start_s, "error": why}) for row, why in broken]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"the list of broken clips {path} can't be written: {error}") from error


def pool(layers: Tensor, pooling: str) -> Tensor:
    """(n, L, d) -> (n, d): `final`, `middle` (layer L / 2), `last2` or `average` (WhisperCLIP). `weighted` stays
    (n, L, d), for its weights are trained, and so does nothing but `own` with (n, d).
    """
    if pooling in (OWN, "weighted"):
        return layers
    chosen = {
        "final": layers[:, -1:],
        "middle": layers[:, (layers.shape[1] - 1) // 2 : (layers.shape[1] - 1) // 2 + 1],
        "last2": layers[:, -2:],
        "average": layers,
    }[pooling]
    return chosen.mean(dim=1)


@torch.inference_mode()
def pairs(rows: Sequence[Row], root: Path, audio: Store, vision: Store) -> tuple[Tensor, Tensor, list[Row]]:
    """The vectors of the rows that both stores have: sounds (n, d_a) or (n, L, d_a), pictures (n, d), and the rows.

    Raises SourceError when there are none.
    """
    keyed = [(row, key_of(row, root)) for row in rows]
    there = [(row, key) for row, key in keyed if key in audio and key in vision]
    if not there:
        raise SourceError(
            f"none of the {len(rows)} clips has vectors in {audio.folder.parent}; compute them with: "
            "python -m pipelines.make_embeddings"
        )
    keys = [key for _, key in there]
    return audio.read(keys), vision.read(keys), [row for row, _ in there]
