"""Options that several commands have, and what is made of them."""

from __future__ import annotations

import argparse
import math
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from avstream.config import families, presets
from avstream.errors import AvstreamError

if TYPE_CHECKING:
    from rich.console import Console

    from avstream.narrator import Narrator, Shown

INTERRUPTED = "interrupted; what was narrated so far is kept"
OVERRIDES = (
    "audio", "language", "alignment", "tokens", "unselected", "localizer", "device", "dtype", "threads", "prompt",
    "listener", "labels",
)  # fmt: skip


def add_model_options(command: argparse.ArgumentParser) -> None:
    """The preset and what to change in it."""
    group = command.add_argument_group("models", "Each of these overrides the preset's own choice.")
    group.add_argument("--preset", metavar="NAME", help="see `avstream presets` (default: nano)")
    group.add_argument(
        "--listener",
        type=listener,
        metavar="NAME",
        help="who hears what sounds: nano, ced-mini, ced-tiny, mn10, ast, yamnet[:FILE], clap, or the path of a "
        ".tflite file or of a listener's folder (see docs/listeners.md)",
    )
    group.add_argument(
        "--labels", type=labels, metavar="WORDS", help='with --listener clap, what to hear: "kettle whistling, my cat"'
    )
    group.add_argument(
        "--audio", metavar="ENCODER", help="one of `avstream presets --encoders`, or ENCODER:CHECKPOINT (hub id, path)"
    )
    group.add_argument("--language", metavar="CHECKPOINT", help="a LLaVA, with its own CLIP tower: hub id or folder")
    group.add_argument("--alignment", metavar="HOW", help="raw, projected, or the path of trained weights")
    group.add_argument("--tokens", type=int, metavar="K", help="how many picture patches are kept (paper: 15 or 150)")
    group.add_argument("--unselected", metavar="HOW", help="zero the other patches, or drop them")
    group.add_argument(
        "--localizer",
        metavar="HOW",
        help="where it sounds: synchrony (what moves with it), detector:MODEL (the things that can make it, too; MODEL "
        "is a detector's hub id, folder, or FastestDet's .onnx), acl:FOLDER (trained weights), or auto (the detector "
        "if it can be had)",
    )
    group.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or mps")
    group.add_argument("--dtype", metavar="NAME", help="auto, float32, bfloat16, float16, or int8 on a CPU")
    group.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads of a model; 0: one for each core, for the embedded ones 1"
    )
    group.add_argument(
        "--heatmap",
        choices=("source", "similarity"),
        default="source",
        help="what it shows: what moves with the sound (default), or the patches that the language model was given",
    )
    group.add_argument("--prompt", metavar="TEXT", help="the instruction to the language model")


def add_hop(group: argparse._ArgumentGroup) -> None:
    """How finely a stream is narrated."""
    group.add_argument("--hop", type=seconds, metavar="SECONDS", help="a new 3 s window every so often (default: 1)")


def add_sound_options(command: argparse.ArgumentParser, *, begin: str) -> None:
    """What to speak of. `begin` says from which confidence on an event begins by default."""
    group = command.add_argument_group(
        "sounds", "LABEL is a sound such as dog_bark, or a general word such as animal: see `avstream labels`."
    )
    group.add_argument("--only", action="append", metavar="LABEL", help="speak of this only; may be repeated")
    group.add_argument("--mute", action="append", metavar="LABEL", help="do not speak of this; may be repeated")
    group.add_argument("--urgent", action="append", metavar="LABEL", help="point this out; may be repeated")
    help = f"begin an event from this confidence on (default: {begin})"
    group.add_argument("--threshold", action="append", metavar="LABEL=P", help=help)


def seconds(text: str) -> float:
    """`90`, `1:30` and `0:01:30` are the same time. Raises ArgumentTypeError."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(math.isfinite(part) and part >= 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected seconds (90) or a time (1:30, 0:01:30), found {text!r}")
    return sum(part * 60**power for power, part in enumerate(reversed(parts)))


def listener(text: str) -> str:
    """A listener's name, checked early: labels of its own may be named by other options. Raises ArgumentTypeError."""
    from avstream.listeners.names import check

    try:
        check(text)
    except AvstreamError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def labels(text: str) -> str:
    """Sounds in the user's words, which other options may name then. Raises ArgumentTypeError."""
    try:
        if not presets.learned(text):
            raise ValueError("expected sounds, with commas between them")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def settings_of(options: argparse.Namespace, preset: str | None = None) -> presets.Settings:
    """The preset that was asked for, or `preset`, with the options put over it. Raises ConfigError."""
    overrides = {name: getattr(options, name) for name in OVERRIDES}
    return presets.load(options.preset or preset or "nano", **overrides)


def load_narrator(settings: presets.Settings, heatmap: Shown, console: Console) -> Narrator:
    """Load the models, saying which on a terminal. This is where torch comes in, after all that can be said early."""
    from avstream import loading
    from avstream.narrator import Narrator

    if notice := families.notice(settings.audio):
        say(notice)
    if settings.language == settings.listener == "nano":
        return Narrator(loading.load(settings), heatmap)
    loaded = loading.load(settings, lambda part: console.print(f"loading {part}", style="dim", markup=False))
    return Narrator(loaded, heatmap)


def say_error(error: AvstreamError, *, debug: bool) -> None:
    """An error that did not end the run, and with --debug where an internal one comes from."""
    say(str(error))
    if debug and error.__cause__ is not None:
        with suppress(OSError, ValueError):
            traceback.print_exception(error.__cause__)


def say(words: str) -> None:
    """A line on stderr, if there is anybody to read it."""
    with suppress(OSError, ValueError):
        print(f"avstream: {words}", file=sys.stderr, flush=True)
