"""Run the study at our scale and write docs/study.md: corpus, training, retrieval, generation, and what they show.

    python -m pipelines.make_study

Everything is made here: no data, no network, no GPU. It takes about a quarter of an hour of one core. Stopped, it goes
on when run again; a step that is done is not repeated (--out keeps the steps, steps.json lists them).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.data.running import finish
from pipelines.study.report import write
from pipelines.study.stages import Study, run


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(
        "make_study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/study"), help="where it works (default: runs/study)")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where the page goes (default: docs)")
    args = parser.parse_args(arguments)

    def work() -> int:
        study = Study(args.out)
        run(study)
        print(f"the study is written: {write(study, args.docs)}")
        return 0

    return finish("make_study", work)


if __name__ == "__main__":
    sys.exit(main())
