"""Work that is saved changes nothing: what is narrated with each saving is what is narrated without it."""

from dataclasses import replace

import numpy as np
import pytest

from avstream import loading, wording
from avstream.config import presets
from avstream.narrator import SAVINGS, Narrator, same_picture
from avstream.records import Sound, VideoFrame
from avstream.sources.file.movie import Movie
from avstream.windows import Windower
from tests import fakes
from tests.synth import make_movie
from tests.test_narrator import RATE, tone, window

NONE = frozenset()


@pytest.fixture(scope="module")
def models():
    return loading.load(presets.load("nano"))


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """A tone that comes and goes while a square moves: windows of sound, of silence, and of both."""
    movie = make_movie(
        tmp_path_factory.mktemp("savings") / "a.mp4", duration_s=16.0, tone=(2.0, 9.0), square=(1.0, 15.0)
    )
    source, windower = Movie(movie, motion=True), Windower(has_audio=True, has_video=True)
    return [one for item in source for one in windower.push(item)] + windower.finish(source.reached_s)


def noise(seed):
    return 0.2 * np.random.default_rng(seed).standard_normal(3 * RATE)


def told(narration):
    """All that a narration holds but how long it took."""
    heat = None if narration.heatmap is None else narration.heatmap.tolist()
    return narration.to_dict() | {"timings_ms": None}, heat


@pytest.mark.parametrize("shown", ["source", "similarity"])
def test_every_saving_gives_the_same_narrations(models, windows, shown):
    found = {}
    for savings in (NONE, frozenset({"sentence"}), frozenset({"picture"}), SAVINGS):
        narrator = Narrator(models, shown, savings)
        found[savings] = [told(narrator.narrate_window(one, "movie")) for one in windows]
    texts = [narration["text"] for narration, _ in found[NONE]]
    assert len(windows) == 14 and any(texts) and not all(texts), "sound and silence"
    assert all(narrations == found[NONE] for narrations in found.values())


def test_the_words_for_one_sound_decide_nanos_sentence(models, windows):
    """Every label, however sure, with other sounds and pictures: what is narrated stays the same."""
    narrator = Narrator(models)
    clips = [models.alignment(models.audio.encode(one.astype(np.float32))) for one in (noise(1), tone(300.0))]
    looks = [models.tower.encode(one.frames[0].rgb).patches[:15] for one in windows[::9]]
    tokens = [np.concatenate([clips[0][None], looks[0]]), np.concatenate([clips[1][None], looks[1]]), clips[0][None]]
    for label in (*models.listener.labels, *models.listener.parents):
        for confidence in (0.9, 0.6, 0.3):
            sounds = (Sound(label, confidence),)
            texts = [models.language.describe(one, models.prompt, wording.heard(sounds)) for one in tokens]
            assert len({narrator._checked(text, sounds) for text in texts}) == 1, (label, confidence)


def test_a_sentence_is_made_once_for_the_same_words(models):
    narrator = Narrator(models)
    first, again = (narrator.narrate_window(window(tone()), "tone") for _ in range(2))
    assert {"audio", "vision", "language"} <= set(first.timings_ms)
    assert set(again.timings_ms) == {"listener", "place"} and told(again) == told(first)


def test_a_still_picture_is_looked_at_once(models, monkeypatch):
    looked = []
    encode = models.tower.encode
    monkeypatch.setattr(models.tower, "encode", lambda rgb: looked.append(rgb) or encode(rgb))
    narrator = Narrator(models, "similarity")
    still = window(tone())
    narrator.narrate_window(still, "still")
    copied = replace(still, frames=tuple(VideoFrame(one.time_s, one.rgb.copy()) for one in still.frames))
    narrator.narrate_window(copied, "still")
    assert len(looked) == 1
    narrator.narrate_window(still, "another source")
    assert len(looked) == 2
    for one in copied.frames:
        one.rgb[37, 11, 2] ^= 1
    narrator.narrate_window(copied, "still")
    assert len(looked) == 3, "the smallest change is looked at"


def test_pictures_are_the_same_only_pixel_for_pixel():
    one = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    other = one.copy()
    assert same_picture(one, other)
    other[-1, -1, -1] ^= 1
    assert not same_picture(one, other) and not same_picture(one, one[:80])


def test_a_model_that_sees_is_asked_each_time(tmp_path):
    """The words alone do not decide what a LLaVA says."""
    settings = presets.load(
        "llava-1.5-7b", language=str(fakes.llava(tmp_path / "llava")), tokens=5, localizer="synchrony",
        audio=f"whisperclip:{fakes.whisper(tmp_path / 'whisper')}", dtype="float32", device="cpu", listener="nano",
    )  # fmt: skip
    narrator = Narrator(loading.load(settings))
    found = [narrator.narrate_window(window(tone()), "tone") for _ in range(2)]
    assert all({"audio", "vision", "language"} <= set(one.timings_ms) for one in found)
    assert told(found[0]) == told(found[1])
