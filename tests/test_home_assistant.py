"""What is discovered and published is what Home Assistant accepts, by its rules as `home_assistant.py` has them."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest

from avstream.commands.live import announced
from avstream.events import Rules
from avstream.listeners.names import labels_of
from avstream.sinks.mqtt import topics as wire
from avstream.sinks.mqtt.outbox import Outbox
from avstream.sinks.mqtt.sink import MqttSink
from tests.home_assistant import LONGEST_STATE, complaints, misfits
from tests.mqtt_parts import INFO, LOST, event, narration, status


def discovered(labels, *, images=True, only=(), urgent=(), base="avstream", stream="kitchen"):
    topics, labels = wire.Topics(base, stream), wire.with_other(labels)
    shown = wire.wanted(labels, only, urgent)
    return topics, wire.discovery(topics, stream, labels, shown=shown, version="0.1.0", model="nano", images=images)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"images": False},
        {"only": {"dog_bark", "speech"}},
        {"urgent": {"smoke_alarm", "carbon_monoxide_alarm"}},
        {"base": "home/cams", "stream": "kuche-2"},
    ],
)
def test_discovery_keeps_home_assistants_rules(options):
    labels = [*labels_of("nano", None), "smoke_alarm", "carbon_monoxide_alarm"]
    topics, config = discovered(labels, **options)
    assert list(complaints(topics.discovery, json.loads(wire.encode(config)))) == []


def test_discovery_of_a_large_listener_keeps_them_too():
    rules = Rules(urgent={"smoke_alarm"})
    topics, config = discovered(announced(labels_of("yamnet", None), rules), urgent=rules.urgent)
    assert list(complaints(topics.discovery, config)) == []
    assert len(config["cmps"]) > 2 * 20


def change(config, key, **values):
    changed = deepcopy(config)
    component = changed["cmps"][f"avstream_kitchen_{key}"]
    component.update({name: value for name, value in values.items() if value is not None})
    for name in [name for name, value in values.items() if value is None]:
        component.pop(name, None)
    return changed


@pytest.mark.parametrize(
    ("key", "values", "complaint"),
    [
        ("sound", {"dev_cla": "noise"}, "device_class noise of a binary_sensor"),
        ("sound", {"stat_t": None}, "state_topic is missing"),
        ("sound", {"uniq_id": None}, "unique_id is missing"),
        ("sound", {"uniq_id": "avstream_kitchen_state"}, "same unique_id"),
        ("sound", {"ent_cat": "config"}, "entity_category config of a binary_sensor"),
        ("sound", {"avty": [{"topic": "a/#"}]}, "topic 'a/#'"),
        ("state", {"ops": None}, "enum without options"),
        ("state", {"unit_of_meas": "dB"}, "neither a unit"),
        ("latency", {"unit_of_meas": "seconds"}, "unit seconds of duration"),
        ("level", {"stat_cla": "average"}, "state_class average"),
        ("level", {"p": "thermometer"}, "unknown platform thermometer"),
        ("event", {"evt_typ": []}, "event_types"),
        ("mute_dog_bark", {"cmd_t": None}, "command_topic is missing"),
        ("overlay", {"url_topic": "a"}, "unknown key url_topic"),
    ],
)
def test_what_breaks_a_rule_is_found(key, values, complaint):
    topics, config = discovered(["dog_bark"])
    found = list(complaints(topics.discovery, change(config, key, **values)))
    assert len(found) >= 1 and any(complaint in text for text in found), found


def test_what_is_published_fits_what_was_discovered():
    topics, config = discovered(["dog_bark", "rain"])
    outbox, said = Outbox(lambda: None, max_age_s=60, max_count=1000, max_bytes=10**6), {}
    sink = MqttSink("kitchen", topics, Rules(), ["dog_bark", "rain", "other"], outbox, images=True)
    steps = [
        lambda: sink.open(INFO),
        lambda: sink.status(status()),
        lambda: (sink.event(event(1, label="rain")), sink.write(narration(picture=True))),
        lambda: sink.event(event(1, "updated")),
        lambda: sink.event(event(2, label="helicopter")),
        lambda: sink.status(status(30.0, problems=(replace(LOST, kind="no_sound"),))),
        lambda: sink.status(status(60.0, problems=(replace(LOST, kind="overloaded"),))),
        lambda: sink.event(event(1, "ended")),
        sink.close,
    ]
    for step in steps:
        step()
        while batch := outbox.take(100):
            outbox.done(batch)
            for message in batch:
                said.setdefault(message.topic, []).append(message.payload)
    for key, component in config["cmps"].items():
        topic = component.get("stat_t") or component["img_t"]
        assert said[topic], f"{key} never gets a state"
        for payload in said[topic]:
            assert list(misfits(component, payload)) == [], key
            if component["p"] == "event":
                assert json.loads(payload)["event_type"] in component["evt_typ"]
        if "json_attr_t" in component:
            assert all(isinstance(json.loads(payload), dict) for payload in said[component["json_attr_t"]])
    assert {payload for there in config["avty"][1:] for payload in said[there["t"]]} == {b"online", b"offline"}


@pytest.mark.parametrize(("text", "state"), [("", "silence"), ("a dog is barking.", "a dog is barking.")])
def test_the_narrations_template_gives_a_state(text, state):
    jinja2 = pytest.importorskip("jinja2")
    _, config = discovered(["dog_bark"])
    template = jinja2.Template(config["cmps"]["avstream_kitchen_narration"]["val_tpl"])
    assert template.render(value_json={"text": text}) == state
    assert len(template.render(value_json={"text": "ein Hund bellt. " * 100})) <= LONGEST_STATE
