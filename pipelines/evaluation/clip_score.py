"""CLIPScore: 2.5 * max(0, cos) of a picture's and a sentence's CLIP embeddings (Hessel and others, 2021)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from avstream import torch_models

WEIGHT = 2.5


class ClipScore:
    """A CLIP with both halves."""

    def __init__(self, checkpoint: str, device: torch.device) -> None:
        """Load it. Raises ModelError when it is not here, or not a CLIP."""
        self._device = device
        self._model, self._pictures, self._words = torch_models.loading(
            checkpoint,
            "clip",
            lambda path: (
                CLIPModel.from_pretrained(path).to(device).eval(),
                AutoImageProcessor.from_pretrained(path),
                AutoTokenizer.from_pretrained(path),
            ),
        )

    @torch.inference_mode()
    def look(self, rgb: NDArray[np.uint8]) -> Tensor:
        """A picture (H, W, 3) -> its embedding (d,)."""
        pixels = self._pictures(Image.fromarray(rgb), return_tensors="pt").to(self._device)
        output = self._model.vision_model(**pixels).pooler_output
        return self._model.visual_projection(output)[0].float().cpu()

    @torch.inference_mode()
    def score(self, picture: Tensor, text: str) -> float:
        """How well a sentence fits a picture that `look` gave, 0..2.5; a long sentence is cut to what CLIP takes."""
        longest = self._model.config.text_config.max_position_embeddings
        inputs = self._words(text, return_tensors="pt", truncation=True, max_length=longest).to(self._device)
        output = self._model.text_model(inputs["input_ids"], inputs["attention_mask"]).pooler_output
        sentence = self._model.text_projection(output)[0].float().cpu()
        return WEIGHT * max(0.0, float(cosine_similarity(picture, sentence, dim=0)))
