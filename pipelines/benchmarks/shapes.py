"""Models of a true shape with random weights, where no checkpoint is: what their parts cost on this machine.

On the CPU a language model is made with two numbers of layers, and its cost goes on along the line through both: layers
are alike, and a machine that measures need not hold them all. A GPU runs all of them.
"""

from __future__ import annotations

import copy
import time
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

from avstream.decoding import Replay
from avstream.encoders.whisper import cut_positions
from avstream.language import in_int8

CPU = torch.device("cpu")
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
GPU_WAYS = ("float32", "bfloat16", "bfloat16, compiled", "bfloat16, replayed")
TOKENS = 33  # that a GPU is asked for: the first and 32 more
MOST_TOKENS = 700  # that the cache of a compiled model is made for, so that it is compiled once
Model = TypeVar("Model", bound=torch.nn.Module)
NAMES = ("encoders", *LANGUAGE)


class Measured(NamedTuple):
    """A table of figures, and how they were come by."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    note: str


def measure(name: str, device: torch.device = CPU) -> Measured:
    """What one of NAMES costs."""
    if name == "encoders":
        return encoders(device)
    return language(name) if device.type == "cpu" else language_on_gpu(name, device)


def encoders(device: torch.device) -> Measured:
    """One picture through CLIP ViT-L/14-336, and 3 s of sound through Whisper small."""
    rows: list[list[str]] = []
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        for way, call in {**clip_l_336(dtype, device), **whisper_small(dtype, device)}.items():
            rows.append([way, name, f"{median(timed(call, device)):.{0 if device.type == 'cpu' else 2}f}"])
    note = f"Random weights, all layers; {unit(device)}, median of {REPEATS} calls."
    return Measured("Encoders of the hub presets", ["part", "type", "ms"], sorted(rows), note)


def clip_l_336(dtype: torch.dtype, device: torch.device) -> dict[str, Callable[[], object]]:
    """All 24 blocks, and the 23 that LLaVA reads."""
    tower = random_model(lambda: CLIPVisionModel(CLIP_L), dtype, device)
    pixels = torch.randn(1, 3, 336, 336, dtype=dtype, device=device)
    blocks = tower.encoder.layers

    def read_by_llava() -> None:
        last = blocks[-1]
        del blocks[-1]
        tower(pixels)
        blocks.append(last)

    return {"CLIP L/14-336, all blocks": lambda: tower(pixels), "CLIP L/14-336, without the last": read_by_llava}


def whisper_small(dtype: torch.dtype, device: torch.device) -> dict[str, Callable[[], object]]:
    """Padded to 30 s, and cut to the 3 s of a window."""
    padded = random_model(lambda: WhisperEncoder(copy.copy(WHISPER_SMALL)), dtype, device)
    cut = cut_positions(random_model(lambda: WhisperEncoder(copy.copy(WHISPER_SMALL)), dtype, device), 3.0)
    long, short = (torch.randn(1, 80, frames, dtype=dtype, device=device) for frames in (3000, 300))
    return {"Whisper small, padded to 30 s": lambda: padded(long), "Whisper small, cut to 3 s": lambda: cut(short)}


def language(name: str) -> Measured:
    """The first word after the picture, and words a second, in each way to run the language model on the CPU."""
    layers = LANGUAGE[name][1].num_hidden_layers
    rows = []
    for way in WAYS:
        few, more = (measured(name, count, way) for count in (FEW, MORE))
        full = {part: few[part] + (more[part] - few[part]) * (layers - FEW) / (MORE - FEW) for part in few}
        words = "" if way.endswith("compiled") else f"{words_a_second(full['a token']):.1f}"  # prefill alone is
        rows.append([way, *shares(full, 0), words])
    note = (
        f"{FEW} and {MORE} of {layers} layers were run, and scaled along the line through both to {layers}. "
        + noted(CPU)
    )
    return Measured(f"Language model of {name}", headings("words a CPU second"), rows, note)


def language_on_gpu(name: str, device: torch.device) -> Measured:
    """The same on a GPU, by `generate`, as narrating calls it."""
    rows = []
    for way in GPU_WAYS:
        found = measured_on_gpu(name, way, device)
        rows.append([way, *shares(found, 1), f"{words_a_second(found['a token']):.1f}", f"{found['begin'] / 1000:.1f}"])
        torch.cuda.empty_cache()
    note = noted(device) + " Begin: the first sentence of all."
    return Measured(f"Language model of {name}", [*headings("words a second"), "begin, s"], rows, note)


def headings(words: str) -> list[str]:
    """Of a table of ways."""
    return ["way", *(f"first word, {part}" for part in VISUAL), words]


def shares(found: dict[str, float], digits: int) -> list[str]:
    """Milliseconds of each part, and in brackets its share of `zero`."""
    plain = found["zero (577)"]
    return [f"{found[part]:.{digits}f} ({found[part] / plain:.2f})" for part in VISUAL]


def words_a_second(token_ms: float) -> float:
    """From the milliseconds of a token."""
    return 1000 / token_ms * WORDS_A_TOKEN


def unit(device: torch.device) -> str:
    """What is measured on a device."""
    if device.type == "cpu":
        return f"CPU ms, {torch.get_num_threads()} threads"
    return f"ms on one {torch.cuda.get_device_name(device)}"


def noted(device: torch.device) -> str:
    """How a table of ways was come by."""
    return (
        f"Random weights of the true shape, {PROMPT_TOKENS} tokens of prompt, {unit(device)}. First word: the prefill, "
        f"median of {REPEATS}, and in brackets its share of `zero`. Words: {WORDS_A_TOKEN} a token."
    )


@torch.inference_mode()
def measured(name: str, layers: int, way: str) -> dict[str, float]:
    """CPU milliseconds of each prefill and of one more token, with so many layers."""
    kind, config = LANGUAGE[name]
    dtype = torch.bfloat16 if way == "bfloat16" else torch.float32
    shorter = type(config)(**{**config.to_dict(), "num_hidden_layers": layers, "layer_types": None})
    model = random_model(lambda: kind(shorter), dtype)
    if way.startswith("int8"):
        model = in_int8(model)
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


@torch.inference_mode()
def measured_on_gpu(name: str, way: str, device: torch.device) -> dict[str, float]:
    """Milliseconds to the first token after each prefill, of one more, and of the first sentence of all."""
    kind, config = LANGUAGE[name]
    dtype = torch.bfloat16 if way.startswith("bfloat16") else torch.float32
    model = random_model(lambda: kind(config), dtype, device)
    replay = Replay(model) if way.endswith("replayed") else None
    compiled = {"cache_implementation": "static", "max_cache_len": MOST_TOKENS} if way.endswith("compiled") else {}

    def say(visual: int, tokens: int) -> Callable[[], object]:
        count = PROMPT_TOKENS + visual
        embedded = torch.randn(1, count, config.hidden_size, dtype=dtype, device=device)
        seen = torch.ones(1, count, dtype=torch.long, device=device)
        exact = {"min_new_tokens": tokens, "max_new_tokens": tokens, "do_sample": False, **compiled}

        def call() -> object:
            cache = {} if replay is None else {"past_key_values": replay.cache(count + tokens)}
            return model.generate(inputs_embeds=embedded, attention_mask=seen, **exact, **cache)

        return call

    long = say(VISUAL["zero (577)"], TOKENS)
    began = now_ms(device)
    long()
    found = {"begin": now_ms(device) - began}
    found |= {part: median(timed(say(visual, 1), device)) for part, visual in VISUAL.items()}
    found["a token"] = (median(timed(long, device)) - found["zero (577)"]) / (TOKENS - 1)
    return found


def random_model(build: Callable[[], Model], dtype: torch.dtype, device: torch.device = CPU) -> Model:
    """A model of a true shape with arbitrary weights, made in its own type at once: 7 B in float32 may not fit."""
    torch.set_default_dtype(dtype)
    try:
        with device:
            return build().eval()
    finally:
        torch.set_default_dtype(torch.float32)


@torch.inference_mode()
def timed(call: Callable[[], object], device: torch.device = CPU) -> list[float]:
    """Milliseconds of each call after one that warms up."""
    call()
    found = []
    for _ in range(REPEATS):
        began = now_ms(device)
        call()
        found.append(now_ms(device) - began)
    return found


def now_ms(device: torch.device) -> float:
    """A clock of milliseconds: of CPU time, or on a GPU of wall time once it has done what it was given."""
    if device.type == "cpu":
        return time.process_time() * 1000
    torch.cuda.synchronize(device)
    return time.perf_counter() * 1000
