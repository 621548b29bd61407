"""What people read: lines in a pipe, a bar on a terminal."""

import io
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from avstream.errors import SinkError
from avstream.records import Narration, Sound, StreamInfo
from avstream.sinks.terminal import TerminalSink
from tests.telling import began, tell

DOG = Sound("dog_bark", 0.97, True, None, "left", -20.0)


def narration(start_s: float, text: str = "", *sounds: Sound) -> Narration:
    return Narration("a.mp4", 0, start_s, start_s + 1, start_s, start_s + 1, text, sounds, -23.4)


def shown(*narrations: Narration, name: str = "a.mp4", duration_s: float | None = 100.0, **console: object) -> str:
    out = io.StringIO()
    sink = TerminalSink(Console(file=out, **console))  # type: ignore[arg-type]
    sink.open(StreamInfo(name, duration_s, True, True))
    tell(sink, *narrations)
    sink.close()
    sink.close()
    return out.getvalue()


def test_a_pipe_gets_a_line_for_each_change():
    bark = "a dog is barking."
    lines = shown(
        narration(0),
        narration(1),
        narration(5, bark, DOG),
        narration(6, bark, DOG),
        narration(12),
        narration(3700, bark, DOG, Sound("other", 0.3)),
    ).splitlines()
    assert lines == [
        "a.mp4 (1:40)",
        " 0:00  silence",
        " 0:05  a dog is barking. (left)  -23 dBFS",
        " 0:07  silence",
        "1:01:40  a dog is barking.  -23 dBFS",
    ]


def test_a_sound_that_wavers_and_dips_is_one_line():
    bark, sink = "a dog is barking.", None
    dog = narration(5, bark, DOG)
    out = io.StringIO()
    sink = TerminalSink(Console(file=out))
    sink.open(StreamInfo("a.mp4", 100.0, True, True))
    sink.write(narration(4))
    event = began(dog, DOG)
    sink.event(event)
    sink.write(dog)
    sink.write(narration(6))  # a dip: the event goes on
    sink.event(replace(event, phase="continues", confidence=0.6))
    sink.write(narration(7, "probably a dog is barking.", replace(DOG, confidence=0.6, direction=None)))
    sink.write(narration(8))
    sink.event(replace(event, phase="ended", end_s=8.0))
    sink.write(narration(9))
    assert [line.split("  ")[1][:20] for line in out.getvalue().splitlines()[1:]] == [
        "silence",
        "a dog is barking. (l",
        "silence",
    ]
    assert out.getvalue().splitlines()[-1] == " 0:08  silence", "where it ended, not where that was known"


def test_long_lines_are_not_broken_in_a_pipe():
    assert len(shown(narration(0, "word " * 100, DOG), width=40).splitlines()) == 2


def test_a_terminal_gets_a_bar_with_the_figures():
    out = shown(narration(0), narration(49, "a dog is barking.", DOG), force_terminal=True, width=100)
    assert re.search(r"0:50/1:40 50% \d+:\d\d left RTF \d+\.\d\d", out)
    assert "a dog is barking." in out


def test_without_a_duration_there_is_no_percentage():
    out = shown(narration(0), narration(49), duration_s=None, force_terminal=True, width=100)
    assert "%" not in out and re.search(r"0:50 RTF \d+\.\d\d", out)


@pytest.mark.parametrize("width", [1, 5, 20, 59])
def test_narrow_terminals(width):
    out = shown(narration(0), narration(1, "x" * 99, DOG), force_terminal=True, width=width)
    assert "silence" in re.sub(r"\x1b\[[\d;]*m|\s", "", out)


def test_names_and_sentences_are_shown_as_they_are():
    out = shown(narration(0, "[red]no[/red] :smile:", DOG), name="[bold]a[/].mp4")
    assert "[bold]a[/].mp4" in out and "[red]no[/red] :smile:" in out


def test_control_characters_do_not_reach_the_terminal():
    out = shown(narration(0, "a\x1b]0;title\x07b\nc", DOG), name="a\x1b[2Jb\udce9.mp4")
    assert "a?[2Jb?.mp4" in out and "\x1b" not in out and "a?]0;title?b?c" in out


def test_no_color(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = shown(narration(0, "a dog is barking.", DOG), force_terminal=True, width=100)
    assert not re.search(r"\x1b\[[\d;]*3\d", out)


SHOW = """
import sys
from rich.console import Console
from avstream.errors import SinkError
from avstream.records import Narration, Sound, StreamInfo
from avstream.sinks.terminal import TerminalSink
try:
    sink = TerminalSink(Console(force_terminal="tty" in sys.argv))
    sink.open(StreamInfo("K\\u00e4tzchen \\u4f60.mp4", 10000.0, True, True))
    for k in range(int(sys.argv[1])):
        sounds = (Sound("dog_bark", 0.9),) if k % 2 else ()
        sink.write(Narration("a", k, k, k + 1, k, k + 1, "ein Hund \\u2014 \\u4f60", sounds, -20.0))
    sink.close()
except SinkError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("tty", ["tty", "pipe"])
def test_an_ascii_terminal_gets_question_marks(tty):
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PATH": "", "TERM": "xterm"}
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHOW, "4", tty], env=env, capture_output=True, check=True
    )
    assert b"K?tzchen ?.mp4" in out.stdout and b"ein Hund ? ?" in out.stdout and not out.stderr


@pytest.mark.parametrize("tty", ["tty", "pipe"])
def test_a_reader_that_leaves_makes_one_line(tty):
    command = [sys.executable, "-W", "error", "-c", SHOW, "20000", tty]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    noise = child.stderr.read()
    child.stderr.close()
    assert child.wait() == SinkError.exit_code
    assert noise.count("\n") == 1 and "its reader has gone" in noise
