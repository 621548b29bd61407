"""Write the synthesized training corpus: five-second clips at 16 kHz with labels and splits."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from avstream.errors import AvstreamError
from pipelines.sounds.corpus import REPO, make_corpus


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the training corpus of the listener.")
    parser.add_argument(
        "--data", type=Path, default=REPO.parent / "shared" / "data", help="esc10/ and speech/ are here"
    )
    parser.add_argument("--out", type=Path, default=REPO / "runs" / "corpus")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=[], help="names of parts")
    options = parser.parse_args()
    try:
        make_corpus(options.data, options.out, options.seed, options.only)
    except AvstreamError as error:
        print(f"corpus: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
