"""What people read while it listens: lines for changes, a line below them for how it goes."""

import io
import os
import pty
import re
import select
import termios
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from avstream.records import Narration, Problem, Sound, SoundEvent, Status, StreamInfo
from avstream.sinks.live_terminal import LiveTerminalSink, StatusBoard

EPOCH_S = time.mktime((2026, 11, 21, 14, 3, 20, 0, 0, -1))
ALARM = Sound("alarm", 0.97, None, None, "left", -20.0)


def narration(start_s, text="", *sounds):
    return Narration("kitchen", 0, start_s, start_s + 3, start_s + 1, start_s + 2, text, sounds, -23.4)


def status(time_s=1.0, level_dbfs=-20.0, problems=(), dropped=0):
    return Status("kitchen", time_s, 0.61, dropped, level_dbfs, problems)


def shown(tell, named=False, out=None, **console):
    out = out or io.StringIO()
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
        event = SoundEvent("x", "kitchen", "alarm", "began", 2.0, None, 0.97, 0.97, -20, urgent=True)
        sink.event(event)
        sink.write(narration(1, "an alarm is sounding.", ALARM))
        sink.event(replace(event, phase="continues"))
        sink.write(narration(2, "an alarm is sounding.", ALARM))
        sink.event(replace(event, phase="ended", end_s=10.0))
        sink.write(narration(9))

    assert shown(tell).splitlines() == [
        "listening to kitchen; Ctrl-C ends it",
        "14:03:22  URGENT: alarm sounding",
        "14:03:22  an alarm is sounding. (left)  -23 dBFS",
        "14:03:30  silence",
    ]


def test_what_becomes_an_event_only_later_is_said_once():
    maybe = replace(ALARM, confidence=0.6)

    def tell(sink):
        sink.write(narration(1, "probably an alarm is sounding.", maybe))
        sink.event(SoundEvent("x", "kitchen", "alarm", "began", 2.0, None, 0.6, 0.6, -20))
        sink.write(narration(2, "an alarm is sounding.", ALARM))

    assert [line[10:] for line in shown(tell).splitlines()[1:]] == ["probably an alarm is sounding. (left)  -23 dBFS"]


def test_a_corrected_sound_is_printed_with_what_it_was_taken_for():
    def tell(sink):
        guess = SoundEvent("x", "kitchen", "knock", "began", 2.0, None, 0.6, 0.6, -20)
        sink.event(guess)
        sink.write(narration(1, "probably someone is knocking.", Sound("knock", 0.6)))
        sink.event(replace(guess, label="alarm", phase="updated", urgent=True))
        sink.write(narration(2, "an alarm is sounding.", ALARM))
        sink.event(replace(guess, label="alarm", phase="continues", urgent=True))
        sink.write(narration(3, "an alarm is sounding.", ALARM))

    assert shown(tell).splitlines()[1:] == [
        "14:03:22  probably someone is knocking.  -23 dBFS",
        "14:03:22  URGENT: alarm sounding",
        "14:03:22  an alarm is sounding. (left)  -23 dBFS  (not: someone knocking)",
    ]


def test_problems_are_told_when_they_come_and_when_they_are_over():
    def tell(sink):
        lost = [
            (Problem("no_picture", "camera 0", "camera 0 is lost", "plug it in", 1.0, pause_s),) for pause_s in (1, 2)
        ]
        for problems in [(), *lost]:
            sink.status(status(problems=problems))
        sink.write(narration(1))
        sink.status(status())
        sink.status(status())

    lines = shown(tell, named=True).splitlines()
    assert lines[1:] == [
        "14:03:21  kitchen: The picture stopped: camera 0 is lost; plug it in",
        "14:03:21  kitchen: all is well again",
    ]


def test_a_terminal_has_a_status_line_and_leaves_none_behind():
    def tell(sink):
        sink.status(status(level_dbfs=-30, dropped=2))
        sink.write(narration(1, "an alarm is sounding.", ALARM))

    out, before = io.StringIO(), []
    shown(lambda sink: (tell(sink), before.append(out.getvalue())), out=out, force_terminal=True, width=100)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", before[0])
    assert "● listening  ██████░░░░░░  -30 dBFS  latency 0.6 s  2 windows dropped" in plain
    at_the_end = out.getvalue().removeprefix(before[0])
    assert at_the_end.endswith("\x1b[2K") and "\x1b[?25h" in at_the_end, "the line is wiped, and the cursor back"
    assert "\n" not in before[0].rpartition("●")[2] and at_the_end.count("\n") == at_the_end.count("\x1b[1A")


@contextmanager
def terminal():
    """A terminal: its screen's end, to read, and the end that a program writes to."""
    screen, program = pty.openpty()
    with os.fdopen(screen, "rb", buffering=0) as screen, os.fdopen(program, "w", encoding="utf-8") as program:
        yield screen, program


def test_who_ends_at_once_gets_the_cursor_back_though_all_locks_are_taken():
    with terminal() as (screen, program):
        board = StatusBoard(Console(file=program, force_terminal=True))
        board.abandon()
        board.show("kitchen", Text("listening"))
        with board._lock:
            board.abandon()
        seen = b""
        while not seen.endswith(b"\x1b[?25h"):  # the end of it
            assert select.select([screen], [], [], 20)[0], seen
            seen += screen.read(1000)
        assert seen.count(b"\x1b[?25h") == 1, "nothing before there was a line"


def test_who_ends_at_once_does_not_wait_for_a_terminal_that_is_stopped():
    with terminal() as (_, program):
        board = StatusBoard(Console(file=program, force_terminal=True))
        board.show("kitchen", Text("listening"))
        termios.tcflow(program, termios.TCOOFF)  # Ctrl-S
        writer = threading.Thread(target=board.show, args=("kitchen", Text("still listening")))
        writer.start()
        ending = threading.Thread(target=board.abandon, daemon=True)
        ending.start()
        ending.join(20)
        ended_first = writer.is_alive() and not ending.is_alive()
        termios.tcflow(program, termios.TCOON)
        writer.join(20)
        assert ended_first


def test_times_of_day_follow_a_clock_that_is_set():
    def tell(sink):
        sink.status(replace(status(), epoch_s=EPOCH_S + 3600))
        sink.write(narration(1))

    assert shown(tell).splitlines()[-1] == "15:03:22  silence"


def test_narrow_terminals_do_not_wrap_the_status_line():
    out = shown(
        lambda sink: sink.status(status(problems=(Problem("no_sound", "x", "x" * 200, "", 0.0),))),
        force_terminal=True,
        width=30,
    )
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out).replace("\r", "\n")
    assert any(line.startswith("● I can't hear") and len(line) <= 30 for line in plain.splitlines())


def test_while_it_is_deaf_nobody_says_that_it_listens_and_the_fix_stands_there():
    deaf = Problem("no_sound", "the microphone", "the microphone was lost", "check its plug, and the server", 0.0, 2.0)
    seen = []

    def tell(sink):
        for problems in ((deaf,), ()):
            sink.status(status(problems=problems))
            seen.append(re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out.getvalue()).rpartition("●")[2])

    out = io.StringIO()
    shown(tell, out=out, force_terminal=True, width=60)
    assert seen[0].startswith(" I can't hear") and "listening" not in seen[0]
    assert "check its plug, and the server" in " ".join(seen[0].split()), "in full, on lines of its own"
    assert seen[1].startswith(" listening") and "check its plug" not in seen[1]


def test_control_characters_do_not_reach_the_terminal():
    out = shown(lambda sink: sink.status(status(problems=(Problem("no_sound", "x", "a\x1b[2Jb", "", 0.0),))))
    assert "a?[2Jb" in out and "\x1b" not in out
