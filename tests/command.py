"""Commands as people type them: in this process, where a fresh one proves nothing more, or in a process of its own.

A fresh process spends some 4 s of CPU time on importing torch and transformers.
"""

import contextlib
import importlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

from avstream.cli import main

TIMEOUT_S = 120


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said; a traceback anywhere is a failure of whatever test called it."""

    returncode: int
    stdout: str
    stderr: str

    def __post_init__(self):
        assert "Traceback" not in self.stdout + self.stderr, self.stderr


def avstream(*arguments, env=None):
    """`avstream ARGUMENTS`, in this process."""
    return called(lambda: main([str(argument) for argument in arguments]), env)


def pipeline(name, *arguments):
    """`python -m pipelines.NAME ARGUMENTS`, in this process."""
    with mock.patch.object(sys, "argv", [name, *map(str, arguments)]):
        return called(importlib.import_module(f"pipelines.{name}").main)


def called(command: Callable[[], int | None], env=None):
    """What a command does and says that is called in this process."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    with (
        mock.patch.dict(os.environ, env or {}),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
    ):
        try:
            code = command()
        except SystemExit as end:  # argparse
            code = end.code
    return Done(code or 0, *(stream.buffer.getvalue().decode() for stream in streams))


def avstream_process(*arguments, env=None, cwd=None, timeout_s=TIMEOUT_S):
    """`avstream ARGUMENTS`, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "avstream", *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout_s, cwd=cwd, env={**os.environ, **(env or {})}, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)
