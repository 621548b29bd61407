"""What the projection is trained by (SoundCLIP, section 3.3), and its ablations. f are sounds, v pictures, (B, d).

infonce        cross-entropy of cos(f_i, v_j) / tau against i = j, mean of both directions, tau = 0.07
distribution   lambda * (|mu_f - mu_v|^2 + |sigma_f - sigma_v|^2) over the batch, lambda = 0.02
both           their sum: the paper's
cosine         mean of 1 - cos(f_i, v_i)
mse            mean squared difference
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, mse_loss, normalize

TAU, LAMBDA = 0.07, 0.02


def infonce(f: Tensor, v: Tensor) -> Tensor:
    """Bidirectional InfoNCE."""
    logits = normalize(f, dim=-1) @ normalize(v, dim=-1).T / TAU
    truth = torch.arange(len(f), device=f.device)
    return (cross_entropy(logits, truth) + cross_entropy(logits.T, truth)) / 2


def distribution(f: Tensor, v: Tensor) -> Tensor:
    """The distance of the batch's means and standard deviations."""
    shift = (f.mean(0) - v.mean(0)).square().sum() + (f.std(0) - v.std(0)).square().sum()
    return LAMBDA * shift


def both(f: Tensor, v: Tensor) -> Tensor:
    """The paper's loss."""
    return infonce(f, v) + distribution(f, v)


def cosine(f: Tensor, v: Tensor) -> Tensor:
    """How far each pair's directions are apart."""
    return (1 - cosine_similarity(f, v)).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "both": both,
    "infonce": infonce,
    "distribution": distribution,
    "cosine": cosine,
    "mse": mse_loss,
}
