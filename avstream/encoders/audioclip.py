"""AudioCLIP's audio head (Guzhov et al., arXiv 2106.13043): 44.1 kHz sound -> CLIP RN50's space, by ESResNeXt-fbsp.

A learned bank of complex frequency B-spline wavelets makes the spectrum; a gated ResNeXt-50 looks at it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from avstream.encoders import weights
from avstream.encoders.audio import AudioEncoder
from avstream.encoders.features import in_batches
from avstream.encoders.resnet import Bottleneck, ResNet

RATE_HZ, DIM = 44_100, 1024
FFT, WINDOW, HOP = 2048, 1654, 561
BINS, BANDS = FFT // 2 + 1, 3
EDGE = (FFT - WINDOW) // 2  # a frame stands in the middle of its 2048 places
ROWS = BINS // BANDS  # 341 bins a band; the two highest bins are left
CHANNELS = (64, 256, 512, 1024, 2048)
GATES = ((3, 1), (1, 5), (3, 1), (1, 5), (3, 5))
FILE = "the weights of AudioCLIP (AudioCLIP-Full-Training.pt or -Partial-Training.pt)"


def wavelets(m: Tensor, fb: Tensor, fc: Tensor) -> Tensor:
    """Order, bandwidth and center of each filter (F,) -> complex kernels (F, 2048).

    sqrt(fb) * sinc(fb t / m)^m * exp(-i fc t) / sqrt(2048) for t in [-pi, pi]; a negative sinc has the phase pi m.
    In float32, as the original: its rounding of fc t is part of what the network was trained on.
    """
    m, fb, fc = m[:, None], fb[:, None], fc[:, None]
    t = math.pi * torch.linspace(-1, 1, FFT)[None] + 1e-8
    x = fb * t / (m + 1e-8)
    base = torch.where(x == 0, 1.0, torch.sin(x) / x)
    envelope = torch.polar(fb.sqrt() * base.abs() ** m, math.pi * m * (base < 0))
    return envelope * torch.polar(torch.ones(()), -fc * t) / math.sqrt(FFT)


def frames_of(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mono samples in [-1, 1] (n,) -> frames (T, 1654); what the last one lacks is added half in front, half behind.

    The head maps [-32768, 32767] to [-1, 1], so that silence becomes 1.5e-5; the zeros are added after that.
    """
    mapped = (samples * np.float32(32768) + np.float32(32768)) * np.float32(2) / np.float32(65535) - np.float32(1)
    count = 1 + max(0, math.ceil((mapped.size - WINDOW) / HOP))
    lacking = (count - 1) * HOP + WINDOW - mapped.size
    padded = np.pad(mapped, (lacking // 2, lacking - lacking // 2))
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]


def power_db(samples: NDArray[np.float32], kernels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mono samples (n,) and `windowed` kernels (1654, 2 * 1025) -> power in dB (3, 341, T), the low band first.

    In NumPy on purpose: torch's reduced precision for products, which presets ask for, would drown the weak bins.
    """
    spectrum = frames_of(samples) @ kernels
    power = spectrum[:, :BINS] ** 2 + spectrum[:, BINS:] ** 2
    power[power == 0] = 1e-18
    return 10 * np.log10(power.T[: BANDS * ROWS]).reshape(BANDS, ROWS, -1)


def windowed(kernels: Tensor, window: Tensor) -> NDArray[np.float32]:
    """Kernels (1025, 2048) and the frame's window -> (1654, 2 * 1025): real parts, then imaginary ones."""
    cut = kernels[:, EDGE : EDGE + WINDOW] * window
    return torch.cat([cut.real, cut.imag]).T.contiguous().numpy()


class Fbsp(nn.Module):
    """The learned filters' order, bandwidth and center, with the published file's names."""

    def __init__(self) -> None:
        super().__init__()
        self.m, self.fb, self.fc = (nn.Parameter(torch.zeros(BINS)) for _ in range(3))
        self.bias = nn.Parameter(torch.zeros(0))  # the file has it, empty

    def kernels(self) -> Tensor:
        """Complex (1025, 2048)."""
        return wavelets(self.m, self.fb, self.fc)


class Gate(nn.Module):
    """How much of a stage's output passes, decided by the stage's input."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv_depth = nn.Conv2d(inputs, inputs, kernel, padding=padding, groups=inputs)
        self.conv_point = nn.Conv2d(inputs, outputs, 1)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """The stage's input (B, C, H, W) and output (B, C', H', W') -> (B, C', H', W')."""
        pooled = adaptive_max_pool2d(before, after.shape[-2:])
        return after * torch.sigmoid(self.bn(self.conv_point(self.conv_depth(pooled))))


class AudioHead(ResNet):
    """The gated ResNeXt-50 32x4d, with the published file's names."""

    def __init__(self) -> None:
        super().__init__(Bottleneck, (3, 4, 6, 3), channels=3)
        self.register_buffer("window", torch.zeros(WINDOW))
        outputs = (*CHANNELS[1:], CHANNELS[-1])
        for i, sizes in enumerate(zip(CHANNELS, outputs, GATES, strict=True), 1):
            self.add_module(f"att{i}", Gate(*sizes))
        self.fc = nn.Linear(2048, DIM)
        self.fbsp = Fbsp()

    def gated(self, x: Tensor) -> list[Tensor]:
        """(B, 3, 341, T) -> the stem's output and each stage's, after its gate."""
        out = [self.stem(x)]
        for i, one in enumerate(self.stages(), 1):
            out.append(self.get_submodule(f"att{i}")(out[-1], one(out[-1])))
        return out

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 3, 341, T) -> (B, 2048)."""
        last = self.gated(x)[-1]
        out: Tensor = self.get_submodule("att5")(last, last.mean((2, 3), keepdim=True))
        return out.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 341, T) -> (B, 1024), not normalized."""
        out: Tensor = self.fc(self.pooled(x))
        return out


class AudioClipEncoder(AudioEncoder):
    """The frozen head, always in float32. It takes any length; a window is not padded to the 5 s of its training."""

    rate_hz, dim = RATE_HZ, DIM

    def __init__(self, path: Path, *, device: torch.device) -> None:
        """Load an official file; only the audio head of it comes into memory. Raises ModelError."""
        self.model = load_audioclip(path)
        self._kernels = windowed(self.model.fbsp.kernels(), self.model.get_buffer("window"))
        self._device = device
        self.model.to(device)

    def features(self, samples: NDArray[np.float32]) -> Tensor:
        """Mono samples in [-1, 1] at 44.1 kHz (n,) -> dB float32 (3, 341, T)."""
        return torch.from_numpy(power_db(samples, self._kernels))

    @torch.inference_mode()
    def encode_batch(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mono float32 clips (n_i,) at 44.1 kHz -> (B, 1024)."""
        return in_batches([self.features(clip) for clip in clips], lambda x: self.model(x.to(self._device)).cpu())


def load_audioclip(path: Path) -> AudioHead:
    """The audio head of an official file, on the CPU; CLIP's two halves are left. Raises ModelError."""
    state = {key.removeprefix("audio."): value for key, value in weights.state_of(path, ("audio.",), FILE).items()}
    with torch.device("meta"):
        model = AudioHead()
    return weights.fit(model, state, path, FILE)
