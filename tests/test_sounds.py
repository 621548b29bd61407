"""The synthesizers' promises, the standard alarm patterns, the MIDI scores, and the listener's log-mel."""

import mido
import numpy as np
import pytest

from pipelines.sounds.dsp import noise, partials, place
from pipelines.sounds.machines import TEMPORAL_FOUR, TEMPORAL_THREE, pattern_alarm
from pipelines.sounds.midi import ALL_SOUND_OFF, control, note, score
from pipelines.sounds.synthesis import SYNTHESIZERS, synthesize

RATE = 16000


@pytest.mark.parametrize("label", SYNTHESIZERS)
def test_every_sound_is_sound(label: str) -> None:
    for seed, duration_s, rate in ((0, 3.0, RATE), (1, 3.0, RATE), (2, 0.5, 44100)):
        x = synthesize(label, duration_s, rate, np.random.default_rng(seed))
        assert x.dtype == np.float32
        assert x.shape == (round(duration_s * rate),)
        assert np.isfinite(x).all()
        assert 0.29 < np.abs(x).max() <= 1.0
        assert np.sqrt(np.mean(x**2)) > 1e-3


@pytest.mark.parametrize("label", SYNTHESIZERS)
def test_a_seed_fixes_a_sound(label: str) -> None:
    once, again, other = (synthesize(label, 1.0, RATE, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_unknown_labels_and_impossible_lengths_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no synthesizer for 'moon'"):
        synthesize("moon", 1.0, RATE, rng)
    with pytest.raises(ValueError, match=r"0\.2 s"):
        synthesize("bell", 0.0, RATE, rng)


def switches(x: np.ndarray) -> list[float]:
    """The times at which a sound begins and ends, from its 5 ms levels."""
    level = np.abs(x[: len(x) // 80 * 80]).reshape(-1, 80).max(1)
    return [float(t) for t in np.flatnonzero(np.diff(np.pad(level > 0.25 * level.max(), 1).astype(int))) * 0.005]


@pytest.mark.parametrize(
    ("pattern", "freq_hz", "expected"),
    [
        (TEMPORAL_THREE, 520.0, [0, 0.5, 1, 1.5, 2, 2.5, 4, 4.5, 5, 5.5, 6, 6.5]),
        (TEMPORAL_THREE, 3100.0, [0, 0.5, 1, 1.5, 2, 2.5, 4, 4.5, 5, 5.5, 6, 6.5]),
        (TEMPORAL_FOUR, 3100.0, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 5.8, 5.9, 6.0, 6.1, 6.2, 6.3, 6.4, 6.5]),
    ],
)
def test_alarms_keep_their_standard_times(pattern, freq_hz: float, expected: list[float]) -> None:
    x = pattern_alarm(pattern, freq_hz, 7.5, RATE, duty=0.5 if freq_hz < 1000 else 0.0)
    assert switches(x) == pytest.approx(expected, abs=0.011)
    spectrum = np.abs(np.fft.rfft(x))
    assert np.fft.rfftfreq(len(x), 1 / RATE)[spectrum.argmax()] == pytest.approx(freq_hz, abs=5)


def test_a_partial_decays_by_sixty_decibels_in_its_time() -> None:
    x = partials([1000.0], [1.0], [0.5], RATE, RATE)
    early, late = np.abs(x[:160]).max(), np.abs(x[7920:8080]).max()
    assert 20 * np.log10(late / early) == pytest.approx(-60, abs=1.5)


def test_noise_has_the_slope_it_was_asked_for() -> None:
    power = np.abs(np.fft.rfft(noise(1 << 16, np.random.default_rng(1), 6.0))) ** 2
    octave = 10 * np.log10(power[4000:8000].mean() / power[8000:16000].mean())
    assert octave == pytest.approx(6.0, abs=0.5)


def test_what_sticks_out_is_cut() -> None:
    out = np.zeros(10)
    place(out, np.ones(6), -3.0, 1)
    place(out, np.ones(6), 8.0, 1)
    assert out.tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 1, 1]


def test_a_score_plays_its_notes_at_their_times(tmp_path) -> None:
    events = [*note(40.25, 60.7, 1.0, 300.0, 9), *note(0.5, 3.0, 0.125, 100.0, 0), *control(41.0, ALL_SOUND_OFF, 9)]
    score(events).save(tmp_path / "score.mid")
    played, now_s = [], 0.0
    for message in mido.MidiFile(tmp_path / "score.mid"):  # times are seconds by the file's own tempo
        now_s += message.time
        if not message.is_meta:
            played.append((round(now_s, 3), message.type, message.channel, *message.bytes()[1:]))
    assert played == [
        (0.5, "note_on", 0, 12, 100),
        (0.625, "note_off", 0, 12, 0),
        (40.25, "note_on", 9, 60, 127),
        (41.0, "control_change", 9, ALL_SOUND_OFF, 0),
        (41.25, "note_off", 9, 60, 0),
    ]


def test_log_mel_equals_the_extractor() -> None:
    torch = pytest.importorskip("torch")
    from pipelines.nano.encoder import LogMel, feature_extractor

    sounds = [synthesize(label, 3.0, RATE, np.random.default_rng(3)) for label in ("bell", "knock")]
    sounds.append(np.zeros(3 * RATE, np.float32))
    expected = feature_extractor()(sounds, sampling_rate=RATE, return_tensors="np").input_features
    assert expected.shape == (3, 80, 300)
    assert np.allclose(LogMel()(torch.from_numpy(np.stack(sounds))).numpy(), expected, atol=1e-4)


def test_silence_and_mu_law_stay_in_range() -> None:
    torch = pytest.importorskip("torch")
    from pipelines.sounds.augment import Surroundings, mu_law

    around = Surroundings(seed=1, rooms=2, beds=2, responses=4)
    x = torch.zeros(2, 48000)
    x[0] = torch.sin(torch.arange(48000) * 0.3)
    y = around(x, np.random.default_rng(0))
    assert y.shape == x.shape
    assert y.dtype == torch.float32
    assert y.isfinite().all()
    assert y.abs().max() <= 1.0
    assert (mu_law(x[0]) - x[0]).abs().max() < 0.03
