"""BEATs iter3+ (Chen et al., arXiv 2212.09058): 16 kHz sound -> tokens, and the three layers that ACL-SSL listens to.

Written from the paper and from the published file's layout; it reads that file key by key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.functional import gelu

from avstream.encoders import weights
from avstream.encoders.audio import AudioEncoder, at_least
from avstream.encoders.features import FRAME, HOP, KALDI_RATE_HZ, in_batches, kaldi_fbank
from avstream.errors import ModelError

RATE_HZ = KALDI_RATE_HZ
MEAN, TWICE_STD = 15.41663, 2 * 6.55582  # of AudioSet's log filterbank, as BEATs was trained with
FILE = "the weights of a BEATs iter3+ (BEATs_iter3_plus_*.pt)"
USE = "use BEATs iter3+"
LAYERS_OF_ACL = (3, 7, 11)  # counted from 0
# what the published checkpoints have, and what this file writes out; another value is another network
ONLY = {"activation_fn": "gelu", "layer_norm_first": False, "relative_position_embedding": True, "gru_rel_pos": True}


@dataclass(frozen=True, slots=True)
class BeatsConfig:
    """The part of a checkpoint's `cfg` that shapes the network, with the names that it has there."""

    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    embed_dim: int = 512
    input_patch_size: int = 16
    conv_bias: bool = False
    conv_pos: int = 128
    conv_pos_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 800
    deep_norm: bool = True
    finetuned_model: bool = True
    predictor_class: int = 527

    @classmethod
    def read(cls, cfg: dict[str, Any]) -> BeatsConfig:
        """Take what is needed out of a checkpoint's `cfg`. Raises ModelError for another kind of network."""
        for key, value in ONLY.items():
            if cfg.get(key, value) != value:
                raise ModelError(f"{cfg[key]!r}", USE, f"a BEATs with {key} = {value!r}")
        return cls(**{f.name: cfg[f.name] for f in fields(cls) if f.name in cfg})


def features(samples: NDArray[np.float32]) -> Tensor:
    """Mono samples in [-1, 1] at 16 kHz (n,) -> normalized log filterbank float32 (1 + (n - 400) // 160, 128)."""
    log_mel = kaldi_fbank(samples * 32768.0, "povey")
    return torch.from_numpy(((log_mel - MEAN) / TWICE_STD).astype(np.float32))


def buckets(distance: Tensor, count: int, furthest: int) -> Tensor:
    """T5's bidirectional buckets of key - query: one a step up to count / 4, then logarithmic up to `furthest`."""
    half, exact = count // 2, count // 4
    far = distance.abs()
    log = torch.log(far.float().clamp(min=1) / exact) / math.log(furthest / exact)
    coarse = (exact + (log * (half - exact)).long()).clamp(max=half - 1)
    return (distance > 0) * half + torch.where(far < exact, far, coarse)


def shorten_mask(padding: Tensor, length: int) -> Tensor:
    """(B, n) bool -> (B, length): a place is padding when all that went into it is; the rest of n / length is cut."""
    used = padding.shape[1] // length * length
    return padding[:, :used].reshape(len(padding), length, -1).all(-1)


class PositionConv(nn.Module):
    """A grouped convolution over time with weight norm over the kernel's places: (B, T, d) -> (B, T, d)."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))
        self.weight_g = nn.Parameter(torch.ones(1, 1, kernel))
        self.weight_v = nn.Parameter(torch.randn(width, width // groups, kernel) * (4 / (kernel * width)) ** 0.5)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, d) -> (B, T, d). An even kernel gives one step too many; the last is dropped."""
        kernel = self.weight_v.shape[-1]
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(0, 1), keepdim=True))
        out = nn.functional.conv1d(x.transpose(1, 2), weight, self.bias, padding=kernel // 2, groups=self.groups)
        return gelu(out[..., : x.shape[1]].transpose(1, 2))


class GatedAttention(nn.Module):
    """Self-attention with a relative bias that each query opens and closes for itself: (B, T, d) -> (B, T, d)."""

    def __init__(self, width: int, heads: int, table: nn.Embedding) -> None:
        super().__init__()
        self.heads, size = heads, width // heads
        self.relative_attention_bias = table  # one table for all layers, as the checkpoint has it
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.grep_linear = nn.Linear(size, 8)
        self.grep_a = nn.Parameter(torch.ones(1, heads, 1, 1))

    def forward(self, x: Tensor, bias: Tensor, padding: Tensor | None) -> Tensor:
        """`bias` (1, heads, T, T); `padding` (B, T) bool, True where nobody may look."""
        q, k, v = (
            linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for linear in (self.q_proj, self.k_proj, self.v_proj)
        )
        a, b = torch.sigmoid(self.grep_linear(q).unflatten(-1, (2, 4)).sum(-1)).chunk(2, dim=-1)
        mask = bias * (a * (b * self.grep_a - 1) + 2)
        if padding is not None:
            mask = mask.masked_fill(padding[:, None, None], -math.inf)
        out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Post-norm block with DeepNorm's enlarged residual (arXiv 2203.00555)."""

    def __init__(self, config: BeatsConfig, table: nn.Embedding) -> None:
        super().__init__()
        width, inner = config.encoder_embed_dim, config.encoder_ffn_embed_dim
        self.residual = (2 * config.encoder_layers) ** 0.25 if config.deep_norm else 1.0
        self.self_attn = GatedAttention(width, config.encoder_attention_heads, table)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, bias: Tensor, padding: Tensor | None) -> Tensor:
        """(B, T, d) -> (B, T, d)."""
        x = self.self_attn_layer_norm(self.residual * x + self.self_attn(x, bias, padding))
        return self.final_layer_norm(self.residual * x + self.fc2(gelu(self.fc1(x))))


class Trunk(nn.Module):
    """Positional convolution and blocks; `forward` gives the output of every block."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        self.furthest = config.max_distance
        self.pos_conv = nn.ModuleList([PositionConv(width, config.conv_pos, config.conv_pos_groups)])
        table = nn.Embedding(config.num_buckets, config.encoder_attention_heads)
        self.layers = nn.ModuleList([Layer(config, table) for _ in range(config.encoder_layers)])
        self.layer_norm = nn.LayerNorm(width)

    def bias(self, tokens: int) -> Tensor:
        """The relative bias before its gate, (1, heads, T, T), rows are queries."""
        table = cast(Layer, self.layers[0]).self_attn.relative_attention_bias
        at = torch.arange(tokens, device=table.weight.device)
        return table(buckets(at[None] - at[:, None], table.num_embeddings, self.furthest)).permute(2, 0, 1)[None]

    def forward(self, x: Tensor, padding: Tensor | None) -> list[Tensor]:
        """(B, T, d), and True for padding (B, T) -> one (B, T, d) a block."""
        if padding is not None:
            x = x.masked_fill(padding[..., None], 0.0)
        x = self.layer_norm(x + self.pos_conv[0](x))
        bias, out = self.bias(x.shape[1]), []
        for layer in self.layers:
            x = layer(x, bias, padding)
            out.append(x)
        return out


class Beats(nn.Module):
    """The network, with the published checkpoint's names. It is only used frozen, so dropout is left out."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.config = config
        patch = config.input_patch_size
        self.patch_embedding = nn.Conv2d(1, config.embed_dim, patch, patch, bias=config.conv_bias)
        self.layer_norm = nn.LayerNorm(config.embed_dim)
        self.post_extract_proj = nn.Linear(config.embed_dim, config.encoder_embed_dim)
        self.encoder = Trunk(config)
        if config.finetuned_model:
            self.predictor = nn.Linear(config.encoder_embed_dim, config.predictor_class)

    def forward(self, mel: Tensor, padding: Tensor | None = None) -> list[Tensor]:
        """`features` (B, frames, 128), and True for padded frames (B, frames) -> one (B, T, d) a block.

        T = 8 * (frames // 16): the tokens run over frequency inside each time step.
        """
        patches = self.patch_embedding(mel[:, None]).flatten(2).transpose(1, 2)
        tokens = self.post_extract_proj(self.layer_norm(patches))
        return self.encoder(tokens, None if padding is None else shorten_mask(padding, tokens.shape[1]))

    def probabilities(self, tokens: Tensor, padding: Tensor | None = None) -> Tensor:
        """AudioSet's classes from the last block: (B, T, d), and True for padded tokens (B, T) -> (B, 527)."""
        logits = self.predictor(tokens)
        if padding is None:
            return torch.sigmoid(logits.mean(1))
        kept = ~padding[..., None]
        return torch.sigmoid((logits * kept).sum(1) / kept.sum(1))


class BeatsEncoder(AudioEncoder):
    """A frozen BEATs as an audio encoder: one vector a window, or the tokens that ACL-SSL takes."""

    rate_hz = RATE_HZ

    def __init__(self, model: Beats, *, device: torch.device) -> None:
        self._model = model.to(device).eval().requires_grad_(False)
        self._device = device
        self.dim = model.config.encoder_embed_dim
        self.layers_dim = self.dim * len(LAYERS_OF_ACL)
        least = model.config.input_patch_size
        self._least = FRAME + HOP * (least - 1)  # one patch of sound: 175 ms

    def _blocks(self, samples: NDArray[np.float32]) -> list[Tensor]:
        """One (T, d) a block. Sound shorter than one patch is padded with zeros to it."""
        mel = features(at_least(samples, self._least))
        return [block[0] for block in self._model(mel[None].to(self._device))]

    @torch.inference_mode()
    def encode_batch(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mono float32 clips (n_i,) at 16 kHz -> the means of the last block's tokens, float32 (B, dim)."""
        mels = [features(at_least(clip, self._least)) for clip in clips]
        return in_batches(mels, lambda x: self._model(x.to(self._device))[-1].mean(1).float().cpu())

    @torch.no_grad()
    def layers(self, samples: NDArray[np.float32]) -> Tensor:
        """Mono float32 (n,) at 16 kHz -> blocks 4, 8 and 12 side by side (ACL-SSL), float32 (T, 3 * dim)."""
        blocks = self._blocks(samples)
        return torch.cat([blocks[i] for i in LAYERS_OF_ACL], dim=-1).float()


def load_beats(path: Path) -> Beats:
    """The network of an official file: `{"cfg": ..., "model": ...}` (torch), or safetensors with `cfg` as metadata.

    Nothing in the file is executed. Raises ModelError: the file is missing or damaged, is no BEATs, or a weight is
    missing, added or of another shape.
    """
    cfg, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    config = BeatsConfig.read(cfg)
    if config.encoder_layers <= max(LAYERS_OF_ACL):
        raise ModelError(f"{config.encoder_layers}", USE, f"a BEATs with at least 12 blocks at {path}")
    with torch.device("meta"):
        model = Beats(config)
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    return weights.fit(model, tensors, path, FILE)


def _read_torch(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """`cfg` and `model` of a torch file, read without running code."""
    file = weights.read(path, FILE)
    try:
        return dict(file["cfg"]), dict(file["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("another layout", USE, f"'cfg' and 'model' in {path}") from error


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The same content as safetensors: the weights, and `cfg` as JSON in the metadata."""
    try:
        with safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {})["cfg"]), {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"none ({error})", USE, f"{FILE} at {path}") from error
    except (KeyError, ValueError) as error:
        raise ModelError("none", USE, f"BEATs' cfg as JSON in the metadata of {path}") from error
