"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass

REINSTALL = "run `pip install --force-reinstall .` in the folder that avstream was installed from"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: `ok` is None for what is missing but not needed; `fix` is one line, "" where there is nothing to do."""

    name: str
    ok: bool | None
    found: str
    fix: str = ""
