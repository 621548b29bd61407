"""JSON lines: one narration a line, whole lines only, and no noise when the reader goes."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from avstream.errors import SinkError
from avstream.records import Narration, Sound, StreamInfo
from avstream.sinks.files import part_path
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
    assert json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))["source"] == "caf\udce9.mp4"


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
from avstream.errors import SinkError
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
    assert len(noise.splitlines()) == 1 and "who read it has gone" in noise


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
