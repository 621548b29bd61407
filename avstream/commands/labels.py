"""`avstream labels`: what can be heard, and `avstream presets --listeners`: by whom."""

from __future__ import annotations

import argparse

from avstream.commands.options import labels, listener
from avstream.config import presets

EXAMPLES = """\
examples:
  avstream labels                        what nano hears, and the general words for it
  avstream labels --listener yamnet      AudioSet's classes
  avstream labels fire                   what has to do with fire, whoever hears it

--only, --mute, --urgent and --threshold take these names; a general word stands for all its kinds
"""


def add(command: argparse.ArgumentParser) -> None:
    """The options of this command."""
    command.set_defaults(run=list_labels)
    command.add_argument("word", nargs="?", help="list what has to do with this, of the complete vocabulary")
    command.add_argument("--listener", type=listener, default="nano", metavar="NAME", help="as for `avstream file`")
    command.add_argument("--labels", type=labels, metavar="WORDS", help="with --listener clap")


def list_labels(options: argparse.Namespace) -> int:
    """`avstream labels`."""
    from rich.console import Console
    from rich.table import Table

    from avstream.listeners.names import labels_of
    from avstream.vocabulary import ENTRIES, OTHER, ancestors, suggestions
    from avstream.wording import words

    if options.word:
        found = suggestions(options.word, most=len(ENTRIES))
    else:
        found = list(labels_of(options.listener, presets.learned(options.labels or "")))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("label", "said as", "a kind of"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "label")
    for label in found:
        general = ", ".join(sorted(ancestors(label))) if label != OTHER else "none of the others"
        table.add_row(label, f"[{words(label)}]", general, style=None)
    console = Console(highlight=False, markup=False)
    console.print(table if found else f"nothing in the vocabulary has to do with {options.word!r}")
    return 0


def list_listeners() -> int:
    """`avstream presets --listeners`: who can hear, and what each lacks on this machine."""
    from rich.console import Console
    from rich.table import Table

    from avstream.checkpoints import listener_missing
    from avstream.listeners.names import NAMES

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("listener", "what", "here"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "listener")
    for name, what in NAMES.items():
        table.add_row(name, what, listener_missing(name) or "yes")
    Console(highlight=False, markup=False).print(table)
    return 0
