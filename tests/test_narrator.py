"""The narrator with real models: nano, and small random checkpoints of every family through the same code."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from avstream import loading, wording
from avstream.config import presets
from avstream.level import FLOOR_DBFS, loudness_dbfs
from avstream.listeners.base import Heard, no_parents
from avstream.narrator import Narrator, heard_in, key_frame
from avstream.records import MotionFrame, Sound, VideoFrame, Window
from avstream.sentences import agrees
from tests import fakes

RATE = 16_000


def window(audio, frames=None, rate_hz=RATE):
    rng = np.random.default_rng(0)
    if frames is None:
        rgb = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
        frames = tuple(VideoFrame(t, rgb) for t in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5))
    return Window(0, 0.0, 3.0, 0.0, 2.0, frames, np.atleast_2d(audio).astype(np.float32), rate_hz)


def tone(hz=880.0, level=0.3, rate_hz=RATE):
    return level * np.sin(2 * np.pi * hz * np.arange(3 * rate_hz) / rate_hz)


@pytest.fixture(scope="module")
def nano():
    """Every stage in every window: test_savings.py has what is left out."""
    return Narrator(loading.load(presets.load("nano")), savings=frozenset())


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {n: getattr(fakes, n)(root / n) for n in ("llava", "llava_next", "onevision", "whisper", "clap")}


def claims(narration):
    return [(sound.label, round(sound.confidence, 4)) for sound in narration.sounds]


@pytest.mark.parametrize("audio", [np.zeros(3 * RATE), 0.0005 * np.random.default_rng(1).standard_normal(3 * RATE)])
def test_silence_claims_nothing_and_runs_nothing(nano, audio):
    narration = nano.narrate_window(window(audio), "muted")
    assert narration.sounds == () and narration.text == "" and narration.heatmap is None
    assert narration.timings_ms == {}


STAGES = {"audio", "listener", "place", "vision", "substitution", "language"}


def test_the_cut_end_of_a_sound_is_no_sound_of_its_own(nano):
    """The window speaks for a silent second; the sound at its edge is told by the windows before."""
    audio = np.zeros(3 * RATE)
    audio[: RATE // 2] = tone()[: RATE // 2]
    quiet = replace(window(audio), index=5, focus_start_s=1.0)
    assert nano.narrate_window(quiet, "edge").sounds == ()
    assert nano.narrate_window(replace(quiet, focus_start_s=0.4), "edge").sounds
    audio[5 * RATE // 2 :] = tone()[: RATE // 2]
    pause = replace(window(audio), index=5, focus_start_s=1.0)
    assert nano.narrate_window(pause, "pause").sounds, "between two ends it goes on"


def test_a_sound_is_claimed_with_its_evidence(nano):
    narration = nano.narrate_window(window(tone()), "tone")
    assert narration.sounds and narration.text
    assert agrees(narration.text, narration.sounds) or narration.text == wording.sentence(narration.sounds)
    assert set(narration.timings_ms) == STAGES
    assert narration.heatmap is None and narration.sounds[0].visible is None, "nothing was seen to move"


def test_the_similarity_shows_what_the_language_model_was_given(nano):
    narration = Narrator(nano._models, "similarity").narrate_window(window(tone()), "tone")
    assert narration.heatmap.shape == (10, 10) and 0 <= narration.heatmap.min() <= narration.heatmap.max() <= 1
    assert 0 < np.count_nonzero(narration.heatmap) <= 15


def strikes(rng):
    """Noise bursts at odd times: their envelope at 25 steps a second, and the sound itself."""
    loud = np.zeros(75)
    for begin in (4, 13, 31, 37, 55, 66):
        loud[begin : begin + 5] = [1.0, 0.8, 0.6, 0.4, 0.2]
    return loud, 0.3 * np.repeat(loud, RATE // 25) * rng.standard_normal(3 * RATE)


def dancing(loud, moving=True):
    """A bright square on a textured ground that shakes while it is loud, and another at its own times."""
    ground = np.random.default_rng(5).integers(60, 140, (180, 320)).astype(np.uint8)
    frames = []
    for k, amount in enumerate(loud):
        gray = ground.copy()
        shift = int(14 * amount * (-1) ** k) if moving else 0
        gray[60:110, 60 + shift : 110 + shift] = 230
        other = 6 * (-1) ** k if moving and k % 17 < 6 else 0
        gray[60:110, 220 + other : 270 + other] = 30
        frames.append(MotionFrame(k / 25, gray))
    return tuple(frames)


def test_what_moves_with_the_sound_is_its_place(nano):
    loud, audio = strikes(np.random.default_rng(3))
    seen = nano.narrate_window(replace(window(audio), motion=dancing(loud)), "seen")
    assert set(seen.timings_ms) == STAGES
    (sound,) = seen.sounds
    assert sound.visible is True and seen.heatmap is not None and 0.8 <= sound.place_confidence <= 1
    left, top, right, bottom = sound.box
    assert left < 85 / 320 < right < 0.5 and top < 85 / 180 < bottom
    still = nano.narrate_window(replace(window(audio), motion=dancing(loud, moving=False)), "still")
    assert claims(still) == claims(seen), "where it is says nothing of what it is"
    assert still.sounds[0].visible is None and still.sounds[0].box is None and still.heatmap is None


def test_sources_that_take_turns_are_not_mixed_up(nano):
    """Two streams through one narrator give what each gives alone, and silence is watched too."""
    loud, audio = strikes(np.random.default_rng(3))
    first = replace(window(audio), motion=dancing(loud))
    mute = replace(window(np.zeros(3 * RATE)), motion=dancing(loud[::-1]))
    alone = nano.narrate_window(first, "alone")
    assert not nano.narrate_window(mute, "b").timings_ms
    assert nano.narrate_window(first, "a").sounds == alone.sounds
    assert nano.narrate_window(first, "b").sounds == alone.sounds, "window 0 starts a source anew"


def test_the_picture_changes_no_claim(nano):
    """Blind: the same sound over a black picture, or over none."""
    seen = nano.narrate_window(window(tone()), "seen")
    black = tuple(VideoFrame(f.time_s, np.zeros_like(f.rgb)) for f in window(tone()).frames)
    assert claims(nano.narrate_window(window(tone(), black), "black")) == claims(seen)
    blind = nano.narrate_window(window(tone(), ()), "blind")
    assert claims(blind) == claims(seen) and blind.heatmap is None and blind.text


def test_swapping_the_sound_changes_what_is_claimed(nano):
    noise = 0.3 * np.random.default_rng(2).standard_normal(3 * RATE)
    assert claims(nano.narrate_window(window(noise), "a")) != claims(nano.narrate_window(window(tone()), "a"))


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_any_rate_and_two_channels(nano, rate_hz):
    assert nano.narrate_window(window(np.stack([tone(rate_hz=rate_hz)] * 2), rate_hz=rate_hz), "stereo").sounds


@pytest.mark.parametrize(("gains", "want"), [((1.0, 0.3), "left"), ((0.3, 1.0), "right"), ((1.0, 1.0), None)])
def test_the_louder_channel_gives_the_side(nano, gains, want):
    noise = 0.2 * np.random.default_rng(2).standard_normal(3 * RATE)
    sounds = nano.narrate_window(window(np.stack([gain * noise for gain in gains])), "stereo").sounds
    assert [sound.direction for sound in sounds] == [want]


def test_mono_has_no_side(nano):
    assert all(sound.direction is None for sound in nano.narrate_window(window(tone()), "mono").sounds)


@pytest.mark.parametrize("samples", [1, 100, 20_000])
def test_a_short_last_window(nano, samples):
    short = replace(window(tone()[:samples]), end_s=samples / RATE, focus_end_s=samples / RATE)
    assert nano.narrate_window(short, "short").end_s == samples / RATE


def test_a_sentence_without_evidence_is_put_right(nano):
    dog, other = Sound("dog_bark", 0.9), Sound("other", 0.6)
    before = nano.overruled
    assert nano._checked("A dog  is\nbarking.", (dog,)) == "A dog is barking."
    assert nano.overruled == before
    assert nano._checked("A baby is crying.", (dog,)) == "a dog is barking."
    assert nano._checked("A bell rings.", (other,)) == "an unidentified sound is heard."
    both = (dog, Sound("rain", 0.9))
    assert nano._checked("A dog is barking and a dog is barking.", both) == "a dog is barking and rain is falling."
    assert nano._checked("", (replace(dog, confidence=0.6),)) == "probably a dog is barking."
    assert nano.overruled == before + 4


def test_two_streams_of_one_name_have_a_localizer_state_each():
    """Two cameras of one recorder are called by its host; pictures of both were taken for those of one."""
    narrator, keys = Narrator(loading.load(presets.load("nano"))), []
    narrator._models.localizer.watch = lambda window, key: keys.append(key)
    for stream in (1, 2, 1):
        assert narrator.narrate_window(replace(window(tone()), stream=stream), "cam").source == "cam"
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize("family", ["llava", "llava_next", "onevision"])
@pytest.mark.parametrize("audio", ["whisper", "whisperclip", "clap"])
@pytest.mark.parametrize("unselected", ["zero", "drop"])
def test_every_family_and_encoder_narrates_through_the_same_code(checkpoints, family, audio, unselected):
    checkpoint = checkpoints["clap" if audio == "clap" else "whisper"]
    settings = presets.load(
        "llava-1.5-7b", language=str(checkpoints[family]), audio=f"{audio}:{checkpoint}", tokens=5,
        localizer="synchrony", unselected=unselected, dtype="float32", device="cpu", listener="nano",
    )  # fmt: skip
    narrator = Narrator(loading.load(settings), "similarity")
    narration = narrator.narrate_window(window(tone()), family)
    assert 0 < np.count_nonzero(narration.heatmap) <= 5
    assert narration.sounds and narration.text
    assert agrees(narration.text, narration.sounds) or narration.text == wording.sentence(narration.sounds)
    assert narrator.narrate_window(window(np.zeros(3 * RATE)), family).sounds == ()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_lower_precision(checkpoints, dtype):
    settings = presets.load(
        "llava-1.5-7b", language=str(checkpoints["llava"]), audio=f"whisperclip:{checkpoints['whisper']}", tokens=5,
        localizer="synchrony", dtype=dtype, device="cpu", listener="nano",
    )  # fmt: skip
    assert Narrator(loading.load(settings)).narrate_window(window(tone()), dtype).text


def test_loudness_is_that_of_the_loudest_block():
    audio = np.zeros((1, RATE), np.float32)
    assert loudness_dbfs(audio, RATE) == FLOOR_DBFS
    audio[0, 1600:3200] = 0.1
    assert loudness_dbfs(audio, RATE) == pytest.approx(-20)
    assert loudness_dbfs(np.zeros((2, 0), np.float32), RATE) == FLOOR_DBFS


def test_the_key_frame_is_in_the_middle_of_what_the_window_speaks_for():
    assert key_frame(window(tone())).time_s == 1.0
    assert key_frame(window(tone(), ())) is None


class Script:
    """A listener that says what it is scripted to, and keeps what it heard."""

    name, rate_hz, labels, parents, thresholds, calibration = "script", RATE, ("bell", "other"), {}, {}, ""

    def __init__(self, *chances):
        self.chances, self.heard = list(chances), []

    def listen(self, samples):
        self.heard.append(samples)
        clip = np.array([self.chances[len(self.heard) - 1], 0.0], np.float32)
        return Heard(np.tile(clip, (30, 1)), clip, 0.1, *no_parents(30))


def begins(onset_s, ground=0.0):
    """A live window in which a tone begins, to go on to its end."""
    audio = ground * np.random.default_rng(0).standard_normal(3 * RATE)
    audio[round(onset_s * RATE) :] += tone()[round(onset_s * RATE) :]
    return Window(4, 0.0, 3.0, 2.0, 3.0, (), audio[None].astype(np.float32), RATE)


def test_a_sound_that_has_just_begun_is_heard_alone_filling_the_window_in_two_ways():
    listener = Script(0.9, 0.8)
    (claim,) = heard_in(begins(2.2, ground=0.001), listener)
    assert (claim.label, claim.onset_s) == ("bell", pytest.approx(2.2))
    assert claim.confidence == pytest.approx(6 / 7), "the mean of the logits: odds of 9 and 4"
    sound = begins(2.2, ground=0.001).audio[0, round(2.2 * RATE) :]
    there, back = listener.heard
    assert len(there) == len(back) == 3 * RATE
    assert np.array_equal(there, np.resize(sound, 3 * RATE))
    assert np.array_equal(back[: 2 * len(sound)], np.concatenate([sound, sound[::-1]]))


def test_a_general_word_for_what_has_just_begun_is_possible_at_most():
    listener = Script(0.1, 0.1)
    listener.parents = {"animal": ("bell",)}
    listener.listen = lambda samples: Heard(
        np.zeros((30, 2)), np.zeros(2), 0.1, np.full((30, 1), 0.95), np.full(1, 0.95)
    )
    assert [(one.label, one.confidence) for one in heard_in(begins(2.2), listener)] == [("animal", wording.POSSIBLE)]
    whole = replace(begins(2.2), focus_end_s=2.9)
    assert [(one.label, one.confidence) for one in heard_in(whole, listener)] == [("animal", pytest.approx(0.95))]


@pytest.mark.parametrize("onset_s, ground", [(2.6, 0.0), (0.2, 0.0), (2.2, 0.1)])
def test_what_is_too_short_fills_the_window_or_stands_in_noise_is_heard_once(onset_s, ground):
    listener = Script(0.55, 0.9)
    assert [round(one.confidence, 2) for one in heard_in(begins(onset_s, ground), listener)] == [0.55]
    assert len(listener.heard) == 1


def test_a_window_of_a_movie_has_its_time():
    listener = Script(0.55, 0.9)
    heard_in(replace(begins(2.2), focus_start_s=1.0, focus_end_s=2.5), listener)
    assert len(listener.heard) == 1


def test_sources_narrated_side_by_side_say_what_they_say_alone():
    """Different sounds and moving pictures, four sources of six windows on four threads."""
    rng = np.random.default_rng(3)
    windows = {}
    for number in range(4):
        for k in range(6):
            audio = tone(300.0 * (number + 1), level=0.1 + 0.1 * (k % 3)) + 0.01 * rng.standard_normal(3 * RATE)
            frames = tuple(VideoFrame(t, rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)) for t in (0.5, 1.5, 2.5))
            motion = tuple(MotionFrame(t / 25, rng.integers(0, 256, (90, 160), dtype=np.uint8)) for t in range(75))
            windows[number, k] = replace(window(audio, frames), index=k, motion=motion)

    def said(narrations):
        return [(n.text, claims(n), [sound.visible for sound in n.sounds]) for n in narrations]

    def narrated(narrator, number):
        return said(narrator.narrate_window(windows[number, k], f"s{number}") for k in range(6))

    alone = [narrated(Narrator(loading.load(presets.load("nano"))), number) for number in range(4)]
    together = Narrator(replace(loading.load(presets.load("nano")), at_once=4))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: narrated(together, number), range(4))) == alone
    assert any(claim for source in alone for _, claim, _ in source)
