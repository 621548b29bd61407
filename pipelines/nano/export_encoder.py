"""From a trained student to the bundle: whisper/ (config, float16 weights, features) and onnx/audio.onnx."""

from __future__ import annotations

from pathlib import Path

import torch

from avstream.errors import ModelError
from pipelines.nano.encoder import WINDOW, Listener, Student, feature_extractor
from pipelines.nano.graphs import export_audio


def trained(path: Path) -> Listener:
    """The averaged weights of a student's checkpoint, rounded to float16 as they are shipped."""
    if not path.exists():
        raise ModelError(f"no checkpoint {path}", "train first: python -m pipelines.train_encoder")
    student = Student()
    student.load_state_dict(torch.load(path, weights_only=True)["average"])
    return student.listener.half().float().eval()


def export(checkpoint: Path, bundle: Path) -> None:
    """Write whisper/ and its graph into the bundle's folder."""
    feature_extractor().save_pretrained(bundle / "whisper")
    trained(checkpoint).encoder.half().save_pretrained(bundle / "whisper")
    export_audio(bundle / "whisper", WINDOW, bundle / "onnx" / "audio.onnx")
    for path in bundle.glob("whisper/*"):
        path.chmod(0o644)  # safetensors writes for the owner alone
