"""The MQTT broker goes and comes again, hangs, or does not let us in; and how it is named."""

import asyncio
import json
import re
import subprocess
import sys
import time
from dataclasses import replace

import aiomqtt
import psutil
import pytest

from avstream.errors import ConfigError, SinkError
from avstream.records import Problem
from avstream.sinks.mqtt import broker as mqtt_broker
from avstream.sinks.mqtt import service as mqtt
from avstream.sinks.mqtt import topics as mqtt_topics
from avstream.sinks.mqtt.service import Broker, MqttHub
from avstream.troubles import in_full
from avstream.wording import problem_text
from tests import mqtt_parts as parts
from tests.broker import Certificates, Ear, Line, Mosquitto, until
from tests.mqtt_parts import (
    INFO,
    LABELS,
    LOST,
    SECRET,
    Rules,
    change,
    event,
    hub_for,
    in_loop,
    narration,
    running,
    status,
)


@pytest.fixture(autouse=True)
def quick_and_quiet(monkeypatch, capfd):
    """Retries come quickly, and nothing of aiomqtt's or paho's reaches standard error."""
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 0.02)
    monkeypatch.setattr(mqtt, "RETRY_MAX_S", 0.1)
    monkeypatch.setattr(mqtt, "REFUSED_S", 0.1)
    yield
    assert parts.left_over_words(capfd) == ""


def connections(port: int) -> int:
    """How many this process has to a port."""
    return sum(bool(one.raddr) and one.raddr.port == port for one in psutil.Process().net_connections("tcp"))


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path) as running_broker:
        yield running_broker


@pytest.mark.parametrize(
    ("url", "host", "port", "base", "shown"),
    [
        ("mqtt://b", "b", 1883, "avstream", "mqtt://b:1883/avstream"),
        ("mqtts://me@b", "b", 8883, "avstream", "mqtts://b:8883/avstream"),
        ("mqtt://me@b:99/home/cams/", "b", 99, "home/cams", "mqtt://b:99/home/cams"),
        ("MQTT://[::1]:99/x%20y", "::1", 99, "x y", "mqtt://[::1]:99/x y"),
    ],
)
def test_a_url_names_a_broker(url, host, port, base, shown):
    found = Broker.parse(url)
    assert (found.host, found.port, found.base, found.shown) == (host, port, base, shown)
    assert (found.tls is not None) == url.startswith("mqtts")


@pytest.mark.parametrize(
    "url",
    [
        "", "b", "b:1883", "http://b", "mqtt:b", "mqtt://", "mqtt://:99", "mqtt://b:x", "mqtt://b:99999", "mqtt://b:0",
        "mqtt://b/a+b", "mqtt://b/a#", "mqtt://b/a?x=1", "mqtt://b/a//b", "mqtt://b/$SYS", "mqtt://[::1/x",
        "mqtt://me:{}@b", "http://me:{}@b", "me:{}@b", "{}@b", "mqtt://me:{}@b:x/y", "mqtt://me:{}@[b/",
    ],
)  # fmt: skip
def test_a_wrong_url_is_refused_and_its_password_not_repeated(url):
    with pytest.raises(ConfigError) as error:
        Broker.parse(url.format(SECRET))
    assert SECRET not in str(error.value) and len(str(error.value).splitlines()) == 1
    if url.startswith("mqtt://me:{}@b") and url.endswith("b"):
        assert "AVSTREAM_MQTT_PASSWORD" in str(error.value) and "--mqtt-password-file" in str(error.value)


def test_the_password_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSTREAM_MQTT_PASSWORD", "from the environment")
    assert Broker.parse("mqtt://me@b").password == "from the environment"
    assert Broker.parse("mqtt://b").password is None
    path = tmp_path / "password"
    path.write_text(SECRET + "\n")
    found = Broker.parse("mqtt://me@b", password_file=path)
    assert found.password == SECRET
    assert SECRET not in repr(found) + found.shown
    with pytest.raises(ConfigError, match="no user"):
        Broker.parse("mqtt://b", password_file=path)
    for content, words in ((b"", "is empty"), (b"\xff\xfe", "not UTF-8")):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=words):
            Broker.parse("mqtt://me@b", password_file=path)
    with pytest.raises(ConfigError, match="can't read") as caught:
        Broker.parse("mqtt://me@b", password_file=tmp_path / "none")
    assert str(tmp_path / "none") in caught.value.found and caught.value.fix == "check its name and rights"
    with pytest.raises(ConfigError, match="write mqtts://"):
        Broker.parse("mqtt://b", cafile=path)
    with pytest.raises(ConfigError, match="no certificate"):
        Broker.parse("mqtts://b", cafile=path)
    with pytest.raises(ConfigError, match="can't read"):
        Broker.parse("mqtts://b", cafile=tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Kitchen", "kitchen"),
        ("Küche 2 / oben", "kuche-2-oben"),
        ("日本", "stream"),
        ("a+b/#", "a-b"),
        (f"rtsp://me:{SECRET}@cam.lan/stream1", "rtsp-cam-lan-stream1"),
    ],
)
def test_stream_names_become_topics(name, slug):
    assert mqtt_topics.slugify(name) == slug
    assert re.fullmatch("[a-z0-9_-]+", slug) and len(mqtt_topics.slugify(name * 100)) <= 64


@pytest.mark.parametrize("secure", [False, True])
@in_loop
async def test_a_restarted_broker_gets_everything_that_it_has_forgotten(tmp_path, monkeypatch, secure):
    """Also one with TLS and a password."""
    options, listener = {}, {}
    if secure:
        monkeypatch.setenv("AVSTREAM_MQTT_PASSWORD", SECRET)
        options = {"login": ("me", SECRET), "certificates": Certificates(tmp_path / "tls")}
        trusted = aiomqtt.TLSParameters(ca_certs=str(options["certificates"].ca))
        listener = {"username": "me", "password": SECRET, "tls_params": trusted}
    with Mosquitto(tmp_path, **options) as broker:
        url = f"mqtts://me@127.0.0.1:{broker.port}" if secure else f"mqtt://127.0.0.1:{broker.port}"
        cafile = options["certificates"].ca if secure else None
        hub = MqttHub(Broker.parse(url, cafile=cafile), version="1", model="nano", changed=change(Rules()))
        sink = hub.sink("kitchen", Rules(), LABELS)
        async with running(hub):
            sink.open(INFO)
            sink.status(status(problems=(LOST,)))
            sink.event(event())
            sink.write(narration(picture=True))

            async def retained() -> dict[str, bytes]:
                async with Ear(broker.port, **listener) as late:
                    await until(lambda: late.last("avstream/kitchen/overlay") and late.last("avstream/kitchen/sound"))
                    await until(lambda: not hub._outbox._due and not hub._outbox._queue)
                    await asyncio.sleep(0.05)
                async with Ear(broker.port, **listener) as late:
                    await until(lambda: late.last("avstream/kitchen/mute/rain") and late.last("avstream/status"))
                    await asyncio.sleep(0.05)
                    assert all(kept for _, _, kept in late.heard)
                    return {topic: payload for topic, payload, _ in late.heard}

            before = await retained()
            broker.kill()
            await until(lambda: hub.problems)
            assert "not reached" in hub.problems[0].found and hub.problems[0].retry_s > 0
            sink.event(event(phase="ended"))
            broker.start()
            await until(lambda: not hub.problems)
            after = await retained()
            changed = {f"avstream/kitchen/{topic}": b"OFF" for topic in ("sound", "audio/all", "audio/dog_bark")}
            changed["avstream/kitchen/state"] = b"silence"
            assert after == before | changed


@in_loop
async def test_an_outage_loses_and_reorders_nothing(tmp_path):
    with Mosquitto(tmp_path) as broker:
        async with Line(broker.port) as line:
            hub = hub_for(line.port)
            sink = hub.sink("kitchen", Rules(), LABELS)

            def produce(first: int, count: int) -> None:  # on a sink's thread, as it is
                for number in range(first, first + count):
                    sink.write(replace(narration(number), text=f"dog {number}"))
                    sink.event(event(number))
                    sink.event(event(number, "ended"))

            async with running(hub):
                sink.open(INFO)
                async with Ear(broker.port) as ear:
                    await until(lambda: ear.last("avstream/kitchen/status") == "online")
                    producing = asyncio.create_task(asyncio.to_thread(produce, 0, 100))
                    await until(lambda: len(ear.all("avstream/kitchen/event")) > 20)
                    await line.cut()  # in the middle of it
                    await producing
                    await until(lambda: hub.problems)
                    await until(lambda: ear.last("avstream/status") == "offline")  # the will
                    early = list(ear.heard)
                broker.kill()
                await asyncio.to_thread(produce, 100, 100)
                broker.start()
                async with Ear(broker.port) as ear:
                    await line.repair()
                    await until(lambda: ear.all("avstream/kitchen/event"))
                    await asyncio.to_thread(produce, 200, 50)
                    await until(lambda: "e249" in (ear.last("avstream/kitchen/event") or ""))
                    await until(lambda: json.loads(ear.last("avstream/kitchen/narration"))["index"] == 249)
                    heard = early + ear.heard
            events = [json.loads(payload) for topic, payload, _ in heard if topic == "avstream/kitchen/event"]
            sent = [(e["id"], e["phase"]) for e in events]
            want = [(f"e{number}", phase) for number in range(250) for phase in ("began", "ended")]
            assert list(dict.fromkeys(sent)) == want
            assert len(sent) - len(want) <= mqtt.BATCH  # what was on its way when the line was cut
            indices = [json.loads(payload)["index"] for topic, payload, _ in heard if topic.endswith("/narration")]
            assert list(dict.fromkeys(indices)) == list(range(250))
            assert hub.lost == 0


@in_loop
async def test_our_own_problem_is_not_published_when_it_is_over(broker):
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    async with running(hub):
        broker.kill()
        await until(lambda: hub.problems)
        sink.status(status(problems=(LOST, *hub.problems)))
        broker.start()
        async with Ear(broker.port) as ear:
            await until(lambda: ear.last("avstream/kitchen/problem") == "ON")
            assert json.loads(ear.last("avstream/kitchen/problems")) == {
                "problems": [in_full(LOST)],
                "kinds": ["no_picture"],
            }


@in_loop
async def test_a_long_outage_loses_the_oldest_and_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(mqtt, "MAX_COUNT", 50)
    with Mosquitto(tmp_path) as broker:
        async with Line(broker.port) as line, Ear(broker.port) as ear:
            await line.cut()
            hub = hub_for(line.port)
            sink = hub.sink("kitchen", Rules(), LABELS)
            async with running(hub):
                sink.open(INFO)
                for number in range(80):
                    sink.event(event(number))
                await until(lambda: hub.problems)
                assert "connection refused" in hub.problems[0].found and hub.lost == 30
                sink.status(status())
                await line.repair()
                await until(lambda: "e79" in (ear.last("avstream/kitchen/event") or ""))
                sent = [json.loads(payload)["id"] for payload in ear.all("avstream/kitchen/event")]
                assert sent == [f"e{number}" for number in range(30, 80)]
                assert json.loads(ear.last("avstream/kitchen/diagnostics"))["lost"] == 30
            assert hub.lost == 30


@in_loop
async def test_a_broker_that_hangs_is_noticed_and_nothing_is_lost(broker, monkeypatch):
    monkeypatch.setattr(mqtt_broker, "TIMEOUT_S", 0.3)
    hub = hub_for(broker.port)
    sink = hub.sink("kitchen", Rules(), LABELS)
    async with Ear(broker.port) as ear, running(hub):
        sink.open(INFO)
        await until(lambda: ear.last("avstream/kitchen/status") == "online")
        broker.pause()
        for number in range(30):
            sink.event(event(number))
        await until(lambda: hub.problems)
        assert "no answer" in hub.problems[0].found
        broker.resume()
        await until(lambda: not hub.problems)
        await until(lambda: len(set(ear.all("avstream/kitchen/event"))) == 30)
        sent = [json.loads(payload)["id"] for payload in ear.all("avstream/kitchen/event")]
        assert list(dict.fromkeys(sent)) == [f"e{number}" for number in range(30)]
        await until(lambda: ear.last("avstream/status") == "online")
        await until(lambda: connections(broker.port) == 2)  # the ear's and the hub's: the dead one was closed
    assert hub.lost == 0 and connections(broker.port) == 0


@in_loop
async def test_a_broker_that_hangs_is_tried_ever_more_seldom(broker, monkeypatch):
    """That nobody answers takes as long to notice as a connection must hold to be a good one."""
    attempts = []

    def delay_s(attempt: int) -> float:
        attempts.append(attempt)
        return 0.0

    monkeypatch.setattr(mqtt_broker, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(mqtt, "STEADY_S", 0.05)
    monkeypatch.setattr(mqtt, "_delay_s", delay_s)
    broker.pause()
    async with running(hub_for(broker.port)):
        await until(lambda: len(attempts) == 3)
    assert attempts[:3] == [1, 2, 3]


KILLED = """
import asyncio, sys
from avstream.events import Rules
from avstream.records import StreamInfo
from avstream.sinks.mqtt.service import Broker, MqttHub
hub = MqttHub(Broker.parse(sys.argv[1]), version="1", model="nano", changed=print)
sink = hub.sink("kitchen", Rules(), ["dog_bark"])
sink.open(StreamInfo("kitchen", None, True, True))
asyncio.run(hub.run())
"""


@in_loop
async def test_a_killed_avstream_is_offline(broker):
    async with Ear(broker.port) as ear:
        command = [sys.executable, "-W", "error", "-c", KILLED, f"mqtt://127.0.0.1:{broker.port}"]
        child = await asyncio.to_thread(subprocess.Popen, command)
        try:
            await until(lambda: ear.last("avstream/kitchen/mute/dog_bark"))
            assert ear.last("avstream/status") == "online"
        finally:
            child.kill()
            child.wait()
        await until(lambda: ear.last("avstream/status") == "offline")
    async with Ear(broker.port) as late:
        await until(lambda: late.last("avstream/status") == "offline")  # the will is retained


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("state", ["gone", "hangs", "hangs when connected"])
@in_loop
async def test_cancelling_is_quick_whatever_the_broker_does(tmp_path, state, tls):
    certificates = Certificates(tmp_path / "tls") if tls else None
    with Mosquitto(tmp_path, certificates=certificates) as broker:
        url = f"mqtt{'s' if tls else ''}://127.0.0.1:{broker.port}"
        there = Broker.parse(url, cafile=certificates.ca if certificates else None)
        hub = MqttHub(there, version="1", model="nano", changed=change(Rules()))
        sink = hub.sink("kitchen", Rules(), LABELS)
        if state == "gone":
            broker.kill()
        elif state == "hangs":
            broker.pause()
        task = asyncio.create_task(hub.run())
        await until(lambda: hub.problems if state == "gone" else state == "hangs" or not hub._outbox._due)
        await asyncio.sleep(0.1)
        if state == "hangs when connected":
            broker.pause()
        for number in range(3):
            sink.event(event(number))
        began_s = time.monotonic()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert time.monotonic() - began_s < 2.0 and task.cancelled()
        assert hub.lost == 3 and connections(broker.port) == 0
        sink.event(event(4))  # a sink may still be talking: nobody minds


@in_loop
async def test_a_hub_that_ends_with_the_broker_hanging_leaves_its_will(tmp_path):
    with Mosquitto(tmp_path) as broker:
        async with Ear(broker.port) as ear:
            async with running(hub_for(broker.port)):
                await until(lambda: ear.last("avstream/status") == "online")
                broker.pause()
            broker.resume()
            await until(lambda: ear.last("avstream/status") == "offline")


@in_loop
async def test_a_wrong_password_ends_it_and_says_what_to_do(tmp_path, monkeypatch):
    with Mosquitto(tmp_path, login=("me", "right")) as broker:
        for url in ("mqtt://me@", "mqtt://"):
            monkeypatch.setenv("AVSTREAM_MQTT_PASSWORD", SECRET)
            there = Broker.parse(f"{url}127.0.0.1:{broker.port}")
            with pytest.raises(SinkError, match="refuses the user name or the password") as error:
                await asyncio.wait_for(MqttHub(there, version="1", model="nano", changed=change(Rules())).run(), 20)
            assert SECRET not in str(error.value) and "AVSTREAM_MQTT_PASSWORD" in str(error.value)


@in_loop
async def test_a_password_changed_later_is_a_problem_and_no_end(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSTREAM_MQTT_PASSWORD", SECRET)
    with Mosquitto(tmp_path, login=("me", SECRET)) as broker:
        there = Broker.parse(f"mqtt://me@127.0.0.1:{broker.port}")
        hub = MqttHub(there, version="1", model="nano", changed=change(Rules()))
        sink = hub.sink("kitchen", Rules(), LABELS)
        async with running(hub) as task:
            async with Ear(broker.port, username="me", password=SECRET) as ear:
                await until(lambda: ear.last("avstream/kitchen/mute/rain"))
            broker.kill()
            broker.let_in("me", "another")
            broker.start()
            await until(lambda: hub.problems and hub.problems[0].kind == "broker_refuses")
            assert not task.done() and SECRET not in problem_text(hub.problems[0])
            sink.event(event())
            broker.kill()
            broker.let_in("me", SECRET)
            broker.start()
            await until(lambda: not hub.problems)


@in_loop
async def test_tls_is_checked(tmp_path):
    certificates, others = Certificates(tmp_path / "tls"), Certificates(tmp_path / "others")
    with Mosquitto(tmp_path, certificates=certificates) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        hub = MqttHub(Broker.parse(url, cafile=certificates.ca), version="1", model="nano", changed=change(Rules()))
        sink = hub.sink("kitchen", Rules(), LABELS)
        async with running(hub):
            sink.event(event())
            sink.write(narration(picture=True))
            await until(lambda: hub._was_connected and not hub._outbox._queue and not hub._outbox._due)
        untrusted = [(url, None), (url, others.ca), (url.replace("127.0.0.1", "localhost"), certificates.ca)]
        for at, (wrong, ca) in enumerate(untrusted):
            with pytest.raises(SinkError, match="is not trusted") as error:
                there = Broker.parse(wrong, cafile=ca)
                await asyncio.wait_for(MqttHub(there, version="1", model="nano", changed=change(Rules())).run(), 20)
            assert ("as its certificate does" if at == 2 else "--mqtt-cafile") in str(error.value)


@in_loop
async def test_tls_where_there_is_none_and_none_where_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(mqtt_broker, "TIMEOUT_S", 1.0)
    with Mosquitto(tmp_path) as plain, Mosquitto(tmp_path, certificates=Certificates(tmp_path / "tls")) as secure:
        for url in (f"mqtts://127.0.0.1:{plain.port}", f"mqtt://127.0.0.1:{secure.port}"):
            hub = MqttHub(Broker.parse(url), version="1", model="nano", changed=change(Rules()))
            async with running(hub) as task:
                await until(lambda hub=hub: hub.problems)
                assert "not reached" in hub.problems[0].found and not task.done()


@in_loop
async def test_credentials_are_nowhere(tmp_path, monkeypatch, caplog):
    caplog.set_level(0)
    monkeypatch.setenv("AVSTREAM_MQTT_PASSWORD", SECRET)
    with Mosquitto(tmp_path, login=("me", SECRET)) as broker:
        camera = f"rtsp://admin:{SECRET}@cam.lan/stream1"
        hub = MqttHub(
            Broker.parse(f"mqtt://me@127.0.0.1:{broker.port}"),
            version="1",
            model="nano",
            changed=change(Rules()),
        )
        sink = hub.sink(camera, Rules(), LABELS)
        async with Ear(broker.port, username="me", password=SECRET) as ear, running(hub):
            sink.open(replace(INFO, name=camera))
            sink.write(replace(narration(), source=camera, text=f"Heard: {camera}"))
            sink.event(replace(event(), source=camera))
            sink.status(status(problems=(Problem("no_stream", camera, f"{camera} lost", f"see {camera}", 0.0),)))
            await until(lambda: ear.last("avstream/rtsp-cam-lan-stream1/mute/rain"))
            await ear.say("avstream/rtsp-cam-lan-stream1/mute/rain/set", camera)
            await until(lambda: ear.last("avstream/rtsp-cam-lan-stream1/error"))
            await until(lambda: ear.last("avstream/rtsp-cam-lan-stream1/event"))
            sent = [(topic, payload) for topic, payload, _ in ear.heard if not topic.endswith("/set")]
            assert len(sent) > 15
            assert not any(SECRET in topic or SECRET.encode() in payload for topic, payload in sent)
            assert b"rtsp://***@cam.lan/stream1 lost" in ear.all("avstream/rtsp-cam-lan-stream1/problems")[-1]
            broker.kill()
            await until(lambda: hub.problems)
            assert SECRET not in problem_text(hub.problems[0]) + repr(vars(hub)["_broker"])
    assert SECRET not in caplog.text


def test_an_event_loop_that_cannot_watch_sockets_is_named(monkeypatch):
    """Windows' own loop: here its name stands for the loop at hand."""
    monkeypatch.setattr(asyncio, "ProactorEventLoop", asyncio.BaseEventLoop, raising=False)
    with pytest.raises(SinkError, match="SelectorEventLoop"):
        asyncio.run(hub_for(1).run())
