"""ACL-SSL (Park et al., arXiv 2311.04066): the sound becomes a word for CLIP, and CLIPSeg draws where it is.

BEATs layers -> AudioTokenizer -> one token in "A photo of ..." -> CLIP's text encoder -> CLIPSeg's decoder -> heatmap.
Written from the paper's description. Only the tokenizer and two mask scalars are trained. The sound's encoder is
handed in, for this module knows no encoders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, gelu, normalize

from avstream.errors import ModelError
from avstream.localization.acl_grounder import Grounder
from avstream.localization.acl_losses import (
    AREA_OF_PAIRS,
    ImageMasker,
    Losses,
    acl_feature,
    acl_image,
    area_loss,
    feature_mask,
    mask_areas,
    masked_feature,
)

CLIP_S = 10.0  # the method's length of a sound: longer ones are cut, shorter ones filled with zeros
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HEATMAP_PX = 224  # the size at which the method is evaluated
TRAIN = "use the weights that python -m pipelines.train_localizer writes"


class LayerEncoder(Protocol):
    """A sound encoder that shows its layers: BEATs."""

    rate_hz: int
    layers_dim: int

    def layers(self, samples: NDArray[np.float32]) -> Tensor:
        """Mono float32 (n,) at `rate_hz` -> several layers side by side, float32 (T, layers_dim)."""
        ...


class UnaryPotential(nn.Module):
    """How much a token matters on its own: (B, width, T) -> (B, T)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(width, width, 1)
        self.feature_reduce = nn.Conv1d(width, 1, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, width, T) -> (B, T)."""
        return self.feature_reduce(self.dropout(torch.relu(self.embed(tokens)))).squeeze(1)


class PairPotential(nn.Module):
    """How much a token resembles all: the mean cosine between two views of the tokens, (B, width, T) -> (B, T)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed_X = nn.Conv1d(width, width, 1)
        self.embed_Y = nn.Conv1d(width, width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, width, T) -> (B, T)."""
        x, y = normalize(self.embed_X(tokens), dim=1), normalize(self.embed_Y(tokens), dim=1)
        return torch.einsum("bcs,bct->bst", x, y).mean(-1)


class AttentivePooling(nn.Module):
    """Tokens (B, T, width) -> one (B, width), by softmax over two mixed potentials."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.un_models = nn.ModuleList([UnaryPotential(width)])
        self.pp_models = nn.ModuleList([PairPotential(width)])
        self.reduce_potentials = nn.ModuleList([nn.Conv1d(2, 1, 1, bias=False)])

    def weights(self, tokens: Tensor) -> Tensor:
        """(B, T, width) -> (B, T), summing to 1."""
        across = tokens.transpose(1, 2)
        potentials = torch.stack([self.un_models[0](across), self.pp_models[0](across)], dim=1)
        return self.reduce_potentials[0](potentials).squeeze(1).softmax(-1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, width) -> (B, width)."""
        return torch.einsum("bt,btc->bc", self.weights(tokens), tokens)


class AudioTokenizer(nn.Module):
    """BEATs layers (B, T, inputs) -> one token of CLIP's text encoder (B, width). Names are the checkpoint's."""

    def __init__(self, inputs: int = 2304, width: int = 512) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, inputs)
        self.fc2 = nn.Linear(inputs, width)
        self.fga = AttentivePooling(width)

    def tokens(self, layers: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T, width)."""
        return self.fc2(gelu(self.fc1(layers)))

    def forward(self, layers: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, width)."""
        return self.fga(self.tokens(layers))


class AclHead(nn.Module):
    """All that ACL-SSL trains; the file is `{"audio_proj": ..., "masker_i": ...}`, as published."""

    def __init__(self, inputs: int = 2304, width: int = 512, masker: ImageMasker | None = None) -> None:
        super().__init__()
        self.audio_proj = AudioTokenizer(inputs, width)
        self.masker_i = masker or ImageMasker()

    def save(self, path: Path) -> None:
        """Write the weights in the published layout."""
        torch.save({name: part.state_dict() for name, part in self.named_children()}, path)

    @classmethod
    def load(cls, path: Path, inputs: int = 2304, width: int = 512) -> AclHead:
        """Read what `save` or the authors wrote; nothing in the file is executed.

        Raises ModelError: the file is missing or damaged, or a weight is missing, added or of another shape.
        """
        try:
            file = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # the reader raises many kinds for a file that is no checkpoint
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"none ({reason})", TRAIN, f"trained ACL-SSL weights at {path}") from error
        head = cls(inputs, width)
        try:
            head.load_state_dict({f"{part}.{key}": value for part in file for key, value in file[part].items()})
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:400]
            expected = f"'audio_proj' from {inputs} to {width} numbers and 'masker_i' in {path}"
            raise ModelError(f"others ({reason})", TRAIN, expected) from error
        return head.eval()


def ten_seconds(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Mono (n,) -> (10 s,): cut at the end, or filled with zeros."""
    length = round(CLIP_S * rate_hz)
    return np.pad(samples[:length], (0, max(0, length - samples.size)))


def to_pixels(rgb: NDArray[np.uint8], size_px: int) -> Tensor:
    """uint8 (H, W, 3) -> float32 (3, size, size) as CLIP wants it. Squeezed, not cropped, for the edge counts."""
    picture = Image.fromarray(rgb).resize((size_px, size_px), Image.Resampling.BICUBIC)
    values = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
    return (values - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)


def losses(head: AclHead, grounder: Grounder, pixels: Tensor, layers: Tensor, area: float = AREA_OF_PAIRS) -> Losses:
    """The three losses of a batch of B >= 2 pairs: pictures (B, 3, S, S) and BEATs layers (B, T, inputs). `area` is the
    share of a picture that what sounds in it is expected to fill.

    A masked picture is the normalized picture times its mask: what is hidden becomes CLIP's mean color.
    """
    sounds = grounder.audio_embedding(head.audio_proj(layers))
    seen = grounder.see(pixels)
    logits = grounder.pair_logits(seen, sounds)
    masks = head.masker_i(logits)
    own = torch.diagonal(masks).permute(2, 0, 1)[:, None]
    feature = masked_feature(seen.dense, feature_mask(logits, (seen.dense.shape[-2], seen.dense.shape[-1])))
    return Losses(
        acl_image(sounds, grounder.image_embedding(pixels * own)),
        acl_feature(feature, sounds),
        area_loss(*mask_areas(masks), area),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Grounded:
    """`heatmap` float32 (size, size) in [0, 1], stretched over the picture. `confidence` in [-1, 1]: the cosine between
    the sound and what its mask gathers, the extended protocol's measure of whether the sound is in the picture.
    """

    heatmap: NDArray[np.float32]
    confidence: float


class AclLocalizer:
    """Where in a picture a sound is, by ACL-SSL."""

    def __init__(self, head: AclHead, grounder: Grounder, encoder: LayerEncoder) -> None:
        self._head = head.to(grounder.device).eval()
        self._grounder, self._encoder = grounder, encoder
        self.rate_hz = encoder.rate_hz

    @torch.no_grad()
    def locate(self, rgb: NDArray[np.uint8], samples: NDArray[np.float32], size_px: int = HEATMAP_PX) -> Grounded:
        """A picture uint8 (H, W, 3) and mono sound float32 (n,) at `rate_hz`."""
        device = self._grounder.device
        layers = self._encoder.layers(ten_seconds(samples, self.rate_hz))[None].to(device)
        sound = self._grounder.audio_embedding(self._head.audio_proj(layers))
        seen = self._grounder.see(to_pixels(rgb, self._grounder.size_px)[None].to(device))
        logits = self._grounder.logits(seen, sound)
        masks = feature_mask(logits, (seen.dense.shape[-2], seen.dense.shape[-1]))
        gathered = masked_feature(seen.dense, masks)[:, 0]
        heatmap = self._head.masker_i.heatmap(logits, size_px)[0, 0]
        return Grounded(heatmap.cpu().numpy(), float(cosine_similarity(gathered, sound)))
