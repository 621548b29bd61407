"""What grounding costs: CPU time for one picture a second, beside what synchrony costs alone."""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from avstream.localization.localizer_synchrony import SynchronyLocalizer
from avstream.localization.place import Localizer
from pipelines.localization.score_clips import TRUTH, clip_window


def grounding_cost(folder: Path, localizer: Localizer, times: int = 10) -> dict[str, float]:
    """The median milliseconds of CPU for one look at each clip, of the localizer and of synchrony; the difference in
    percent of a hop of one second on two cores.
    """
    alone, spent = SynchronyLocalizer(), dict[str, list[float]](localizer=[], synchrony=[])
    for name, known in json.loads(TRUTH.read_text())["clips"].items():
        window = clip_window(folder / f"{name}.mp4")
        for which, one in (("localizer", localizer), ("synchrony", alone)):
            one.watch(window, name)
            for _ in range(times):
                began = process_time()
                one.places(window, name, [known["label"]])
                spent[which].append(1000 * (process_time() - began))
    found: dict[str, Any] = {f"{which} ms": float(np.median(values)) for which, values in spent.items()}
    return found | {"grounding, % of a hop on two cores": (found["localizer ms"] - found["synchrony ms"]) / 20}
