"""Live narrations for people to read: a line when something new sounds, and below them how each stream is doing.

    14:03:22  a dog is barking. (left)  -23 dBFS
    ● listening  ████████░░░░  -23 dBFS  latency 0.6 s

While something is wrong it stands there in full, and nobody says that it listens. In a pipe or a log there are only the
lines, and one when a problem comes or goes.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from contextlib import suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from avstream.level import BAR_FROM_DBFS, FLOOR_DBFS
from avstream.records import Narration, SoundEvent, Status, StreamInfo
from avstream.sinks.terminal import TerminalSink
from avstream.troubles import GRAVE, headline, in_full
from avstream.wording import words

BAR_CELLS = 12


class StatusBoard:
    """The lines below the narrations, one a stream; on a console that is no terminal there are none."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._lines: dict[str, RenderableType] = {}
        self._live: Live | None = None
        self._lock = threading.Lock()  # each stream writes from a thread of its own

    def show(self, source: str, line: RenderableType) -> None:
        """Put a stream's lines in their place."""
        with self._lock:
            self._lines[source] = line
            if not self.console.is_terminal or self.console.is_dumb_terminal:
                return
            if self._live is None:
                # Standard output is left alone: JSON lines may be on their way through it.
                self._live = Live(
                    console=self.console,
                    auto_refresh=False,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()
            self._live.update(Group(*self._lines.values()), refresh=True)

    def abandon(self) -> None:
        """Give the terminal its cursor back, and wait for nobody: who writes to it may hang with every lock."""
        if self._live is None:
            return
        with suppress(OSError, ValueError):  # it has gone, or can't be asked
            terminal = self.console.file.fileno()
            if sys.platform == "win32" or select.select([], [terminal], [], 0)[1]:  # there it asks sockets only
                os.write(terminal, b"\r\x1b[2K\x1b[?25h")

    def close(self) -> None:
        """Take the lines away; harmless when repeated."""
        with self._lock:
            live, self._live = self._live, None
            if live is not None:
                live.stop()


class LiveTerminalSink(TerminalSink):
    """Prints one stream's narrations above a board, which streams share. `named` puts the stream's name in front.

    Raises SinkError when the terminal or the reader of the pipe is gone.
    """

    def __init__(self, board: StatusBoard, *, named: bool = False) -> None:
        super().__init__(board.console)
        self._board, self._named = board, named
        self._epoch_s = 0.0
        self._problems: set[str] = set()  # without when each is tried again, which changes with every try

    def open(self, info: StreamInfo) -> None:
        """Say which stream is listened to."""
        self._shown, self._problems = None, set()
        self._name = self._plain(info.name)
        self._epoch_s = time.time() if info.epoch_s is None else info.epoch_s
        with self._writing():
            self._print(Text.assemble("listening to ", (self._name, "bold"), "; Ctrl-C ends it"))

    def write(self, narration: Narration) -> None:
        """Print what is new. While something is wrong nobody knows whether it is silent."""
        if narration.sounds or not self._problems:
            super().write(narration)

    def event(self, event: SoundEvent) -> None:
        """Print what is urgent, when it begins or turns out to be so."""
        super().event(event)
        if event.urgent and event.phase in ("began", "updated"):
            text = f"URGENT: {words(event.label)}"
            with self._writing():
                self._print(Text.assemble((self._stamp(event.onset_s), "cyan"), (text, "bold reverse")))

    def status(self, status: Status) -> None:
        """Renew the stream's line; a problem that came or went is printed, but not each time it is tried again."""
        self._epoch_s = self._epoch_s if status.epoch_s is None else status.epoch_s
        problems = {in_full(problem) for problem in status.problems}
        with self._writing():
            for problem in sorted(problems - self._problems):
                self._print(self._note(status.time_s, problem, "yellow"))
            if self._problems and not problems:
                self._print(self._note(status.time_s, "all is well again", "green"))
            self._problems = problems
            self._board.show(status.source, self._status_line(status))

    def close(self) -> None:
        """Take the board away; what was printed stays. Harmless when repeated."""
        with self._writing():
            self._board.close()

    def _stamp(self, time_s: float) -> str:
        at = time.strftime("%H:%M:%S", time.localtime(self._epoch_s + time_s))
        return f"{at}  {self._name}: " if self._named else f"{at}  "

    def _note(self, time_s: float, text: str, style: str) -> Text:
        return Text.assemble((self._stamp(time_s), "cyan"), (self._plain(text), style))

    def _status_line(self, status: Status) -> Group:
        share = (status.level_dbfs - BAR_FROM_DBFS) / -BAR_FROM_DBFS
        filled = round(BAR_CELLS * min(1.0, max(0.0, share)))
        bar = "█" * filled + "░" * (BAR_CELLS - filled)
        quiet = status.level_dbfs <= FLOOR_DBFS
        level = "no sound" if quiet else f"{status.level_dbfs:.0f} dBFS"
        grave = [headline(problem) for problem in status.problems if problem.kind in GRAVE]
        parts = [grave[0] if grave else "waiting  " if quiet else "listening", bar, f"{level:>8}"]
        if status.latency_s is not None:
            parts.append(f"latency {status.latency_s:.1f} s")
        if status.dropped:
            parts.append(f"{status.dropped} windows dropped")
        name = f"{self._name}: " if self._named else ""
        style = "bold yellow" if grave else "dim" if quiet else ""
        line = Text.assemble((self._plain(f"● {name}" + "  ".join(parts)), style), no_wrap=True)
        line.overflow = "ellipsis" if self._plain("…") == "…" else "crop"
        return Group(line, *(Text(f"  {self._plain(in_full(one))}", "yellow") for one in status.problems))
