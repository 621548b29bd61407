"""What `avstream live` is to do: one stream from options, or several from a YAML file. An unknown key is an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from avstream.errors import ConfigError
from avstream.events import Rules
from avstream.wording import unknown

EXAMPLE = """\
mqtt: mqtt://user@hub.local/avstream    # the password from AVSTREAM_MQTT_PASSWORD or mqtt_password_file
streams:
  kitchen: {camera: 0, mic: USB, urgent: [alarm], window: true}
  door: {camera: "rtsp://camera.local/stream", only: [doorbell, knock, speech], thresholds: {speech: 0.8}}
"""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One stream: where it comes from, what is spoken of, and where that goes.

    `camera` is an index, a device path or a URL, `mic` an index, part of a name, `none` or `stream`; None is the
    source's own choice. `realtime` plays a file at its own speed, `loop` again and again.
    """

    name: str
    camera: str | None = None
    mic: str | None = None
    realtime: bool = False
    loop: bool = False
    only: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()
    urgent: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    window: bool = False
    jsonl: str | None = None
    srt: str | None = None
    vtt: str | None = None

    def __post_init__(self) -> None:
        self.rules()

    def rules(self) -> Rules:
        """What is to be spoken of. Raises ConfigError."""
        return Rules(dict(self.thresholds), set(self.only), set(self.mute), set(self.urgent))


@dataclass(frozen=True, slots=True)
class Home:
    """All streams and what they share. `preset` and `hop` None are the command's defaults."""

    streams: tuple[StreamSettings, ...]
    mqtt: str | None = None
    mqtt_password_file: str | None = None
    mqtt_cafile: str | None = None
    mqtt_images: bool = True
    preset: str | None = None
    hop: float | None = None

    def __post_init__(self) -> None:
        named = [path for s in self.streams for path in (s.jsonl, s.srt, s.vtt) if path and path != "-"]
        outputs = [Path(path).resolve() for path in named]
        for path in outputs:
            if outputs.count(path) > 1:
                raise ConfigError(f"two outputs would be written to {path}: name another file")


def load(path: Path) -> Home:
    """A home file. Raises ConfigError: unreadable, an unknown or missing key, a value of the wrong kind."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError for what is no UTF-8, or no date though it looks so
        raise ConfigError(f"{path} is not valid YAML: {mistake(error)}") from None
    if not isinstance(values, dict) or not isinstance(values.get("streams"), dict) or not values["streams"]:
        raise ConfigError(f"{path} must hold `streams:` with a name and settings for each, such as:\n{EXAMPLE}")
    streams = []
    for name, settings in values.pop("streams").items():
        where = f"{path}: {hide(str(name))}"
        if not isinstance(settings, dict):
            raise ConfigError(f"{where} must hold settings such as {{camera: 0}}, found {shown(settings)}")
        streams.append(StreamSettings(str(name), **checked(settings, StreamSettings, where, ("name",))))
    return Home(tuple(streams), **checked(values, Home, str(path), ("streams",)))


def mistake(error: Exception) -> str:
    """What is wrong with the YAML and where, without the line itself: there may be a password in it."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if not problem or mark is None:
        return " ".join(str(error).split())
    told = re.sub("(alias|tag|handle) ['\"].*", r"\1", problem)  # without a name from the file
    return f"line {mark.line + 1}, column {mark.column + 1}: {told}"


def checked(values: dict[Any, Any], kind: type, where: str, reserved: Iterable[str]) -> dict[str, Any]:
    """The values for a dataclass, each of its field's kind. Raises ConfigError."""
    known = {item.name: item for item in fields(kind) if item.name not in reserved}
    found = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where}: {unknown('key', hide(str(key)), known)}")
        found[key] = converted(value, known[key], f"{where}: {key}")
    return found


def converted(value: Any, item: Field[Any], where: str) -> Any:
    """A YAML value as its field wants it. Raises ConfigError."""
    kind = item.type.split(" ")[0].split("[")[0]
    if value is None and item.default is None:
        return None
    if kind == "str" and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "float" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind == "tuple" and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    numbers = isinstance(value, dict) and all(type(number) in (int, float) for number in value.values())
    if kind == "Mapping" and numbers:
        return {str(label): float(number) for label, number in value.items()}
    wanted = {"str": "text", "bool": "true or false", "float": "a number", "tuple": "a list such as [speech, bell]"}
    example = wanted.get(kind, "numbers such as {speech: 0.8}")
    missing = "" if item.default is MISSING else f"; leave it out for {item.default!r}"
    raise ConfigError(f"{where} must be {example}, found {shown(value)}{missing}")


def shown(value: Any) -> str:
    """A value as it may be repeated in an error: without the password of an address."""
    return hide(repr(value))


def hide(text: str) -> str:
    """A text without the passwords of addresses."""
    from avstream.sources import address  # brings libav in: only for who has made a mistake

    return address.hide(text)
