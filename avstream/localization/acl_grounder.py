"""CLIPSeg, frozen, as ACL-SSL uses it: a sound's token goes through its text encoder, and its decoder draws a mask."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import AutoTokenizer, CLIPSegForImageSegmentation

from avstream.errors import ModelError

PROMPT = "A photo of "  # the token takes the place of the noun


class Seen(NamedTuple):
    """What CLIPSeg sees in B pictures: the decoder's inputs (B, 1 + h * w, d) each, and dense features (B, C, h, w)."""

    activations: list[Tensor]
    dense: Tensor


class Grounder:
    """A frozen CLIPSeg around a prompt. Gradients pass through it to the token and to the masked pictures."""

    def __init__(self, clipseg: CLIPSegForImageSegmentation, prompt: list[int]) -> None:
        """`prompt`: the ids of "A photo of ", with start and end; the sound's token goes before the last."""
        self._clipseg = clipseg.eval().requires_grad_(False)
        self._clip = clipseg.clip
        self._prompt = torch.tensor(prompt, device=clipseg.device)
        config = clipseg.config
        self.device: torch.device = clipseg.device
        self.size_px: int = config.vision_config.image_size
        self.token_dim: int = config.text_config.hidden_size

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Grounder:
        """A checkpoint such as CIDAS/clipseg-rd64-refined. Raises ModelError when a weight is missing; OSError."""
        clipseg, info = CLIPSegForImageSegmentation.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
        # old files hold the positions' numbers as well, which are no weights
        foreign = [key for key in info["unexpected_keys"] if not key.endswith("position_ids")]
        if info["missing_keys"] or foreign:
            raise ModelError(
                f"missing {sorted(info['missing_keys'])[:3]}, unknown {sorted(foreign)[:3]}",
                "use CIDAS/clipseg-rd64-refined",
                f"the weights of CLIPSegForImageSegmentation in {folder}",
            )
        ids = AutoTokenizer.from_pretrained(folder)(PROMPT).input_ids
        return cls(clipseg.to(device), ids)

    def audio_embedding(self, token: Tensor) -> Tensor:
        """The sound in CLIP's joint space: a token for each (B, d) -> (B, C).

        CLIPSegTextModel takes ids only, so its parts are chained here: [start, a, photo, of, SOUND, end], positions,
        causal blocks, final norm; the last position is projected.
        """
        text = self._clip.text_model
        words = text.embeddings.token_embedding(self._prompt).expand(len(token), -1, -1)
        spliced = torch.cat([words[:, :-1], token[:, None].to(words), words[:, -1:]], dim=1)
        length = spliced.shape[1]
        causal = torch.full((length, length), float("-inf"), device=spliced.device).triu(1)[None, None]
        hidden = text.encoder(text.embeddings(inputs_embeds=spliced), causal).last_hidden_state
        return self._clip.text_projection(text.final_layer_norm(hidden)[:, -1])

    @torch.no_grad()
    def see(self, pixels: Tensor) -> Seen:
        """Pictures (B, 3, H, W), normalized as CLIP's, H = W."""
        hidden = self._clip.vision_model(pixels, output_hidden_states=True).hidden_states
        side = round((hidden[0].shape[1] - 1) ** 0.5)
        dense = self._dense(hidden[-2])[:, 1:].transpose(1, 2).unflatten(-1, (side, side))
        return Seen([hidden[i + 1] for i in self._clipseg.extract_layers], dense)

    def _dense(self, x: Tensor) -> Tensor:
        """The last block without mixing between patches, so that each keeps its own place: (B, T, d) -> (B, T, C)."""
        vision = self._clip.vision_model
        block = vision.encoder.layers[-1]
        x = x + block.self_attn.out_proj(block.self_attn.v_proj(block.layer_norm1(x)))
        x = x + block.mlp(block.layer_norm2(x))
        return self._clip.visual_projection(vision.post_layernorm(x))

    def image_embedding(self, pixels: Tensor) -> Tensor:
        """CLIP's vector of complete pictures (B, 3, H, W) -> (B, C), with gradients to the pixels."""
        return self._clip.visual_projection(self._clip.vision_model(pixels).pooler_output)

    def logits(self, seen: Seen, sounds: Tensor) -> Tensor:
        """Each picture asked for its own sound (B, C) -> (B, 1, H, W)."""
        logits = self._clipseg.decoder(seen.activations, sounds).logits
        return logits.reshape(len(sounds), 1, *logits.shape[-2:])

    def pair_logits(self, seen: Seen, sounds: Tensor) -> Tensor:
        """Each of B pictures asked for each of N sounds (N, C) -> (B, N, H, W)."""
        pictures, count = len(seen.dense), len(sounds)
        repeated = [activation.repeat_interleave(count, dim=0) for activation in seen.activations]
        logits = self.logits(Seen(repeated, seen.dense), sounds.repeat(pictures, 1))
        return logits.reshape(pictures, count, *logits.shape[-2:])
