"""The check of an MQTT broker: reached, its certificate trusted, our credentials taken. It shows none of them."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import aiomqtt

from avstream.doctor.check import Check
from avstream.errors import AvstreamError
from avstream.sinks.mqtt_broker import LOGGER, Broker, reason, refusal

STEP_S = 3.0  # to be reached, and to answer


def check_broker(url: str, password_file: Path | None, cafile: Path | None) -> Check:
    """The MQTT broker: reached, its certificate trusted, our credentials taken."""
    try:
        wanted = Broker.parse(url, password_file=password_file, cafile=cafile)
    except AvstreamError as error:
        found, _, mend = str(error).partition("; ")
        return Check("MQTT broker", False, found, mend)
    try:
        asyncio.run(visit(wanted))
    except Exception as error:  # what it says may hold a credential: only what we know of it is told
        refused = refusal(wanted, error)
        found, _, mend = (refused or f"{wanted.shown}: {reason(error)}").partition("; ")
        return Check("MQTT broker", False, found, mend or "see that it runs, and that host and port are right")
    return Check("MQTT broker", True, f"{wanted.shown} takes us")


async def visit(wanted: Broker) -> None:
    """Connect to a broker as a client of a name of its own, and leave. Raises OSError, ssl.SSLError or MqttError."""
    async with asyncio.timeout(STEP_S):  # aiomqtt's own errors of this step are mere text
        _, writer = await asyncio.open_connection(wanted.host, wanted.port, ssl=wanted.tls)
    writer.close()
    client = aiomqtt.Client(
        wanted.host, wanted.port, username=wanted.user, password=wanted.password, tls_context=wanted.tls,
        identifier=f"avstream-doctor-{uuid.uuid4().hex[:8]}", timeout=STEP_S, logger=LOGGER,
    )  # fmt: skip
    async with client:
        pass
