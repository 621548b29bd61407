"""`avstream live` as people start it: real streams, real signals."""

import fcntl
import json
import os
import platform
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager

import pytest
from paho.mqtt import client as mqtt

from avstream.commands.live import END_S, conclude
from avstream.stream import Report
from tests.broker import Mosquitto
from tests.command import avstream, avstream_process
from tests.display import x_server
from tests.synth import make_movie, with_siren

READY_S = 90.0  # for torch, on a busy machine


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    return make_movie(tmp_path_factory.mktemp("live") / "tone.mp4", duration_s=8.0)


@pytest.fixture(scope="module")
def siren(movie, tmp_path_factory):
    return with_siren(movie, tmp_path_factory.mktemp("siren") / "siren.mp4", duration_s=8.0)


def command(*arguments):
    return [sys.executable, "-m", "avstream", "live", *map(str, arguments)]


def run(*arguments, **environment):
    return avstream("live", *arguments, env=environment)


@contextmanager
def running(*arguments, stdout=subprocess.PIPE, **environment):
    env = {**os.environ, **environment}
    process = subprocess.Popen(command(*arguments), stdout=stdout, stderr=subprocess.PIPE, text=True, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def listening(port):
    """A client of a broker, and the newest of each topic of avstream's."""
    said, client = {}, mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _, __, message: said.update({message.topic: message.payload.decode(errors="replace")})
    client.on_connect = lambda *_: client.subscribe("avstream/#", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield client, said
    finally:
        client.disconnect()
        client.loop_stop()


def wait_for(condition):
    until = time.monotonic() + READY_S
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def read(path):
    told = [json.loads(line) for line in path.read_text().splitlines()]
    return [item for item in told if "event" not in item], [item["event"] for item in told if "event" in item]


def test_a_movie_at_its_own_speed(siren, tmp_path):
    done = avstream_process(
        "live", "--camera", siren, "--realtime", "--jsonl", tmp_path / "a.jsonl", "--srt", tmp_path / "a.srt",
        "--name", "rehearsal",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "listening to rehearsal" in done.stdout and "rehearsal: " in done.stderr
    narrations, events = read(tmp_path / "a.jsonl")
    assert {item["source"] for item in narrations} == {"rehearsal"}
    assert [item["index"] for item in narrations] == sorted(item["index"] for item in narrations)
    assert [event["phase"] for event in events][-1] == "ended" and len(events) % 2 == 0
    assert all(abs(event["end_s"] - 4.0) <= 1.5 for event in events if event["end_s"]), "the siren is from 2 to 4 s"
    assert "-->" in (tmp_path / "a.srt").read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_asked_to_stop_it_ends_in_time_with_all_written(siren, tmp_path, number, code):
    log = tmp_path / "a.jsonl"
    options = ["--realtime", "--loop", "--jsonl", tmp_path / "a.jsonl"]
    with running("--camera", siren, *options) as process:
        wait_for(lambda: log.exists() and '"began"' in log.read_text())
        process.send_signal(number)
        told = time.monotonic()
        assert process.wait(20) == code
        assert time.monotonic() - told < 3.0, "2 s, and what a busy machine adds"
        assert "Traceback" not in process.stderr.read()
    narrations, events = read(tmp_path / "a.jsonl")
    assert narrations and events[-1]["phase"] == "ended"
    assert {event["id"] for event in events if event["phase"] == "began"} == {
        event["id"] for event in events if event["phase"] == "ended"
    }


def test_a_key_in_one_of_two_windows_ends_all(movie, tmp_path):
    stream = f"camera: {movie}, realtime: true, loop: true, window: true"
    rows = [f"  {name}: {{{stream}, jsonl: {tmp_path / name}.jsonl}}" for name in ("yard", "street")]
    (tmp_path / "home.yaml").write_text("\n".join(["streams:", *rows]))

    def xdotool(*words):
        done = subprocess.run(["xdotool", *words], env=env, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout.split()

    with x_server() as (display, _):
        env = {**os.environ, "DISPLAY": display}
        with running("--config", tmp_path / "home.yaml", DISPLAY=display) as process:
            parts = [tmp_path / f"{name}.jsonl" for name in ("yard", "street")]
            wait_for(lambda: all(part.exists() and part.read_text() for part in parts))
            wait_for(lambda: len(xdotool("search", "--onlyvisible", "--class", "avstream")) == 2)
            xdotool("windowactivate", "--sync", xdotool("search", "--onlyvisible", "--class", "avstream")[0])
            xdotool("key", "q")
            assert process.wait(20) == 0, process.stderr.read()
            assert "Traceback" not in process.stderr.read()
    for name in ("yard", "street"):
        narrations, events = read(tmp_path / f"{name}.jsonl")
        assert narrations and (not events or events[-1]["phase"] == "ended")


def test_what_is_unmuted_over_mqtt_is_unmuted_in_the_window(tmp_path):
    """Only what the window does not take for muted can be muted there by m."""
    movie = make_movie(tmp_path / "tone.mp4", duration_s=8.0, tone=(0.5, 7.5))
    with x_server() as (display, _), Mosquitto(tmp_path) as broker, listening(broker.port) as (client, said):
        env = {**os.environ, "DISPLAY": display}
        options = ["--realtime", "--loop", "--window", "--name", "yard", "--mqtt", f"mqtt://127.0.0.1:{broker.port}"]
        with running("--camera", movie, "--threshold", "other=0.1", *options, DISPLAY=display):

            def is_muted(wanted):
                return [label for label, state in said.items() if "/mute/" in label and state == wanted]

            def press_m():
                subprocess.run(["xdotool", "key", "m"], env=env, check=True, timeout=20)
                time.sleep(0.5)
                return is_muted("ON")

            wait_for(lambda: said.get("avstream/yard/sound") == "ON")
            find = ["xdotool", "search", "--sync", "--onlyvisible", "--class", "avstream", "windowactivate", "--sync"]
            subprocess.run(find, env=env, check=True, timeout=20)
            wait_for(press_m)
            (topic,) = is_muted("ON")
            client.publish(f"{topic}/set", "OFF", qos=1)
            wait_for(lambda: said[topic] == "OFF")
            wait_for(press_m)
            assert is_muted("ON") == [topic]


def test_a_second_signal_ends_it_at_once_though_the_terminal_is_stopped(movie):
    """With Ctrl-S everything that writes to the terminal hangs, and holds its locks."""
    screen, terminal = pty.openpty()
    seen = []

    def shown():
        while select.select([screen], [], [], 0)[0]:
            seen.append(os.read(screen, 1 << 16))
        return b"".join(seen)

    try:
        with running("--camera", movie, "--realtime", "--loop", stdout=terminal, TERM="xterm") as process:
            wait_for(lambda: "● listening".encode() in shown())
            termios.tcflow(terminal, termios.TCOOFF)
            time.sleep(1.0)  # until the next status is on its way
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)  # sent together, the kernel may give each to another thread, in any order
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 130
    finally:
        termios.tcflow(terminal, termios.TCOON)
        os.close(terminal)
        os.close(screen)


NARRATOR_HANGS = """
narrate = Narrator.narrate_window
def hang(self, window, source):
    time.sleep(60 if window.index > 2 else 0)
    return narrate(self, window, source)
Narrator.narrate_window = hang
"""
FILE_HANGS = """
write = JsonlSink.write
def hang(self, narration):
    write(self, narration)
    time.sleep(60 if narration.index > 2 else 0)
JsonlSink.write = hang
"""
LOOP_HANGS = """
class Deaf:
    problems = ()
    async def run(self):
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
run = loop.run
loop.run = lambda streams, narrator, **options: run(streams, narrator, **{**options, "services": [Deaf()]})
"""


@pytest.mark.parametrize(
    ("fault", "within_s"),
    [(NARRATOR_HANGS, 3.0), (FILE_HANGS, 3.0), (LOOP_HANGS, END_S + 1)],
    ids=["model", "sink", "loop"],
)
def test_how_it_went_is_said_though_something_hangs(movie, tmp_path, fault, within_s):
    program = f"""
import asyncio, sys, time
from contextlib import suppress
from avstream import loop
from avstream.cli import entry
from avstream.narrator import Narrator
from avstream.sinks.jsonl import JsonlSink
{fault}
entry()
"""
    log = tmp_path / "a.jsonl"
    options = ["live", "--camera", movie, "--realtime", "--loop", "--jsonl", log, "--name", "yard"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: log.exists() and '"index": 2' in log.read_text())
        time.sleep(2.0)  # until it hangs
        process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        assert process.wait(20) == 143
        assert time.monotonic() - told < within_s
        assert process.stderr.read().count("avstream: yard: ") == 1
    finally:
        process.kill()
        process.communicate()


def test_missing_sound_is_reported_when_it_is_considerable(capsys):
    beginning = Report(came=True, stream_s=60, missing_s=3)
    much = Report(came=True, stream_s=60, missing_s=12, source="yard")
    little = Report(came=True, stream_s=6000, missing_s=12)
    conclude([beginning, much, little], None)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1 and "yard: 12 s of sound came too late or not at all" in warnings[0]


def test_a_stream_that_never_came_is_an_error():
    devices = ["--camera", "/dev/video99", "--mic", "no such microphone"]
    done = avstream_process("live", *devices, "--duration", "4", env={"PULSE_SERVER": "unix:/nowhere"})
    assert done.returncode == 3, done.stderr
    assert "camera /dev/video99 is not there" in done.stdout and "microphone" in done.stdout
    assert "silence" not in done.stdout, "nobody knows"
    assert "gave no picture and no sound (camera /dev/video99 is not there" in done.stderr
    assert "0 windows" not in done.stderr and "latency" not in done.stderr


def test_a_terminal_that_is_closed_ends_it_with_all_written(siren, tmp_path):
    """The window of the terminal is closed, or the ssh connection: SIGHUP, and nobody reads any more."""
    log = tmp_path / "a.jsonl"
    screen, terminal = pty.openpty()

    def own_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    options = ["--realtime", "--loop", "--jsonl", log, "--srt", tmp_path / "a.srt"]
    process = subprocess.Popen(
        command("--camera", siren, *options), stdin=terminal, stdout=terminal, stderr=terminal, preexec_fn=own_terminal
    )
    os.close(terminal)
    try:
        wait_for(lambda: log.exists() and '"began"' in log.read_text())
        os.close(screen)
        assert process.wait(20) == 129
    finally:
        process.kill()
        process.wait()
    assert read(log)[1][-1]["phase"] == "ended"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "a.srt"]


def test_what_an_earlier_run_wrote_stays(siren, tmp_path):
    """Logs are appended to; captions get another name, also where the earlier run was killed."""
    (tmp_path / "a.jsonl").write_text('{"text": "old", "sounds": []}\n')
    (tmp_path / "a.srt").write_text("old")
    (tmp_path / "a-2.part.srt").write_text("killed")
    outputs = ["--jsonl", tmp_path / "a.jsonl", "--srt", tmp_path / "a.srt"]
    done = avstream_process("live", "--camera", siren, "--realtime", *outputs)
    assert done.returncode == 0 and "a-3.srt, as" in done.stderr
    assert (tmp_path / "a.srt").read_text() == "old" and (tmp_path / "a-2.part.srt").read_text() == "killed"
    assert "-->" in (tmp_path / "a-3.srt").read_text()
    narrations, _ = read(tmp_path / "a.jsonl")
    assert narrations[0]["text"] == "old" and len(narrations) > 3


def test_json_lines_whose_reader_has_gone_end_it(movie):
    with running("--camera", movie, "--realtime", "--loop", "--jsonl", "-") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 5
        assert "standard output takes no more JSON" in process.stderr.read()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--mic", "none"], 2, "needs a camera or a microphone"),
        (["--mic", "stream"], 2, "give one as --camera"),
        (["--camera", "0", "--realtime"], 2, "--realtime and --loop"),
        (["--camera", "MOVIE"], 2, "--realtime"),
        (["--camera", "0", "--mute", "dog_bork"], 2, "did you mean 'dog_bark'"),
        (["--camera", "0", "--threshold", "bell"], 2, "LABEL=CONFIDENCE"),
        (["--camera", "0", "--config", "home.yaml"], 2, "put --camera into"),
        (["--config", "nowhere.yaml"], 2, "can't be read"),
        (["--camera", "0", "--mqtt", "mqtt://user:hunter2@hub"], 2, "AVSTREAM_MQTT_PASSWORD"),
        (["--camera", "0", "--hop", "4"], 2, "a hop above 0 s"),
        (["--camera", "nowhere.mp4", "--realtime"], 3, "nowhere.mp4"),
        (["--camera", "MOVIE", "--realtime", "--window"], 5, "DISPLAY"),
        (["--camera", "MOVIE", "--realtime", "--jsonl", "/nowhere/a.jsonl"], 5, "/nowhere"),
    ],
)
def test_mistakes_are_reported_in_a_line(movie, options, code, message):
    done = run(*[movie if option == "MOVIE" else option for option in options], DISPLAY="")
    assert done.returncode == code, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr and "hunter2" not in done.stderr


def test_a_wrong_password_is_final(movie, tmp_path):
    with Mosquitto(tmp_path, login=("eve", "right")) as broker:
        url = f"mqtt://eve@127.0.0.1:{broker.port}"
        done = run("--camera", movie, "--realtime", "--loop", "--mqtt", url, AVSTREAM_MQTT_PASSWORD="hunter2")
    assert done.returncode == 5, done.stderr
    assert "password" in done.stderr and "hunter2" not in done.stderr + done.stdout


def test_a_movie_that_can_not_be_read_is_an_error(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no movie" * 100)
    done = run("--camera", tmp_path / "a.mp4", "--realtime")
    assert done.returncode == 3 and "can't be read" in done.stderr


def test_a_stream_without_sound_is_reported(tmp_path):
    silent = make_movie(tmp_path / "silent.mp4", duration_s=5.0, audio=False)
    done = run("--camera", silent, "--realtime")
    assert done.returncode == 0 and "has no sound; name a microphone" in done.stdout


def test_several_streams_share_a_model(movie, tmp_path):
    config = tmp_path / "home.yaml"
    config.write_text(
        "streams:\n"
        f"  one: {{camera: {movie}, realtime: true, jsonl: {tmp_path / 'one.jsonl'}}}\n"
        f"  two: {{camera: {movie}, realtime: true, mute: [other, alarm], jsonl: {tmp_path / 'two.jsonl'}}}\n"
    )
    done = run("--config", config)
    assert done.returncode == 0, done.stderr
    one, two = read(tmp_path / "one.jsonl")[0], read(tmp_path / "two.jsonl")[0]
    assert len(one) >= 4 and len(two) >= 4
    assert any(item["sounds"] for item in one)
    assert not {sound["label"] for item in two for sound in item["sounds"]} & {"other", "alarm"}
    assert "one: " in done.stdout and "two: " in done.stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no heaps to limit")
@pytest.mark.parametrize(("streams", "heaps"), [(1, {2}), (4, {2}), (5, set(range(9, 99)))])
def test_the_threads_of_a_few_streams_share_two_heaps(streams, heaps, movie, tmp_path):
    """Each had its own, which kept what it once took; the threads of many wait for each other at two."""
    (tmp_path / "home.yaml").write_text(
        "streams:\n" + "".join(f"  s{n}: {{camera: {movie}, realtime: true}}\n" for n in range(streams))
    )
    program = """
import asyncio, ctypes, sys, threading
from avstream import loop
from avstream.cli import entry
libc, allocated = ctypes.CDLL(None), threading.Barrier(9)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
def allocate():
    libc.malloc(ctypes.c_size_t(1000))
    allocated.wait()
    allocated.wait()
async def run(*_, **__):
    for _ in range(8):
        threading.Thread(target=allocate, daemon=True).start()
    allocated.wait()
    libc.malloc_info(0, out := ctypes.c_void_p(libc.fdopen(1, b"w")))
    libc.fflush(out)
    allocated.wait()
loop.run = run
sys.argv = ["avstream", "live", "--config", "home.yaml"]
entry()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.count("<heap") in heaps, done.stderr
