"""The Audio Spectrogram Transformer (Gong and others, AudioSet) by transformers: 16 kHz, clips of 10 s, 527 sigmoids.

A window is padded to 10 s, as its feature extractor does; it scores the clip, not its moments.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from avstream.errors import ModelError
from avstream.listeners.audioset import KINDS, by_titles, heard
from avstream.listeners.base import Floats, Heard
from avstream.listeners.calibration import Calibration


class AstListener:
    """AST from a local folder."""

    rate_hz = 16_000
    parents = KINDS
    name = "ast"

    def __init__(self, checkpoint: Path, *, device: torch.device, dtype: torch.dtype) -> None:
        """Load it. Raises ModelError for classes that are not AudioSet's, OSError when files are missing."""
        from transformers import ASTFeatureExtractor, ASTForAudioClassification

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a mel filter that is narrower than a bin: AST was trained with it
            self._features = ASTFeatureExtractor.from_pretrained(checkpoint)
        self._model = ASTForAudioClassification.from_pretrained(checkpoint, dtype=dtype).to(device).eval()
        titles = [self._model.config.id2label[place] for place in range(self._model.config.num_labels)]
        try:
            self.labels = by_titles(titles)
        except ValueError as error:
            raise ModelError(f"{checkpoint}: {error}", "use a checkpoint that was trained on AudioSet") from error
        self._calibration = Calibration.shipped("ast")
        self.calibration = self._calibration.words
        self.thresholds: dict[str, float] = {}

    @torch.inference_mode()
    def listen(self, samples: Floats) -> Heard:
        """See `Listener`; one frame, the clip. The embedding is the pooled one that the classes are read from."""
        given = self._features(samples, sampling_rate=self.rate_hz, return_tensors="pt")["input_values"]
        given = given.to(self._model.device, self._model.dtype)
        output = self._model.audio_spectrogram_transformer(given)
        scores = torch.sigmoid(self._model.classifier(output.pooler_output).float())[0].numpy(force=True)
        hop_s = max(len(samples), 1) / self.rate_hz
        embedding = output.pooler_output[0].float().numpy(force=True)
        return heard(scores[None], scores, hop_s, self.labels, self._calibration, embedding)
