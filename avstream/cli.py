"""The command line: parse, run a command, and say in one line what went wrong."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from avstream import __version__
from avstream.commands import compare, file, labels, live, mqtt
from avstream.commands.options import INTERRUPTED, say
from avstream.commands.signals import InterruptedBySignal
from avstream.config import presets
from avstream.errors import AvstreamError, ConfigError

LETTING_GO_S = 0.4  # for threads that were asked to end
EXAMPLES = """\
examples:
  avstream file movie.mp4 --srt movie.srt    narrate a movie, with captions for any player
  avstream devices                           the cameras and microphones here, and what to type for them
  avstream live --camera 0 --window          show what sounds, as it happens
  avstream doctor                            what works on this machine, and how to fix what does not
  avstream presets                           the models to choose from
  avstream labels                            the sounds that can be heard

each command has a --help of its own

exit codes: 0 done, 1 internal error, 2 usage or configuration, 3 source, 4 model, 5 output, 130 interrupted,
143 terminated
"""
HEARS = "It hears 67 sounds of homes with the embedded `nano` models, offline; other presets use larger ones."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code; an error is one line on stderr, or a traceback with --debug."""
    try:
        check_dashes(sys.argv[1:] if arguments is None else arguments)
    except AvstreamError as error:
        say(str(error))
        return error.exit_code
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except KeyboardInterrupt as interrupt:
        say(INTERRUPTED)
        return interrupt.code if isinstance(interrupt, InterruptedBySignal) else 128 + signal.SIGINT
    except AvstreamError as error:
        if options.debug:
            raise
        say(str(error))
        return error.exit_code
    except Exception as error:
        if options.debug:
            raise
        say(f"internal error: {type(error).__name__}: {error}; --debug shows where")
        return AvstreamError.exit_code


def check_dashes(arguments: Sequence[str]) -> None:
    """Raises ConfigError for a file whose name looks like an option; argparse would ask for the file."""
    for word in arguments:
        if word.startswith("-") and len(word) > 1 and os.path.isfile(word):
            raise ConfigError(f"the name of the file {word} begins with a dash, as options do", f"write ./{word}")


def entry() -> NoReturn:
    """The program: `main`, then the end of the process."""
    with suppress(OSError, ValueError, AttributeError):
        take_stderr(alone="--debug" not in sys.argv)
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is on its way to the end
    patient_until = time.monotonic() + LETTING_GO_S
    while (left := [thread.name for thread in threading.enumerate() if thread.daemon]) and (
        time.monotonic() < patient_until
    ):
        time.sleep(0.01)
    if left and "--debug" in sys.argv:
        say(f"left behind: {', '.join(left)}")
    with suppress(OSError, ValueError, AttributeError):  # who read it has gone, or there never was anybody
        sys.stdout.flush()
    # All is written and closed. Python's own way out takes a second to take torch down, and crashes when a model or a
    # device that hangs comes back in the middle of it.
    os._exit(code)


def take_stderr(*, alone: bool) -> None:
    """Give Python a way to standard error of its own: sounddevice turns the usual one aside while PortAudio starts, and
    what is said meanwhile on another thread would be lost. Raises OSError without a standard error.

    `alone` ends the usual one: PortAudio and ALSA print to it from threads of their own, past everything that could be
    made quiet. `--debug` shows what they have to say.
    """
    sys.stderr.flush()
    own = os.dup(2)
    os.set_inheritable(own, False)
    sys.stderr = open(own, "w", encoding=sys.stderr.encoding, errors=sys.stderr.errors, buffering=1)
    if alone:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def parser() -> argparse.ArgumentParser:
    """The command line, with help that teaches."""
    top = argparse.ArgumentParser(
        prog="avstream",
        description="Says what is sounding, where, and how sure it is: in a movie, or live. " + HEARS,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"avstream {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, module, purpose in (
        ("file", file, "narrate movies or sound files"),
        ("live", live, "narrate cameras, microphones and network streams"),
        ("compare", compare, "encoders and alignments side by side on your clips, as a page"),
        ("labels", labels, "list the sounds that can be heard, and the general words for them"),
        ("mqtt", mqtt, "remove a stream from an MQTT broker and from Home Assistant"),
    ):
        command = commands.add_parser(
            name, help=purpose, epilog=module.EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add(command)
    commands.add_parser("devices", help="list cameras and microphones, and what to type").set_defaults(run=list_devices)
    doctor = commands.add_parser("doctor", help="what works on this machine, and how to fix what does not")
    doctor.set_defaults(run=examine)
    doctor.add_argument("--mic", metavar="WHICH", help="listen to this one (default: the system's), or `none`")
    doctor.add_argument("--camera", metavar="WHICH", help="try this camera: a number or an address (rtsp, http, udp)")
    live.add_broker_options(doctor)
    listing = commands.add_parser("presets", help="list the presets: size, licence, whether present")
    listing.add_argument("--encoders", action="store_true", help="list the audio encoders instead, for --audio")
    listing.add_argument("--listeners", action="store_true", help="list the listeners instead, for --listener")
    listing.set_defaults(run=list_presets)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show a traceback when something goes wrong")
    return top


def list_devices(options: argparse.Namespace) -> int:
    """`avstream devices`."""
    from rich.console import Console

    from avstream.sources.devices import print_devices

    print_devices(Console(highlight=False))
    return 0


def examine(options: argparse.Namespace) -> int:
    """`avstream doctor`: 0 when nothing is broken."""
    from rich.console import Console

    from avstream.doctor.report import checks, print_checks

    console = Console(highlight=False)
    with console.status("looking"):
        found = checks(
            options.mqtt,
            password_file=options.mqtt_password_file,
            cafile=options.mqtt_cafile,
            mic=options.mic,
            camera=options.camera,
            say=console.print,
        )
    return print_checks(console, found)


def list_presets(options: argparse.Namespace) -> int:
    """`avstream presets`: what there is, and what of it is on this machine."""
    if options.encoders:
        return list_encoders()
    if options.listeners:
        return labels.list_listeners()
    from rich.console import Console
    from rich.table import Table

    from avstream.checkpoints import presence_of

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("preset", "what", "size", "licence", "here"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("preset", "here"))
    for name in presets.names():
        settings = presets.load(name)
        table.add_row(name, settings.description, settings.size, settings.licence, presence_of(settings))
    Console(highlight=False).print(table)
    return 0


def list_encoders() -> int:
    """`avstream presets --encoders`: the audio encoders to choose from."""
    from rich.console import Console
    from rich.table import Table

    from avstream.checkpoints import presence
    from avstream.config.families import FAMILIES

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("encoder", "what", "size", "licence", "Hz", "dim", "here"):
        right = heading in ("Hz", "dim")
        wraps = heading in ("what", "size", "licence")
        table.add_column(heading, overflow="fold", justify="right" if right else "left", no_wrap=not wraps)
    for family in FAMILIES.values():
        licence = family.licence + ("" if family.commercial else ", non-commercial")
        here = "yes" if presence(family.checkpoint) == "present" else "no"
        table.add_row(
            family.name, family.what, family.size, licence, str(family.rate_hz), str(family.dim), here
        )  # fmt: skip
    Console(highlight=False).print(table)
    return 0
