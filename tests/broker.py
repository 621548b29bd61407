"""A real MQTT broker for tests, who listens to it, and a line to it that can be cut.

with Mosquitto(tmp_path) as broker:
    async with Ear(broker.port) as ear:
        ...
        await ear.until(lambda: ear.last("avstream/status") == "online")
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt

from tests.system import free_port, need

DEADLINE_S = 20.0  # for whatever a test waits for; far more than it takes


async def until(condition: Callable[[], Any], within_s: float = DEADLINE_S) -> None:
    """Wait for a condition, and fail when it does not come."""
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "what the test waits for did not happen"
        await asyncio.sleep(0.005)


class Certificates:
    """An authority and a certificate that it gave a server on 127.0.0.1, made by openssl on the spot."""

    def __init__(self, folder: Path) -> None:
        need("openssl")
        folder.mkdir()
        self.ca, self.key, self.cert = folder / "ca.pem", folder / "key.pem", folder / "cert.pem"
        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        ca_key = folder / "ca-key.pem"
        self._openssl(*new, "-subj", "/CN=test authority", "-keyout", ca_key, "-out", self.ca)
        signed = ["-CA", self.ca, "-CAkey", ca_key, "-addext", "subjectAltName=IP:127.0.0.1"]
        self._openssl(*new, *signed, "-subj", "/CN=broker", "-keyout", self.key, "-out", self.cert)

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Mosquitto:
    """A broker on 127.0.0.1 that keeps nothing on disk: killed, it forgets all."""

    def __init__(
        self,
        folder: Path,
        *,
        login: tuple[str, str] | None = None,
        certificates: Certificates | None = None,
        acl: str = "",
    ) -> None:
        need("mosquitto", "mosquitto_passwd")
        self.port = free_port()
        self._folder = folder / f"mosquitto-{self.port}"
        self._folder.mkdir()
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "log_dest none", "set_tcp_nodelay true"]
        if os.geteuid() == 0:
            lines.append("user root")  # or it could not read what is in here
        lines.append(f"allow_anonymous {'false' if login else 'true'}")
        if login:
            self.let_in(*login)
            lines.append(f"password_file {self._folder / 'passwords'}")
        if certificates:
            lines += [f"certfile {certificates.cert}", f"keyfile {certificates.key}"]
        if acl:
            (self._folder / "acl").write_text(acl)
            lines.append(f"acl_file {self._folder / 'acl'}")
        self._config = self._folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._child: subprocess.Popen[bytes] | None = None

    def let_in(self, user: str, password: str) -> None:
        """From the next start on, this user with this password, and nobody else."""
        command = ["mosquitto_passwd", "-b", "-c", str(self._folder / "passwords"), user, password]
        subprocess.run(command, check=True, capture_output=True)

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._child = subprocess.Popen([program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        end_s = time.monotonic() + DEADLINE_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            assert self._child.poll() is None, "mosquitto did not start"
            assert time.monotonic() < end_s, "mosquitto did not start in time"
            time.sleep(0.01)

    def kill(self) -> None:
        """Dead at once, as by a power cut."""
        if self._child is not None:
            self._child.kill()  # also ends one that is paused
            self._child.wait()
            self._child = None

    def pause(self) -> None:
        """It hangs: connections stay, and are even taken, but nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Ear:
    """Hears everything that the broker has and gets: `heard` has (topic, payload, whether it was retained)."""

    def __init__(self, port: int, **options: Any) -> None:
        self._client = aiomqtt.Client("127.0.0.1", port, **options)
        self.heard: list[tuple[str, bytes, bool]] = []

    async def __aenter__(self) -> "Ear":
        await self._client.__aenter__()
        await self._client.subscribe("#", qos=1)
        self._task = asyncio.create_task(self._listen(), name="ear")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with suppress(aiomqtt.MqttError):
            await self._client.__aexit__(None, None, None)

    async def _listen(self) -> None:
        with suppress(aiomqtt.MqttError):  # when the broker is killed
            async for message in self._client.messages:
                assert isinstance(message.payload, bytes)
                self.heard.append((str(message.topic), message.payload, message.retain))

    async def say(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        await self._client.publish(topic, payload, qos=1, retain=retain)

    async def retained(self) -> set[str]:
        """The topics that the broker keeps: it sends a subscriber all of them before anything new."""
        await self.say("heard", "all")
        await until(lambda: self.last("heard"))
        return {topic for topic, payload, retained in self.heard if retained and payload}

    def all(self, topic: str) -> list[bytes]:
        """Every payload of a topic, in order."""
        return [payload for heard, payload, _ in self.heard if heard == topic]

    def last(self, topic: str) -> str | None:
        payloads = self.all(topic)
        return payloads[-1].decode("utf-8", "replace") if payloads else None

    async def until(self, condition: Callable[[], Any]) -> None:
        await until(condition)


class Line:
    """A TCP line to a broker that can be cut and repaired while both ends live on."""

    def __init__(self, port: int) -> None:
        self._far = port
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Line":
        await self.repair()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def repair(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(near)
        far = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._far)
            self._open.add(far)
            await asyncio.gather(self._copy(near_reader, far), self._copy(far_reader, near))
        except OSError:
            pass
        finally:
            for writer in (near, far):
                if writer is not None:
                    writer.transport.abort()
                    self._open.discard(writer)
            self._tasks.discard(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
