"""What each data set calls its clips, put into rows. Media are looked for; what is not there is counted, not fatal.

Each importer gives rows whose `clip` is a path that exists, or a `Missing` for one that does not. Segments are the
consecutive 3-second stretches of what a data set marks, as AVE-2 cuts them.
"""

from __future__ import annotations

import ast
import csv
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avstream.errors import AvstreamError, SourceError
from avstream.sources.file.movie import Movie
from pipelines.data.manifest import SCORES, Row

SEGMENT_S = 3.0
MOVIES = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".ts", ".mpg", ".mpeg", ".flv", ".ogv"}
# DCASE 2025 task 3 (as STARSS23): the 13 classes in their order
DCASE = (
    "female speech", "male speech", "clapping", "telephone", "laughter", "domestic sounds", "footsteps",
    "door", "music", "musical instrument", "water tap", "bell", "knock",
)  # fmt: skip
DCASE_FRAME_S = 0.1
SCORE_COLUMNS = {
    "temporal_alignment_score": "temporal",
    "spatial_coherence_score": "spatial",
    "contextual_relevance_score": "contextual",
    "physical_causality_score": "causality",
    "sound_source_visibility_score": "visibility",
}


@dataclass(frozen=True, slots=True)
class Missing:
    """A clip that the data set names and that is not in the media folder."""

    name: str


Found = Iterator[Row | Missing]
Importer = Callable[[Path, Path], Found]


class Media:
    """The files of a folder by name without ending, wherever below it they are."""

    def __init__(self, folder: Path) -> None:
        """Raises SourceError when there is no such folder."""
        if not folder.is_dir():
            raise SourceError(f"expected the movies in the folder {folder}, found no such folder; name it with --media")
        self._files: dict[str, Path] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in MOVIES:
                self._files.setdefault(path.stem, path)

    def find(self, *names: str) -> Path | None:
        """The first of these names that is there."""
        return next((self._files[name] for name in names if name in self._files), None)


def spread(row: Row, begin_s: float, end_s: float) -> Iterator[Row]:
    """The row at every complete segment of [begin_s, end_s); at least the first, which a short clip fills in part."""
    count = max(1, int((end_s - begin_s + 1e-6) / SEGMENT_S))
    for i in range(count):
        yield replace(row, start_s=round(begin_s + i * SEGMENT_S, 3))


def split_of(name: str) -> str:
    """The split that a file's or a folder's name begins with or holds; train when it says nothing."""
    low = name.lower()
    return "test" if "test" in low or "eval" in low else "valid" if "val" in low else "train"


def ave2(source: Path, media: Path) -> Found:
    """AVE-2's release: a folder (or one file) of JSON or CSV with its columns; files named by split."""
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.suffix in (".json", ".csv"))
    if not files:
        raise SourceError(f"expected AVE-2's .json or .csv files in {source}, found none")
    movies = Media(media)
    for path in files:
        for number, entry in enumerate(table(path), 1):
            try:
                yield ave2_row(entry, split_of(path.stem), movies)
            except (KeyError, TypeError, ValueError) as error:
                raise SourceError(f"{path}, entry {number} is not AVE-2's: {type(error).__name__}: {error}") from error


def ave2_row(entry: dict[str, Any], split: str, movies: Media) -> Row | Missing:
    """One entry. A cut segment is ID_01.mp4 and starts at 0; in an uncut ID.mp4 it starts where the entry says."""
    name = str(entry["youtube_id"])
    start_s = float(entry.get("segment_start_time") or 0)
    segment = str(entry.get("sample_id") or f"{name}_{int(start_s // SEGMENT_S) + 1:02d}")
    cut = movies.find(segment)
    path = cut or movies.find(name)
    if path is None:
        return Missing(segment)
    scores = {SCORE_COLUMNS[key]: float(value) for key, value in entry.items() if key in SCORE_COLUMNS}
    captions = [str(value) for key, value in entry.items() if key.endswith("_caption") and value]
    lists: dict[str, tuple[str, ...]] = {"visible": (), "invisible": (), "silent": ()}
    for key, value in entry.items():
        if key.endswith(("_sources", "_objects")):
            kind = "invisible" if "invisible" in key else "silent" if "silent" in key else "visible"
            lists[kind] = texts(value)
    scores = {name: scores[name] for name in SCORES if name in scores}
    at_s = 0.0 if cut else start_s
    kinds = lists["visible"], lists["invisible"], lists["silent"]
    return Row(str(path), at_s, split, scores, tuple(captions), *kinds)


def texts(value: object) -> tuple[str, ...]:
    """A list of names however it is kept: a list, JSON, or names between commas; `none` and the like are nothing."""
    if isinstance(value, str) and value.strip().startswith("["):
        value = ast.literal_eval(value)
    parts = value if isinstance(value, list) else str(value or "").split(",")
    cleaned = [str(part).strip() for part in parts]
    return tuple(part for part in cleaned if part and part.lower() not in ("none", "n/a", "nan"))


def table(path: Path) -> list[dict[str, Any]]:
    """The entries of a JSON array, of JSON Lines, or of a CSV with a header. Raises SourceError."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            return list(csv.DictReader(text.splitlines()))
        found = json.loads(text) if text.lstrip().startswith("[") else [json.loads(x) for x in text.splitlines() if x]
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} can't be read: {error}") from error
    if not all(isinstance(entry, dict) for entry in found):
        raise SourceError(f"{path} must hold objects, one a clip")
    return found


def ave(source: Path, media: Path) -> Found:
    """AVE: its folder with Annotations.txt and trainSet.txt, valSet.txt, testSet.txt.

    A line is `Category&VideoID&Quality&StartTime&EndTime`. A video that holds several events has several lines.
    """
    movies, splits = Media(media), dict[tuple[str, str], str]()
    for name in ("trainSet.txt", "valSet.txt", "testSet.txt"):
        if (source / name).is_file():
            splits |= {(fields[1], fields[0]): split_of(name) for fields in ave_lines(source / name)}
    seen: set[tuple[str, float]] = set()
    for category, name, _, begin, end in ave_lines(source / "Annotations.txt"):
        path = movies.find(name)
        if path is None:
            yield Missing(name)
            continue
        label = category.lower()
        row = Row(str(path), split=splits.get((name, category), "train"), captions=(label,), visible=(label,))
        for one in spread(row, float(begin), float(end)):
            if (one.clip, one.start_s) not in seen:
                seen.add((one.clip, one.start_s))
                yield one


def ave_lines(path: Path) -> Iterator[tuple[str, ...]]:
    """The fields of AVE's files. Raises SourceError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"expected AVE's {path.name} at {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        fields = tuple(line.strip().split("&"))
        if len(fields) == 5 and fields[3].isdigit() and fields[4].isdigit():
            yield fields
        elif line.strip() and number > 1:  # the first may be a header
            raise SourceError(f"{path}, line {number}: expected Category&VideoID&Quality&Start&End, found {line!r}")


def vggsound(source: Path, media: Path) -> Found:
    """VGGSound's CSV, without a header: id, start (s), label, train or test.

    Media: ID_000030.mp4 or ID_30.mp4, cut to the 10 s; or ID.mp4, uncut.
    """
    movies = Media(media)
    for number, fields in enumerate(csv_lines(source), 1):
        if len(fields) != 4 or not fields[1].strip().isdigit():
            raise SourceError(f"{source}, line {number}: expected id,start,label,split, found {','.join(fields)!r}")
        name, start, label, split = (part.strip() for part in fields)
        cut = movies.find(f"{name}_{int(start):06d}", f"{name}_{int(start)}")
        path, begin_s = cut or movies.find(name), 0.0 if cut else float(start)
        if path is None:
            yield Missing(f"{name}_{int(start):06d}")
            continue
        row = Row(str(path), split=split_of(split), captions=(label,), visible=(label,))
        yield from spread(row, begin_s, begin_s + 10.0)


def audioset(source: Path, media: Path) -> Found:
    """AudioSet's segments CSV: id, start, end, "labels"; lines with # are comments. The split is in the file's name.

    With class_labels_indices.csv beside it, machine ids are put into words. Whether a source is seen is not known:
    sources are given as visible. Media: ID_000030.mp4, ID_30000.mp4 or ID_30.mp4, cut; or ID.mp4, uncut.
    """
    movies, names = Media(media), {}
    index = source.with_name("class_labels_indices.csv")
    if index.is_file():
        names = {row["mid"]: row["display_name"] for row in csv.DictReader(index.read_text("utf-8").splitlines())}
    for number, fields in enumerate(csv_lines(source), 1):
        if fields[0].startswith("#"):
            continue
        try:
            name, begin, end, labels = fields[0], float(fields[1]), float(fields[2]), fields[3]
        except (IndexError, ValueError) as error:
            raise SourceError(f"{source}, line {number}: expected id, start, end, labels, found {fields}") from error
        cut = movies.find(f"{name}_{int(begin):06d}", f"{name}_{int(begin * 1000)}", f"{name}_{int(begin)}")
        path, shift = cut or movies.find(name), begin if cut else 0.0
        if path is None:
            yield Missing(name)
            continue
        sources = tuple(names.get(label, label) for label in labels.strip().strip('"').split(","))
        row = Row(str(path), split=split_of(source.stem), captions=(", ".join(sources),), visible=sources)
        yield from spread(row, begin - shift, end - shift)


def csv_lines(path: Path) -> Iterator[list[str]]:
    """The lines of a CSV. Raises SourceError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            yield from (fields for fields in csv.reader(file, skipinitialspace=True) if fields)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"the list {path} can't be read: {error}") from error


def dcase(source: Path, media: Path) -> Found:
    """DCASE 2025 task 3, stereo SELD: metadata_dev/**/NAME.csv, stereo_dev/**/NAME.wav, video_dev/**/NAME.mp4.

    A line is frame (100 ms), class, source, azimuth, distance, on-screen (1 or 0). The first 3 s of each 5 s clip.
    """
    files = sorted((source / "metadata_dev").rglob("*.csv"))
    if not files:
        raise SourceError(f"expected DCASE's metadata_dev/**/*.csv in {source}, found none")
    movies, sounds = Media(media), {path.stem: path for path in sorted(media.rglob("*.wav"))}
    for path in files:
        movie = movies.find(path.stem)
        if movie is None or path.stem not in sounds:
            yield Missing(path.stem)
            continue
        seen, unseen = dcase_sources(path)
        split = split_of(path.parent.name)
        yield Row(str(movie), split=split, visible=seen, invisible=unseen, sound=str(sounds[path.stem]))


def dcase_sources(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What sounds in the first segment, on screen (in most of its frames) and off it. Raises SourceError."""
    shown: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for number, fields in enumerate(csv_lines(path), 1):
        if number == 1 and not fields[0].isdigit():
            continue
        try:
            frame, kind, source, on_screen = int(fields[0]), int(fields[1]), int(fields[2]), fields[5] == "1"
            DCASE[kind]
        except (IndexError, ValueError) as error:
            raise SourceError(
                f"{path}, line {number}: expected frame,class,source,azimuth,distance,onscreen, found {fields}"
            ) from error
        if frame * DCASE_FRAME_S < SEGMENT_S:
            shown[kind, source].append(on_screen)
    mostly = {key: sum(frames) * 2 > len(frames) for key, frames in shown.items()}
    seen = {kind for (kind, _), on_screen in mostly.items() if on_screen}
    unseen = {kind for kind, _ in mostly} - seen
    return tuple(DCASE[kind] for kind in sorted(seen)), tuple(DCASE[kind] for kind in sorted(unseen))


def folder(source: Path, media: Path) -> Found:
    """Every 3-second segment of every movie below a folder; the first folder's name may say the split."""
    if not source.is_dir():
        raise SourceError(f"expected a folder of movies at {source}, found none")
    for path in sorted(path for path in source.rglob("*") if path.suffix.lower() in MOVIES):
        try:
            movie = Movie(path)
            movie.close()
        except AvstreamError:
            yield Missing(f"{path} (not a movie that can be read)")
            continue
        parts = path.relative_to(source).parts
        split = split_of(parts[0]) if len(parts) > 1 else "train"
        yield from spread(Row(str(path), split=split), 0.0, movie.info.duration_s or SEGMENT_S)


IMPORTERS: dict[str, Importer] = {
    "ave2": ave2,
    "ave": ave,
    "vggsound": vggsound,
    "audioset": audioset,
    "dcase2025": dcase,
    "folder": folder,
}


def held_out(rows: list[Row], valid: float, test: float) -> list[Row]:
    """Take shares of the training rows as valid and test, a clip always as a unit, where these splits have no row.

    By a hash of the clip's name without its segment, so that it is the same again, whatever else is in the list.
    """
    there, shares = Counter(row.split for row in rows), {"valid": valid, "test": test}
    wanted = {split: share for split, share in shares.items() if not there[split]}
    return [replace(row, split=_drawn(row, wanted)) if row.split == "train" else row for row in rows]


def _drawn(row: Row, wanted: dict[str, float]) -> str:
    stem = Path(row.clip).stem
    unit = stem.rpartition("_")[0] if stem.rpartition("_")[2].isdigit() else stem
    at = zlib.crc32(unit.encode()) / 2**32
    for split, share in wanted.items():
        if at < share:
            return split
        at -= share
    return "train"
