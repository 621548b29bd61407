"""Levels: how loud a sound is, and where one begins."""

from __future__ import annotations

import numpy as np
import pytest

from avstream.level import Onsets

RATE = 8000


def bursts(times: list[float], seconds: float, noise_db: float = -70.0, burst_db: float = -20.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    sound = 10 ** (noise_db / 20) * rng.standard_normal((2, round(seconds * RATE)))
    for time_s in times:
        first = round(time_s * RATE)
        sound[:, first : first + RATE // 2] += 10 ** (burst_db / 20) * rng.standard_normal((2, RATE // 2))
    return sound.astype(np.float32)


def found(sound: np.ndarray, sizes: list[int]) -> list[float]:
    onsets, first, out = Onsets(), 0, []
    for size in sizes:
        out += onsets.push(sound[:, first : first + size], RATE, first / RATE)
        first += size
    return out


def test_each_sound_begins_once_however_the_stream_is_cut():
    sound = bursts([2.0, 5.33, 9.0], 12)
    whole = found(sound, [sound.shape[1]])
    assert whole == pytest.approx([2.0, 5.3, 9.0], abs=0.11)
    rng = np.random.default_rng(1)
    for _ in range(5):
        sizes = rng.integers(10, 3000, 100).tolist()
        assert found(sound, sizes) == pytest.approx(whole)


def test_nothing_begins_in_silence_in_steady_noise_or_below_what_counts_as_sound():
    for noise_db, burst_db, times in ((-120, -20, []), (-25, -20, []), (-90, -65, [3.0]), (-30, -26, [3.0])):
        sound = bursts(times, 8, noise_db, burst_db)
        assert found(sound, [700] * (sound.shape[1] // 700)) == []


def test_after_a_gap_it_listens_anew():
    sound = bursts([0.2, 3.0], 6)
    onsets = Onsets()
    assert onsets.push(sound, RATE, 0.0) == pytest.approx([3.0], abs=0.11), "before a second is known nothing begins"
    assert onsets.push(bursts([0.2], 4), RATE, 60.0) == []
    assert onsets.push(bursts([2.0], 4), RATE, 64.0) == pytest.approx([66.0], abs=0.11)
