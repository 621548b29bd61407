"""Fit a listener's calibration on labelled recordings, and count what it is worth on others.

    python -m pipelines.calibrate_listener --listener yamnet:yamnet.tflite --data DATA --out yamnet.json

DATA/sounds/manifest.jsonl lists the recordings. They are split by `group`, so that no source is in both halves: one
fits, the other is counted. A recording's truth is its label and all that this is a kind of; of what is a kind of the
label, or goes along with it, nobody knows, and it does not count. Each recording gives its loudest three seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from scipy.optimize import minimize

from avstream import vocabulary
from avstream.errors import AvstreamError, SourceError
from avstream.listeners.base import Listener
from avstream.listeners.calibration import Calibration, logit
from avstream.listeners.choose import open_listener
from pipelines.sounds.corpus import decode

WINDOW_S = 3.0
LEAST_GROUPS = 4  # sources of a label, for a curve of its own
UNLABELLED = {"speech"}  # in many recordings of other kinds somebody talks, and their label does not say so
PRIOR = 4.0  # how strongly a label's curve is held to that of all
SAME = {"door_slam": "slam", "alarm_tone": "alarm", "car_door": "door", "keys": "keys_jangling"}  # folder -> name
LEAST = 0.05  # chances that count for the calibration error: the rest are easy denials


@dataclass(frozen=True)
class Scored:
    """Recordings: their raw chances (n, L), truth (n, L) 1, 0 or -1 for unknown, and which half each is in (n,)."""

    chances: np.ndarray
    truth: np.ndarray
    fits: np.ndarray


def recordings(data: Path) -> Iterator[tuple[Path, str, bool]]:
    """(file, label, whether it is for fitting) of those whose label is in the vocabulary. Raises SourceError."""
    manifest = data / "sounds" / "manifest.jsonl"
    if not manifest.is_file():
        raise SourceError(f"no {manifest}", "give the data's place with --data")
    for line in manifest.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        label = SAME.get(row["labels"][0], row["labels"][0]) if len(row["labels"]) == 1 else ""
        if vocabulary.known(label):
            yield data / "sounds" / row["path"], label, zlib.crc32(str(row["group"]).encode()) % 2 == 0


def truth_of(label: str, names: Sequence[str]) -> np.ndarray:
    """1 for the label and what it is a kind of, -1 for what may be there with it, else 0: (L,)."""
    true = {label, *vocabulary.ancestors(label)}
    maybe = vocabulary.covered(label) - true
    known = [1 if n in true else -1 if n in maybe or true & vocabulary.covered(n) & {label} else 0 for n in names]
    return np.array(known, np.int8)


def loudest(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """The three seconds around the loudest moment, float32."""
    count = round(WINDOW_S * rate_hz)
    start = int(np.clip(int(np.abs(samples).argmax()) - count // 2, 0, max(0, len(samples) - count)))
    return np.ascontiguousarray(samples[start : start + count], np.float32)


def score(listener: Listener, data: Path, most: int) -> Scored:
    """Listen to the recordings, at most so many of a label and half."""
    taken: dict[tuple[str, bool], int] = {}
    chances, truths, fits = [], [], []
    for path, label, fitting in recordings(data):
        taken[label, fitting] = taken.get((label, fitting), 0) + 1
        if taken[label, fitting] > most:
            continue
        samples, rate_hz = decode(path)
        sound = loudest(soxr.resample(samples, rate_hz, listener.rate_hz), listener.rate_hz)
        chances.append(listener.listen(sound).clip)
        truths.append(truth_of(label, listener.labels))
        fits.append(fitting)
        if len(fits) % 200 == 0:
            print(json.dumps({"recordings": len(fits)}), flush=True)
    return Scored(np.stack(chances), np.stack(truths), np.array(fits))


def curve(x: np.ndarray, y: np.ndarray, near: tuple[float, float] | None = None) -> tuple[float, float]:
    """Scale and bias that make sigmoid(scale * x + bias) the chance of y, held near a curve when one is given."""
    start = near or (1.0, 0.0)

    def loss(p: np.ndarray) -> float:
        z = np.exp(p[0]) * x + p[1]
        held = PRIOR * ((p[0] - np.log(start[0])) ** 2 + (p[1] - start[1]) ** 2) if near else 0.0
        return float(np.logaddexp(0, z).sum() - (y * z).sum() + held)

    found = minimize(loss, np.array([np.log(start[0]), start[1]]), method="Nelder-Mead").x
    return float(np.exp(found[0])), float(found[1])


def fit(scored: Scored, names: Sequence[str]) -> tuple[dict[str, tuple[float, float]], tuple[float, float]]:
    """A curve a label that has recordings enough, and one for all others."""
    x, known = logit(scored.chances), (scored.truth >= 0) & scored.fits[:, None]
    heard = known & (scored.truth.max(axis=0) > 0)[None]  # of labels that no recording has, only denials are known
    common = curve(x[heard], scored.truth[heard])
    own = {}
    for place, name in enumerate(names):
        rows = known[:, place]
        if name not in UNLABELLED and scored.truth[rows, place].sum() >= LEAST_GROUPS:
            own[name] = curve(x[rows, place], scored.truth[rows, place], common)
    return own, common


def worth(chances: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Calibration error of chances from LEAST on, and how many of the claims at 0.5 and 0.8 are right."""
    known = truth >= 0
    p, y = chances[known], truth[known]
    keep = p >= LEAST
    place = np.minimum((p[keep] * 15).astype(int), 14)
    gaps = [
        abs(p[keep][place == b].mean() - y[keep][place == b].mean()) * (place == b).mean() for b in np.unique(place)
    ]
    out = {"calibration_error": round(float(sum(gaps)), 4)}
    for limit in (0.5, 0.8):
        claims = p >= limit
        out[f"claims_right_at_{limit}"] = round(float(y[claims].mean()), 4) if claims.any() else 0.0
        out[f"sounds_found_at_{limit}"] = round(float((claims & (y == 1)).sum() / (y == 1).sum()), 4)
    return out


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listener", required=True, help="as avstream's own option; its calibration is not applied")
    parser.add_argument("--data", type=Path, required=True, help="a folder with sounds/manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="the calibration, JSON")
    parser.add_argument("--most", type=int, default=30, help="recordings of a label in each half at most (default: 30)")
    args = parser.parse_args()
    try:
        listener = open_listener(args.listener)
        if hasattr(listener, "_calibration"):
            listener._calibration = Calibration()
        scored = score(listener, args.data, args.most)
    except AvstreamError as error:
        print(f"calibrate_listener: {error}", file=sys.stderr)
        return error.exit_code
    own, common = fit(scored, listener.labels)
    calibrated = Calibration(own, common, "")(scored.chances, listener.labels)
    held = ~scored.fits
    before, after = worth(scored.chances[held], scored.truth[held]), worth(calibrated[held], scored.truth[held])
    about = {
        "listener": listener.name,
        "fitted_on": f"{int(scored.fits.sum())} recordings of {len(own)} labels and general words; counted on "
        f"{int(held.sum())} from other sources",
        "before": before,
        "after": after,
        "others": [round(value, 4) for value in common],
        "labels": {name: [round(value, 4) for value in pair] for name, pair in own.items()},
    }
    args.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: about[key] for key in ("fitted_on", "before", "after", "others")}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
