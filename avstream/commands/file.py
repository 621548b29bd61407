"""`avstream file`: narrate movies and sound files."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from avstream.commands.options import (
    INTERRUPTED,
    add_hop,
    add_model_options,
    add_sound_options,
    load_narrator,
    say,
    say_error,
    seconds,
    settings_of,
)
from avstream.commands.signals import Signals
from avstream.errors import AvstreamError, ConfigError, SourceError
from avstream.events import Rules, parse_thresholds

if TYPE_CHECKING:
    from rich.console import Console

    from avstream.narrator import Narrator
    from avstream.sinks.base import Sink
    from avstream.stream import Report, Stream

EXAMPLES = """\
examples:
  avstream file movie.mp4                                  narrate to the terminal
  avstream file movie.mp4 --srt movie.srt --vtt movie.vtt  captions for any player
  avstream file movie.mp4 --render narrated.mp4            captions and heatmap burned in
  avstream file movie.mp4 --events movie.csv               a table of what sounds when, and where
  avstream file a.mp4 b.mkv --jsonl - | jq .text           several movies, as JSON lines
"""


def add(command: argparse.ArgumentParser) -> None:
    """The options of this command."""
    command.set_defaults(run=narrate_files)
    command.add_argument("movies", nargs="+", type=Path, metavar="MOVIE", help="any file that ffmpeg reads")
    add_stream_options(command)
    add_output_options(command)
    add_sound_options(command, begin="any; the confidence is in the outputs")
    add_model_options(command)


def add_stream_options(command: argparse.ArgumentParser) -> None:
    """What to read of a movie, and how finely."""
    group = command.add_argument_group("what to narrate")
    group.add_argument("--start", type=seconds, default=0.0, metavar="TIME", help="from here on: 90, 1:30 or 0:01:30")
    group.add_argument("--end", type=seconds, metavar="TIME", help="up to here")
    add_hop(group)


def add_output_options(command: argparse.ArgumentParser) -> None:
    """Where narrations go, besides the terminal."""
    group = command.add_argument_group(
        "outputs",
        "Output goes to NAME.part.EXT and is renamed once complete. With several movies, give an existing folder.",
    )
    group.add_argument("--srt", type=Path, metavar="PATH", help="captions as SubRip")
    group.add_argument("--vtt", type=Path, metavar="PATH", help="captions as WebVTT")
    group.add_argument("--render", type=Path, metavar="PATH", help="the movie, captions and heatmap burned in")
    group.add_argument("--events", type=Path, metavar="PATH", help="a table (CSV) with a row for each sound")
    group.add_argument(
        "--jsonl", metavar="PATH", help="a JSON object for each window and event, all movies; - is standard output"
    )
    group.add_argument("--timings", action="store_true", help="say at the end how long each stage took")


def narrate_files(options: argparse.Namespace) -> int:
    """`avstream file`: every movie in turn, models loaded once. A movie that fails does not stop the others."""
    from rich.console import Console

    from avstream.sinks.jsonl import JsonlSink

    settings = settings_of(options)
    rules = rules_of(options)
    check_outputs(options)
    console = Console(stderr=options.jsonl == "-", highlight=False)
    codes, narrator = [0], None
    with Signals() as signals, asyncio.Runner() as runner, ExitStack() as shared:
        sinks = [shared.enter_context(JsonlSink(options.jsonl))] if options.jsonl else []
        for movie in options.movies:
            try:
                with open_movie(movie, options, rules, console, sinks) as stream:
                    narrator = narrator or load_narrator(settings, options.heatmap, console)
                    narrator.overruled = 0
                    runner.run(narrate_stream(stream, narrator, signals, debug=options.debug))
                    conclude(stream.report, narrator, console, timings=options.timings)
                    if not stream.source.info.has_audio:
                        say(f"warning: {movie}: this movie has no sound track: nothing can be heard in it")
                    codes.append(stream.report.exit_code)
            except AvstreamError as error:
                if options.debug or error.exit_code != SourceError.exit_code:
                    raise
                say(str(error))
                codes.append(error.exit_code)
            if signals.code:
                say(INTERRUPTED)
                break
    return signals.code or max(codes)


async def narrate_stream(stream: Stream, narrator: Narrator, signals: Signals, *, debug: bool) -> None:
    """Narrate a movie to its end or to a signal."""
    from avstream import loop

    await loop.run([stream], narrator, stop=await signals.stoppable(), on_error=partial(say_error, debug=debug))


@contextmanager
def open_movie(
    path: Path, options: argparse.Namespace, rules: Rules, console: Console, shared: Sequence[Sink]
) -> Iterator[Stream]:
    """One movie with its own sinks, and those that it shares with others."""
    from avstream.sources.file.movie import Movie
    from avstream.stream import HOP_S, Stream

    source = Movie(path, start_s=options.start, end_s=options.end, motion=True)
    try:
        hop_s = HOP_S if options.hop is None else options.hop
        sinks = open_sinks(path, options, console)
        yield Stream(source, sinks, rules=rules, shared=shared, hop_s=hop_s, start_s=options.start)
    finally:
        source.close()


def rules_of(options: argparse.Namespace) -> Rules:
    """What is spoken of. Raises ConfigError."""
    thresholds = parse_thresholds(options.threshold or ())
    only, mute, urgent = (set(labels or ()) for labels in (options.only, options.mute, options.urgent))
    return Rules(thresholds, only, mute, urgent, begin=0.0)


def check_outputs(options: argparse.Namespace) -> None:
    """Raises ConfigError where several movies would go to one file."""
    for option in ("srt", "vtt", "render", "events"):
        path: Path | None = getattr(options, option)
        if path is not None and len(options.movies) > 1 and not path.is_dir():
            expected = f"an existing folder as --{option}, where each of {len(options.movies)} movies gets a file"
            raise ConfigError(f"{path}", "create it, or narrate the movies one by one", expected)
    targets = [target for movie in options.movies for target in outputs(movie, options).values()]
    if options.jsonl not in (None, "-"):
        targets.append(Path(options.jsonl))
    resolved = [target.resolve() for target in targets]
    for movie in options.movies:
        if movie.resolve() in resolved:
            raise ConfigError(f"{movie} is both a movie to read and an output to write", "name another output")
    for target in resolved:
        if resolved.count(target) > 1:
            raise ConfigError(f"two outputs would be written to {target}", "rename a movie, or narrate it by itself")


def outputs(movie: Path, options: argparse.Namespace) -> dict[str, Path]:
    """Option -> the file that this movie's output goes to; in a folder, it is named after the movie."""
    named = {"srt": f"{movie.stem}.srt", "vtt": f"{movie.stem}.vtt", "render": f"{movie.stem}-narrated.mp4"}
    named["events"] = f"{movie.stem}.csv"
    found: dict[str, Path] = {}
    for option, name in named.items():
        path: Path | None = getattr(options, option)
        if path is not None:
            found[option] = path / name if path.is_dir() else path
    return found


def open_sinks(movie: Path, options: argparse.Namespace, console: Console) -> list[Sink]:
    """The sinks of one movie. Raises SinkError where one can't be written."""
    from avstream.sinks.captions import CaptionSink
    from avstream.sinks.table import EventTableSink
    from avstream.sinks.terminal import TerminalSink

    paths = outputs(movie, options)
    sinks: list[Sink] = [TerminalSink(console, start_s=options.start, end_s=options.end)]
    if "srt" in paths:
        sinks.append(CaptionSink(paths["srt"], "srt"))
    if "vtt" in paths:
        sinks.append(CaptionSink(paths["vtt"], "vtt"))
    if "events" in paths:
        sinks.append(EventTableSink(paths["events"]))
    if "render" in paths:
        from avstream.sinks.video.sink import VideoSink

        sinks.append(VideoSink(movie, paths["render"], start_s=options.start, end_s=options.end))
    return sinks


def conclude(report: Report, narrator: Narrator, console: Console, *, timings: bool) -> None:
    """Print how it went; warnings go to stderr."""
    for warning in report.warnings:
        say(f"warning: {warning}")
    console.print(
        f"{report.windows} windows ({report.silent} silent), {report.stream_s:.1f} s in {report.wall_s:.1f} s: "
        f"real-time factor {report.real_time_factor:.3f}",
        markup=False,
    )
    stages = report.percentiles()
    if stages and timings:
        console.print(
            "p50/p95 ms a window: " + ", ".join(f"{name} {p50:.1f}/{p95:.1f}" for name, (p50, p95) in stages.items()),
            markup=False,
        )
    if narrator.overruled:
        console.print(f"{narrator.overruled} sentences did not agree with the evidence and were put right")
