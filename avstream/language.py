"""LLaVA's language half: visual tokens + words -> a sentence. Llava, LlavaNext and LlavaOnevision checkpoints."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from avstream.decoding import Replay
from avstream.errors import ConfigError, ModelError

FAMILIES = ("llava", "llava_next", "llava_onevision")
MAX_NEW_TOKENS = 48
PLAIN_TEMPLATE = "USER: {content} ASSISTANT:"  # for checkpoints that bring no chat template of their own


class Llava:
    """A LLaVA whose picture tokens come from outside.

    The tokens go through LLaVA's own projector and enter by `mm_encoder_outputs`, the seam that transformers
    offers, so the model itself is untouched.
    """

    words_decide = False

    def __init__(self, checkpoint: Path, *, device: torch.device, dtype: torch.dtype, int8: bool = False) -> None:
        """Load from a local folder. `int8` quantizes the language model (float32, on a CPU).

        Raises ModelError for a family that is not known, OSError when incomplete.
        """
        self._model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=dtype).to(device).eval()
        family = self._model.config.model_type
        if family not in FAMILIES:
            raise ModelError(f"a {family!r} model", expected=f"one of {', '.join(FAMILIES)} in {checkpoint}")
        # not AutoProcessor: Onevision's would want a video processor, and that torchvision
        self._pictures = AutoImageProcessor.from_pretrained(checkpoint)
        self._tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self._template = self._tokenizer.chat_template or stored_template(checkpoint)
        self._image_token: str = self._tokenizer.convert_ids_to_tokens(self._model.config.image_token_id)
        if int8:
            self._model.model.language_model = in_int8(self._model.model.language_model)
            self._model.lm_head = in_int8(nn.Sequential(self._model.lm_head))[0]
        self._replay = Replay(self._model) if Replay.suits(self._model) else None

    def vision_parts(self) -> dict[str, Any]:
        """What a ClipTower needs: LLaVA's own tower, the layer it reads and the pictures' normalization."""
        layer = self._model.config.vision_feature_layer
        if not isinstance(layer, int):
            raise ModelError(f"{layer}", "use another checkpoint", "one vision_feature_layer, a number")
        return {
            "tower": self._model.model.vision_tower,
            "layer": layer,
            "mean": list(self._pictures.image_mean),
            "std": list(self._pictures.image_std),
            "resample": int(self._pictures.resample),
        }

    def project(self, tokens: NDArray[np.float32]) -> Tensor:
        """(n, vision width) -> (n, text width), or (n + 1, ...) where the family ends a picture by a newline token.

        LlavaNext and Onevision get the one tile that shows all of the picture.
        """
        model = self._model.model
        visual = torch.from_numpy(tokens).to(self._model.device, self._model.dtype)
        projected = model.multi_modal_projector(visual[None])[0]
        newline = getattr(model, "image_newline", None)
        return projected if newline is None else torch.cat([projected, newline.to(projected)[None]])

    def prompt(self, instruction: str, heard: str) -> str:
        """The chat turn: the constant instruction before the picture (it can be cached), the window's words after.

        Raises ConfigError when the instruction holds the picture's own token.
        """
        if self._image_token in instruction:
            fix = "leave it out: the picture's place is set for you"
            raise ConfigError(f"the prompt contains {self._image_token}", fix)
        content = f"{instruction}\n{self._image_token}\n{heard}".strip()
        if self._template is None:
            return PLAIN_TEMPLATE.format(content=content)
        turn = [{"role": "user", "content": [{"type": "text", "text": content}]}]
        return self._tokenizer.apply_chat_template(
            turn, chat_template=self._template, add_generation_prompt=True, tokenize=False
        )

    @torch.inference_mode()
    def describe(self, tokens: NDArray[np.float32], instruction: str, heard: str) -> str:
        """Visual tokens (n, vision width) and words -> the model's own sentence, greedily decoded."""
        features = self.project(tokens)
        text = self.prompt(instruction, heard).replace(self._image_token, self._image_token * len(features))
        inputs = self._tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        inputs = inputs.to(self._model.device)
        length = inputs["input_ids"].shape[1]
        cache = {} if self._replay is None else {"past_key_values": self._replay.cache(length + MAX_NEW_TOKENS)}
        output = self._model.generate(
            **inputs,
            **cache,
            # built anew for each call: beam search changes it in place
            mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=[features])},
            do_sample=False,
            max_new_tokens=MAX_NEW_TOKENS,
        )
        new = output[0, length:]
        return self._tokenizer.decode(new, skip_special_tokens=True).strip()


def in_int8(model: nn.Module) -> Any:
    """The model with its linear layers quantized dynamically: int8 weights, activations quantized at each call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it moves to another package one day; torch is pinned
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


def stored_template(checkpoint: Path) -> str | None:
    """The chat template that a checkpoint keeps for its processor, which the tokenizer does not read; or None."""
    path = checkpoint / "chat_template.json"
    return json.loads(path.read_text(encoding="utf-8"))["chat_template"] if path.is_file() else None
