"""Reference numbers of the official implementations, which lie beside the repository where it is developed.

Without them (`AVSTREAM_PARITY`, or ../shared/parity) the tests that need them are skipped; each module also has tests
that need nothing.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(os.environ.get("AVSTREAM_PARITY") or Path(__file__).parents[1] / ".." / "shared" / "parity").resolve()
needed = pytest.mark.skipif(
    not (FOLDER / "fill.py").is_file(), reason=f"no parity fixtures at {FOLDER}: set AVSTREAM_PARITY to their folder"
)


def fill():
    """The module that rebuilds weights and inputs."""
    spec = importlib.util.spec_from_file_location("parity_fill", FOLDER / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unit(name, shape):
    """Random numbers that depend on the name, float32."""
    return torch.from_numpy(fill().unit(name, shape).astype(np.float32))


def weights(name):
    """The state dict of a fixture, checked."""
    made = fill()
    values = made.state_dict(name)
    assert made.digest(values) == made.manifest(name)["state_sha256"]
    return {key: torch.from_numpy(value) for key, value in values.items()}


def close(found, want, tolerance):
    """Equal within an absolute tolerance."""
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else found
    np.testing.assert_allclose(found, want, rtol=0, atol=tolerance)
