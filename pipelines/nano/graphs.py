"""nano's networks as ONNX graphs: the trained transformers modules, traced, with float16 weights.

The program runs these by ONNX Runtime, so that nano needs neither torch nor transformers; training uses the modules
themselves. `tests/test_nano_graphs.py` holds the two equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from transformers import AutoModelForImageTextToText, DynamicCache, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from pipelines.nano.halving import halve

N_FFT, HOP = 400, 160


class AudioGraph(nn.Module):
    """Samples (1, n) at 16 kHz -> the time mean of every encoder layer, (layers, d).

    The log-mel is that of WhisperFeatureExtractor: the DFT is a convolution, for ONNX Runtime has no quicker one.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        features = WhisperFeatureExtractor.from_pretrained(folder)
        self.encoder = WhisperEncoder.from_pretrained(folder, dtype=torch.float32).eval()
        k = torch.arange(N_FFT // 2 + 1, dtype=torch.float64)[:, None]
        phase = 2 * torch.pi * k * torch.arange(N_FFT, dtype=torch.float64) / N_FFT
        window = torch.hann_window(N_FFT, periodic=True, dtype=torch.float64)
        basis = torch.cat([phase.cos() * window, -phase.sin() * window]).float()[:, None]
        self.basis = nn.Buffer(basis)
        self.mel = nn.Buffer(torch.from_numpy(features.mel_filters.T.copy()).float())

    def forward(self, samples: Tensor) -> Tensor:
        """(1, n) -> (layers, d)."""
        padded = nn.functional.pad(samples[None], (N_FFT // 2, N_FFT // 2), mode="reflect")
        real, imaginary = nn.functional.conv1d(padded, self.basis, stride=HOP)[..., :-1].chunk(2, dim=1)
        mel = (self.mel @ (real**2 + imaginary**2)).clamp(min=1e-10).log10()
        mel = (torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - 8.0) + 4.0) / 4.0
        hidden = self.encoder(mel, output_hidden_states=True).hidden_states[1:]
        return torch.cat([layer.mean(dim=1) for layer in hidden])


class VisionGraph(nn.Module):
    """Normalized pixels (1, 3, size, size) -> the tokens that the projector reads, CLS first: (1 + N, d)."""

    def __init__(self, llava: nn.Module) -> None:
        super().__init__()
        self.tower = cast(Any, llava).model.vision_tower

    def forward(self, pixels: Tensor) -> Tensor:
        """(1, 3, size, size) -> (1 + N, d)."""
        return self.tower(pixels, output_hidden_states=True).hidden_states[-1][0]


class ProjectorGraph(nn.Module):
    """LLaVA's projector: visual tokens (n, vision width) -> (n, text width)."""

    def __init__(self, llava: nn.Module) -> None:
        super().__init__()
        self.projector = cast(Any, llava).model.multi_modal_projector

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, vision width) -> (n, text width)."""
        return self.projector(tokens)


class LanguageGraph(nn.Module):
    """One step of the decoder over its cache.

    embeddings (1, n, d), keys and values (layers, 1, heads, past, d_head) -> logits of the last position (vocabulary,)
    and the cache with the n positions added.
    """

    def __init__(self, llava: nn.Module) -> None:
        super().__init__()
        self.decoder = cast(Any, llava).model.language_model
        self.head = cast(Any, llava).lm_head

    def forward(self, embeddings: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        cache = DynamicCache()
        for layer in range(keys.shape[0]):
            cache.update(keys[layer], values[layer], layer)
        past, n = keys.shape[3], embeddings.shape[1]
        positions = torch.arange(n)[None] + past
        mask = torch.arange(past + n)[None, None, None] <= positions[:, None, :, None]
        bias = torch.where(mask, 0.0, torch.finfo(torch.float32).min)
        output = self.decoder(
            inputs_embeds=embeddings, attention_mask=bias, position_ids=positions, past_key_values=cache, use_cache=True
        )
        after = output.past_key_values.layers
        logits = self.head(output.last_hidden_state[0, -1])
        return logits, torch.stack([one.keys for one in after]), torch.stack([one.values for one in after])


def export_audio(folder: Path, samples: int, path: Path) -> None:
    """Write the graph `samples` (1, samples) -> `layers` of a Whisper encoder's checkpoint."""
    write(AudioGraph(folder), (torch.zeros(1, samples),), ["samples"], ["layers"], path)


def export_llava(folder: Path, target: Path) -> None:
    """Write vision.onnx, projector.onnx, language.onnx and embeddings.npy of a LLaVA checkpoint."""
    llava = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    vision, text = llava.config.vision_config, llava.config.text_config
    size = vision.image_size
    write(VisionGraph(llava), (torch.zeros(1, 3, size, size),), ["pixels"], ["tokens"], target / "vision.onnx")
    n, past = torch.export.Dim("n", min=1, max=4096), torch.export.Dim("past", min=1, max=4096)
    write(
        ProjectorGraph(llava), (torch.zeros(3, vision.hidden_size),), ["tokens"], ["projected"],
        target / "projector.onnx", ({0: n},),
    )  # fmt: skip
    shape = text.num_hidden_layers, 1, text.num_key_value_heads, 5, text.head_dim
    example = (
        torch.zeros(1, 3, text.hidden_size),
        torch.zeros(shape),
        torch.zeros(shape),
    )  # one tensor twice is traced as one
    write(
        LanguageGraph(llava), example, ["embeddings", "keys", "values"],
        ["logits", "keys_after", "values_after"], target / "language.onnx", ({1: n}, {3: past}, {3: past}),
    )  # fmt: skip
    np.save(target / "embeddings.npy", llava.get_input_embeddings().weight.detach().numpy().astype(np.float16))


def write(
    graph: nn.Module, example: tuple[Tensor, ...], inputs: list[str], outputs: list[str], path: Path,
    dynamic: Any = None,
) -> None:  # fmt: skip
    """Trace a module and write it with float16 weights."""
    program = torch.onnx.export(
        graph.eval(), example, input_names=inputs, output_names=outputs, dynamic_shapes=dynamic, dynamo=True,
        verbose=False,
    )  # fmt: skip
    assert program is not None
    model = program.model_proto
    halve(model)
    model.doc_string = ""
    for node in model.graph.node:  # the tracer's notes: stack traces with the paths of this machine
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
