"""`python -m tests.soak [--minutes 30] [--fault-every 60]`: does `avstream live` go on through everything?

The real program runs with two streams, a network camera (a looping movie as MPEG-TS) with its window, and a microphone
(PulseAudio), and an MQTT broker. Every so often one of them is killed or hangs, and comes back a while later; other
programs take all cores, and the terminal is closed. At the end: nothing leaked, every event has ended and arrived,
it was never late, it ended in time, and it left nothing behind.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil
from paho.mqtt import client as mqtt

from pipelines.make_demo import room, story
from pipelines.scenes.compose import write_scene_movie
from tests.broker import Mosquitto
from tests.display import x_server
from tests.pulse import pulse_server
from tests.stream_servers import Sender, sending
from tests.system import need

SIZE = (640, 360)
NAMES = ("tv.jsonl", "ear.jsonl")
SAMPLE_S = 1.0
WARM_S = 300.0  # until most was used once, also what follows a fault; from then on memory is flat, overload or not
MOST_MIB = 480  # two streams, and a window's process
AWAY = 1.5  # times the time between faults, 90 s of 60: the broker; nothing that is owed is lost meanwhile
LATE_S = 3.0  # overload included
PLAYED_S = 1500  # beyond the time until the sound server is killed next, and this played anew
START_S = 120.0  # for models and devices, and a first sound
RECOVERY_S = 40.0  # how long the longest backoff can make it wait after a repair


@dataclass
class Result:
    """What was seen."""

    minutes: float
    down_s: float = 0.0  # between a hang-up and the first line after the start that followed
    hangup_codes: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    exit_code: int | None = None
    ended_in_s: float = 0.0
    rss_mib: list[list[float]] = field(default_factory=list)  # of each start's program and window, every SAMPLE_S
    threads: list[int] = field(default_factory=list)
    latency_p95_s: dict[str, float] = field(default_factory=dict)
    windows: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    events: int = 0
    never_ended: int = 0
    heard_by_mqtt: int = 0
    recovery_s: list[float | None] = field(default_factory=list)  # from a repair until every stream named a sound again
    recovered: bool = False
    stderr: str = ""

    def growth(self, warm_s: float) -> float | None:
        """The most that a program grew: the median memory of its last minute, or third, over that of its first after
        the warm-up, minus 1. One that a hang-up ended before there were two such minutes has nothing to say, if another
        ran longer. None when none outlasted the warm-up.
        """
        warm, minute = round(warm_s / SAMPLE_S), round(60 / SAMPLE_S)
        warmed = [rss[warm:] for rss in self.rss_mib]
        if not any(warmed):
            return None
        found = []
        for rss in [rss for rss in warmed if len(rss) >= 2 * minute] or [max(warmed, key=len)]:
            part = max(1, min(minute, len(rss) // 3))
            found.append(statistics.median(rss[-part:]) / statistics.median(rss[:part]) - 1)
        return max(found)

    @property
    def most_mib(self) -> float:
        """The most memory that it ever took."""
        return max(max(rss, default=0.0) for rss in self.rss_mib)

    def summary(self) -> str:
        """All of it but the long lists, as JSON."""
        values = {key: value for key, value in asdict(self).items() if key not in ("rss_mib", "threads", "stderr")}
        values["rss_mib"] = [[round(mib) for mib in rss[:: round(60 / SAMPLE_S)]] for rss in self.rss_mib]
        values["rss_mib_most"] = round(self.most_mib)
        values["threads"] = [min(self.threads), max(self.threads), self.threads[-1]]
        return json.dumps(values, indent=1)


def make_movie(folder: Path) -> Path:
    """The demo's story as MPEG-TS with a key picture every second."""
    movie, stream = folder / "story.mp4", folder / "story.ts"
    write_scene_movie(movie, story(), size=SIZE, rng=np.random.default_rng(7), behind=room(*SIZE))
    coding = "-c:v libx264 -preset veryfast -g 25 -bf 0 -c:a aac -f mpegts"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(movie), *coding.split(), str(stream)], check=True)
    again = ["-stream_loop", "-1", "-i", str(movie), "-t", str(PLAYED_S)]
    sound = ["-vn", "-ac", "1", "-ar", "16000", str(folder / "story.wav")]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *again, *sound], check=True)
    return stream


class Program:
    """`avstream live`, and again after a hang-up: what it says and writes goes on in the same files."""

    def __init__(self, config: Path, env: dict[str, str], folder: Path, result: Result) -> None:
        self._command = [sys.executable, "-m", "avstream", "live", "--config", str(config), "--debug"]
        self._env, self._folder, self._result = {**os.environ, **env}, folder, result
        self.start()

    def start(self) -> None:
        """Start it, and wait until each stream has written something."""
        began, before = time.monotonic(), lines(self._folder)
        self._result.rss_mib.append([])
        with (self._folder / "stderr").open("a") as stderr:
            self.process = subprocess.Popen(self._command, env=self._env, stdout=subprocess.DEVNULL, stderr=stderr)
        assert wait_until(lambda: all(lines(self._folder).get(k, 0) > before.get(k, 0) for k in NAMES), START_S)
        self._result.down_s += time.monotonic() - began

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """End it by a signal: its exit code, and how long that took."""
        asked_s = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(20), time.monotonic() - asked_s

    def hang_up(self) -> None:
        """The terminal or the ssh connection is closed."""
        self._result.hangup_codes.append(self.end(signal.SIGHUP)[0])


class Load:
    """Other programs that keep every core busy, twice over."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        """Start them."""
        busy = [sys.executable, "-c", "while True: pass"]
        self._running = [subprocess.Popen(busy) for _ in range(2 * (os.cpu_count() or 1))]

    def end(self) -> None:
        """End them."""
        for one in self._running:
            one.kill()
            one.wait()
        self._running = []


class Faults:
    """What can break, in turns; each is a name, how to break it, how to repair it, and for how long it is broken.

    That is in times between faults; `None` is a third of one.
    """

    def __init__(
        self, camera: Sender, broker: Mosquitto, pulse: object, wav: Path, program: Program, load: Load
    ) -> None:
        def play() -> None:
            pulse.restart()
            pulse.play(wav)

        self._turns = itertools.cycle(
            [
                ("camera killed", camera.kill, camera.start, None),
                ("broker away", broker.kill, broker.start, AWAY),
                ("overload", load.begin, load.end, None),
                ("terminal closed", program.hang_up, program.start, 0.0),
                ("camera stalled", camera.stall, camera.resume, None),
                ("sound server killed", pulse.kill, play, None),
                ("broker hangs", broker.pause, broker.resume, None),
            ]
        )
        self._repair = None

    def inject(self) -> tuple[str, float | None]:
        """Break the next thing."""
        name, inject, self._repair, share = next(self._turns)
        inject()
        return name, share

    def repair(self) -> None:
        """Repair what was broken last."""
        if self._repair is not None:
            self._repair()
            self._repair = None


def soak(minutes: float, fault_every_s: float, folder: Path) -> Result:
    """Run it, and tell what was seen."""
    need("ffmpeg", "mosquitto", "pulseaudio", "Xvfb")
    result = Result(minutes)
    movie = make_movie(folder)
    with ExitStack() as stack:
        camera = stack.enter_context(sending(movie))
        broker = stack.enter_context(Mosquitto(folder))
        pulse = stack.enter_context(pulse_server())
        display, _ = stack.enter_context(x_server())
        pulse.play(folder / "story.wav")
        config = folder / "home.yaml"
        config.write_text(
            f"mqtt: mqtt://127.0.0.1:{broker.port}/soak\n"
            "streams:\n"
            f"  tv: {{camera: '{camera.url}', window: true, jsonl: '{folder / 'tv.jsonl'}'}}\n"
            f"  ear: {{mic: pulse, jsonl: '{folder / 'ear.jsonl'}'}}\n"
        )
        stack.enter_context(listening(broker, folder / "heard.txt"))
        program, load = Program(config, {**pulse.env, "DISPLAY": display}, folder, result), Load()
        result.down_s = 0.0  # what counts begins now
        try:
            faults = Faults(camera, broker, pulse, folder / "story.wav", program, load)
            watch(program, folder, result, minutes, fault_every_s, faults)
            before = lines(folder)
            result.recovered = wait_until(lambda: all(lines(folder)[k] > n for k, n in before.items()), RECOVERY_S)
            result.exit_code, result.ended_in_s = program.end(signal.SIGTERM)
        finally:
            load.end()
            program.process.kill()
            program.process.wait()
    read_results(result, folder)
    return result


def listening(broker: Mosquitto, path: Path) -> ExitStack:
    """Somebody who hears the events over MQTT, through every restart of the broker.

    It is there again before the program is: a broker that was killed keeps nothing for those who come later, as
    `mosquitto_sub` does.
    """
    stack = ExitStack()
    out = stack.enter_context(path.open("w", buffering=1))
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.reconnect_delay_set(0.1, 0.1)
    client.on_connect = lambda *_: client.subscribe("soak/+/event", qos=1)
    client.on_message = lambda _, __, message: print(message.payload.decode(), file=out)
    client.connect_async("127.0.0.1", broker.port, keepalive=5)
    client.loop_start()
    stack.callback(client.loop_stop)
    stack.callback(client.disconnect)
    return stack


def watch(program: Program, folder: Path, result: Result, minutes: float, fault_every_s: float, faults: Faults) -> None:
    """Sample its memory, and break and repair things, until the time is over."""
    began = time.monotonic()
    next_fault_s, repair_at_s = fault_every_s, float("inf")
    repaired_s, before = 0.0, dict[str, int]()  # empty when nothing is waited for
    while (now_s := time.monotonic() - began) < 60 * minutes:
        if program.process.poll() is None:
            process = psutil.Process(program.process.pid)
            family = [process, *process.children(recursive=True)]
            result.rss_mib[-1].append(sum(rss_of(member) for member in family) / 2**20)
            result.threads.append(process.num_threads())
        else:  # hung up, and not started again yet
            assert program.process.returncode == 128 + signal.SIGHUP, f"it ended by itself: {last_words(folder)}"
        if before and all(count > before[name] for name, count in lines(folder).items()):
            result.recovery_s.append(round(now_s - repaired_s, 1))
            before = {}
        if now_s >= repair_at_s:
            faults.repair()
            repair_at_s, repaired_s, before = float("inf"), time.monotonic() - began, lines(folder)
            next_fault_s = max(next_fault_s, repaired_s + fault_every_s / 2)
        # the last one leaves the time to recover
        if now_s >= next_fault_s and now_s < 60 * minutes - fault_every_s / 2:
            name, share = faults.inject()
            result.faults.append(f"{now_s:.0f} s: {name}")
            result.recovery_s += [None] if before else []
            before = {}
            lasts_s = fault_every_s * (1 / 3 if share is None else share)
            next_fault_s, repair_at_s = max(next_fault_s, now_s + lasts_s) + fault_every_s, now_s + lasts_s
        time.sleep(SAMPLE_S)
    faults.repair()


def rss_of(process: psutil.Process) -> int:
    """Its resident memory; 0 when it has just gone."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def last_words(folder: Path) -> str:
    """What it said on stderr."""
    return (folder / "stderr").read_text()[-3000:]


def lines(folder: Path) -> dict[str, int]:
    """How many sounds each stream has named so far."""
    return {path.name: path.read_text().count('"label"') for path in folder.glob("*.jsonl*")}


def wait_until(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether it came to be in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(SAMPLE_S / 2)
    return True


def read_results(result: Result, folder: Path) -> None:
    """What the program left: its last words and its events."""
    result.stderr = (folder / "stderr").read_text()
    pattern = r"avstream: (\w+): (\d+) windows, (\d+) sounds, (\d+) windows dropped, latency p50/p95 [\d.]+/([\d.]+) s"
    for name, windows, sounds, dropped, p95 in re.findall(pattern, result.stderr):  # of each start
        result.windows[name] = result.windows.get(name, 0) + int(windows)
        result.dropped[name] = result.dropped.get(name, 0) + int(dropped)
        result.latency_p95_s[name] = max(result.latency_p95_s.get(name, 0.0), float(p95))
        result.events += int(sounds)
    going: set[str] = set()
    for path in folder.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            event = json.loads(line).get("event")
            if event:
                (going.discard if event["phase"] == "ended" else going.add)(event["id"])
    result.never_ended = len(going)
    result.heard_by_mqtt = len({json.loads(line)["id"] for line in (folder / "heard.txt").read_text().splitlines()})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.split("\n\n")[1])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--fault-every", type=float, default=60.0, metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avs-soak-") as folder:
        result = soak(options.minutes, options.fault_every, Path(folder))
    print(result.summary())
    growth = result.growth(WARM_S)
    grew = "unknown, the run was too short" if growth is None else f"{growth:+.1%}"
    print(f"memory from {WARM_S:g} s after a start on: {grew}\n{result.stderr}")
    check(result)
    assert growth is None or growth < 0.05, f"memory grew by {growth:.1%} from {WARM_S:g} s after a start on"
    assert result.most_mib < MOST_MIB, "two streams and a window need more memory than is stated"
    assert None not in result.recovery_s, "it did not come back before the next fault"
    return 0


def check(result: Result) -> None:
    """What has to hold however long it ran."""
    assert set(result.hangup_codes) <= {128 + signal.SIGHUP}
    assert result.exit_code == 128 + signal.SIGTERM and result.ended_in_s < 2.5, "2 s, and the shell's own end"
    assert set(result.windows) == {"tv", "ear"} and result.recovered
    for name, windows in result.windows.items():
        restarts = len(result.hangup_codes)
        there_s = 60 * result.minutes - result.down_s - 8 * (1 + restarts)
        assert windows + result.dropped[name] > there_s, f"{name} has holes in time"
        assert result.latency_p95_s[name] < LATE_S, f"{name} was late"
    assert result.events > 0 and result.never_ended == 0
    assert result.heard_by_mqtt >= 0.9 * result.events, "events were lost on their way"
    bad = "Traceback", "left behind", "could not be delivered", "was destroyed", "never retrieved", "never awaited"
    assert not any(words in result.stderr for words in bad)
    assert max(result.threads[len(result.threads) // 2 :]) <= max(result.threads[: len(result.threads) // 2]) + 3


if __name__ == "__main__":
    sys.exit(main())
