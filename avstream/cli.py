"""The commands: parse, wire, print. torch is imported only once there is something to narrate."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avstream import __version__, presets
from avstream.errors import AvstreamError, ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from avstream.narrator import Narrator
    from avstream.run import Report, Sink

INTERRUPTED = 130
EXAMPLES = """\
examples:
  avstream file movie.mp4                                  narrate to the terminal
  avstream file movie.mp4 --srt movie.srt --vtt movie.vtt  captions for any player
  avstream file movie.mp4 --render narrated.mp4            captions and heatmap burned in
  avstream file a.mp4 b.mkv --jsonl - | jq .text           several movies, as JSON lines
  avstream presets                                         the models to choose from

exit codes: 0 done, 1 a fault of ours, 2 usage or configuration, 3 source, 4 model, 5 output, 130 interrupted
"""
HEARS = "It hears " + "21 everyday sounds with the embedded `nano` models, offline; other presets use larger ones."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code; an error is one line on stderr, or a traceback with --debug."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("avstream: interrupted; what was narrated so far is kept", file=sys.stderr)
        return INTERRUPTED
    except AvstreamError as error:
        if options.debug:
            raise
        complain(error)
        return error.exit_code
    except Exception as error:
        if options.debug:
            raise
        print(f"avstream: a fault of ours: {type(error).__name__}: {error}; --debug shows where", file=sys.stderr)
        return AvstreamError.exit_code


def parser() -> argparse.ArgumentParser:
    """The command line, with help that teaches."""
    top = argparse.ArgumentParser(
        prog="avstream",
        description="Says what is sounding in a movie, where, and how sure it is. " + HEARS,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"avstream {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    file = commands.add_parser(
        "file",
        help="narrate movies or sound files",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    file.set_defaults(run=narrate_files)
    file.add_argument("movies", nargs="+", type=Path, metavar="MOVIE", help="any file that ffmpeg reads")
    add_stream_options(file)
    add_output_options(file)
    add_model_options(file)
    listing = commands.add_parser("presets", help="list the presets: size, licence, whether present")
    listing.set_defaults(run=list_presets)
    for command in (file, listing):
        command.add_argument("--debug", action="store_true", help="show a traceback when something goes wrong")
    return top


def add_stream_options(command: argparse.ArgumentParser) -> None:
    """What to read of a movie, and how finely."""
    group = command.add_argument_group("what to narrate")
    group.add_argument("--start", type=seconds, default=0.0, metavar="TIME", help="from here on: 90, 1:30 or 0:01:30")
    group.add_argument("--end", type=seconds, metavar="TIME", help="up to here")
    group.add_argument(
        "--hop", type=seconds, default=1.0, metavar="SECONDS", help="a new 3 s window every so often (default: 1)"
    )


def add_output_options(command: argparse.ArgumentParser) -> None:
    """Where narrations go, besides the terminal."""
    group = command.add_argument_group(
        "outputs", "Written as it goes, under NAME.part until whole. With several movies, give an existing folder."
    )
    group.add_argument("--srt", type=Path, metavar="PATH", help="captions as SubRip")
    group.add_argument("--vtt", type=Path, metavar="PATH", help="captions as WebVTT")
    group.add_argument("--render", type=Path, metavar="PATH", help="the movie, captions and heatmap burned in")
    group.add_argument("--jsonl", metavar="PATH", help="one JSON object a window, all movies; - is standard output")


def add_model_options(command: argparse.ArgumentParser) -> None:
    """The preset and what to change in it."""
    group = command.add_argument_group("models", "Each of these overrides the preset's own choice.")
    group.add_argument("--preset", default="nano", metavar="NAME", help="see `avstream presets` (default: nano)")
    group.add_argument(
        "--audio", metavar="ENCODER", help="whisper, whisperclip or clap, or ENCODER:CHECKPOINT (hub id or folder)"
    )
    group.add_argument("--language", metavar="CHECKPOINT", help="a LLaVA, with its own CLIP tower: hub id or folder")
    group.add_argument("--alignment", metavar="HOW", help="raw, projected, or the path of trained weights")
    group.add_argument("--tokens", type=int, metavar="K", help="how many picture patches are kept (paper: 15 or 150)")
    group.add_argument("--unselected", metavar="HOW", help="zero the other patches, or drop them")
    group.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or mps")
    group.add_argument("--dtype", metavar="NAME", help="auto, float32, bfloat16 or float16")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads; 0: one for each core")
    group.add_argument("--prompt", metavar="TEXT", help="the instruction to the language model")


def seconds(text: str) -> float:
    """`90`, `1:30` and `0:01:30` are the same time. Raises ArgumentTypeError."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(math.isfinite(part) and part >= 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected seconds (90) or a time (1:30, 0:01:30), found {text!r}")
    return sum(part * 60**power for power, part in enumerate(reversed(parts)))


def narrate_files(options: argparse.Namespace) -> int:
    """`avstream file`: every movie in turn, models loaded once. A movie that fails does not stop the others."""
    from rich.console import Console

    from avstream.sinks.jsonl import JsonlSink

    names = ("audio", "language", "alignment", "tokens", "unselected", "device", "dtype", "threads", "prompt")
    settings = presets.load(options.preset, **{name: getattr(options, name) for name in names})
    check_outputs(options)
    console = Console(stderr=options.jsonl == "-", highlight=False)
    shared: list[Sink] = [JsonlSink(options.jsonl)] if options.jsonl else []
    narrator: Narrator | None = None
    codes: list[int] = []
    try:
        for movie in options.movies:
            try:
                movie_code, narrator = narrate_movie(movie, options, settings, narrator, console, shared)
                codes.append(movie_code)
            except AvstreamError as error:
                if options.debug or error.exit_code != 3:
                    raise
                complain(error)
                codes.append(error.exit_code)
    finally:
        for sink in shared:
            sink.close()
    return max(codes)


def narrate_movie(
    path: Path,
    options: argparse.Namespace,
    settings: presets.Settings,
    narrator: Narrator | None,
    console: Console,
    shared: Sequence[Sink],
) -> tuple[int, Narrator]:
    """One movie: open it and its outputs, load the models if that was not done yet, narrate, report."""
    from avstream.run import narrate_stream
    from avstream.sources.movie import Movie
    from avstream.windows import Windower

    source = Movie(path, start_s=options.start, end_s=options.end, motion=True)
    windower = Windower(
        hop_s=options.hop,
        start_s=options.start,
        has_audio=source.info.has_audio,
        has_video=source.info.has_video,
    )
    try:
        sinks = open_sinks(path, options, console)
        narrator = narrator or load_narrator(settings, console)
        narrator.overruled = 0
        report = asyncio.run(narrate_stream(source, windower, narrator, sinks, shared))
    finally:
        source.close()
    return conclude(report, narrator, console), narrator


def load_narrator(settings: presets.Settings, console: Console) -> Narrator:
    """Load the models, saying which on a terminal. This is where torch comes in, after all that can be told early."""
    from transformers.utils import logging as transformers_logging

    from avstream import models
    from avstream.narrator import Narrator

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if settings.language == "nano":
        return Narrator(models.load(settings))
    return Narrator(models.load(settings, lambda part: console.print(f"loading {part}", style="dim", markup=False)))


def check_outputs(options: argparse.Namespace) -> None:
    """Raises ConfigError where several movies would go to one file."""
    for option in ("srt", "vtt", "render"):
        path: Path | None = getattr(options, option)
        if path is not None and len(options.movies) > 1 and not path.is_dir():
            raise ConfigError(
                f"--{option} {path}: {len(options.movies)} movies need an existing folder, where each gets a file"
            )
    targets = [target for movie in options.movies for target in outputs(movie, options).values()]
    if options.jsonl not in (None, "-"):
        targets.append(Path(options.jsonl))
    resolved = [target.resolve() for target in targets]
    for movie in options.movies:
        if movie.resolve() in resolved:
            raise ConfigError(f"{movie} is both a movie to read and an output to write: name another output")
    for target in resolved:
        if resolved.count(target) > 1:
            raise ConfigError(f"two outputs would be written to {target}: rename a movie, or narrate it by itself")


def outputs(movie: Path, options: argparse.Namespace) -> dict[str, Path]:
    """Option -> the file that this movie's output goes to; in a folder, it is named after the movie."""
    named = {"srt": f"{movie.stem}.srt", "vtt": f"{movie.stem}.vtt", "render": f"{movie.stem}-narrated.mp4"}
    found: dict[str, Path] = {}
    for option, name in named.items():
        path: Path | None = getattr(options, option)
        if path is not None:
            found[option] = path / name if path.is_dir() else path
    return found


def open_sinks(movie: Path, options: argparse.Namespace, console: Console) -> list[Sink]:
    """The sinks of one movie. Raises SinkError where one can't be written."""
    from avstream.sinks.captions import CaptionSink
    from avstream.sinks.terminal import TerminalSink

    paths = outputs(movie, options)
    sinks: list[Sink] = [TerminalSink(console, start_s=options.start, end_s=options.end)]
    if "srt" in paths:
        sinks.append(CaptionSink(paths["srt"], "srt"))
    if "vtt" in paths:
        sinks.append(CaptionSink(paths["vtt"], "vtt"))
    if "render" in paths:
        from avstream.sinks.video import VideoSink

        sinks.append(VideoSink(movie, paths["render"], start_s=options.start, end_s=options.end))
    return sinks


def conclude(report: Report, narrator: Narrator, console: Console) -> int:
    """Print how it went; warnings and errors go to stderr. Gives the exit code."""
    for warning in report.warnings:
        print(f"avstream: warning: {warning}", file=sys.stderr)
    for error in report.errors:
        complain(error)
    console.print(
        f"{report.windows} windows ({report.silent} silent), {report.stream_s:.1f} s in {report.wall_s:.1f} s: "
        f"real-time factor {report.real_time_factor:.3f}",
        markup=False,
    )
    stages = report.percentiles()
    if stages:
        console.print(
            "p50/p95 ms a window: " + ", ".join(f"{name} {p50:.1f}/{p95:.1f}" for name, (p50, p95) in stages.items()),
            markup=False,
        )
    if narrator.overruled:
        console.print(f"{narrator.overruled} sentences did not agree with the evidence and were put right")
    return max((error.exit_code for error in report.errors), default=0)


def complain(error: AvstreamError) -> None:
    """One line on stderr."""
    print(f"avstream: {error}", file=sys.stderr)


def list_presets(options: argparse.Namespace) -> int:
    """`avstream presets`: what there is, and what of it is on this machine."""
    from rich.console import Console
    from rich.table import Table

    from avstream.checkpoints import presence

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("preset", "what", "size", "licence", "here"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("preset", "here"))
    for name in presets.names():
        settings = presets.load(name)
        parts = {presence(settings.language), presence(settings.audio_checkpoint)}
        here = "not downloaded" if "not downloaded" in parts else parts.pop()
        table.add_row(name, settings.description, settings.size, settings.licence, here)
    Console(highlight=False).print(table)
    return 0
