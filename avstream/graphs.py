"""ONNX graphs by onnxruntime: opened with one clear error, and checked to be what they are taken for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avstream.errors import ModelError


def session(path: Path, threads: int) -> Any:
    """An onnxruntime session on the CPU. Raises ModelError."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = max(1, threads), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only
    if not path.is_file():
        raise ModelError("none", "check the name and the folder", f"an ONNX file at {path}")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each thing that may be wrong with a file
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path} can't be loaded: {reason}", "download or export it again") from error


def expect(path: Path, opened: Any, inputs: set[str], outputs: set[str]) -> None:
    """Raises ModelError unless the graph has these inputs, no other, and at least these outputs."""
    has = {one.name for one in opened.get_inputs()}, {one.name for one in opened.get_outputs()}
    if has[0] != inputs or not outputs <= has[1]:
        raise ModelError(
            f"{sorted(has[0])} and {sorted(has[1])}",
            "use a file of the right kind",
            f"a model with inputs {sorted(inputs)} and outputs {sorted(outputs)} in {path}",
        )
