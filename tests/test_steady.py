"""Devices with clocks that drift, stamps that jitter, holes and changes: what comes out tells the true time.

The device of these tests plays the time itself: two channels turn like the hand of a clock, once in HAND_S seconds,
so that every sample says when it truly was.
"""

from itertools import pairwise

import numpy as np
import pytest

from avstream.sources.live.capture import CapturedSound
from avstream.sources.live.drift import SteadySound, mixed

RATE = 8000
HAND_S = 50.0
START_S = 1000.0  # the monotonic time at which the device's first sample truly sounds


def hand(time_s):
    angle = 2 * np.pi * np.asarray(time_s) / HAND_S
    return 0.5 * np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32)


def shown_s(samples):
    """The times that samples say, modulo HAND_S."""
    return np.arctan2(samples[1], samples[0]) / (2 * np.pi) * HAND_S


def device(seconds, *, drift=0.0, jitter_s=0.0, rate=RATE, length_s=0.1, start_s=0.0, seed=0):
    """The pieces of a device, beginning at a true time; its stamps are early or late by up to jitter_s."""
    rng, size = np.random.default_rng(seed), round(length_s * rate)
    for i in range(round(seconds / length_s)):
        time_s = start_s + np.arange(i * size, (i + 1) * size) / rate * (1 + drift)
        stamp_s = START_S + time_s[0] + rng.uniform(-jitter_s, jitter_s)
        yield CapturedSound(stamp_s, rate, hand(time_s))


def push_all(steady, pieces):
    return [out for piece in pieces for out in steady.push(piece)]


def error_s(out):
    """How far the stamp of the middle of a piece is from the time that the sample there says."""
    middle = out.samples.shape[1] // 2
    says_s = shown_s(out.samples[:, middle : middle + 1])[0]
    return (out.monotonic_s - START_S + middle / out.rate_hz - says_s + HAND_S / 2) % HAND_S - HAND_S / 2


def end_s(out):
    return out.monotonic_s + out.samples.shape[1] / out.rate_hz


def assert_gapless(outs):
    for before, after in pairwise(outs):
        assert abs(after.monotonic_s - end_s(before)) < 0.5 / RATE


@pytest.mark.parametrize(("drift", "seed"), [(3e-4, 0), (-3e-4, 1), (5e-4, 2)])
def test_an_hour_of_a_drifting_jittery_device_tells_the_time(drift, seed):
    steady = SteadySound()
    outs = push_all(steady, device(3600, drift=drift, jitter_s=0.03, seed=seed))
    assert_gapless(outs)
    assert steady.gap_s == 0.0
    errors = np.array([error_s(out) for out in outs])
    assert np.abs(errors).max() < 0.035  # the first stamp is as wrong as any
    assert np.abs(errors[200:]).max() < 0.008
    assert np.abs(errors[600:]).max() < 0.006


def test_late_hiccups_hardly_move_the_clock():
    steady, rng, outs = SteadySound(), np.random.default_rng(5), []
    for piece in device(600, drift=1e-4, jitter_s=0.01):
        late_s = 0.2 if rng.random() < 0.05 else 0.0
        outs += steady.push(CapturedSound(piece.monotonic_s + late_s, piece.rate_hz, piece.samples))
    assert steady.gap_s == 0.0
    assert max(abs(error_s(out)) for out in outs[300:]) < 0.008


def test_pieces_of_any_length_do():
    for length_s in (0.01, 0.02, 0.5):
        outs = push_all(SteadySound(), device(60, drift=2e-4, jitter_s=0.01, length_s=length_s))
        assert_gapless(outs)
        assert max(abs(error_s(out)) for out in outs[len(outs) // 2 :]) < 0.008


def test_a_hole_starts_a_new_run_at_its_stamp():
    steady = SteadySound()
    first = list(device(30, jitter_s=0.005))
    second = list(device(30, jitter_s=0.005, start_s=35.0, seed=1))
    outs = push_all(steady, first + second)
    leaps = [(a, b) for a, b in pairwise(outs) if b.monotonic_s - end_s(a) > 0.5 / RATE]
    assert len(leaps) == 1
    before, after = leaps[0]
    assert after.monotonic_s == pytest.approx(START_S + 35.0, abs=0.01)
    assert steady.gap_s == pytest.approx(5.0, abs=0.01)
    assert steady.gap_s == pytest.approx(after.monotonic_s - end_s(before), abs=1e-6)
    assert end_s(before) == pytest.approx(START_S + 30.0, abs=0.01)  # the tail in the resampler is not lost
    assert max(abs(error_s(out)) for out in outs) < 0.012


def test_a_stall_is_no_hole_when_all_of_it_comes_in_a_burst():
    steady, outs = SteadySound(), []
    pieces = list(device(40))
    for i, piece in enumerate(pieces):
        arrives_s = max(piece.monotonic_s, START_S + 20.6) if i >= 200 else piece.monotonic_s  # stalled for 0.6 s
        outs += steady.push(CapturedSound(arrives_s, piece.rate_hz, piece.samples))
    assert steady.gap_s == 0.0
    assert_gapless(outs)
    assert max(abs(error_s(out)) for out in outs) < 0.01


def test_sound_lost_without_a_leap_is_found():
    steady = SteadySound()
    pieces = list(device(20, jitter_s=0.01))
    outs = push_all(steady, pieces[:80] + pieces[81:])
    assert steady.gap_s == pytest.approx(0.1, abs=0.02)
    assert max(abs(error_s(out)) for out in outs[115:]) < 0.02


@pytest.mark.parametrize("back_s", [0.1, 0.5])
def test_a_wrong_first_stamp_is_put_right_and_pieces_never_overlap(back_s):
    pieces = list(device(30))
    late = CapturedSound(pieces[0].monotonic_s + back_s, RATE, pieces[0].samples)
    outs = push_all(SteadySound(), [late, *pieces[1:]])
    assert max(abs(error_s(out)) for out in outs[60:]) < 0.005
    for before, after in pairwise(outs):
        assert after.monotonic_s > end_s(before) - 0.5 / RATE


def test_after_a_reconnect_with_another_rate_it_goes_on_at_the_first():
    steady = SteadySound()
    outs = push_all(steady, device(10))
    mono = [
        CapturedSound(piece.monotonic_s, piece.rate_hz, piece.samples[:1])
        for piece in device(10, rate=44100, start_s=12.0)
    ]
    later = push_all(steady, mono)
    assert {out.rate_hz for out in outs + later} == {RATE}
    assert {out.samples.shape[0] for out in outs + later} == {2}
    assert steady.gap_s == pytest.approx(2.0, abs=0.01)
    later = later[1:]  # behind the tail of the first device's sound
    times_s = [out.monotonic_s - START_S + np.arange(out.samples.shape[1]) / RATE for out in later]
    truth = hand(np.concatenate(times_s))[0]
    found = np.concatenate([out.samples for out in later], axis=1)
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - truth)[100:-100].max() < 0.001


def off_tone_db(sound, frequency_hz, rate):
    """The most power beside a tone in any stretch of 4096 samples, relative to all of it: clicks are broad."""
    pieces = sound[: len(sound) // 4096 * 4096].reshape(-1, 4096) * np.blackman(4096)
    power = np.abs(np.fft.rfft(pieces)) ** 2
    near = round(frequency_hz * 4096 / rate)
    beside = np.delete(power, np.s_[near - 12 : near + 13], axis=1)
    return 10 * np.log10((beside.sum(axis=1) / power.sum(axis=1)).max())


@pytest.mark.parametrize("frequency_hz", [440, 3000])
def test_a_tone_does_not_click(frequency_hz):
    """Though its speed changes all the time. Three samples left out are well above the bound."""
    rate, rng, outs, steady = 48_000, np.random.default_rng(0), [], SteadySound()
    tone = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(30 * rate) / rate).astype(np.float32)
    for at in range(0, len(tone), 4800):
        stamp_s = at / rate * 1.0003 + rng.uniform(-0.03, 0.03)
        outs += steady.push(CapturedSound(stamp_s, rate, tone[None, at : at + 4800]))
    assert_gapless(outs)
    heard = np.concatenate([out.samples[0] for out in outs])[4800:]
    assert off_tone_db(heard, frequency_hz, rate) < -50
    assert off_tone_db(np.delete(heard, np.s_[rate * 2 + 1000 : rate * 2 + 1003]), frequency_hz, rate) > -45


def test_without_drift_and_jitter_sound_passes_unchanged_however_it_is_cut():
    rng = np.random.default_rng(0)
    sound = np.convolve(rng.uniform(-0.5, 0.5, 48_000), np.hanning(9) / 4, "same").astype(np.float32)
    outputs = []
    for size in (480, 4800, 48_000):
        steady, outs = SteadySound(), []
        for at in range(0, len(sound), size):
            outs += steady.push(CapturedSound(5.0 + at / 48_000, 48_000, sound[None, at : at + size]))
        out = np.concatenate([piece.samples[0] for piece in outs])
        assert outs[0].monotonic_s == 5.0
        assert abs(len(sound) - len(out)) < 480  # the rest waits in the resampler
        outputs.append(out)
    for out in outputs:
        both = min(len(out), len(outputs[-1]))
        np.testing.assert_allclose(out[:both], outputs[-1][:both], atol=1e-5)
        shift = int(np.argmax(np.correlate(out[1000:9000], sound[990:9010], "valid"))) - 10
        assert abs(shift) <= 2
        level = np.sum(out[4800:40_000] ** 2) / np.sum(sound[4800:40_000] ** 2)
        assert level == pytest.approx(1.0, abs=0.01)


def test_channels_are_made_like_the_first():
    left, right, center = np.full(8, 0.2, np.float32), np.full(8, 0.4, np.float32), np.full(8, 0.6, np.float32)
    np.testing.assert_allclose(mixed(np.stack([left, right]), 1), [np.full(8, 0.3)], rtol=1e-6)
    np.testing.assert_array_equal(mixed(left[None], 2), [left, left])
    np.testing.assert_allclose(mixed(np.stack([left, right, center]), 2), [np.full(8, 0.4), np.full(8, 0.5)], rtol=1e-6)
    steady = SteadySound()
    outs = push_all(steady, [CapturedSound(i * 0.1, RATE, np.zeros((6, 800), np.float32)) for i in range(3)])
    assert {out.samples.shape[0] for out in outs} == {2}


def test_sound_that_is_no_number_does_no_lasting_harm():
    pieces = list(device(3))
    pieces[5].samples[:, 100] = np.nan
    pieces[6].samples[:, 100] = np.inf
    outs = push_all(SteadySound(), pieces)
    assert all(np.isfinite(out.samples).all() and np.abs(out.samples).max() <= 1.0 for out in outs)
    assert abs(error_s(outs[-1])) < 0.005


def test_an_empty_piece_is_nothing():
    assert SteadySound().push(CapturedSound(0.0, RATE, np.zeros((1, 0), np.float32))) == []
