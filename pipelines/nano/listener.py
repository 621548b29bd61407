"""nano's listener: plain convolutions over 64 log-mels of three seconds; what sounds in the window, and in each 0.1 s.

The spectrogram is part of the network (a Fourier transform written as a convolution), so that samples go in. A window
is divided by its own mean power: how loud it is decides nothing here, silence is gated before.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from pipelines.sounds.vocabulary import LABELS, OTHER, PARENTS

RATE_HZ = 16000
WINDOW = 3 * RATE_HZ
FFT, HOP, BINS = 512, 200, 64
FRAMES = WINDOW // HOP  # 240: 12.5 ms
STEPS = 30  # outputs a window: 0.1 s
NAMES: tuple[str, ...] = (*LABELS, OTHER, *PARENTS)  # of the network's logits
KNOWN = len(LABELS)
TEACHER_DIM = 1024
SHALLOW, DEEP = (1, 1, 2), (2, 2, 4)  # residual blocks of each stage: of `base`, and of what becomes of it
FLOOR = 1e-6  # of a window's mean power: what lies 60 dB below is not looked at


def mel_filters() -> np.ndarray:
    """Triangles between 50 and 7900 Hz on the mel scale (HTK's formula), float64 (BINS, FFT // 2 + 1), area one."""

    def mel(hz: np.ndarray | float) -> np.ndarray:
        return 2595 * np.log10(1 + np.asarray(hz) / 700)

    edges = 700 * (10 ** (np.linspace(mel(50.0), mel(7900.0), BINS + 2) / 2595) - 1)
    hz = np.fft.rfftfreq(FFT, 1 / RATE_HZ)
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    shape = np.maximum(0, np.minimum((hz - low) / (mid - low), (high - hz) / (high - mid)))
    thin = shape.sum(1) < 0.5  # narrower than the transform's resolution: the nearest line
    for k in np.flatnonzero(thin):
        shape[k, np.argmin(np.abs(hz - mid[k, 0]))] += 0.5
    return shape / shape.sum(1, keepdims=True)


class MelPower(nn.Module):
    """Samples (n, samples) -> mel power (n, BINS, samples // HOP): Hann windows of 32 ms, centered, zeros around."""

    def __init__(self) -> None:
        super().__init__()
        k, t = np.arange(FFT // 2 + 1)[:, None], np.arange(FFT)
        wave = np.exp(-2j * np.pi * k * t / FFT) * np.hanning(FFT + 1)[:-1]
        basis = np.concatenate([wave.real, wave.imag])[:, None]
        self.basis = nn.Buffer(torch.from_numpy(basis).float())
        self.filters = nn.Buffer(torch.from_numpy(mel_filters()).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        margin = (FFT - HOP) // 2
        lines = nn.functional.conv1d(nn.functional.pad(x, (margin, margin))[:, None], self.basis, stride=HOP)
        real, imaginary = lines.chunk(2, 1)
        return self.filters @ (real * real + imaginary * imaginary)


def leveled(power: torch.Tensor) -> torch.Tensor:
    """Mel power (n, BINS, frames) -> log-mels about zero, the same for any gain."""
    mean = power.mean((1, 2), keepdim=True)
    # not an added epsilon: the exporter's optimizer takes so small a number for zero, and silence would be 0 / 0
    return (torch.log10(power / mean.clamp_min(1e-10) + FLOOR) + 2.5) / 1.7


class Residual(nn.Module):
    """A 3x3 convolution added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return torch.relu(x + self.norm(self.conv(x)))


def stage(a: int, b: int, size: int, stride: tuple[int, int], padding: int | tuple[int, int]) -> list[nn.Module]:
    """Convolution, normalization, ReLU."""
    return [nn.Conv2d(a, b, size, stride, padding, bias=False), nn.BatchNorm2d(b), nn.ReLU()]


class Listener(nn.Module):
    """Log-mels (n, BINS, FRAMES) -> frame logits (n, STEPS, names), clip logits (n, names), embedding (n, dim).

    A stem of 5x5 and three stages (3x3 with stride, then residual 3x3) halve the frequencies each and the time three
    times; then all that is left of the frequencies is joined. The clip is judged by mean and maximum over time; a
    frame by its own vector and by the clip's, so that what is a fact of the window is known in each part of it.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 192), blocks: tuple[int, ...] = SHALLOW,
                 dim: int = 512) -> None:  # fmt: skip
        super().__init__()
        layers = stage(1, widths[0], 5, (2, 2), 2)
        for i, (a, b) in enumerate(pairwise(widths)):
            layers += stage(a, b, 3, (2, 2) if i < 2 else (2, 1), 1)
            layers += [Residual(b) for _ in range(blocks[i])]
        layers += [nn.Conv2d(widths[-1], dim, (BINS // 16, 1), bias=False), nn.BatchNorm2d(dim), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.25)
        self.clip = nn.Linear(2 * dim, len(NAMES))
        self.local = nn.Linear(dim, len(NAMES))
        self.context = nn.Linear(2 * dim, len(NAMES))
        self.guess = nn.Linear(dim, TEACHER_DIM)  # of the teacher's vector, while learning

    def vectors(self, mel: torch.Tensor) -> torch.Tensor:
        """A vector for each 0.1 s, (n, dim, STEPS)."""
        return self.body(mel[:, None].contiguous(memory_format=torch.channels_last))[:, :, 0]

    def heads(self, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Vectors -> frame logits, clip logits, embedding."""
        z = torch.cat([h.mean(2), h.amax(2)], 1)
        seen = self.dropout(z)
        frames = self.local(self.dropout(h.transpose(1, 2))) + self.context(seen)[:, None]
        return frames, self.clip(seen), z

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See the class."""
        return self.heads(self.vectors(mel))


def deepened(listener: Listener) -> Listener:
    """A DEEP listener that says what a SHALLOW one says: each block is followed by one that changes nothing yet."""
    out = Listener(blocks=DEEP)
    layers: list[nn.Module] = []
    stage_of: list[nn.Module] = []  # blocks of the stage so far
    for layer in listener.body:
        if stage_of and not isinstance(layer, Residual):
            layers += [unchanging(block.conv.out_channels) for block in stage_of]  # type: ignore[union-attr,arg-type]
            stage_of = []
        layers.append(layer)
        if isinstance(layer, Residual):
            stage_of.append(layer)
    out.body = nn.Sequential(*layers)
    for name in ("clip", "local", "context", "guess"):
        setattr(out, name, getattr(listener, name))
    return out


def unchanging(width: int) -> Residual:
    """A block that adds nothing, until it has learned to."""
    block = Residual(width)
    nn.init.zeros_(block.norm.weight)
    return block


def restored(state: dict[str, torch.Tensor]) -> Listener:
    """The listener, shallow or deep, of a checkpoint's weights."""
    count = sum(name.startswith("body.") and name.endswith(".norm.weight") for name in state)
    listener = Listener(blocks=DEEP if count == sum(DEEP) else SHALLOW)
    listener.load_state_dict(state)
    return listener
