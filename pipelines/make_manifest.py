"""Put a data set's clips into one manifest, which training and evaluation read.

    python -m pipelines.make_manifest ave2 RELEASE --media MOVIES --out ave2.jsonl
    python -m pipelines.make_manifest ave AVE_Dataset --media AVE_Dataset/AVE --out ave.jsonl
    python -m pipelines.make_manifest vggsound vggsound.csv --media MOVIES --out vggsound.jsonl
    python -m pipelines.make_manifest audioset eval_segments.csv --media MOVIES --out audioset.jsonl
    python -m pipelines.make_manifest dcase2025 DCASE2025 --out dcase.jsonl
    python -m pipelines.make_manifest folder MOVIES --out mine.jsonl --valid 0.1 --test 0.1

The movies must be on this machine; those that are not are counted. Where a data set has no rows of valid or of test,
--valid and --test take them out of train, complete videos at a time.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avstream.errors import ConfigError, SourceError
from pipelines.data.importers import IMPORTERS, Missing, held_out
from pipelines.data.manifest import ABOVE, SPLITS, Row, write_manifest
from pipelines.data.running import finish


def parser() -> argparse.ArgumentParser:
    """The options."""
    out = argparse.ArgumentParser(
        "make_manifest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("kind", choices=IMPORTERS, help="the data set's layout")
    out.add_argument("source", type=Path, help="its list, or the folder that has it")
    out.add_argument("--media", type=Path, metavar="FOLDER", help="the movies (default: SOURCE, or beside it)")
    out.add_argument("--out", type=Path, required=True, metavar="FILE", help="the manifest to write (.jsonl)")
    out.add_argument("--valid", type=float, default=0.05, help="share of train, where nothing is valid (default: 0.05)")
    out.add_argument("--test", type=float, default=0.05, help="share of train, where nothing is test (default: 0.05)")
    return out


def make(args: argparse.Namespace) -> int:
    """Import, divide, write, and say what came of it. Raises AvstreamError."""
    if not (0 <= args.valid < 1 and 0 <= args.test < 1 and args.valid + args.test < 1):
        raise ConfigError("--valid and --test are shares from 0 to below 1, together below 1")
    if not args.source.exists():
        raise SourceError(f"expected a list or a folder at {args.source}, found none")
    media = args.media or (args.source if args.source.is_dir() else args.source.parent)
    found = list(IMPORTERS[args.kind](args.source, media))
    missing = [one for one in found if isinstance(one, Missing)]
    rows = [relative(one, args.out.parent) for one in found if isinstance(one, Row)]
    if not rows:
        example = f" (first: {missing[0].name})" if missing else ""
        raise SourceError(f"{args.source} names {len(missing)} clips, and none is in {media}{example}; see --media")
    rows = held_out(rows, args.valid, args.test)
    write_manifest(args.out, rows)
    counts = Counter(row.split for row in rows)
    print(f"{args.out}: {len(rows)} segments, " + ", ".join(f"{counts[split]} {split}" for split in SPLITS))
    if missing:
        print(f"{len(missing)} clips are not in {media}, such as {missing[0].name}")
    if scored := [row for row in rows if row.scores]:
        kept = sum(row.passes(ABOVE) for row in scored)
        print(f"{kept} of {len(scored)} segments with scores have all of them above {ABOVE:g}")
    return 0


def relative(row: Row, root: Path) -> Row:
    """The row with its paths relative to the manifest where they are below its folder, else absolute."""

    def path(text: str) -> str:
        absolute = Path(os.path.abspath(text))
        root_absolute = Path(os.path.abspath(root))
        return str(absolute.relative_to(root_absolute) if absolute.is_relative_to(root_absolute) else absolute)

    return replace(row, clip=path(row.clip), sound=None if row.sound is None else path(row.sound))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit code."""
    args = parser().parse_args(arguments)
    return finish("make_manifest", lambda: make(args))


if __name__ == "__main__":
    sys.exit(main())
