"""The command as people type it: what it writes, what it says, how it ends."""

import csv
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest

from tests.command import TIMEOUT_S, avstream, avstream_process
from tests.synth import damage, make_movie


@pytest.fixture(scope="session")
def movie(tmp_path_factory):
    """Six seconds, a tone from 2 to 4 s, silence around it."""
    return make_movie(tmp_path_factory.mktemp("cli") / "tone.mp4")


@pytest.fixture(scope="session")
def narrated(movie, tmp_path_factory):
    """The movie with every output."""
    out = tmp_path_factory.mktemp("out")
    done = avstream_process(
        "file", movie, "--srt", out / "a.srt", "--vtt", out / "a.vtt", "--jsonl", out / "a.jsonl",
        "--render", out / "a.mp4", "--events", out / "a.csv", "--timings",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done, out


def parsed(text):
    """The narrations among JSON lines, and the events."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if "event" not in line], [line["event"] for line in lines if "event" in line]


def lines_of(path):
    return parsed(path.read_text(encoding="utf-8"))[0]


def test_all_outputs_are_complete_and_nothing_else_is_left(narrated):
    _, out = narrated
    assert sorted(path.name for path in out.iterdir()) == ["a.csv", "a.jsonl", "a.mp4", "a.srt", "a.vtt"]


def test_the_tones_events_are_in_every_output(narrated):
    """In the table, in the JSON lines, and as cues in the captions; whatever the tone is taken for."""
    _, out = narrated
    events = parsed((out / "a.jsonl").read_text(encoding="utf-8"))[1]
    began, ended = ([event for event in events if event["phase"] == phase] for phase in ("began", "ended"))
    assert {event["id"] for event in began} == {event["id"] for event in ended} and len(events) == 2 * len(began)
    with (out / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [e["label"] for e in sorted(ended, key=lambda event: event["onset_s"])]
    first, last = min(float(row["onset_s"]) for row in rows), max(float(row["end_s"]) for row in rows)
    assert abs(first - 2) <= 1 and first < last <= 5, "within the tone, as far as it has a name"
    assert (out / "a.srt").read_text().count("-->") <= 2 * len(rows) - 1


def test_json_lines_hold_every_window_with_its_evidence(narrated):
    _, out = narrated
    lines = lines_of(out / "a.jsonl")
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    assert lines[0]["focus_start_s"] == 0 and lines[-1]["focus_end_s"] == pytest.approx(6, abs=0.1)
    assert all(a["focus_end_s"] == b["focus_start_s"] for a, b in itertools.pairwise(lines))
    for line in lines:
        assert set(line) >= {"source", "index", "start_s", "end_s", "text", "sounds", "timings_ms"}
        for sound in line["sounds"]:
            place = {"visible", "place_confidence", "box", "direction"}
            assert set(sound) >= {"label", "confidence", "level_dbfs", "onset_s", "end_s", "one_of"} | place
            assert 0 <= sound["confidence"] <= 1
    assert lines[1]["sounds"], "2 s of a loud tone are a sound"


def test_captions_and_video_cover_the_tone(narrated):
    _, out = narrated
    assert "-->" in (out / "a.srt").read_text() and (out / "a.vtt").read_text().startswith("WEBVTT")
    with av.open(str(out / "a.mp4")) as container:
        kinds = {stream.type for stream in container.streams}
        assert kinds == {"video", "audio"} and container.duration / 1e6 == pytest.approx(6, abs=0.15)


def test_the_end_of_a_run_shows_windows_speed_and_stages(narrated):
    done, _ = narrated
    assert "4 windows" in done.stdout and "real-time factor" in done.stdout
    for stage in ("audio", "vision", "language"):
        assert f"{stage} " in " ".join(done.stdout.split("p50/p95")[1].split())


def test_a_file_whose_name_begins_with_a_dash_gets_a_hint(movie, tmp_path, monkeypatch):
    shutil.copy(movie, tmp_path / "-a.mp4")
    monkeypatch.chdir(tmp_path)
    done = avstream("file", "-a.mp4")
    assert done.returncode == 2 and "begins with a dash, as options do; write ./-a.mp4" in done.stderr
    assert avstream("file", "./-a.mp4", "--end", "1").returncode == 0


def test_a_name_in_no_known_encoding_gives_json_that_every_program_reads(movie, tmp_path):
    strange = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    shutil.copy(movie, strange)
    done = avstream_process("file", os.fsdecode(strange), "--jsonl", tmp_path / "a.jsonl", "--end", "1")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "a.jsonl").read_bytes().decode("utf-8")
    assert "\\ud" not in text, "no half of a character"
    assert {line["source"] for line in parsed(text)[0]} == {"caf\ufffd.mp4"}


def test_a_muted_movie_claims_nothing(tmp_path):
    quiet = make_movie(tmp_path / "quiet.mp4", tone=None)
    done = avstream("file", quiet, "--jsonl", tmp_path / "a.jsonl", "--srt", tmp_path / "a.srt")
    assert done.returncode == 0
    assert all(line["sounds"] == [] and line["text"] == "" for line in lines_of(tmp_path / "a.jsonl"))
    assert "-->" not in (tmp_path / "a.srt").read_text()


def test_json_on_stdout_is_json_alone(movie):
    done = avstream_process("file", movie, "--jsonl", "-")
    assert [line["index"] for line in parsed(done.stdout)[0]] == [0, 1, 2, 3]
    assert "real-time factor" in done.stderr


@pytest.mark.parametrize("what", [{"video": False}, {"audio": False}])
def test_sound_only_and_picture_only(tmp_path, what):
    only = make_movie(tmp_path / "only.mkv", duration_s=4, **what)
    done = avstream("file", only, "--jsonl", "-", "--render", tmp_path / "r.mp4")
    assert done.returncode == 0, done.stderr
    lines, _ = parsed(done.stdout)
    assert lines and (tmp_path / "r.mp4").stat().st_size > 1000
    assert any(line["sounds"] for line in lines) == ("video" in what)
    assert ("has no sound track" in done.stderr) == ("audio" in what)
    assert "p50/p95" not in done.stdout + done.stderr, "that is for who asks with --timings"


def test_several_movies_go_to_a_folder_and_one_json(tmp_path, movie):
    shutil.copy(movie, tmp_path / "b.mp4")
    (tmp_path / "out").mkdir()
    done = avstream(
        "file", movie, tmp_path / "missing.mp4", tmp_path / "b.mp4", "--srt", tmp_path / "out",
        "--jsonl", tmp_path / "all.jsonl",
    )  # fmt: skip
    assert done.returncode == 3 and "missing.mp4" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.srt", "tone.srt"]
    assert [line["source"] for line in lines_of(tmp_path / "all.jsonl")] == ["tone.mp4"] * 4 + ["b.mp4"] * 4


def test_start_end_and_hop(movie):
    done = avstream("file", movie, "--start", "0:01", "--end", "5", "--hop", "0.5", "--jsonl", "-")
    lines, _ = parsed(done.stdout)
    assert [line["start_s"] for line in lines] == [1, 1.5, 2]
    assert lines[-1]["end_s"] == 5


def wrong(tmp_path, movie):
    """Name -> (arguments, exit code, what the one line says)."""
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("this is not a movie\n" * 50)
    empty.write_bytes(b"")
    return {
        "no such file": ([tmp_path / "none.mp4"], 3, "none.mp4"),
        "a directory": ([tmp_path], 3, "folder"),
        "text named mp4": ([text], 3, "text.mp4"),
        "empty": ([empty], 3, "empty"),
        "folder missing": ([movie, "--srt", tmp_path / "no" / "a.srt"], 5, "is not there"),
        "read-only": ([movie, "--srt", "/proc/a.srt"], 5, "/proc/a.srt"),
        "output is input": ([movie, "--render", movie], 2, "both a movie to read and an output"),
        "same output twice": ([movie, "--srt", tmp_path / "x", "--vtt", tmp_path / "x"], 2, "two outputs"),
        "several into one": ([movie, text, "--srt", tmp_path / "x.srt"], 2, "existing folder"),
        "unknown preset": ([movie, "--preset", "nanoo"], 2, "did you mean 'nano'"),
        "k below 0": ([movie, "--tokens", "-1"], 2, "0 or more"),
        "k above N": ([movie, "--tokens", "5000"], 2, "at most 100"),
        "no such device": ([movie, "--device", "cuda"], 2, "nano runs on the CPU only"),
        "hop 0": ([movie, "--hop", "0"], 2, "hop"),
        "hop above the window": ([movie, "--hop", "4"], 2, "hop"),
        "end before start": ([movie, "--start", "4", "--end", "2"], 2, "--end"),
        "start after the end": ([movie, "--start", "100"], 3, "--start"),
        "weights missing": ([movie, "--alignment", tmp_path / "none.safetensors"], 4, "none.safetensors"),
    }


WRONG = (
    "no such file", "a directory", "text named mp4", "empty", "folder missing", "read-only", "output is input",
    "same output twice", "several into one", "unknown preset", "k below 0", "k above N", "no such device", "hop 0",
    "hop above the window", "end before start", "start after the end", "weights missing",
)  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_clear_line(name, tmp_path, movie):
    arguments, code, says = wrong(tmp_path, movie)[name]
    before = movie.read_bytes()
    done = avstream("file", *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert movie.read_bytes() == before


def test_usage_errors_exit_with_2(movie):
    assert avstream_process("file").returncode == 2
    assert avstream("file", movie, "--start", "soon").returncode == 2
    assert avstream().returncode == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_run_leaves_what_was_produced_valid(tmp_path, number, code):
    """A signal once narrations came: every output is complete and under its own name, and events have ended."""
    long = make_movie(tmp_path / "long.mp4", duration_s=240, size=(64, 48), fps=5, tone=(0, 240), square=None)
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "avstream", "file", str(long), "--hop", "0.5", "--srt", str(out / "a.srt"),
         "--vtt", str(out / "a.vtt"), "--render", str(out / "a.mp4"), "--jsonl", str(out / "a.jsonl"),
         "--events", str(out / "a.csv")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    part, until = out / "a.part.jsonl", time.monotonic() + TIMEOUT_S
    while not (part.is_file() and part.read_text().count("\n") >= 8):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code and "Traceback" not in errors and "what was narrated so far is kept" in errors
    assert sorted(path.name for path in out.iterdir()) == ["a.csv", "a.jsonl", "a.mp4", "a.srt", "a.vtt"]
    events = parsed((out / "a.jsonl").read_text(encoding="utf-8"))[1]
    assert events[-1]["phase"] == "ended" and len((out / "a.csv").read_text().splitlines()) >= 2
    lines = lines_of(out / "a.jsonl")
    assert 4 <= len(lines) < 470 and "-->" in (out / "a.srt").read_text()
    with av.open(str(out / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) > 10


@pytest.mark.parametrize("options", [[], ["--debug"]])
def test_a_library_that_turns_stderr_aside_costs_no_line(options):
    """sounddevice does while PortAudio starts, on any thread: live runs lost their last words to it."""
    program = """
import os
from avstream import cli
from avstream.commands.options import say
def main():
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    say("last words")
    return 3
cli.main = main
cli.entry()
"""
    done = subprocess.run([sys.executable, "-c", program, *options], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (done.returncode, done.stderr) == (3, "avstream: last words\n")


def test_numpy_and_opencv_start_no_threads_that_spin():
    """Not even for the moment until they are told not to: OpenBLAS's spin from when they are loaded."""
    program = """
import os, sys
before = len(os.listdir("/proc/self/task"))
def leave(code):
    import cv2
    print(len(os.listdir("/proc/self/task")) - before, cv2.getNumThreads(), "numpy" in sys.modules, flush=True)
    real_exit(code)
real_exit, os._exit, sys.argv = os._exit, leave, ["avstream", "presets"]
from avstream.__main__ import entry
entry()
"""
    alone = {name: value for name, value in os.environ.items() if not name.endswith(("_NUM_THREADS", "_THREADS_NUM"))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_S, env=alone)
    assert done.stdout.splitlines()[-1] == "0 1 True", done.stderr


def test_a_full_disk_costs_the_file_and_not_the_run(tmp_path, movie):
    """A file size limit stands for the full disk: the same error comes back from write()."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900));"
        "from avstream.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, "file", str(movie), "--jsonl", str(tmp_path / "a.jsonl")],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 5 and "Traceback" not in done.stderr, done.stderr
    assert "a.jsonl" in done.stderr and "4 windows" in done.stdout
    assert lines_of(tmp_path / "a.jsonl"), "what was written before stays, in complete lines"


def test_two_hundred_damaged_movies_in_one_run(tmp_path):
    """No hang, no traceback, no crash; every copy is narrated as far as it can be read, or reported."""
    rng = np.random.default_rng(11)
    intact = [
        make_movie(tmp_path / f"intact.{kind}", duration_s=2, size=(64, 48), fps=5, tone=(0, 2))
        for kind in ("mp4", "mkv", "ts", "avi")
    ]
    copies = []
    for i in range(200):
        source = intact[i % len(intact)]
        copies.append(damage(source, tmp_path / f"damaged-{i:03d}{source.suffix}", rng))
    done = avstream_process("file", *copies, "--hop", "3", "--jsonl", tmp_path / "all.jsonl", timeout_s=280)
    assert done.returncode in (0, 3), done.stderr[-2000:]
    narrated = {line["source"] for line in lines_of(tmp_path / "all.jsonl")}
    reported = {copy.name for copy in copies if copy.name in done.stderr}
    assert {copy.name for copy in copies} == narrated | reported
    assert len(narrated) > 100


def test_a_movie_cut_in_half_is_narrated_and_reported(tmp_path):
    intact = make_movie(tmp_path / "intact.mkv", duration_s=8, tone=(0, 8))
    half = tmp_path / "half.mkv"
    half.write_bytes(intact.read_bytes()[: intact.stat().st_size // 2])
    done = avstream("file", half, "--jsonl", "-")
    assert done.returncode == 0 and "cut" in done.stderr
    ends = [line["end_s"] for line in parsed(done.stdout)[0]]
    assert 2 < max(ends) < 7


def test_a_checkpoint_that_is_neither_a_folder_nor_a_hub_id_is_reported(movie):
    done = avstream("file", movie, "--audio", "whisper:no such checkpoint", "--alignment", "raw")
    assert done.returncode == 4 and "expected a folder, or a hub id" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--preset", "tiny-llava"], "--preset nano"),
        (["--audio", "clap", "--alignment", "raw"], "hf download laion/clap-htsat-unfused"),
    ],
)
def test_without_a_hub_the_error_comes_soon_and_says_what_to_do(tmp_path, movie, arguments, says):
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}  # read when the library is imported
    done = avstream_process("file", movie, *arguments, env=nowhere, timeout_s=40)
    assert done.returncode == 4 and says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_presets_are_listed():
    done = avstream("presets", env={"COLUMNS": "160"})
    assert done.returncode == 0
    for name in ("nano", "tiny-llava", "onevision-0.5b", "llava-1.5-7b", "llava-1.6-7b"):
        assert name in done.stdout
    assert "embedded" in done.stdout
