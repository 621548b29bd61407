"""What several torch encoders share: Kaldi's filterbank, and clips of different lengths in batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

KALDI_RATE_HZ = 16_000
FRAME, HOP, FFT, MEL_BINS = 400, 160, 512, 128  # 25 ms, 10 ms


def in_batches(features: Sequence[Tensor], forward: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
    """Features of any shapes -> float32 (B, d): those of one shape go through `forward` together, the order is kept."""
    shapes: dict[torch.Size, list[int]] = {}
    for i, one in enumerate(features):
        shapes.setdefault(one.shape, []).append(i)
    out: list[Tensor] = [torch.empty(0)] * len(features)
    for places in shapes.values():
        for i, vector in zip(places, forward(torch.stack([features[i] for i in places])), strict=True):
            out[i] = vector
    return torch.stack(out).float().numpy(force=True)


@cache
def _mel_filters() -> NDArray[np.float64]:
    """Kaldi's mel filters (257, 128) from 20 Hz to 8 kHz."""
    with warnings.catch_warnings():
        # the fourth filter lies between two bins and is empty; it is so in Kaldi, and the models were trained with it
        warnings.filterwarnings("ignore", "At least one mel filter", UserWarning)
        return mel_filter_bank(
            FFT // 2 + 1, MEL_BINS, 20.0, KALDI_RATE_HZ / 2, KALDI_RATE_HZ,
            mel_scale="kaldi", triangularize_in_mel_space=True,
        )  # fmt: skip


def kaldi_fbank(samples: NDArray[np.float32], window: str) -> NDArray[np.float64]:
    """Kaldi's log filterbank of mono samples at 16 kHz (n,) -> (1 + (n - 400) // 160, 128); n is 400 or more.

    `window` is "povey" or "hann". 25 ms every 10 ms, no dither, DC removal, preemphasis 0.97, natural log.
    """
    log_mel = spectrogram(
        samples, window_function(FRAME, window, periodic=False), FRAME, HOP, FFT, power=2.0, center=False,
        preemphasis=0.97, mel_filters=_mel_filters(), mel_floor=1.1920928955078125e-07, log_mel="log",
        remove_dc_offset=True, dtype=np.float64,
    )  # fmt: skip
    return log_mel.T
