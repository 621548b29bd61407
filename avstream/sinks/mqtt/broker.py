"""A broker: how to name it, how to connect to it and leave it, and what its refusals mean.

It knows nothing of streams or topics. Passwords stay in here: no message and no repr has them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

from avstream.errors import ConfigError, SinkError
from avstream.sinks.files import why

PASSWORD_VARIABLE = "AVSTREAM_MQTT_PASSWORD"
PORTS = {"mqtt": 1883, "mqtts": 8883}
DEFAULT_BASE = "avstream"
EXPECTED = "an MQTT broker as mqtt://user@host:1883/base, or mqtts:// for TLS"
TIMEOUT_S = 10.0  # for an answer
KEEPALIVE_S = 20  # a silent death is noticed within twice this
LEAVE_S = 0.3
BAD_PASSWORD, NOT_AUTHORIZED = 134, 135
CHECK_FILE = "check its name and rights"

# Who wants what aiomqtt and paho have to say configures this logger; by itself nothing of it reaches a terminal.
LOGGER = logging.getLogger("avstream.mqtt")
LOGGER.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Broker:
    """Where to publish, and as whom. `base` is the first part of all topics, `tls` is None for plain TCP."""

    host: str
    port: int
    base: str = DEFAULT_BASE
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, url: str, *, password_file: Path | None = None, cafile: Path | None = None) -> Broker:
        """`mqtt[s]://user@host[:port]/base`; the password is the file's, or AVSTREAM_MQTT_PASSWORD's.

        Raises ConfigError, which never repeats a password.
        """
        parts, port = _split(url)
        if parts.password is not None:
            raise ConfigError(
                "found a password in the MQTT URL, where other programs can see it",
                f"put it into {PASSWORD_VARIABLE} or into a file for --mqtt-password-file",
            )
        user = unquote(parts.username) if parts.username else None
        if password_file is not None and user is None:
            raise ConfigError("found an MQTT password but no user", "name the user in the URL: mqtt://user@host")
        password = None if user is None else _password(password_file)
        if cafile is not None and parts.scheme != "mqtts":
            raise ConfigError("found a CA file for an MQTT connection without TLS", "write mqtts:// in the URL")
        tls = _tls(cafile) if parts.scheme == "mqtts" else None
        return cls(parts.hostname or "", port, _base(parts.path), user, password, tls)

    @property
    def shown(self) -> str:
        """The URL without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}/{self.base}"


def _split(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # a ValueError too, for a host that no name server could know
    except ValueError:
        raise ConfigError("one whose host or port can't be read", expected=EXPECTED) from None
    if parts.scheme not in PORTS or "://" not in url:
        raise ConfigError(f"{parts.scheme}://" if "://" in url else "neither of the two", expected=EXPECTED)
    if not parts.hostname:
        raise ConfigError("no host", expected=EXPECTED)
    if "?" in url or "#" in url:
        raise ConfigError("a ? or a # in it", expected=EXPECTED)
    if port == 0:
        raise ConfigError("port 0", expected=EXPECTED)
    return parts, port or PORTS[parts.scheme]


def _base(path: str) -> str:
    base = unquote(path).strip("/")
    if re.search(r"[+#\x00-\x1f$]|//", base):
        expected = "a base for MQTT topics without +, #, $, control characters and empty parts"
        raise ConfigError("another one in the MQTT URL", expected=expected)
    return base or DEFAULT_BASE


def _password(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get(PASSWORD_VARIABLE) or None
    try:
        password = path.read_text(encoding="utf-8-sig").partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise ConfigError(f"can't read the MQTT password file {path}: {why(error)}", CHECK_FILE) from error
    except UnicodeDecodeError:
        raise ConfigError(f"the MQTT password file {path} is not UTF-8 text", "save it as UTF-8") from None
    if not password:
        raise ConfigError(f"the MQTT password file {path} is empty", "put the password on its first line")
    return password


def _tls(cafile: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=cafile)
    except ssl.SSLError as error:
        fix = "give the certificate of the broker's CA"
        raise ConfigError(f"the CA file {cafile} has no certificate in PEM format", fix) from error
    except OSError as error:
        raise ConfigError(f"can't read the CA file {cafile}: {why(error)}", CHECK_FILE) from error


async def connect(broker: Broker, identifier: str, will: aiomqtt.Will | None = None) -> aiomqtt.Client:
    """A connected client. Raises OSError or MqttError; then, and on cancellation, nothing is left open."""
    await _knock(broker)
    client = aiomqtt.Client(
        broker.host, broker.port, username=broker.user, password=broker.password, identifier=identifier,
        tls_context=broker.tls, will=will, keepalive=KEEPALIVE_S, timeout=TIMEOUT_S, logger=LOGGER,
        max_queued_incoming_messages=1000,
    )  # fmt: skip
    entering = asyncio.create_task(client.__aenter__(), name="mqtt connect")
    try:
        return await asyncio.shield(entering)
    except BaseException:
        # A thread of aiomqtt's may be connecting just now: only what it has opened can be closed.
        await asyncio.wait({entering}, timeout=LEAVE_S)
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        await hang_up(client)
        raise


async def _knock(broker: Broker) -> None:
    """See that somebody answers, TLS included.

    aiomqtt connects on a thread: that can't be cancelled, and says what went wrong in mere text.
    """
    async with asyncio.timeout(TIMEOUT_S):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, broker.host, broker.port, ssl=broker.tls)
        transport.abort()


async def part(client: aiomqtt.Client, within_s: float) -> None:
    """Leave politely, if that can be done in time: the broker then keeps the will to itself."""
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(within_s):
            await client.__aexit__(None, None, None)


async def hang_up(client: aiomqtt.Client) -> None:
    """Close the connection at once, whatever its state; the broker then publishes the will. Harmless when closed."""
    client._client.reinitialise()  # paho's: aiomqtt itself leaves a socket open that was never answered
    # Who takes no notice of why a client was disconnected is reminded of it by asyncio, on standard error.
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(0.05):
            while True:
                await anext(client.messages)


def refusal(broker: Broker, error: Exception) -> SinkError | None:
    """What to do about a broker that will not have us until something is changed; None when time may help."""
    if isinstance(error, ssl.SSLCertVerificationError):
        fix = "give the certificate of the authority that signed it with --mqtt-cafile"
        if "mismatch" in error.verify_message:
            fix = "name the host in the URL as its certificate does"
        found = f"the certificate of the MQTT broker {broker.shown} is not trusted ({error.verify_message})"
        return SinkError(found, fix)
    if isinstance(error, MqttConnectError) and _code(error) in (BAD_PASSWORD, NOT_AUTHORIZED):
        fix = f"name the user in the URL, mqtt://user@host, and put the password into {PASSWORD_VARIABLE} or "
        return SinkError(
            f"the MQTT broker {broker.shown} refuses the user name or the password", f"{fix}--mqtt-password-file"
        )
    return None


def reason(error: Exception) -> str:
    """Why a connection did not come about, or ended, in a few words."""
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "no answer"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS on this port"
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return "connection refused"
    if isinstance(error, MqttConnectError):
        return f"it refuses the connection (code {_code(error)})"
    if isinstance(error, aiomqtt.MqttError):
        return "the connection was lost"
    return why(error)


def _code(error: MqttConnectError) -> int | None:
    code = getattr(error.rc, "value", error.rc)
    return code if isinstance(code, int) else None
