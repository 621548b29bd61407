"""Movies of synthetic scenes: what is drawn where, moves with its sound, and sounds from where it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.records import Box, Direction
from pipelines.scenes.backdrops import background
from pipelines.scenes.sprites import draw_source, paste, premultiplied
from pipelines.sounds.synthesis import synthesize

Picture = NDArray[np.uint8]
MakeSound = Callable[[str, float, int, np.random.Generator], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class SceneEvent:
    """One thing in a scene: what it is, when it sounds, where it is. Times in seconds, boxes in [0, 1].

    A thing moves evenly along the boxes of `path` while it is in view: during `shown`, or while it sounds.
    One that is not audible is in view without a sound; one that is not visible sounds from where its box is.
    """

    label: str
    start_s: float
    end_s: float
    path: tuple[Box, ...]
    audible: bool = True
    visible: bool = True
    shown: tuple[float, float] | None = None

    @property
    def span_s(self) -> tuple[float, float]:
        """From when until when it is there, and moves along its path."""
        return self.shown or (self.start_s, self.end_s)

    def box_at(self, time_s: float) -> Box:
        """Where it is (left, top, right, bottom)."""
        steps = np.linspace(*self.span_s, len(self.path))
        sides = np.asarray(self.path).T
        left, top, right, bottom = (float(np.interp(time_s, steps, side)) for side in sides)
        return left, top, right, bottom

    @property
    def direction(self) -> Direction:
        """Where it is in the middle of its sound, in thirds of the picture."""
        left, _, right, _ = self.box_at((self.start_s + self.end_s) / 2)
        center = (left + right) / 2
        return "left" if center < 1 / 3 else "right" if center > 2 / 3 else "center"

    def to_dict(self) -> dict[str, Any]:
        """The event as plain JSON types."""
        return {
            "label": self.label,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "path": [list(box) for box in self.path],
            "audible": self.audible,
            "visible": self.visible,
            "shown": list(self.span_s) if self.visible else None,
            "direction": self.direction,
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Actor:
    """An event with all that its movie needs: `sound` float32 (n,), `motion` (frames,) in [0, 1]."""

    event: SceneEvent
    sprite: Picture
    sound: NDArray[np.float32]
    motion: NDArray[np.float64]


def _fitted(event: SceneEvent, sprite: Picture, size: tuple[int, int]) -> SceneEvent:
    """The event with its boxes cut to the shape of its sprite."""
    boxes = []
    for left, top, right, bottom in event.path:
        wide, tall = (right - left) * size[0], (bottom - top) * size[1]
        scale = min(wide / sprite.shape[1], tall / sprite.shape[0])
        half_x, half_y = scale * sprite.shape[1] / size[0] / 2, scale * sprite.shape[0] / size[1] / 2
        x, y = (left + right) / 2, (top + bottom) / 2
        boxes.append((x - half_x, y - half_y, x + half_x, y + half_y))
    return replace(event, path=tuple(boxes))


def _motion(sound: NDArray[np.float32], start_s: float, frames: int, fps: int, rate_hz: int) -> NDArray[np.float64]:
    """How much a thing moves in each frame, (frames,) in [0, 1]: a jump at onsets, then it settles."""
    power = np.zeros(frames + 1)
    index = ((start_s + np.arange(len(sound)) / rate_hz) * fps).astype(int)
    np.add.at(power, np.minimum(index, frames), sound.astype(np.float64) ** 2)
    loudness = np.sqrt(power[:frames] / (rate_hz / fps))
    rise = np.maximum(0, np.diff(loudness, prepend=0.0))
    rise = np.minimum(1, rise / max(1e-9, float(np.quantile(rise, 0.97)), 0.2 * float(rise.max(initial=0))))
    for frame in range(1, frames):
        rise[frame] = max(rise[frame], 0.7 * rise[frame - 1])
    return rise


def _actor(
    event: SceneEvent,
    size: tuple[int, int],
    clock: tuple[int, int, int],
    make_sound: MakeSound,
    rng: np.random.Generator,
) -> _Actor:
    """Draw and sound one event; `clock` is (frames, frames per second, samples per second)."""
    frames, fps, rate_hz = clock
    boxes = np.asarray(event.path)
    largest = float(np.max((boxes[:, 2:] - boxes[:, :2]) * size))
    sprite = premultiplied(draw_source(event.label, max(8, round(largest)), rng))
    sound = np.zeros(0, np.float32)
    if event.audible:
        sound = make_sound(event.label, event.end_s - event.start_s, rate_hz, rng).astype(np.float32)
        ramp = np.minimum(1, np.arange(len(sound)) / (0.005 * rate_hz))
        sound = (sound * ramp * ramp[::-1]).astype(np.float32)  # no click where it begins and ends
    motion = _motion(sound, event.start_s, frames, fps, rate_hz)
    return _Actor(_fitted(event, sprite, size), sprite, sound, motion)


def _mix(actors: Sequence[_Actor], samples: int, rate_hz: int) -> NDArray[np.float32]:
    """All sounds together, each where its thing is: float32 (2, samples), at most 0.9."""
    out = np.zeros((2, samples), np.float32)
    for actor in actors:
        first = round(actor.event.start_s * rate_hz)
        sound = actor.sound[: samples - first]
        times = actor.event.start_s + np.arange(len(sound)) / rate_hz
        centers = [(left + right) / 2 for left, _, right, _ in actor.event.path]
        steps = np.linspace(*actor.event.span_s, len(centers))
        pan = np.clip(np.interp(times, steps, centers), 0, 1) * np.pi / 2  # constant power, left to right
        out[:, first : first + len(sound)] += sound * np.stack([np.cos(pan), np.sin(pan)])
    return out * np.float32(0.9 / max(0.9, float(np.abs(out).max(initial=0))))


def _paint(picture: Picture, actor: _Actor, frame: int, time_s: float) -> None:
    """Draw the thing as it is at that time: it swells within its box, from the bottom, at onsets."""
    start, end = actor.event.span_s
    if not actor.event.visible or not start <= time_s < end:
        return
    height, width = picture.shape[:2]
    left, top, right, bottom = actor.event.box_at(time_s)
    swell = 0.86 + 0.14 * actor.motion[frame]
    wide, tall = max(2, int((right - left) * width * swell)), max(2, int((bottom - top) * height * swell))
    x, y = round((left + right) / 2 * width - wide / 2), round(bottom * height) - tall
    paste(picture, cv2.resize(actor.sprite, (wide, tall), interpolation=cv2.INTER_AREA), x, y)


def _streams(
    container: av.container.OutputContainer, size: tuple[int, int], fps: int, rate_hz: int, quick: bool
) -> tuple[av.VideoStream, av.AudioStream]:
    """The two streams of a scene movie."""
    video = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "20"})
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    coder = {"aac_coder": "fast"} if quick else {}
    audio = container.add_stream("aac", rate=rate_hz, layout="stereo", options=coder)
    audio.bit_rate = 96_000 if quick else 192_000
    return video, audio


def _audio_frame(samples: NDArray[np.float32], first: int, rate_hz: int) -> av.AudioFrame:
    """A piece of stereo sound, float32 (2, n), that begins at sample `first`."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, first, Fraction(1, rate_hz)
    return frame


def write_scene_movie(
    path: str | Path,
    events: Sequence[SceneEvent],
    *,
    size: tuple[int, int] = (1280, 720),
    fps: int = 25,
    rate_hz: int = 44100,
    rng: np.random.Generator,
    duration_s: float | None = None,
    behind: Picture | None = None,
    make_sound: MakeSound = synthesize,
    quick: bool = False,
) -> list[SceneEvent]:
    """Write the scene as H.264 and AAC in mp4; give the truth: the events, with boxes as they were drawn.

    `size` is (width, height), both even. The movie ends with the last event or at `duration_s`. A sound is
    float32 (n,), made by `make_sound(label, duration_s, rate_hz, rng)`. Equal seeds give equal pictures and sound
    (x264 now and then codes equal pictures a level apart). `behind` is the background to use, RGB uint8
    (height, width, 3). `quick` codes the sound more plainly, in a third of the time, for corpora of thousands.
    """
    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"H.264 needs an even width and height, got {size[0]}x{size[1]}")
    frames = round((duration_s or max(max(event.end_s, event.span_s[1]) for event in events)) * fps)
    behind = background(*size, rng) if behind is None else behind
    actors = [_actor(event, size, (frames, fps, rate_hz), make_sound, rng) for event in events]
    sound = _mix(actors, round(frames / fps * rate_hz), rate_hz)
    with av.open(str(path), "w") as container:
        video, audio = _streams(container, size, fps, rate_hz, quick)
        for frame in range(frames):
            picture = behind.copy()
            for actor in actors:
                _paint(picture, actor, frame, frame / fps)
            shot = av.VideoFrame.from_ndarray(picture, format="rgb24")
            shot.pts, shot.time_base = frame, Fraction(1, fps)
            container.mux(video.encode(shot))
            first = round(frame * rate_hz / fps)
            piece = sound[:, first : round((frame + 1) * rate_hz / fps)]
            container.mux(audio.encode(_audio_frame(piece, first, rate_hz)))
        container.mux(video.encode())
        container.mux(audio.encode())
    return [actor.event for actor in actors]
