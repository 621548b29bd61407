"""configs/*.yaml -> checked settings. An unknown name or key is an error that names the nearest known one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from avstream import vocabulary
from avstream.config.families import FAMILIES
from avstream.config.validation import checked, read_yaml
from avstream.errors import ConfigError
from avstream.listeners.names import check as check_listener
from avstream.wording import unknown

PACKAGE = Path(__file__).parents[1]
LOCALIZERS = ("synchrony", "detector", "acl", "auto")
DETECTOR = "ustc-community/dfine-nano-coco"  # what `--localizer detector` means without a model
CHOICES = {
    "unselected": ("zero", "drop"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "dtype": ("auto", "float32", "bfloat16", "float16", "int8"),
}
DEFAULT_PROMPT = "A sound and the picture it belongs to follow. In one short sentence, say what is sounding."


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The four choices of a preset (vision comes with `language`), and how to run them.

    `language` and the part of `audio` after the colon are `nano` (embedded), a hub id, or a local folder.
    """

    name: str
    description: str
    language: str
    audio: str  # ENCODER or ENCODER:CHECKPOINT
    alignment: str = "raw"  # raw | projected | path of trained weights
    tokens: int = 15  # k, the patches that are kept
    unselected: str = "zero"
    device: str = "auto"
    dtype: str = "auto"
    localizer: str = "synchrony"  # or detector:MODEL, acl:FOLDER; auto: the detector if it can be had
    threads: int = 0  # 0: one for each core that this process may use, in ONNX graphs 1
    prompt: str = DEFAULT_PROMPT
    listener: str = "nano"  # a name, NAME:FILE or a path; auto: the best that can be had
    labels: str = ""  # what clap listens for: "kettle whistling, my cat"
    size: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigError for a value outside its range."""
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise ConfigError(*unknown(key, str(getattr(self, key)), allowed))
        if self.audio_encoder not in FAMILIES:
            raise ConfigError(*unknown("audio encoder", self.audio_encoder, FAMILIES))
        if self.localizer_kind not in LOCALIZERS:
            raise ConfigError(*unknown("localizer", self.localizer_kind, LOCALIZERS))
        if self.localizer in ("acl", "acl:"):
            raise ConfigError(
                "--localizer acl without trained weights",
                "give --localizer acl:FOLDER; python -m pipelines.train_localizer writes such a folder",
            )
        if self.tokens < 0:
            raise ConfigError(f"{self.tokens}", expected="tokens (picture patches that are kept) of 0 or more")
        if self.threads < 0:
            raise ConfigError(f"{self.threads}", expected="threads of 0 (as many as pay) or more")
        if not self.prompt.strip():
            raise ConfigError("the prompt is empty", "leave --prompt out to use the preset's own")
        check_listener(self.listener)
        if self.labels and self.listener.partition(":")[0] != "clap":
            raise ConfigError(f"labels with {self.listener}", "labels in your own words go with --listener clap")
        try:
            learned(self.labels)
        except ValueError as error:
            raise ConfigError(repr(self.labels), expected="labels in words, such as kettle whistling") from error

    @property
    def audio_encoder(self) -> str:
        """One of FAMILIES."""
        return self.audio.partition(":")[0]

    @property
    def audio_checkpoint(self) -> str:
        """Where its weights are: `nano`, a hub id, a folder, or the name or path of an official file."""
        return self.audio.partition(":")[2] or FAMILIES[self.audio_encoder].checkpoint

    @property
    def localizer_kind(self) -> str:
        """One of LOCALIZERS."""
        return self.localizer.partition(":")[0]

    @property
    def localizer_model(self) -> str:
        """Where its model is: a hub id, a folder or a file; empty for one that needs none."""
        return self.localizer.partition(":")[2] or (DETECTOR if self.localizer_kind in ("detector", "auto") else "")

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels as names of the vocabulary, which they are taken into."""
        return learned(self.labels)


def learned(labels: str) -> tuple[str, ...]:
    """`my cat, smoke alarm` -> my_cat, smoke_alarm, in the vocabulary. Raises ValueError for one without letters."""
    return tuple(dict.fromkeys(vocabulary.learn(label) for label in labels.split(",") if label.strip()))


def folder() -> Path:
    """Where the presets are: inside an installed package, or beside it in a checkout."""
    inside = PACKAGE / "configs"
    return inside if inside.is_dir() else PACKAGE.parent / "configs"


def names() -> list[str]:
    """Every preset, `nano` first."""
    return sorted((path.stem for path in folder().glob("*.yaml")), key=lambda name: (name != "nano", name))


def load(name: str, **overrides: Any) -> Settings:
    """A preset by name (or by the path of a YAML file), with every override that is not None put over it.

    Raises ConfigError: unknown preset, unreadable file, unknown or missing key, value of the wrong type or range.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder() / f"{name}.yaml"
    if not path.is_file():
        if path == Path(name):
            raise ConfigError("no file", "check the name and the folder", f"a preset at {path}")
        raise ConfigError(*unknown("preset", name, names()))
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f"a {type(values).__name__}", expected=f"`key: value` lines in {path}")
    settings = checked({"name": path.stem, **values}, Settings, str(path))
    return msgspec.structs.replace(settings, **{key: value for key, value in overrides.items() if value is not None})
