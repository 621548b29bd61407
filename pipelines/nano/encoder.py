"""The encoder of `nano`: Whisper-shaped, its fused sound vector, the head that it is trained by, and its teacher.

The parts that are shipped are transformers' own WhisperEncoder and WhisperFeatureExtractor. The teacher, a small
convolutional network, learns faster from few recordings; it is only used in training.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from avstream.encoders.whisper import fuse
from pipelines.nano.labels import LABELS

RATE_HZ = 16000
WINDOW = 3 * RATE_HZ
FRAMES = 300
WIDTH = 192
HIDDEN = 256


def feature_extractor() -> WhisperFeatureExtractor:
    """Whisper's own, for windows of three seconds."""
    return WhisperFeatureExtractor(feature_size=80, sampling_rate=RATE_HZ, hop_length=160, chunk_length=3, n_fft=400)


class Head(nn.Module):
    """LayerNorm, one hidden layer, one logit a label: (B, dim) -> (B, labels). Used in training only."""

    def __init__(self, dim: int, hidden: int, labels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, labels))

    def forward(self, vector: torch.Tensor) -> torch.Tensor:
        """(B, dim) -> logits (B, labels)."""
        return self.layers(vector)


class LogMel(nn.Module):
    """WhisperFeatureExtractor in torch, for batches: float32 (n, 48000) -> (n, 80, 300)."""

    filters: torch.Tensor
    window: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", torch.from_numpy(feature_extractor().mel_filters.T.copy()).float())
        self.register_buffer("window", torch.hann_window(400))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        power = torch.stft(x, 400, 160, window=self.window, return_complex=True)[..., :-1].abs().square()
        log = (self.filters @ power).clamp_min(1e-10).log10()
        log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 8)
        return (log + 4) / 4


def whisper_config() -> WhisperConfig:
    """1.9 M parameters, 150 positions: three seconds."""
    return WhisperConfig(
        d_model=WIDTH, encoder_layers=4, encoder_attention_heads=4, encoder_ffn_dim=4 * WIDTH, num_mel_bins=80,
        max_source_positions=FRAMES // 2, dropout=0.0,
        decoder_layers=1, decoder_attention_heads=4, decoder_ffn_dim=4 * WIDTH, vocab_size=256, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip


class Listener(nn.Module):
    """Log-mel (n, 80, 300) -> logits (n, 21) and the sound vector (n, 192)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = WhisperEncoder(whisper_config())
        self.encoder.set_attn_implementation("eager")  # on a CPU a quarter faster to train than the fused one
        self.evidence = Head(WIDTH, HIDDEN, len(LABELS))

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class."""
        z = fuse(self.encoder(mel, output_hidden_states=True).hidden_states, fuse_layers=True)
        return self.evidence(z), z


class Teacher(nn.Module):
    """Five convolutional stages over the log-mel: logits (n, 21) and a vector (n, 256)."""

    width = 256

    def __init__(self) -> None:
        super().__init__()
        sizes, layers = (1, 32, 64, 128, 192, self.width), []
        for i, (a, b) in enumerate(pairwise(sizes)):
            layers += [
                nn.Conv2d(a, b, 3, stride=2 if i == 0 else 1, padding=1, bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(),
            ]
            if i:
                layers.append(nn.MaxPool2d(2))
        self.stages = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(self.width, len(LABELS))

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class."""
        x = self.stages(mel[:, None])  # (n, 256, 2, 9)
        z = x.mean((2, 3)) + x.amax((2, 3))
        return self.output(self.dropout(z)), z


class Student(nn.Module):
    """A listener with a guess at the teacher's vector, which gives it more to learn from than labels alone."""

    def __init__(self) -> None:
        super().__init__()
        self.listener = Listener()
        self.guess = nn.Linear(WIDTH, Teacher.width)

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n, 21) and the guess (n, 256)."""
        logits, z = self.listener(mel)
        return logits, self.guess(z)
