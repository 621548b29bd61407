"""ImageBind's audio half (Girdhar et al., arXiv 2305.05665): 16 kHz sound -> the space it shares with pictures.

Written from the paper and from the published file's layout. The weights are non-commercial (CC BY-NC-SA 4.0).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from avstream.encoders import weights
from avstream.encoders.audio import AudioEncoder, at_least
from avstream.encoders.features import FRAME, MEL_BINS, kaldi_fbank

RATE_HZ, CLIP_S, CLIPS = 16_000, 2, 3
FRAMES, MEAN, STD = 204, -4.268, 9.138
WIDTH, HEADS, BLOCKS, DIM = 768, 12, 12, 1024
PARTS = ("preprocessors", "trunks", "heads", "postprocessors")
PREFIXES = tuple(f"modality_{part}.audio." for part in PARTS)
FILE = "the weights of ImageBind (imagebind_huge.pth)"


def cut(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Mono (n,) -> three pieces of 2 s, from its start, middle and end; shorter sound is one piece."""
    length = CLIP_S * RATE_HZ
    if samples.size <= length:
        return [at_least(samples, FRAME)]
    latest = (samples.size / RATE_HZ) - CLIP_S
    starts = (int(latest * i / (CLIPS - 1) * RATE_HZ) for i in range(CLIPS))
    return [samples[start : start + length] for start in starts]


def features(samples: NDArray[np.float32]) -> Tensor:
    """Mono samples at 16 kHz (n,) -> normalized log filterbanks float32 (pieces, 1, 128, 204), frequency first.

    What is shorter than 204 frames is filled with zeros before the normalization, as the model was trained.
    """
    out = np.zeros((0, 1, MEL_BINS, FRAMES))
    for piece in cut(samples):
        mel = kaldi_fbank(piece - piece.mean(dtype=np.float64), "hann")[:FRAMES].T
        out = np.concatenate([out, np.pad(mel, ((0, 0), (0, FRAMES - mel.shape[1])))[None, None]])
    return torch.from_numpy(((out - MEAN) / STD).astype(np.float32))


class Stem(nn.Module):
    """Patches of 16 x 16, every 10: (B, 1, 128, 204) -> (B, 228, 768), frequency being the row."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, WIDTH, 16, 10, bias=False)
        self.norm_layer = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 128, 204) -> (B, 228, 768)."""
        out: Tensor = self.norm_layer(self.proj(x).flatten(2).transpose(1, 2))
        return out


class Tokens(nn.Module):
    """Patches behind a CLS token, with learned places: (B, 1, 128, 204) -> (B, 229, 768)."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.rgbt_stem = Stem()
        self.pos_embedding_helper = nn.ParameterDict({"pos_embed": nn.Parameter(torch.zeros(1, 229, WIDTH))})

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 128, 204) -> (B, 229, 768)."""
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), self.rgbt_stem(x)], 1)
        return tokens + self.pos_embedding_helper["pos_embed"]


class Block(nn.Module):
    """A pre-norm transformer block whose attention has one more, learned, key and value: (B, T, d) -> (B, T, d)."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, add_bias_kv=True, batch_first=True)
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        self.mlp = nn.Sequential(
            OrderedDict(fc1=nn.Linear(WIDTH, 4 * WIDTH), act=nn.GELU(), fc2=nn.Linear(4 * WIDTH, WIDTH))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, d) -> (B, T, d)."""
        seen = self.norm_1(x)
        x = x + self.attn(seen, seen, seen, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.norm_2(x))
        return out


class ImageBindAudio(nn.Module):
    """The audio part of the network, with the published file's names: `features` (B, 1, 128, 204) -> (B, 1024).

    An output has the length 20: it is normalized, then scaled by the model's temperature.
    """

    def __init__(self) -> None:
        super().__init__()
        scale = nn.Module()
        scale.register_buffer("log_logit_scale", torch.zeros(()))
        trunk = nn.Module()
        trunk.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        head = nn.Sequential(nn.LayerNorm(WIDTH, eps=1e-6), nn.Identity(), nn.Linear(WIDTH, DIM, bias=False))
        parts = (Tokens(), trunk, head, nn.ModuleDict({"1": scale}))
        for name, part in zip(PARTS, parts, strict=True):
            self.add_module(f"modality_{name}", nn.ModuleDict({"audio": part}))

    def blocks(self, x: Tensor) -> list[Tensor]:
        """(B, 1, 128, 204) -> the tokens, then the output of each block, (B, 229, 768) each."""
        out = [self.get_submodule("modality_preprocessors.audio")(x)]
        for block in self.get_submodule("modality_trunks.audio.blocks").children():
            out.append(block(out[-1]))
        return out

    def project(self, tokens: Tensor) -> Tensor:
        """(B, 229, 768) -> (B, 1024), of the CLS token."""
        scale = self.get_buffer("modality_postprocessors.audio.1.log_logit_scale").exp().clamp(max=100)
        return normalize(self.get_submodule("modality_heads.audio")(tokens[:, 0]), dim=-1) * scale

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 128, 204) -> (B, 1024)."""
        return self.project(self.blocks(x)[-1])


class ImageBindEncoder(AudioEncoder):
    """The frozen network: the mean over a clip's pieces, as the original has it."""

    rate_hz, dim = RATE_HZ, DIM

    def __init__(self, path: Path, *, device: torch.device, dtype: torch.dtype) -> None:
        """Load the official file; only the audio part of it comes into memory. Raises ModelError."""
        self._device, self._dtype = device, dtype
        self.model = load_imagebind(path).to(device, dtype)

    @torch.inference_mode()
    def encode_batch(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mono float32 clips (n_i,) at 16 kHz -> (B, 1024)."""
        pieces = [features(clip) for clip in clips]
        vectors = self.model(torch.cat(pieces).to(self._device, self._dtype)).float()
        return torch.stack([part.mean(0) for part in vectors.split([len(one) for one in pieces])]).numpy(force=True)


def load_imagebind(path: Path) -> ImageBindAudio:
    """The audio part of an official file, in float32 on the CPU; the five other senses are left. Raises ModelError."""
    state = weights.state_of(path, PREFIXES, FILE)
    with torch.device("meta"):
        model = ImageBindAudio()
    return weights.fit(model, state, path, FILE)
