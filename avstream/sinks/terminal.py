"""Narrations for people to read: a line when a sound begins or ends, and on a terminal a progress bar below them.

A line holds until the next one: `0:05  a dog is barking. (left)  -23 dBFS`, then `0:12  silence`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.text import Text

from avstream.errors import SinkError
from avstream.records import Narration, Sound, SoundEvent, StreamInfo
from avstream.sinks.base import Sink
from avstream.sinks.files import why
from avstream.vocabulary import OTHER, covered
from avstream.wording import caption, clock, words

BAR_FROM_COLUMNS = 60  # on a narrower terminal only the figures fit


def where(sounds: Sequence[Sound]) -> str:
    """` (left, off-screen)`: what the sentence leaves out, where there is one sound that it can belong to."""
    if len(sounds) != 1:
        return ""
    sound = sounds[0]
    known: list[str] = [sound.direction] if sound.direction in ("left", "right") else []
    known += ["off-screen"] if sound.visible is False else []
    return f" ({', '.join(known)})" if known else ""


class TerminalSink(Sink):
    """Prints to `console`. `start_s` and `end_s` are the part of the stream that is read, for the bar.

    Raises SinkError when the terminal or the reader of the pipe is gone.
    """

    name = "terminal"

    def __init__(self, console: Console, *, start_s: float = 0.0, end_s: float | None = None) -> None:
        self._console, self._start_s, self._end_s = console, start_s, end_s
        self.is_essential = not console.stderr  # beside JSON on standard output it is only for comfort
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._shown: set[str] | None = None  # the labels of the last line
        self._going: dict[str, SoundEvent] = {}
        self._changed_s: float | None = None  # since the last narration, when events began or ended
        self._has_begun = False
        self._mistaken: list[str] = []  # wrong labels of events that were corrected since the last line
        self._began = 0.0
        self._from_s: float | None = None
        self._total_s: float | None = None

    def open(self, info: StreamInfo) -> None:
        """Print the name of a stream and start its progress bar."""
        self._shown, self._from_s, self._total_s = None, None, info.duration_s
        self._going.clear()
        if self._total_s and self._end_s is not None:
            self._total_s = min(self._total_s, self._end_s)
        self._began = time.monotonic()
        length = f" ({clock(info.duration_s)})" if info.duration_s else ""
        with self._writing():
            self._print(Text.assemble((self._plain(info.name), "bold"), length))
            if self._console.is_terminal and not self._console.is_dumb_terminal:
                self._start_bar()

    def event(self, event: SoundEvent) -> None:
        """Take what became of a sound: the narration that follows is printed when one began, got a name or ended."""
        if event.phase == "ended":
            self._going.pop(event.id, None)
            self._changed_s = self._changed_s or event.end_s
        else:
            before = self._going.get(event.id, event).label
            self._going[event.id] = event
            if before != event.label and before != OTHER and before not in covered(event.label):
                self._mistaken.append(before)
            if event.phase in ("began", "updated"):
                self._changed_s, self._has_begun = event.onset_s, True

    def write(self, narration: Narration) -> None:
        """Print a narration of something new, and move the bar."""
        going = {event.label for event in self._going.values()}
        heard = {sound.label for sound in narration.sounds}
        is_over = self._shown is not None and not self._shown <= going | heard
        is_new = not going and heard != self._shown  # live, what is unsure is no event
        has_begun = self._has_begun and heard != self._shown  # what was unsure may have been said before
        is_due = has_begun or is_over or is_new
        with self._writing():
            if is_due and (heard or not going):  # else a sound dips just now
                at_s = narration.focus_start_s if self._changed_s is None else self._changed_s
                self._print(self._line(narration, at_s))
                self._shown, is_due = heard, False
            if not is_due:
                self._changed_s, self._has_begun = None, False
                self._mistaken.clear()
            self._move_bar(narration)

    def close(self) -> None:
        """Take the bar away; what was printed stays. Harmless when repeated."""
        progress, self._progress = self._progress, None
        if progress is not None:
            with self._writing():
                progress.stop()

    def _line(self, narration: Narration, at_s: float) -> Text:
        start = self._stamp(at_s)
        if not narration.sounds:
            return Text.assemble((f"{start}silence", "dim"))
        sentence = self._plain(narration.text or caption(narration.sounds))
        return Text.assemble(
            (start, "cyan"),
            (sentence, "bold"),
            (where(narration.sounds), "green"),
            (f"  {narration.level_dbfs:.0f} dBFS", "dim"),
            (f"  (not: {', '.join(map(words, self._mistaken))})" if self._mistaken else "", "yellow"),
        )

    def _stamp(self, time_s: float) -> str:
        return f"{clock(time_s):>5}  "

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=not self._console.is_terminal)  # a line in a pipe is one line

    def _plain(self, text: str) -> str:
        """The text as the terminal can show it: no control characters, nothing outside its encoding."""
        printable = "".join(char if char.isprintable() else "?" for char in text)
        encoding = self._console.encoding
        return printable.encode(encoding, "replace").decode(encoding)

    def _start_bar(self) -> None:
        columns: list[ProgressColumn] = [TextColumn("{task.fields[figures]}", markup=False)]
        if self._total_s and self._console.width >= BAR_FROM_COLUMNS:
            columns.insert(0, BarColumn(bar_width=None))
        # Standard output is left alone: JSON lines may be on their way through it.
        self._progress = Progress(
            *columns, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._task = self._progress.add_task("", total=self._length_s, figures="starting")
        self._progress.start()

    def _move_bar(self, narration: Narration) -> None:
        if self._from_s is None:
            self._from_s = narration.focus_start_s
        if self._progress is None:
            return
        done_s = narration.focus_end_s
        factor = (time.monotonic() - self._began) / max(1e-3, done_s - self._from_s)
        figures = f"{clock(done_s)}"
        if self._total_s:
            done_s = min(done_s, self._total_s)
            left_s = (self._total_s - done_s) * factor
            percent = 100 * (done_s - self._start_s) / max(1e-3, self._total_s - self._start_s)
            figures += f"/{clock(self._total_s)} {percent:.0f}% {clock(left_s + 0.5)} left"
        self._progress.update(self._task, completed=done_s - self._start_s, figures=f"{figures} RTF {factor:.2f}")

    @property
    def _length_s(self) -> float | None:
        return None if not self._total_s else max(1e-3, self._total_s - self._start_s)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what goes wrong on the way to the terminal into a SinkError; rich exits when a pipe is closed."""
        try:
            yield
        except SystemExit as error:
            raise SinkError("the output takes no more lines: its reader has gone") from error
        except OSError as error:
            raise SinkError(f"the output takes no more lines: {why(error)}", "check where it goes") from error
