"""For every test, and what it starts: one thread for the arithmetic, as a worker beside this one has the other core."""

import os
import sys

import pytest

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(name, "1")


@pytest.fixture(autouse=True)
def full_precision():
    """What loads a preset or trains lowers the precision of products for all of the process: where a CPU multiplies
    bfloat16 quickly, to that. It must not do so to the tests that come after it.
    """
    restore_precision()
    yield
    restore_precision()


def restore_precision():
    """If torch was imported at all."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_float32_matmul_precision("highest")
