"""The similarity heatmap as a localizer: the picture's patches by their cosine to the sound, of any preset's models."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avstream import loading
from avstream.alignment import dim_match
from avstream.config import presets
from avstream.localization.acl import Grounded
from avstream.substitution import similarities
from pipelines.localization.metrics import SIZE


class Similarity:
    """Where in a picture a sound is, by the cosine between what the narrator hears and what it sees."""

    def __init__(self, preset: str) -> None:
        """Raises AvstreamError: no such preset, or its models are not there."""
        self._models = loading.load(presets.load(preset))
        self.rate_hz = self._models.audio.rate_hz

    def locate(self, rgb: NDArray[np.uint8], samples: NDArray[np.float32]) -> Grounded:
        """A picture uint8 (H, W, 3) and mono sound float32 (n,) at `rate_hz`: the cosines, stretched from 0 to 1."""
        loaded, picture = self._models, self._models.tower.encode(rgb)
        z = loaded.audio.encode(samples)
        f = loaded.alignment(z) if loaded.alignment is not None else dim_match(z, loaded.tower.width)
        scores = similarities(f, picture.patches)
        low, high = float(scores.min()), float(scores.max())
        heat = ((scores - low) / max(1e-9, high - low)).reshape(picture.grid).astype(np.float32)
        return Grounded(cv2.resize(heat, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), high)
