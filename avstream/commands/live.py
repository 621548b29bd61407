"""`avstream live`: narrate cameras, microphones and network streams, until asked to stop."""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avstream import __version__
from avstream.commands.options import (
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
from avstream.config.live_file import Home, StreamSettings, load
from avstream.errors import ConfigError
from avstream.events import BEGIN, BEGIN_EARLY, Rules, parse_thresholds
from avstream.listeners.names import labels_of
from avstream.vocabulary import HOME, PARENTS
from avstream.workers import NoAnswerError, share_heaps, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avstream.sinks.base import Sink
    from avstream.sinks.live_terminal import StatusBoard
    from avstream.sinks.mqtt.service import MqttHub
    from avstream.sources.live.source import LiveSource
    from avstream.stream import Report, Stream

EXAMPLES = """\
examples:
  avstream devices                                             what to type for --camera and --mic
  avstream live --camera 0 --window                            a camera, the default microphone, and a window
  avstream live --mic "USB Audio" --urgent alarm --urgent knock   sound only
  avstream live --camera rtsp://user@camera.local/stream --mqtt mqtt://hub.local
  avstream live --camera movie.mp4 --realtime --window         rehearse with a movie
  avstream live --config home.yaml                             several streams, one model (see the README)

keys in the window: q quit, space freeze, h heatmap, m mute the newest sound, s snapshot, f full screen, ? help
"""
MOST_ANNOUNCED = 100
END_S = 5.0  # from when it is to stop: more than twice what the loop takes, for a busy machine
SAY_S = 0.5  # for stderr to take the last words; a stopped terminal takes none
MISSING_S, MISSING_SHARE = 5.0, 0.01  # of the sound: more is reported; a device or a network takes a while to begin
STREAM_OPTIONS = (
    "camera", "mic", "realtime", "loop", "name", "only", "mute", "urgent", "threshold", "window", "jsonl",
    "jsonl_rotate", "srt", "vtt",
)  # fmt: skip


def add(command: argparse.ArgumentParser) -> None:
    """The options of this command."""
    command.set_defaults(run=narrate)
    add_source_options(command)
    add_sound_options(command, begin=f"{BEGIN:g}, {BEGIN_EARLY:g} of what is urgent")
    add_output_options(command)
    add_broker_options(command)
    add_model_options(command)


def add_source_options(command: argparse.ArgumentParser) -> None:
    """What to listen to."""
    group = command.add_argument_group("what to narrate")
    group.add_argument(
        "--camera",
        metavar="WHICH",
        help="an index, a device path, or a URL (rtsp, http, udp; its USER:PASSWORD@ is never shown); none without it",
    )
    group.add_argument(
        "--mic",
        metavar="WHICH",
        help="an index, part of a name, `none`, or `stream`, the sound inside the URL (default: with a URL or a "
        "movie its own, else the system's microphone)",
    )
    group.add_argument("--realtime", action="store_true", help="--camera is a movie: play it at its own speed")
    group.add_argument("--loop", action="store_true", help="and again and again")
    group.add_argument("--name", metavar="NAME", help="what the stream is called in narrations and topics")
    group.add_argument("--config", type=Path, metavar="YAML", help="several streams, from a file")
    group.add_argument("--duration", type=seconds, metavar="TIME", help="stop after so long")
    add_hop(group)


def add_output_options(command: argparse.ArgumentParser) -> None:
    """Where narrations go, besides the terminal."""
    group = command.add_argument_group("outputs")
    group.add_argument("--window", action="store_true", help="show the picture with what sounds in it")
    group.add_argument("--no-flash", action="store_true", help="what is urgent stands still in the window")
    group.add_argument(
        "--jsonl",
        metavar="PATH",
        help="append a JSON object for each window and event, line by line; - is standard output",
    )
    group.add_argument("--jsonl-rotate", metavar="WHEN", help="begin a new file each `day`, or at a size such as 10MB")
    group.add_argument("--srt", metavar="PATH", help="captions as SubRip, timed from the start; earlier ones are kept")
    group.add_argument("--vtt", metavar="PATH", help="captions as WebVTT, timed from the start")
    group.add_argument("--mqtt-no-images", action="store_true", help="with --mqtt: publish no pictures")


def add_broker_options(command: argparse.ArgumentParser) -> None:
    """Which MQTT broker, and how to be let in."""
    group = command.add_argument_group(
        "MQTT", "The password comes from the environment (AVSTREAM_MQTT_PASSWORD) or from a file, not from the URL."
    )
    group.add_argument("--mqtt", metavar="URL", help="mqtt[s]://[user@]host[:port][/base]")
    group.add_argument("--mqtt-password-file", metavar="PATH", help="a file whose first line is the password")
    group.add_argument("--mqtt-cafile", metavar="PATH", help="the certificate authority of an mqtts broker, as PEM")


def home_of(options: argparse.Namespace) -> Home:
    """The streams to narrate, from the options or from the file they name. Raises ConfigError."""
    from avstream.sources.address import stream_name

    given = {name: getattr(options, name) for name in STREAM_OPTIONS if getattr(options, name)}
    if options.config is not None:
        if given:
            raise ConfigError("--config names the streams", f"put --{next(iter(given))} into {options.config}")
        return load(options.config)
    name = given.pop("name", None) or stream_name(options.camera)
    given["thresholds"] = parse_thresholds(given.pop("threshold", ()))
    lists = {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
    return Home((StreamSettings(name, **{**given, **lists}),))


def narrate(options: argparse.Namespace) -> int:
    """`avstream live`: wire everything, run until asked to stop, say how it went."""
    from rich.console import Console

    from avstream import loop
    from avstream.sinks.live_terminal import StatusBoard
    from avstream.stream import FEW

    home = home_of(options)
    if len(home.streams) <= FEW:  # the threads of many wait for each other there, and windows are dropped
        share_heaps()
    settings = settings_of(options, home.preset)
    board = StatusBoard(Console(stderr=any(stream.jsonl == "-" for stream in home.streams), highlight=False))
    rules = {stream.name: stream.rules() for stream in home.streams}
    hub = open_hub(options, home, rules, settings.name)
    # aiomqtt watches its socket, which Windows' own loop can't
    factory = asyncio.SelectorEventLoop if sys.platform == "win32" else None
    streams: list[Stream] = []
    summary = Once(lambda: conclude([stream.report for stream in streams], hub))

    def abandon() -> None:
        board.abandon()  # or the terminal's cursor would stay hidden
        with suppress(NoAnswerError):
            within(SAY_S, summary, name="summary")

    with Signals(at_once=abandon, within_s=END_S) as signals:
        labels = labels_of(settings.listener, settings.label_names)
        for place in range(len(home.streams)):
            streams.append(open_stream(place, options, home, rules, board, hub, signals, labels))
        narrator = load_narrator(settings, options.heatmap, board.console)

        async def main() -> None:
            asyncio.get_running_loop().set_default_executor(_Leaving())
            stop = await signals.stoppable(options.duration)
            services = [] if hub is None else [hub]
            report = partial(say_error, debug=options.debug)
            await loop.run(
                streams, narrator, stop=stop, services=services, on_error=report, on_end=summary,
                at_once=narrator.at_once,
            )  # fmt: skip

        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(main())
        finally:
            summary()
    return signals.code or max(stream.report.exit_code for stream in streams)


class Once:
    """A function that is called for the first time only, by whichever thread; another one waits for no end of it."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function, self._free = function, threading.Lock()

    def __call__(self) -> None:
        """Call it, if nobody has."""
        if self._free.acquire(blocking=False):
            self._function()


class _Leaving(ThreadPoolExecutor):
    """Where asyncio asks name servers: one that does not answer must not hold up the end."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)


def open_stream(
    place: int,
    options: argparse.Namespace,
    home: Home,
    all_rules: dict[str, Rules],
    board: StatusBoard,
    hub: MqttHub | None,
    signals: Signals,
    labels: Sequence[str],
) -> Stream:
    """The stream at a `place` in the home, its sinks and all, of a listener's `labels`. Raises ConfigError,
    SourceError and SinkError.
    """
    from avstream.sources.live.source import LiveSource
    from avstream.stream import HOP_S, Stream

    settings = home.streams[place]
    rules = all_rules[settings.name]
    source = LiveSource(
        camera=settings.camera,
        microphone=settings.mic,
        realtime=settings.realtime,
        loop=settings.loop,
        name=settings.name,
    )
    sinks = [*file_sinks(settings, board, named=len(home.streams) > 1)]
    if hub is not None:
        images = home.mqtt_images and not options.mqtt_no_images
        sinks.append(hub.sink(settings.name, rules, announced(labels, rules), images=images))
    if settings.window:
        sinks.append(open_display(source, rules, signals, flash=not options.no_flash))
    hop_s = next((hop for hop in (options.hop, home.hop) if hop is not None), HOP_S)
    of = len(home.streams)
    return Stream(source, sinks, policy="drop_oldest", rules=rules, hop_s=hop_s, place=place, of=of)


def file_sinks(settings: StreamSettings, board: StatusBoard, *, named: bool) -> Iterator[Sink]:
    """The terminal and the files of a stream. `named` puts its name before each line. Raises SinkError."""
    from avstream.sinks.captions import CaptionSink
    from avstream.sinks.files import rotation
    from avstream.sinks.jsonl import JsonlSink
    from avstream.sinks.live_terminal import LiveTerminalSink

    yield LiveTerminalSink(board, named=named)
    if settings.jsonl:
        rotate = rotation(settings.jsonl_rotate) if settings.jsonl_rotate else None
        yield JsonlSink(settings.jsonl, log=True, rotate=rotate)
    if settings.srt:
        yield CaptionSink(new_path(settings.srt), "srt")
    if settings.vtt:
        yield CaptionSink(new_path(settings.vtt), "vtt")


def new_path(path: str) -> Path:
    """The path, or, as captions of an earlier run are kept, one with a number."""
    from avstream.sinks.files import free_path

    free = free_path(path)
    if free != Path(path):
        say(f"captions go to {free}, as {path} is there already")
    return free


def open_display(source: LiveSource, rules: Rules, signals: Signals, *, flash: bool) -> Sink:
    """The display of a stream; closing its window ends the run. Without `flash` what is urgent stands still."""
    from avstream.sinks.display.sink import DisplaySink

    return DisplaySink(source.latest, source.now_s, closed=signals.request, mute=rules.mute, flash=flash)


def open_hub(options: argparse.Namespace, home: Home, rules: dict[str, Rules], model: str) -> MqttHub | None:
    """The connection to the broker that was asked for, if any; it may change the rules. Raises ConfigError."""
    url = options.mqtt or home.mqtt
    if not url:
        return None
    from avstream.sinks.mqtt.service import Broker, MqttHub

    password_file = options.mqtt_password_file or home.mqtt_password_file
    cafile = options.mqtt_cafile or home.mqtt_cafile
    broker = Broker.parse(
        url,
        password_file=Path(password_file) if password_file else None,
        cafile=Path(cafile) if cafile else None,
    )

    def changed(stream: str, setting: str, value: Any) -> None:
        kind, _, label = setting.partition("/")
        if kind == "threshold":
            rules[stream].set_threshold(label, value)
        else:
            rules[stream].mute(label, value)

    return MqttHub(broker, version=__version__, model=model, changed=changed)


def announced(labels: Sequence[str], rules: Rules) -> list[str]:
    """The labels that a broker hears of, each with its settings: all of a small listener's, else those of homes and
    those that the rules name. An event of another is of type `other`; its `label` is the true one all the same.
    """
    named = {*rules.only, *rules.muted, *rules.urgent, *rules.thresholds}
    few = labels if len(labels) <= MOST_ANNOUNCED else [label for label in labels if label in (*HOME, *PARENTS)]
    return list(dict.fromkeys((*few, *sorted(named))))


def conclude(reports: Sequence[Report], hub: MqttHub | None) -> None:
    """Say on stderr how it went."""
    for report in reports:
        for warning in report.warnings:
            say(f"warning: {warning}")
        if not report.came:
            continue  # that is among the errors, and there is nothing else to say
        say(
            f"{report.source}: {report.windows} windows, {report.events} sounds, {report.dropped} windows dropped, "
            f"latency p50/p95 {report.latency_s(50):.2f}/{report.latency_s(95):.2f} s"
        )
        if report.missing_s > max(MISSING_S, MISSING_SHARE * report.stream_s):
            say(
                f"warning: {report.source}: {report.missing_s:.0f} s of sound came too late or not at all, "
                "and were taken as silence"
            )
    if hub is not None and hub.lost:
        say(f"warning: {hub.lost} messages could not be delivered to the broker")
