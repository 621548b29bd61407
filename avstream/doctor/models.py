"""Checks of the models and of what they run on. Each imports torch or the hub itself: those take seconds."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import time
from importlib import metadata
from pathlib import Path

from avstream.doctor.check import REINSTALL, Check
from avstream.errors import AvstreamError

ROOM = 20 * 2**30  # bytes: a 7B preset is 14 to 16 GB


def cpu() -> Check:
    """How much of the CPU torch may use."""
    import torch

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("CPU", True, f"{allowed} of {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")


def gpu() -> Check:
    """What torch can compute with besides the CPU."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Check("GPU", True, f"{name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")
    if torch.backends.mps.is_available():
        return Check("GPU", True, "Apple's, by mps")
    if shutil.which("nvidia-smi"):
        fix = "install a torch with CUDA (see pytorch.org/get-started) that fits the driver"
        return Check("GPU", None, "there is one, but this torch can't use it", fix)
    return Check("GPU", None, "none", "nano needs none; larger presets are slow without")


def nano() -> Check:
    """The embedded models: complete, as they were installed, and able to narrate."""
    import numpy as np
    from transformers.utils import logging

    from avstream import loading
    from avstream.config import presets
    from avstream.narrator import Narrator
    from avstream.records import Window

    changed = altered_files()
    if changed:
        return Check("nano models", False, f"not as installed: {', '.join(changed)}", REINSTALL)
    logging.disable_progress_bar()
    try:
        narrator = Narrator(loading.load(presets.load("nano")))
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 48_000)).astype(np.float32)
        window = Window(0, 0.0, 3.0, 0.0, 3.0, (), noise, 16_000)
        narrator.narrate_window(window, "doctor")  # the first time is slow
        began = time.perf_counter()
        narrator.narrate_window(window, "doctor")
    except AvstreamError as error:
        return Check("nano models", False, str(error), REINSTALL)
    return Check("nano models", True, f"load, and hear 3 s of sound in {1000 * (time.perf_counter() - began):.0f} ms")


def altered_files() -> list[str]:
    """The files of the nano models that differ from what pip installed; a checkout has no list to compare with."""
    altered = []
    for file in metadata.files("avstream") or []:
        if "nano" in file.parts and file.hash is not None:
            path = Path(str(file.locate()))
            digest = hashlib.new(file.hash.mode, path.read_bytes()).digest() if path.is_file() else b""
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                altered.append(file.name)
    return altered


def presets_here() -> Check:
    """What of each preset is on this machine."""
    from avstream import checkpoints
    from avstream.config import presets

    lines = []
    for name in presets.names():
        found = checkpoints.presence_of(presets.load(name))
        lines.append(f"{name} {found if found == 'not downloaded' else 'here'}")
    return Check("presets", True, ", ".join(lines))


def listeners() -> Check:
    """Who can hear on this machine, and what the others lack."""
    from avstream import checkpoints
    from avstream.listeners.names import NAMES

    lacking = {name: checkpoints.listener_missing(name) for name in NAMES}
    here = ", ".join(name for name, lack in lacking.items() if not lack)
    rest = "; ".join(f"{name}: {lack}" for name, lack in lacking.items() if lack)
    return Check("listeners", True, f"{here} here" + (f"; {rest}" if rest else ""))


def cache() -> Check:
    """The hub's cache, which only the larger presets need."""
    from huggingface_hub.constants import HF_HUB_CACHE

    where = Path(HF_HUB_CACHE)
    there = next(folder for folder in (where, *where.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    found = f"{where}: {free / 2**30:.0f} GiB free"
    if not os.access(there, os.W_OK):
        return Check("hub cache", None, f"{where} can't be written to", "set HF_HOME to a folder of yours")
    if free < ROOM:
        return Check("hub cache", None, found, "a 7B preset takes up to 16 GB: set HF_HOME to a larger disk")
    return Check("hub cache", True, found)
