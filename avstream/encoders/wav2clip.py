"""Wav2CLIP (Wu et al., arXiv 2110.11499): 16 kHz sound -> CLIP ViT-B/32's space, by a ResNet-18 on a spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avstream.encoders import weights
from avstream.encoders.audio import AudioEncoder, at_least
from avstream.encoders.features import in_batches
from avstream.encoders.resnet import Basic, ResNet

FFT, HOP = 512, 353
FILE = "the weights of Wav2CLIP (Wav2CLIP.pt)"


def log_power(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mono samples at 16 kHz (n,) -> log power spectrum (257, 1 + n // 353), centered, with a periodic Hann window."""
    samples = at_least(samples, FFT // 2 + 1).astype(np.float64)  # reflection takes as much from the other side
    padded = np.pad(samples, FFT // 2, "reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    return np.log(np.abs(np.fft.rfft(frames * window)).T ** 2 + 1e-7)


def features(samples: NDArray[np.float32]) -> Tensor:
    """Mono samples at 16 kHz (n,) -> normalized log power float32 (1, 257, 1 + n // 353).

    The original normalizes over all that happens to be in its batch; here each clip stands for itself.
    """
    x = log_power(samples)
    return torch.from_numpy(((x - x.mean()) / (x.std(ddof=1) + 1e-9)).astype(np.float32))[None]


class Spectral(ResNet):
    """ResNet-18 with one channel; the window is in the published file, the spectrum is made outside."""

    def __init__(self) -> None:
        super().__init__(Basic, (2, 2, 2, 2), channels=1)
        self.spectrogram = nn.Module()
        self.spectrogram.register_buffer("window", torch.empty(FFT))


class Wav2Clip(nn.Module):
    """The network, with the published file's names: `features` (B, 1, 257, T) -> (B, 512), not normalized."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = Spectral()
        layers = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.1), nn.Linear(512, 512))
        self.audio_transform = nn.ModuleDict({"sequential": layers})

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 257, T) -> (B, 512)."""
        out: Tensor = self.audio_transform["sequential"](self.audio_encoder(x))
        return out


class Wav2ClipEncoder(AudioEncoder):
    """The frozen network, always in float32: it is small."""

    rate_hz, dim = 16_000, 512

    def __init__(self, path: Path, *, device: torch.device) -> None:
        """Load the official file. Raises ModelError, which names the keys that don't fit."""
        self._device, self.model = device, load_wav2clip(path).to(device)

    @torch.inference_mode()
    def encode_batch(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mono float32 clips (n_i,) at 16 kHz -> (B, 512)."""
        return in_batches([features(clip) for clip in clips], lambda x: self.model(x.to(self._device)).cpu())


def load_wav2clip(path: Path) -> Wav2Clip:
    """The network of an official file, on the CPU; its image branch and loss terms are left. Raises ModelError."""
    state = weights.state_of(path, ("audio_encoder.", "audio_transform."), FILE)
    with torch.device("meta"):
        model = Wav2Clip()
    return weights.fit(model, state, path, FILE)
