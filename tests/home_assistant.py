"""Home Assistant's rules for MQTT discovery, as of Core 2026.2, for what avstream sends: written down here by us.

Sources: the integrations `mqtt` (abbreviations.py, schemas.py, and a file a platform), `binary_sensor`, `sensor`,
`event`, `switch` and `image`. Home Assistant drops what breaks one of these with a line in its log, which nobody reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

ABBREVIATIONS = {
    "avty": "availability", "avty_mode": "availability_mode", "cmd_t": "command_topic", "cmps": "components",
    "cont_type": "content_type", "dev": "device", "dev_cla": "device_class", "en": "enabled_by_default",
    "ent_cat": "entity_category", "evt_typ": "event_types", "ic": "icon", "img_t": "image_topic",
    "json_attr_t": "json_attributes_topic", "o": "origin", "ops": "options", "p": "platform",
    "stat_cla": "state_class", "stat_t": "state_topic", "t": "topic", "uniq_id": "unique_id",
    "unit_of_meas": "unit_of_measurement", "val_tpl": "value_template",
}  # fmt: skip
DEVICE = {"ids": "identifiers", "name": "name", "mf": "manufacturer", "mdl": "model", "sw": "sw_version"}
ORIGIN = {"name": "name", "sw": "sw_version", "url": "support_url"}
ENTITY = {
    "platform", "name", "unique_id", "availability", "availability_mode", "entity_category", "device_class", "icon",
    "enabled_by_default", "json_attributes_topic", "qos",
}  # fmt: skip
PLATFORMS = {  # what one may have besides, and what it must have
    "binary_sensor": ({"state_topic", "value_template"}, {"state_topic"}),
    "sensor": (
        {"state_topic", "value_template", "options", "state_class", "unit_of_measurement"},
        {"state_topic"},
    ),
    "event": ({"state_topic", "value_template", "event_types"}, {"state_topic", "event_types"}),
    "switch": ({"state_topic", "command_topic", "value_template"}, {"command_topic"}),
    "image": ({"image_topic", "content_type"}, {"image_topic"}),
}
DEVICE_CLASSES = {
    "binary_sensor": set(
        "battery battery_charging carbon_monoxide cold connectivity door garage_door gas heat light lock moisture "
        "motion moving occupancy opening plug power presence problem running safety smoke sound tamper update "
        "vibration window".split()
    ),
    "sensor": {"duration", "enum"},  # of some sixty those that a narrator may need
    "event": {"doorbell", "button", "motion"},
    "switch": {"outlet", "switch"},
    "image": set(),
}
UNITS = {"duration": {"d", "h", "min", "s", "ms", "μs"}}  # of a sensor's device class; without one any will do
STATE_CLASSES = {"measurement", "measurement_angle", "total", "total_increasing"}
CATEGORIES = {"config", "diagnostic"}
READ_ONLY = {"binary_sensor", "sensor", "event", "image"}  # these are never a setting
LONGEST_STATE = 255


def complaints(topic: str, config: dict[str, Any]) -> Iterator[str]:
    """What Home Assistant would refuse of a device's discovery, a sentence each."""
    if not re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic):
        yield f"topic {topic}"
    top = _spelled(config)
    yield from (f"unknown key {key}" for key in top.keys() - {
        "device", "origin", "components", "availability", "availability_mode", "qos", "state_topic", "command_topic",
    })  # fmt: skip
    device, origin = (top.get(name, {}) for name in ("device", "origin"))
    yield from (f"unknown key {key} of the device" for key in device.keys() - DEVICE.keys())
    yield from (f"unknown key {key} of the origin" for key in origin.keys() - ORIGIN.keys())
    if not device.get("ids") or not all(isinstance(one, str) and one for one in device["ids"]):
        yield "a device without identifiers"
    if not origin.get("name"):
        yield "an origin without a name"
    if top.get("qos", 0) not in (0, 1, 2):
        yield f"qos {top['qos']}"
    yield from _availability(top)
    found = {key: _spelled(one) for key, one in top.get("components", {}).items()}
    for key, one in found.items():
        yield from (f"{key}: {text}" for text in _component(one))
    identifiers = [one.get("unique_id") for one in found.values()]
    if len(set(identifiers)) < len(identifiers):
        yield "two components have the same unique_id"


def misfits(component: dict[str, Any], payload: bytes) -> Iterator[str]:
    """What is wrong with a state that a component, by its abbreviated names, gets."""
    one = _spelled(component)
    if one["platform"] == "image":
        if not payload.startswith(b"\xff\xd8"):
            yield "no JPEG"
        return
    text = payload.decode()
    if one["platform"] in ("binary_sensor", "switch") and text not in ("ON", "OFF"):
        yield f"{text!r} is neither ON nor OFF"
    if one["platform"] == "sensor" and "value_template" not in one:
        if len(text) > LONGEST_STATE:
            yield f"a state of {len(text)} characters"
        if "options" in one and text not in one["options"]:
            yield f"{text!r} is none of the options"
        if "state_class" in one and not re.fullmatch(r"-?\d+(\.\d+)?", text):
            yield f"{text!r} is no number"


def _spelled(values: dict[str, Any]) -> dict[str, Any]:
    return {ABBREVIATIONS.get(key, key): value for key, value in values.items()}


def _component(one: dict[str, Any]) -> Iterator[str]:
    platform = one.get("platform")
    if platform not in PLATFORMS:
        yield f"unknown platform {platform}"
        return
    may, must = PLATFORMS[platform]
    yield from (f"unknown key {key}" for key in one.keys() - ENTITY - may)
    yield from (f"{key} is missing" for key in must | {"unique_id"} if not one.get(key))
    if not isinstance(one.get("name"), str | None):
        yield f"name {one['name']!r}"
    yield from _kind(platform, one)
    yield from _availability(one)
    category = one.get("entity_category")
    if category is not None and (category not in CATEGORIES or (category == "config" and platform in READ_ONLY)):
        yield f"entity_category {category} of a {platform}"
    for key in one.keys() & {"state_topic", "command_topic", "image_topic", "json_attributes_topic"}:
        yield from (f"{key}: {text}" for text in _topic(one[key]))
    if platform == "event":
        types = one.get("event_types")
        if not isinstance(types, list) or not types or len(set(types)) < len(types):
            yield f"event_types {types}"


def _kind(platform: str, one: dict[str, Any]) -> Iterator[str]:
    """Device class, unit, options and state class, which must fit each other."""
    kind, unit = one.get("device_class"), one.get("unit_of_measurement")
    if kind is not None and kind not in DEVICE_CLASSES[platform]:
        yield f"device_class {kind} of a {platform}"
    if kind in UNITS and unit not in UNITS[kind]:
        yield f"unit {unit} of {kind}"
    if "options" in one and (kind != "enum" or unit is not None or "state_class" in one or not one["options"]):
        yield "options need device_class enum, and neither a unit nor a state_class"
    if kind == "enum" and "options" not in one:
        yield "device_class enum without options"
    if one.get("state_class", "measurement") not in STATE_CLASSES:
        yield f"state_class {one['state_class']}"


def _availability(one: dict[str, Any]) -> Iterator[str]:
    if one.get("availability_mode", "latest") not in ("all", "any", "latest"):
        yield f"availability_mode {one['availability_mode']}"
    for there in map(_spelled, one.get("availability", [])):
        if there.keys() != {"topic"}:  # what it says is then online and offline
            yield f"availability {there}"
        yield from _topic(there.get("topic", ""))


def _topic(topic: str) -> Iterator[str]:
    if not topic or len(topic.encode()) > 65535 or re.search(r"[+#\0]", topic):
        yield f"topic {topic!r}"
