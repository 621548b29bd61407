"""The listener's scores: listeners of known answers must get the scores that follow from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sed_scores_eval", reason="needs pip install 'avstream[train]'", exc_type=ImportError)

from avstream.listeners.base import Heard
from pipelines.listening import card, clips, conditions, mixtures
from pipelines.listening.clips import Clip
from pipelines.listening.listeners import AUDIOSET, NAMES, RATE_HZ, STEPS, TITLES, WINDOW_S, Named, windows_of
from pipelines.sounds.vocabulary import LABELS, OTHER, PARENTS

TONES = {"bell": 600.0, "rain": 1500.0, "siren": 3000.0}


class Tones:
    """A listener that knows three tones perfectly: each label sounds where its own frequency does."""

    name, rate_hz, calibration = "tones", RATE_HZ, ""
    labels, parents = (*LABELS, OTHER), {parent: kinds for parent, kinds in PARENTS.items()}
    thresholds = dict.fromkeys(LABELS, 0.5)

    def listen(self, samples: np.ndarray) -> Heard:
        count = round(WINDOW_S * RATE_HZ / STEPS)
        power = np.abs(np.fft.rfft(samples[: STEPS * count].reshape(STEPS, count), axis=1)) ** 2
        frames = np.full((STEPS, len(self.labels)), 0.01, np.float32)
        for label, hz in TONES.items():
            heard = power[:, round(hz * count / RATE_HZ)] > 0.3 * power.sum(1)
            frames[heard, self.labels.index(label)] = 0.99
        none = np.zeros((STEPS, len(self.parents)), np.float32)
        return Heard(frames, frames.max(0), 0.1, none, none[0])


def tone(kind: str, begin: float = 1.0, end: float = 2.0) -> Clip:
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    x = 0.5 * np.sin(2 * np.pi * TONES.get(kind, 5000.0) * t) * ((t >= begin) & (t < end))
    return Clip(x.astype(np.float32), kind, kind, 4)


@pytest.fixture(scope="module")
def listener() -> Named:
    return Named(Tones())


def test_a_perfect_listener_scores_perfectly(listener: Named) -> None:
    some = [tone(kind) for kind in TONES]
    heard = clips.hear(listener, some)
    assert clips.top1(heard, list(TONES), by_window=True) == 1
    both = clips.macro(heard, listener.thresholds, list(TONES))
    assert both["macro_precision"] == both["macro_recall"] == 1
    assert clips.confusion(heard, list(TONES)).tolist() == np.eye(3, dtype=int).tolist()
    assert clips.calibration(heard)["ece_clips"] == pytest.approx(0.01, abs=1e-3)


def test_wrong_claims_are_counted_and_general_ones_are_not(listener: Named) -> None:
    scores = np.full((1, len(NAMES)), 0.0)
    scores[0, LABELS.index("music")] = 0.9
    scores[0, LABELS.index("flute")] = 0.6
    heard = clips.Heard(["clarinet", "clarinet", "fan"], [scores * [[1.0]], scores * 0.7, scores * 0.1])
    scores = clips.false_claims(heard, listener.thresholds)
    assert scores["claimed_0.5"] == pytest.approx(1 / 3, abs=1e-3)  # the flute of the first; "music" of both is right
    assert scores["strict_0.5"] == pytest.approx(2 / 3, abs=1e-3) and scores["claimed_0.8"] == 0
    assert scores["strict_0.8"] == pytest.approx(1 / 3, abs=1e-3)


def test_events_found_where_they_are_score_one_and_shifted_ones_do_not(listener: Named) -> None:
    ground = [Clip(np.full(RATE_HZ, 1e-6, np.float32), "noise", "n", 0)]
    made = mixtures.scenes([tone(kind) for kind in TONES], ground, 6)
    assert all(s.events for s in made)
    found = mixtures.score(listener, made)
    assert found["event_f1"] > 0.9 and found["psds1"] > 0.9 and found["onset_f1"] > 0.9
    late = [mixtures.Scene(s.samples, [(a + 1.5, b + 1.5, label) for a, b, label in s.events]) for s in made]
    assert mixtures.score(listener, late)["onset_f1"] < 0.2


def test_conditions_change_the_sound_and_keep_its_length() -> None:
    x = tone("bell").samples
    for name, change in conditions.CONDITIONS.items():
        if change is not None:
            y = change(x)
            assert y.shape == x.shape and np.isfinite(y).all() and not np.array_equal(x, y), name
    noise = conditions.noisy(10)(x) - x
    assert 10 * np.log10(np.square(x).mean() / np.square(noise).mean()) == pytest.approx(10, abs=0.1)


def test_an_hour_counts_what_is_claimed_of_grounds(listener: Named) -> None:
    scores = conditions.hour(listener, [], [tone("bell", 0, 4)], 14)
    assert scores["all"]["windows"] == 14 and scores["babble"]["claimed"] == 1 and scores["quiet room"]["claimed"] == 0


def test_windows_leave_out_what_is_silent() -> None:
    x = np.zeros(10 * RATE_HZ, np.float32)
    x[:RATE_HZ] = 0.5
    assert len(windows_of(x)) == 1 and windows_of(x).shape[1] == 3 * RATE_HZ
    assert len(windows_of(x[: RATE_HZ // 2])) == 1


def test_every_title_of_the_comparison_is_audiosets() -> None:
    missing = {t for titles in AUDIOSET.values() for t in titles.split("|") if t and t not in TITLES}
    assert not missing


def test_tables_go_between_the_cards_marks(tmp_path: Path) -> None:
    (tmp_path / "listener").mkdir()
    (tmp_path / "README.md").write_text(f"before\n{card.BEGIN}\nold\n{card.END}\nafter\n")
    card.write({"x": 1}, "| new |", tmp_path, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "old" not in text and "| new |" in text and text.startswith("before") and text.endswith("after\n")
    (tmp_path / "README.md").write_text("no marks")
    with pytest.raises(Exception, match="no place for the tables"):
        card.write({"x": 1}, "", tmp_path, tmp_path)
