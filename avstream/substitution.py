"""Token substitution, the paper's Algorithm 1 (arXiv 2506.10416), on plain tensors: no model, no I/O.

The sound's vector takes the place of the CLS token, and only the picture patches that resemble the sound stay.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from avstream.errors import ConfigError

Unselected = Literal["zero", "drop"]


def similarities(sound: Tensor, patches: Tensor) -> Tensor:
    """s_i = cos(f_a, v_i), in float32. `sound` is (d,), `patches` (N, d); gives (N,)."""
    return cosine_similarity(sound.float()[None], patches.float(), dim=-1)


def select(scores: Tensor, k: int) -> Tensor:
    """Indices of the k largest scores, in the patches' own order; ties go to the earlier patch. Gives (k,) int64.

    Raises ConfigError unless 0 <= k <= N.
    """
    if not 0 <= k <= scores.numel():
        raise ConfigError(
            f"tokens must be between 0 and the picture's {scores.numel()} patches, not {k}; "
            "the paper uses 15 (the sound leads) or 150 (the picture leads)"
        )
    return torch.sort(scores, descending=True, stable=True).indices[:k].sort().values


def substitute(sound: Tensor, patches: Tensor, k: int, unselected: Unselected) -> tuple[Tensor, Tensor, Tensor]:
    """V* of Algorithm 1: the sound first, then the patches that resemble it most.

    Args:
        sound: f_a, (d,), already aligned to the patches' width.
        patches: v_1..v_N, (N, d), without the CLS token.
        k: how many patches to keep.
        unselected: "zero" keeps the other patches' places as zeros: (N + 1, d) tokens, as in the paper.
            "drop" removes them: (k + 1, d) tokens, the kept ones in the same order.

    Returns:
        tokens (N + 1 or k + 1, d) in the patches' dtype, scores (N,) float32, and the kept indices (k,).

    Raises:
        ConfigError: k is out of range.
    """
    scores = similarities(sound, patches)
    kept = select(scores, k)
    if unselected == "drop":
        chosen = patches[kept]
    else:
        chosen = torch.zeros_like(patches)
        chosen[kept] = patches[kept]
    return torch.cat([sound.to(patches)[None], chosen]), scores, kept
