"""Tables in Markdown, and files that appear once complete."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avstream.errors import SinkError


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are figures."""
    lines = ["| " + " | ".join(headings) + " |", "|---|" + "---:|" * (len(headings) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def plus_minus(found: dict[str, float], digits: int = 1) -> str:
    """`12.3 ± 1.4`: a mean and the half width of its 95 % interval."""
    return f"{found['mean']:.{digits}f} ± {found['half']:.{digits}f}"


def write_text(path: Path, text: str) -> None:
    """Write a file, and its folder when it is not there. Raises SinkError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise SinkError(f"{path} can't be written: {error}; choose another place with --out") from error


def write_json(path: Path, value: Any) -> None:
    """The same for JSON."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")
