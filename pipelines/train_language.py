"""Nano's language half: a small Llama in a true LLaVA, which says the evidence in a sentence.

It reads what the 7B presets read: the sound's projected vector, the kept patches, and the window's words. In part
of the examples the words are missing, so that the sentence can only come from the sound's own token; these are of the
labels that can be drawn. By words of evidence it learns all of the vocabulary, those of homes most. A prompt that asks
for a list is answered by one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    CLIPImageProcessor,
    CLIPVisionModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from avstream import wording
from avstream.checkpoints import NANO
from avstream.config.presets import DEFAULT_PROMPT
from avstream.language import PLAIN_TEMPLATE
from avstream.records import Sound
from avstream.substitution import Unselected, substitute
from avstream.vocabulary import ENTRIES, HOME, OTHER, PARENTS, sayable
from pipelines.nano.graphs import export_llava
from pipelines.nano.labels import LABELS
from pipelines.projection.mlp import ProjectionMLP
from pipelines.scenes.compose import DRAWN
from pipelines.train_alignment import Scenes, Sounds, hear, see
from pipelines.train_vision import CONFIG, MEAN, SIZE_PX, STD

IMAGE = "<image>"
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", IMAGE]
PROMPTS = (DEFAULT_PROMPT, "What do you hear?", "What is sounding?", "Describe the sound in one sentence.", "Narrate.")
LISTS = ("List the sounds.", "Name the sounds.", "List what you hear.", "In few words, what is sounding?")
OFTEN: tuple[str, ...] = (*HOME, *PARENTS, OTHER)
SAYABLE: tuple[str, ...] = tuple(filter(sayable, ENTRIES))
WIDTH, LAYERS, BATCH, LR = 192, 3, 16, 1e-3
Example = tuple[Tensor, list[int], list[int]]  # visual tokens (n, d), prompt ids, answer ids


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, of all that nano is asked and can say."""
    sounds = [Sound(label, sure) for label in (*SAYABLE, OTHER) for sure in (0.4, 0.6, 1.0)]
    texts = [wording.heard(sounds), wording.sentence(sounds), wording.listed(sounds), PLAIN_TEMPLATE.format(content="")]
    texts += [*PROMPTS, *LISTS]
    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.normalizer = normalizers.Replace(Regex(r"\s+"), " ")
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    words.decoder = decoders.Metaspace()
    words.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False))
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=[IMAGE],
    )  # fmt: skip


def warm(model: LlavaForConditionalGeneration, words: PreTrainedTokenizerFast, folder: Path) -> None:
    """Start from an earlier checkpoint: all its weights, and its words where they are still words."""
    earlier = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    known = PreTrainedTokenizerFast.from_pretrained(folder).get_vocab()
    rows = {word: place for word, place in words.get_vocab().items() if word in known}
    state, target = earlier.state_dict(), model.state_dict()
    with torch.no_grad():
        for name, weight in target.items():
            if weight.shape == state[name].shape:
                weight.copy_(state[name])
            else:  # of the vocabulary's size
                weight[list(rows.values())] = state[name][[known[word] for word in rows]]


def assemble(vision: CLIPVisionModel, words: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """The complete LLaVA around the trained tower. Its last block is LLaVA's layer -1: nothing untrained is shipped."""
    text = LlamaConfig(
        vocab_size=len(words), hidden_size=WIDTH, intermediate_size=3 * WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=512,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=CONFIG, text_config=text, image_token_index=words.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1, vision_feature_select_strategy="full",
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(vision.state_dict())
    model.model.vision_tower.requires_grad_(False)
    return model


class Examples:
    """Draws examples: a sound, a scene, what the evidence says, and the sentence that is wanted."""

    def __init__(
        self, sounds: Sounds, scenes: Scenes, projection: ProjectionMLP, words: PreTrainedTokenizerFast
    ) -> None:
        with torch.inference_mode():
            self._vectors = projection(sounds.vectors).clone()
        self._sounds, self._scenes, self._words = sounds, scenes, words

    def batch(self, size: int, rng: np.random.Generator) -> list[Example]:
        """Examples of one kind of substitution: zeroed pictures are long, and would only pad the others."""
        unselected: Unselected = "zero" if rng.random() < 0.12 else "drop"
        return [self.draw(rng, unselected) for _ in range(size)]

    def draw(self, rng: np.random.Generator, unselected: Unselected = "drop") -> Example:
        """One example. The words agree with the sound, or differ (then they win), or are missing."""
        i = int(rng.integers(len(self._vectors)))
        truth = [LABELS[j] for j in torch.nonzero(self._sounds.labels[i]).flatten().tolist()] or [OTHER]
        kind = rng.choice(["agree", "differ", "missing"], p=[0.25, 0.45, 0.3])
        if kind == "differ":
            labels = OFTEN if rng.random() < 0.75 else SAYABLE
            truth = [str(label) for label in rng.choice(labels, int(rng.integers(1, 4)), replace=False)]
        rng.shuffle(truth)
        if kind == "missing":  # nothing says in which order or how surely, so there is one answer
            truth.sort(key=(*LABELS, OTHER).index)
        sounds = [Sound(label, 1.0 if kind == "missing" else float(rng.uniform(0.3, 1.1))) for label in truth]
        words = "" if kind == "missing" else wording.heard(sounds)
        prompt = DEFAULT_PROMPT if rng.random() < 0.7 else str(rng.choice((*PROMPTS, *LISTS)))
        answer = wording.listed(sounds) if prompt in LISTS else wording.sentence(sounds)
        tokens = self._picture(i, unselected, rng)
        content = f"{prompt}\n{IMAGE * len(tokens)}\n{words}".strip()
        ids = self._words(PLAIN_TEMPLATE.format(content=content)).input_ids
        return tokens, ids, [*self._words(answer).input_ids, self._words.eos_token_id]

    def _picture(self, i: int, unselected: Unselected, rng: np.random.Generator) -> Tensor:
        """The i-th sound over a random scene, with random k; dropping none but the sound is a stream of sound only."""
        patches = self._scenes.tokens[int(rng.integers(len(self._scenes.tokens))), 1:]
        k = 15 if unselected == "zero" else int(rng.choice([0, 5, 15, 15, 30]))
        return torch.from_numpy(substitute(self._vectors[i].numpy(), patches.numpy(), k, unselected)[0])


def loss_of(model: LlavaForConditionalGeneration, batch: list[Example]) -> Tensor:
    """Cross-entropy of the answers, by the very way that narrating takes: projector and `mm_encoder_outputs`."""
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    ids = pad_sequence([torch.tensor(p + a) for _, p, a in batch], batch_first=True)
    wanted = pad_sequence([torch.tensor([-100] * len(p) + a) for _, p, a in batch], True, -100)
    features = [model.model.multi_modal_projector(tokens) for tokens, _, _ in batch]
    output = model(
        input_ids=ids,
        attention_mask=(ids != 0).long(),
        mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=features)},
    )
    return cross_entropy(output.logits[:, :-1].flatten(0, 1).float(), wanted[:, 1:].flatten(), ignore_index=-100)


def train(model: LlavaForConditionalGeneration, examples: Examples, steps: int, seed: int) -> None:
    """Train projector and language model; the tower is frozen."""
    rng = np.random.default_rng(seed)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, pct_start=0.1)
    model.train()
    for step in range(steps):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, examples.batch(BATCH, rng))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(json.dumps({"step": step + 1, "loss": round(loss.item(), 4)}), flush=True)
    model.eval()


def export(model: LlavaForConditionalGeneration, words: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a LLaVA checkpoint as the hub has them, in float16."""
    model.half().save_pretrained(folder)
    words.save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": SIZE_PX}, crop_size={"height": SIZE_PX, "width": SIZE_PX},
        image_mean=list(MEAN), image_std=list(STD), resample=3,
    ).save_pretrained(folder)  # fmt: skip


def tower_of(folder: Path) -> CLIPVisionModel:
    """The trained vision tower; without it, that of the shipped LLaVA."""
    if folder.is_dir():
        return CLIPVisionModel.from_pretrained(folder, dtype=torch.float32).eval()
    tower = CLIPVisionModel(CONFIG).eval()
    shipped = LlavaForConditionalGeneration.from_pretrained(NANO / "llava", dtype=torch.float32)
    tower.load_state_dict(shipped.model.vision_tower.state_dict())
    return tower


def run(corpus: Path, vision: Path, steps: int, crops: int, seed: int, resume: bool) -> None:
    """Train on top of the exported listener, projection and tower, and write the bundle's llava/."""
    torch.manual_seed(seed)
    tower = tower_of(vision)
    sounds, scenes = hear(corpus, "train", crops, seed + 1), see(tower, crops // 8, seed + 2, DRAWN)
    projection = ProjectionMLP.load(NANO / "alignment.safetensors")
    words = tokenizer()
    model = assemble(tower, words)
    if resume:
        warm(model, words, NANO / "llava")
    train(model, Examples(sounds, scenes, projection, words), steps, seed)
    export(model, words, NANO / "llava")
    export_llava(NANO / "llava", NANO / "onnx")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--vision", type=Path, default=Path("runs/nano/vision/tower"))
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--crops", type=int, default=4096, help="sounds to learn from (default: 4096)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="start from the shipped language model")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    run(args.corpus, args.vision, args.steps, args.crops, args.seed, args.resume)


if __name__ == "__main__":
    main()
