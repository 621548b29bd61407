"""What the field uses for sounds that are not in the picture: readers and measures.

DCASE 2025 task 3  stereo SELD: metadata_dev/**/NAME.csv (frame, class, source, azimuth, distance, onscreen; ten frames
                   a second, degrees, centimeters), with stereo_dev/ and video_dev/ of the same tree: NAME.wav and
                   NAME.mp4, 5 s each.
AVATAR             arXiv 2507.04667: video/NAME.mp4, and metadata/NAME/FRAME.json, each with a frame_number and
                   annotations: audio_visual_category, scenario, and bbox (left, top, width, height) in pixels, which an
                   Off-screen one has not.
Negative audio     arXiv 2410.01020: the pictures of VGG-SS or Flickr with silence, noise, or another video's sound.

Read from descriptions: none of the three could be had where this was written; a file of another form is named in the
error.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from avstream.errors import SourceError
from avstream.localization.grounding.thing import overlap
from avstream.records import Box, Direction

FRAMES_HZ = 10
SIDE_DEGREES = 20.0  # of azimuth, from which on a source is to the left (positive) or the right, and not in the middle
NEAR_DEGREES, NEAR_SHARE = 20.0, 1.0  # F20: how far a direction may be off, and a distance, relative to the true one
CLASSES = (
    "female speech", "male speech", "clapping", "telephone", "laughter", "domestic sounds", "footsteps", "door",
    "music", "musical instrument", "water tap", "bell", "knock",
)  # fmt: skip
Negative = Literal["silence", "noise", "offscreen"]
NEGATIVES: tuple[Negative, ...] = ("silence", "noise", "offscreen")
OFF_SCREEN = "Off-screen"  # AVATAR's scenario


@dataclass(frozen=True, slots=True)
class Heard:
    """A source in one frame of a tenth of a second: class, direction (degrees, left is positive), meters, in view."""

    frame: int
    kind: int
    azimuth: float
    distance_m: float
    onscreen: bool

    @property
    def side(self) -> Direction:
        """Left, center or right."""
        return "center" if abs(self.azimuth) <= SIDE_DEGREES else "left" if self.azimuth > 0 else "right"


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip with its truth."""

    name: str
    sound: Path
    video: Path | None
    truth: tuple[Heard, ...]


def read_seld(folder: Path) -> list[Clip]:
    """The clips of DCASE 2025 task 3, by name. Raises SourceError: nothing there, or a line of another form."""
    found = []
    for path in sorted((folder / "metadata_dev").rglob("*.csv")):
        inner = path.relative_to(folder / "metadata_dev").with_suffix("")
        sound, video = (
            folder / sub / inner.with_suffix(end) for sub, end in (("stereo_dev", ".wav"), ("video_dev", ".mp4"))
        )
        if sound.is_file():
            found.append(Clip(str(inner), sound, video if video.is_file() else None, tuple(read_labels(path))))
    if not found:
        raise SourceError(
            f"expected metadata_dev/ and stereo_dev/ of DCASE 2025 task 3 in {folder}, found no clip in both"
        )
    return found


def read_labels(path: Path) -> list[Heard]:
    """The lines of one clip. Raises SourceError."""
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if number == 1 and row and not row[0].strip().lstrip("-").isdigit():
                continue  # names of columns
            try:
                frame, kind, _, azimuth, distance, onscreen = (float(value) for value in row)
                heard = Heard(int(frame), int(kind), azimuth, distance / 100, bool(onscreen))
            except ValueError as error:
                raise SourceError(
                    f"{path}, line {number}: expected frame, class, source, azimuth, distance, onscreen; found {row}"
                ) from error
            if not 0 <= heard.kind < len(CLASSES):
                raise SourceError(
                    f"{path}, line {number}: expected a class from 0 to {len(CLASSES) - 1}, found {heard.kind}"
                )
            found.append(heard)
    return found


def seld_scores(truth: Sequence[Sequence[Heard]], said: Sequence[Sequence[Heard]]) -> dict[str, float | None]:
    """Over clips: F20 (class, direction and distance right; macro), class F (macro), and of the sources whose class was
    found, the share with the right side and with the right on/off-screen; percent.
    """
    near: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    kinds: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    sides: list[bool] = []
    seen: list[bool] = []
    for true, found in zip(truth, said, strict=True):
        for frame in {one.frame for one in (*true, *found)}:
            for kind in range(len(CLASSES)):
                here = [one for one in true if (one.frame, one.kind) == (frame, kind)]
                told = [one for one in found if (one.frame, one.kind) == (frame, kind)]
                pairs = matched(here, told)
                count(kinds[kind], len(pairs), len(here), len(told))
                count(near[kind], sum(is_near(*pair) for pair in pairs), len(here), len(told))
                sides += [a.side == b.side for a, b in pairs]
                seen += [a.onscreen == b.onscreen for a, b in pairs]
    return {
        "F20": macro_f(near.values()), "class F": macro_f(kinds.values()),
        "side": share(sides), "on/off-screen": share(seen),
    }  # fmt: skip


def matched(true: Sequence[Heard], said: Sequence[Heard]) -> list[tuple[Heard, Heard]]:
    """Pairs of one class in one frame, the nearest directions first."""
    pairs, left = [], list(said)
    for one in true:
        if left:
            nearest = min(left, key=lambda other: abs(other.azimuth - one.azimuth))
            left.remove(nearest)
            pairs.append((one, nearest))
    return pairs


def is_near(true: Heard, said: Heard) -> bool:
    """Whether a direction and a distance are right by F20's tolerances."""
    off = abs(true.distance_m - said.distance_m) / max(1e-6, true.distance_m)
    return abs(true.azimuth - said.azimuth) <= NEAR_DEGREES and off <= NEAR_SHARE


def count(tally: list[int], hits: int, true: int, said: int) -> None:
    """Add hits, misses and false ones."""
    for k, value in enumerate((hits, true - hits, said - hits)):
        tally[k] += value


def macro_f(tallies: Iterable[Sequence[int]]) -> float | None:
    """The mean F1 over the classes that are true or said somewhere, percent."""
    values = [200 * hits / (2 * hits + missed + wrong) for hits, missed, wrong in tallies if hits + missed + wrong]
    return float(np.mean(values)) if values else None


def share(values: Sequence[bool]) -> float | None:
    """The share of True, percent."""
    return float(100 * np.mean(values)) if values else None


@dataclass(frozen=True, slots=True)
class Annotated:
    """A frame of AVATAR: its video, its time, and each sounding instance's category and box, None when off-screen."""

    video: Path
    time_s: float
    instances: tuple[tuple[str, Box | None], ...]

    @property
    def offscreen(self) -> bool:
        """Whether something sounds and nothing of it is in view."""
        return bool(self.instances) and all(box is None for _, box in self.instances)


def read_avatar(folder: Path) -> dict[Path, list[Annotated]]:
    """The annotated frames of AVATAR by their video; those of a video that is not there are left out.

    Raises SourceError: nothing there, or a file of another form.
    """
    found = {}
    for video in sorted((folder / "video").glob("*.mp4")):
        paths = sorted((folder / "metadata" / video.stem).glob("*.json"))
        if paths:
            size, rate_hz = pictures_of(video)
            found[video] = [read_frame(path, video, size, rate_hz) for path in paths]
    if not found:
        raise SourceError(
            f"{folder} without a video that has annotations", "unpack AVATAR's video.zip and metadata.zip there",
            "video/NAME.mp4 and metadata/NAME/FRAME.json",
        )  # fmt: skip
    return found


def read_frame(path: Path, video: Path, size: tuple[int, int], rate_hz: float) -> Annotated:
    """One frame's annotations. Raises SourceError."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        instances = tuple(
            (str(one["audio_visual_category"]), None if one["scenario"] == OFF_SCREEN else box_in(one["bbox"], size))
            for one in row["annotations"]
        )
        return Annotated(video, int(row["frame_number"]) / rate_hz, instances)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{path}: {type(error).__name__}: {error}",
            expected='{"frame_number", "annotations": [{"audio_visual_category", "scenario", "bbox"}]}',
        ) from error


def pictures_of(video: Path) -> tuple[tuple[int, int], float]:
    """The size (width, height) of a video's pictures, and how many there are in a second. Raises SourceError."""
    try:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            return (stream.codec_context.width, stream.codec_context.height), float(stream.average_rate or 0) or 25.0
    except (OSError, IndexError, av.FFmpegError) as error:
        raise SourceError(f"{video} can't be read as a video: {error}") from error


def box_in(box: Sequence[float], size: tuple[int, int]) -> Box:
    """(left, top, width, height) in pixels as a box in [0, 1]."""
    (left, top, wide, high), (width, height) = box, size
    return left / width, top / height, (left + wide) / width, (top + high) / height


def true_negatives(frames: Sequence[Annotated], said: Sequence[Sequence[Box]]) -> dict[str, float | None]:
    """AVATAR's off-screen scenario: the share of off-screen frames where no box is said, of the others where one is,
    and of these where one overlaps an instance by half (IoU); percent.
    """
    both = list(zip(frames, said, strict=True))
    away = [not boxes for frame, boxes in both if frame.offscreen]
    seen = [(frame, boxes) for frame, boxes in both if frame.instances and not frame.offscreen]
    right = [
        any(overlap(box, truth) >= 0.5 for box in boxes for _, truth in frame.instances if truth)
        for frame, boxes in seen
        if boxes
    ]
    return {
        "off-screen left empty": share(away),
        "on-screen claimed": share([bool(boxes) for _, boxes in seen]),
        "claimed box right": share(right),
    }


def negative_sound(
    kind: Negative, count: int, rng: np.random.Generator, other: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The sound (n,) that takes the place of a picture's own: zeros, white noise of unit deviation, or `other` cut or
    repeated to the length.
    """
    if kind == "silence":
        return np.zeros(count, np.float32)
    if kind == "noise":
        return rng.standard_normal(count).astype(np.float32)
    return np.resize(other, count).astype(np.float32)


def negative_scores(
    positives: Sequence[NDArray[np.floating]],
    negatives: Mapping[Negative, Sequence[NDArray[np.floating]]],
    threshold: float,
) -> dict[str, float]:
    """Of heatmaps at one threshold for all sounds: pIA, the mean share of the picture that is claimed, for each kind of
    negative sound and for true ones, percent; less is better for the former.
    """
    sets: dict[str, Sequence[NDArray[np.floating]]] = {"positive": positives, **dict(negatives.items())}
    return {
        f"pIA {name}": float(100 * np.mean([(heat >= threshold).mean() for heat in heats]))
        for name, heats in sets.items()
    }


def universal_threshold(negatives: Iterable[NDArray[np.floating]]) -> float:
    """The least threshold at which most negative heatmaps claim nothing: the third quartile of their maxima."""
    return float(np.quantile([float(heat.max()) for heat in negatives], 0.75))
