"""Spectra of short frames of sound."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray


def rfft(frames: NDArray[np.float32]) -> NDArray[np.complex64]:
    """The spectrum of each of float32 (n, size), size even: (n, size / 2 + 1), as numpy.fft.rfft gives it.

    By OpenCV, since numpy takes more than three times as long on float32.
    """
    packed = _packed(frames)
    count, size = packed.shape
    out = np.zeros((count, size // 2 + 1), np.complex64)
    parts = out.view(np.float32)
    parts[:, 0], parts[:, 2 : size + 1] = packed[:, 0], packed[:, 1:]
    return out


def band_power(frames: NDArray[np.float32], firsts: Sequence[int]) -> NDArray[np.float32]:
    """The squared magnitudes of those spectra, added up in bands that begin at bins `firsts`, 1 or more, each higher
    than the one before; the last band is the rest: (n, bands).
    """
    out: NDArray[np.float32] = np.add.reduceat(np.square(_packed(frames)), 2 * np.asarray(firsts) - 1, axis=1)
    return out


def _packed(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spectra as OpenCV packs them, (n, size): real and imaginary parts in turn without the two that are always 0, the
    first imaginary one and the last.
    """
    if not len(frames):  # of nothing OpenCV gives None
        return np.zeros(frames.shape, np.float32)
    return np.asarray(cv2.dft(np.ascontiguousarray(frames, np.float32), flags=cv2.DFT_ROWS), np.float32)
