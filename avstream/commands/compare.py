"""`avstream compare`: encoders, alignments and k side by side on your own clips, as a page."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avstream.commands.options import say
from avstream.config import families, presets
from avstream.errors import ConfigError

if TYPE_CHECKING:
    from avstream.comparison.compare import Choice, Clip

EXAMPLES = """\
examples:
  avstream compare a.mp4 b.mp4 c.mp4                         nano's encoder, raw and projected: compare.html
  avstream compare *.mp4 --truth truth.csv --tokens 5,15,50  lines of `a.mp4,dog;rain`: right or wrong, in words
  avstream compare *.mp4 --preset llava-1.5-7b --encoder whisperclip --encoder imagebind:imagebind_huge.pth \\
      --projection whisperclip=whisperclip.safetensors
"""


def add(command: argparse.ArgumentParser) -> None:
    """The options of this command."""
    command.set_defaults(run=compare_clips)
    command.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="movies; 3 seconds of each are compared")
    group = command.add_argument_group("what to compare")
    group.add_argument(
        "--encoder", action="append", metavar="ENCODER",
        help="once for each; see `avstream presets --encoders` (default: the preset's own)",
    )  # fmt: skip
    group.add_argument(
        "--projection", action="append", default=[], metavar="ENCODER=FILE",
        help="weights trained for an encoder and this vision tower; those of nano are shipped",
    )  # fmt: skip
    group.add_argument(
        "--tokens", type=counts, default=(15, 150), metavar="K,K", help="patches to keep (default: 15,150)"
    )
    group.add_argument("--start", type=float, metavar="SECONDS", help="where the 3 seconds begin (default: the middle)")
    group.add_argument(
        "--truth", type=Path, metavar="FILE", help="what really sounds: JSON, or CSV lines `clip,dog;rain`"
    )
    command.add_argument(
        "--out", type=Path, default=Path("compare.html"), metavar="PAGE.html",
        help="the page; the numbers behind it go beside it as JSON (default: compare.html)",
    )  # fmt: skip
    models = command.add_argument_group("models")
    models.add_argument("--preset", default="nano", metavar="NAME", help="whose language model and vision tower")
    for name, words in (
        ("language", "another LLaVA: hub id or folder"), ("unselected", "zero the other patches, or drop them"),
        ("device", "auto, cpu, cuda or mps"), ("dtype", "auto, float32, bfloat16, float16 or int8"),
        ("prompt", "the instruction to the language model"),
    ):  # fmt: skip
        models.add_argument(f"--{name}", metavar=name.upper(), help=words)
    models.add_argument("--threads", type=int, metavar="N", help="CPU threads; 0: one for each core")


def counts(text: str) -> tuple[int, ...]:
    """`15,150` -> (15, 150). Raises ArgumentTypeError."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 0:
        raise argparse.ArgumentTypeError(f"expected integers such as 15,150, found {text!r}")
    return found


def compare_clips(options: argparse.Namespace) -> int:
    """`avstream compare`: the page and its JSON, written after each encoder, so that Ctrl-C keeps what was done."""
    from rich.console import Console

    from avstream.comparison.compare import compare
    from avstream.comparison.truth import read_truth
    from avstream.sinks.files import check_output

    names = ("language", "unselected", "device", "dtype", "threads", "prompt")
    overrides = {name: getattr(options, name) for name in names}
    alignment = "raw" if options.language else None  # a preset's projection is for its own language model
    settings_for = partial(presets.load, options.preset, alignment=alignment, **overrides)
    choice = choice_of(options, settings_for)
    if options.out.suffix != ".html":
        raise ConfigError(f"{options.out}", expected="a page that ends with .html as --out")
    page = check_output(options.out)
    truths = read_truth(options.truth) if options.truth else {}
    console = Console(stderr=True, highlight=False)
    report: dict[str, Any] = {}
    with console.status("starting") as status:
        for report, clips in compare(options.clips, truths, settings_for, choice, status.update):
            write(page, report, clips)
    conclude(report, page)
    return 0


def choice_of(options: argparse.Namespace, settings_for: Any) -> Choice:
    """What to compare, checked. Raises ConfigError."""
    from avstream.comparison.compare import Choice

    encoders = tuple(dict.fromkeys(options.encoder or [settings_for().audio]))
    for spec in encoders:
        settings_for(audio=spec)
        if notice := families.notice(spec):
            say(notice)
    projections = {}
    for text in options.projection:
        spec, equals, file = text.rpartition("=")
        if not equals or spec not in encoders:
            raise ConfigError(text, expected=f"ENCODER=FILE for one of {', '.join(encoders)} as --projection")
        projections[spec] = Path(file)
    return Choice(encoders, projections, options.tokens, options.start)


def write(page: Path, report: dict[str, Any], clips: list[Clip]) -> None:
    """The page and the JSON, under their names once they are complete. Raises SinkError."""
    from avstream.comparison.page import render
    from avstream.sinks.files import PartFile

    html = render(report, [clip.frame.rgb for clip in clips], page)
    for path, text in ((page, html), (page.with_suffix(".json"), json.dumps(report, indent=1) + "\n")):
        file = PartFile(path)
        file.open()
        file.write(text)
        file.close()


def conclude(report: dict[str, Any], page: Path) -> None:
    """The summary on the terminal, and what was left out on stderr."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("encoder", "alignment", "k", "mean rank", "top-1", "names the source"):
        table.add_column(heading, justify="left" if heading in ("encoder", "alignment") else "right")
    for one in report["summary"]:
        rank, top = one["sound to picture, mean rank"], one["sound to picture, top-1"]
        named = f"{one['right']} of {one['of']}" if one["of"] else "not known"
        table.add_row(one["encoder"], one["alignment"], str(one["tokens"]), f"{rank:.1f}", f"{top:.0%}", named)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{page}\n{page.with_suffix('.json')}", markup=False, soft_wrap=True)
    for problem in report["problems"]:
        print(f"avstream: left out: {problem}", file=sys.stderr)
