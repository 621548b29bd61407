"""A real PulseAudio without hardware: what is played into its null sink is what its default microphone hears."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system import need

READY_S = 15.0
# without norewinds the monitor loses what is played in the first second
DEVICE = "module-null-sink", "sink_name=avs", "rate=48000", "channels=2", "norewinds=1"
SCRIPT = """\
load-module {device}
set-default-sink avs
set-default-source avs.monitor
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
"""


class PulseServer:
    """A private sound server with a socket, a home and a runtime folder of its own.

    `env` has what a client needs in its environment to find it; in-process users must set it before PortAudio starts.
    The device is then named "pulse". `kill` is a crash; `restart` brings it back on the same socket.
    """

    def __init__(self) -> None:
        need("pulseaudio", "pactl", "paplay")
        self._folder = Path(tempfile.mkdtemp(prefix="avs-pulse-"))
        self._server: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []
        self._socket = self._folder / "native"
        (self._folder / "p.pa").write_text(SCRIPT.format(socket=self._socket, device=" ".join(DEVICE)))
        self.env = {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_COOKIE": str(self._folder / "cookie"),
            "PULSE_RUNTIME_PATH": str(self._folder),
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._socket.unlink(missing_ok=True)  # what a killed server leaves
        private = {"XDG_RUNTIME_DIR": str(self._folder), "HOME": str(self._folder)}
        command = "pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --log-level=error"
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*command.split(), "-F", str(self._folder / "p.pa")],
                env={**os.environ, **private}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + READY_S
        while self._answers() != 0:
            assert self._server.poll() is None, f"pulseaudio ended: {(self._folder / 'log').read_text()}"
            assert time.monotonic() < deadline, f"pulseaudio is not up after {READY_S:g} s"
            time.sleep(0.05)

    def play(self, path: Path) -> subprocess.Popen[bytes]:
        """Start to play a WAV file into the microphone; ended with the server at the latest.

        100 ms of buffer: with more it is heard too early, with less not all of it on a busy machine.
        """
        player = subprocess.Popen(
            ["paplay", "--latency-msec=100", str(path)],
            env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._players.append(player)
        return player

    def kill(self) -> None:
        """The server dies at once, as in a crash."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def unplug(self) -> None:
        """The microphone goes, the server stays."""
        self._control("unload-module", DEVICE[0])

    def plug(self) -> None:
        """The microphone is there again."""
        self._control("load-module", *DEVICE)

    def freeze(self) -> None:
        """The server hangs: it is there, and answers nobody. `kill` and `stop` end it all the same."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it if it runs, and start it on the same socket."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End it and everything that plays, and remove its files."""
        for player in self._players:
            player.kill()
            player.wait()
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> int:
        return self._control("info", check=False)

    def _control(self, *words: str, check: bool = True) -> int:
        return subprocess.run(
            ["pactl", *words], env={**os.environ, **self.env}, capture_output=True, check=check, timeout=READY_S
        ).returncode


@contextmanager
def pulse_server() -> Iterator[PulseServer]:
    """A server that runs, and is gone afterwards."""
    server = PulseServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()
