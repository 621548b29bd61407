"""The records that flow through the house. They import numpy only, and know nothing of who makes or reads them.

Times are seconds on the stream's own clock, which starts at 0 where the movie (or the capture) starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Direction = Literal["left", "center", "right"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source knows before it is read; None for what the container doesn't say."""

    name: str
    duration_s: float | None
    has_video: bool
    has_audio: bool
    width: int = 0
    height: int = 0
    frame_rate_hz: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrame:
    """One picture, upright: `rgb` is uint8 (H, W, 3)."""

    time_s: float
    rgb: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """A piece of sound: `samples` is float32 (channels, n) in [-1, 1]."""

    start_s: float
    rate_hz: int
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The stretch of stream that one narration is made from.

    `audio` is float32 (channels, n), n = round((end_s - start_s) * rate_hz); gaps are zeros, `gap_s` counts them.
    Overlapping windows share their sound, so each also has a *focus*, the part it speaks for: the foci of a
    stream's windows follow each other without gap or overlap, and captions are timed by them.
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


@dataclass(frozen=True, slots=True)
class Sound:
    """One claim: what sounds, how sure (0..1, from the sound alone), and where.

    `visible` is None when it can't be told; `box` is (left, top, right, bottom) in [0, 1] of the picture.
    """

    label: str
    confidence: float
    visible: bool | None = None
    box: Box | None = None
    direction: Direction | None = None
    level_dbfs: float = -120.0

    def to_dict(self) -> dict[str, Any]:
        """The sound as plain JSON types."""
        return {
            "label": self.label,
            "confidence": round(self.confidence, 4),
            "visible": self.visible,
            "box": None if self.box is None else [round(v, 4) for v in self.box],
            "direction": self.direction,
            "level_dbfs": round(self.level_dbfs, 1),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Narration:
    """What a window turned out to hold. No sounds means silence: `text` is then empty.

    `heatmap` is float32 (rows, columns) in [0, 1] over the key frame, or None when there is no picture or no sound.
    `timings_ms` has the milliseconds of each stage that ran.
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
            "timings": {stage: round(ms, 2) for stage, ms in self.timings_ms.items()},
        }
