"""pipelines.evaluate_onsets: what a live stream makes of recordings, read from memory."""

from __future__ import annotations

import numpy as np
import pytest

import avstream
from avstream.narrator import Narrator
from pipelines import evaluate_onsets as onsets
from pipelines.listening.clips import RATE_HZ, Clip
from pipelines.sounds.synthesis import synthesize


@pytest.fixture(scope="module")
def narrator() -> Narrator:
    return avstream.load("nano")


def clip(kind: str, samples: np.ndarray) -> Clip:
    return Clip(samples.astype(np.float32), kind, "made", 4)


def test_a_siren_is_named_soon_at_each_phase_of_the_hop(narrator: Narrator) -> None:
    siren = clip("siren", synthesize("siren", 4.0, RATE_HZ, np.random.default_rng(5)))
    heard = onsets.all_played(narrator, [siren], "siren")
    assert len(heard) == onsets.PHASES
    assert all(0.5 < one.delay_s < 3.0 and not one.wrong and one.has_name for one in heard)
    figures = onsets.report(heard, [])
    assert figures["named"] == figures["with_an_event"] == 1.0 and figures["wrong_events"] == 0.0
    assert figures["unknown_with_a_name"] is figures["unknown_with_an_event"] is None


def test_what_is_called_by_another_name_is_wrong(narrator: Narrator) -> None:
    siren = synthesize("siren", 4.0, RATE_HZ, np.random.default_rng(5))
    (one, *_) = onsets.all_played(narrator, [clip("dog_bark", siren)], "siren")
    assert one.wrong == len(one.events) >= 1 and not np.isfinite(one.delay_s)


def test_what_is_too_short_or_silent_is_left_out(narrator: Narrator) -> None:
    for samples in (np.zeros(RATE_HZ * 2), np.ones(RATE_HZ // 2)):
        assert onsets.all_played(narrator, [clip("siren", samples)], "none") == []
