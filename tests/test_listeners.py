"""The listeners behind their seam: what is claimed of which part, by real runtimes; YAMNet with its real weights."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from avstream import loading, vocabulary
from avstream.checkpoints import listener_missing
from avstream.config import presets
from avstream.errors import ConfigError, ModelError
from avstream.events import EventTracker, Rules
from avstream.listeners import files
from avstream.listeners.audioset import KINDS, YAMNET, any_of
from avstream.listeners.base import Heard, claims, no_parents
from avstream.listeners.calibration import Calibration
from avstream.listeners.choose import open_listener
from avstream.listeners.names import check, labels_of
from avstream.listeners.nano import NanoListener
from avstream.listeners.onnx_taggers import OnnxTagger, log_mels
from avstream.narrator import Narrator
from avstream.records import AudioChunk
from avstream.vocabulary import AUDIOSET, ENTRIES, HOME, OTHER
from avstream.windows import Windower
from tests import fakes

RATE = 16_000
SHARED = Path(__file__).parent.parent.parent / "shared"
YAMNET_FILE = Path(os.environ.get("AVSTREAM_YAMNET", SHARED / "peers" / "yamnet" / "yamnet.tflite"))
SOUNDS = Path(os.environ.get("AVSTREAM_DATA", SHARED / "data")) / "sounds"
needs_yamnet = pytest.mark.skipif(not YAMNET_FILE.is_file(), reason="needs yamnet.tflite (AVSTREAM_YAMNET names it)")
needs_sounds = pytest.mark.skipif(not SOUNDS.is_dir(), reason="needs recordings (AVSTREAM_DATA names their folder)")


def listener_of(spec, **settings):
    """A listener as the program loads it."""
    return loading.load_listener(presets.load("nano", listener=spec, **settings))


class Given:
    """A listener that is given its chances."""

    name, rate_hz, calibration, parents, thresholds = "given", RATE, "", {}, {}

    def __init__(self, labels, parents=None, thresholds=None):
        self.labels, self.parents, self.thresholds = tuple(labels), parents or {}, thresholds or {}


def claimed(chances, parents=None, kinds=None, thresholds=None):
    """The claims of one frame: {label: chance}, {parent: chance}."""
    listener = Given(chances, kinds or {name: () for name in parents or {}}, thresholds)
    frames = np.array([list(chances.values())], np.float32)
    general = np.array([list((parents or {}).values())], np.float32)
    heard = Heard(frames, frames[0], 3.0, general, general[0])
    return [(one.label, round(one.confidence, 2)) for one in claims(listener, heard, 0.0, 3.0)]


@pytest.mark.parametrize(
    ("chances", "said"),
    [
        ({"dog_bark": 0.9, "dog": 0.95, "animal": 0.99, "pet": 0.9}, ["dog_bark"]),
        ({"dog_bark": 0.9, "growling": 0.8}, ["dog_bark"]),
        ({"dog_bark": 0.4, "dog": 0.9, "animal": 0.95}, ["dog"]),
        ({"dog_bark": 0.9, "rain": 0.8, "water": 0.9}, ["dog_bark", "rain"]),
        ({"siren": 0.9, "alarm": 0.8, "signal": 0.9}, ["siren"]),
        ({"speech": 0.9, "laughter": 0.8, "giggle": 0.7}, ["speech", "giggle"]),
        ({"acoustic_guitar": 0.7, "guitar": 0.9, "music": 0.99, "plucked_string": 0.8}, ["acoustic_guitar"]),
        ({"small_room": 0.9, "speech": 0.6}, ["speech"]),
        ({"silence": 0.99}, [OTHER]),
        ({"dog_bark": 0.4, "rain": 0.3}, [OTHER]),
    ],
)
def test_one_sound_is_said_once_and_as_special_as_is_sure(chances, said):
    assert [label for label, _ in claimed(chances)] == said


def test_a_right_general_word_beats_a_wrong_special_one():
    low = {"dog_bark": 0.3}
    assert claimed({"dog_bark": 0.45}, {"animal": 0.9}, thresholds=low) == [("animal", 0.9)]
    assert claimed({"dog_bark": 0.45}, {"animal": 0.4}, thresholds=low) == [("dog_bark", 0.45)]
    assert claimed({"dog_bark": 0.55}, {"animal": 0.9}) == [("dog_bark", 0.55)]
    assert claimed({"dog_bark": 0.45, OTHER: 0.6}, thresholds=low) == [(OTHER, 0.6)], "it is sure of knowing nothing"
    assert claimed({"speech": 0.8}, {"animal": 0.7}) == [("speech", 0.8)], "beside a special word it says least"
    assert claimed({"door": 0.9}, {"house": 0.95}, {"house": ("door",)}) == [("door", 0.9)], "parents of its own"
    assert claimed({"dog_bark": 0.2, OTHER: 0.9}) == [(OTHER, 0.9)]
    assert claimed({"dog_bark": 0.2}) == [(OTHER, 0.8)], "one that has no `other` gives what is left"


def test_no_more_than_three_and_the_surest_first():
    found = claimed({"rain": 0.6, "dog_bark": 0.9, "speech": 0.8, "knock": 0.7})
    assert found == [("dog_bark", 0.9), ("speech", 0.8), ("knock", 0.7)]


def heard_between(onset, end, count=30, level=0.9):
    frames = np.full((count, 1), 0.01, np.float32)
    frames[onset:end] = level
    return Heard(frames, frames.max(axis=0), 0.1, *no_parents(count))


@pytest.mark.parametrize(
    ("onset", "end", "stated"),
    [(12, 18, (1.2, 1.8)), (0, 18, (None, 1.8)), (12, 30, (1.2, None)), (0, 30, (None, None))],
)
def test_onset_and_end_are_those_of_the_frames(onset, end, stated):
    (found,) = claims(Given(["bell"]), heard_between(onset, end), 1.0, 2.0)
    assert found.label == "bell" and found.confidence == pytest.approx(0.9)
    assert (found.onset_s, found.end_s) == pytest.approx(stated)


def test_what_sounds_outside_the_part_is_not_claimed_of_it():
    assert [one.label for one in claims(Given(["bell"]), heard_between(0, 8), 1.0, 2.0)] == [OTHER]
    assert [one.label for one in claims(Given(["bell"]), heard_between(0, 11), 1.0, 2.0)] == ["bell"]


def test_a_short_pause_is_part_of_a_sound():
    heard = heard_between(5, 20)
    heard.frames[10:12] = 0.01
    (found,) = claims(Given(["bell"]), heard, 1.5, 2.0)
    assert (found.onset_s, found.end_s) == pytest.approx((0.5, 2.0))
    heard.frames[8:13] = 0.01
    (found,) = claims(Given(["bell"]), heard, 1.5, 2.0)
    assert found.onset_s == pytest.approx(1.3)


# nano's format


def sine(hz, begin_s, end_s, seconds=3.0):
    at = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * hz * at) * ((at >= begin_s) & (at < end_s))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fakes.listener(tmp_path_factory.mktemp("listener") / "tones", parents={"tone": ["low", "high"]})


def test_a_listener_of_ones_own_hears_what_when(folder):
    listener = NanoListener(folder, name="tones")
    heard = listener.listen(sine(420, 1.0, 2.0) + sine(3020, 2.5, 3.0))
    assert heard.frames.shape == (30, 3) and heard.parent_frames.shape == (30, 1) and heard.embedding.ndim == 1
    assert (heard.frames[10:20, 0] > 0.9).all() and (heard.frames[:10, 0] < 0.1).all()
    (low,) = claims(listener, heard, 1.0, 2.0)
    assert (low.label, low.onset_s, low.end_s) == ("low", pytest.approx(1.0), pytest.approx(2.0))
    assert [one.label for one in claims(listener, heard, 2.5, 3.0)] == ["high"]


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (8_000, 5), (48_000, 30), (100_000, 62)])
def test_any_length_has_its_frames(folder, samples, frames):
    heard = NanoListener(folder).listen(np.full(samples, 0.1, np.float32))
    assert len(heard.frames) == len(heard.parent_frames) == frames


def change(folder, tmp_path, **values):
    about = json.loads((folder / "listener.json").read_text())
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "listener.onnx").write_bytes((folder / "listener.onnx").read_bytes())
    (copy / "listener.json").write_text(json.dumps({**about, **values}))
    return copy


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"labels": ["low", "other"]}, "a graph with the .2, 2, 1, 1. labels and parents .*, found .3, 3, 1, 1."),
        ({"parents": {}}, "a graph with the .3, 3, 0, 0. labels"),
        ({"hop_s": 0}, "hop_s and window_s above 0"),
        ({"labels": None}, "not complete"),
        ({"window_s": 1.0}, "does not take 16000 samples"),
    ],
)
def test_a_wrong_description_is_one_clear_error(folder, tmp_path, values, says):
    with pytest.raises(ModelError, match=says):
        NanoListener(change(folder, tmp_path, **values))


def test_files_that_are_not_there_or_damaged(folder, tmp_path):
    with pytest.raises(ModelError, match=r"listener.json can't be read.*listener.onnx and listener.json"):
        NanoListener(tmp_path)
    copy = change(folder, tmp_path)
    (copy / "listener.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="can't be loaded"):
        NanoListener(copy)
    (copy / "listener.onnx").unlink()
    with pytest.raises(ModelError, match="expected an ONNX file"):
        NanoListener(copy)
    with pytest.raises(ModelError, match=r"a model with inputs .'samples'. and outputs"):
        fakes.tagger(copy / "listener.onnx", "samples")
        NanoListener(copy)


def test_the_shipped_listener_hears_the_labels_of_homes():
    listener = open_listener("nano")
    assert listener.labels == (*HOME, OTHER) and set(listener.parents) == set(vocabulary.PARENTS)
    for parent, kinds in listener.parents.items():
        assert set(kinds) <= set(HOME), parent
    assert np.isfinite(listener.listen(np.zeros(48_000, np.float32)).clip).all(), "digital silence, too"
    assert labels_of("nano") == tuple(dict.fromkeys((*HOME, OTHER, *vocabulary.PARENTS)))


# AudioSet's


def test_the_527_classes_are_audiosets():
    assert len(AUDIOSET) == 527 and len(set(AUDIOSET)) == 527 and len(YAMNET) == 521
    known = {0: "/m/09x0r", 74: "/m/0bt9lr", 137: "/m/04rlf", 300: "/m/07yv9", 396: "/m/03kmc9", 500: "/m/028v0c"}
    assert {place: ENTRIES[AUDIOSET[place]].id for place in known} == known


@pytest.mark.skipif(not YAMNET_FILE.with_name("class_map.csv").is_file(), reason="needs YAMNet's class_map.csv")
def test_yamnets_classes_are_in_its_order():
    lines = YAMNET_FILE.with_name("class_map.csv").read_text().splitlines()[1:]
    assert [line.split(",")[1] for line in lines] == [ENTRIES[name].id for name in YAMNET]


def test_the_general_words_come_from_their_kinds():
    chances = np.zeros(len(AUDIOSET), np.float32)
    chances[[AUDIOSET.index("cough"), AUDIOSET.index("sneeze")]] = 0.5
    chances[AUDIOSET.index("laughter")] = 0.05
    found = dict(zip(KINDS, any_of(chances, AUDIOSET), strict=True))
    assert found["person"] == pytest.approx(0.75) and found["machine"] == 0


@pytest.mark.parametrize(("kind", "given", "rate_hz"), [("ced-tiny", "mels", 16_000), ("mn10", "samples", 32_000)])
def test_taggers_as_onnx(tmp_path, kind, given, rate_hz):
    listener = OnnxTagger(fakes.tagger(tmp_path / "model.onnx", given), kind)
    assert listener.rate_hz == rate_hz
    noise = np.random.default_rng(0).normal(0, 0.3, 3 * rate_hz).astype(np.float32)
    heard = listener.listen(noise)
    assert [one.label for one in claims(listener, heard, 0, 1)] == ["music"]
    assert [one.label for one in claims(listener, listener.listen(0.0003 * noise), 0, 1)] == [OTHER]
    assert listener.listen(noise[:100]).frames.shape == (1, 527)
    assert "not calibrated" in listener.calibration


def test_a_tagger_of_other_classes_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no mn10 tagger of 527 classes"):
        OnnxTagger(fakes.tagger(tmp_path / "model.onnx", "samples", classes=10), "mn10")


def test_the_mels_of_ced_equal_those_of_transformers():
    from transformers.audio_utils import mel_filter_bank, spectrogram

    sound = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    filters = mel_filter_bank(257, 64, 0, 8000, RATE, norm=None, mel_scale="htk")
    window = np.hanning(513)[:-1]
    want = spectrogram(
        sound, window, 512, 160, 512, power=2.0, center=False, mel_filters=filters, log_mel="dB", min_value=1e-10,
        db_range=120,
    )  # fmt: skip
    assert np.abs(log_mels(sound) - want.T).max() < 0.01


def test_ast_scores_audiosets_classes(tmp_path):
    titles = [ENTRIES[name].title for name in AUDIOSET]
    checkpoint = fakes.ast(tmp_path / "ast", titles)
    listener = listener_of(f"ast:{checkpoint}")
    heard = listener.listen(np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32))
    assert listener.labels == AUDIOSET and heard.clip.shape == (527,) and heard.embedding.shape == (16,)
    with pytest.raises(ModelError, match="expected classes of AudioSet, found 'Quark'"):
        listener_of(f"ast:{fakes.ast(tmp_path / 'odd', ['Speech', 'Quark'])}")


def test_clap_listens_for_words_of_ones_own(tmp_path):
    checkpoint = fakes.clap(tmp_path / "clap")
    fakes.tokenizer().save_pretrained(checkpoint)
    labels = tuple(vocabulary.learn(text) for text in ("kettle whistling", "smoke alarm", "my cat"))
    assert labels == ("kettle_whistling", "smoke_alarm", "my_cat")
    listener = listener_of(f"clap:{checkpoint}", labels="kettle whistling, smoke alarm, my cat")
    heard = listener.listen(np.random.default_rng(0).normal(0, 0.1, 144_000).astype(np.float32))
    assert listener.labels == (*labels, OTHER) and heard.clip.sum() == pytest.approx(1, abs=1e-4)
    assert labels_of("clap", labels) == (*labels, OTHER)


# YAMNet, with its real weights


@pytest.fixture(scope="module")
def yamnet():
    return open_listener(f"yamnet:{YAMNET_FILE}")


def recordings(kind, count=10):
    """Three seconds around the loudest moment of recordings."""
    import soxr

    from pipelines.sounds.corpus import decode

    for path in sorted((SOUNDS / kind).glob("*.ogg"))[:count]:
        samples = soxr.resample(*decode(path), RATE)
        start = max(0, int(np.abs(samples).argmax()) - RATE)
        yield samples[start : start + 3 * RATE].astype(np.float32)


@needs_yamnet
@needs_sounds
@pytest.mark.parametrize(
    ("kind", "general", "share"),
    [("dog_bark", "dog", 0.6), ("siren", "siren", 0.4), ("speech", "speech", 0.8), ("rooster", "chicken", 0.6)],
)
def test_yamnet_claims_what_is_recorded(yamnet, kind, general, share):
    found = [claims(yamnet, yamnet.listen(sound), 0.5, 2.0) for sound in recordings(kind)]
    assert sum(any(vocabulary.is_kind(one.label, general) for one in said) for said in found) >= share * len(found), (
        found
    )
    for said in found:
        assert len({"dog", "dog_bark", "bow_wow", "animal", "pet"} & {one.label for one in said}) <= 1


@needs_yamnet
@needs_sounds
def test_yamnet_knows_when(yamnet):
    right = 0
    for knock in recordings("knock", 8):
        sound = np.random.default_rng(0).normal(0, 0.0005, 3 * RATE).astype(np.float32)
        sound[round(1.5 * RATE) : 2 * RATE] += knock[RATE - 800 : RATE + 7200]
        heard = yamnet.listen(sound)
        assert heard.frames.shape == (13, 521)
        found = [one for one in claims(yamnet, heard, 1.5, 2.0) if one.onset_s is not None]
        right += any(abs(one.onset_s - 1.5) <= 0.5 and one.end_s is not None for one in found)
        assert [one.label for one in claims(yamnet, heard, 0.0, 0.7)] == [OTHER]
    assert right >= 4


@needs_yamnet
@needs_sounds
def test_yamnet_through_the_narrator_and_its_events():
    """Speech and then a siren in silence: two events, at their times, said in words; JSON names the listener."""
    speech, siren = (next(iter(recordings(kind, 1))) for kind in ("speech", "siren"))
    silence = np.zeros(4 * RATE, np.float32)
    samples = np.concatenate([silence, speech, silence, siren, silence])[None]
    begins = {"speech": 4.0, "siren": 8.0 + len(speech) / RATE}
    narrator = Narrator(loading.load(presets.load("nano", listener=f"yamnet:{YAMNET_FILE}")))
    windower, tracker = Windower(has_audio=True, has_video=False), EventTracker("yard", Rules(urgent={"siren"}))
    said, events = [], []
    for window in [*windower.push(AudioChunk(0.0, RATE, samples)), *windower.finish(samples.shape[1] / RATE)]:
        said.append(narrator.narrate_window(window, "yard"))
        events += tracker.update(said[-1])
    events += tracker.finish()
    assert {one.to_dict()["listener"] for one in said} == {"yamnet"}
    for general, begin_s in begins.items():
        found = [one for one in events if one.phase == "ended" and vocabulary.is_kind(one.label, general)]
        assert found and abs(found[0].onset_s - begin_s) <= 1.2, events
        assert all(one.urgent == (general == "siren") for one in found)
    texts = " ".join(one.text for one in said)
    assert "speaking" in texts and "siren" in texts
    assert not [sound for one in said[:2] for sound in one.sounds]


@needs_yamnet
def test_yamnets_file_is_checked(tmp_path):
    with pytest.raises(ModelError, match=r"expected YAMNet's \.tflite file at"):
        open_listener(f"yamnet:{tmp_path / 'none.tflite'}")
    (tmp_path / "bad.tflite").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="can't be loaded"):
        open_listener(str(tmp_path / "bad.tflite"))


def test_without_its_file_yamnet_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"yamnet.tflite.*--listener yamnet:FILE"):
        open_listener("yamnet")
    assert "no file" in listener_missing("yamnet")


# calibration, files and names


def test_calibration_moves_chances_and_keeps_their_order(tmp_path):
    path = tmp_path / "some.json"
    path.write_text(json.dumps({"fitted_on": "12 recordings", "labels": {"bell": [2.0, 1.0]}, "others": [1.0, -1.0]}))
    calibration = Calibration.load(path)
    chances = np.array([[0.2, 0.2], [0.5, 0.5], [0.0, 1.0]], np.float32)
    moved = calibration(chances, ["bell", "rain"])
    assert moved[1] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))])
    assert np.isfinite(moved).all() and moved[0, 0] < moved[1, 0] and calibration.words == "calibrated on 12 recordings"
    assert (Calibration()(chances, ["bell", "rain"]) == chances).all() and "not calibrated" in Calibration().words


@pytest.mark.parametrize(
    "text", ["", "[]", '{"labels": {}}', '{"fitted_on": "x", "labels": {"a": [0, 1]}, "others": [1, 0]}']
)
def test_a_damaged_calibration_is_reported(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ModelError, match="is no calibration"):
        Calibration.load(tmp_path / "bad.json")


def test_every_shipped_calibration_is_complete():
    from avstream.listeners.calibration import SHIPPED

    for path in SHIPPED.glob("*.json"):
        assert Calibration.load(path).labels and set(Calibration.load(path).labels) <= set(ENTRIES)


class Local(files.Pinned):
    """A file that needs no hub."""

    def cached(self):
        return Path(self.repository)


def test_a_file_that_changes_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "model.onnx"
    path.write_bytes(b"one")
    assert Local(str(path), "*.onnx").path() == path and files.Remembered.place().is_file()
    assert Local(str(path), "*.onnx").path() == path
    path.write_bytes(b"two")
    with pytest.raises(ModelError, match="one with"):
        Local(str(path), "*.onnx").path()
    with pytest.raises(ModelError, match="with the SHA-256 abc"):
        Local(str(path), "*.onnx", "abc").path()


def test_without_a_network_the_hubs_listeners_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = []
    for name in ("ced-mini", "mn10"):
        assert listener_missing(name) == "not downloaded"
        with pytest.raises(ModelError, match=r"hf download .*--listener nano"):
            open_listener(name)
    assert open_listener("auto", progress=said.append).name == "nano"
    assert "ced-mini can't be had" in said[0] and "hf download" in said[0]


@pytest.mark.parametrize(
    ("spec", "says"),
    [("yamnett", "did you mean 'yamnet'"), ("nano:x", "takes no file"), ("ced-mini:x", "takes no file")],
)
def test_wrong_names_are_reported(spec, says):
    with pytest.raises(ConfigError, match=says):
        check(spec)


def test_a_folders_own_labels_join_the_vocabulary(tmp_path):
    folder = fakes.listener(tmp_path / "mine", labels=("Kettle sings", "smoke alarm", "other"))
    check(str(folder))
    assert vocabulary.known("kettle_sings") and labels_of(str(folder)) == ("kettle_sings", "smoke_alarm", "other")
    listener = open_listener(str(folder / "listener.onnx"))
    assert listener.name == "mine" and listener.labels[0] == "kettle_sings"
