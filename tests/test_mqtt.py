"""MQTT as others hear it, from a real mosquitto: every topic, its payloads, and what can be set from afar."""

import asyncio
import json
import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from avstream.errors import ConfigError
from avstream.sinks.mqtt import service as mqtt
from avstream.sinks.mqtt import topics as mqtt_topics
from avstream.sinks.mqtt.service import Broker, MqttHub
from tests import mqtt_parts as parts
from tests.broker import Ear, Mosquitto, until
from tests.mqtt_parts import INFO, LABELS, LOST, Rules, event, hub_for, in_loop, narration, running, status

DOCS = Path(__file__).parent.parent / "docs" / "mqtt.md"


@pytest.fixture(autouse=True)
def quick_and_quiet(monkeypatch, capfd):
    """Retries come quickly, and nothing of aiomqtt's or paho's reaches standard error."""
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 0.02)
    monkeypatch.setattr(mqtt, "RETRY_MAX_S", 0.1)
    yield
    assert parts.left_over_words(capfd) == ""


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path) as running_broker:
        yield running_broker


def documented() -> dict[str, str]:
    """Topic -> the example in the docs."""
    found = re.findall(r"^### `([^`]+)`$(.*?)(?=^##|\Z)", DOCS.read_text(encoding="utf-8"), re.M | re.S)
    examples = {topic: re.search(r"```\w*\n(.*?)\n```", text, re.S) for topic, text in found}
    assert found and all(examples.values())
    return {topic: example[1] for topic, example in examples.items()}


@in_loop
async def test_every_topic_is_as_the_docs_say(broker):
    rules = Rules()
    hub = hub_for(broker.port, rules=rules)
    sink = hub.sink("kitchen", rules, LABELS)
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: ear.last("avstream/kitchen/mute/rain"))
        sink.open(INFO)
        sink.status(status(problems=(LOST,)))
        sink.event(event())
        sink.write(narration(picture=True))
        await until(lambda: ear.last("avstream/kitchen/overlay"))
        sink.event(event(phase="continues"))
        sink.event(event(phase="ended"))
        await ear.say("avstream/kitchen/threshold/dog_bark/set", "high")
        await until(lambda: ear.last("avstream/kitchen/error") and ear.last("avstream/kitchen/sound") == "OFF")
        examples = documented()
        for topic, example in examples.items():
            payloads = ear.all(topic.replace("<label>", "dog_bark"))
            if topic.endswith("/set"):
                assert mqtt_topics.parse_setting(topic.split("/")[2], example.encode()) is not None
            elif topic.endswith("/overlay"):
                assert all(payload.startswith(b"\xff\xd8") for payload in payloads) and payloads
            elif example.startswith("{"):
                assert json.loads(example) in [json.loads(payload) for payload in payloads], topic
            else:
                assert example in [payload.decode() for payload in payloads], topic
        patterns = [re.escape(topic).replace("<label>", "(dog_bark|rain|other)") for topic in examples]
        for topic, _, _ in ear.heard:
            assert any(re.fullmatch(pattern, topic) for pattern in patterns), topic
        assert len(ear.all("avstream/kitchen/event")) == 2  # `continues` is not told


@in_loop
async def test_discovery_is_whole_and_stable(broker):
    hub = hub_for(broker.port, base="home/cams")
    hub.sink("Küche", Rules(), ("dog_bark", "other"))
    async with running(hub), Ear(broker.port) as ear:
        await until(lambda: ear.last("homeassistant/device/avstream_home-cams_kuche/config"))
    config = json.loads(ear.last("homeassistant/device/avstream_home-cams_kuche/config"))
    assert config["o"] == {"name": "avstream", "sw": "0.1.0"}
    assert config["dev"]["name"] == "Küche narrator"
    names = [component["name"] for component in config["cmps"].values()]
    assert len(set(names)) == len(names)
    for key, component in config["cmps"].items():
        assert component["uniq_id"] == key and key.startswith("avstream_home-cams_kuche_") and component["p"]
        topics = [value for name, value in component.items() if name.endswith("_t")]
        assert topics and all(topic.startswith("home/cams/kuche/") for topic in topics)
        # what is not there by itself must be told, or Home Assistant shows "unknown"
        assert component["p"] in ("number", "switch") or component.get("en", True)
    kinds = {key.removeprefix("avstream_home-cams_kuche_"): one for key, one in config["cmps"].items()}
    assert kinds["event"]["evt_typ"] == ["dog_bark", "other"]
    assert {key for key in kinds if key.startswith(("threshold", "mute"))} == {
        "threshold_dog_bark", "mute_dog_bark", "threshold_other", "mute_other",
    }  # fmt: skip
    assert kinds["threshold_dog_bark"]["en"] is False and kinds["mute_dog_bark"]["en"] is False
    assert not any(retained for topic, _, retained in ear.heard if topic.endswith("/event"))


@in_loop
async def test_an_unknown_label_is_other_and_a_long_text_is_whole(broker):
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    text = "ein Hund — äöü " * 100
    sink.write(replace(narration(), text=text, source="caf\udce9"))
    sink.event(event(label="helicopter"))
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: ear.last("avstream/kitchen/event"))
        told = json.loads(ear.last("avstream/kitchen/event"))
        assert told["event_type"] == "other" and told["label"] == "helicopter"
        assert told["onset"] == "2026-11-21T08:00:01.500+00:00" and told["end"] is None
        await until(lambda: ear.last("avstream/kitchen/audio/other") == "ON")
        assert json.loads(ear.last("avstream/kitchen/narration"))["text"] == text
        assert "äöü" in ear.last("avstream/kitchen/narration")


@in_loop
async def test_states_follow_events_of_which_several_may_go_on(broker):
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    async with Ear(broker.port) as ear, running(hub):

        async def states(bark: str, rain: str, sound: str) -> None:
            want = [bark, rain, sound, sound]
            topics = ("audio/dog_bark", "audio/rain", "audio/all", "sound")
            await until(lambda: [ear.last(f"avstream/kitchen/{topic}") for topic in topics] == want)

        await states("OFF", "OFF", "OFF")
        sink.event(event(1))
        sink.event(event(2, label="rain"))
        sink.event(event(3))
        await states("ON", "ON", "ON")
        sink.event(event(1, "ended"))
        sink.event(event(2, "ended", label="rain"))
        await states("ON", "OFF", "ON")
        sink.close()
        sink.close()
        await states("OFF", "OFF", "OFF")
        await until(lambda: ear.last("avstream/kitchen/status") == "offline")


@in_loop
async def test_level_and_diagnostics_are_not_chatty(broker):
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: ear.last("avstream/kitchen/status") == "online")
        for tick in range(41):  # ten seconds: the level wanders by less than 1 dB, then jumps
            sink.status(status(tick / 4, level_dbfs=-20.4 + 0.5 * (tick % 2) + 30 * (tick > 30)))
            await asyncio.sleep(0.002)
        sink.write(narration())
        await until(lambda: ear.last("avstream/kitchen/narration") and ear.last("avstream/kitchen/audio/dBFS") == "10")
        await until(lambda: len(ear.all("avstream/kitchen/diagnostics")) == 2)
        assert ear.all("avstream/kitchen/audio/dBFS") == [b"-20", b"10"]


@in_loop
async def test_the_level_is_the_loudest_of_each_second(broker):
    """A bang is short: where the level changes all the time, the status of just that moment would mostly miss it."""
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    async with Ear(broker.port) as ear, running(hub):
        for tick in range(16):  # four seconds, with a bang in the second one
            sink.status(status(tick / 4, level_dbfs=-6.0 if tick == 6 else -50.0 - 3 * (tick % 2)))
            await until(lambda: not hub._outbox._due)
        await until(lambda: len(ear.all("avstream/kitchen/audio/dBFS")) == 3)
        assert ear.all("avstream/kitchen/audio/dBFS") == [b"-50", b"-6", b"-50"]


@in_loop
async def test_pictures_are_small_and_seldom_and_can_be_kept_in(broker):
    hub = hub_for(broker.port)
    open_sink, closed_sink = hub.sink("kitchen", Rules(), LABELS), hub.sink("bath", Rules(), LABELS, images=False)
    async with Ear(broker.port) as ear:
        await ear.say("avstream/bath/overlay", b"from an earlier run", retain=True)
        async with running(hub):
            await until(lambda: ear.last("avstream/bath/overlay") == "")
            for sink in (open_sink, closed_sink):
                sink.open(INFO)
                for second in range(12):
                    if second == 1:
                        sink.event(event())
                        sink.event(event(2))
                    sink.write(narration(second, picture=True))
                    await until(lambda: ear.heard and not hub._outbox._due)
            await until(lambda: json.loads(ear.last("avstream/bath/narration") or "{}").get("index") == 11)
        pictures = ear.all("avstream/kitchen/overlay")
        assert len(pictures) == 3  # at 1, 6 and 11 s
        height, width, _ = cv2.imdecode(np.frombuffer(pictures[0], np.uint8), cv2.IMREAD_COLOR).shape
        assert (width, height) == (640, 320)
        assert set(ear.all("avstream/bath/overlay")) == {b"from an earlier run", b""}
        assert "overlay" in ear.last("homeassistant/device/avstream_kitchen/config")
        assert "overlay" not in ear.last("homeassistant/device/avstream_bath/config")
    async with Ear(broker.port) as late:
        await until(lambda: late.last("avstream/status"))
        await until(lambda: late.all("avstream/kitchen/overlay"))
        assert not late.all("avstream/bath/overlay")


@in_loop
async def test_streams_share_a_base_and_leave_one_by_one(broker):
    hub = hub_for(broker.port)
    kitchen, bath, other_kitchen = (hub.sink(name, Rules(), LABELS) for name in ("kitchen", "bath", "Kitchen"))
    async with Ear(broker.port) as ear:
        async with running(hub):
            for sink in (kitchen, bath, other_kitchen):
                sink.open(INFO)
            for stream in ("kitchen", "bath", "kitchen-2"):
                await until(lambda stream=stream: ear.last(f"avstream/{stream}/status") == "online")
            bath.event(event())
            bath.close()
            await until(lambda: ear.last("avstream/bath/status") == "offline")
            assert ear.last("avstream/kitchen/status") == "online" == ear.last("avstream/status")
            assert ear.all("avstream/bath/event") and not ear.all("avstream/kitchen/event")
        await until(lambda: ear.last("avstream/status") == "offline" == ear.last("avstream/kitchen-2/status"))
        devices = {topic for topic, _, _ in ear.heard if topic.startswith("homeassistant/")}
        assert len(devices) == 3


@in_loop
async def test_at_the_end_what_is_owed_comes_before_goodbye(broker):
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    async with Ear(broker.port) as ear:
        async with running(hub):
            sink.open(INFO)
            await until(lambda: ear.last("avstream/kitchen/status") == "online")
            for number in range(200):
                sink.event(event(number, "ended"))
        await until(lambda: ear.last("avstream/status") == "offline")
        topics = [topic for topic, _, _ in ear.heard]
        assert [json.loads(e)["id"] for e in ear.all("avstream/kitchen/event")] == [f"e{n}" for n in range(200)]
        assert topics.index("avstream/kitchen/event") < len(topics) - 2
        assert topics[-2:] == ["avstream/kitchen/status", "avstream/status"] and hub.lost == 0


@in_loop
async def test_settings_are_heard_told_and_told_when_they_change_here(broker):
    rules = Rules(thresholds={"rain": 0.35})
    hub = hub_for(broker.port, rules=rules, base="a/b")
    sink = hub.sink("kitchen", rules, LABELS)
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: ear.last("a/b/kitchen/threshold/rain") == "0.35")
        await ear.say("a/b/kitchen/threshold/dog_bark/set", "0.7")
        await ear.say("a/b/kitchen/mute/rain/set", "ON")
        await until(lambda: ear.last("a/b/kitchen/threshold/dog_bark") == "0.7")
        await until(lambda: ear.last("a/b/kitchen/mute/rain") == "ON")
        assert rules.thresholds["dog_bark"] == 0.7 and rules.muted == {"rain"}
        await ear.say("a/b/kitchen/threshold/other/set", "0.9")
        await ear.say("a/b/kitchen/mute/other/set", "ON")
        await until(lambda: ear.last("a/b/kitchen/threshold/other") == "0.9")
        await until(lambda: ear.last("a/b/kitchen/mute/other") == "ON")
        assert rules.thresholds["other"] == 0.9 and rules.muted == {"rain", "other"}
        rules.mute("dog_bark")  # a key pressed here
        sink.status(status())
        await until(lambda: ear.last("a/b/kitchen/mute/dog_bark") == "ON")
    async with Ear(broker.port) as late:
        await until(lambda: late.last("a/b/kitchen/threshold/dog_bark") == "0.7")
        assert all(retained for _, _, retained in late.heard)


@in_loop
async def test_nonsense_is_answered_and_changes_nothing(broker):
    rules = Rules()
    hub = hub_for(broker.port, rules=rules)
    hub.sink("kitchen", rules, LABELS)
    rules_before = deepcopy(rules)
    nonsense = [
        ("threshold/dog_bark", b"1.5"), ("threshold/dog_bark", b"-0.1"), ("threshold/dog_bark", b"nan"),
        ("threshold/dog_bark", b""), ("threshold/dog_bark", b"\xff\x00"), ("threshold/dog_bark", b"x" * 100_000),
        ("threshold/cat", b"0.5"), ("mute/dog_bark", b"on"), ("mute/dog_bark", b"1"), ("mute/", b"ON"),
        ("mute/rain", b"\xf0\x9f\x92\xa9"), ("mute/" + "long" * 1000, b"ON"),
    ]  # fmt: skip
    async with Ear(broker.port) as ear, running(hub) as task:
        await until(lambda: ear.last("avstream/kitchen/mute/rain"))
        for topic, payload in nonsense:
            await ear.say(f"avstream/kitchen/{topic}/set", payload)
        await until(lambda: len(ear.all("avstream/kitchen/error")) == len(nonsense))
        assert all(len(answer) < 250 and b"\n" not in answer for answer in ear.all("avstream/kitchen/error"))
        assert b"expected a number from 0 to 1" in ear.all("avstream/kitchen/error")[0]
        assert rules == rules_before and not task.done()


@in_loop
async def test_an_objection_of_ours_is_answered(broker):
    def object_to_all(stream: str, setting: str, value: float | bool) -> None:
        raise ConfigError("not while somebody sleeps")

    hub = MqttHub(Broker.parse(f"mqtt://127.0.0.1:{broker.port}"), version="1", changed=object_to_all)
    hub.sink("kitchen", Rules(), LABELS)
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: ear.last("avstream/kitchen/mute/rain"))
        await ear.say("avstream/kitchen/mute/rain/set", "ON")
        await until(lambda: "somebody sleeps" in (ear.last("avstream/kitchen/error") or ""))


@in_loop
async def test_home_assistant_that_starts_is_told_everything_again(broker):
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: ear.last("avstream/kitchen/mute/rain"))
        ear.heard.clear()
        await ear.say("homeassistant/status", "offline")
        await ear.say("homeassistant/status", "online")
        await until(lambda: ear.last("avstream/kitchen/mute/rain"))
        for topic in ("homeassistant/device/avstream_kitchen/config", "avstream/kitchen/status", "avstream/status"):
            assert len(ear.all(topic)) == 1


@in_loop
async def test_offline_is_contradicted_while_we_are_there(broker):
    """A will of our own may come late; so may another avstream leave that shares the base."""
    hub = hub_for(broker.port)
    hub.sink("kitchen", Rules(), LABELS)
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: ear.last("avstream/status") == "online")
        await ear.say("avstream/status", "offline", retain=True)
        await until(lambda: ear.all("avstream/status")[-2:] == [b"offline", b"online"])
