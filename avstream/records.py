"""The records that flow through the house. They import numpy only, and know nothing of who makes or reads them.

Times are seconds on the stream's own clock, which starts at 0 where the movie (or the capture) starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Direction = Literal["left", "center", "right"]
Phase = Literal["began", "updated", "continues", "ended"]
ProblemKind = Literal["no_sound", "no_picture", "no_stream", "overloaded", "broker_away", "broker_refuses"]
Box = tuple[float, float, float, float]
Outline = tuple[tuple[float, float], ...]
MOTION_SIDE = 320  # pixels, the longer side of a MotionFrame at most


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source knows before it is read; None for what the container doesn't say.

    `epoch_s` is the Unix time at which a live stream's own time is 0; a recording has none.
    """

    name: str
    duration_s: float | None
    has_video: bool
    has_audio: bool
    width: int = 0
    height: int = 0
    frame_rate_hz: float | None = None
    epoch_s: float | None = None


class VideoFrame:
    """One picture, upright: given, or a function that makes it once somebody asks for it, from any thread."""

    __slots__ = ("_made", "time_s")

    def __init__(self, time_s: float, rgb: NDArray[np.uint8] | Callable[[], NDArray[np.uint8]]) -> None:
        self.time_s, self._made = time_s, rgb

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3)."""
        made = self._made  # once: another thread may make it meanwhile
        if callable(made):
            self._made = made = made()
        return made


@dataclass(frozen=True, slots=True, eq=False)
class MotionFrame:
    """A picture to see motion in, upright and small (its longer side at most MOTION_SIDE): `gray` is uint8 (h, w)."""

    time_s: float
    gray: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """A piece of sound: `samples` is float32 (channels, n) in [-1, 1]."""

    start_s: float
    rate_hz: int
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Watermark:
    """A live source's word that what is from before `time_s` has come, or will not: windows need not wait for it."""

    time_s: float


StreamItem = VideoFrame | MotionFrame | AudioChunk | Watermark


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The stretch of stream that one narration is made from.

    `audio` is float32 (channels, n), n = round((end_s - start_s) * rate_hz); gaps are zeros, `gap_s` counts them.
    `frames` are for looking, few and large; `motion` is for synchrony, at up to 30 Hz, small and gray.
    Overlapping windows share their sound, so each also has a *focus*, the part it speaks for: the foci of a
    stream's windows follow each other without gap or overlap, and captions are timed by them.
    `stream` tells the windows of one stream from those of another, whatever their sources are called.
    """

    index: int
    start_s: float
    end_s: float
    focus_start_s: float
    focus_end_s: float
    frames: tuple[VideoFrame, ...]
    audio: NDArray[np.float32]
    rate_hz: int
    gap_s: float = 0.0
    motion: tuple[MotionFrame, ...] = ()
    stream: int = 0


@dataclass(frozen=True, slots=True)
class Sound:
    """One claim: what sounds, how sure (0..1, from the sound alone), and where.

    `visible` is None when it can't be decided; `box` is (left, top, right, bottom) in [0, 1] of the picture.
    `place_confidence` is how sure `visible` is (0..1), None without it. `onset_s` and `end_s` are where it begins and
    ends on the stream's clock, as the listener's frames have it: None when that lies outside the window, or the
    listener hears windows as one. `one_of` has the boxes of all things that it may be, where nothing shows which,
    `box` among them; `outline` is the contour of the thing, points in [0, 1].
    """

    label: str
    confidence: float
    visible: bool | None = None
    box: Box | None = None
    direction: Direction | None = None
    level_dbfs: float = -120.0
    place_confidence: float | None = None
    onset_s: float | None = None
    end_s: float | None = None
    one_of: tuple[Box, ...] = ()
    outline: Outline = ()

    def to_dict(self) -> dict[str, Any]:
        """The sound as plain JSON types."""
        return {
            "label": self.label,
            "confidence": round(self.confidence, 4),
            "visible": self.visible,
            "place_confidence": None if self.place_confidence is None else round(self.place_confidence, 4),
            "box": None if self.box is None else [round(v, 4) for v in self.box],
            "one_of": [[round(v, 4) for v in box] for box in self.one_of],
            "outline": [[round(v, 4) for v in point] for point in self.outline],
            "direction": self.direction,
            "level_dbfs": round(self.level_dbfs, 1),
            "onset_s": None if self.onset_s is None else round(self.onset_s, 3),
            "end_s": None if self.end_s is None else round(self.end_s, 3),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Narration:
    """What a window turned out to hold. No sounds means silence: `text` is then empty.

    `heatmap` is float32 (rows, columns) in [0, 1] over the key frame, or None when there is nothing to point at.
    `level_dbfs` is the loudest 100 ms of the focus, and when a sound only pauses in it that of the quieter side.
    `timings_ms` has the milliseconds of each stage that ran. `listener` is the name of who heard the sounds.
    """

    source: str
    index: int
    start_s: float
    end_s: float
    focus_start_s: float
    focus_end_s: float
    text: str
    sounds: tuple[Sound, ...]
    level_dbfs: float
    heatmap: NDArray[np.float32] | None = None
    key_frame: VideoFrame | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    listener: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of every sink; pictures and heatmaps are left out."""
        return {
            "source": self.source,
            "index": self.index,
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "focus_start_s": round(self.focus_start_s, 3),
            "focus_end_s": round(self.focus_end_s, 3),
            "text": self.text,
            "sounds": [sound.to_dict() for sound in self.sounds],
            "level_dbfs": round(self.level_dbfs, 1),
            "listener": self.listener,
            "timings_ms": {stage: round(ms, 2) for stage, ms in self.timings_ms.items()},
        }


@dataclass(frozen=True, slots=True)
class SoundEvent:
    """A sound that began, goes on or has ended, on the stream's own clock; live it may be `updated` to a better label.

    `onset_s` and `end_s` are known to about one hop, `onset_s` to 0.1 s where the listener's frames tell it; `end_s` is
    None until it has ended. `confidence` is the latest, `peak_confidence` the highest so far; direction, `visible` and
    `box` are the latest that were known. An `urgent` one is of a label that the user called so. `id` is unique within a
    run and the same from begin to end.
    """

    id: str
    source: str
    label: str
    phase: Phase
    onset_s: float
    end_s: float | None
    confidence: float
    peak_confidence: float
    level_dbfs: float
    direction: Direction | None = None
    visible: bool | None = None
    urgent: bool = False
    box: Box | None = None

    def to_dict(self) -> dict[str, Any]:
        """The event as plain JSON types."""
        return {
            "id": self.id,
            "source": self.source,
            "label": self.label,
            "phase": self.phase,
            "onset_s": round(self.onset_s, 3),
            "end_s": None if self.end_s is None else round(self.end_s, 3),
            "confidence": round(self.confidence, 4),
            "peak_confidence": round(self.peak_confidence, 4),
            "level_dbfs": round(self.level_dbfs, 1),
            "direction": self.direction,
            "visible": self.visible,
            "box": None if self.box is None else [round(v, 4) for v in self.box],
            "urgent": self.urgent,
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong now, of `source`: a device, an address, a broker, or a stream.

    `found` is what is wrong and `fix` what to do about it, in words; `wording.problem_text` joins them. `since_s` is
    when it began, in a Status on the stream's own clock. `retry_s` is how long the pause before the next try is, None
    where nothing is tried.
    """

    kind: ProblemKind
    source: str
    found: str
    fix: str
    since_s: float
    retry_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The problem as plain JSON types."""
        return {
            "kind": self.kind,
            "source": self.source,
            "found": self.found,
            "fix": self.fix,
            "since_s": round(self.since_s, 1),
        }


@dataclass(frozen=True, slots=True)
class Status:
    """How a live stream is doing, a few times a second.

    `level_dbfs` is the loudest 100 ms since the one before. `latency_s` is from the end of the last window to its
    narration, None before the first. `dropped` counts windows that were dropped because the narrator was busy.
    `problems` are the things that are wrong now, `muted` the labels that are not spoken of now. `epoch_s` is the Unix
    time at which the stream's time would be 0 by the clocks of now: it moves when the clock is set, and when the
    machine slept.
    """

    source: str
    time_s: float
    latency_s: float | None
    dropped: int
    level_dbfs: float
    problems: tuple[Problem, ...] = ()
    epoch_s: float | None = None
    muted: tuple[str, ...] = ()
