"""Whisper's encoder as `whisper` (its last layer) and `whisperclip` (the average of all layers, SoundCLIP)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from avstream.encoders.audio import AudioEncoder

POSITION_S = 0.02  # one encoder position: hop 160 at 16 kHz, halved by the second convolution


class Whisper(AudioEncoder):
    """A Whisper encoder cut to the window's length.

    Whisper pads every clip to 30 s; a plain time mean of a 3 s clip would be nine tenths padding. The positions
    past the window are cut off instead, so the mean covers the window alone and costs a tenth.

    z_a = mean over time of the last layer (`fuse_layers=False`), or of the average of all encoder layers
    (`fuse_layers=True`: WhisperCLIP, z_a = 1/L sum_l MeanTime(H^(l)), SoundCLIP section 3.1).
    """

    rate_hz = 16_000

    def __init__(
        self, checkpoint: Path, *, fuse_layers: bool, window_s: float, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Load from a local folder: a complete Whisper checkpoint, or one of its encoder alone. Raises OSError."""
        self._device, self._dtype = device, dtype
        self._fuse_layers = fuse_layers
        self._features = WhisperFeatureExtractor.from_pretrained(checkpoint)
        encoder = WhisperEncoder.from_pretrained(checkpoint, dtype=dtype, key_mapping={r"^(model\.)?encoder\.": ""})
        self._encoder = cut_positions(encoder, window_s).to(device).eval()
        self._samples = round(self._encoder.config.max_source_positions * POSITION_S * self.rate_hz)
        self.dim = int(self._encoder.config.d_model)

    @torch.inference_mode()
    def encode_batch(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mono float32 clips (n_i,) at 16 kHz -> (B, dim). Shorter than the window: zeros are added; longer: cut."""
        return fuse(self._hidden_states(clips), self._fuse_layers).float().numpy(force=True)

    @torch.inference_mode()
    def layers(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The time mean of each encoder layer, (L, dim), for a sound as `encode` takes it."""
        states = self._hidden_states([samples])[1:]
        return torch.stack([layer[0].mean(dim=0) for layer in states]).float().numpy(force=True)

    def _hidden_states(self, clips: Sequence[NDArray[np.float32]]) -> tuple[Tensor, ...]:
        mel = self._features(
            list(clips), sampling_rate=self.rate_hz, padding="max_length", max_length=self._samples,
            truncation=True, return_tensors="pt",
        ).input_features  # fmt: skip
        output = self._encoder(mel.to(self._device, self._dtype), output_hidden_states=True)
        return output.hidden_states


def fuse(hidden_states: tuple[Tensor, ...], fuse_layers: bool) -> Tensor:
    """(B, T, d) a layer, the input's embedding first -> (B, d): the time mean of the last, or of all layers."""
    layers = hidden_states[1:] if fuse_layers else hidden_states[-1:]
    return torch.stack([layer.mean(dim=1) for layer in layers]).mean(dim=0)


def cut_positions(encoder: WhisperEncoder, window_s: float) -> WhisperEncoder:
    """Keep only the positions that a window of `window_s` seconds fills."""
    positions = min(round(window_s / POSITION_S), encoder.config.max_source_positions)
    weight = encoder.embed_positions.weight.detach()[:positions].clone()
    encoder.embed_positions = nn.Embedding.from_pretrained(weight, freeze=True)
    encoder.max_source_positions = encoder.config.max_source_positions = positions
    return encoder
