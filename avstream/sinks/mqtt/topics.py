"""What goes over MQTT: topic names, payloads, and the discovery that Home Assistant reads. docs/mqtt.md is its schema.

Pure: it knows records and words, and nothing of connections or time of day.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from avstream.records import Narration, SoundEvent
from avstream.redact import hide
from avstream.sinks.files import utf8
from avstream.wording import OTHER, words

HOME_ASSISTANT = "homeassistant"  # its discovery prefix; it says `online` at homeassistant/status when it starts
ONLINE, OFFLINE = "online", "offline"
ON, OFF = "ON", "OFF"
THRESHOLD, MUTE = "threshold", "mute"
HEARING = "hearing"  # online while the stream can hear: deaf is not silent
SILENCE, SOUND, DEAF, OVERLOADED = STATES = ("silence", "sound", "can't hear", "overloaded")
SHOWN_CHARS = 40  # of a payload that is not understood
# Sounds of a home that people make automations of. Home Assistant keeps a row for each change of each entity, so that
# not every sound that can be heard has one unless `--only` asks for it.
EVERYDAY = (
    "alarm", "baby_cry", "bell", "car_horn", "cat_meow", "cough", "dog_bark", "door", "doorbell", "engine", "footsteps",
    "glass_breaking", "knock", "phone_ring", "scream", "siren", "speech", "thunder", "vacuum_cleaner", "water_running",
)  # fmt: skip
DEVICE_CLASSES = {"smoke_alarm": "smoke", "carbon_monoxide_alarm": "carbon_monoxide"}  # any other is a "sound"


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
    return utf8(text)


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
    published = {name: value for name, value in narration.to_dict().items() if not name.startswith("timings")}
    return {**published, "time": moment(epoch_s, narration.focus_start_s)}


def gist(narration: Narration) -> Hashable:
    """What makes a narration another one to who listens: words, sounds and places, not the last digit of a level."""
    return narration.text, tuple((sound.label, sound.direction, sound.visible) for sound in narration.sounds)


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


def wanted(labels: Sequence[str], only: Collection[str], urgent: Collection[str]) -> list[str]:
    """The labels that get an entity of their own: those in `only`, else EVERYDAY ones and what is urgent."""
    if only:
        return [label for label in labels if label in only]
    named = [label for label in labels if label != OTHER]
    everyday = [label for label in EVERYDAY if label in named]
    chosen = {*everyday, *[label for label in named if label not in everyday][: len(EVERYDAY) - len(everyday)], *urgent}
    return [label for label in labels if label in chosen]


def discovery(
    topics: Topics,
    name: str,
    labels: Sequence[str],
    *,
    shown: Sequence[str],
    version: str,
    model: str,
    images: bool,
) -> dict[str, Any]:
    """Everything that Home Assistant needs to show a stream as a device.

    `name` is the stream's for people; `labels` are all that an event may have, `other` among them, and `shown` those
    with an entity of their own; `model` is what listens.
    """
    components = _sensors(topics, labels)
    if images:
        components["overlay"] = {
            "p": "image", "name": "Sound source", "img_t": topics.of("overlay"), "cont_type": "image/jpeg",
        }  # fmt: skip
    for label in shown:
        components |= _of_label(topics, label)
    device = topics.device
    return {
        "dev": {
            "ids": [device], "name": f"{name[:1].upper()}{name[1:]} narrator", "mf": "avstream", "mdl": model,
            "sw": version,
        },
        "o": {"name": "avstream", "sw": version},
        "avty": _there(topics),
        "avty_mode": "all",
        "qos": 1,
        "cmps": {f"{device}_{key}": {**one, "uniq_id": f"{device}_{key}"} for key, one in components.items()},
    }  # fmt: skip


def _there(topics: Topics, *more: str) -> list[dict[str, str]]:
    """What must be `online` for an entity to be available."""
    return [{"t": f"{topics.base}/status"}, *({"t": topics.of(one)} for one in ("status", *more))]


def _sensors(topics: Topics, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    narration, problems = topics.of("narration"), topics.of("problems")
    return {
        "narration": {
            # a state of more than 255 characters would be unknown; the complete text is in the attributes
            "p": "sensor", "name": "Narration", "stat_t": narration, "json_attr_t": narration,
            "val_tpl": "{{ value_json.text | default('silence', true) | truncate(250, false, '…') }}",
            "avty": _there(topics, HEARING),
        },
        "state": {
            "p": "sensor", "name": "State", "stat_t": topics.of("state"), "dev_cla": "enum", "ops": list(STATES),
        },
        "event": {
            "p": "event", "name": "Sound event", "stat_t": topics.of("event"), "evt_typ": list(labels),
        },
        "sound": {
            "p": "binary_sensor", "name": "Sound", "dev_cla": "sound", "stat_t": topics.of("sound"),
            "avty": _there(topics, HEARING),
        },
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


def _of_label(topics: Topics, label: str) -> dict[str, dict[str, Any]]:
    """Whether it sounds, unknown while nobody can hear; and a switch to hear of it no more."""
    spoken = words(label)
    return {
        f"audio_{label}": {
            "p": "binary_sensor", "name": f"{spoken[:1].upper()}{spoken[1:]}",
            "dev_cla": DEVICE_CLASSES.get(label, "sound"), "stat_t": topics.of("audio", label),
            "avty": _there(topics, HEARING),
        },
        f"mute_{label}": {
            "p": "switch", "name": f"Mute {label.replace('_', ' ')}", "stat_t": topics.of(MUTE, label),
            "cmd_t": topics.of(MUTE, label, "set"), "ent_cat": "config",
        },
    }  # fmt: skip
