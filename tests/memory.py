"""`python -m tests.memory [--streams 1 2 4] [--seconds 60] [--size 1280x720]`: what `avstream live` needs in memory.

Real network cameras (a looping movie as MPEG-TS, with sound) and nano, without a window. What a process shares with
others counts in shares (PSS); pages of files that it only reads, such as libraries, stand apart, as they can be had
back.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from pipelines.make_demo import room, story
from pipelines.scenes.compose import write_scene_movie
from tests.stream_servers import sending

MIB = 2**20
START_S = 120.0


def make_movie(folder: Path, size: tuple[int, int]) -> Path:
    """The demo's story as MPEG-TS with a key picture every second."""
    whole, stream = folder / "story.mp4", folder / "story.ts"
    write_scene_movie(whole, story(), size=size, rng=np.random.default_rng(7), behind=room(*size))
    coding = "-c:v libx264 -preset veryfast -g 25 -bf 0 -c:a aac -f mpegts"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(whole), *coding.split(), str(stream)], check=True)
    return stream


def memory_mib(pid: int) -> dict[str, float]:
    """Resident, proportional and own memory of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {name: int(kb) / 1024 for name, kb in re.findall(r"^(Rss|Pss|Pss_Anon):\s+(\d+) kB", text, re.M)}
    return {"rss": found["Rss"], "pss": found["Pss"], "own": found["Pss_Anon"]}


def measured(movie: Path, streams: int, seconds: float, folder: Path) -> dict[str, float]:
    """A program with so many cameras, after so long."""
    with ExitStack() as stack:
        urls = [stack.enter_context(sending(movie)).url for _ in range(streams)]
        logs = [folder / f"{streams}-{n}.jsonl" for n in range(streams)]
        rows = [f"  s{n}: {{camera: '{url}', jsonl: '{logs[n]}'}}" for n, url in enumerate(urls)]
        config = folder / "home.yaml"
        config.write_text("\n".join(["streams:", *rows]))
        command = [sys.executable, "-m", "avstream", "live", "--config", str(config)]
        env = {**os.environ, "PULSE_SERVER": "unix:/nowhere"}
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=env) as process:
            began = time.monotonic()
            try:
                while not all(log.exists() and '"label"' in log.read_text() for log in logs):
                    assert time.monotonic() - began < START_S and process.poll() is None, "a stream did not come"
                    time.sleep(0.5)
                time.sleep(seconds)
                return memory_mib(process.pid)
            finally:
                process.terminate()


def main() -> int:
    """Measure, and print a line for each number of streams."""
    parser = argparse.ArgumentParser(prog="python -m tests.memory", description=__doc__.split("\n\n")[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--size", default="1280x720")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="avs-memory-") as folder:
        movie = make_movie(Path(folder), (width, height))
        for streams in options.streams:
            found = measured(movie, streams, options.seconds, Path(folder))
            print(f"{streams} streams of {options.size}:", *(f"{name} {mib:.0f} MB" for name, mib in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
