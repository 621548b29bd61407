"""Synthetic sounds with known truth: `synthesize("bell", 3.0, 16000, rng)`. numpy only, no files.

They train the classes that have no recordings, so each call draws anew: kind, pitch, rhythm, timbre. `other` is
everything that is a sound and none of the labels. Rooms, noise and microphones are added elsewhere (`augment`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.sounds.dsp import Rng, Signal, samples, to_peak, uniform
from pipelines.sounds.machines import (
    air_horn,
    beeping,
    buzzer,
    car_horn,
    engine,
    phone_bell,
    phone_trill,
    phone_tune,
    rain,
    sea_waves,
    siren,
    smoke_alarm,
)
from pipelines.sounds.other_sounds import OTHERS
from pipelines.sounds.strikes import church, door_buzz, door_chime, hand_bell, knocking, peal, ticking
from pipelines.sounds.strings import guitar, piano

Synthesizer = Callable[[float, int, Rng], Signal]
# label -> (synthesizer, weight): one is drawn for each call
SYNTHESIZERS: dict[str, tuple[tuple[Synthesizer, float], ...]] = {
    "bell": ((church, 0.4), (peal, 0.3), (hand_bell, 0.3)),
    "alarm": ((smoke_alarm, 0.5), (beeping, 0.35), (buzzer, 0.15)),
    "doorbell": ((door_chime, 0.8), (door_buzz, 0.2)),
    "phone_ring": ((phone_bell, 0.3), (phone_trill, 0.35), (phone_tune, 0.35)),
    "siren": ((siren, 1.0),),
    "car_horn": ((car_horn, 0.85), (air_horn, 0.15)),
    "knock": ((knocking, 1.0),),
    "engine": ((engine, 1.0),),
    "guitar": ((guitar, 1.0),),
    "piano": ((piano, 1.0),),
    "rain": ((rain, 1.0),),
    "sea_waves": ((sea_waves, 1.0),),
    "clock_tick": ((ticking, 1.0),),
    "other": tuple((make, 1.0) for make in OTHERS),
}


def synthesize(label: str, duration_s: float, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A sound of `label`, mono float32 (round(duration_s * rate_hz),) with a peak between 0.3 and 0.95.

    Short events (knocks, rings) repeat with pauses until the duration is over. ValueError for a label without a
    synthesizer, and for a duration or a rate too small to hold any sound (0.2 s, 8000 Hz).
    """
    if label not in SYNTHESIZERS:
        raise ValueError(f"no synthesizer for {label!r}; there are {', '.join(SYNTHESIZERS)}")
    if duration_s < 0.2 or rate_hz < 8000:
        raise ValueError(f"need at least 0.2 s at 8000 Hz, got {duration_s} s at {rate_hz} Hz")
    makers, weights = zip(*SYNTHESIZERS[label], strict=True)
    make = makers[rng.choice(len(makers), p=np.array(weights) / sum(weights))]
    for _ in range(8):  # a random pause can swallow all of a short clip: draw again
        x = make(duration_s, rate_hz, rng)[: samples(duration_s, rate_hz)]
        if np.sqrt(np.mean(x**2)) > 0.01 * np.abs(x).max(initial=1e-6) > 0:
            break
    return to_peak(x, uniform(rng, 0.3, 0.95))
