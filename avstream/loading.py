"""Settings -> loaded models, ready to narrate with. Loaded once, whatever the number of movies.

The embedded parts run without torch; everything else is loaded by `torch_models`, which brings torch in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from avstream import checkpoints
from avstream.alignment import Projection
from avstream.config.presets import Settings
from avstream.encoders.audio import AudioEncoder
from avstream.encoders.picture import VisionTower
from avstream.errors import ConfigError, ModelError
from avstream.listeners.base import Listener
from avstream.listeners.choose import open_listener
from avstream.listeners.names import BY_TORCH
from avstream.localization.localizer_synchrony import SynchronyLocalizer
from avstream.localization.place import Localizer
from avstream.localization.tracks import require_tracker
from avstream.windows import WINDOW_S
from avstream.workers import cores

NANO = "nano"


class LanguageModel(Protocol):
    """Puts visual tokens and words into a sentence; `words_decide`: those for one sound alone do."""

    words_decide: bool

    def prompt(self, instruction: str, heard: str) -> str:
        """The turn that the model is given. Raises ConfigError for an instruction that can't be used."""
        ...

    def describe(self, tokens: NDArray[np.float32], instruction: str, heard: str) -> str:
        """Visual tokens (n, vision width) and words -> the model's own sentence."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """Everything that a narrator calls. The claims are the `listener`'s; `audio` gives the vector for CLS.

    `device` is the name of the one that the language model runs on. `at_once` is how many windows pay to be narrated
    at a time: a large model has all cores already, or a device of its own.
    """

    audio: AudioEncoder
    alignment: Projection | None
    tower: VisionTower
    language: LanguageModel
    listener: Listener
    tokens: int
    unselected: Literal["zero", "drop"]
    prompt: str
    device: str
    localizer: Localizer
    at_once: int = 1


def load(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> Models:
    """Load a preset. `progress` hears one line before each part.

    Raises ConfigError (a device that is not there, k above the patches) and ModelError (missing or damaged weights).
    """
    progress(f"language model {settings.language}")
    language, tower, device = load_language(settings)
    patches = tower.grid[0] * tower.grid[1]
    if settings.tokens > patches:
        raise ConfigError(f"{settings.tokens}", expected=f"tokens of at most {patches}, the patches of this picture")
    progress(f"audio encoder {settings.audio_encoder} ({settings.audio_checkpoint})")
    audio = load_audio(settings)
    alignment = load_alignment(settings, audio.dim, tower.width)
    language.prompt(settings.prompt, "")  # a wrong prompt is an error now, not in the first window
    progress(f"listener {settings.listener}")
    listener = load_listener(settings, progress)
    unselected = cast(Literal["zero", "drop"], settings.unselected)
    return Models(
        audio, alignment, tower, language, listener, settings.tokens, unselected, settings.prompt, device,
        load_localizer(settings, progress), windows_at_once(settings),
    )  # fmt: skip


def windows_at_once(settings: Settings) -> int:
    """A window for each core when all parts are small ONNX graphs, one when any is a model of torch's."""
    is_small = settings.localizer_kind == "synchrony" or settings.localizer_model.endswith(".onnx")
    is_small = is_small and settings.listener.partition(":")[0] not in BY_TORCH
    return cores() if is_small and settings.language == settings.audio_checkpoint == NANO else 1


def load_language(settings: Settings) -> tuple[LanguageModel, VisionTower, str]:
    """The language model, its vision tower, and the device they run on. Raises ConfigError and ModelError."""
    if settings.language == NANO:
        if settings.device not in ("auto", "cpu"):
            fix = f"leave --device {settings.device} out, or choose another preset"
            raise ConfigError("nano runs on the CPU only", fix)
        from avstream.nano import NanoLanguage, NanoTower

        return NanoLanguage(settings.threads), NanoTower(settings.threads), "cpu"
    from avstream import torch_models

    return torch_models.load_llava(settings)


def load_audio(settings: Settings) -> AudioEncoder:
    """The preset's audio encoder. Raises ConfigError and ModelError."""
    if settings.audio_checkpoint != NANO:
        from avstream import torch_models

        return torch_models.load_audio(settings, WINDOW_S)
    if not settings.audio_encoder.startswith("whisper"):
        fix = f"use --audio whisperclip:nano, or {settings.audio_encoder} with weights of its own"
        raise ConfigError(f"nano has no {settings.audio_encoder} encoder", fix)
    from avstream.nano import NanoAudio

    return NanoAudio(fuse_layers=settings.audio_encoder == "whisperclip", threads=settings.threads)


def load_listener(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> Listener:
    """Who hears what sounds. Raises ModelError: a runtime, a file or the hub is missing."""
    if settings.listener.partition(":")[0] in BY_TORCH:
        from avstream import torch_models

        return torch_models.load_listener(settings)
    return open_listener(settings.listener, settings.threads, progress)


def load_alignment(settings: Settings, audio_dim: int, width: int) -> Projection | None:
    """None for `raw`. Weights are shipped for nano's own encoder and tower; others are given by their path.

    Raises ConfigError when `projected` is asked of a pair that no weights are shipped for, ModelError as `load`.
    """
    if settings.alignment == "raw":
        return None
    path = Path(settings.alignment)
    if settings.alignment == "projected":
        if (settings.language, settings.audio) != (NANO, "whisperclip:nano"):
            raise ConfigError(
                f"no projection is shipped for {settings.audio} with {settings.language}",
                "give weights that were trained for the two (--alignment weights.safetensors), or use --alignment raw",
            )
        path = checkpoints.NANO / "alignment.safetensors"
    return Projection.load(path, audio_dim, width)


def load_localizer(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> Localizer:
    """What says where sounds are. Raises ConfigError for a device that is not there, and ModelError."""
    kind, model = settings.localizer_kind, settings.localizer_model
    if kind == "synchrony":
        return SynchronyLocalizer()
    progress(f"localizer {kind} ({model})")
    if kind == "acl":
        from avstream import torch_models

        return torch_models.load_acl(settings)
    try:
        return load_detector(settings)
    except ModelError as error:
        if kind != "auto":
            raise
        progress(f"localizer synchrony, for want of {model}: {error}")
        return SynchronyLocalizer()


def load_detector(settings: Settings) -> Localizer:
    """A localizer that detects things: by FastestDet's ONNX file, or by a checkpoint. Raises as `load_localizer`."""
    require_tracker()
    if not settings.localizer_model.endswith(".onnx"):
        from avstream import torch_models

        return torch_models.load_grounding(settings)
    from avstream.localization.grounding.fastestdet import FastestDet
    from avstream.localization.localizer_detector import DetectorLocalizer

    return DetectorLocalizer(FastestDet(Path(settings.localizer_model).expanduser()))
