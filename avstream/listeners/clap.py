"""CLAP (LAION) as a listener for labels in anybody's words: zero-shot, by transformers.

The chance of a label is a softmax over all labels and some everyday backgrounds, whose share is `other`; so of several
sounds at once the strongest takes most. Nothing of this is calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from avstream import vocabulary
from avstream.listeners.base import Floats, Heard, no_parents
from avstream.listeners.calibration import NOT_CALIBRATED

PROMPT = "This is a sound of {}."
BACKGROUNDS = ("silence", "background noise", "wind", "people talking", "music", "traffic", "a quiet room", "an animal")


class ClapListener:
    """CLAP from a local folder, with the labels (names of the vocabulary) that it is to listen for."""

    rate_hz = 48_000
    name = "clap"
    calibration = NOT_CALIBRATED

    def __init__(self, checkpoint: Path, labels: Sequence[str], *, device: torch.device, dtype: torch.dtype) -> None:
        """Load it and read the labels once. Raises OSError when files are missing."""
        from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

        self._features = ClapFeatureExtractor.from_pretrained(checkpoint)
        self._model = ClapModel.from_pretrained(checkpoint, dtype=dtype).to(device).eval()
        words = [vocabulary.ENTRIES[label].caption for label in labels]
        backgrounds = [text for text in BACKGROUNDS if not any(text in word or word in text for word in words)]
        prompts = [PROMPT.format(text) for text in (*words, *backgrounds)]
        given = AutoTokenizer.from_pretrained(checkpoint)(prompts, padding=True, return_tensors="pt").to(device)
        with torch.inference_mode():
            self._texts = self._embedded(self._model.get_text_features(**given))
        self.labels = (*labels, vocabulary.OTHER)
        self.parents: dict[str, tuple[str, ...]] = {}
        self.thresholds: dict[str, float] = {}

    @torch.inference_mode()
    def listen(self, samples: Floats) -> Heard:
        """See `Listener`; one frame, the clip. The embedding has length 1."""
        given = self._features(samples, sampling_rate=self.rate_hz, return_tensors="pt").to(self._model.device)
        given["input_features"] = given["input_features"].to(self._model.dtype)
        sound = self._embedded(self._model.get_audio_features(**given))[0]
        chances = torch.softmax(self._model.logit_scale_a.exp().float() * (self._texts @ sound), dim=0).numpy(
            force=True
        )
        named = len(self.labels) - 1
        clip = np.append(chances[:named], chances[named:].sum()).astype(np.float32)
        hop_s = max(len(samples), 1) / self.rate_hz
        return Heard(clip[None], clip, hop_s, *no_parents(1), sound.numpy(force=True))

    def _embedded(self, output: object) -> torch.Tensor:
        """Unit vectors (n, d), whichever way transformers gives them."""
        vectors = getattr(output, "pooler_output", output)
        assert isinstance(vectors, torch.Tensor)
        return torch.nn.functional.normalize(vectors.float(), dim=-1)
