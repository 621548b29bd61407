"""A language model's steps on a GPU: the first is recorded as a CUDA graph, the others replay it.

A step of a small model is hundreds of short kernels, and Python takes longer to launch them than the GPU to run them.
`generate` stays in charge: where a cache is static it asks the model for a compiled call, and is given the replay. That
gives nearly what torch.compile does, which takes half a minute to begin and needs a C compiler (docs/performance.md).
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor
from transformers import StaticCache
from transformers.cache_utils import StaticLayer

Given = Tensor | dict[str, Tensor]  # some models have a mask for each kind of layer
ROOM = 256  # tokens: a cache's length is a multiple of it, so that few prompts need another one
WARM_UP_STEPS = 3  # before the recorded one: kernels are loaded and workspaces allocated in them


class Replay:
    """Replays the decoding step of one model on a GPU. One sentence at a time."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: StaticCache | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: dict[str, Given] = {}
        self._output: Any = None
        model.get_compiled_call = lambda config: self

    @staticmethod
    def suits(model: Any) -> bool:
        """Whether it is on a GPU, and all its layers count their tokens there: a sliding window's count in Python."""
        if model.device.type != "cuda":
            return False
        return all(type(layer) is StaticLayer for layer in _static_cache(model, ROOM).layers)

    def cache(self, tokens: int) -> StaticCache:
        """An empty cache for a sentence of so many tokens, its prompt included; it is good until the next call."""
        if self._cache is None or self._cache.get_max_length() < tokens:
            self._cache = _static_cache(self._model, ROOM * math.ceil(tokens / ROOM))
            self._graph = None  # it was recorded on the memory of the last cache
        else:
            self._cache.reset()
        return self._cache

    def __call__(self, *, input_ids: Tensor, attention_mask: Given, position_ids: Tensor, **constant: Any) -> Any:
        """The model's output for one more token, which the next call overwrites."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "position_ids": position_ids}
        if self._graph is None:
            self._record(given, constant)
        for name, value in given.items():
            for kept, tensor in zip(_tensors(self._inputs[name]), _tensors(value), strict=True):
                kept.copy_(tensor)
        assert self._graph is not None
        self._graph.replay()
        return self._output

    def _record(self, given: dict[str, Given], constant: dict[str, Any]) -> None:
        self._inputs = copy.deepcopy(given)
        side_stream = torch.cuda.Stream()  # as torch asks for before a capture
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(WARM_UP_STEPS):
                self._model(**self._inputs, **constant)
                _step_back(constant["past_key_values"])
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._output = self._model(**self._inputs, **constant)
        self._graph = graph


def _static_cache(model: Any, tokens: int) -> StaticCache:
    return StaticCache(config=model.config.get_text_config(decoder=True), max_cache_len=tokens)


def _step_back(cache: StaticCache) -> None:
    """Remove the last token from a cache: the next one overwrites it."""
    for layer in cache.layers:
        layer.cumulative_length.sub_(1)


def _tensors(given: Given) -> list[Tensor]:
    return list(given.values()) if isinstance(given, dict) else [given]
