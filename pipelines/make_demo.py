"""`python -m pipelines.make_demo [--out FOLDER] [MOVIE]`: narrate a movie with known truth, or yours.

Without MOVIE it makes a short film of drawn things that sound, lets avstream narrate it, and prints the truth
beside what was narrated. The exit code is the narrator's; 5 when the film itself can't be written.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from avstream.errors import AvstreamError, SinkError
from pipelines.demo.score import print_score
from pipelines.scenes.compose import SceneEvent, write_scene_movie

SEED = 7
SIZE = (1280, 720)


def story() -> list[SceneEvent]:
    """The film, 41 s: seven sounds, one of them off-screen, two silences with things in view, and decoys."""
    event = SceneEvent
    dog = ((0.30, 0.55, 0.46, 0.93), (0.52, 0.55, 0.68, 0.93), (0.30, 0.55, 0.46, 0.93))
    car = ((0.05, 0.62, 0.27, 0.96), (0.50, 0.62, 0.72, 0.96))
    return [
        event("bell", 1.0, 5.0, ((0.05, 0.22, 0.27, 0.75),), shown=(0.0, 14.0)),
        event("alarm", 9.5, 13.5, ((0.76, 0.18, 0.95, 0.58),), shown=(0.0, 14.0)),
        event("dog_bark", 0.0, 14.0, dog, audible=False),
        event("doorbell", 14.0, 18.0, ((0.44, 0.16, 0.58, 0.58),), shown=(14.0, 23.0)),
        event("phone_ring", 18.5, 22.5, ((0.05, 0.45, 0.27, 0.88),), shown=(14.0, 23.0)),
        event("piano", 14.0, 23.0, ((0.70, 0.42, 0.95, 0.93),), audible=False),
        event("guitar", 23.0, 27.5, ((0.70, 0.25, 0.95, 0.90),), shown=(23.0, 32.0)),
        event("siren", 28.0, 32.0, ((1.05, 0.40, 1.25, 0.80),), visible=False),
        event("car_horn", 23.0, 32.0, car, audible=False),
        event("clock_tick", 32.0, 41.0, ((0.76, 0.12, 0.92, 0.42),), audible=False),
        event("rain", 36.5, 41.0, ((0.15, 0.10, 0.40, 0.60), (0.35, 0.10, 0.60, 0.60)), shown=(32.0, 41.0)),
    ]


def room(width: int, height: int) -> NDArray[np.uint8]:
    """A calm wall and floor for the film: RGB uint8 (height, width, 3)."""
    corners = np.array([[[238, 226, 204], [214, 222, 222]], [[224, 206, 182], [196, 204, 206]]], np.float32)
    out = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    line = int(height * 0.78)
    boards = np.array([[168, 128, 92], [158, 118, 84]], np.float32)
    across = np.arange(width) * 16 // width % 2
    out[line:] = boards[across] * np.linspace(0.85, 1.08, height - line, dtype=np.float32)[:, None, None]
    cv2.rectangle(out, (0, line - height // 40), (width, line), (248, 244, 236), -1)
    return out.astype(np.uint8)


def make_film(folder: Path) -> tuple[Path, list[SceneEvent]]:
    """Write the film and its truth into the folder. Raises SinkError."""
    path = folder / "demo.mp4"
    try:
        rng = np.random.default_rng(SEED)
        truth = write_scene_movie(path, story(), size=SIZE, rng=rng, behind=room(*SIZE))
        (folder / "truth.json").write_text(json.dumps([event.to_dict() for event in truth], indent=1) + "\n")
    except (OSError, ValueError, LookupError, RuntimeError) as error:  # PyAV's errors are of these kinds
        raise SinkError(f"can't write the film into {folder}: {error}; choose another folder with --out") from error
    return path, truth


def narrate(movie: Path, folder: Path, console: Console) -> tuple[int, dict[str, Path]]:
    """Run `avstream file` on the movie: its exit code, and the outputs asked for by option name."""
    outputs = {name: folder / f"{movie.stem}.{name}" for name in ("srt", "vtt", "jsonl")}
    outputs["render"] = folder / f"{movie.stem}-narrated.mp4"
    command = ["file", str(movie)]
    for option, path in outputs.items():
        command += [f"--{option}", str(path)]
    console.print(f"$ avstream {shlex.join(command)}", highlight=False, soft_wrap=True, markup=False)
    narrator = subprocess.Popen([sys.executable, "-m", "avstream", *command])
    try:
        return narrator.wait(), outputs
    except KeyboardInterrupt:  # it got the same Ctrl-C, and finishes its files before it goes
        return narrator.wait(), outputs


def narrations(path: Path) -> list[dict[str, Any]]:
    """The narrations of a JSON Lines file. Raises SinkError."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise SinkError(f"no narrations to compare in {path}: {error}") from error
    return [line for line in lines if "event" not in line]


def print_files(paths: list[Path], since_s: float, console: Console) -> None:
    """The files written since then (seconds of the system's clock), with their sizes: not those of an earlier run."""
    there = [path for path in paths if path.is_file() and path.stat().st_mtime >= since_s]
    console.print("Files written:" if there else "No files were written.")
    for path in there:
        size = path.stat().st_size
        words = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
        console.print(f"  {words:>9}  {path}", highlight=False, soft_wrap=True, markup=False)


def demo(movie: Path | None, folder: Path, console: Console) -> int:
    """Make or take the movie, narrate it, compare, list the files; gives the exit code. Raises AvstreamError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"can't make the folder {folder}: {error}; choose another with --out") from error
    since_s = time.time() - 1  # some file systems count full seconds
    truth: list[SceneEvent] = []
    own: list[Path] = []
    if movie is None:
        console.print("Making a film with known truth: seven sounds, two silences, silent decoys ...")
        movie, truth = make_film(folder)
        own = [movie, folder / "truth.json"]
    code, outputs = narrate(movie, folder, console)
    if truth and code == 0:
        print_score(truth, narrations(outputs["jsonl"]), console)
    print_files([*own, *outputs.values()], since_s, console)
    return code


def main(arguments: list[str] | None = None) -> int:
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.make_demo", description=__doc__.split("\n\n")[1])
    parser.add_argument("movie", nargs="?", type=Path, metavar="MOVIE", help="a movie of yours to narrate")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="FOLDER", help="default: demo-out")
    options = parser.parse_args(arguments)
    try:
        return demo(options.movie, options.out, Console())
    except AvstreamError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
