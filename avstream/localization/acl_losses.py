"""ACL-SSL's masks and losses (arXiv 2311.04066, sections 3.2 and 3.3), on plain tensors: no model, no I/O.

B pictures against N sounds give logits (B, N, H, W); the pairs on the diagonal belong together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize

TEMPERATURE = 0.07
AREA_OF_PAIRS, AREA_OF_OTHERS = 0.4, 0.0  # the share of a picture that its own sound, and another one, may claim


class Losses(NamedTuple):
    """The three terms, which the paper adds with weight 1."""

    image: Tensor
    feature: Tensor
    area: Tensor

    def total(self) -> Tensor:
        """ACL_I + ACL_F + area."""
        return self.image + self.feature + self.area


class ImageMasker(nn.Module):
    """Logits -> image-level masks. The two scalars are learned; names and first values are the checkpoint's. Where the
    logits are far from -b / w, as a small CLIPSeg's may be, so steep a mask has no gradient: begin with a lower `w`.
    """

    def __init__(self, w: float = 10.0, b: float = 14.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))
        self.b = nn.Parameter(torch.tensor(b))

    def forward(self, logits: Tensor) -> Tensor:
        """For training: 0 or 1, drawn by logistic noise, with the soft mask's gradient passed through."""
        u = torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)
        soft = torch.sigmoid(self.w * logits + self.b + torch.logit(u))
        return (soft > 0.5).float() + (soft - soft.detach())

    def heatmap(self, logits: Tensor, size: int | None = None) -> Tensor:
        """Inference: sigmoid(x + b / w), of the logits resized (bicubic) to a square of `size` when it is given."""
        if size is not None:
            logits = interpolate(logits, (size, size), mode="bicubic", align_corners=False)
        return torch.sigmoid(logits + self.b / self.w)


def feature_mask(logits: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
    """Feature-level masks: each map stretched to 0..1, then sigmoid((v - 0.5) / 0.07); (B, N, H, W) -> same or grid."""
    low, high = logits.amin((-2, -1), keepdim=True) - 1e-7, logits.amax((-2, -1), keepdim=True) + 1e-7
    mask = torch.sigmoid(((logits - low) / (high - low) - 0.5) / TEMPERATURE)
    return mask if grid is None else interpolate(mask, grid, mode="nearest")


def masked_feature(dense: Tensor, masks: Tensor) -> Tensor:
    """v_F: dense features (B, C, h, w) summed under masks (B, N, h, w) -> (B, N, C).

    The sum is divided by the masks' sum over the batch, as the published code has it: only the direction is
    ever used, so the scale doesn't matter.
    """
    return torch.einsum("bchw,bnhw->bnc", dense, masks) / (masks.sum() + 1e-6)


def infonce(queries: Tensor, keys: Tensor) -> Tensor:
    """One direction: each query (B, C) must find its own key (B, C) among all, by cosine / 0.07."""
    logits = normalize(queries, dim=-1) @ normalize(keys, dim=-1).T / TEMPERATURE
    return cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def acl_image(audio: Tensor, image: Tensor) -> Tensor:
    """ACL_I: sounds (B, C) against the embeddings of the masked pictures (B, C), both ways."""
    return (infonce(audio, image) + infonce(image, audio)) / 2


def acl_feature(feature: Tensor, audio: Tensor) -> Tensor:
    """ACL_F: v_F (B, N, C) with N = B, and sounds (B, C). logits[b, n] = cos(v_F[b, n], audio[b]) / 0.07, both ways.

    In each picture b the mask of its own sound must gather what resembles that sound, more than other masks do.
    """
    logits = torch.einsum("bnc,bc->bn", normalize(feature, dim=-1), normalize(audio, dim=-1)) / TEMPERATURE
    truth = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, truth) + cross_entropy(logits.T, truth)) / 2


def area_loss(pairs: Tensor, others: Tensor, wanted: float = AREA_OF_PAIRS) -> Tensor:
    """|p - wanted| + |n - 0|: mean mask areas of matching and of other pairs, so that a mask can't cover everything."""
    return (pairs - wanted).abs() + (others - AREA_OF_OTHERS).abs()


def mask_areas(masks: Tensor) -> tuple[Tensor, Tensor]:
    """(B, B, H, W) -> the mean area of the masks on the diagonal, and of the others. Needs two pairs or more."""
    area, own = masks.mean((-2, -1)), torch.eye(len(masks), dtype=torch.bool, device=masks.device)
    return area[own].mean(), area[~own].mean()
