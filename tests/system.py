"""System parts that tests need. In CI a missing one fails the test, elsewhere it skips with the reason."""

import os
import random
import shutil
import socket
from contextlib import suppress

import pytest


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port on 127.0.0.1 that nobody uses now.

    Below those that the system gives out by itself, and at random: nobody takes it until whoever it is for has it.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 30_000)
        with suppress(OSError), socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", port))
            return port


def need(*programs: str) -> None:
    """Go on only when all the programs are on the PATH (or in /usr/sbin, where servers are)."""
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        lack(f"{', '.join(missing)} not installed")


def lack(reason: str) -> None:
    """Fail in CI, skip elsewhere; outside of tests, end with the reason."""
    if "PYTEST_CURRENT_TEST" not in os.environ:
        raise SystemExit(reason)
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
