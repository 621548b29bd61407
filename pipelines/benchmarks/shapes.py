"""Models of a true shape with random weights, where no checkpoint is: what their parts cost on this CPU.

A language model is made with two numbers of layers, and its cost goes on along the line through both: layers are
alike, and a machine that measures need not hold them all.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import NamedTuple, TypeVar

import torch
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
    WhisperConfig,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from avstream.encoders.whisper import cut_positions

PROMPT_TOKENS = 40
WORDS_A_TOKEN = 0.75  # of English
FEW, MORE = 2, 8  # layers that are made
REPEATS = 5
CLIP_L = CLIPVisionConfig(
    hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
    image_size=336, patch_size=14,
)  # fmt: skip
WHISPER_SMALL = WhisperConfig(
    d_model=768, encoder_layers=12, encoder_attention_heads=12, encoder_ffn_dim=3072, vocab_size=51865
)
QWEN = {"vocab_size": 151936, "num_key_value_heads": 2}
LANGUAGE: dict[str, tuple[type, PreTrainedConfig]] = {
    "llava-0.5b": (
        Qwen2ForCausalLM,
        Qwen2Config(hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14, **QWEN),
    ),
    "llava-1.5b": (
        Qwen2ForCausalLM,
        Qwen2Config(hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12, **QWEN),
    ),
    "llava-1.5-7b": (
        LlamaForCausalLM,
        LlamaConfig(
            hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, vocab_size=32064
        ),
    ),
}
VISUAL = {"zero (577)": 577, "drop, k = 150": 151, "drop, k = 15": 16}
WAYS = ("float32", "float32, compiled", "bfloat16", "int8, dynamic")
Model = TypeVar("Model", bound=torch.nn.Module)
NAMES = ("encoders", *LANGUAGE)


class Measured(NamedTuple):
    """A table of figures, and how they were come by."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    note: str


def measure(name: str) -> Measured:
    """What one of NAMES costs."""
    return encoders() if name == "encoders" else language(name)


def encoders() -> Measured:
    """One picture through CLIP ViT-L/14-336, and 3 s of sound through Whisper small."""
    rows: list[list[str]] = []
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        for way, call in {**clip_l_336(dtype), **whisper_small(dtype)}.items():
            rows.append([way, name, f"{median(timed(call)):.0f}"])
    threads = torch.get_num_threads()
    note = f"Random weights, all layers; CPU ms, median of {REPEATS} calls, {threads} threads."
    return Measured("Encoders of the hub presets", ["part", "type", "ms"], sorted(rows), note)


def clip_l_336(dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """All 24 blocks, and the 23 that LLaVA reads."""
    tower = random_model(lambda: CLIPVisionModel(CLIP_L), dtype)
    pixels = torch.randn(1, 3, 336, 336, dtype=dtype)
    blocks = tower.encoder.layers

    def read_by_llava() -> None:
        last = blocks[-1]
        del blocks[-1]
        tower(pixels)
        blocks.append(last)

    return {"CLIP L/14-336, all blocks": lambda: tower(pixels), "CLIP L/14-336, without the last": read_by_llava}


def whisper_small(dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """Padded to 30 s, and cut to the 3 s of a window."""
    padded = random_model(lambda: WhisperEncoder(copy.copy(WHISPER_SMALL)), dtype)
    cut = cut_positions(random_model(lambda: WhisperEncoder(copy.copy(WHISPER_SMALL)), dtype), 3.0)
    return {
        "Whisper small, padded to 30 s": lambda: padded(torch.randn(1, 80, 3000, dtype=dtype)),
        "Whisper small, cut to 3 s": lambda: cut(torch.randn(1, 80, 300, dtype=dtype)),
    }


def language(name: str) -> Measured:
    """The first word after the picture, and words a second, in each way to run the language model."""
    layers = LANGUAGE[name][1].num_hidden_layers
    rows = []
    for way in WAYS:
        few, more = (measured(name, count, way) for count in (FEW, MORE))
        full = {part: few[part] + (more[part] - few[part]) * (layers - FEW) / (MORE - FEW) for part in few}
        plain = full["zero (577)"]
        cells = [f"{full[part]:.0f} ({full[part] / plain:.2f})" for part in VISUAL]
        words = "" if way.endswith("compiled") else f"{1000 / full['a token'] * WORDS_A_TOKEN:.1f}"  # prefill alone is
        rows.append([way, *cells, words])
    note = (
        f"Random weights of the true shape, {PROMPT_TOKENS} tokens of prompt, {torch.get_num_threads()} threads. "
        f"{FEW} and {MORE} of {layers} layers were run, and scaled along the line through both to {layers}. "
        f"First word: CPU ms of the prefill, median of {REPEATS}, and in brackets its share of `zero`. "
        f"Words for a second of CPU: {WORDS_A_TOKEN} a token."
    )
    headings = ["way", *(f"first word, {part}" for part in VISUAL), "words a CPU second"]
    return Measured(f"Language model of {name}", headings, rows, note)


@torch.inference_mode()
def measured(name: str, layers: int, way: str) -> dict[str, float]:
    """CPU milliseconds of each prefill and of one more token, with so many layers."""
    kind, config = LANGUAGE[name]
    dtype = torch.bfloat16 if way == "bfloat16" else torch.float32
    shorter = type(config)(**{**config.to_dict(), "num_hidden_layers": layers, "layer_types": None})
    model = random_model(lambda: kind(shorter), dtype)
    if way.startswith("int8"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it moves to another package one day
            model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    call = torch.compile(model) if way.endswith("compiled") else model
    found = {}
    for part, visual in VISUAL.items():
        embedded = torch.randn(1, PROMPT_TOKENS + visual, config.hidden_size, dtype=dtype)
        found[part] = median(timed(lambda embedded=embedded: call(inputs_embeds=embedded, logits_to_keep=1)))  # type: ignore[misc]
    kept = model(inputs_embeds=embedded, use_cache=True, logits_to_keep=1).past_key_values
    token = torch.tensor([[5]])

    def one_more() -> None:
        model(input_ids=token, past_key_values=kept)
        kept.crop(-1)  # takes the token out again

    found["a token"] = median(timed(one_more))
    return found


def random_model(build: Callable[[], Model], dtype: torch.dtype) -> Model:
    """A model of a true shape with arbitrary weights, made in its own type at once: 7 B in float32 may not fit."""
    torch.set_default_dtype(dtype)
    try:
        return build().eval()
    finally:
        torch.set_default_dtype(torch.float32)


@torch.inference_mode()
def timed(call: Callable[[], object]) -> list[float]:
    """CPU milliseconds of each call after one that warms up."""
    call()
    found = []
    for _ in range(REPEATS):
        began = time.process_time()
        call()
        found.append((time.process_time() - began) * 1000)
    return found
