"""What every audio encoder shares: its face, the sound as it wants it, and Kaldi's filterbank."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

KALDI_RATE_HZ = 16_000
FRAME, HOP, FFT, MEL_BINS = 400, 160, 512, 128  # 25 ms, 10 ms


class AudioEncoder(Protocol):
    """Turns sound into one vector a clip."""

    rate_hz: int
    dim: int

    @abstractmethod
    def encode_batch(self, clips: Sequence[NDArray[np.float32]]) -> Tensor:
        """Mono float32 clips (n_i,) at `rate_hz`, of any lengths -> float32 (B, dim) on the CPU.

        A clip's vector does not depend on the others in the batch.
        """
        ...

    def encode(self, samples: NDArray[np.float32]) -> Tensor:
        """Mono float32 (n,) at `rate_hz` -> z_a, float32 (dim,) on the CPU."""
        return self.encode_batch([samples])[0]


def mono(audio: NDArray[np.float32], rate_hz: int, wanted_hz: int) -> NDArray[np.float32]:
    """(channels, n) at `rate_hz` -> the channels' mean (n',) at `wanted_hz`."""
    samples = audio.mean(axis=0, dtype=np.float32)
    if rate_hz != wanted_hz:
        samples = soxr.resample(samples, rate_hz, wanted_hz, quality="HQ")
    return np.ascontiguousarray(samples, np.float32)


def at_least(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The samples, with zeros added behind when there are fewer than `count`."""
    return samples if samples.size >= count else np.pad(samples, (0, count - samples.size))


def in_batches(features: Sequence[Tensor], forward: Callable[[Tensor], Tensor]) -> Tensor:
    """Features of any shapes -> (B, d): those of one shape go through `forward` together, the order is kept."""
    shapes: dict[torch.Size, list[int]] = {}
    for i, one in enumerate(features):
        shapes.setdefault(one.shape, []).append(i)
    out: list[Tensor] = [torch.empty(0)] * len(features)
    for places in shapes.values():
        for i, vector in zip(places, forward(torch.stack([features[i] for i in places])), strict=True):
            out[i] = vector
    return torch.stack(out)


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
