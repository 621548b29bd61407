"""PE-AV's audio half (Vyas et al., arXiv 2512.19687): 48 kHz sound -> the space it shares with pictures and text.

The network is transformers' own. Only its audio half is built and read: the complete model needs timm for its pictures
and holds a text encoder besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoConfig, PeAudioConfig, PeAudioEncoder, PeAudioFeatureExtractor, PeAudioVideoConfig
from transformers.models.pe_audio.modeling_pe_audio import PeAudioContrastiveHead, PeAudioEncoderRotaryEmbedding

from avstream.encoders import weights
from avstream.encoders.audio import AudioEncoder, at_least
from avstream.encoders.features import in_batches
from avstream.errors import ModelError

PARTS = ("audio_encoder.", "audio_head.")
# where a file has them: below `audio_model` (pe-av), at the top (pe-a-frame), or the encoder in the joint encoder,
# whose copy is the same tensor
PLACES = ("audio_model.", "", "audio_video_encoder.embedder.")
FILE = "the weights of PE-AV (facebook/pe-av-small, -base or -large)"


class PeAvAudio(nn.Module):
    """The audio encoder and its head: samples (B, 1, n), n a multiple of 1920 -> (B, dim), not normalized."""

    def __init__(self, config: PeAudioConfig) -> None:
        super().__init__()
        self.audio_encoder = PeAudioEncoder(config.audio_config)
        self.audio_head = PeAudioContrastiveHead(config.audio_config.hidden_size, config.text_config.hidden_size)

    def forward(self, samples: Tensor) -> Tensor:
        """(B, 1, n) -> (B, dim)."""
        out: Tensor = self.audio_head(self.audio_encoder(samples).pooler_output)
        return out


class PeAvEncoder(AudioEncoder):
    """The frozen audio half, as `PeAudioModel.get_audio_embeds` has it."""

    def __init__(self, checkpoint: Path, *, device: torch.device, dtype: torch.dtype) -> None:
        """Load from a local folder. Raises OSError and ModelError, which names the keys that don't fit."""
        self._device, self._dtype = device, dtype
        extractor = PeAudioFeatureExtractor.from_pretrained(checkpoint)
        self.rate_hz, self._hop = int(extractor.sampling_rate), int(extractor.hop_length)
        self.model = load_pe_av(checkpoint).to(device, dtype)
        self.dim = int(self.model.audio_head.proj.out_features)

    def samples(self, clip: NDArray[np.float32]) -> Tensor:
        """Mono (n,) -> (1, n'), reflected at its end to a multiple of 40 ms."""
        clip = at_least(clip, self._hop)
        return torch.from_numpy(np.pad(clip, (0, -clip.size % self._hop), "reflect"))[None]

    @torch.inference_mode()
    def encode_batch(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mono float32 clips (n_i,) at 48 kHz -> (B, dim)."""

        def forward(x: Tensor) -> Tensor:
            return self.model(x.to(self._device, self._dtype)).float().cpu()

        return in_batches([self.samples(clip) for clip in clips], forward)


def load_pe_av(checkpoint: Path) -> PeAvAudio:
    """The audio half of a checkpoint's folder, in float32 on the CPU. Raises OSError and ModelError."""
    config = AutoConfig.from_pretrained(checkpoint)
    if isinstance(config, PeAudioVideoConfig):
        config = config.audio_config
    if not isinstance(config, PeAudioConfig):
        raise ModelError(f"a {config.model_type}", expected=f"{FILE} in {checkpoint}")
    state = read(checkpoint)
    with torch.device("meta"):
        model = PeAvAudio(config)
    model.audio_encoder.rotary_emb = PeAudioEncoderRotaryEmbedding(config=config.audio_config)  # not in the file
    return weights.fit(model, state, checkpoint, FILE)


def read(checkpoint: Path) -> dict[str, Tensor]:
    """The audio half's tensors, whatever the file calls their place. Raises ModelError."""
    found: dict[str, Tensor] = {}
    for file in sorted(checkpoint.glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as tensors:
                for key in tensors.keys():  # it is no dict
                    for place in PLACES:
                        name = key.removeprefix(place)
                        if key.startswith(place) and name.startswith(PARTS):
                            found[name] = tensors.get_tensor(key)
        except SafetensorError as error:
            raise ModelError(f"{file} can't be read as {FILE}: {error}", "download it again") from error
    if not found:
        raise ModelError("no safetensors file with an audio encoder", expected=f"{FILE} in {checkpoint}")
    return found
