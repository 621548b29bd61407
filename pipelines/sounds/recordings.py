"""The recordings that the listener learns from: manifest, groups, splits, and one store of samples at 16 kHz.

A split never shares a source: ESC-50's fold 4 is the test, and of folds 1 to 3 an eighth of each kind's sources is
held for choosing and calibrating. Other recordings are split by source too (`held`, `test`, `train`). Where a library
holds many recordings under one name, its series (a file's name without its number) is the source.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import av
import numpy as np
import soxr

from avstream.errors import SourceError
from pipelines.sounds.vocabulary import LABELS, SAME

RATE_HZ = 16000
SEED = 7
HELD, TEST = 0.12, 0.15  # shares of a kind's recordings
ESC10 = re.compile(r"^(\d)-(\d+)-(\d+)$|^(\d)-(\d+)-([A-Z])$")
CREDIT = re.compile(
    r"\*\*\[(?P<clip>\S+)\.ogg\]\*\*:\s+clip derived from \[(?P<title>.*)\]\((?P<url>\S+)\) by "
    r"\*(?P<who>.*)\* \(\[(?P<licence>[^\]]+)\]"
)


@dataclass(frozen=True)
class Recording:
    """One sound file. `kind` is a label, an outside kind, `unlabelled`, `noise` or `rir`; `fold` 0: not ESC-50."""

    path: str
    kind: str
    group: str
    fold: int
    licence: str
    attribution: str
    repository: str
    split: str = "train"


def series(row: dict[str, object]) -> str:
    """The source of a manifest's line: its group, and in a library of many recordings the file's series as well."""
    group, original = str(row["group"]), Path(str(row["original"])).stem
    if group.startswith("freesound:"):
        return group
    app = re.match(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", original)  # a phone of the crying babies' app
    name = app.group(0) if app else re.sub(r"(_(mid|hi|low|lo))?[\d_\-. ]*$", "", original)
    return f"{group}/{name}"


def listed(folder: Path) -> list[Recording]:
    """All recordings of a manifest. SourceError when the folder has none."""
    manifest = folder / "manifest.jsonl"
    if not manifest.exists():
        raise SourceError(f"no {manifest}; give the folder of recordings with --sounds")
    out = []
    for line in manifest.read_text().splitlines():
        row = json.loads(line)
        kind = row["path"].split("/")[0]
        out.append(
            Recording(
                row["path"],
                SAME.get(kind, kind),
                series(row),
                row["esc50_fold"] or 0,
                row["licence"],
                row["attribution"],
                row["repository"],
            )
        )
    return out


def clip_key(name: str) -> str:
    """`4-182395-A` of any name that holds an ESC-50 clip's id, else empty."""
    found = re.search(r"(\d)-(\d+)-([A-Z])(?![A-Za-z])", name)
    return "-".join(found.groups()) if found else ""


def esc10_beside(folder: Path, known: Iterable[Recording]) -> list[Recording]:
    """The clips of ../esc10 that are not among the recordings, without those under a licence with conditions on use."""
    have = {clip_key(r.path) for r in known}
    credits = {m["clip"]: m for m in CREDIT.finditer((folder / "LICENSES.md").read_text())}
    out = []
    for path in sorted(folder.glob("*/*.ogg")):
        key = clip_key(path.stem)
        licence = credits.get(key)
        if key in have or licence is None or "Sampling" in licence["licence"]:
            continue
        said = f"clip derived from {licence['title']} ({licence['url']}) by {licence['who']}"
        out.append(Recording(str(path), path.parent.name, f"freesound:{key.split('-')[1]}", int(key[0]),
                             licence["licence"], said, "karolpiczak/ESC-10"))  # fmt: skip
    return out


def split(recordings: list[Recording]) -> list[Recording]:
    """The same recordings with their splits: by source, deterministic, every kind apart."""
    fixed: dict[str, str] = {r.group: "test" for r in recordings if r.fold == 4}
    by_kind: dict[str, list[Recording]] = defaultdict(list)
    for r in recordings:
        by_kind[r.kind].append(r)
    for kind in sorted(by_kind):
        if kind in LABELS or kind == "noise":
            deal(by_kind[kind], kind, fixed)
    return [replace(r, split=fixed.get(r.group, "train")) for r in recordings]


def deal(recordings: list[Recording], kind: str, fixed: dict[str, str]) -> None:
    """Choose a kind's sources for `test` (not of ESC-50, whose fold 4 it is) and `held`; note all in `fixed`."""
    rng = np.random.default_rng([SEED, zlib.crc32(kind.encode())])
    for name, share, esc in (("held", HELD, True), ("test", TEST, False), ("held", HELD, False)):
        sizes: dict[str, int] = defaultdict(int)
        for r in recordings:
            if bool(r.fold) == esc and r.fold != 4:
                sizes[r.group] += 1
        total, taken = sum(sizes.values()), sum(n for g, n in sizes.items() if fixed.get(g) == name)
        if len(sizes) < 3:
            continue
        for group in rng.permutation(sorted(sizes)):
            if taken >= share * total:
                break
            if group not in fixed and sizes[group] <= max(2.5 * share * total, 1):
                fixed[str(group)] = name
                taken += sizes[group]
    for r in recordings:
        fixed.setdefault(r.group, "train")


def decode(path: Path) -> np.ndarray:
    """A sound file as mono float32 (samples,) at 16 kHz. SourceError when it can't be read or is empty."""
    try:
        with av.open(str(path)) as container:
            rate = container.streams.audio[0].rate
            mono = av.AudioResampler(format="flt", layout="mono", rate=rate)
            frames = [out for frame in container.decode(audio=0) for out in mono.resample(frame)]
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise SourceError(f"can't read {path}: {error}") from None
    if not frames:
        raise SourceError(f"no sound in {path}")
    return soxr.resample(np.concatenate([frame.to_ndarray()[0] for frame in frames]), rate, RATE_HZ).astype(np.float32)


class Store:
    """Many sounds as one memory-mapped file of int16 at 16 kHz, with a row (a dict) for each."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "rows.json").exists():
            raise SourceError(f"no sounds in {folder}; make them with: python -m pipelines.train_listener --prepare")
        self.samples = np.load(folder / "samples.npy", mmap_mode="r")
        self.rows: list[dict[str, object]] = json.loads((folder / "rows.json").read_text())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> np.ndarray:
        """Float32 (samples,) in [-1, 1]."""
        start, length = int(str(self.rows[i]["start"])), int(str(self.rows[i]["length"]))
        return self.samples[start : start + length].astype(np.float32) / 32768


def write_store(folder: Path, sounds: Iterator[tuple[np.ndarray, dict[str, object]]]) -> int:
    """Write a store; returns how many sounds it has. Quiet sounds are lifted so that 16 bits hold them."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces, rows, start = [], [], 0
    for x, row in sounds:
        peak = float(np.abs(x).max(initial=0))
        if peak > 0.99 or 0 < peak < 0.25:
            x = x * np.float32(0.5 / peak)
        pieces.append(np.round(x * 32767).astype(np.int16))
        rows.append({**row, "start": start, "length": len(x)})
        start += len(x)
    np.save(folder / "samples.npy", np.concatenate(pieces))
    partial = folder / "rows.part"
    partial.write_text(json.dumps(rows))
    partial.replace(folder / "rows.json")
    return len(rows)


def readable(
    folder: Path, recordings: list[Recording], bad: list[str]
) -> Iterator[tuple[np.ndarray, dict[str, object]]]:
    """Each recording's sound and row; those that can't be read are listed in `bad` and left out."""
    for r in recordings:
        try:
            yield decode(folder / r.path), asdict(r)
        except SourceError as error:
            bad.append(str(error))


def gather(sounds: Path, esc10: Path | None) -> list[Recording]:
    """All recordings, split."""
    found = listed(sounds)
    if esc10 is not None and esc10.is_dir():
        found += esc10_beside(esc10, found)
    return split(found)
