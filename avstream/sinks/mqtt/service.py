"""Narrations, events and states over MQTT, for Home Assistant and whoever else subscribes.

A hub has one connection, and a sink for each stream. Sinks never wait for the broker: they put what they have to say
into the outbox, and the hub's task sends it. It knows nothing of how sounds are found. docs/mqtt.md has every topic.
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import aiomqtt

from avstream.errors import SinkError
from avstream.events import Rules
from avstream.records import Problem, ProblemKind
from avstream.sinks.mqtt import topics as wire
from avstream.sinks.mqtt.broker import TIMEOUT_S, Broker, connect, hang_up, part, reason, refusal
from avstream.sinks.mqtt.outbox import Outbox
from avstream.sinks.mqtt.sink import MqttSink
from avstream.sinks.mqtt.topics import OFFLINE, ONLINE, Topics, encode

BATCH = 10  # publications that may be on their way at once
RETRY_MIN_S, RETRY_MAX_S = 1.0, 4.0  # a broker that is back is reached within 5 s, on a network that answers
REFUSED_S = 30.0  # between tries at a broker that will not have us
AWAY_S = 3600.0  # that a broker may be away without loss, as long as what waits is no more than this:
MAX_COUNT, MAX_BYTES = 5000, 8 * 2**20
TRY_S = 3 * TIMEOUT_S  # to knock, to connect, to subscribe
# A try that began before the broker was back may fail late, and the one after the longest pause succeed late.
MAX_AGE_S = AWAY_S + TRY_S + RETRY_MAX_S + TRY_S
STEADY_S = 10.0  # a connection that held so long was a good one
OWED_S, GOODBYE_S = 0.7, 0.3  # at the end, for what is still to be sent and for saying goodbye


class MqttHub:
    """The connection to a broker.

    `model` is what listens, for people. `changed(stream, "threshold/dog_bark", 0.7)` and
    `changed(stream, "mute/dog_bark", True)` are called in the loop's thread when that was set from afar. An
    AvstreamError that it raises is answered with its text.
    """

    def __init__(self, broker: Broker, *, version: str, model: str, changed: Callable[[str, str, Any], None]) -> None:
        self._broker, self._version, self._model, self._changed = broker, version, model, changed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news, self._idle = asyncio.Event(), asyncio.Event()
        self._outbox = Outbox(self._wake, max_age_s=MAX_AGE_S, max_count=MAX_COUNT, max_bytes=MAX_BYTES)
        self._sinks: dict[str, MqttSink] = {}
        self._status = f"{broker.base}/status"
        self._outbox.state(self._status, encode(OFFLINE))  # the first thing to be published once connected
        # The same for every connection: a broker that has not noticed our death lets the new one take over.
        self._identifier = f"avstream-{secrets.token_hex(6)}"
        self._problems: tuple[Problem, ...] = ()
        self._was_connected = False
        self._served_since_s = math.inf

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the connection now; empty when all is well."""
        return self._problems

    @property
    def lost(self) -> int:
        """How many messages were dropped because the broker was away for too long."""
        return self._outbox.lost

    def sink(self, stream: str, rules: Rules, labels: Sequence[str], *, images: bool = True) -> MqttSink:
        """The sink of one stream, of `labels` and of what is none of them; to be called before `run`.

        Without `images` no picture leaves the machine.
        """
        labels = wire.with_other(labels)
        slug = wire.slugify(stream)
        free = next(name for n in count(1) if (name := slug if n == 1 else f"{slug}-{n}") not in self._sinks)
        topics = Topics(self._broker.base, free)
        shown = wire.wanted(labels, rules.only, rules.urgent)
        config = wire.discovery(
            topics, stream, labels, shown=shown, version=self._version, model=self._model, images=images
        )
        self._outbox.state(topics.discovery, encode(config))
        self._sinks[free] = MqttSink(stream, topics, rules, labels, self._outbox, images=images)
        return self._sinks[free]

    @property
    def _own(self) -> set[str]:
        """The topics that say whether we are there: what others say on them is corrected."""
        return {self._status, *(sink.topics.of("status") for sink in self._sinks.values())}

    async def run(self) -> None:
        """Stay connected and send, until cancelled: then what is owed is sent, for at most a second, and goodbye said.

        Raises SinkError when the broker refuses us from the start, or when asyncio's loop can't watch sockets.
        """
        self._loop = asyncio.get_running_loop()
        if isinstance(self._loop, getattr(asyncio, "ProactorEventLoop", ())):
            raise SinkError("MQTT needs an event loop that can watch sockets", "on Windows, run SelectorEventLoop")
        try:
            await self._stay_connected()
        finally:
            self._loop = None
            self._outbox.give_up()

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            self._served_since_s, final = math.inf, None  # it is not yet
            try:
                await self._session()
            except (OSError, aiomqtt.MqttError) as error:
                final = refusal(self._broker, error)
                if final and not self._was_connected:
                    raise final from None
                why = final or SinkError(
                    f"MQTT broker {self._broker.shown} not reached ({reason(error)})", "see that it runs"
                )
            attempt = 1 if time.monotonic() - self._served_since_s >= STEADY_S else attempt + 1
            pause_s = REFUSED_S if final else _delay_s(attempt)
            since_s = self._problems[0].since_s if self._problems else time.monotonic()
            kind: ProblemKind = "broker_refuses" if final else "broker_away"
            self._problems = (Problem(kind, self._broker.shown, why.found, why.fix, since_s, pause_s),)
            await asyncio.sleep(pause_s)

    async def _session(self) -> None:
        """Connect, and send and listen until that fails. Raises OSError or MqttError."""
        will = aiomqtt.Will(self._status, OFFLINE, 1, True)
        client = await connect(self._broker, self._identifier, will)
        try:
            self._was_connected, self._problems = True, ()
            wanted = [topic for sink in self._sinks.values() for topic in sink.set_topics]
            topics = [f"{wire.HOME_ASSISTANT}/status", self._status, *wanted]
            await client.subscribe([(topic, 1) for topic in topics])
            _heed_cancellation()
            self._served_since_s = time.monotonic()
            self._outbox.state(self._status, encode(ONLINE))
            self._outbox.renew()
            await self._serve(client)
        finally:
            await hang_up(client)

    async def _serve(self, client: aiomqtt.Client) -> None:
        publishing = asyncio.create_task(self._publish(client), name="mqtt publish")
        listening = asyncio.create_task(self._listen(client), name="mqtt listen")
        try:
            done, _ = await asyncio.wait((publishing, listening), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            listening.cancel()  # or our own `offline` would be contradicted
            await self._go_offline(client, publishing)
            raise
        finally:
            publishing.cancel()
            listening.cancel()
            await asyncio.gather(publishing, listening, return_exceptions=True)

    async def _publish(self, client: aiomqtt.Client) -> None:
        """Send what is in the outbox, in order; what was not acknowledged stays in it."""
        while True:
            batch = self._outbox.take(BATCH)
            if not batch:
                self._idle.set()
                await self._news.wait()
                self._news.clear()
                self._idle.clear()
                continue
            sending = (client.publish(one.topic, one.payload, qos=1, retain=one.retain) for one in batch)
            for result in await asyncio.gather(*sending, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
            self._outbox.done(batch)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic = str(message.topic)
            payload = message.payload if isinstance(message.payload, bytes) else b""
            if topic == f"{wire.HOME_ASSISTANT}/status":
                if payload == encode(ONLINE):
                    self._outbox.renew()
            elif topic in self._own:  # an old will of ours, or another avstream that left
                says = self._outbox.says(topic)
                if says is not None and payload != says:
                    self._outbox.state(topic, says, again=True)
            else:
                _, stream, setting, label, _ = topic.rsplit("/", 4)
                self._sinks[stream].set(setting, label, payload, self._changed)

    async def _go_offline(self, client: aiomqtt.Client, publishing: asyncio.Task[None]) -> None:
        """Send what is owed, then `offline` for all. Where that takes too long, the will has to say it."""
        await self._settle(publishing, OWED_S)
        for topic in (*(sink.topics.of("status") for sink in self._sinks.values()), self._status):
            self._outbox.state(topic, encode(OFFLINE))
        if await self._settle(publishing, GOODBYE_S):
            await part(client, GOODBYE_S)

    async def _settle(self, publishing: asyncio.Task[None], within_s: float) -> bool:
        """Whether everything that is in the outbox now has arrived in time."""
        self._idle.clear()
        self._news.set()
        idle = asyncio.create_task(self._idle.wait(), name="mqtt settle")
        await asyncio.wait((idle, publishing), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        return idle.done() and not publishing.done()

    def _wake(self) -> None:
        """There is something to send. Called on any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it was closed just now
                loop.call_soon_threadsafe(self._news.set)


def _heed_cancellation() -> None:
    """Raise CancelledError when the task is being cancelled: `asyncio.wait_for`, which aiomqtt waits with, swallows
    that before Python 3.12 when what it waits for comes in the same moment.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _delay_s(attempt: int) -> float:
    """How long to wait after so many failures in a row: longer each time, and not in step with other clients."""
    longest_s = min(RETRY_MAX_S, RETRY_MIN_S * 2.0 ** min(attempt, 10))
    return random.uniform(longest_s / 2, longest_s)
