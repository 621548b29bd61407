"""Time the stages: of a preset on a movie, or of true-shape models with random weights, where no checkpoint is.

    python -m pipelines.bench movie.mp4 --bars [--yamnet FOLDER] [--page docs/performance.md] [--out bars.json]
    python -m pipelines.bench movie.mp4 [--preset nano]
    python -m pipelines.bench --random encoders --random llava-0.5b --threads 1
    python -m pipelines.bench --random encoders --random llava-0.5b --device cuda

With --bars, what complete programs take beside their peers: start, sound alone, 720p beside ffmpeg's decoding (which
has to be installed), many live streams, memory. It takes about six minutes. Else every figure is a median of complete
calls. Compare figures of one run only.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from avstream import loading, torch_models
from avstream.config import presets
from avstream.errors import AvstreamError
from avstream.narrator import Narrator
from avstream.sources.file.movie import Movie
from avstream.windows import Windower
from pipelines.benchmarks import bars, shapes
from pipelines.evaluation import plots, tables


def bench_random(name: str, device: torch.device, console: Console) -> None:
    """Print what a true-shape model costs in each way to run it."""
    console.print(f"making {name} with random weights", style="dim")
    found = shapes.measure(name, device)
    table = Table(title=found.title, caption=found.note)
    for heading in found.headings:
        table.add_column(heading, justify="left" if heading == found.headings[0] else "right")
    for row in found.rows:
        table.add_row(*row)
    console.print(table)


def bench_movie(path: Path, settings: presets.Settings, hop_s: float, console: Console, figure: Path | None) -> None:
    """Narrate a movie without outputs, one stage after the other on one thread, and show where the time went."""
    narrator = Narrator(loading.load(settings))
    source = Movie(path, motion=True)
    windower = Windower(hop_s=hop_s, has_audio=source.info.has_audio, has_video=source.info.has_video)
    stages: dict[str, list[float]] = {}
    windows, began = 0, perf_counter()
    items = iter(source)
    while True:
        before = perf_counter()
        item = next(items, None)
        found = windower.push(item) if item is not None else windower.finish(source.reached_s)
        stages.setdefault("decode", []).append((perf_counter() - before) * 1000)
        for window in found:
            windows += 1
            for stage, ms in narrator.narrate_window(window, path.name).timings_ms.items():
                stages.setdefault(stage, []).append(ms)
        if item is None:
            break
    wall_s, stream_s = perf_counter() - began, source.reached_s or 0.0
    table = Table(title=f"{path.name}: {windows} windows, {stream_s:.1f} s, real-time factor {wall_s / stream_s:.3f}")
    for heading in ("stage", "calls", "p50 ms", "p95 ms", "share of wall"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, times_ms in stages.items():
        p50, p95 = np.percentile(times_ms, [50, 95])
        share = sum(times_ms) / wall_s / 10
        table.add_row(stage, str(len(times_ms)), f"{p50:.2f}", f"{p95:.2f}", f"{share:.1f} %")
    console.print(table)
    if figure is not None:
        draw_stages({stage: sum(times_ms) / windows for stage, times_ms in stages.items()}, figure)


def draw_stages(mean_ms: dict[str, float], path: Path) -> None:
    """A bar for each stage: the milliseconds that it takes of a window, in the mean of all windows."""
    drawing, axes = plots.figure((plots.SIZE_IN[0], 0.6 + 0.35 * len(mean_ms)))
    axes.bar_label(axes.barh(list(mean_ms), list(mean_ms.values())), fmt=" %.1f")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("ms a window, the mean of all")
    plots.save(drawing, path)


def bench_bars(movie: Path, yamnet: Path | None, out: Path | None, page: Path | None, console: Console) -> None:
    """Every bar beside its peer, as a table, as JSON and in a page."""
    table = Table(title=bars.machine())
    for heading in bars.HEADINGS:
        table.add_column(heading, justify="left" if heading in ("what", "peer") else "right")
    rows: list[bars.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in bars.measured(movie, Path(folder), yamnet):
            console.print(f"{row.what}: {row.value:.3g} {row.unit}", style="dim")
            rows.append(row)
            table.add_row(*bars.cells(row))
    console.print(table)
    if out is not None:
        tables.write_json(out, bars.as_json(rows))
    if page is not None:
        bars.write_page(page, rows)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("movie", nargs="?", type=Path, help="a movie to narrate, without outputs")
    parser.add_argument("--bars", action="store_true", help="complete programs on it, beside their peers")
    parser.add_argument("--yamnet", type=Path, help="with --bars: folder of yamnet.tflite and class_map.csv, as a peer")
    parser.add_argument("--out", type=Path, help="with --bars: the measurements as JSON")
    parser.add_argument("--page", type=Path, help="with --bars: the page whose table is replaced: docs/performance.md")
    parser.add_argument("--figure", type=Path, help="a PNG of where the milliseconds of a window go")
    parser.add_argument("--preset", default="nano", help="for the movie (default: nano)")
    parser.add_argument("--hop", type=float, default=1.0, help="seconds (default: 1)")
    parser.add_argument(
        "--random", action="append", choices=shapes.NAMES, default=[], help="true shapes, random weights"
    )
    parser.add_argument("--threads", type=int, default=0, help="0: one for each core; a preset has its own")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of --random (default: cpu)")
    args = parser.parse_args()
    if not args.movie and not args.random:
        parser.error("give a movie, or --random MODEL")
    if args.bars and not args.movie:
        parser.error("--bars needs a movie")
    console = Console(highlight=False)
    try:
        if args.bars:
            bench_bars(args.movie, args.yamnet, args.out, args.page, console)
            return 0
        if args.movie:
            bench_movie(args.movie, presets.load(args.preset), args.hop, console, args.figure)
        device = torch_models.choose_device(args.device)
        torch_models.use_threads(args.threads, device)
        threads = torch.get_num_threads()
        console.print(f"{platform.machine()}, torch {torch.__version__}, threads: {threads}", style="dim")
        for name in args.random:
            bench_random(name, device, console)
    except AvstreamError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
