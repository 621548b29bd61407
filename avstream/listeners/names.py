"""The names that `--listener` takes, and what each can hear: without loading anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avstream import vocabulary
from avstream.errors import ConfigError
from avstream.listeners import nano
from avstream.listeners.audioset import YAMNET
from avstream.vocabulary import AUDIOSET, HOME, OTHER, PARENTS

AUTO = "auto"  # the best that can be had here: PREFERRED, else nano
PREFERRED = "ced-mini"
NAMES: dict[str, str] = {  # name -> what it is, for people
    "nano": "this project's own: 67 sounds of homes, frame by frame; embedded",
    "ced-mini": "CED-mini, 9.6 M parameters: AudioSet's 527 classes; from the hub",
    "ced-tiny": "CED-tiny, 5.5 M parameters: AudioSet's 527 classes; from the hub",
    "mn10": "EfficientAT mn10, 4.9 M parameters: AudioSet's 527 classes; from the hub",
    "ast": "AST, 87 M parameters: AudioSet's 527 classes; from the hub",
    "yamnet": "YAMNet, 3.7 M parameters: 521 of AudioSet's classes; from its .tflite file",
    "clap": "CLAP, zero-shot: any labels in your own words (--labels); from the hub",
}
BY_TORCH = ("ast", "clap")
TAKES_FILE = ("yamnet", *BY_TORCH)


def check(spec: str) -> None:
    """Raises ConfigError unless a listener is named as `--listener` takes it; a folder's own labels are learned."""
    name, _, file = spec.partition(":")
    if spec == AUTO or name in TAKES_FILE or (name in NAMES and not file):
        return
    if name in NAMES:
        raise ConfigError(f"--listener {name} takes no file", f"leave it out; {', '.join(TAKES_FILE)} take one")
    if not is_file(spec):
        from avstream.wording import unknown

        found, fix = unknown("listener", spec, NAMES)
        raise ConfigError(found, f"{fix}, or the path of a .tflite file or a listener's folder")
    if (path := Path(spec).expanduser()).suffix != ".tflite" and (folder_of(path) / nano.FILES[1]).is_file():
        labels_of(spec)


def is_file(spec: str) -> bool:
    """Whether a listener is named by its path."""
    path = Path(spec).expanduser()
    return spec.startswith((".", "/", "~")) or path.suffix in (".onnx", ".tflite") or path.is_dir()


def folder_of(path: Path) -> Path:
    """The folder of a listener that is named by it or by its .onnx file."""
    return path.parent if path.suffix == ".onnx" else path


def labels_of(spec: str, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """What a listener can claim, general words included, without loading it. Raises ModelError for a damaged folder."""
    name = spec.partition(":")[0]
    if name == AUTO:
        from avstream.listeners.onnx_taggers import FILES

        name = PREFERRED if FILES[PREFERRED].cached() else "nano"
    if name == "clap":
        return (*(wanted or HOME), OTHER)
    if name == "yamnet" or spec.endswith(".tflite"):
        names: Sequence[str] = (*YAMNET, *PARENTS)
    elif name in NAMES and name != "nano":
        names = (*AUDIOSET, *PARENTS)
    else:
        about = nano.description(nano.SHIPPED if name == "nano" else folder_of(Path(spec).expanduser()))
        names = [*map(vocabulary.learn, about.get("labels", ())), *about.get("parents", ())]
    return tuple(label for label in dict.fromkeys((*names, OTHER)) if vocabulary.sayable(label))
