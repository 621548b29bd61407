"""A language model that has seen pictures only: the miniature of the LLaVA that SoundCLIP substitutes tokens into.

Nano's own language model was trained on projected sound. The paper's was not: it knows CLS and patches of pictures, and
meets a sound's vector for the first time when one is put in the place of CLS. So this one is trained on drawn scenes
alone, all tokens in place, to say which things are in them, and is then left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPVisionModel

from avstream import wording
from avstream.checkpoints import NANO
from avstream.config.presets import DEFAULT_PROMPT
from avstream.language import PLAIN_TEMPLATE, Llava
from avstream.records import Sound
from pipelines.nano.labels import LABELS
from pipelines.train_language import IMAGE, LR, Example, assemble, export, loss_of, tokenizer
from pipelines.train_vision import CONFIG, scene

BATCH = 16
CHUNK = 32


@torch.inference_mode()
def look(tower: torch.nn.Module, count: int, seed: int) -> list[tuple[Tensor, list[str]]]:
    """Scenes through the tower: their tokens (1 + N, d), and the labels that are in them."""
    rng = np.random.default_rng(seed)
    out: list[tuple[Tensor, list[str]]] = []
    while len(out) < count:
        pixels, present, _ = zip(*(scene(rng) for _ in range(CHUNK)), strict=True)
        tokens = tower(torch.stack(pixels)).last_hidden_state.clone()
        labels = [[LABELS[i] for i in torch.nonzero(one).flatten().tolist()] for one in present]
        out += zip(tokens, labels, strict=True)
    return out[:count]


def example(tokens: Tensor, labels: list[str], words: object) -> Example:
    """The question with the picture's tokens, and the sentence that names what is in it."""
    content = f"{DEFAULT_PROMPT}\n{IMAGE * len(tokens)}"
    answer = wording.sentence([Sound(label, 1.0) for label in labels])
    ids = words(PLAIN_TEMPLATE.format(content=content)).input_ids  # type: ignore[operator]
    return tokens, ids, [*words(answer).input_ids, words.eos_token_id]  # type: ignore[operator, attr-defined]


def train_on_pictures(
    folder: Path, seed: int, scenes: int, steps: int, progress: Callable[[int, float], None] = lambda *_: None
) -> Path:
    """Train projector and language model on top of nano's tower, and write a checkpoint that `--language` takes.

    `progress` hears the step and its loss. A folder that is complete is left as it is.
    """
    if (folder / "preprocessor_config.json").is_file():
        return folder
    torch.manual_seed(seed)
    llava = Llava(NANO / "llava", device=torch.device("cpu"), dtype=torch.float32)
    tower = CLIPVisionModel(CONFIG).eval()
    tower.load_state_dict(llava.vision_parts()["tower"].state_dict())
    words = tokenizer()
    examples = [example(tokens, labels, words) for tokens, labels in look(tower, scenes, seed)]
    model = assemble(tower, words)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, pct_start=0.1)
    rng = np.random.default_rng(seed)
    model.train()
    for step in range(steps):
        chosen = [examples[i] for i in rng.integers(len(examples), size=BATCH)]
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, chosen)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        progress(step + 1, float(loss.detach()))
    folder.mkdir(parents=True, exist_ok=True)
    export(model.eval(), words, folder)
    return folder
