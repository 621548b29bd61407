"""A real browser for tests: headless Chromium, driven by the WebDriver protocol over plain HTTP."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from tests.system import free_port, need

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's own name for a reference
TAB, ENTER, SPACE = "\ue004", "\ue007", " "
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"]


class Browser:
    """One page at a time."""

    def __init__(self, port, arguments):
        self._root = f"http://127.0.0.1:{port}"
        wanted = {"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"performance": "ALL"}}
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._root += f"/session/{answer['sessionId']}"

    def _send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path: Path):
        """Show a file."""
        self._send("POST", "/url", {"url": path.resolve().as_uri()})

    def run(self, script):
        """The value of a script's `return`."""
        return self._send("POST", "/execute/sync", {"script": script, "args": []})

    def press(self, *keys):
        """Real key presses, where the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def move_to(self, x, y):
        """The mouse, in the window's pixels."""
        move = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        self._send("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [move]}]})

    def requests(self):
        """The URLs that were asked for since the last call; data URIs are none."""
        lines = self._send("POST", "/se/log", {"type": "performance"})
        messages = [json.loads(line["message"])["message"] for line in lines]
        sent = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    def close(self):
        """End the session, and with it Chromium."""
        self._send("DELETE", "")


@contextmanager
def browser(*arguments):
    """A browser, closed at the end. Skips where there is none, fails in CI."""
    need("chromium", "chromedriver")
    port = free_port()
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(port)
        shown = Browser(port, [*ARGUMENTS, *arguments])
        try:
            yield shown
        finally:
            shown.close()
    finally:
        driver.terminate()
        driver.wait(20)


def wait_until_ready(port, limit_s=60):
    """Until chromedriver answers."""
    until = time.monotonic() + limit_s
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
                if json.load(answer)["value"]["ready"]:
                    return
        except (OSError, urllib.error.URLError):
            pass
        assert time.monotonic() < until, "chromedriver does not answer"
        time.sleep(0.1)
