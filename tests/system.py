"""System parts that tests need. In CI a missing one fails the test, elsewhere it skips with the reason."""

import os
import shutil

import pytest


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
