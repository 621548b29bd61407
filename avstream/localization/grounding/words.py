"""Detectors that take words: OWLv2 and its like draw boxes, CLIPSeg draws masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoImageProcessor,
    AutoModelForZeroShotObjectDetection,
    AutoTokenizer,
    CLIPSegForImageSegmentation,
)

from avstream.localization.grounding.hub import check_whole, things_of
from avstream.localization.grounding.thing import Thing, distinct, outlined
from avstream.records import Box

PROMPT = "a photo of a {}"
SMALLEST = 0.002  # of the picture: specks of a mask are no things


class WordBoxes:
    """OWL-ViT and OWLv2: one query a word, a box for each patch that fits it."""

    names: frozenset[str] | None = None
    sure = 0.25  # their scores are low: the authors draw from 0.1 to 0.2 on
    least = 0.1

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises ModelError when a weight is missing; OSError and ValueError of transformers."""
        model, info = AutoModelForZeroShotObjectDetection.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
        check_whole(folder, model, info)
        self._processor, self._tokens = (
            AutoImageProcessor.from_pretrained(folder),
            AutoTokenizer.from_pretrained(folder),
        )
        self._model, self._device = model.to(device).eval(), device

    @torch.inference_mode()
    def find(self, rgb: NDArray[np.uint8], words: Sequence[str]) -> list[Thing]:
        """The things of `words` in a picture, uint8 (h, w, 3)."""
        if not words:
            return []
        text = tokenized(self._tokens, words).to(self._device)
        pixels = self._processor(images=[rgb], return_tensors="pt").to(self._device)
        outputs = self._model(**text, **pixels)
        size = torch.tensor([rgb.shape[:2]])
        found = self._processor.post_process_object_detection(outputs, threshold=self.least, target_sizes=size)[0]
        return things_of(found, rgb.shape[:2], lambda label: words[label])


class WordMasks:
    """CLIPSeg: a mask a word, cut into its separate parts."""

    names: frozenset[str] | None = None
    sure = 0.5
    least = 0.3

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises ModelError when a weight is missing; OSError and ValueError of transformers."""
        model, info = CLIPSegForImageSegmentation.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
        check_whole(folder, model, info)
        self._processor, self._tokens = (
            AutoImageProcessor.from_pretrained(folder),
            AutoTokenizer.from_pretrained(folder),
        )
        self._model, self._device = model.to(device).eval(), device

    @torch.inference_mode()
    def find(self, rgb: NDArray[np.uint8], words: Sequence[str]) -> list[Thing]:
        """The things of `words` in a picture, uint8 (h, w, 3), with their outlines."""
        if not words:
            return []
        text = tokenized(self._tokens, words).to(self._device)
        pixels = self._processor(images=[rgb], return_tensors="pt").pixel_values.to(self._device)
        logits = self._model(**text, pixel_values=pixels.expand(len(words), -1, -1, -1)).logits
        maps = logits.reshape(len(words), *logits.shape[-2:]).sigmoid().numpy(force=True)
        found = [thing for word, heat in zip(words, maps, strict=True) for thing in self._parts(word, heat)]
        return sorted(found, key=lambda thing: -thing.score)

    def _parts(self, word: str, heat: NDArray[np.float32]) -> list[Thing]:
        """The parts of one word's map, each as sure as its hottest place."""
        parts = []
        for box, outline, share in outlined(heat >= self.least):
            if share >= SMALLEST:
                inside = heat[within(box, heat.shape)]
                parts.append(Thing(word, float(inside.max()), box, outline))
        return distinct(parts)


def within(box: Box, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Where a box lies in a map (rows, columns), at least one cell."""
    rows, columns = shape
    left, top = int(box[0] * columns), int(box[1] * rows)
    return slice(top, max(top + 1, round(box[3] * rows))), slice(left, max(left + 1, round(box[2] * columns)))


def tokenized(tokenizer, words: Sequence[str]):  # type: ignore[no-untyped-def]
    """`words` as prompts, padded to one length."""
    prompts = [PROMPT.format(word) for word in words]
    return tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt")
