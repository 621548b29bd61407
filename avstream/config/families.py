"""The families of audio encoders: what `--audio NAME` means, where the weights are, and what they may be used for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """What is known of an encoder without loading it. Sizes are of the audio part alone, at the default checkpoint.

    `checkpoint` is a hub id, or for weights that are on no hub the name of the official file, which is at `url`.
    """

    name: str
    what: str
    checkpoint: str
    size: str
    licence: str
    rate_hz: int
    dim: int
    url: str = ""
    mirror: str = ""  # an unofficial copy on the hub, as safetensors
    commercial: bool = True

    @property
    def notice(self) -> str:
        """What must be said when it is chosen; empty where the licence asks for nothing unusual."""
        return "" if self.commercial else f"the weights of {self.name} are for non-commercial use only ({self.licence})"


WHISPER = ("openai/whisper-small", "88 M", "Apache-2.0", 16_000, 768)
FAMILIES = {
    family.name: family
    for family in (
        Family("whisper", "speech recognition, last layer", *WHISPER),
        Family("whisperclip", "the same, all layers averaged (SoundCLIP)", *WHISPER),
        Family("clap", "audio and text, LAION", "laion/clap-htsat-unfused", "28 M", "Apache-2.0", 48_000, 512),
        Family(
            "imagebind", "six senses in one space", "imagebind_huge.pth", "86 M", "CC BY-NC-SA 4.0", 16_000, 1024,
            url="https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth", mirror="nielsr/imagebind-huge",
            commercial=False,
        ),
        Family(
            "audioclip", "CLIP RN50 taught to hear", "AudioCLIP-Full-Training.pt", "32 M", "MIT", 44_100, 1024,
            url="https://github.com/AndreyGuzhov/AudioCLIP/releases/download/v0.1/AudioCLIP-Full-Training.pt",
        ),
        Family(
            "wav2clip", "CLIP ViT-B/32 taught to hear", "Wav2CLIP.pt", "12 M", "MIT", 16_000, 512,
            url="https://github.com/descriptinc/lyrebird-wav2clip/releases/download/v0.1.0-alpha/Wav2CLIP.pt",
        ),
        Family(
            "pe-av", "sound, picture and text, Meta 2025", "facebook/pe-av-small", "large: 284 M", "Apache-2.0",
            48_000, 1024,
        ),
    )
}  # fmt: skip


def notice(audio: str) -> str:
    """What must be said when `ENCODER[:CHECKPOINT]` is chosen; mostly nothing."""
    return FAMILIES[audio.partition(":")[0]].notice
