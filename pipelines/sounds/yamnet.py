"""YAMNet as a teacher: its 1024 values and 521 scores for each patch of sound. Only used in training.

YAMNet (Apache-2.0) is read from a TensorFlow Lite file by ai-edge-litert; none of its weights become part of nano.
"""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np

from avstream.errors import SourceError

PATCH, HOP = 15600, 7680  # samples at 16 kHz: 0.975 s every 0.48 s
DIM, SCORES = 1024, 521


class Yamnet:
    """One interpreter, one thread."""

    def __init__(self, folder: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise SourceError("YAMNet needs ai-edge-litert: pip install ai-edge-litert") from None
        file = folder / "yamnet.tflite"
        if not file.exists():
            raise SourceError(f"no {file}; give YAMNet's folder with --yamnet")
        with warnings.catch_warnings():  # keeping all tensors is "for debugging": it is the only way to the embedding
            warnings.simplefilter("ignore")
            self.net = Interpreter(str(file), num_threads=1, experimental_preserve_all_tensors=True)
            self.net.allocate_tensors()
        self.input = self.net.get_input_details()[0]["index"]
        self.output = self.net.get_output_details()[0]["index"]
        tensors = self.net.get_tensor_details()
        pooled = [d["index"] for d in tensors if "average_pooling" in d["name"] and tuple(d["shape"]) == (1, DIM)]
        if len(pooled) != 1:
            raise SourceError(f"{file} has no single pooled layer; a build of YAMNet from TensorFlow Hub is expected")
        self.pooled = pooled[0]
        with (folder / "class_map.csv").open() as rows:
            self.names = [row["display_name"] for row in csv.DictReader(rows)]

    def patch(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embedding (1024,) and scores (521,) of float32 (15600,) at 16 kHz."""
        self.net.set_tensor(self.input, x)
        self.net.invoke()
        return self.net.get_tensor(self.pooled)[0].copy(), self.net.get_tensor(self.output)[0].copy()

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (patches, 1024) and scores (patches, 521) of a sound, a patch each 0.48 s, at least one."""
        x = np.pad(x, (0, max(0, PATCH - len(x)))).astype(np.float32)
        both = [self.patch(np.ascontiguousarray(x[s : s + PATCH])) for s in range(0, len(x) - PATCH + 1, HOP)]
        embeddings, scores = zip(*both, strict=True)
        return np.stack(embeddings), np.stack(scores)
