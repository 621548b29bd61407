"""Compute the vectors of every clip of a manifest once, so that training and retrieval need no model and no movie.

    python -m pipelines.make_embeddings --manifest ave2.jsonl --preset llava-1.5-7b --audio whisperclip clap

Vectors are kept in runs/vectors by clip, encoder and the hash of its weights. Run it again to go on where it was
stopped, or after rows were added. Clips that can't be read are listed in MANIFEST.broken.jsonl and left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pipelines.data.arguments import add_cache, add_data, add_models, settings_of
from pipelines.data.embeddings import audio_lens, embed, vision_lens, write_broken
from pipelines.data.manifest import filter_range, read_manifest
from pipelines.data.running import Stop, finish, progress


def parser() -> argparse.ArgumentParser:
    """The options."""
    out = argparse.ArgumentParser(
        "make_embeddings", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data(out)
    add_cache(out)
    out.add_argument("--audio", nargs="+", metavar="ENCODER", default=[None], help="as for avstream; several if wanted")
    add_models(out)
    return out


def make(args: argparse.Namespace) -> int:
    """Embed every row that passes the filter; gives the exit code. Raises AvstreamError."""
    above = filter_range(args.above)
    rows = [row for row in read_manifest(args.manifest) if row.passes(above)]
    settings = [settings_of(args, audio) for audio in args.audio]
    lenses = [audio_lens(one, args.cache) for one in settings] + [vision_lens(settings[0], args.cache)]
    with Stop() as stop, progress() as bar:
        task = bar.add_task("clips", total=len(rows))
        broken = embed(rows, args.manifest.parent, lenses, stop, lambda done: bar.update(task, completed=done))
    listed = args.manifest.with_suffix(".broken.jsonl")
    for lens in lenses:
        print(f"{lens.store.folder}: {len(lens.store)} clips")
    if stop:
        print("stopped: run the same command again to go on")
        return stop.code
    write_broken(listed, broken)
    if broken:
        print(f"{len(broken)} of {len(rows)} clips can't be read and are left out; they are listed in {listed}")
    return 0 if len(broken) < len(rows) else 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit code."""
    args = parser().parse_args(arguments)
    return finish("make_embeddings", lambda: make(args))


if __name__ == "__main__":
    sys.exit(main())
