"""JSON lines in UTF-8, to a file or to standard output: one narration a line, and one for what begins and ends."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

from avstream.errors import SinkError
from avstream.records import Narration, SoundEvent, StreamInfo
from avstream.sinks.base import Sink
from avstream.sinks.files import LogFile, PartFile, utf8, why


class JsonlSink(Sink):
    """Writes narrations of one movie or of several: `open` may be called for each, `close` once after the last.

    "-" is standard output, which stays open. A `log` is appended to under its own name, and begun anew as `rotate`
    says (see LogFile). Raises SinkError, in the constructor too.
    """

    name = "jsonl"

    def __init__(self, path: str | Path, *, log: bool = False, rotate: int | Literal["day"] | None = None) -> None:
        self._file: PartFile | LogFile | None = None
        if str(path) != "-":
            self._file = LogFile(path, rotate) if log else PartFile(path)
        self._stdout = sys.stdout  # as it is now: a progress bar may put something else in its place

    def open(self, info: StreamInfo) -> None:
        """Start the file; for the second movie and later ones there is nothing to do."""
        if self._file is None and self._stdout is None:
            raise SinkError("standard output is closed and can't take JSON", "--jsonl FILE writes it to a file")
        if self._file is not None and not self._file.is_open:
            self._file.open()

    def write(self, narration: Narration) -> None:
        """Write one line, all of it or nothing."""
        self._write(narration.to_dict())

    def event(self, event: SoundEvent) -> None:
        """Write `{"event": ...}` when a sound begins, gets another label or ends."""
        if event.phase != "continues":
            self._write({"event": event.to_dict()})

    def _write(self, values: dict[str, Any]) -> None:
        line = json.dumps(values, ensure_ascii=False) + "\n"
        if self._file is not None:
            self._file.write(line)
            return
        try:
            self._print(line)
        except (OSError, ValueError) as error:
            self._silence_stdout()
            gone = "its reader has gone" if isinstance(error, BrokenPipeError) else why(error)
            raise SinkError(f"standard output takes no more JSON: {gone}", "--jsonl FILE keeps it all") from error

    def close(self) -> None:
        """Give the file its name; harmless when repeated."""
        if self._file is not None:
            self._file.close()

    def _print(self, line: str) -> None:
        data = utf8(line)
        binary = getattr(self._stdout, "buffer", None)
        if binary is None:  # a stand-in without bytes below it, as in a notebook
            self._stdout.write(data.decode())
        else:
            self._stdout.flush()
            binary.write(data)
            binary.flush()
        self._stdout.flush()

    def _silence_stdout(self) -> None:
        """Python writes what is left when it exits, and would fail again, loudly; let that go nowhere."""
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stdout.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            pass
