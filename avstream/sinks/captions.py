"""Captions as SRT and WebVTT: what sounds, in words, for as long as it does. Silence has no cue.

A cue is written when it is known to be over, so the file is valid after every write. WebVTT cues stand where the
sound is, when exactly one sound has a place; in SRT the words carry it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from avstream.drawing.overlay import fit_caption
from avstream.records import Narration, Sound, StreamInfo
from avstream.sinks.base import Sink
from avstream.sinks.files import PartFile

SAME_TIME_S = 0.05  # cues that are closer than this follow each other
GRID = 10  # positions in steps of this many percent, so that a box that trembles stays one cue
LOWEST_LINE = 85  # percent from the top; further down the second line leaves the picture
CHAR_WIDTH = 1.5  # percent of a 16:9 picture that one character takes in players' usual type


@dataclass(frozen=True, slots=True)
class _Cue:
    start_s: float
    end_s: float
    lines: tuple[str, ...]
    settings: str


class CaptionSink(Sink):
    """Writes one movie's captions to a file. Raises SinkError, in the constructor too."""

    def __init__(self, path: str | Path, format: Literal["srt", "vtt"]) -> None:
        self.name: str = format
        self._file = PartFile(path)
        self._cue: _Cue | None = None
        self._count = 0

    def open(self, info: StreamInfo) -> None:
        """Start the file of a movie."""
        self._cue, self._count = None, 0
        self._file.open()
        if self.name == "vtt":
            self._file.write("WEBVTT\n")

    def write(self, narration: Narration) -> None:
        """Take a narration; the cue before it is written unless this one only prolongs it."""
        lines = fit_caption(narration.sounds)
        settings = _settings(narration.sounds, lines) if self.name == "vtt" else ""
        start_s, end_s = max(0.0, narration.focus_start_s), narration.focus_end_s
        before = self._cue
        if before and (before.lines, before.settings) == (lines, settings):
            if abs(start_s - before.end_s) <= SAME_TIME_S:
                self._cue = replace(before, end_s=end_s)
                return
        self._flush()
        if lines and end_s > start_s:
            self._cue = _Cue(start_s, end_s, lines, settings)

    def close(self) -> None:
        """Write the last cue and give the file its name; harmless when repeated."""
        try:
            if self._file.is_open:
                self._flush()
        finally:
            self._file.close()

    def _flush(self) -> None:
        cue, self._cue = self._cue, None
        if cue is None:
            return
        if self.name == "vtt":
            text = "\n".join(_escaped(line) for line in cue.lines)
            times = f"{_stamp(cue.start_s, '.')} --> {_stamp(cue.end_s, '.')}"
            self._file.write(f"\n{times}{cue.settings}\n{text}\n")
        else:
            self._count += 1
            times = f"{_stamp(cue.start_s, ',')} --> {_stamp(cue.end_s, ',')}"
            text = "\n".join(cue.lines)
            self._file.write(f"{self._count}\n{times}\n{text}\n\n")


def _stamp(time_s: float, comma: str) -> str:
    """`00:01:02.500`."""
    seconds, ms = divmod(round(time_s * 1000), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{comma}{ms:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _settings(sounds: tuple[Sound, ...], lines: tuple[str, ...]) -> str:
    """The settings that put a cue where its sound is; empty, for bottom center, when that is unclear."""
    placed = [sound for sound in sounds if sound.box or sound.direction in ("left", "right")]
    if len(placed) != 1 or not lines:
        return ""
    across, down = _place(placed[0])
    size = 40 if max(map(len, lines)) * CHAR_WIDTH <= 40 else 65
    align = "left" if across < 100 / 3 else "right" if across > 200 / 3 else "center"
    # The text begins, ends or is centered at its position: it must have room from there to the edge.
    room = {"left": (10, 100 - size), "center": (50, 50), "right": (size, 90)}[align]
    position = min(max(GRID * round(across / GRID), room[0]), room[1])
    line = min(GRID * round(down / GRID), LOWEST_LINE)
    return f" position:{position}% align:{align} line:{line}% size:{size}%"


def _place(sound: Sound) -> tuple[float, float]:
    """Where the caption of a sound belongs, in percent from the left and the top: under its box."""
    if sound.box is None:
        return (10.0 if sound.direction == "left" else 90.0), 100.0
    left, _, right, bottom = sound.box
    return min(max(50 * (left + right), 10.0), 90.0), min(max(100 * bottom, 0.0), 100.0)
