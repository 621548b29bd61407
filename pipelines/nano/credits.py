"""Who made the recordings that nano's listener learned from: a line each, as their licences ask."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from pipelines.sounds.recordings import Recording

COLUMNS = ("use", "kind", "licence", "attribution", "repository", "file")


def write(recordings: Iterable[Recording], path: Path) -> int:
    """Write the table; returns the number of recordings. Those of the test are named as such: nothing learned them."""
    used = {"train": "training", "held": "calibration", "test": "test only"}
    rows = sorted(
        (used[r.split], r.kind, r.licence, " ".join(r.attribution.split()), r.repository, Path(r.path).name)
        for r in recordings
    )
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return len(rows)
