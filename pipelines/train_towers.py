"""Train small towers for ACL-SSL to stand on where no large ones can be had: a BEATs and a CLIPSeg of the true classes.

    python -m pipelines.train_towers --out runs/towers --minutes 15
    python -m pipelines.train_localizer --synthetic 640 --beats runs/towers/beats.pt --clipseg runs/towers/clipseg

The published towers know the world; these know drawn things by their words, and made sounds by their labels. They play
the same part: CLIPSeg learns from words where a thing is, BEATs learns what a sound is, and then both are frozen and
`train_localizer` has to bring the two together without labels. Nothing of this is shipped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, PreTrainedTokenizerFast

from avstream.encoders.beats import Beats, BeatsConfig, features
from avstream.localization.acl import to_pixels
from avstream.localization.acl_grounder import PROMPT, Grounder
from pipelines.nano.labels import LABELS
from pipelines.scenes.compose import compose
from pipelines.sounds.synthesis import SYNTHESIZERS, synthesize

ABLE = tuple(label for label in LABELS if label in SYNTHESIZERS)  # what can be both drawn and made to sound
SIZE_PX, RATE_HZ, SECONDS = 64, 16_000, 3.0
WORDS = ("<|endoftext|>", "<|startoftext|>", *PROMPT.split(), *LABELS)
CROP = 96  # frames of sound, a second, that BEATs learns from at a time: attention costs the square
VISION = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
    "image_size": SIZE_PX, "patch_size": 8,
}  # fmt: skip
TEXT = {
    "vocab_size": len(WORDS), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 2, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
BEATS = BeatsConfig(
    encoder_layers=12, encoder_embed_dim=48, encoder_ffn_embed_dim=96, encoder_attention_heads=4, embed_dim=48,
    conv_pos=16, conv_pos_groups=4, num_buckets=32, max_distance=128, predictor_class=len(ABLE),
)  # fmt: skip


class Pictures(NamedTuple):
    """Pictures of two things (B, 3, S, S), their labels (B, 2), and a mask for each of the two, (B, 2, S, S)."""

    pixels: Tensor
    names: Tensor
    masks: Tensor

    def some(self, batch: int, rng: np.random.Generator) -> Pictures:
        """A batch, each picture mirrored or not."""
        chosen = torch.from_numpy(rng.choice(len(self.pixels), batch, replace=False))
        mirrored = rng.random() < 0.5
        pixels, masks = (part[chosen].flip(-1) if mirrored else part[chosen] for part in (self.pixels, self.masks))
        return Pictures(pixels, self.names[chosen], masks)


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, between CLIP's start and end."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token=WORDS[0]))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [(WORDS[1], 1), (WORDS[0], 0)]
    words.post_processor = processors.TemplateProcessing(single=f"{WORDS[1]} $A {WORDS[0]}", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token=WORDS[1], eos_token=WORDS[0], unk_token=WORDS[0], pad_token=WORDS[0]
    )


def pictures(count: int, rng: np.random.Generator) -> Pictures:
    """Drawn once, used often."""
    pixels, names, masks = [], [], torch.zeros(count, 2, SIZE_PX, SIZE_PX)
    for k in range(count):
        first, second = (str(label) for label in rng.choice(LABELS, 2, replace=False))
        rgb, boxes = compose([first, second], 2 * SIZE_PX, 2 * SIZE_PX, rng)
        for n, box in enumerate(boxes):
            left, top, right, bottom = (round(v * SIZE_PX) for v in box)
            masks[k, n, top:bottom, left:right] = 1
        pixels.append(to_pixels(rgb, SIZE_PX))
        names.append((LABELS.index(first), LABELS.index(second)))
    return Pictures(torch.stack(pixels), torch.tensor(names), masks)


def train_clipseg(drawn: int, minutes: float, batch: int, seed: int) -> CLIPSegForImageSegmentation:
    """A CLIPSeg that draws where the thing of a word is, and whose pictures and words share a space."""
    torch.manual_seed(seed)
    config = CLIPSegConfig(
        text_config=TEXT, vision_config=VISION, projection_dim=64, extract_layers=[1, 2, 3], reduce_dim=16,
        decoder_num_attention_heads=4, decoder_intermediate_size=64,
    )  # fmt: skip
    model = CLIPSegForImageSegmentation(config)
    grounder = Grounder(model, tokenizer()(PROMPT).input_ids)
    model.train().requires_grad_(True)
    rng = np.random.default_rng([seed, 41])
    pool = pictures(drawn, rng)
    learn("clipseg", model, 1e-3, minutes, lambda: clipseg_loss(model, grounder, *pool.some(batch, rng)))
    return model.eval()


def clipseg_loss(
    model: CLIPSegForImageSegmentation, grounder: Grounder, pixels: Tensor, names: Tensor, masks: Tensor
) -> Tensor:
    """Where each of both words is, that a third is nowhere, and that a picture of one thing is nearest to its word."""
    embed = model.clip.text_model.embeddings.token_embedding
    words = grounder.audio_embedding(embed(torch.arange(WORDS.index(LABELS[0]), len(WORDS))))
    hidden = model.clip.vision_model(pixels, output_hidden_states=True).hidden_states
    seen = [hidden[i + 1] for i in model.config.extract_layers]
    first, second = names.T
    other = (first + 1 + torch.randint(len(LABELS) - 1, first.shape)) % len(LABELS)
    other = torch.where(other == second, first, other)
    truth = [masks[:, 0], masks[:, 1], torch.where((other == first)[:, None, None], masks[:, 0], 0)]
    loss = torch.zeros(())
    for label, mask in zip((first, second, other), truth, strict=True):
        logits = model.decoder(seen, words[label]).logits.reshape(mask.shape)
        loss = loss + binary_cross_entropy_with_logits(logits, mask, pos_weight=torch.tensor(3.0))
    alone = grounder.image_embedding(pixels * masks[:, :1])
    dense = grounder._dense(hidden[-2])[:, 1:].transpose(1, 2)
    cells = torch.nn.functional.adaptive_avg_pool2d(masks[:, 1:], round(dense.shape[-1] ** 0.5)).flatten(2)
    gathered = (dense * cells).sum(-1) / cells.sum(-1).clamp_min(1e-3)
    near = [normalize(one, dim=-1) @ normalize(words, dim=-1).T / 0.07 for one in (alone, gathered)]
    return loss + 0.3 * (cross_entropy(near[0], first) + cross_entropy(near[1], second))


def train_beats(made: int, minutes: float, batch: int, seed: int) -> Beats:
    """A BEATs that distinguishes the made sounds."""
    torch.manual_seed(seed)
    model, rng = Beats(BEATS).train(), np.random.default_rng([seed, 43])
    cast(nn.Parameter, model.encoder.pos_conv[0].weight_g).data.mul_(
        0.05
    )  # as it begins, it would drown what the tokens differ in
    names = np.arange(made) % len(ABLE)
    sounds = torch.stack([features(synthesize(ABLE[k], SECONDS, RATE_HZ, rng).astype(np.float32)) for k in names])

    def loss() -> Tensor:
        chosen = torch.from_numpy(rng.choice(made, batch, replace=False))
        louder = torch.from_numpy(rng.normal(0, 0.3, (batch, 1, 1)).astype(np.float32))
        start = int(rng.integers(0, sounds.shape[1] - CROP))
        tokens = model(sounds[chosen][:, start : start + CROP] + louder)[-1]
        return cross_entropy(model.predictor(tokens).mean(1), torch.from_numpy(names)[chosen])

    learn("beats", model, 2e-3, minutes, loss)
    return model.eval()


def learn(name: str, model: nn.Module, rate: float, minutes: float, loss_of: Callable[[], Tensor]) -> None:
    """Minimize a loss for so long, the rate rising for a tenth of the time and falling to nothing."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    began, step = time.monotonic(), 0
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        optimizer.param_groups[0]["lr"] = rate * min(1.0, 10 * share + 0.1) * (1 - share)
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step == 1 or step % 25 == 0:
            print(f"{name} step {step} loss {loss.item():.3f} {60 * minutes * share:.0f} s", flush=True)


def save(out: Path, clipseg: CLIPSegForImageSegmentation, beats: Beats) -> None:
    """In the layouts of the published ones."""
    out.mkdir(parents=True, exist_ok=True)
    clipseg.save_pretrained(out / "clipseg")
    tokenizer().save_pretrained(out / "clipseg")
    torch.save({"cfg": asdict(BEATS), "model": beats.state_dict()}, out / "beats.pt")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/towers"))
    parser.add_argument("--minutes", type=float, default=15.0, help="of learning, a third of it for BEATs")
    parser.add_argument("--pictures", type=int, default=2000, help="drawn for CLIPSeg; half as many sounds for BEATs")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    clipseg = train_clipseg(args.pictures, args.minutes * 2 / 3, args.batch, args.seed)
    save(args.out, clipseg, train_beats(args.pictures // 2, args.minutes / 3, args.batch, args.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
