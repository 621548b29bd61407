"""LAION's CLAP, the audio half: 48 kHz sound -> its text-aligned space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import ClapAudioModelWithProjection, ClapFeatureExtractor

from avstream.encoders.audio import AudioEncoder


class Clap(AudioEncoder):
    """The projected audio embedding, before normalization. Windows are shorter than CLAP's 10 s and are repeated
    to fill it, as its own feature extractor does; a longer clip would be cropped at random, so it is refused.
    """

    rate_hz = 48_000

    def __init__(self, checkpoint: Path, *, device: torch.device, dtype: torch.dtype) -> None:
        """Load from a local folder. Raises OSError."""
        self._device, self._dtype = device, dtype
        self._features = ClapFeatureExtractor.from_pretrained(checkpoint)
        self._model = ClapAudioModelWithProjection.from_pretrained(checkpoint, dtype=dtype).to(device).eval()
        self.dim = int(self._model.config.projection_dim)

    @torch.inference_mode()
    def encode_batch(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mono float32 clips (n_i,) at 48 kHz, at most 10 s -> (B, dim). Raises ValueError for a longer clip."""
        longest = max(clip.size for clip in clips)
        if longest > self._features.nb_max_samples:
            raise ValueError(f"CLAP takes {self._features.nb_max_samples} samples at most, found {longest}")
        inputs = self._features(list(clips), sampling_rate=self.rate_hz, return_tensors="pt")
        output = self._model(
            input_features=inputs["input_features"].to(self._device, self._dtype), is_longer=inputs["is_longer"]
        )
        return output.audio_embeds.float().numpy(force=True)
