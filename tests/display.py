"""A real X server without a screen."""

import os
import select
import subprocess
import time
from contextlib import contextmanager

from tests.system import need

READY_S = 30.0


@contextmanager
def x_server(is_managed: bool = True):
    """A display of our own, with a window manager unless asked otherwise: its name and its process."""
    need("Xvfb", "openbox", "xprop", "xdotool", "ffmpeg")
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with open(reader) as answer:
            number = answer.readline().strip() if select.select([answer], [], [], READY_S)[0] else ""
        assert number, "Xvfb does not come"
        name = f":{number}"
        if is_managed:
            with window_manager(name):
                yield name, server
        else:
            yield name, server
    finally:
        server.kill()
        server.wait()


@contextmanager
def window_manager(display: str):
    environment = {**os.environ, "DISPLAY": display}
    manager = subprocess.Popen(["openbox"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def is_there():
        ask = ["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"]
        return "window id" in subprocess.run(ask, env=environment, capture_output=True, text=True).stdout

    try:
        deadline = time.monotonic() + READY_S
        while not is_there():
            assert time.monotonic() < deadline, "openbox does not come"
            time.sleep(0.05)
        yield
    finally:
        manager.kill()
        manager.wait()
