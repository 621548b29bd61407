"""Who made the recordings that nano's listener learned from: a line for each source, as their licences ask."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from pipelines.sounds.recordings import Recording

COLUMNS = ("use", "licence", "attribution", "repository", "recordings", "kinds")
USES = {"train": "training", "held": "calibration", "test": "test only"}


def write(recordings: Iterable[Recording], path: Path) -> int:
    """Write the table; returns its lines. Sources of the test are named as such: nothing was learned from them."""
    parts: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for r in recordings:
        parts[USES[r.split], r.licence, " ".join(r.attribution.split()), r.repository].append(r.kind)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for key in sorted(parts):
            writer.writerow([*key, len(parts[key]), " ".join(sorted(set(parts[key])))])
    return len(parts)
