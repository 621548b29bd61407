"""The models that run by torch and transformers: from a folder or the hub, on any device."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

import torch
from transformers.utils import logging as transformers_logging

from avstream import checkpoints
from avstream.config.families import FAMILIES
from avstream.config.presets import Settings
from avstream.encoders.audio import AudioEncoder
from avstream.encoders.clip import ClipTower
from avstream.encoders.whisper import Whisper
from avstream.errors import AvstreamError, ConfigError, ModelError
from avstream.language import Llava
from avstream.listeners.base import Listener
from avstream.localization.grounding.thing import Detector
from avstream.localization.place import Localizer
from avstream.vocabulary import HOME
from avstream.workers import cores

T = TypeVar("T")


def load_llava(settings: Settings) -> tuple[Llava, ClipTower, str]:
    """A LLaVA, its tower and its device. Raises ConfigError for a device that is not there, and ModelError."""
    device, dtype = prepare(settings)
    int8 = settings.dtype == "int8"
    language = loading(settings.language, "llava", lambda path: Llava(path, device=device, dtype=dtype, int8=int8))
    return language, ClipTower(**language.vision_parts()), str(device)


def load_audio(settings: Settings, window_s: float) -> AudioEncoder:
    """An audio encoder for windows of `window_s`. Raises ConfigError and ModelError as `load_llava`."""
    device, dtype = prepare(settings)
    family, checkpoint = FAMILIES[settings.audio_encoder], settings.audio_checkpoint
    path = checkpoints.resolve_file(checkpoint, family) if family.url else checkpoints.resolve(checkpoint, "whisper")
    return building(checkpoint, path, lambda path: audio_encoder(family.name, path, window_s, device, dtype))


def audio_encoder(family: str, path: Path, window_s: float, device: torch.device, dtype: torch.dtype) -> AudioEncoder:
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
            return Whisper(path, fuse_layers=fused, window_s=window_s, device=device, dtype=dtype)


def load_listener(settings: Settings) -> Listener:
    """AST, or CLAP for labels in anybody's words. Raises ConfigError and ModelError as `load_llava`."""
    from avstream.listeners import ast, clap

    device, dtype = prepare(settings)
    name, _, checkpoint = settings.listener.partition(":")
    if name == "ast":
        return loading(
            checkpoint or checkpoints.HUB_LISTENERS[name],
            "ast",
            lambda path: ast.AstListener(path, device=device, dtype=dtype),
        )
    labels = settings.label_names or HOME
    return loading(
        checkpoint or checkpoints.HUB_LISTENERS[name],
        "clap",
        lambda path: clap.ClapListener(path, labels, device=device, dtype=dtype),
    )


def load_grounding(settings: Settings) -> Localizer:
    """A detector of things behind the localizers' seam. Raises ConfigError as `load_llava`, and ModelError."""
    from avstream.localization.localizer_detector import DetectorLocalizer

    device, _ = prepare(settings)
    return DetectorLocalizer(load_detector(settings.localizer_model, device))


def load_detector(model: str, device: torch.device) -> Detector:
    """A detector from its folder or the hub, of the family that its config names. Raises ModelError."""
    from avstream.localization.grounding.hub import HubDetector
    from avstream.localization.grounding.words import WordBoxes, WordMasks

    families: dict[str, Callable[[Path, torch.device], Detector]] = {"clipseg": WordMasks}
    families |= {"owlv2": WordBoxes, "owlvit": WordBoxes}

    def build(path: Path) -> Detector:
        kind = json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type", "")
        detector: Detector = families.get(kind, HubDetector)(path, device)
        return detector

    return loading(model, "detector", build)


def load_acl(settings: Settings) -> Localizer:
    """ACL-SSL from a folder that holds acl.pth and acl.json, which names BEATs' file and CLIPSeg's checkpoint.

    Both may be in that folder or elsewhere. Raises ConfigError as `load_llava`, and ModelError.
    """
    from avstream.encoders.audio import mono
    from avstream.encoders.beats import BeatsEncoder, load_beats
    from avstream.localization.acl import AclHead, AclLocalizer
    from avstream.localization.acl_grounder import Grounder
    from avstream.localization.localizer_acl import AclPlaces

    device, _ = prepare(settings)
    folder = Path(settings.localizer_model).expanduser()
    try:
        about = json.loads((folder / "acl.json").read_text(encoding="utf-8"))
        beats, clipseg, fitted = folder / about["beats"], str(about["clipseg"]), about.get("calibration")
        calibration = None if fitted is None else (float(fitted["scale"]), float(fitted["bias"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{error}",
            "python -m pipelines.train_localizer writes both",
            f'acl.pth and acl.json ({{"beats": FILE, "clipseg": FOLDER or hub id}}) in {folder}',
        ) from error
    place = str(folder / clipseg) if (folder / clipseg).is_dir() else clipseg
    grounder = loading(place, "clipseg", lambda path: Grounder.load(path, device))
    encoder = BeatsEncoder(load_beats(beats), device=device)
    head = AclHead.load(folder / "acl.pth", encoder.layers_dim, grounder.token_dim)
    return AclPlaces(AclLocalizer(head, grounder, encoder), mono, calibration)


def prepare(settings: Settings) -> tuple[torch.device, torch.dtype]:
    """The device and the type to load for, with torch's threads set. Raises ConfigError."""
    device = choose_device(settings.device)
    use_threads(settings.threads, device)
    return device, choose_dtype(settings.dtype, device)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from talking and from drawing bars, and leave it as it was: others use it too."""
    verbosity, has_bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if has_bar:
            transformers_logging.enable_progress_bar()


def loading(checkpoint: str, part: str, build: Callable[[Path], T]) -> T:
    """Build a model from a checkpoint's folder. Raises ModelError."""
    return building(checkpoint, checkpoints.resolve(checkpoint, part), build)


def building(checkpoint: str, path: Path, build: Callable[[Path], T]) -> T:
    """Build a model from files; whatever these do wrong becomes a ModelError."""
    try:
        with quiet():
            return build(path)
    except AvstreamError:
        raise
    except Exception as error:  # transformers and safetensors raise many kinds for a damaged or foreign checkpoint
        reason = " ".join(str(error).split())[:300]
        found = f"{checkpoint!r} can't be loaded from {path}: {type(error).__name__}: {reason}"
        raise ModelError(found, "download it again, or use another checkpoint") from error


def choose_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then the CPU. Raises ConfigError for a device that is not there."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in present.items() if there))
    if not present[name]:
        there = ", ".join(device for device, is_there in present.items() if is_there)
        raise ConfigError(f"the device {name} is not there", f"use one that this machine and this torch have: {there}")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto`: bfloat16 on cuda and on CPUs that multiply it in hardware, float16 on mps, otherwise float32.

    `int8` is for the language model alone: all else stays float32. Raises ConfigError for it on anything but a CPU.
    """
    if name == "int8":
        if device.type != "cpu":
            raise ConfigError(f"int8 on {device.type}", "add --device cpu, or use --dtype bfloat16 there")
        return torch.float32
    if name != "auto":
        return cast(torch.dtype, getattr(torch, name))
    if device.type == "mps":
        return torch.float16
    on_cpu = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    quick = device.type == "cuda" or on_cpu
    return torch.bfloat16 if quick else torch.float32


def use_threads(threads: int, device: torch.device) -> None:
    """Pin torch's threads: more threads than cores cost a multiple under contention."""
    torch.set_num_threads(min(threads or cores(), cores()))
    torch.set_float32_matmul_precision("medium" if device.type == "cpu" else "high")
