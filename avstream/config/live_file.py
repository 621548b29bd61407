"""What `avstream live` is to do: one stream from options, or several from a YAML file. An unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from avstream.config.validation import checked, read_yaml, shown
from avstream.errors import ConfigError
from avstream.events import Rules
from avstream.redact import hide

EXAMPLE = """\
mqtt: mqtt://user@hub.local/avstream    # the password from AVSTREAM_MQTT_PASSWORD or mqtt_password_file
streams:
  kitchen: {camera: 0, mic: USB, urgent: [alarm], window: true}
  door: {camera: "rtsp://camera.local/stream", only: [doorbell, knock, speech], thresholds: {speech: 0.8}}
"""


class StreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stream: where it comes from, what is spoken of, and where that goes.

    `camera` is an index, a device path or a URL, `mic` an index, part of a name, `none` or `stream`; None is the
    source's own choice. `realtime` plays a file at its own speed, `loop` again and again. `jsonl` is appended
    to, and a new one begun at each `day` or size such as `10MB` of `jsonl_rotate`.
    """

    name: str
    camera: str | None = None
    mic: str | None = None
    realtime: bool = False
    loop: bool = False
    only: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()
    urgent: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = msgspec.field(default_factory=dict)
    window: bool = False
    jsonl: str | None = None
    jsonl_rotate: str | None = None
    srt: str | None = None
    vtt: str | None = None

    def __post_init__(self) -> None:
        self.rules()

    def rules(self) -> Rules:
        """What is to be spoken of. Raises ConfigError."""
        return Rules(dict(self.thresholds), set(self.only), set(self.mute), set(self.urgent))


class Home(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
                raise ConfigError(f"two outputs would be written to {path}", "name another file")


def load(path: Path) -> Home:
    """A home file. Raises ConfigError: unreadable, an unknown or missing key, a value of the wrong kind."""
    values = read_yaml(path)
    if not isinstance(values, dict) or not isinstance(values.get("streams"), dict) or not values["streams"]:
        expected = f"`streams:` with a name and settings for each in {path}"
        raise ConfigError("none", f"write it like this:\n{EXAMPLE}", expected)
    streams = [_stream(str(name), settings, path) for name, settings in values["streams"].items()]
    return checked({**values, "streams": streams}, Home, str(path))


def _stream(name: str, settings: Any, path: Path) -> StreamSettings:
    where = f"the stream {hide(name)} of {path}"
    if not isinstance(settings, dict):
        raise ConfigError(shown(settings), expected=f"settings such as {{camera: 0}} for {where}")
    if "name" in settings:
        raise ConfigError(f"{where} has a key `name`", "leave it out: the settings stand under the stream's name")
    numbers = {key: str(settings[key]) for key in ("camera", "mic") if type(settings.get(key)) is int}
    return checked({**settings, **numbers, "name": name}, StreamSettings, where)
