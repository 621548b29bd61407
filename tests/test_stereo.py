"""Sides from level and from delay; nothing from mono, silence and quarrels."""

from __future__ import annotations

import numpy as np
import pytest

from avstream.localization.spectra import band_power, rfft
from avstream.localization.stereo import direction

RATE_HZ = 44100


def noise(seconds=1.0, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)


def pair(level_db=0.0, lag_samples=0, hiss=0.002, sound=None):
    """Right louder by `level_db`, and earlier by `lag_samples`."""
    sound = noise() if sound is None else sound
    left, right = np.roll(sound, lag_samples) * 10 ** (-level_db / 40), sound * 10 ** (level_db / 40)
    grain = np.random.default_rng(5).normal(0, hiss, (2, len(sound)))
    return (np.stack([left, right]) + grain).astype(np.float32)


@pytest.mark.parametrize("level_db", [3, 6, 12, 40])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_louder_side(level_db, sign):
    found = direction(pair(sign * level_db), RATE_HZ)
    assert found.side == ("right" if sign > 0 else "left")
    assert found.confidence > 0.5 and abs(found.level_db - sign * level_db) < 0.5


@pytest.mark.parametrize("lag", [-22, -10, 10, 22])
def test_the_earlier_side(lag):
    found = direction(pair(lag_samples=lag), RATE_HZ)
    assert found.side == ("right" if lag > 0 else "left")
    assert abs(found.lag_s * RATE_HZ - lag) < 0.5 and found.coherence > 0.7


def test_the_middle():
    found = direction(pair(), RATE_HZ)
    assert found.side == "center" and abs(found.azimuth) < 0.05


def test_exchanged_channels_exchange_the_sides():
    sound = pair(5, 8)
    found, mirrored = direction(sound, RATE_HZ), direction(sound[::-1], RATE_HZ)
    assert (found.side, mirrored.side) == ("right", "left")
    assert found.azimuth == pytest.approx(-mirrored.azimuth, abs=0.02)


def test_loudness_does_not_matter():
    found, quiet = direction(pair(5, 8), RATE_HZ), direction(0.02 * pair(5, 8), RATE_HZ)
    assert found.side == quiet.side and found.azimuth == pytest.approx(quiet.azimuth, abs=1e-3)


@pytest.mark.parametrize(
    "audio",
    [
        noise()[None],
        np.stack([noise()] * 2),
        np.stack([noise()] * 6),
        np.zeros((2, RATE_HZ), np.float32),
        np.zeros((2, 0), np.float32),
        np.zeros((0, 0), np.float32),
        noise(),
        pair()[:, :100],
        1e-5 * pair(6),
    ],
    ids=["mono", "mono twice", "six", "silence", "empty", "no channel", "flat", "short", "faint"],
)
def test_what_has_no_direction(audio):
    found = direction(audio, RATE_HZ)
    assert found.side is None and found.confidence == 0


def test_rain_from_everywhere_has_no_side():
    found = direction(np.stack([noise(seed=1), noise(seed=2)]), RATE_HZ)
    assert found.side is None


def test_a_quarrel_is_not_settled():
    found = direction(pair(-9, 25), RATE_HZ)
    assert found.side is None and found.confidence == 0


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000, 96000])
def test_any_rate_and_length(rate_hz):
    sound = pair(6)[:, : rate_hz // 10 + 13]
    assert direction(sound, rate_hz).side == "right"


def test_one_dead_channel_and_clipping():
    dead = np.stack([np.zeros_like(noise()), noise()])
    assert direction(dead, RATE_HZ).side == "right"
    assert direction(np.clip(5 * pair(6), -1, 1), RATE_HZ).side == "right"
    assert direction(np.sign(pair(6)), RATE_HZ).side == "center"  # nothing is left of the difference


def test_sound_after_the_last_whole_frame_only():
    """A stream that comes back at the very end of a window: no frame has any power."""
    audio = np.zeros((2, 3 * 44100), np.float32)
    audio[0, -100:] = 0.9
    assert direction(audio, 44100).side is None


@pytest.mark.parametrize("size", [64, 1024, 2048])
@pytest.mark.parametrize("count", [0, 1, 64])
def test_spectra_are_those_of_numpy(size, count):
    frames = np.random.default_rng(size).normal(size=(count, size)).astype(np.float32)
    expected = np.fft.rfft(frames.astype(np.float64), axis=1)
    np.testing.assert_allclose(rfft(frames), expected, atol=1e-3)
    firsts = [1, 2, 7, size // 2]
    bands = np.add.reduceat(np.abs(expected) ** 2, firsts, axis=1)
    np.testing.assert_allclose(band_power(frames, firsts), bands, rtol=1e-4, atol=1e-3)
