"""From a trained listener to the file that is shipped: samples in, calibrated probabilities out.

listener.onnx  `samples` float32 (batch, 48000) at 16 kHz -> `frames` (batch, 30, labels), `clip` (batch, labels),
               `embedding` (batch, 1024), `parent_frames` (batch, 30, parents), `parent_clip` (batch, parents)
listener.json  labels (`other` last), parents and their children, thresholds, rates, how it was calibrated
"""

from __future__ import annotations

import copy
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from avstream.errors import ModelError
from pipelines.nano.halving import halve
from pipelines.nano.listener import KNOWN, NAMES, RATE_HZ, STEPS, WINDOW, Listener, MelPower, leveled, restored
from pipelines.sounds.vocabulary import LABELS, OTHER, PARENTS

VERSION = 2
OUTPUTS = ("frames", "clip", "embedding", "parent_frames", "parent_clip")


@dataclass(frozen=True)
class Calibration:
    """Probability = sigmoid(scale * logit + bias), a name at a time, for clips and for frames; float64 (names,).

    A label is claimed from its threshold on, float64 (labels + other,).
    """

    clip: tuple[np.ndarray, np.ndarray]
    frames: tuple[np.ndarray, np.ndarray]
    thresholds: np.ndarray
    report: dict[str, object]


def uncalibrated() -> Calibration:
    """What a network says by itself."""
    as_is = (np.ones(len(NAMES)), np.zeros(len(NAMES)))
    return Calibration(as_is, as_is, np.full(KNOWN + 1, 0.5), {})


class Shipped(nn.Module):
    """Samples (n, 48000) -> the outputs of the file."""

    def __init__(self, listener: Listener, calibration: Calibration) -> None:
        super().__init__()
        self.power, self.listener = MelPower(), fused(listener)
        for weight in self.listener.parameters():  # as they are stored
            weight.data = weight.data.half().float()
        for name, pair in (("clip", calibration.clip), ("frames", calibration.frames)):
            self.register_buffer(f"{name}_scale", torch.from_numpy(pair[0]).float())
            self.register_buffer(f"{name}_bias", torch.from_numpy(pair[1]).float())

    def forward(self, samples: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """See the class."""
        frames, clip, embedding = self.listener(leveled(self.power(samples)))
        frames = torch.sigmoid(frames * self.frames_scale + self.frames_bias)
        clip = torch.sigmoid(clip * self.clip_scale + self.clip_bias)
        own = KNOWN + 1
        return frames[:, :, :own], clip[:, :own], embedding, frames[:, :, own:], clip[:, own:]


def fused(listener: Listener) -> Listener:
    """A copy whose normalizations have become part of the convolutions, without what only training needs."""
    out = copy.deepcopy(listener).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    layers: list[nn.Module] = []
    for layer in out.body:
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = nn.utils.fusion.fuse_conv_bn_eval(layers[-1], layer)  # type: ignore[type-var]
            continue
        if hasattr(layer, "norm"):
            layer.conv = nn.utils.fusion.fuse_conv_bn_eval(layer.conv, layer.norm)
            layer.norm = nn.Identity()
        layers.append(layer)
    out.body = nn.Sequential(*layers)
    out.guess = nn.Identity()
    return out.eval()


def trained(path: Path) -> Listener:
    """The averaged weights of a checkpoint. ModelError when there is none."""
    if not path.exists():
        raise ModelError(f"no checkpoint {path}; train first: python -m pipelines.train_listener")
    return restored(torch.load(path, weights_only=True)["average"]).eval()


def export(listener: Listener, calibration: Calibration, folder: Path) -> None:
    """Write listener.onnx and listener.json."""
    folder.mkdir(parents=True, exist_ok=True)
    shipped = Shipped(listener, calibration).eval()
    example = torch.zeros(2, WINDOW)
    partial = folder / "listener.part.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            shipped, (example,), dynamo=True, verbose=False, input_names=["samples"], output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},), optimize=True,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    halve(model, exact=[weight.name for weight in model.graph.initializer if weight.name.startswith("power.")])
    onnx.save(model, partial)
    os.replace(partial, folder / "listener.onnx")
    described = {
        "version": VERSION,
        "rate_hz": RATE_HZ,
        "window_s": WINDOW / RATE_HZ,
        "hop_s": WINDOW / RATE_HZ / STEPS,
        "labels": [*LABELS, OTHER],
        "parents": {parent: list(kinds) for parent, kinds in PARENTS.items()},
        "thresholds": dict(zip([*LABELS, OTHER], [round(float(t), 3) for t in calibration.thresholds], strict=True)),
        "calibration": calibration.report,
    }
    (folder / "listener.json").write_text(json.dumps(described, indent=1) + "\n")
