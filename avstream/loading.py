"""Settings -> loaded models, ready to narrate with. Loaded once, whatever the number of movies."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

import torch

from avstream import checkpoints
from avstream.alignment import ProjectionMLP
from avstream.config.families import FAMILIES
from avstream.config.presets import Settings
from avstream.encoders.audio import AudioEncoder
from avstream.encoders.clip import VisionTower
from avstream.encoders.whisper import Whisper
from avstream.errors import AvstreamError, ConfigError, ModelError
from avstream.evidence import Evidence
from avstream.language import Llava

WINDOW_S = 3.0  # the paper's segment; nano is trained on it
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """Everything that a narrator calls. `listener` is None when `audio` is already the evidence's own encoder."""

    audio: AudioEncoder
    alignment: ProjectionMLP | None
    tower: VisionTower
    language: Llava
    evidence: Evidence
    listener: AudioEncoder | None
    tokens: int
    unselected: Literal["zero", "drop"]
    prompt: str
    device: torch.device


def load(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> Models:
    """Load a preset. `progress` hears one line before each part.

    Raises ConfigError (a device that is not there, k above the patches) and ModelError (missing or damaged weights).
    """
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    use_threads(settings.threads, device)
    progress(f"language model {settings.language}")
    language = loading(settings.language, "llava", lambda path: Llava(path, device=device, dtype=dtype))
    tower = VisionTower(**language.vision_parts())
    patches = tower.grid[0] * tower.grid[1]
    if settings.tokens > patches:
        raise ConfigError(f"tokens must be at most {patches}, the patches of this picture; found {settings.tokens}")
    progress(f"audio encoder {settings.audio_encoder} ({settings.audio_checkpoint})")
    audio = load_audio(settings, device, dtype)
    alignment = load_alignment(settings, audio.dim, tower.width)
    language.prompt(settings.prompt, "")  # a wrong prompt is an error now, not in the first window
    own = (settings.audio_encoder, settings.audio_checkpoint) == ("whisperclip", "nano")
    listener = None if own else load_listener()
    return Models(
        audio, alignment, tower, language, Evidence(checkpoints.NANO / "evidence"), listener,
        settings.tokens, cast(Literal["zero", "drop"], settings.unselected), settings.prompt, device,
    )  # fmt: skip


def load_audio(settings: Settings, device: torch.device, dtype: torch.dtype) -> AudioEncoder:
    """The preset's audio encoder. Raises ConfigError and ModelError."""
    family, checkpoint = FAMILIES[settings.audio_encoder], settings.audio_checkpoint
    if checkpoint == "nano" and not family.name.startswith("whisper"):
        hint = f"use --audio whisperclip:nano, or {family.name} with weights of its own"
        raise ConfigError(f"nano has no {family.name} encoder: {hint}")
    path = checkpoints.resolve_file(checkpoint, family) if family.url else checkpoints.resolve(checkpoint, "whisper")
    return building(checkpoint, path, lambda path: audio_encoder(family.name, path, device, dtype))


def audio_encoder(family: str, path: Path, device: torch.device, dtype: torch.dtype) -> AudioEncoder:
    """An encoder from its folder or file; each family's code is imported when it is asked for."""
    match family:
        case "clap":
            from avstream.encoders.clap import Clap

            return Clap(path, device=device, dtype=dtype)
        case "imagebind":
            from avstream.encoders.imagebind import ImageBindEncoder

            return ImageBindEncoder(path, device=device, dtype=dtype)
        case "audioclip":
            from avstream.encoders.audioclip import AudioClipEncoder

            return AudioClipEncoder(path, device=device)
        case "wav2clip":
            from avstream.encoders.wav2clip import Wav2ClipEncoder

            return Wav2ClipEncoder(path, device=device)
        case "pe-av":
            from avstream.encoders.pe_av import PeAvEncoder

            return PeAvEncoder(path, device=device, dtype=dtype)
        case _:
            fused = family == "whisperclip"
            return Whisper(path, fuse_layers=fused, window_s=WINDOW_S, device=device, dtype=dtype)


def load_listener() -> Whisper:
    """The encoder that the evidence head was trained on: nano's, on the CPU."""
    return Whisper(
        checkpoints.NANO / "whisper",
        fuse_layers=True,
        window_s=WINDOW_S,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def load_alignment(settings: Settings, audio_dim: int, width: int) -> ProjectionMLP | None:
    """None for `raw`. Weights are shipped for nano's own encoder and tower; others are given by their path.

    Raises ConfigError when `projected` is asked of a pair that no weights are shipped for, ModelError as `load`.
    """
    if settings.alignment == "raw":
        return None
    path = Path(settings.alignment)
    if settings.alignment == "projected":
        if (settings.language, settings.audio) != ("nano", "whisperclip:nano"):
            raise ConfigError(
                f"no projection is shipped for {settings.audio} with {settings.language}: give the path of weights "
                "trained for the two (--alignment weights.safetensors), or use --alignment raw"
            )
        path = checkpoints.NANO / "alignment.safetensors"
    return ProjectionMLP.load(path, audio_dim, width)


def loading(checkpoint: str, part: str, build: Callable[[Path], T]) -> T:
    """Build a model from a checkpoint's folder. Raises ModelError."""
    return building(checkpoint, checkpoints.resolve(checkpoint, part), build)


def building(checkpoint: str, path: Path, build: Callable[[Path], T]) -> T:
    """Build a model from files; whatever these do wrong becomes a ModelError."""
    try:
        return build(path)
    except AvstreamError:
        raise
    except Exception as error:  # transformers and safetensors raise many kinds for a damaged or foreign checkpoint
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{checkpoint!r} can't be loaded from {path}: {type(error).__name__}: {reason}") from error


def choose_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then the CPU. Raises ConfigError for a device that is not there."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in present.items() if there))
    if not present[name]:
        there = ", ".join(device for device, is_there in present.items() if is_there)
        raise ConfigError(f"the device {name} is not there (this machine and this torch have: {there})")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto`: bfloat16 on cuda and on CPUs that multiply it in hardware, float16 on mps, otherwise float32."""
    if name != "auto":
        return cast(torch.dtype, getattr(torch, name))
    if device.type == "mps":
        return torch.float16
    on_cpu = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    quick = device.type == "cuda" or on_cpu
    return torch.bfloat16 if quick else torch.float32


def use_threads(threads: int, device: torch.device) -> None:
    """Pin torch's threads: more threads than cores cost a multiple under contention."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(min(threads or cores, cores))
    torch.set_float32_matmul_precision("medium" if device.type == "cpu" else "high")
