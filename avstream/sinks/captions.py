"""Captions as SRT and WebVTT: what sounds, in words, for as long as it does. Silence has no cue.

A sound is one cue, or several where others begin and end in it. A cue is written when it is known to be over, so the
file is valid after every write. WebVTT cues stand where the sound is, when exactly one sound has a place; in SRT the
words carry it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from avstream.drawing.overlay import fit_caption
from avstream.records import Narration, Sound, SoundEvent, StreamInfo
from avstream.sinks.base import Sink
from avstream.sinks.files import PartFile
from avstream.sinks.timeline import Change, Timeline

GRID = 10  # positions are in steps of this many percent
LOWEST_LINE = 85  # percent from the top; further down the second line leaves the picture
CHAR_WIDTH = 1.5  # percent of a 16:9 picture that one character takes in players' usual type


class CaptionSink(Sink):
    """Writes one stream's captions to a file. Raises SinkError, in the constructor too."""

    def __init__(self, path: str | Path, format: Literal["srt", "vtt"]) -> None:
        self.name: str = format
        self._file = PartFile(path)
        self._timeline = Timeline()
        self._latest: Change = (0.0, ())
        self._count = 0

    def open(self, info: StreamInfo) -> None:
        """Start the file of a stream."""
        self._timeline, self._latest, self._count = Timeline(), (0.0, ()), 0
        self._file.open()
        if self.name == "vtt":
            self._file.write("WEBVTT\n")

    def event(self, event: SoundEvent) -> None:
        """Take what became of a sound."""
        self._timeline.event(event)

    def write(self, narration: Narration) -> None:
        """Write the cues that are over by now."""
        self._write(self._timeline.settle(narration))

    def close(self) -> None:
        """Write the last cues and give the file its name; harmless when repeated."""
        try:
            if self._file.takes_more:
                self._write(self._timeline.finish())
        finally:
            self._file.close()

    def _write(self, changes: list[Change]) -> None:
        """Each change ends the cue before it."""
        for change in changes:
            (start_s, ids), self._latest = self._latest, change
            if ids and change[0] > start_s:
                self._write_cue(max(0.0, start_s), change[0], self._timeline.sounds(ids))

    def _write_cue(self, start_s: float, end_s: float, sounds: tuple[Sound, ...]) -> None:
        lines = fit_caption(sounds)
        if self.name == "vtt":
            text = "\n".join(_escaped(line) for line in lines)
            times = f"{_stamp(start_s, '.')} --> {_stamp(end_s, '.')}"
            self._file.write(f"\n{times}{_settings(sounds, lines)}\n{text}\n")
        else:
            self._count += 1
            text = "\n".join(lines)
            self._file.write(f"{self._count}\n{_stamp(start_s, ',')} --> {_stamp(end_s, ',')}\n{text}\n\n")


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
    # The text begins, ends or is centered at its position: it must fit from there to the edge.
    fits = {"left": (10, 100 - size), "center": (50, 50), "right": (size, 90)}[align]
    position = min(max(GRID * round(across / GRID), fits[0]), fits[1])
    line = min(GRID * round(down / GRID), LOWEST_LINE)
    return f" position:{position}% align:{align} line:{line}% size:{size}%"


def _place(sound: Sound) -> tuple[float, float]:
    """Where the caption of a sound belongs, in percent from the left and the top: under its box."""
    if sound.box is None:
        return (10.0 if sound.direction == "left" else 90.0), 100.0
    left, _, right, bottom = sound.box
    return min(max(50 * (left + right), 10.0), 90.0), min(max(100 * bottom, 0.0), 100.0)
