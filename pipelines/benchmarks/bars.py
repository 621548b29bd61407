"""What narrating costs beside what a user would pick instead, all in one run: CPU time, memory, latency.

Each program is a process of its own whose CPU time (user and system, all threads) and largest resident memory the
kernel counts. CPU time is the same on a busy machine but for a few percent; ratios of one run are what counts.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

from avstream import loading
from avstream.config import presets
from avstream.errors import SourceError
from avstream.narrator import SAVINGS, Narrator, Saving
from avstream.records import Window
from avstream.sources.file.movie import Movie
from avstream.windows import Windower
from pipelines.evaluation import tables

START_MOVIE_S, MOVIE_S, SOUND_S = 3, 120, 300
STREAMS, STREAMS_S = 16, 30
TURNS = 3  # of decoding and us, as the machine is faster now and slower then
HOPS_S = (0.5, 2.0)
SIZES, SIZED_S = {360: 640, 1080: 1920}, 60  # height: width
RATE = "3M"  # bits a second, about what television takes; by its default x264 takes less than a third for this movie
DECODING = "ffmpeg decoding"
HEADINGS = ("what", "measured", "peer", "ratio", "bar")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
# in a small process of its own: a program's largest memory would count that of a larger one that started it
RUN = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, code)
"""
AVSTREAM = [sys.executable, "-m", "avstream"]
SAID = re.compile(r"(\d+) windows, .* (\d+) windows dropped, latency p50/p95 ([\d.]+)/([\d.]+) s")


@dataclass(frozen=True)
class Row:
    """One measurement: what it gave, what a peer gave (None: there is none, or it is not here), and the bar."""

    what: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    bar: str = ""

    @property
    def ratio(self) -> float | None:
        """The value over the peer's."""
        return self.value / self.peer_value if self.peer_value else None


@dataclass(frozen=True)
class Spent:
    """What a process took: CPU seconds, its largest resident memory in MiB, and what it wrote to stderr."""

    cpu_s: float
    rss_mib: float
    stderr: str


def spent(command: list[str]) -> Spent:
    """Run a program to its end. Raises SourceError when it fails."""
    done = subprocess.run([sys.executable, "-c", RUN, *command], capture_output=True, text=True, check=True)
    cpu_s, largest, code = done.stdout.split()
    if code != "0":
        raise SourceError(f"{' '.join(command)[:200]} ended with {code}: {done.stderr[-500:]}")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return Spent(float(cpu_s), float(largest) / unit, done.stderr)


def coded(movie: Path, out: Path, options: str) -> Path:
    """A movie as ffmpeg codes it anew, looped as often as it takes."""
    ffmpeg = ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(movie)]
    spent([*ffmpeg, *options.split(), str(out)])
    return out


def scaled(width: int, height: int, rate_hz: int, seconds: int) -> str:
    """Ffmpeg's options for H.264 of that size."""
    fill = f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},fps={rate_hz}"
    return f"-t {seconds} -vf {fill} -c:v libx264 -preset veryfast -g {2 * rate_hz} -pix_fmt yuv420p -c:a aac -ac 2"


def starting(movie: Path, folder: Path) -> Iterator[Row]:
    """From nothing to the first narrations, and what `import avstream` takes of that."""
    short = coded(movie, folder / "short.mp4", scaled(1280, 720, 30, START_MOVIE_S))
    bare = spent([sys.executable, "-c", "pass"]).cpu_s
    light = spent([sys.executable, "-c", "import avstream"]).cpu_s
    heavy = spent([sys.executable, "-c", "import torch, transformers"]).cpu_s
    yield Row("import avstream", light - bare, "CPU s", "torch, transformers", heavy - bare, "0.2")
    first = spent([*AVSTREAM, "file", str(short)]).cpu_s
    yield Row(f"avstream file, {START_MOVIE_S} s of 720p30", first, "CPU s", bar="1.2")


def listening(movie: Path, folder: Path, yamnet: Path | None) -> Iterator[Row]:
    """Sound alone, its start included."""
    sound = coded(movie, folder / "sound.wav", f"-t {SOUND_S} -vn -ar 16000 -ac 1")
    ours = spent([*AVSTREAM, "file", str(sound)]).cpu_s / SOUND_S
    theirs = None if yamnet is None else yamnet_cpu_s(yamnet, sound) / SOUND_S
    yield Row(f"sound alone, {SOUND_S} s", ours, "CPU s a second", "YAMNet alone", theirs, "0.02")


def yamnet_cpu_s(folder: Path, sound: Path) -> float:
    """CPU seconds that YAMNet takes for a sound that is in memory, a patch each 0.48 s."""
    from pipelines.sounds.recordings import decode
    from pipelines.sounds.yamnet import Yamnet

    yamnet, samples = Yamnet(folder), decode(sound)
    began = process_time()
    yamnet(samples)
    return process_time() - began


def watching(movie: Path, folder: Path) -> Iterator[Row]:
    """A movie with sound, beside decoding it without doing anything with it."""
    long = coded(movie, folder / "long.mp4", scaled(1280, 720, 30, MOVIE_S))
    turns = [(decoded_cpu_s(long), spent([*AVSTREAM, "file", str(long)])) for _ in range(TURNS)]
    decoding, ours = median(one for one, _ in turns), median(used.cpu_s for _, used in turns)
    yield Row(f"720p30, {MOVIE_S} s, median of {TURNS}", ours, "CPU s", DECODING, decoding, "1.5 times")
    yield Row(f"720p30, {MOVIE_S} s: memory", max(used.rss_mib for _, used in turns), "MiB", bar="400")
    for hop in HOPS_S:
        other = spent([*AVSTREAM, "file", str(long), "--hop", str(hop)]).cpu_s
        yield Row(f"720p30, a hop of {hop:g} s", other, "CPU s", "of 1 s", ours)
    for height, width in SIZES.items():
        yield beside_decoding(f"{height}p30", coded(movie, folder / "sized.mp4", scaled(width, height, 30, SIZED_S)))
    richer = f"{scaled(1280, 720, 30, SIZED_S)} -b:v {RATE}"
    yield beside_decoding(f"720p30 of {RATE}bit/s", coded(movie, folder / "richer.mp4", richer))
    yield from saving(long)


def beside_decoding(name: str, movie: Path) -> Row:
    """A movie of SIZED_S, beside decoding it."""
    decoding = decoded_cpu_s(movie)
    return Row(f"{name}, {SIZED_S} s", spent([*AVSTREAM, "file", str(movie)]).cpu_s, "CPU s", DECODING, decoding)


def decoded_cpu_s(movie: Path) -> float:
    """CPU seconds for ffmpeg to decode a movie and its sound, on one thread."""
    return spent(["ffmpeg", "-v", "error", "-threads", "1", "-i", str(movie), "-f", "null", "-"]).cpu_s


def saving(movie: Path) -> Iterator[Row]:
    """The narrator alone on the movie's windows: with all savings, and without each."""
    windows = list(windows_of(movie))
    models = loading.load(presets.load("nano"))
    complete, texts = narrated(models, windows, SAVINGS)
    for left_out in sorted(SAVINGS):
        without, same = narrated(models, windows, SAVINGS - {left_out})
        agree = sum(a == b for a, b in zip(texts, same, strict=True)) / len(texts)
        name = f"narrator, {left_out} made out anew ({agree:.0%} say the same)"
        yield Row(name, without, "CPU s", "saved", complete)


def windows_of(movie: Path) -> Iterator[Window]:
    """The windows of a movie, without motion."""
    source = Movie(movie)
    windower = Windower(hop_s=1.0, has_audio=source.info.has_audio, has_video=source.info.has_video)
    for item in source:
        yield from windower.push(item)
    yield from windower.finish(source.reached_s)


def narrated(models: loading.Models, windows: list[Window], savings: frozenset[Saving]) -> tuple[float, list[str]]:
    """CPU seconds for the windows of one source, and the sentences."""
    narrator = Narrator(models, savings=savings)
    began = process_time()
    texts = [narrator.narrate_window(window, "movie").text for window in windows]
    return process_time() - began, texts


def streaming(movie: Path, folder: Path) -> Iterator[Row]:
    """One live stream, and many at once: files that are played at their own speed, as a camera would come."""
    small = coded(movie, folder / "small.mp4", scaled(640, 360, 10, STREAMS_S))
    for count in (1, STREAMS):
        used, reports = live(small, count, folder)
        if len(reports) != count:
            raise SourceError(f"{count} streams were to report, {len(reports)} did: {used.stderr[-500:]}")
        name = f"{count} live, 360p10"
        yield Row(f"{name}: dropped", sum(report[1] for report in reports), "windows", bar="0")
        yield Row(f"{name}: CPU", used.cpu_s / STREAMS_S, "CPU s a second", bar=str(os.cpu_count()))
        yield Row(f"{name}: latency p95", max(report[3] for report in reports), "s", bar="0.15")
        yield Row(f"{name}: memory", used.rss_mib, "MiB", bar="400" if count == 1 else "")


def live(movie: Path, count: int, folder: Path) -> tuple[Spent, list[tuple[int, int, float, float]]]:
    """What `avstream live` took, and of each stream: windows, windows dropped, latency p50 and p95 in seconds."""
    config = folder / f"{count}.yaml"
    rows = [f"  s{n}: {{camera: '{movie}', realtime: true, loop: true}}" for n in range(count)]
    config.write_text("\n".join(["streams:", *rows]), encoding="utf-8")
    used = spent([*AVSTREAM, "live", "--config", str(config), "--duration", str(STREAMS_S)])
    found = SAID.findall(used.stderr)
    return used, [(int(windows), int(dropped), float(p50), float(p95)) for windows, dropped, p50, p95 in found]


def measured(movie: Path, folder: Path, yamnet: Path | None) -> Iterator[Row]:
    """Every row, as it is measured."""
    yield from starting(movie, folder)
    yield from listening(movie, folder, yamnet)
    yield from watching(movie, folder)
    yield from streaming(movie, folder)


def as_json(rows: list[Row]) -> dict[str, object]:
    """The rows with their ratios, and the machine."""
    return {"machine": machine(), "rows": [{**asdict(row), "ratio": row.ratio} for row in rows]}


def cells(row: Row) -> list[str]:
    """A row in words, under HEADINGS."""
    theirs = "" if row.peer_value is None else f"{row.peer}: {row.peer_value:.3g}"
    return [row.what, f"{row.value:.3g} {row.unit}", theirs, f"{row.ratio:.2f}" if row.ratio else "", row.bar]


def write_page(page: Path, rows: list[Row]) -> None:
    """Put the table into a page that has a place for it, BEGIN to END. Raises SourceError when it has none."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    if BEGIN not in text or END not in text:
        raise SourceError(f"{page} has no lines {BEGIN} and {END}", "add them where the table is to stand")
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    table = tables.markdown(HEADINGS, [cells(row) for row in rows])
    tables.write_text(page, f"{before}{BEGIN}\n\n{machine()}:\n\n{table}\n\n{after}")


def machine() -> str:
    """The processor, and how many of its cores there are."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return f"{found.group(1) if found else 'unknown processor'}, {os.cpu_count()} cores, numpy {np.__version__}"
