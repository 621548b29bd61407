"""The files of this folder: arrays (some in part), checkpoints made again from their keys, and comparisons."""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from avstream.encoders.audioclip import AudioClipEncoder
from avstream.encoders.beats import load_beats
from avstream.encoders.imagebind import ImageBindEncoder
from avstream.encoders.wav2clip import Wav2ClipEncoder
from tests.parity.recipe import weight

FOLDER = Path(__file__).parent
CPU = torch.device("cpu")


@dataclass
class Sampled:
    """Every `step`-th value of an array, in C order."""

    step: int
    values: np.ndarray


@cache
def info(name):
    """Keys, tolerances and the like."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@cache
def arrays(name):
    """All arrays of one fixture, by name; an array or a `Sampled`."""
    found = {}
    with np.load(FOLDER / f"{name}.npz") as file:
        for key in file.files:
            plain, _, step = key.partition("@")
            found[plain] = Sampled(int(step), file[key]) if step else file[key]
    return found


def state(name):
    """The official checkpoint's tensors, in order, proven to be those that the numbers were made with."""
    about, data, out, digest = info(name), arrays(name), {}, hashlib.sha256()
    for key, shape in about["keys"].items():
        value = weight(key, shape) if "int64" not in shape else np.zeros((), np.int64)
        if value is None:
            built = about["left_as_built"][key]
            value = data[f"built/{key}"] if built == "npz" else np.array(built, np.float32).reshape(shape)
        digest.update(f"{key}:{value.dtype.str}:{value.shape};".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
        out[key] = torch.from_numpy(value)
    assert about.get("sha256", digest.hexdigest()) == digest.hexdigest()
    return out


def official(name):
    """A checkpoint's content as its authors publish it: nested, or beside parts that are not ours."""
    foreign = {"logit_scale": torch.tensor(1.0), "visual.conv1.weight": torch.zeros(2)}
    if name == "beats":
        return {"cfg": info(name)["cfg"], "model": state(name), "label_dict": {0: "/m/0"}}
    if name == "imagebind":
        foreign = {"modality_trunks.vision.blocks.0.norm_1.weight": torch.zeros(3)}
    return state(name) | foreign


@cache
def model(name):
    """The reference weights in our network, through a file of the official layout; made once a process."""
    load = {
        "beats": load_beats,
        "imagebind": lambda path: ImageBindEncoder(path, device=CPU, dtype=torch.float32),
        "audioclip": lambda path: AudioClipEncoder(path, device=CPU),
        "wav2clip": lambda path: Wav2ClipEncoder(path, device=CPU),
    }[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.pt"
        torch.save(official(name), path)
        return load(path)


def close(found, want, tolerance):
    """Equal within an absolute tolerance."""
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else found
    if isinstance(want, Sampled):
        found, want = found.reshape(-1)[:: want.step], want.values
    np.testing.assert_allclose(found, want, rtol=0, atol=tolerance)


def close_features(found, want, limits):
    """Log spectra: the maximum, the 99.9 % quantile and the mean of the error are limited."""
    found = np.asarray(found)
    if isinstance(want, Sampled):
        found, want = found.reshape(-1)[:: want.step], want.values
    error = np.abs(found.reshape(want.shape) - want)
    assert error.max() <= limits["max_abs"] and error.mean() <= limits["mean_abs"]
    assert np.quantile(error, 0.999) <= limits["q999_abs"]
