"""Object detectors as one ONNX file of FastestDet's layout: 80 things of COCO, in milliseconds on a CPU.

The file takes BGR / 255, (1, 3, 352, 352), and gives (1, 5 + classes, rows, columns): objectness, x, y, w, h, classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream.errors import ModelError
from avstream.graphs import session
from avstream.localization.grounding.coco import COCO
from avstream.localization.grounding.thing import Thing, clipped, distinct

OBJECTNESS, CLASS = 0.6, 0.4  # the exponents of a cell's score


class FastestDet:
    """Runs on one thread of onnxruntime."""

    names: frozenset[str] | None = frozenset(COCO)
    sure = 0.5
    least = 0.25

    def __init__(self, path: Path) -> None:
        """Raises ModelError: no such file, or one of another layout."""
        self._session = session(path, threads=1)
        self._input, self._size = self._checked(path)

    def _checked(self, path: Path) -> tuple[str, tuple[int, int]]:
        """The input's name and its size (width, height). Raises ModelError for another layout."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = [tuple(one.shape) for one in (*inputs, *outputs)]
        good = len(inputs) == len(outputs) == 1 and len(shapes[0]) == len(shapes[1]) == 4
        good = good and shapes[0][1] == 3 and all(isinstance(side, int) for side in shapes[0][2:])
        if not good or shapes[1][1] != 5 + len(COCO):
            raise ModelError(
                ", ".join(map(str, shapes)),
                "give another detector as a folder of transformers'",
                f"FastestDet's layout, (1, 3, 352, 352) in and (1, {5 + len(COCO)}, 22, 22) out, in {path}",
            )
        return inputs[0].name, (shapes[0][3], shapes[0][2])

    def find(self, rgb: NDArray[np.uint8], words: Sequence[str]) -> list[Thing]:
        """All things of COCO in a picture, uint8 (h, w, 3)."""
        small = cv2.resize(rgb, self._size, interpolation=cv2.INTER_LINEAR)
        pixels = np.ascontiguousarray(small[:, :, ::-1].transpose(2, 0, 1)[None], np.float32) / 255
        return self._decoded(self._session.run(None, {self._input: pixels})[0][0])

    def _decoded(self, cells: NDArray[np.float32]) -> list[Thing]:
        """The things of the network's answer (85, rows, columns)."""
        objectness, x, y, w, h = cells[:5]
        kind = cells[5:].argmax(axis=0)
        score = np.maximum(objectness, 0) ** OBJECTNESS * np.maximum(cells[5:].max(axis=0), 0) ** CLASS
        rows, columns = score.shape
        found = []
        for row, column in np.argwhere(score >= self.least):
            cx = (np.tanh(x[row, column]) + column) / columns
            cy = (np.tanh(y[row, column]) + row) / rows
            wide, high = (1 / (1 + np.exp(-side[row, column])) for side in (w, h))
            box = clipped(cx - wide / 2, cy - high / 2, cx + wide / 2, cy + high / 2)
            found.append(Thing(COCO[kind[row, column]], float(score[row, column]), box))
        return distinct(found)
