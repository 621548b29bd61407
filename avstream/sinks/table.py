"""Sound events as a table (CSV) for spreadsheets and editors: a row a sound, in order of their onsets.

Times are seconds, a box is left, top, right and bottom in 0..1 of the picture; what is not known is empty. A row is
written once nothing that began earlier goes on any more.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from avstream.records import SoundEvent, StreamInfo
from avstream.sinks.base import Sink
from avstream.sinks.files import PartFile

COLUMNS = (
    "source", "label", "onset_s", "end_s", "confidence", "level_dbfs", "direction", "visible",
    "left", "top", "right", "bottom",
)  # fmt: skip


class EventTableSink(Sink):
    """Writes one stream's events to a file. Raises SinkError, in the constructor too."""

    name = "events"

    def __init__(self, path: str | Path) -> None:
        self._file = PartFile(path)
        self._going: dict[str, float] = {}  # id -> onset
        self._ended: list[SoundEvent] = []

    def open(self, info: StreamInfo) -> None:
        """Start the file with the names of its columns."""
        self._going.clear()
        self._ended.clear()
        self._file.open()
        self._file.write(_line(COLUMNS))

    def event(self, event: SoundEvent) -> None:
        """Write the rows whose turn it is."""
        if event.phase != "ended":
            self._going.setdefault(event.id, event.onset_s)
            return
        self._going.pop(event.id, None)
        self._ended.append(event)
        self._write_rows(min(self._going.values(), default=event.onset_s))

    def close(self) -> None:
        """Write what is left and give the file its name; harmless when repeated."""
        try:
            if self._file.takes_more and self._ended:
                self._write_rows(max(event.onset_s for event in self._ended))
        finally:
            self._file.close()

    def _write_rows(self, until_s: float) -> None:
        """The rows that begin by a time: all are known."""
        due = sorted((event for event in self._ended if event.onset_s <= until_s), key=lambda event: event.onset_s)
        self._ended = [event for event in self._ended if event.onset_s > until_s]
        self._file.write("".join(_line(_row(event)) for event in due))


def _row(event: SoundEvent) -> list[object]:
    values = {**event.to_dict(), "confidence": round(event.peak_confidence, 4)}
    box = dict(zip(("left", "top", "right", "bottom"), values["box"] or [""] * 4, strict=True))
    if event.visible is not None:
        values["visible"] = "yes" if event.visible else "no"
    return [{**values, **box}[column] for column in COLUMNS]


def _line(values: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue()
