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

from avstream import cli
from avstream.errors import ConfigError
from avstream.records import Problem
from avstream.sinks.mqtt import service as mqtt
from avstream.sinks.mqtt import topics as mqtt_topics
from avstream.sinks.mqtt.forget import forget
from avstream.sinks.mqtt.service import Broker, MqttHub
from avstream.vocabulary import HOME as LABELS_OF_NANO
from tests import mqtt_parts as parts
from tests.broker import Ear, Mosquitto, until
from tests.mqtt_parts import INFO, LABELS, LOST, Rules, event, hub_for, in_loop, narration, running, status

RETRY_MAX_S = mqtt.RETRY_MAX_S
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
        assert len(ear.all("avstream/kitchen/event")) == 2  # `continues` is not published


@in_loop
async def test_discovery_is_complete_and_stable(broker):
    hub = hub_for(broker.port, base="home/cams")
    hub.sink("Küche", Rules(), ("dog_bark", "other"))
    async with running(hub), Ear(broker.port) as ear:
        await until(lambda: ear.last("homeassistant/device/avstream_home-cams_kuche/config"))
    config = json.loads(ear.last("homeassistant/device/avstream_home-cams_kuche/config"))
    assert config["o"] == {"name": "avstream", "sw": "0.1.0"}
    assert config["dev"]["name"] == "Küche narrator" and config["dev"]["mdl"] == "nano"
    names = [component["name"] for component in config["cmps"].values()]
    assert len(set(names)) == len(names)
    for key, component in config["cmps"].items():
        assert component["uniq_id"] == key and key.startswith("avstream_home-cams_kuche_") and component["p"]
        topics = [value for name, value in component.items() if name.endswith("_t")]
        assert topics and all(topic.startswith("home/cams/kuche/") for topic in topics)
        assert "en" not in component, "nothing has to be enabled first"
    kinds = {key.removeprefix("avstream_home-cams_kuche_"): one for key, one in config["cmps"].items()}
    assert kinds["event"]["evt_typ"] == ["dog_bark", "other"]
    assert {key for key in kinds if key.startswith(("audio", "mute"))} == {"audio_dog_bark", "mute_dog_bark"}
    assert kinds["audio_dog_bark"]["p"] == "binary_sensor" and kinds["audio_dog_bark"]["dev_cla"] == "sound"
    assert not any(retained for topic, _, retained in ear.heard if topic.endswith("/event"))


@in_loop
async def test_an_unknown_label_is_other_and_a_long_text_is_complete(broker):
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    text = "ein Hund — äöü " * 100
    sink.write(replace(narration(), text=text, source="caf\udce9"))
    sink.event(event(label="helicopter"))
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: ear.last("avstream/kitchen/event"))
        sent = json.loads(ear.last("avstream/kitchen/event"))
        assert sent["event_type"] == "other" and sent["label"] == "helicopter"
        assert sent["onset"] == "2026-11-21T08:00:01.500+00:00" and sent["end"] is None
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
async def test_a_corrected_event_moves_its_state(broker):
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    sink.event(event(1, label="rain"))
    sink.event(event(1, "updated"))
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: len(ear.all("avstream/kitchen/event")) == 2)
        began, updated = map(json.loads, ear.all("avstream/kitchen/event"))
        assert (updated["phase"], updated["event_type"], updated["id"]) == ("updated", "dog_bark", began["id"])
        topics = ("audio/rain", "audio/dog_bark", "sound")
        await until(lambda: [ear.last(f"avstream/kitchen/{topic}") for topic in topics] == ["OFF", "ON", "ON"])
        sink.event(event(1, "ended"))
        await until(lambda: [ear.last(f"avstream/kitchen/{topic}") for topic in topics] == ["OFF", "OFF", "OFF"])


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
                    sink.write(replace(narration(second, picture=True), text=f"second {second}"))
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
async def test_settings_are_obeyed_and_published_when_they_change_here(broker):
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

    hub = MqttHub(Broker.parse(f"mqtt://127.0.0.1:{broker.port}"), version="1", model="nano", changed=object_to_all)
    hub.sink("kitchen", Rules(), LABELS)
    async with Ear(broker.port) as ear, running(hub):
        await until(lambda: ear.last("avstream/kitchen/mute/rain"))
        await ear.say("avstream/kitchen/mute/rain/set", "ON")
        await until(lambda: "somebody sleeps" in (ear.last("avstream/kitchen/error") or ""))


@in_loop
async def test_home_assistant_that_starts_gets_everything_again(broker):
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


@in_loop
async def test_the_status_of_a_stream_is_corrected_too(broker):
    """Somebody's retained `offline`, from before we came and while we are there."""
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    async with Ear(broker.port) as ear:
        for topic in ("avstream/status", "avstream/kitchen/status"):
            await ear.say(topic, "offline", retain=True)
        async with running(hub):
            for topic in ("avstream/status", "avstream/kitchen/status"):
                await until(lambda: ear.last(topic) == "online")  # noqa: B023
                await ear.say(topic, "offline", retain=True)
                await until(lambda: ear.all(topic)[-2:] == [b"offline", b"online"])  # noqa: B023
    async with Ear(broker.port) as late:
        await until(lambda: late.last("avstream/kitchen/status") == "offline")


@in_loop
async def test_a_narration_is_published_when_it_changes_and_without_timings(broker):
    """It was 86,000 rows a day in Home Assistant's recorder."""
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    silent = replace(narration(), text="", sounds=())
    async with Ear(broker.port) as ear, running(hub):
        for second in range(20):
            sent = replace(narration(second), level_dbfs=-20.0 - second, timings_ms={"audio": 10.0 + second})
            sink.write(sent if 5 <= second < 15 else replace(silent, index=second))
        await until(lambda: len(ear.all("avstream/kitchen/narration")) == 3)
        payloads = [json.loads(payload) for payload in ear.all("avstream/kitchen/narration")]
        assert [payload["index"] for payload in payloads] == [0, 5, 15]
        assert not any(name.startswith("timings") for payload in payloads for name in payload)


@in_loop
async def test_deaf_is_not_silent(broker):
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    deaf = Problem("no_sound", "the microphone", "the microphone was lost", "check its plug", 3.0, 2.0)
    busy = Problem("overloaded", "kitchen", "12 s of sound were not listened to", "close other programs", 3.0)
    async with Ear(broker.port) as ear, running(hub):

        async def state(state: str, hearing: str) -> None:
            topics = ("avstream/kitchen/state", "avstream/kitchen/hearing")
            await until(lambda: [ear.last(topic) for topic in topics] == [state, hearing])

        sink.status(status())
        await state("silence", "online")
        sink.event(event())
        await state("sound", "online")
        sink.status(status(problems=(deaf,)))
        await state("can't hear", "offline")
        await until(lambda: "I can't hear" in (ear.last("avstream/kitchen/problems") or ""))
        sent = json.loads(ear.last("avstream/kitchen/problems"))
        assert sent == {"problems": ["I can't hear: the microphone was lost; check its plug"], "kinds": ["no_sound"]}
        sink.event(event(phase="ended"))
        sink.status(status(problems=(busy,)))
        await state("overloaded", "online")
        sink.status(status())
        await state("silence", "online")
    config = json.loads(ear.last("homeassistant/device/avstream_kitchen/config"))
    for key in ("narration", "sound", "audio_dog_bark"):
        assert {"t": "avstream/kitchen/hearing"} in config["cmps"][f"avstream_kitchen_{key}"]["avty"]


def test_the_sounds_of_home_assistant_are_those_that_the_user_wants():
    many = [*mqtt_topics.EVERYDAY, *(f"bird_{number}" for number in range(50)), "other"]
    assert mqtt_topics.wanted(many, (), ()) == list(mqtt_topics.EVERYDAY)
    assert mqtt_topics.wanted(many, ("bird_7", "other"), ("alarm",)) == ["bird_7", "other"]
    assert "bird_3" in mqtt_topics.wanted(many, (), ("bird_3",)), "what is urgent can be heard of"
    assert mqtt_topics.wanted(["rain", "alarm", "other"], (), ()) == ["rain", "alarm"]
    assert len(mqtt_topics.wanted(LABELS_OF_NANO, (), ())) == 20


@in_loop
async def test_a_stream_can_be_forgotten(broker):
    hub = hub_for(broker.port)
    kitchen, bath = hub.sink("Kitchen", Rules(), LABELS), hub.sink("bath", Rules(), LABELS)
    there = Broker.parse(f"mqtt://127.0.0.1:{broker.port}")
    async with running(hub):
        for sink in (kitchen, bath):
            sink.open(INFO)
            sink.write(narration(picture=True))
        async with Ear(broker.port) as ear:
            await until(lambda: ear.last("avstream/bath/narration"))
        with pytest.raises(ConfigError, match="narrated just now; stop that avstream first"):
            await forget(there, "kitchen")
    async with Ear(broker.port) as ear:
        before = await ear.retained()
    with pytest.raises(ConfigError, match=r"no stream 'cellar' is known .* there are: bath, kitchen"):
        await forget(there, "cellar")
    gone = await forget(there, "Kitchen")
    async with Ear(broker.port) as ear:
        after = await ear.retained()
    assert before - after == set(gone) and "homeassistant/device/avstream_kitchen/config" in gone
    assert not any("kitchen" in topic for topic in after) and "avstream/bath/narration" in after


def test_forget_as_people_type_it(broker, capfd):
    def typed(*words: str) -> tuple[int, str]:
        return cli.main(["mqtt", "forget", "kitchen", *words]), capfd.readouterr().err

    code, said = typed()
    assert code == 2 and "name it with --mqtt" in said
    code, said = typed("--mqtt", f"mqtt://127.0.0.1:{broker.port}/home")
    assert code == 2 and "there is none below home" in said
    broker.kill()
    code, said = typed("--mqtt", f"mqtt://127.0.0.1:{broker.port}")
    assert code == 5 and "connection refused" in said


@in_loop
async def test_a_broker_that_comes_back_is_reached_within_five_seconds(broker, monkeypatch):
    """The pauses grew to 30 s; 12 s are enough for them to be as long as they get."""
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 1.0)
    monkeypatch.setattr(mqtt, "RETRY_MAX_S", RETRY_MAX_S)
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    sink.open(INFO)
    async with running(hub):
        await until(lambda: not hub.problems and hub._was_connected)
        broker.kill()
        await until(lambda: hub.problems)
        for number in range(50):
            sink.event(event(number))
        await asyncio.sleep(12.0)
        broker.start()
        began = asyncio.get_running_loop().time()
        await until(lambda: not hub.problems, 10.0)
        assert asyncio.get_running_loop().time() - began < 5.0
        assert hub.lost == 0
    assert all(mqtt._delay_s(attempt) <= 4.0 for attempt in range(1, 1000))
