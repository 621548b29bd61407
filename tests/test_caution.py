"""What live narrations may claim: less from broken sound, and from what is no louder than the room."""

import numpy as np
import pytest

from avstream.caution import BACKGROUND_S, KNOWN_S, Caution
from avstream.records import Narration, Sound, Window
from avstream.wording import POSSIBLE


def step(caution: Caution, second: int, level_dbfs: float, confidence: float = 0.93, *, gap_s: float = 0.0):
    window = Window(second, second, second + 3.0, second + 2.0, second + 3.0, (), np.zeros((1, 3)), 1, gap_s)
    sounds = (Sound("bell", confidence, level_dbfs=level_dbfs),) if confidence else ()
    narration = Narration(
        "k", second, second, second + 3.0, second + 2.0, second + 3.0, "a bell is ringing." if sounds else "",
        sounds, level_dbfs,
    )  # fmt: skip
    return caution.applied(window, narration)


def sure(narration) -> bool:
    return narration.sounds[0].confidence > POSSIBLE


def test_hiss_is_no_sound_and_what_is_above_it_is():
    """An "unidentified sound, 0.93, at -54 dBFS" was claimed of background noise."""
    caution = Caution()
    for second in range(20):
        step(caution, second, -54.0 + second % 2, 0.0)
    hiss, bell = step(caution, 20, -52.0), step(caution, 21, -40.0)
    assert not sure(hiss) and "possibly" in hiss.text
    assert sure(bell) and bell.text == "a bell is ringing."


def test_a_quiet_room_lets_quiet_sounds_through():
    caution = Caution()
    for second in range(20):
        step(caution, second, -90.0, 0.0)
    assert sure(step(caution, 20, -53.0))


def test_rain_that_lasts_is_a_sound_and_no_room():
    caution = Caution()
    assert all(sure(step(caution, second, -30.0)) for second in range(round(3 * BACKGROUND_S)))


def test_nothing_is_assumed_of_a_room_that_is_not_known_yet():
    caution = Caution()
    assert caution.room_dbfs is None and sure(step(caution, 0, -50.0))
    step(caution, int(KNOWN_S), -50.0)
    assert caution.room_dbfs == pytest.approx(-50.0)


def test_the_room_may_change():
    caution = Caution()
    for second in range(100):
        step(caution, second, -70.0 if second < 30 else -50.0, 0.0)
    assert caution.room_dbfs == pytest.approx(-50.0)


def test_a_window_with_gaps_says_less():
    caution = Caution()
    assert step(caution, 0, -20.0, gap_s=2.0) is None, "as after a connection"
    patchy = step(caution, 1, -20.0, gap_s=0.5)
    assert not sure(patchy) and patchy.text == "possibly a bell is ringing."
    assert sure(step(caution, 2, -20.0, gap_s=0.1))
    assert sure(step(caution, 3, -20.0))
