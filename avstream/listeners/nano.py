"""Listeners in a folder: `listener.onnx` with its `listener.json`, as nano's own, or one that somebody trained.

The graph: `samples` (batch, window) -> `frames` (batch, T, L), `clip` (batch, L), `parent_frames` (batch, T, P),
`parent_clip` (batch, P), `embedding` (batch, d); chances are calibrated in it. The JSON: `labels` (`other` last),
`parents` {name: kinds}, `thresholds` {name: chance}, `hop_s`, `rate_hz`, `window_s`, `version`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from avstream import vocabulary
from avstream.errors import ModelError
from avstream.graphs import expect, session
from avstream.listeners.base import Floats, Heard

SHIPPED = Path(__file__).parents[1] / "models" / "nano" / "listener"
FILES = ("listener.onnx", "listener.json")
OUTPUTS = ("frames", "clip", "parent_frames", "parent_clip", "embedding")
EXPORT = "export it again: python -m pipelines.train_listener writes such folders"


class NanoListener:
    """A listener of that format, on the CPU. Sound longer than its window is heard in windows, one after the other."""

    def __init__(self, folder: Path, *, name: str = "nano", threads: int = 1) -> None:
        """Load it. Raises ModelError: a file is missing or damaged, or the two don't fit each other."""
        self.name = name
        about = description(folder)
        try:
            self.labels = tuple(vocabulary.learn(label) for label in about["labels"])
            self.parents = {name: tuple(kinds) for name, kinds in about["parents"].items()}
            self.thresholds = {name: float(value) for name, value in about["thresholds"].items()}
            self.rate_hz, self.hop_s = int(about["rate_hz"]), float(about["hop_s"])
            self.calibration = f"calibrated in training, version {about['version']}"
            self._window = round(float(about["window_s"]) * self.rate_hz)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{folder / FILES[1]} is not complete: {error!r}", EXPORT) from error
        if min(self.rate_hz, self.hop_s, self._window) <= 0:
            found = f"{self.rate_hz} Hz, {self.hop_s} s and {about['window_s']} s"
            raise ModelError(found, EXPORT, f"rate_hz, hop_s and window_s above 0 in {folder / FILES[1]}")
        self._session = session(folder / FILES[0], threads)
        expect(folder / FILES[0], self._session, {"samples"}, set(OUTPUTS))
        self._check(folder)

    def _check(self, folder: Path) -> None:
        """Raises ModelError unless the graph gives what the JSON says, of noise."""
        noise = np.random.default_rng(0).normal(0, 0.01, self._window).astype(np.float32)
        try:
            heard = self.listen(noise)
        except Exception as error:  # onnxruntime's own kinds
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{folder}: the graph does not take {len(noise)} samples: {reason}", EXPORT) from error
        found = heard.frames.shape[1], len(heard.clip), heard.parent_frames.shape[1], len(heard.parent_clip)
        wanted = len(self.labels), len(self.labels), len(self.parents), len(self.parents)
        if found != wanted:
            expected = f"a graph with the {wanted} labels and parents that the JSON names in {folder}"
            raise ModelError(f"{found}", EXPORT, expected)
        if not 0 <= float(heard.clip.min()) <= float(heard.clip.max()) <= 1:
            found_range = f"{heard.clip.min():.3g} to {heard.clip.max():.3g}"
            raise ModelError(found_range, EXPORT, f"chances from 0 to 1 of the graph in {folder}")

    def listen(self, samples: Floats) -> Heard:
        """See `Listener`. Of several windows a label's chance is the highest."""
        windows = max(1, -(-len(samples) // self._window))
        padded = np.zeros(windows * self._window, np.float32)
        padded[: len(samples)] = samples
        out: list[Any] = self._session.run(OUTPUTS, {"samples": padded.reshape(windows, -1)})
        # digital silence has no spectrum to speak of, and no chance of anything
        frames, clip, parent_frames, parent_clip, embedding = (np.nan_to_num(one, nan=0.0) for one in out)
        count = max(1, min(windows * frames.shape[1], round(len(samples) / self.rate_hz / self.hop_s)))
        return Heard(
            np.concatenate(tuple(frames))[:count],
            clip.max(axis=0),
            self.hop_s,
            np.concatenate(tuple(parent_frames))[:count],
            parent_clip.max(axis=0),
            embedding.mean(axis=0),
        )


def description(folder: Path) -> dict[str, Any]:
    """What `listener.json` says. Raises ModelError."""
    path = folder / FILES[1]
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} can't be read: {error}", f"name a folder with {' and '.join(FILES)}") from error
    if not isinstance(about, dict):
        raise ModelError(f"a {type(about).__name__}", EXPORT, f"a JSON object in {path}")
    return about
