"""What people read while it listens: lines for changes, a line below them for how it goes."""

import io
import re
import time
from dataclasses import replace

from rich.console import Console

from avstream.records import Narration, Sound, SoundEvent, Status, StreamInfo
from avstream.sinks.live_terminal import LiveTerminalSink, StatusBoard

EPOCH_S = time.mktime((2026, 11, 21, 14, 3, 20, 0, 0, -1))
ALARM = Sound("alarm", 0.97, None, None, "left", -20.0)


def narration(start_s, text="", *sounds):
    return Narration("kitchen", 0, start_s, start_s + 3, start_s + 1, start_s + 2, text, sounds, -23.4)


def status(time_s=1.0, level_dbfs=-20.0, problems=(), dropped=0):
    return Status("kitchen", time_s, 0.61, dropped, level_dbfs, problems)


def shown(tell, named=False, **console):
    out = io.StringIO()
    board = StatusBoard(Console(file=out, highlight=False, **console))
    sink = LiveTerminalSink(board, named=named)
    sink.open(StreamInfo("kitchen", None, True, True, epoch_s=EPOCH_S))
    tell(sink)
    sink.close()
    sink.close()
    return out.getvalue()


def test_a_log_gets_times_of_day_and_what_is_urgent():
    def tell(sink):
        sink.status(status())
        sink.write(narration(1, "an alarm is sounding.", ALARM))
        sink.event(SoundEvent("x", "kitchen", "alarm", "began", 2.0, None, 0.97, 0.97, -20, urgent=True))
        sink.event(SoundEvent("x", "kitchen", "alarm", "continues", 2.0, None, 0.97, 0.97, -20, urgent=True))
        sink.write(narration(2, "an alarm is sounding.", ALARM))
        sink.write(narration(9))

    assert shown(tell).splitlines() == [
        "listening to kitchen; Ctrl-C ends it",
        "14:03:22  an alarm is sounding. [alarm sounding, left 0.97] -23 dBFS",
        "14:03:22  URGENT: alarm sounding",
        "14:03:30  silence",
    ]


def test_problems_are_told_when_they_come_and_when_they_are_over():
    def tell(sink):
        lost = ("camera 0 is lost; trying again in 1 s",), ("camera 0 is lost; trying again in 2 s",)
        for problems in [(), *lost]:
            sink.status(status(problems=problems))
        sink.write(narration(1))
        sink.status(status())
        sink.status(status())

    lines = shown(tell, named=True).splitlines()
    assert lines[1:] == ["14:03:21  kitchen: camera 0 is lost", "14:03:21  kitchen: all is well again"]


def test_a_terminal_has_a_status_line_and_leaves_none_behind():
    def tell(sink):
        sink.status(status(level_dbfs=-30, dropped=2))
        sink.write(narration(1, "an alarm is sounding.", ALARM))

    out = shown(tell, force_terminal=True, width=100)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out)
    assert "● listening  ██████░░░░░░  -30 dBFS  latency 0.6 s  2 windows dropped" in plain
    assert out.rstrip().endswith("\x1b[2K") or out.index("\x1b[2K") > 0, "the line was wiped"


def test_times_of_day_follow_a_clock_that_is_set():
    def tell(sink):
        sink.status(replace(status(), epoch_s=EPOCH_S + 3600))
        sink.write(narration(1))

    assert shown(tell).splitlines()[-1] == "15:03:22  silence"


def test_narrow_terminals_do_not_wrap_the_status_line():
    out = shown(lambda sink: sink.status(status(problems=("x" * 200,))), force_terminal=True, width=30)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out).replace("\r", "\n")
    assert any(line.startswith("● listening") and len(line) <= 30 for line in plain.splitlines())


def test_control_characters_do_not_reach_the_terminal():
    out = shown(lambda sink: sink.status(status(problems=("a\x1b[2Jb",))))
    assert "a?[2Jb" in out and "\x1b" not in out
