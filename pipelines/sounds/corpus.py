"""The training corpus: `python -m pipelines.make_corpus` writes five-second clips at 16 kHz with labels and splits.

Each part is NAME.npy, int16 (clips, 80000), with NAME.json, one {label, group, split} a clip; `group` is what must
not be divided between splits (a recording, a voice, a seed). A part gets its final name when it is complete, so an
interrupted run goes on where it stopped. The same seed gives the same corpus. ESC-10's fold 4 is `test`, always.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import numpy as np
from scipy.signal import resample_poly

from avstream.errors import SourceError
from pipelines.sounds import midi, voices
from pipelines.sounds.synthesis import synthesize

RATE_HZ = 16000
CLIP = 5 * RATE_HZ
REPO = Path(__file__).resolve().parents[2]
Item = tuple[np.ndarray, int, str, str, str]  # samples, rate, label, group, split

SYNTHETIC = {"bell": 700, "alarm": 340, "doorbell": 320, "phone_ring": 400, "siren": 380, "car_horn": 320, "knock": 320,
             "engine": 380, "guitar": 160, "piano": 60, "other": 800}  # fmt: skip
MELODIC = (11, 13, 16, 19, 21, 22, 40, 42, 44, 46, 48, 50, 52, 53, 56, 57, 60, 61, 64, 66, 68, 70, 71, 73, 74, 75, 77,
           79, 80, 81, 88, 90, 94, 114)  # fmt: skip
# label -> (General MIDI program, style, clips); other plucked strings are too near to be `other`
INSTRUMENTS: dict[str, tuple[tuple[int, str, int], ...]] = {
    "guitar": ((24, "plucked", 130), (25, "plucked", 150), (26, "plucked", 40), (27, "plucked", 50),
               (28, "plucked", 20), (29, "plucked", 25), (30, "plucked", 25), (31, "plucked", 10)),
    "piano": ((0, "keyed", 130), (1, "keyed", 80), (2, "keyed", 40), (3, "keyed", 30), (4, "keyed", 25),
              (5, "keyed", 15)),
    "bell": ((14, "tolled", 110), (112, "tolled", 25)),
    "phone_ring": ((124, "held", 24),),
    "other": (*((program, "keyed", 9) for program in MELODIC), (0, "drummed", 70), (47, "held", 8), (123, "held", 10),
              (126, "held", 10), (119, "held", 6)),
}  # fmt: skip


def decode(path: Path) -> tuple[np.ndarray, int]:
    """A sound file as mono float samples and its rate in Hz."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        mono = av.AudioResampler(format="flt", layout="mono", rate=rate)
        frames = [out for frame in container.decode(audio=0) for out in mono.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float64), rate


def fit(x: np.ndarray, rate_hz: int) -> np.ndarray:
    """Any mono sound as int16 (80000,): resampled, padded or cut; lifted when it is very quiet."""
    common = math.gcd(RATE_HZ, rate_hz)
    y = resample_poly(x, RATE_HZ // common, rate_hz // common)
    y = np.pad(y, (0, max(0, CLIP - len(y))))[:CLIP]
    peak = np.abs(y).max()
    if peak > 0.99 or 0 < peak < 0.25:
        y = y * (0.5 / peak)
    return np.round(y * 32767).astype(np.int16)


def every_ninth(i: int) -> str:
    """The split of the i-th made clip."""
    return "valid" if i % 9 == 8 else "train"


def esc10(data: Path, seed: int) -> Iterator[Item]:
    """ESC-10: fold 4 is the test; of the others about a ninth of each class's recordings is held out."""
    for folder in sorted(p for p in (data / "esc10").iterdir() if p.is_dir()):
        files = sorted(folder.glob("*.ogg"))
        groups = sorted({f.name.split("-")[1] for f in files if not f.name.startswith("4-")})
        rng = np.random.default_rng([seed, zlib.crc32(folder.name.encode())])
        held: set[str] = set()
        sizes = {g: sum(f.name.split("-")[1] == g for f in files) for g in groups}
        for g in rng.permutation(groups):
            if sum(sizes[h] for h in held) + sizes[g] <= 3:
                held.add(str(g))
        for f in files:
            group = f.name.split("-")[1]
            split = "test" if f.name.startswith("4-") else "valid" if group in held else "train"
            x, rate = decode(f)
            yield x, rate, folder.name, f.stem, split


def recorded_digits(data: Path, seed: int) -> Iterator[Item]:
    """Speech by six people, 8 kHz; one of them is held out."""
    rng = np.random.default_rng([seed, 11])
    folder = data / "speech" / "recordings"
    speakers = sorted({f.stem.split("_")[1] for f in folder.glob("*.wav")})
    for i in range(360):
        speaker = speakers[i % len(speakers)]
        split = "valid" if speaker == voices.HELD_OUT_SPEAKER else "train"
        yield voices.digits(folder, speaker, rng), 16000, "speech", speaker, split


def read_aloud(data: Path, seed: int) -> Iterator[Item]:
    """Speech by espeak-ng; some voices are held out."""
    rng = np.random.default_rng([seed, 12])
    for i in range(720):
        x, rate, voice = voices.espeak(rng, i % 9 == 8)
        start = int(rng.integers(0, max(1, len(x) - 5 * rate)))
        yield x[start : start + 5 * rate], rate, "speech", voice, every_ninth(i)


def synthetic(label: str, data: Path, seed: int) -> Iterator[Item]:
    """The synthesizers of `sounds`, by seed."""
    for i in range(SYNTHETIC[label]):
        rng = np.random.default_rng([seed, zlib.crc32(label.encode()), i])
        yield synthesize(label, 5.0, RATE_HZ, rng), RATE_HZ, label, f"seed-{i}", every_ninth(i)


def instruments(label: str, data: Path, seed: int) -> Iterator[Item]:
    """Recorded instruments of the sound font, playing scores drawn by seed."""
    i = 0
    for program, style, count in INSTRUMENTS[label]:
        rng = np.random.default_rng([seed, 13, program, zlib.crc32(style.encode())])
        for x in midi.segments(program, style, count, rng):
            yield x, 44100, label, f"gm-{program}-{i}", every_ninth(i)
            i += 1


def parts() -> dict[str, Callable[[Path, int], Iterator[Item]]]:
    """Every part by its name."""
    table: dict[str, Callable[[Path, int], Iterator[Item]]] = {
        "esc10": esc10,
        "digits": recorded_digits,
        "espeak": read_aloud,
    }
    for label in INSTRUMENTS:
        table[f"gm-{label}"] = partial(instruments, label)
    for label in SYNTHETIC:
        table[f"synth-{label}"] = partial(synthetic, label)
    return table


def write_part(name: str, items: Iterator[Item], folder: Path) -> int:
    """Write one part; returns the number of clips."""
    clips, rows = [], []
    for x, rate, label, group, split in items:
        clips.append(fit(x, rate))
        rows.append({"label": label, "group": group, "split": split})
    partial = folder / f".{name}.npy"
    np.save(partial, np.stack(clips))
    (folder / f"{name}.json").write_text(json.dumps(rows))
    partial.rename(folder / f"{name}.npy")
    return len(rows)


def make_corpus(data: Path, folder: Path, seed: int, only: list[str]) -> None:
    """Write every part that is not there yet. SourceError when the data or a program is missing."""
    for needed in (data / "esc10", data / "speech" / "recordings"):
        if not needed.is_dir():
            raise SourceError(f"no folder {needed}; give the data's place with --data")
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in parts().items():
        if (only and name not in only) or (folder / f"{name}.npy").exists():
            continue
        began = time.monotonic()
        count = write_part(name, make(data, seed), folder)
        print(json.dumps({"part": name, "clips": count, "seconds": round(time.monotonic() - began, 1)}), flush=True)


def load_corpus(folder: Path, splits: tuple[str, ...]) -> tuple[np.ndarray, list[dict[str, str]]]:
    """All clips of some splits, int16 (n, 80000), with their rows; `part` names each row's part."""
    files = sorted(folder.glob("[!.]*.npy"))
    if not files:
        raise SourceError(f"no corpus in {folder}; make it with: python -m pipelines.make_corpus --out {folder}")
    clips, rows = [], []
    for path in files:
        part = json.loads(path.with_suffix(".json").read_text())
        keep = [i for i, row in enumerate(part) if row["split"] in splits]
        clips.append(np.load(path, mmap_mode="r")[keep])
        rows += [{**part[i], "part": path.stem} for i in keep]
    return np.concatenate(clips), rows
