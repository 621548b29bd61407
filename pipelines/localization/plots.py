"""Pictures for the docs of localization: drawn with cv2, without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

SIDE, EDGE = 380, 64
INK, FAINT, MARK = (40, 40, 40), (215, 215, 215), (180, 100, 30)
TITLES = {"here": "said: the source is here", "absent": "said: out of the picture"}


def reliability_plot(curves: Mapping[str, Sequence[tuple[float, float, float]]], path: Path) -> None:
    """Each curve side by side: what was said against what was true, dots by their share of the scenes. Writes a PNG."""
    image = np.hstack([_panel(TITLES[name], rows) for name, rows in curves.items()])
    cv2.imwrite(str(path), image)


def _panel(title: str, rows: Sequence[tuple[float, float, float]]) -> np.ndarray:
    image = np.full((SIDE + 2 * EDGE, SIDE + 2 * EDGE, 3), 255, np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        return EDGE + round(x * SIDE), EDGE + round((1 - y) * SIDE)

    for k in range(6):
        cv2.line(image, at(k / 5, 0), at(k / 5, 1), FAINT, 1)
        cv2.line(image, at(0, k / 5), at(1, k / 5), FAINT, 1)
        _text(image, f"{20 * k}", (at(k / 5, 0)[0] - 10, EDGE + SIDE + 20))
        _text(image, f"{20 * k}", (EDGE - 36, at(0, k / 5)[1] + 5))
    cv2.line(image, at(0, 0), at(1, 1), FAINT, 2, cv2.LINE_AA)
    points = [at(said, was) for said, was, _ in rows]
    cv2.polylines(image, [np.array(points, np.int32)], False, MARK, 2, cv2.LINE_AA)
    for point, (_, _, share) in zip(points, rows, strict=True):
        cv2.circle(image, point, 3 + round(22 * share**0.5), MARK, -1, cv2.LINE_AA)
    _text(image, title, (EDGE, EDGE - 24), 0.55)
    _text(image, "chance given, %", (EDGE + SIDE // 2 - 60, EDGE + SIDE + 46))
    _text(image, "true, %", (8, EDGE - 10))
    return image


def _text(image: np.ndarray, words: str, place: tuple[int, int], size: float = 0.45) -> None:
    cv2.putText(image, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, INK, 1, cv2.LINE_AA)
