"""`python -m pipelines.draw_display [OUT]`: the display's states on one sheet, for docs/display-states.png.

Five states, with a camera and for sound alone, at two sizes, drawn as the display draws them.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.drawing.screen import Screen
from avstream.records import Direction, Narration, Phase, Problem, Sound, SoundEvent, Status, StreamInfo, VideoFrame
from avstream.sources.file.movie import Movie
from pipelines.make_demo import room, story
from pipelines.scenes.compose import write_scene_movie

NOW_S, BEGAN_S = 1000.0, 996.0
SIZES = ((1280, 720), (320, 180))
STATES = ("quiet", "one sound", "urgent", "can't hear", "overloaded")
SHOWN = 320  # how wide each is on the sheet
PAST: tuple[tuple[str, float, float, float, Direction | None], ...] = (  # label, onset, end, confidence, direction
    ("rain", 710.0, 880.0, 0.85, None),
    ("dog_bark", 760.0, 764.0, 0.95, "left"),
    ("dog_bark", 800.0, 810.0, 0.7, "left"),
    ("knock", 850.0, 852.0, 0.55, None),
    ("phone_ring", 905.0, 925.0, 0.9, "right"),
    ("speech", 930.0, 988.0, 0.75, None),
)
DEAF = Problem("no_sound", "mic", "the microphone was lost", "check its plug, and whether the sound server runs", 980.0)
BUSY = Problem(
    "overloaded", "kitchen", "too much to do: 12 s of sound were not listened to",
    "close other programs, or narrate fewer streams, or with a larger --hop", 980.0,
)  # fmt: skip


def screen_of(state: str, *, has_camera: bool) -> Screen:
    """The display's state at NOW_S."""
    screen = Screen(StreamInfo("kitchen", None, has_camera, True), flash=False)
    for number, (label, onset_s, end_s, confidence, direction) in enumerate(PAST):
        screen.event(event(f"past {number}", label, onset_s, end_s, confidence, direction))
    sounds: tuple[Sound, ...] = ()
    if state == "one sound":
        screen.event(event("now", "doorbell", BEGAN_S, None, 0.93, "right"))
        sounds = (Sound("doorbell", 0.93, None, None, "right", -18.0),)
    elif state == "urgent":
        screen.event(event("now", "alarm", BEGAN_S, None, 0.88, "left", urgent=True))
        sounds = (Sound("sneeze", 0.4, None, None, None, -30.0),)
    problems = {"can't hear": (DEAF,), "overloaded": (BUSY,)}.get(state, ())
    screen.status(Status("kitchen", NOW_S, 0.4, 0, -22.0 if sounds else -52.0, problems))
    screen.write(Narration("kitchen", 0, NOW_S - 3, NOW_S, NOW_S - 1, NOW_S, "", sounds, -20.0))
    return screen


def event(
    name: str,
    label: str,
    onset_s: float,
    end_s: float | None,
    confidence: float,
    direction: Direction | None,
    *,
    urgent: bool = False,
) -> SoundEvent:
    """A sound event of the stream."""
    phase: Phase = "began" if end_s is None else "ended"
    return SoundEvent(
        name, "kitchen", label, phase, onset_s, end_s, confidence, confidence, -20.0, direction, urgent=urgent
    )


def picture() -> VideoFrame:
    """A frame of the demo."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        write_scene_movie(path, story()[:2], size=(640, 360), rng=np.random.default_rng(7), behind=room(640, 360))
        with_picture = [item for item in Movie(path) if isinstance(item, VideoFrame)]
    return with_picture[len(with_picture) // 2]


def drawn(state: str, size: tuple[int, int], frame: VideoFrame | None) -> NDArray[np.uint8]:
    """A screen as it is a second after NOW_S, when all has faded in: RGB uint8, SHOWN pixels wide."""
    screen = screen_of(state, has_camera=frame is not None)
    for step in range(11):
        out = screen.render(frame, size, NOW_S + step / 10)
    shown = (SHOWN, SHOWN * size[1] // size[0])
    return out if size[0] == SHOWN else np.asarray(cv2.resize(out, shown, interpolation=cv2.INTER_AREA), np.uint8)


def sheet(frame: VideoFrame) -> NDArray[np.uint8]:
    """A row a state; with and without a camera, in each size."""
    columns = list(product(SIZES, (frame, None)))
    rows = [np.hstack([framed(drawn(state, size, shown)) for size, shown in columns]) for state in STATES]
    return np.vstack(rows)


def framed(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With a white border."""
    return np.asarray(cv2.copyMakeBorder(rgb, 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=(255, 255, 255)), np.uint8)


def main() -> None:
    """Write the sheet with few colors: it is a drawing, and should not weigh more than the page it is on."""
    from PIL import Image

    parser = argparse.ArgumentParser(prog="python -m pipelines.draw_display", description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=Path("docs/display-states.png"), metavar="OUT")
    options = parser.parse_args()
    few = Image.fromarray(sheet(picture())).quantize(96, dither=Image.Dither.NONE)
    few.save(options.out, optimize=True)
    print(f"{options.out}: {options.out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
