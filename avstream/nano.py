"""The embedded bundle, run by ONNX Runtime: audio encoder, vision tower and language model, without torch.

The graphs are traced from the trained transformers modules; both give the same numbers to 1e-3. Importing torch and
transformers would cost more than narrating a minute.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from avstream.encoders.audio import AudioEncoder
from avstream.encoders.picture import Normalization, PictureTokens
from avstream.errors import ConfigError, ModelError
from avstream.graphs import session

FOLDER = Path(__file__).parent / "models" / "nano"
IMAGE, END = "<image>", "</s>"
TEMPLATE = "USER: {content} ASSISTANT:"
MAX_NEW_TOKENS = 48
Floats = NDArray[np.float32]


def graph(name: str, threads: int) -> Any:
    """One graph of the bundle as an onnxruntime session. Raises ModelError when it is missing or damaged."""
    try:
        return session(FOLDER / "onnx" / name, threads)
    except ModelError as error:
        raise ModelError(error.found, "reinstall avstream", error.expected) from error


class NanoAudio(AudioEncoder):
    """The Whisper-shaped encoder on one window of 3 s, as `encoders.whisper.Whisper`."""

    rate_hz = 16_000
    dim = 192
    samples = 48_000

    def __init__(self, *, fuse_layers: bool, threads: int = 1) -> None:
        self._fuse_layers = fuse_layers
        self._session = graph("audio.onnx", threads)

    def encode_batch(self, clips: Sequence[Floats]) -> Floats:
        """Mono float32 clips (n_i,) at 16 kHz -> (B, 192). Shorter than the window: zeros are added; longer: cut."""
        found = [self.layers(clip) for clip in clips]
        return np.stack([layers.mean(axis=0) if self._fuse_layers else layers[-1] for layers in found])

    def layers(self, samples: Floats) -> Floats:
        """The time mean of each encoder layer, (L, 192), for a sound as `encode` takes it."""
        window = np.zeros((1, self.samples), np.float32)
        window[0, : len(samples)] = samples[: self.samples]
        (layers,) = self._session.run(None, {"samples": window})
        return layers


class NanoTower:
    """The vision tower: a picture -> CLS and patch tokens."""

    def __init__(self, threads: int = 1) -> None:
        config = json.loads((FOLDER / "llava" / "config.json").read_text(encoding="utf-8"))["vision_config"]
        pictures = json.loads((FOLDER / "llava" / "preprocessor_config.json").read_text(encoding="utf-8"))
        side = config["image_size"] // config["patch_size"]
        self.grid = (side, side)
        self.width: int = config["hidden_size"]
        self._normalization = Normalization(
            config["image_size"], tuple(pictures["image_mean"]), tuple(pictures["image_std"]), pictures["resample"]
        )
        self._session = graph("vision.onnx", threads)

    def encode(self, rgb: NDArray[np.uint8]) -> PictureTokens:
        """uint8 (H, W, 3) -> the tokens that the projector takes."""
        (tokens,) = self._session.run(None, {"pixels": self._normalization.pixels(rgb)})
        return PictureTokens(tokens[0], tokens[1:], self.grid)


class NanoLanguage:
    """The small Llama behind its projector; the instruction's keys and values are computed once.

    It was trained to say the words whatever it sees. For one sound it does; of two or three at once, which are rare,
    the tokens decide now and then.
    """

    words_decide = True

    def __init__(self, threads: int = 1) -> None:
        self._projector = graph("projector.onnx", threads)
        self._decoder = graph("language.onnx", threads)
        self._embeddings = np.load(FOLDER / "onnx" / "embeddings.npy").astype(np.float32)
        self._tokenizer = Tokenizer.from_file(str(FOLDER / "llava" / "tokenizer.json"))
        self._image, self._end = (self._tokenizer.encode(token).ids[-1] for token in (IMAGE, END))
        self._prefixes: dict[tuple[int, ...], tuple[Floats, Floats]] = {}

    def prompt(self, instruction: str, heard: str) -> str:
        """The turn: the constant instruction before the picture, the window's words after.

        Raises ConfigError when the instruction holds the picture's own token.
        """
        if IMAGE in instruction:
            raise ConfigError(f"the prompt contains {IMAGE}", "leave it out: the picture's place is set for you")
        return TEMPLATE.format(content=f"{instruction}\n{IMAGE}\n{heard}".strip())

    def describe(self, tokens: Floats, instruction: str, heard: str) -> str:
        """Visual tokens (n, vision width) and words -> the model's own sentence, greedily decoded."""
        ids = self._tokenizer.encode(self.prompt(instruction, heard)).ids
        place = ids.index(self._image)
        keys, values = self._prefix(tuple(ids[:place]))
        (projected,) = self._projector.run(None, {"tokens": tokens})
        step = np.concatenate([projected, self._embeddings[ids[place + 1 :]]])
        said: list[int] = []
        while len(said) < MAX_NEW_TOKENS:
            logits, keys, values = self._step(step, keys, values)
            token = int(logits.argmax())
            if token == self._end:
                break
            said.append(token)
            step = self._embeddings[[token]]
        return self._tokenizer.decode(said).strip()

    def _prefix(self, ids: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Keys and values of what stands before the picture; a program has one instruction."""
        if ids not in self._prefixes:
            shape = [size if isinstance(size, int) else 0 for size in self._decoder.get_inputs()[1].shape]
            nothing = np.zeros(shape, np.float32)
            self._prefixes = {ids: self._step(self._embeddings[list(ids)], nothing, nothing)[1:]}
        return self._prefixes[ids]

    def _step(self, embeddings: Floats, keys: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
        inputs = {"embeddings": embeddings[None], "keys": keys, "values": values}
        logits, keys, values = self._decoder.run(None, inputs)
        return logits, keys, values
