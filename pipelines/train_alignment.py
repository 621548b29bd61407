"""Nano's projection: sound vectors into the vision tower's space, by the paper's losses (SoundCLIP, section 3.3).

For any other encoder and tower there is `python -m pipelines.train_projection`. Ours, for nano's own data: a batch
holds each label once, since two scenes of one label are no negatives of each other; and half of the positives are the
sounding thing's own patches instead of CLS, so that the vector also finds its place in the picture.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import CLIPVisionModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from avstream.checkpoints import NANO
from avstream.encoders.whisper import fuse
from pipelines.nano.encoder import LogMel
from pipelines.nano.labels import LABELS
from pipelines.projection.losses import both
from pipelines.projection.mlp import ProjectionMLP
from pipelines.scenes.compose import DRAWN, compose
from pipelines.sounds.batches import Sampler
from pipelines.sounds.corpus import load_corpus
from pipelines.train_vision import HELD_OUT, SIDE, SIZE_PX, WIDTH, normalized

STEPS, LR = 4000, 5e-4
CHUNK = 64


@dataclass(frozen=True)
class Sounds:
    """Sound vectors (n, d_a) and which labels each holds (n, L), 0 or 1."""

    vectors: Tensor
    labels: Tensor

    def of(self, label: int) -> Tensor:
        """Indices of the sounds that hold this label and no other."""
        return torch.nonzero((self.labels[:, label] > 0) & (self.labels.sum(1) == 1)).flatten()


@dataclass(frozen=True)
class Scenes:
    """The tower's tokens (n, 1 + N, d) of scenes of two things, their labels (n, 2) and patch masks (n, 2, N)."""

    tokens: Tensor
    labels: Tensor
    masks: Tensor


@torch.inference_mode()
def hear(corpus: Path, split: str, count: int, seed: int) -> Sounds:
    """The exported listener's vectors of `count` training crops."""
    encoder = WhisperEncoder.from_pretrained(NANO / "whisper", dtype=torch.float32).eval()
    sampler, mel = Sampler(*load_corpus(corpus, (split,)), seed), LogMel()
    vectors, labels = [], []
    for step in range(count // CHUNK):
        batch = sampler.batch(CHUNK, step)
        vectors.append(fuse(encoder(mel(batch.sounds), output_hidden_states=True).hidden_states, True))
        labels.append((batch.targets * batch.weights > 0).float())
    return Sounds(torch.cat(vectors).clone(), torch.cat(labels))


@torch.inference_mode()
def see(tower: CLIPVisionModel, count: int, seed: int, drawings: range) -> Scenes:
    """Scenes of two things through the tower."""
    rng = np.random.default_rng(seed)
    tokens, labels, masks = [], [], []
    for _ in range(count // CHUNK):
        pictures = []
        for _ in range(CHUNK):
            chosen = rng.choice(len(LABELS), 2, replace=False)
            rgb, boxes = compose([LABELS[i] for i in chosen], SIZE_PX, SIZE_PX, rng, drawings=drawings)
            pictures.append(normalized(rgb))
            labels.append(torch.from_numpy(chosen))
            masks.append(torch.stack([mask_of(box) for box in boxes]))
        tokens.append(tower(torch.stack(pictures)).last_hidden_state)
    return Scenes(torch.cat(tokens).clone(), torch.stack(labels), torch.stack(masks))


def mask_of(box: tuple[float, float, float, float]) -> Tensor:
    """Which patches a box covers: bool (N,)."""
    left, top, right, bottom = (round(value * SIDE) for value in box)
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[top : max(top + 1, bottom), left : max(left + 1, right)] = True
    return mask.flatten()


def targets_of(scenes: Scenes, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """For every label one scene that has it: its CLS, or the mean of the thing's own patches. Labels (B,), (B, d)."""
    labels, vectors = [], []
    for label in range(len(LABELS)):
        found = torch.nonzero(scenes.labels == label)
        scene, place = found[int(rng.integers(len(found)))].tolist()
        own = scenes.tokens[scene, 1:][scenes.masks[scene, place]].mean(0)
        vectors.append(own if rng.random() < 0.5 else scenes.tokens[scene, 0])
        labels.append(label)
    return torch.tensor(labels), torch.stack(vectors)


def train(sounds: Sounds, scenes: Scenes, seed: int) -> ProjectionMLP:
    """Train the projection. The scene's second thing makes CLS less pure, as in life."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    projection = ProjectionMLP(sounds.vectors.shape[1], WIDTH).train()
    optimizer = torch.optim.Adam(projection.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    pools = [sounds.of(label) for label in range(len(LABELS))]
    for _ in range(STEPS):
        labels, v = targets_of(scenes, rng)
        chosen = torch.stack([pools[label][int(rng.integers(len(pools[label])))] for label in labels.tolist()])
        loss = both(projection(sounds.vectors[chosen]), v)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return projection.eval()


@torch.inference_mode()
def evaluate(projection: ProjectionMLP, sounds: Sounds, scenes: Scenes, seed: int = 7) -> dict[str, float]:
    """Held-out sounds over held-out drawings: is the best patch on the thing that sounds, not on the other one?"""
    rng = np.random.default_rng(seed)
    hits, by_chance = [], []
    for scene in range(len(scenes.tokens)):
        pool = sounds.of(int(scenes.labels[scene, 0]))
        f = projection(sounds.vectors[pool[int(rng.integers(len(pool)))]])
        best = int(cosine_similarity(f[None], scenes.tokens[scene, 1:]).argmax())
        hits.append(bool(scenes.masks[scene, 0, best]))
        by_chance.append(float(scenes.masks[scene, 0].float().mean()))
    return {"best_patch_on_the_source": float(np.mean(hits)), "by_chance": float(np.mean(by_chance))}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--vision", type=Path, default=Path("runs/nano/vision/tower"))
    parser.add_argument("--out", type=Path, default=Path("runs/nano/alignment"))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    run(args.corpus, args.vision, args.out, args.seed)


def run(corpus: Path, vision: Path, out: Path, seed: int) -> dict[str, float]:
    """Train, evaluate, and write the weights into the bundle."""
    tower = CLIPVisionModel.from_pretrained(vision, dtype=torch.float32).eval()
    projection = train(hear(corpus, "train", 8192, seed), see(tower, 2048, seed, DRAWN), seed)
    scores = evaluate(projection, hear(corpus, "valid", 2048, seed), see(tower, 512, seed + 1, HELD_OUT))
    projection.save(NANO / "alignment.safetensors")
    out.mkdir(parents=True, exist_ok=True)
    (out / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    print(json.dumps(scores))
    return scores


if __name__ == "__main__":
    main()
