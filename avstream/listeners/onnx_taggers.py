"""AudioSet taggers as ONNX files of the hub: CED (tiny, mini; 16 kHz log-mels in) and EfficientAT's mn10 (samples in).

They score a clip, not its moments, so events are known to about a window. They were trained on clips of 10 s; of 3 s
they may know less. CED's input follows its model card: 64 mels of 0 to 8 kHz, FFT and Hann window of 512, hop 160,
no padding, power in dB, at most 120 dB below the loudest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avstream.errors import ModelError
from avstream.graphs import session
from avstream.listeners.audioset import AUDIOSET, KINDS, heard
from avstream.listeners.base import Floats, Heard
from avstream.listeners.calibration import Calibration
from avstream.listeners.files import Pinned

FILES = {
    "ced-tiny": Pinned("k2-fsa/sherpa-onnx-ced-tiny-audio-tagging-2024-04-19", "model.int8.onnx"),
    "ced-mini": Pinned("k2-fsa/sherpa-onnx-ced-mini-audio-tagging-2024-04-19", "model.int8.onnx"),
    "mn10": Pinned("Chris-Kode/efficientat-mn10-as-onnx", "*.onnx"),
}
CED_HZ, MN10_HZ = 16_000, 32_000
FFT, HOP, MELS = 512, 160, 64
FLOOR, RANGE_DB = 1e-10, 120.0
SHORTEST_S = 1.0  # what is shorter is padded with silence


class OnnxTagger:
    """A graph from one clip's input to 527 scores."""

    labels = AUDIOSET
    parents = KINDS

    def __init__(self, path: Path, kind: str, *, threads: int = 1) -> None:
        """Open the graph; `kind` is a name of FILES. Raises ModelError for a graph of another kind."""
        self.name, self._mels = kind, kind.startswith("ced")
        self.rate_hz = CED_HZ if self._mels else MN10_HZ
        self._session = session(path, threads)
        self._input = self._session.get_inputs()[0].name
        self._calibration = Calibration.shipped(kind)
        self.calibration = self._calibration.words
        self.thresholds: dict[str, float] = {}
        try:
            self._scores(np.zeros(3 * self.rate_hz, np.float32))
        except Exception as error:  # of onnxruntime, for an input of another shape
            reason = " ".join(str(error).split())[:200]
            found = f"{path} is no {kind} tagger of {len(AUDIOSET)} classes: {reason}"
            raise ModelError(found, f"use another file, or another name than {kind}") from error

    def listen(self, samples: Floats) -> Heard:
        """See `Listener`; one frame, the clip."""
        scores = self._scores(samples)
        hop_s = max(len(samples), 1) / self.rate_hz
        return heard(scores[None], scores, hop_s, AUDIOSET, self._calibration)

    def _scores(self, samples: Floats) -> Floats:
        short = round(SHORTEST_S * self.rate_hz) - len(samples)
        samples = np.pad(samples, (0, max(0, short)))
        given = log_mels(samples)[None] if self._mels else samples[None]
        scores = np.asarray(self._session.run(None, {self._input: given})[0], np.float32)
        if scores.shape != (1, len(AUDIOSET)) or not np.isfinite(scores).all():
            raise ValueError(f"expected (1, {len(AUDIOSET)}) finite scores, found {scores.shape}")
        return np.clip(scores[0], 0, 1)


def log_mels(samples: Floats) -> Floats:
    """Samples (n,) at 16 kHz -> (T, 64) in dB, T = (n - 512) // 160 + 1."""
    starts = np.arange((len(samples) - FFT) // HOP + 1)[:, None] * HOP
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    power = np.abs(np.fft.rfft(samples[starts + np.arange(FFT)] * window)) ** 2
    level = 10 * np.log10(np.maximum(power @ mel_filters(), FLOOR))
    return np.maximum(level, level.max() - RANGE_DB).astype(np.float32)


def mel_filters() -> Floats:
    """Triangles on the scale 2595 log10(1 + f / 700), not normalized: (257, 64)."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + CED_HZ / 2 / 700), MELS + 2) / 2595) - 1)
    bins = np.linspace(0, CED_HZ / 2, FFT // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
