"""The localizers on three real clips of AVE, whose truth was drawn by eye (`clips.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avstream.localization.fusion import fuse
from avstream.localization.stereo import direction
from avstream.localization.synchrony import Synchrony
from avstream.records import AudioChunk, MotionFrame
from avstream.sources.file.movie import Movie
from pipelines.localization.metrics import SIZE, box_truth, ciou
from pipelines.localization.score_scenes import holds

TRUTH = Path(__file__).with_name("clips.json")


def clip_report(folder: Path) -> dict[str, Any]:
    """What is said of each clip in the folder whose truth is known. Raises SourceError for one that can't be read."""
    truth = json.loads(TRUTH.read_text())["clips"]
    return {name: clip(folder / f"{name}.mp4", known["boxes"]) for name, known in truth.items()}


def clip(path: Path, boxes: list[list[float]]) -> dict[str, Any]:
    """One clip as one window: all its sound, and its small gray pictures."""
    eye, chunks = Synchrony(), list[AudioChunk]()
    for item in Movie(path, motion=True):
        if isinstance(item, AudioChunk):
            chunks.append(item)
        elif isinstance(item, MotionFrame):
            eye.push(item.time_s, item.gray)
    audio = np.concatenate([chunk.samples for chunk in chunks], axis=1)
    rate, start_s = chunks[0].rate_hz, chunks[0].start_s
    seen, bearing = eye.look(start_s, start_s + audio.shape[1] / rate, audio, rate), direction(audio, rate)
    place = fuse(seen, bearing)
    row: dict[str, Any] = {"visible": place.visible, "here": place.here, "absent": place.absent, "box": place.box}
    row |= {"side": bearing.side, "azimuth": bearing.azimuth, "direction confidence": bearing.confidence}
    if seen is not None:
        owners = [(box[0], box[1], box[2], box[3]) for box in boxes]
        row |= {"peak": seen.peak, "correlation": seen.fit.correlation, "cut": seen.cut}
        row["peak on source"] = any(holds(box, seen.peak) for box in owners)
        row["cIoU"] = ciou(cv2.resize(seen.heatmap, (SIZE, SIZE)), box_truth(owners), 0.5)
    return row
