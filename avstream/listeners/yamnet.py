"""YAMNet (Google, AudioSet, Apache-2.0) from its .tflite file: 16 kHz, 0.975 s -> 521 scores, by ai-edge-litert.

Pieces of 0.975 s, a quarter of a second apart. A moment's score is the mean of the pieces that hold all of it, so a
short sound is found within the piece; the clip's score is the highest of a piece.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from avstream.errors import ModelError
from avstream.listeners.audioset import KINDS, YAMNET, heard
from avstream.listeners.base import Floats, Heard
from avstream.listeners.calibration import Calibration

RATE_HZ, PIECE = 16_000, 15_600  # 0.975 s
HOP_S = 0.24
POSSIBLE = 0.35  # from here on something is claimed, as "possibly"
INSTALL = "pip install 'avstream[yamnet]'"


class YamnetListener:
    """YAMNet on the CPU."""

    rate_hz = RATE_HZ
    name = "yamnet"
    labels = YAMNET
    parents = KINDS

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Load the file. Raises ModelError: no runtime, no file, or another model in it."""
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ModelError("YAMNet needs ai-edge-litert", INSTALL) from error
        if not path.is_file():
            raise ModelError("none", "check the name and the folder", f"YAMNet's .tflite file at {path}")
        try:
            self._interpreter = Interpreter(str(path), num_threads=max(1, threads))
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            found = f"{path} can't be loaded: {' '.join(str(error).split())[:300]}"
            raise ModelError(found, "download it again") from error
        (self._input,), outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        shapes = {tuple(output["shape"]): output["index"] for output in outputs}
        if tuple(self._input["shape"]) != (PIECE,) or (1, len(YAMNET)) not in shapes:
            raise ModelError(
                f"{tuple(self._input['shape'])} and {sorted(shapes)}",
                "use YAMNet's own file",
                f"a model with {PIECE} samples in and {len(YAMNET)} scores out in {path}",
            )
        self._output, self._lock = shapes[1, len(YAMNET)], threading.Lock()
        self._calibration = Calibration.shipped("yamnet")
        self.calibration = self._calibration.words
        self.thresholds = dict.fromkeys(YAMNET, POSSIBLE)

    def listen(self, samples: Floats) -> Heard:
        """See `Listener`."""
        hop = round(HOP_S * RATE_HZ)
        starts = range(0, max(1, len(samples) - PIECE + hop), hop)
        padded = np.zeros(starts[-1] + PIECE, np.float32)
        padded[: len(samples)] = samples
        scores = np.stack([self._scores(padded[start : start + PIECE]) for start in starts])
        count = max(1, -(-len(samples) // hop))
        frames = np.stack([scores[_holding(frame * hop, hop, starts)].mean(axis=0) for frame in range(count)])
        return heard(frames, scores.max(axis=0), HOP_S, YAMNET, self._calibration)

    def _scores(self, piece: Floats) -> Floats:
        with self._lock:  # an interpreter serves one thread at a time
            self._interpreter.set_tensor(self._input["index"], piece)
            self._interpreter.invoke()
            scores: Floats = self._interpreter.get_tensor(self._output)[0]
        return scores


def _holding(start: int, length: int, starts: range) -> list[int]:
    """Which pieces hold all of a moment; the nearest one for a moment at the end that none does."""
    found = [k for k, piece in enumerate(starts) if piece <= start and start + length <= piece + PIECE]
    return found or [len(starts) - 1]
