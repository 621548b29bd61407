"""A listener's name -> the listener, loaded. Those that need torch are loaded by `torch_models`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from avstream.errors import ModelError
from avstream.listeners import nano
from avstream.listeners.base import Listener
from avstream.listeners.files import cache_folder
from avstream.listeners.names import AUTO, PREFERRED, folder_of

YAMNET_FROM = "get google/yamnet from Kaggle Models (TensorFlow Lite, classification)"


def open_listener(spec: str, threads: int = 1, progress: Callable[[str], None] = lambda _: None) -> Listener:
    """Load a listener that needs no torch. Raises ModelError: a runtime, a file or the hub is missing."""
    if spec == AUTO:
        try:
            return _open(PREFERRED, threads)
        except ModelError as error:
            progress(f"listener nano, as {PREFERRED} can't be had: {error}")
            return _open("nano", threads)
    return _open(spec, threads)


def _open(spec: str, threads: int) -> Listener:
    name, _, file = spec.partition(":")
    if name == "nano":
        return nano.NanoListener(nano.SHIPPED, threads=threads)
    if name == "yamnet" or spec.endswith(".tflite"):
        return _yamnet(file if name == "yamnet" else spec, threads)
    if name in ("ced-tiny", "ced-mini", "mn10"):
        from avstream.listeners.onnx_taggers import FILES, OnnxTagger

        return OnnxTagger(FILES[name].path(), name, threads=threads)
    folder = folder_of(Path(spec).expanduser())
    return nano.NanoListener(folder, name=folder.resolve().name, threads=threads)


def _yamnet(file: str, threads: int) -> Listener:
    from avstream.listeners.yamnet import YamnetListener

    path = Path(file).expanduser() if file else yamnet_file()
    if not file and not path.is_file():
        raise ModelError(
            f"YAMNet's .tflite file is not at {path}",
            f"{YAMNET_FROM} and put it there, or give its place with --listener yamnet:FILE",
        )
    return YamnetListener(path, threads=threads)


def yamnet_file() -> Path:
    """Where `--listener yamnet` looks for its file."""
    return cache_folder() / "yamnet.tflite"
