"""Reference numbers of the official implementations, and the weights and sounds that they were made with."""

from tests.parity.fixtures import Sampled, arrays, close, close_features, info, model, state
from tests.parity.recipe import WAVEFORMS, unit, waveform

__all__ = [
    "WAVEFORMS",
    "Sampled",
    "arrays",
    "close",
    "close_features",
    "info",
    "model",
    "state",
    "unit",
    "waveform",
]
