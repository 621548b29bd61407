"""JSON lines: one narration a line, complete lines only, and no noise when the reader goes."""

import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from avstream.errors import ConfigError, SinkError
from avstream.records import Narration, Sound, SoundEvent, StreamInfo
from avstream.sinks.files import LogFile, free_path, part_path, rotation
from avstream.sinks.jsonl import JsonlSink

INFO = StreamInfo("a.mp4", 10.0, True, True)


def narration(source: str = "a.mp4", index: int = 0) -> Narration:
    sounds = (Sound("dog_bark", 0.9, True, (0.1, 0.2, 0.3, 0.4), "left", -20.0),)
    return Narration(source, index, 0, 3, 1, 2, "ein Hund — äöü", sounds, -20.0, None, None, {"sound": 1.234})


def test_a_line_is_the_narration(tmp_path):
    sink = JsonlSink(tmp_path / "a.jsonl")
    sink.open(INFO)
    sink.write(narration())
    sink.write(narration(index=1))
    lines = part_path(tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()  # flushed as it goes
    assert json.loads(lines[0]) == narration().to_dict() and "äöü" in lines[0]
    sink.close()
    sink.close()
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines() == lines
    assert len(list(tmp_path.iterdir())) == 1


def test_events_have_a_line_when_they_begin_change_their_label_and_end(tmp_path):
    began = SoundEvent("e", "a.mp4", "person", "began", 1.0, None, 0.7, 0.7, -20.0)
    updated = replace(began, phase="updated", label="baby_cry")
    ended = replace(updated, phase="ended", end_s=3.0)
    sink = JsonlSink(tmp_path / "a.jsonl")
    sink.open(INFO)
    for event in (began, updated, replace(updated, phase="continues"), ended):
        sink.event(event)
    sink.close()
    rows = [json.loads(line)["event"] for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == [event.to_dict() for event in (began, updated, ended)]


def test_several_movies_share_a_file(tmp_path):
    sink = JsonlSink(tmp_path / "a.jsonl")
    for name in ("a.mp4", "b.mp4"):
        sink.open(INFO)
        sink.write(narration(name))
    sink.close()
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["source"] for row in rows] == ["a.mp4", "b.mp4"]


def test_a_name_in_no_known_encoding_is_still_json(tmp_path):
    sink = JsonlSink(tmp_path / "a.jsonl")
    sink.open(INFO)
    sink.write(narration("caf\udce9.mp4"))
    sink.close()
    assert json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))["source"] == "caf\ufffd.mp4"


def test_standard_output_has_json_alone_and_stays_open(capsys, tmp_path):
    sink = JsonlSink("-")
    sink.open(INFO)
    sink.write(narration())
    sink.close()
    assert not sys.stdout.closed
    assert json.loads(capsys.readouterr().out) == narration().to_dict()


def test_standard_output_may_be_a_stand_in(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    JsonlSink("-").write(narration())
    assert json.loads(text.getvalue()) == narration().to_dict()


def test_places_that_cannot_be_written_are_refused_at_once(tmp_path):
    with pytest.raises(SinkError, match="is not there"):
        JsonlSink(tmp_path / "missing" / "a.jsonl")
    with pytest.raises(SinkError, match="it is a folder"):
        JsonlSink(tmp_path)


WRITE_MANY = """
import sys
from avstream.errors import ConfigError, SinkError
from avstream.records import Narration, StreamInfo
from avstream.sinks.jsonl import JsonlSink
try:
    sink = JsonlSink("-")
    sink.open(StreamInfo("a", None, True, True))
    for k in range(5000):
        sink.write(Narration("a\\u00e4", k, 0, 1, 0, 1, "text " * 20, (), -20.0))
    sink.close()
except SinkError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def test_a_reader_that_leaves_makes_one_line_and_no_noise():
    command = [sys.executable, "-W", "error", "-c", WRITE_MANY]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    noise = child.stderr.read()
    child.stderr.close()
    assert child.wait() == SinkError.exit_code
    assert len(noise.splitlines()) == 1 and "its reader has gone" in noise


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output():
    command = [sys.executable, "-W", "error", "-c", WRITE_MANY]
    with open("/dev/full", "w") as full:
        out = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert out.returncode == SinkError.exit_code
    assert len(out.stderr.splitlines()) == 1 and "the disk is full" in out.stderr


def test_json_is_utf_8_whatever_the_locale():
    command = [sys.executable, "-W", "error", "-c", WRITE_MANY]
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PATH": ""}
    out = subprocess.run(command, env=env, capture_output=True, check=True)
    assert json.loads(out.stdout.decode("utf-8").splitlines()[0])["source"] == "aä"


SIZES = [("day", "day"), ("10MB", 10**7), ("500 kB", 500_000), ("1G", 10**9), ("7", 7)]


def logged(path, *texts, rotate=None):
    log = LogFile(path, rotate)
    log.open()
    for text in texts:
        log.write(f"{text}\n")
    log.close()


def test_a_log_is_appended_to_under_its_own_name(tmp_path):
    path = tmp_path / "a.jsonl"
    for index in range(2):
        sink = JsonlSink(path, log=True)
        sink.open(INFO)
        sink.write(narration(index=index))
        assert len(path.read_text(encoding="utf-8").splitlines()) == index + 1, "line by line"
        sink.close()
        sink.close()
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_line_that_a_power_cut_left_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("done\nhal")
    logged(path, "new")
    assert path.read_text() == "done\nhal\nnew\n"


def test_a_log_is_rotated_by_size_and_nothing_is_lost(tmp_path):
    path = tmp_path / "a.log"
    logged(path, *(f"line {k:03d}" for k in range(100)), rotate=100)
    files = sorted(tmp_path.iterdir(), key=lambda each: each.stat().st_mtime_ns)
    assert len(files) == 10 and all(each.stat().st_size <= 100 for each in files)
    lines = [line for each in files for line in each.read_text().splitlines()]
    assert sorted(lines) == [f"line {k:03d}" for k in range(100)]
    assert path.read_text().splitlines()[-1] == "line 099"


def test_a_log_is_rotated_by_day(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("old\n")
    os.utime(path, (time.mktime((2026, 11, 24, 12, 0, 0, 0, 0, -1)),) * 2)
    logged(path, "new", rotate="day")
    assert path.read_text() == "new\n" and (tmp_path / "a-20261124.log").read_text() == "old\n"


def test_a_log_that_somebody_else_takes_away_is_begun_anew(tmp_path):
    log = LogFile(tmp_path / "a.log")
    log.open()
    log.write("one\n")
    os.rename(log.path, tmp_path / "a.log.1")
    log.write("two\n")
    log.path.unlink()
    log.write("three\n")
    log.close()
    assert (tmp_path / "a.log.1").read_text() == "one\n" and (tmp_path / "a.log").read_text() == "three\n"


def test_names_that_are_free(tmp_path):
    path = tmp_path / "a.srt"
    assert free_path(path) == path
    path.touch()
    part_path(tmp_path / "a-2.srt").touch()
    assert free_path(path).name == "a-3.srt" and free_path("/dev/null") == Path("/dev/null")


@pytest.mark.parametrize(
    ("text", "found"), [("day", "day"), ("10MB", 10**7), ("500 kB", 500_000), ("1G", 10**9), ("7", 7)]
)
def test_rotations(text, found):
    assert rotation(text) == found


@pytest.mark.parametrize("text", ["", "week", "-1", "0", "1.2.3MB", "10 miles"])
def test_wrong_rotations_are_reported(text):
    with pytest.raises(ConfigError, match="a size such as 10MB"):
        rotation(text)
