"""Senders of real streams on loopback, by ffmpeg and plain sockets: they can die, stall, and come back."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.system import free_port, need


class Sender:
    """ffmpeg that sends a movie again and again at its own speed, as MPEG-TS over "udp" or "http", to `url`.

    `coding` are output options, by default to copy. `more` are further outputs, after the one to `url`. With `sound`
    the picture ends with the movie, and the sound is that of this one, again and again.
    """

    def __init__(
        self, movie: Path, *, over: str = "udp", coding: str = "-c copy", more: str = "", sound: Path | None = None
    ) -> None:
        need("ffmpeg")
        self._port = free_port(socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM)
        self.url = f"{over}://127.0.0.1:{self._port}" + ("/live.ts" if over == "http" else "")
        listen = ["-listen", "1"] if over == "http" else []
        target = f"{self.url}?pkt_size=1316" if over == "udp" else self.url
        again = ["-re", "-stream_loop", "-1", "-i"]
        self._command = ["ffmpeg", "-v", "error", *(again if sound is None else ["-re", "-i"]), str(movie)]
        if sound is not None:  # which would else be held back for the picture
            self._command += [*again, str(sound), "-map", "0:v", "-map", "1:a", "-max_interleave_delta", "100000"]
        self._command += [*coding.split(), "-flush_packets", "1", "-f", "mpegts", *listen, target, *more.split()]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, env: dict[str, str] | None = None) -> None:
        """Begin to send, or to listen, from the start of the movie."""
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdin=quiet, stdout=quiet, stderr=quiet, env=env)
        if self.url.startswith("http"):
            wait_for_listener(self._port)

    def kill(self) -> None:
        """Die at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stall(self) -> None:
        """Go on living, but send nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def wait_for_listener(port: int) -> None:
    """Until somebody listens, without taking the one connection that there may be."""
    deadline = time.monotonic() + 10
    while f":{port:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text():
        assert time.monotonic() < deadline, f"nobody listens on port {port}"
        time.sleep(0.02)


@contextmanager
def sending(movie: Path, **options: Any) -> Iterator[Sender]:
    """A sender that sends, and is gone afterwards."""
    sender = Sender(movie, **options)
    sender.start()
    try:
        yield sender
    finally:
        sender.kill()


@contextmanager
def web(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A web server that answers every GET by a function; yields "127.0.0.1:PORT"."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="web")
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hls(movie: Path, folder: Path, *, piece_s: int) -> Iterator[str]:
    """A movie again and again as live HLS, in pieces of so many seconds; yields its address once the first is there."""
    need("ffmpeg")
    command = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(movie), "-c", "copy", "-f", "hls"]
    command += ["-hls_time", str(piece_s), "-hls_list_size", "5", "-hls_flags", "delete_segments+temp_file"]
    playlist = folder / "live.m3u8"

    def answer(request: BaseHTTPRequestHandler) -> None:
        path = folder / Path(request.path).name
        if not path.exists():
            return request.send_error(404)
        body = path.read_bytes()
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*command, str(playlist)], stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        deadline = time.monotonic() + 10 * piece_s
        while not playlist.exists():
            assert time.monotonic() < deadline, "ffmpeg writes no HLS"
            time.sleep(0.05)
        with web(answer) as host:
            yield f"http://{host}/{playlist.name}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def tcp(data: bytes, *, bytes_a_second: float) -> Iterator[str]:
    """Sends bytes to whoever connects first, at a rate, then hangs up; yields the address."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                step = max(1, round(bytes_a_second / 50))
                for begin in range(0, len(data), step):
                    if stop.wait(step / bytes_a_second):
                        return
                    connection.sendall(data[begin : begin + step])

    thread = threading.Thread(target=serve, name="tcp")
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
