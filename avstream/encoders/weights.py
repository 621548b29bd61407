"""Published files of weights, read without running code, and put into a network key by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from avstream.errors import ModelError

Net = TypeVar("Net", bound=nn.Module)
NAMED = 4  # how many keys of each kind an error names


def read(path: Path, expected: str) -> dict[str, Any]:
    """The dict in a torch file (weights_only) or a safetensors file. Raises ModelError, which says `expected`."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        try:  # the file is mapped, so that a part of several gigabytes costs what the part costs
            file = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # files older than torch 1.6 can't be mapped
            file = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError("no file", expected=f"{expected} at {path}") from error
    except Exception as error:  # the readers raise many kinds for a file that is no checkpoint
        reason = " ".join(str(error).split())[:200]
        kind = "" if isinstance(error, SafetensorError) else f"{type(error).__name__}: "
        raise ModelError(f"{path} can't be read as {expected}: {kind}{reason}", "download it again") from error
    if not isinstance(file, Mapping):
        raise ModelError(f"a {type(file).__name__}", expected=f"{expected} at {path}")
    return dict(file)


def state_of(path: Path, prefixes: Iterable[str], expected: str) -> dict[str, Tensor]:
    """The tensors of a flat file whose keys begin with one of the prefixes; those of the file's other parts are left.

    A file in which no key has a prefix is taken to hold this part alone, under its own names. Raises ModelError.
    """
    file = read(path, expected)
    tensors = {key: value for key, value in file.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(f"the keys {named(file)}", expected=f"{expected} at {path}: a dict of tensors")
    chosen = {key: value for key, value in tensors.items() if key.startswith(tuple(prefixes))}
    return chosen or tensors


def fit(model: Net, state: Mapping[str, Tensor], path: Path, expected: str) -> Net:
    """Put weights into a network that was made on the meta device: every key, none missing, none left over.

    Floating-point weights become float32. Raises ModelError, which names the keys that don't fit.
    """
    wanted = model.state_dict()
    problems = []
    if missing := wanted.keys() - state.keys():
        problems.append(f"missing: {named(missing)}")
    if left := state.keys() - wanted.keys():
        problems.append(f"left over: {named(left)}")
    shapes = [
        f"{key} {list(state[key].shape)} instead of {list(wanted[key].shape)}"
        for key in sorted(wanted.keys() & state.keys())
        if state[key].shape != wanted[key].shape
    ]
    if shapes:
        problems.append(f"of another shape: {named(shapes)}")
    if problems:
        raise ModelError(f"keys {'; '.join(problems)}", "use the official file", f"{expected} at {path}")
    values = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    model.load_state_dict(values, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def named(keys: Iterable[str]) -> str:
    """The first few of them, sorted, and how many more there are."""
    listed = sorted(map(str, keys))
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
