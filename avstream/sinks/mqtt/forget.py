"""Takes a stream off a broker: every topic that it left there, and its device in Home Assistant."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress

import aiomqtt

from avstream.errors import ConfigError, SinkError
from avstream.sinks.mqtt.broker import Broker, connect, hang_up, part, reason, refusal
from avstream.sinks.mqtt.topics import ONLINE, Topics, encode, slugify

QUIET_S, MOST_S = 0.7, 10.0  # retained messages come at once: after a pause in them there are no more
LEAVE_S = 1.0


async def forget(broker: Broker, stream: str) -> list[str]:
    """The topics that were emptied, discovery among them, sorted.

    Raises ConfigError when there is no such stream or it is narrated just now, SinkError when the broker can't be
    reached or refuses us.
    """
    try:
        client = await connect(broker, f"avstream-forget-{secrets.token_hex(4)}")
    except (OSError, aiomqtt.MqttError) as error:
        refused = refusal(broker, error)
        raise refused or SinkError(
            f"MQTT broker {broker.shown} not reached ({reason(error)})", "see that it runs"
        ) from None
    try:
        return await _forget(client, Topics(broker.base, slugify(stream)))
    finally:
        await part(client, LEAVE_S)
        await hang_up(client)


async def _forget(client: aiomqtt.Client, topics: Topics) -> list[str]:
    kept = await _retained(client, topics.of("#"), topics.discovery, f"{topics.base}/status", f"{topics.base}/+/status")
    if kept.get(f"{topics.base}/status") == kept.get(topics.of("status")) == encode(ONLINE):
        raise ConfigError(f"{topics.stream} is narrated just now", "stop that avstream first: it would come back")
    theirs = sorted(topic for topic in kept if topic == topics.discovery or topic.startswith(topics.of("")))
    if not theirs:
        there = sorted(topic.split("/")[-2] for topic in kept if topic.count("/") == topics.base.count("/") + 2)
        known = f"there are: {', '.join(there)}" if there else f"there is none below {topics.base}"
        raise ConfigError(f"no stream {topics.stream!r} is known to the broker", known)
    for topic in theirs:
        await client.publish(topic, b"", qos=1, retain=True)
    return theirs


async def _retained(client: aiomqtt.Client, *patterns: str) -> dict[str, bytes]:
    """Topic -> payload of what the broker keeps."""
    await client.subscribe([(pattern, 1) for pattern in patterns])
    found: dict[str, bytes] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(MOST_S):
            while True:
                async with asyncio.timeout(QUIET_S):
                    message = await anext(client.messages)
                if message.retain and isinstance(message.payload, bytes):
                    found[str(message.topic)] = message.payload
    return found
