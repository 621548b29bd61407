"""Vectors that were computed once: safetensors shards in a folder for each encoder and its exact weights.

    CACHE/audio-whisper-nano-1a2b3c4d5e6f/about.json     what made them
                                          00000.safetensors, ...   rows of up to 256 clips, and their keys

A shard appears under its name once it is complete, so that an interrupted run loses at most what was not yet saved.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from avstream.errors import ModelError, SinkError, SourceError
from pipelines.data.manifest import Row

SHARD = 256


def weights_hash(owner: object) -> str:
    """A hash of all weights that an encoder holds, as loaded: other weights or another dtype give another one.

    Raises ModelError for an encoder without torch weights.
    """
    modules = [value for _, value in sorted(vars(owner).items()) if isinstance(value, nn.Module)]
    digest, count = hashlib.sha256(), 0
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
            count += 1
    if not count:
        raise ModelError(f"{type(owner).__name__} has no torch weights: its vectors can't be identified")
    return digest.hexdigest()[:12]


def file_hash(path: Path) -> str:
    """The same of weights that are one file. Raises ModelError when it is not there."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise ModelError(f"weights expected at {path}: {error}") from error


def key_of(row: Row, root: Path) -> str:
    """What names a segment: its file, where it starts, and the file's size, so that another file is another key."""
    paths = [row.clip] if row.sound is None else [row.clip, row.sound]
    sizes = [(root / path).stat().st_size if (root / path).is_file() else -1 for path in paths]
    return " ".join([*paths, f"{row.start_s:g}", *map(str, sizes)])


class Store:
    """The vectors of one encoder, by key."""

    def __init__(self, folder: Path) -> None:
        """Open what is there. Raises SourceError for a damaged shard or a folder that is no store."""
        self.folder = folder
        self._places: dict[str, tuple[Path, int]] = {}
        self._pending: dict[str, Tensor] = {}
        try:
            self.about: dict[str, Any] = json.loads((folder / "about.json").read_text(encoding="utf-8"))
            for path in sorted(folder.glob("[0-9]*.safetensors")):
                with safe_open(path, "pt") as shard:
                    keys = json.loads((shard.metadata() or {})["keys"])
                self._places |= {key: (path, i) for i, key in enumerate(keys)}
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise SourceError(f"the vectors in {folder} can't be read: {error}; delete the folder and run "
                              "python -m pipelines.make_embeddings again") from error  # fmt: skip

    @classmethod
    def create(cls, cache: Path, kind: str, name: str, weights: str) -> Store:
        """The store of this encoder with these weights, made when it is not there. Raises SinkError, SourceError."""
        folder = cache / f"{kind}-{re.sub('[^A-Za-z0-9.]+', '-', name).strip('-')}-{weights}"
        if not (folder / "about.json").is_file():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                about = json.dumps({"kind": kind, "name": name, "weights": weights})
                (folder / "about.json").write_text(about + "\n", encoding="utf-8")
            except OSError as error:
                raise SinkError(f"the folder {folder} for vectors can't be made: {error}") from error
        return cls(folder)

    @classmethod
    def find(cls, cache: Path, kind: str, name: str) -> Store:
        """The store of an encoder by its name. Raises SourceError: none, or several of different weights."""
        found = [store for path in sorted(cache.glob(f"{kind}-*/about.json")) if (store := cls(path.parent)).about
                 == {"kind": kind, "name": name, "weights": store.about.get("weights")}]  # fmt: skip
        if not found:
            there = sorted(path.parent.name for path in cache.glob(f"{kind}-*/about.json"))
            raise SourceError(
                f"no {kind} vectors of {name} in {cache} (there: {', '.join(there) or 'none'}); compute them with: "
                "python -m pipelines.make_embeddings"
            )
        if len(found) > 1:
            names = ", ".join(store.folder.name for store in found)
            raise SourceError(f"{cache} holds vectors of {name} from different weights: {names}; delete one")
        return found[0]

    def __contains__(self, key: str) -> bool:
        return key in self._places or key in self._pending

    def __len__(self) -> int:
        return len(self._places) + len(self._pending)

    def add(self, key: str, vector: NDArray[np.float32]) -> None:
        """Keep one; a shard is written when it is full. Raises ModelError for numbers that are not finite."""
        if not np.isfinite(vector).all():
            raise ModelError(f"{self.about['name']} gave numbers that are not finite for {key}")
        self._pending[key] = torch.from_numpy(vector.astype(np.float16))
        if len(self._pending) >= SHARD:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as a shard. Raises SinkError."""
        if not self._pending:
            return
        number = 1 + max((int(path.stem) for path, _ in self._places.values()), default=-1)
        path = self.folder / f"{number:05d}.safetensors"
        keys, vectors = list(self._pending), torch.stack(list(self._pending.values()))
        partial = self.folder / f".{path.name}.part"
        try:
            save_file({"vectors": vectors}, partial, metadata={"keys": json.dumps(keys)})
            partial.rename(path)
        except (OSError, SafetensorError) as error:
            raise SinkError(f"{path} can't be written: {error}") from error
        self._places |= {key: (path, i) for i, key in enumerate(keys)}
        self._pending = {}

    def read(self, keys: Sequence[str]) -> Tensor:
        """The saved vectors of these keys, float32 (n, ...), in their order. KeyError for one that is not there."""
        wanted: dict[Path, list[tuple[int, int]]] = {}
        for at, key in enumerate(keys):
            path, row = self._places[key]
            wanted.setdefault(path, []).append((at, row))
        out: Tensor | None = None
        for path, places in wanted.items():
            with safe_open(path, "pt") as shard:
                vectors = shard.get_tensor("vectors")
            if out is None:
                out = torch.empty(len(keys), *vectors.shape[1:])
            ats, rows = zip(*places, strict=True)
            out[list(ats)] = vectors[list(rows)].float()
        return torch.empty(0) if out is None else out
