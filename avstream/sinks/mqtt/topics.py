"""What goes over MQTT: topic names, payloads, and the discovery that Home Assistant reads. docs/mqtt.md is its schema.

Pure: it knows records and words, and nothing of connections or time of day.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from avstream.records import Narration, SoundEvent
from avstream.redact import hide
from avstream.wording import OTHER

HOME_ASSISTANT = "homeassistant"  # its discovery prefix; it says `online` at homeassistant/status when it starts
ONLINE, OFFLINE = "online", "offline"
ON, OFF = "ON", "OFF"
THRESHOLD, MUTE = "threshold", "mute"
SHOWN_CHARS = 40  # of a payload that is not understood


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one stream. `base` is the broker's, `stream` a slug."""

    base: str
    stream: str

    def of(self, *parts: str) -> str:
        """`avstream/kitchen/audio/dog_bark` for ("audio", "dog_bark")."""
        return "/".join((self.base, self.stream, *parts))

    @property
    def device(self) -> str:
        """An identifier that stays the same as long as base and stream do."""
        base = slugify(self.base)
        return f"{base}_{self.stream}" if base.startswith("avstream") else f"avstream_{base}_{self.stream}"

    @property
    def discovery(self) -> str:
        """Where Home Assistant looks for the device."""
        return f"{HOME_ASSISTANT}/device/{self.device}/config"


def slugify(name: str) -> str:
    """`Küche 2` -> `kuche-2`: lower case letters, digits, `_` and `-`, at most 64, never none."""
    ascii_name = unicodedata.normalize("NFKD", hide(name)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", ascii_name).strip("-")[:64] or "stream"


def encode(value: Any) -> bytes:
    """Text as it is, anything else as JSON; no address in it shows a user or a password, wherever it stands."""
    clean = _hidden(value)
    text = clean if isinstance(clean, str) else json.dumps(clean, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _hidden(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(one) for one in value]
    return hide(value) if isinstance(value, str) else value


def moment(epoch_s: float | None, time_s: float | None) -> str | None:
    """A stream time as ISO 8601 in UTC; None for a recording, which has no time of day."""
    if epoch_s is None or time_s is None:
        return None
    return datetime.fromtimestamp(epoch_s + time_s, UTC).isoformat(timespec="milliseconds")


def narration_payload(narration: Narration, epoch_s: float | None) -> dict[str, Any]:
    """The narration and the moment that it speaks for."""
    return {**narration.to_dict(), "time": moment(epoch_s, narration.focus_start_s)}


def event_payload(event: SoundEvent, epoch_s: float | None, labels: Sequence[str]) -> dict[str, Any]:
    """The event, its moments, and an `event_type` that discovery has announced."""
    return {
        **event.to_dict(),
        "event_type": known(event.label, labels),
        "onset": moment(epoch_s, event.onset_s),
        "end": moment(epoch_s, event.end_s),
    }


def known(label: str, labels: Sequence[str]) -> str:
    """The label, or `other` for one that was not announced."""
    return label if label in labels else OTHER


def with_other(labels: Sequence[str]) -> list[str]:
    """The labels and `other`, each once."""
    return list(dict.fromkeys((*labels, OTHER)))


def parse_setting(setting: str, payload: bytes) -> float | bool:
    """The value of a set topic: a number from 0 to 1 for a threshold, True for ON and False for OFF for a mute.

    Raises ValueError with a sentence that says what was expected.
    """
    text = payload.decode("utf-8", "replace").strip()
    shown = ascii(hide(text)[:SHOWN_CHARS])
    if setting == MUTE:
        if text not in (ON, OFF):
            raise ValueError(f"expected ON or OFF, found {shown}")
        return text == ON
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"expected a number from 0 to 1, found {shown}")
    return value


def discovery(topics: Topics, name: str, labels: Sequence[str], *, version: str, images: bool) -> dict[str, Any]:
    """Everything that Home Assistant needs to show a stream as a device.

    `name` is the stream's for people; `labels` are all that an event may have, `other` among them.
    """
    shown = f"{name[:1].upper()}{name[1:]} narrator"
    components = _sensors(topics, labels)
    if images:
        components["overlay"] = {
            "p": "image", "name": "Sound source", "img_t": topics.of("overlay"), "cont_type": "image/jpeg",
        }  # fmt: skip
    for label in labels:
        components |= _settings(topics, label)
    device = topics.device
    return {
        "dev": {"ids": [device], "name": shown, "mf": "avstream", "sw": version},
        "o": {"name": "avstream", "sw": version},
        "avty": [{"t": f"{topics.base}/status"}, {"t": topics.of("status")}],
        "avty_mode": "all",
        "qos": 1,
        "cmps": {f"{device}_{key}": {**one, "uniq_id": f"{device}_{key}"} for key, one in components.items()},
    }


def _sensors(topics: Topics, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    narration, problems = topics.of("narration"), topics.of("problems")
    return {
        "narration": {
            # a state of more than 255 characters would be unknown; the whole text is in the attributes
            "p": "sensor", "name": "Narration", "stat_t": narration, "json_attr_t": narration,
            "val_tpl": "{{ value_json.text | truncate(250, false, '…') }}",
        },
        "event": {
            "p": "event", "name": "Sound event", "stat_t": topics.of("event"), "evt_typ": list(labels),
        },
        "sound": {"p": "binary_sensor", "name": "Sound", "dev_cla": "sound", "stat_t": topics.of("sound")},
        "problem": {
            "p": "binary_sensor", "name": "Stream problem", "dev_cla": "problem", "ent_cat": "diagnostic",
            "stat_t": topics.of("problem"), "json_attr_t": problems,
        },
        "level": {
            "p": "sensor", "name": "Sound level", "stat_t": topics.of("audio", "dBFS"), "unit_of_meas": "dBFS",
            "stat_cla": "measurement", "ent_cat": "diagnostic",
        },
        "latency": {
            "p": "sensor", "name": "Latency", "stat_t": topics.of("diagnostics"), "dev_cla": "duration",
            "unit_of_meas": "s", "stat_cla": "measurement", "ent_cat": "diagnostic",
            "val_tpl": "{{ value_json.latency_s }}", "json_attr_t": topics.of("diagnostics"),
        },
    }  # fmt: skip


def _settings(topics: Topics, label: str) -> dict[str, dict[str, Any]]:
    """A number and a switch, there for who looks for them: a device with forty controls helps nobody."""
    words = label.replace("_", " ")
    common = {"ent_cat": "config", "en": False}
    return {
        f"{kind}_{label}": {
            **form, "name": name, "stat_t": topics.of(kind, label), "cmd_t": topics.of(kind, label, "set"), **common,
        }
        for kind, name, form in (
            (THRESHOLD, f"Threshold of {words}", {"p": "number", "min": 0, "max": 1, "step": 0.01, "mode": "box"}),
            (MUTE, f"Mute {words}", {"p": "switch"}),
        )
    }  # fmt: skip
