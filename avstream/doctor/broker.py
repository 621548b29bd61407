"""The check of an MQTT broker: reached, its certificate trusted, our credentials taken. It shows none of them."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from avstream.doctor.check import Check
from avstream.errors import AvstreamError
from avstream.sinks.mqtt.broker import Broker, connect, hang_up, part, reason, refusal

ANSWER_S = 6.0  # to be reached, and to take us
LEAVE_S = 1.0


def check_broker(url: str, password_file: Path | None, cafile: Path | None) -> Check:
    """The MQTT broker: reached, its certificate trusted, our credentials taken."""
    try:
        wanted = Broker.parse(url, password_file=password_file, cafile=cafile)
    except AvstreamError as error:
        found = f"expected {error.expected}, found {error.found}" if error.expected else error.found
        return Check("MQTT broker", False, found, error.fix)
    try:
        asyncio.run(visit(wanted))
    except Exception as error:  # what it says may hold a credential: only what we know of it is shown
        refused = refusal(wanted, error)
        if refused is not None:
            return Check("MQTT broker", False, refused.found, refused.fix)
        fix = "see that it runs, and that host and port are right"
        return Check("MQTT broker", False, f"{wanted.shown}: {reason(error)}", fix)
    return Check("MQTT broker", True, f"{wanted.shown} takes us")


async def visit(wanted: Broker) -> None:
    """Connect to a broker as a client of a name of its own, and leave. Raises OSError, ssl.SSLError or MqttError."""
    async with asyncio.timeout(ANSWER_S):
        client = await connect(wanted, f"avstream-doctor-{uuid.uuid4().hex[:8]}")
    try:
        await part(client, LEAVE_S)
    finally:
        await hang_up(client)
