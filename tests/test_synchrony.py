"""The peak is on what follows the sound; moving or exchanging the sound takes it away; and honest Nones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avstream.localization.fit import fit, hearings
from avstream.localization.hearing import loudness
from avstream.localization.motion import Motion, cuts
from avstream.localization.synchrony import Synchrony, synchrony

RATE_HZ, FPS, SECONDS = 16000, 25, 3
BEATS = (0.4, 0.92, 1.24, 1.9, 2.6)
OTHER_BEATS = (0.2, 0.7, 1.56, 2.12, 2.32)
PLACE, OTHER_PLACE = (40, 48), (232, 96)


def envelope(beats, count, rate_hz):
    times = np.arange(count) / rate_hz
    return sum(np.where(times >= beat, np.exp(-(times - beat) / 0.08), 0) for beat in beats)


def beeps(beats=BEATS, channels=1, seconds=SECONDS):
    count = round(seconds * RATE_HZ)
    tone = 0.5 * envelope(beats, count, RATE_HZ) * np.sin(2 * np.pi * 700 * np.arange(count) / RATE_HZ)
    return np.repeat(tone[None].astype(np.float32), channels, axis=0)


def texture(height=180, width=320, seed=0):
    grain = np.random.default_rng(seed).uniform(0, 255, (height // 4, width // 4)).astype(np.float32)
    return cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR) * 0.4 + 40


def film(movers, *, fps=FPS, noise=1.0, camera=lambda t: (0.0, 0.0), light=lambda t: 1.0, seconds=SECONDS):
    """Squares of 48 px that jump up with their beats, (place, beats) each: times and pictures."""
    rng, behind = np.random.default_rng(1), texture(280, 420)
    times, frames = np.arange(round(seconds * fps)) / fps, []
    strengths = [envelope(beats, 1000 * seconds, 1000) for _, beats in movers]
    patch = texture(48, 48, seed=9) + 60
    for time in times:
        world = behind.copy()
        for ((x, y), _), strength in zip(movers, strengths, strict=True):
            top = 50 + y - round(10 * float(strength[int(time * 1000)]))
            world[top : top + 48, 50 + x : 98 + x] = patch
        dx, dy = camera(time)
        shot = cv2.warpAffine(world, np.float32([[1, 0, -50 - dx], [0, 1, -50 - dy]]), (320, 180))
        frames.append(np.clip(shot * light(time) + rng.normal(0, noise, shot.shape), 0, 255).astype(np.uint8))
    return times, np.stack(frames)


BOTH = [(PLACE, BEATS), (OTHER_PLACE, OTHER_BEATS)]


@pytest.fixture(scope="module")
def scene():
    return film(BOTH)


def on(place, peak, margin=12):
    x, y = peak[0] * 320, peak[1] * 180
    return place[0] - margin <= x <= place[0] + 48 + margin and place[1] - margin <= y <= place[1] + 48 + margin


def test_the_peak_is_on_what_follows_the_sound(scene):
    times, frames = scene
    found, other = synchrony(frames, times, beeps(), RATE_HZ), synchrony(frames, times, beeps(OTHER_BEATS), RATE_HZ)
    assert on(PLACE, found.peak) and on(OTHER_PLACE, other.peak)
    assert found.heatmap.dtype == np.float32 and found.heatmap.shape == (22, 40)
    assert found.heatmap.min() >= 0 and found.heatmap.max() == 1
    assert found.fit.correlation > 0.6 and found.fit.repeated and not found.cut


def test_the_heatmap_covers_the_thing_and_little_else(scene):
    times, frames = scene
    claimed = cv2.resize(synchrony(frames, times, beeps(), RATE_HZ).heatmap, (320, 180)) >= 0.5
    truth = np.zeros((180, 320), bool)
    truth[PLACE[1] - 10 : PLACE[1] + 48, PLACE[0] : PLACE[0] + 48] = True
    assert (claimed & truth).sum() / (claimed | truth).sum() > 0.5


def test_another_sound_and_a_late_sound_fit_worse(scene):
    times, frames = scene
    true = synchrony(frames, times, beeps(), RATE_HZ)
    late = synchrony(frames, times, np.roll(beeps(), int(0.36 * RATE_HZ), axis=1), RATE_HZ)
    swapped = synchrony(frames, times, beeps((0.55, 1.4, 1.72, 2.9)), RATE_HZ)
    for wrong in (late, swapped):
        assert wrong is None or (
            wrong.fit.correlation < 0.75 * true.fit.correlation and wrong.fit.spared < 0.5 * true.fit.spared
        )


@pytest.mark.parametrize("shift_s", [-0.08, 0.08])
def test_up_to_three_frames_early_or_late_is_forgiven(scene, shift_s):
    times, frames = scene
    found = synchrony(frames, times, np.roll(beeps(), round(shift_s * RATE_HZ), axis=1), RATE_HZ)
    assert on(PLACE, found.peak)


@pytest.mark.parametrize("fps", [10, 15, 30, 50, 60])
def test_any_picture_rate(fps):
    times, frames = film([(PLACE, BEATS)], fps=fps)
    assert on(PLACE, synchrony(frames, times, beeps(), RATE_HZ).peak)


def jittered(fps):
    return np.arange(90) / fps + np.random.default_rng(0).uniform(-0.005, 0.005, 90)


@pytest.mark.parametrize(
    ("times", "count"),
    [
        (np.arange(90) / 30, 90),
        (np.floor(np.arange(90) / 30 * 1000) / 1000, 90),  # Matroska and FLV
        (np.round(np.arange(180) / 60, 3), 90),
        (np.arange(150) / 50, 75),
        (jittered(25), 90),
    ],
    ids=["30", "30 in ms", "60 in ms", "50", "25 that jitters"],
)
def test_which_pictures_are_looked_at(times, count):
    motion = Motion()
    for time in times:
        motion.push(float(time), STILL[0])
    assert len(motion.steps()) == count - 1


def test_few_pictures_are_lost_to_jitter():
    motion = Motion()
    for time in jittered(30):
        motion.push(float(time), STILL[0])
    assert len(motion.steps()) >= 86


@pytest.mark.parametrize("noise", [1.0, 2.0, 4.0])
def test_a_few_short_steps_in_noise_are_no_cuts(noise):
    """A camera's noise does not depend on how long a step is, as motion does."""
    times = np.sort(np.append(np.arange(0, 3, 0.08), [0.513, 1.553, 2.273]))
    rng, motion = np.random.default_rng(0), Motion()
    for time in times:
        motion.push(float(time), np.clip(texture() + rng.normal(0, noise, (180, 320)), 0, 255).astype(np.uint8))
    assert len(motion.steps()) == len(times) - 1 and not any(cuts(motion.steps()))


def test_uneven_picture_times(scene):
    times, frames = scene
    kept = np.sort(np.random.default_rng(3).permutation(len(times))[:55])
    assert on(PLACE, synchrony(frames[kept], times[kept], beeps(), RATE_HZ).peak)


@pytest.mark.parametrize(
    "spoil",
    [
        {"camera": lambda t: (25 * (t - 1.5), 6 * np.sin(3 * t))},
        {"light": lambda t: 1 + 0.15 * np.sin(40 * t)},
        {"noise": 8.0},
        {"light": lambda t: 0.25, "noise": 2.0},
    ],
    ids=["camera", "flicker", "noise", "low light"],
)
def test_what_happens_to_the_whole_picture_is_left_out(spoil):
    times, frames = film(BOTH, **spoil)
    assert on(PLACE, synchrony(frames, times, beeps(), RATE_HZ).peak, margin=16)


def test_color_size_and_shape_do_not_matter(scene):
    times, frames = scene
    large = [cv2.resize(np.repeat(frame[..., None], 3, axis=2), (640, 360)) for frame in frames]
    assert on(PLACE, synchrony(large, times, beeps(channels=2), RATE_HZ).peak)
    tall = synchrony(frames.transpose(0, 2, 1).copy(), times, beeps(), RATE_HZ)
    assert tall.heatmap.shape == (40, 22) and on(PLACE, tall.peak[::-1])


def test_overlapping_windows_equal_single_ones():
    """Pushed piece by piece, and again where windows overlap, a stream is seen as if each window came alone."""
    times, frames = film(BOTH, seconds=5)
    sound, eye = beeps(BEATS, seconds=5), Synchrony()
    for start in (0, 1, 2):
        inside = (times >= start) & (times < start + 3)
        piece = sound[:, start * RATE_HZ : (start + 3) * RATE_HZ]
        for time, frame in zip(times[inside], frames[inside], strict=True):
            eye.push(float(time), frame)
        kept = eye.look(start, start + 3, piece, RATE_HZ)
        alone = synchrony(frames[inside], times[inside], piece, RATE_HZ, start)
        np.testing.assert_array_equal(kept.heatmap, alone.heatmap)
        assert kept.fit == alone.fit


STILL = np.repeat(texture()[None].astype(np.uint8), 75, axis=0)
TIMES = np.arange(75) / FPS


@pytest.mark.parametrize(
    ("times", "frames"),
    [
        (TIMES, STILL),
        (TIMES, np.zeros_like(STILL)),
        (TIMES, np.full_like(STILL, 255)),
        (TIMES[:1], STILL[:1]),
        (TIMES[:0], STILL[:0]),
        (TIMES[:5], STILL[:5]),
        (TIMES, STILL[:, :1, :1]),
        (TIMES, STILL[:, :3, :200]),
    ],
    ids=["static", "black", "white", "one", "none", "five", "a pixel", "a strip"],
)
def test_nothing_moves_so_nothing_is_said(times, frames):
    assert synchrony(frames, times, beeps(), RATE_HZ) is None


SILENCES = [np.zeros((1, 48000)), np.zeros((2, 0)), np.zeros((0, 100)), 1e-5 * np.ones((1, 48000))]


@pytest.mark.parametrize("audio", SILENCES)
def test_silence_says_nothing(scene, audio):
    times, frames = scene
    assert synchrony(frames, times, audio.astype(np.float32), RATE_HZ) is None


def test_cuts_alone_are_no_motion():
    shots = [texture(seed=seed).astype(np.uint8) for seed in range(4)]
    frames = np.stack([shots[sum(beat <= time for beat in BEATS) % 4] for time in TIMES])
    assert synchrony(frames, TIMES, beeps(), RATE_HZ) is None


def test_a_light_that_flashes_with_the_sound_is_no_place():
    flashes = envelope(BEATS, 3000, 1000)[(TIMES * 1000).astype(int)]
    frames = np.stack([np.clip(texture() * (1 + 0.5 * flash), 0, 255).astype(np.uint8) for flash in flashes])
    found = synchrony(frames, TIMES, beeps(), RATE_HZ)
    assert found is None or found.cut or found.fit.correlation < 0.5


def test_a_fit_is_a_correlation_that_does_not_hang_on_one_moment():
    rng = np.random.default_rng(5)
    moved, heard = np.abs(rng.normal(size=75)), np.abs(rng.normal(size=(2, 75)))
    for lags in (1, 5):
        kinds = hearings(np.stack([np.roll(heard, lag, axis=1) for lag in range(lags)]))
        assert kinds.shape == (3 * lags, 75)
        np.testing.assert_allclose(np.square(kinds).sum(axis=1), 1)
        found = fit(moved, kinds)
        assert found.correlation == pytest.approx(max(np.corrcoef(kind, moved)[0, 1] for kind in kinds))
        assert found.half <= 1 and found.spared <= 1 and found.freedom > 3
    true = fit(moved, hearings(np.stack([moved, moved])[None]))
    assert min(true.correlation, true.half, true.spared) > 0.999 and true.repeated
    once = heard.copy()
    moved[:] = rng.normal(size=75)
    moved[40], once[:, 40] = 20, 20
    lucky = fit(moved, hearings(once[None]))
    assert lucky.correlation > 0.7 and lucky.spared < 0.4 and lucky.half < 0.4
    assert fit(np.zeros(75), kinds).correlation == 0
    slow = fit(np.sin(np.arange(75) / 12), hearings(np.stack([np.sin(np.arange(75) / 12)] * 2)[None]))
    assert slow.freedom < found.freedom - 1


def test_odd_sounds_and_pictures():
    times, frames = film([(PLACE, BEATS)])
    for audio in (np.random.default_rng(0).normal(0, 0.1, (6, 48000)), np.ones((1, 48000)), beeps()[:, :47999]):
        synchrony(frames, times, np.asarray(audio, np.float32), RATE_HZ)
    with pytest.raises(ValueError, match="uint8"):
        Motion().push(0.0, np.zeros((4, 4), np.float32))
    eye = Synchrony()
    for k, side in enumerate((40, 40, 90, 90, 17, 17)):
        eye.push(k / FPS, np.zeros((side, 2 * side), np.uint8))
    assert eye.look(0, 0.24, beeps(), RATE_HZ) is None


def test_a_camera_is_followed():
    _, frames = film([], noise=0, camera=lambda t: (75 * t - 112, 0.0))
    motion = Motion()
    for k, frame in enumerate(frames):
        motion.push(k / FPS, frame)
    poses = np.array([step.pose[0, 2] for step in motion.steps()])
    assert np.median(np.abs(poses + 3)) < 0.2 and not any(step.cut for step in motion.steps())


def test_a_camera_that_was_gone_for_long_comes_back():
    motion = Motion(keep_s=12.0)
    picture = texture().astype(np.uint8)
    for time_s in (0.0, 0.04, 0.08, 40.0, 40.04):
        motion.push(time_s, picture)
    assert [round(step.end_s, 2) for step in motion.steps()] == [40.0, 40.04]
    assert [step.cut for step in motion.steps()] == [True, False]


def test_memory_is_bounded():
    """Of the steps, and of the pictures that nobody asks about."""
    asked, motion = Motion(keep_s=2.0), Motion(keep_s=2.0)
    for k in range(200):
        for one in (asked, motion):
            one.push(k / FPS, np.zeros((18, 32), np.uint8))
        assert len(asked.steps()) <= 51
    assert len(motion._waiting) <= 52 and len(motion.steps()) <= 51


def test_pictures_that_nobody_asks_about_cost_nothing_and_change_nothing():
    rng = np.random.default_rng(4)
    frames = [(k / FPS, np.roll(texture().astype(np.uint8), rng.integers(3), axis=1)) for k in range(8 * FPS)]
    eager, lazy, late = Motion(), Motion(), Motion()
    for time_s, picture in frames:
        lazy.push(time_s, picture)
        eager.push(time_s, picture)
        eager.steps()
        if time_s >= 5:
            late.push(time_s, picture)
    found, expected = lazy.steps(5.0, 8.0), eager.steps(5.0, 8.0)
    assert len(found) == 3 * FPS - 1 and len(lazy.steps()) == len(late.steps()) + 1, "the first 5 s were not looked at"
    for one, other in zip(found, expected, strict=True):
        assert (one.start_s, one.end_s, one.change, one.cut) == (other.start_s, other.end_s, other.change, other.cut)
        assert np.array_equal(one.cells, other.cells) and np.array_equal(one.pose, other.pose)


def test_loudness_rises_with_the_sound():
    heard = loudness(beeps(), RATE_HZ, start_s=10.0)
    inside, before = heard.between(np.array([10.4, 10.3]), np.array([10.44, 10.34])).T
    assert (inside > before + 0.2).all()
