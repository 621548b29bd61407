"""Time the stages: of a preset on a movie, or of true-shape models with random weights, where no checkpoint is.

    python -m pipelines.bench movie.mp4 --bars [--yamnet FOLDER] [--page docs/performance.md] [--out bars.json]
    python -m pipelines.bench movie.mp4 [--preset nano]
    python -m pipelines.bench --random clip-l-336 --random whisper-small --random llava-1.5-7b --layers 2

With --bars, what complete programs take beside their peers: start, sound alone, 720p beside ffmpeg's decoding (which
has to be installed), many live streams, memory. It takes about six minutes. Else every figure is a median of complete
calls. Compare figures of one run only.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from avstream import loading, torch_models
from avstream.config import presets
from avstream.encoders.whisper import cut_positions
from avstream.errors import AvstreamError
from avstream.narrator import Narrator
from avstream.sources.file.movie import Movie
from avstream.windows import Windower
from pipelines.benchmarks import bars
from pipelines.evaluation import plots, tables

PROMPT_TOKENS = 40
CLIP_L = CLIPVisionConfig(
    hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
    image_size=336, patch_size=14,
)  # fmt: skip
WHISPER_SMALL = WhisperConfig(
    d_model=768, encoder_layers=12, encoder_attention_heads=12, encoder_ffn_dim=3072, vocab_size=51865
)
LLAMA_7B = LlamaConfig(
    hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, vocab_size=32064
)
Calls = dict[str, Callable[[], object]]
Model = TypeVar("Model", bound=torch.nn.Module)


def clip_l_336(dtype: torch.dtype, layers: int | None) -> Calls:
    """CLIP ViT-L/14-336 on one picture: all 24 blocks, and the 23 that LLaVA reads."""
    tower = random_model(lambda: CLIPVisionModel(shortened(CLIP_L, layers)), dtype)
    pixels = torch.randn(1, 3, 336, 336, dtype=dtype)
    blocks = tower.encoder.layers

    def read_by_llava() -> None:
        last = blocks[-1]
        del blocks[-1]
        tower(pixels)
        blocks.append(last)

    return {"all blocks": lambda: tower(pixels), "without the last": read_by_llava}


def whisper_small(dtype: torch.dtype, layers: int | None) -> Calls:
    """The encoder of Whisper small: padded to 30 s, and cut to the 3 s of a window."""
    padded = random_model(lambda: WhisperEncoder(shortened(WHISPER_SMALL, layers)), dtype)
    cut = cut_positions(random_model(lambda: WhisperEncoder(shortened(WHISPER_SMALL, layers)), dtype), 3.0)
    return {
        "padded to 30 s": lambda: padded(torch.randn(1, 80, 3000, dtype=dtype)),
        "cut to 3 s": lambda: cut(torch.randn(1, 80, 300, dtype=dtype)),
    }


def llava_7b(dtype: torch.dtype, layers: int | None) -> Calls:
    """The prefill of LLaVA-1.5-7B's language model for the visual tokens of `zero` and of `drop`."""
    llama = random_model(lambda: LlamaForCausalLM(shortened(LLAMA_7B, layers)), dtype)

    def prefill(visual: int) -> Callable[[], object]:
        embedded = torch.randn(1, PROMPT_TOKENS + visual, LLAMA_7B.hidden_size, dtype=dtype)
        return lambda: llama(inputs_embeds=embedded, logits_to_keep=1)

    return {"zero, 577": prefill(577), "drop, k = 150": prefill(151), "drop, k = 15": prefill(16)}


RANDOM = {"clip-l-336": clip_l_336, "whisper-small": whisper_small, "llava-1.5-7b": llava_7b}


def shortened(config: object, layers: int | None) -> object:
    """A copy of a config with fewer layers, for machines that can't hold them all: cost is linear in them."""
    if layers is None:
        return config
    copy = type(config)(**config.to_dict())  # type: ignore[attr-defined]
    setattr(copy, "encoder_layers" if hasattr(copy, "encoder_layers") else "num_hidden_layers", layers)
    return copy


def random_model(build: Callable[[], Model], dtype: torch.dtype) -> Model:
    """A model of a true shape with arbitrary weights, made in its own dtype at once: 7 B in float32 may not fit."""
    torch.set_default_dtype(dtype)
    try:
        return build().eval()
    finally:
        torch.set_default_dtype(torch.float32)


def timed(call: Callable[[], object], repeats: int) -> list[float]:
    """Milliseconds of each call after one that warms up."""
    with torch.inference_mode():
        call()
        found = []
        for _ in range(repeats):
            began = perf_counter()
            call()
            found.append((perf_counter() - began) * 1000)
    return found


def bench_random(name: str, dtype: torch.dtype, layers: int | None, repeats: int, console: Console) -> None:
    """Time one true-shape model; each way is put in proportion to the first."""
    console.print(f"making {name} with random weights", style="dim")
    calls = RANDOM[name](dtype, layers)
    table = Table(title=f"{name}, {str(dtype).removeprefix('torch.')}" + (f", {layers} layers" if layers else ""))
    for heading in ("way", "median ms", "min ms", "max ms", "of the first"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    first = 0.0
    for way, call in calls.items():
        found = timed(call, repeats)
        first = first or median(found)
        table.add_row(
            way, f"{median(found):.1f}", f"{min(found):.1f}", f"{max(found):.1f}", f"{median(found) / first:.2f}"
        )
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
    parser.add_argument("--random", action="append", choices=RANDOM, default=[], help="a true shape, random weights")
    parser.add_argument("--layers", type=int, help="only so many of its layers, where memory does not hold them all")
    parser.add_argument("--repeats", type=int, default=5, help="calls that are timed (default: 5)")
    parser.add_argument("--dtype", default="auto", choices=presets.CHOICES["dtype"])
    parser.add_argument("--threads", type=int, default=0, help="0: one for each core; a preset has its own")
    args = parser.parse_args()
    if not args.movie and not args.random:
        parser.error("give a movie, or --random MODEL")
    if args.repeats < 1 or (args.layers is not None and args.layers < 1):
        parser.error("--repeats and --layers must be 1 or more")
    if args.bars and not args.movie:
        parser.error("--bars needs a movie")
    console = Console(highlight=False)
    try:
        if args.bars:
            bench_bars(args.movie, args.yamnet, args.out, args.page, console)
            return 0
        if args.movie:
            bench_movie(args.movie, presets.load(args.preset), args.hop, console, args.figure)
        device = torch.device("cpu")
        torch_models.use_threads(args.threads, device)
        dtype = torch_models.choose_dtype(args.dtype, device)
        threads = torch.get_num_threads()
        console.print(f"{platform.machine()}, torch {torch.__version__}, threads: {threads}", style="dim")
        for name in args.random:
            bench_random(name, dtype, args.layers, args.repeats, console)
    except AvstreamError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
