"""The MQTT outbox: whatever fails, messages arrive in order, states are true in the end, and losses are counted."""

import random
import time
from types import SimpleNamespace

import pytest

from avstream.sinks.mqtt import outbox as mqtt_outbox
from avstream.sinks.mqtt import service as mqtt
from avstream.sinks.mqtt.outbox import Outbox


@pytest.mark.parametrize("seed", range(20))
def test_whatever_fails_messages_arrive_in_order_and_states_are_true_in_the_end(seed):
    rng = random.Random(seed)
    box = Outbox(lambda: None, max_age_s=1000, max_count=30, max_bytes=10**6)
    said, arrived, states, there = 0, [], {}, {}

    def arrive(message):
        if message.retain:
            there[message.topic] = message.payload
        if message.topic in ("event", "narration"):
            arrived.append((message.topic, int(message.payload)))

    for _ in range(400):
        kind = rng.random()
        if kind < 0.3:
            box.message("event", str(said).encode())
            said += 1
        elif kind < 0.5:
            states["narration"] = str(said).encode()
            box.message("narration", states["narration"], retain=True)
            said += 1
        elif kind < 0.7:
            topic, payload = rng.choice("abc"), str(rng.randrange(3)).encode()
            states[topic] = payload
            box.state(topic, payload)
        else:
            batch = box.take(rng.randrange(1, 12))
            got = batch if rng.random() < 0.6 else batch[: rng.randrange(len(batch) + 1)]
            for message in got:  # the broker has them, whether or not we hear that it has
                arrive(message)
            if len(got) == len(batch):
                box.done(batch)
            else:
                box.renew()
    while batch := box.take(10):
        for message in batch:
            arrive(message)
        box.done(batch)
    for topic in ("event", "narration"):
        numbers = list(dict.fromkeys(number for where, number in arrived if where == topic))
        assert numbers == sorted(numbers)
    first = {number for _, number in arrived}
    assert said - len(first) <= box.lost <= said - len(first) + 30 * 12  # one dropped may have arrived unacknowledged
    assert there == states


def test_narrations_that_come_before_a_renewed_one_is_sent_are_in_order():
    box = Outbox(lambda: None, max_age_s=1000, max_count=10, max_bytes=1000)
    box.message("narration", b"1", retain=True)
    box.done(box.take(10))
    box.renew()
    box.message("narration", b"2", retain=True)
    box.message("narration", b"3", retain=True)
    assert [message.payload for message in box.take(10)] == [b"2", b"3"]


def test_what_is_too_old_or_too_many_is_counted():
    box = Outbox(lambda: None, max_age_s=1000, max_count=10, max_bytes=1000)
    for number in range(25):
        box.message("event", str(number).encode())
    assert box.lost == 15
    assert [message.payload for message in box.take(100)] == [str(number).encode() for number in range(15, 25)]
    box.give_up()
    assert box.lost == 25 and not box.take(100)
    box = Outbox(lambda: None, max_age_s=0.01, max_count=10, max_bytes=1000)
    box.message("event", b"old")
    time.sleep(0.02)
    box.message("event", b"new")
    assert box.lost == 1 and [message.payload for message in box.take(9)] == [b"new"]


def test_what_was_said_in_a_minute_without_a_broker_is_all_there_when_it_is_back(monkeypatch):
    """Three messages a second; and the connection is made last when the longest pause has just begun."""
    clock = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(mqtt_outbox, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    box = Outbox(lambda: None, max_age_s=mqtt.MAX_AGE_S, max_count=mqtt.MAX_COUNT, max_bytes=mqtt.MAX_BYTES)
    said = [str(number).encode() for number in range(180)]
    for payload in said:
        box.message("event", payload)
        clock.now_s += mqtt.AWAY_S / len(said)
    clock.now_s += mqtt.RETRY_MAX_S + mqtt.TRY_S
    box.message("event", b"now")
    assert [message.payload for message in box.take(1000)] == [*said, b"now"] and box.lost == 0
    clock.now_s += mqtt.MAX_AGE_S
    box.message("event", b"later")
    assert [message.payload for message in box.take(1000)] == [b"now", b"later"] and box.lost == 180


def test_what_waits_has_a_bound_in_bytes():
    box = Outbox(lambda: None, max_age_s=1000, max_count=1000, max_bytes=100)
    for number in range(10):
        box.message("event", bytes([number]) * 30)
    assert box.lost == 7 and [m.payload[0] for m in box.take(99)] == [7, 8, 9]
    box.done(box.take(99))
    for number in range(3):
        box.message("event", bytes([number]) * 30)
    assert box.lost == 7, "what has arrived weighs nothing"


def test_what_is_on_its_way_is_not_dropped_under_it():
    box = Outbox(lambda: None, max_age_s=1000, max_count=4, max_bytes=1000)
    for number in range(4):
        box.message("event", str(number).encode())
    batch = box.take(2)
    for number in range(4, 6):
        box.message("event", str(number).encode())
    assert box.lost == 2
    box.done(batch)
    assert [m.payload for m in batch + box.take(9)] == [b"0", b"1", b"4", b"5"]
