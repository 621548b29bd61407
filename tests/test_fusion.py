"""Fusion claims what it can and no more; the scenes have the truth that they say."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from avstream.localization import choosing
from avstream.localization import synchrony as synchrony_module
from avstream.localization.fit import Fit
from avstream.localization.fusion import FEATURES, box_of, chances, features, fuse, unattributed, weights
from avstream.localization.stereo import UNKNOWN, Bearing, direction
from avstream.localization.synchrony import Synchrony, SynchronyMap, synchrony
from pipelines import evaluate_localization as pipeline
from pipelines.evaluate_localization import main
from pipelines.localization.scenes import CONDITIONS, RECIPES, make_scene
from pipelines.localization.score_ablations import VARIANTS, changed
from pipelines.localization.score_cuts import cut_scenes
from pipelines.localization.score_scenes import calibration_error, fitted, logistic, outcome, ranks_above, reliability
from tests.test_synchrony import BEATS, BOTH, OTHER_PLACE, PLACE, RATE_HZ, STILL, TIMES, beeps, envelope, film, texture


class Clicks:
    """A bank that needs no synthesis."""

    def draw(self, rng, *, steady=False):
        times = np.arange(48000) / 16000
        beats = np.cumsum(rng.uniform(0.25, 0.7, 12)) - 0.3
        strength = np.ones(48000) if steady else envelope(beats, 48000, 16000)
        return (0.5 * strength * np.sin(2 * np.pi * rng.uniform(300, 2000) * times)).astype(np.float32)


FITS = Fit(correlation=0.9, half=0.8, spared=0.8, freedom=3.7)


def seen(**changed):
    heatmap = np.zeros((22, 40), np.float32)
    heatmap[5:10, 30:36] = 0.8
    heatmap[7, 33] = 1.0
    values = {"fit": FITS, "rival": 0.3, "moving": 0.08, "swing": 0.25, "pulse": 0.9}
    return SynchronyMap(heatmap, (33.5 / 40, 7.5 / 22), **{**values, **changed})


def test_a_clear_source_gets_a_box():
    place = fuse(seen(), Bearing("right", 0.7, 0.9))
    assert place.visible is True and place.direction == "right" and place.confidence > 0.7
    assert place.box == pytest.approx((30 / 40, 5 / 22, 36 / 40, 10 / 22))
    assert place.heatmap.max() == 1


def test_eyes_and_ears_that_contradict_each_other_give_no_box():
    elsewhere = Bearing("left", -0.7, 0.9)
    assert fuse(seen(), elsewhere).visible is None and fuse(seen(), elsewhere).direction == "left"
    assert fuse(seen(), Bearing("left", -0.7, 0.2)).visible is True, "unsure ears contradict nobody"


def test_nothing_seen_says_nothing_but_the_side():
    place = fuse(None, Bearing("left", -0.5, 0.9))
    assert (place.visible, place.heatmap, place.box, place.here, place.absent) == (None,) * 5
    assert place.direction == "left"
    assert fuse(None, UNKNOWN).confidence is None


def test_a_shot_that_is_too_short_claims_nothing():
    place = fuse(seen(share=0.5), UNKNOWN)
    assert place.visible is None and place.box is None


@pytest.mark.parametrize("lucky", [Fit(0.95, -0.1, 0.9, 4.3), Fit(0.95, 0.9, -0.1, 4.3)])
def test_one_moment_is_no_proof(lucky):
    place = fuse(seen(fit=lucky), Bearing("right", 0.7, 1.0))
    assert place.visible is not True and place.box is None


def test_weak_evidence_is_no_box():
    place = fuse(seen(fit=Fit(0.25, 0.0, 0.1, 3.7), rival=0.95), UNKNOWN)
    assert place.visible is not True and place.box is None and place.heatmap is None


def test_better_evidence_never_makes_it_less_likely():
    low, high = (chances(features(seen(fit=Fit(c, c - 0.1, c - 0.1, 3.7)), UNKNOWN)) for c in (0.3, 0.9))
    assert high[0] > low[0] and high[1] < low[1]


def test_several_sounds_share_no_box():
    place = unattributed(fuse(seen(), Bearing("right", 0.7, 0.9)))
    assert (place.visible, place.box, place.direction) == (None, None, None) and place.heatmap is not None


def test_the_table_fits_the_features():
    table = weights()
    assert tuple(table["features"]) == FEATURES and len(table["mean"]) == len(FEATURES)
    assert table["made_by"].startswith("python -m pipelines.evaluate_localization --fit")


def shots(step_s):
    pictures = [texture(seed=seed).astype(np.uint8) for seed in range(2)]
    return np.stack([pictures[int(time / step_s) % 2] for time in TIMES])


def moving_with_cuts():
    frames = film(BOTH)[1]
    frames[TIMES >= 1.5] = 255 - frames[TIMES >= 1.5][:, ::-1, ::-1]
    return frames


@pytest.mark.parametrize(
    "frames",
    [STILL, np.zeros_like(STILL), STILL[:1], shots(0.5), shots(1.5), moving_with_cuts()],
    ids=["static", "black", "one", "cuts", "a cut", "a cut in motion"],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_honest_nones(frames, channels):
    sound = beeps(channels=channels)
    place = fuse(synchrony(frames, TIMES[: len(frames)], sound, RATE_HZ), direction(sound, RATE_HZ))
    assert (place.visible, place.box, place.direction, place.confidence) == (None, None, None, None)


def other_shots():
    """Pictures (T, h, w) that another shot may show, by kind."""
    still = film(BOTH)[1]
    zoom = np.array([[1.4, 0, -60], [0, 1.4, -30]])
    return {
        "mirrored": still[:, :, ::-1],
        "closer": np.stack([cv2.warpAffine(frame, zoom, (320, 180)) for frame in still]),
        "dim": np.stack([texture(seed=4) * 0.3] * len(still)).astype(np.uint8),
        "black": np.zeros_like(still),
        "another": np.stack([texture(seed=5)] * len(still)).astype(np.uint8),
        "moving": np.stack([np.roll(texture(seed=6), 2 * k, axis=1) for k in range(len(still))]).astype(np.uint8),
    }


@pytest.mark.parametrize("kind", ["mirrored", "closer", "dim", "black", "another", "moving"])
def test_a_cut_anywhere_is_never_a_box(kind):
    """From the first to the last picture; a cut 0.2 s from an edge leaves enough of one shot for a map."""
    times, frames = film(BOTH)
    other, bearing = other_shots()[kind], Bearing("left", -0.7, 1.0)
    assert fuse(synchrony(frames, times, beeps(), RATE_HZ), bearing).box is not None
    for at in (1, 2, 5, 11, 23, 37, 38, 50, 62, 70, 73, 74):
        for first, second in ((frames, other), (other, frames)):
            both = np.concatenate([first[:at], second[at:]])
            found = synchrony(both, times, beeps(), RATE_HZ)
            place = fuse(found, bearing)
            assert found is None or found.cut, f"the cut at {at} was not seen"
            assert (place.visible, place.box, place.heatmap, place.confidence) == (None, None, None, None)
            assert place.direction == "left"


def test_scenes_that_are_cut_get_no_box():
    kinds = set()
    for seed in range(3):
        for kind, scene in cut_scenes(seed, Clicks(), np.random.default_rng(seed)):
            kinds.add(kind)
            found = synchrony(scene.gray, scene.times_s, scene.audio, scene.rate_hz)
            assert fuse(found, direction(scene.audio, scene.rate_hz)).box is None
    assert len(kinds) == 4


def test_a_part_taken_out_comes_back():
    kept = synchrony_module.LAGS_S
    with pytest.raises(RuntimeError), changed(VARIANTS["no lags"]):
        assert not synchrony_module.LAGS_S.any()
        raise RuntimeError
    assert kept is synchrony_module.LAGS_S and kept.any()
    scene = make_scene("plain", 4, Clicks())
    for changes in VARIANTS.values():
        with changed(changes):
            found = outcome(scene, fitting=True)
            assert found.overlaps["synchrony"] > 0.3 and found.box is None


def test_a_cut_before_or_after_the_window_does_no_harm():
    _, frames = film(BOTH)
    eye = Synchrony()
    for k in range(-5, 80):
        eye.push(k / 25, frames[k] if 0 <= k < 75 else texture(seed=5).astype(np.uint8))
    assert fuse(eye.look(0, 2.97, beeps()[:, :47520], RATE_HZ), Bearing("left", -0.7, 1.0)).box is not None


def test_silence_is_none():
    times, frames = film(BOTH)
    silence = np.zeros((2, 48000), np.float32)
    assert fuse(synchrony(frames, times, silence, RATE_HZ), direction(silence, RATE_HZ)).visible is None


def test_pictures_and_sound_to_a_box():
    times, frames = film([(PLACE, BEATS)])
    left, top, right, bottom = fuse(synchrony(frames, times, beeps(), RATE_HZ), UNKNOWN).box
    assert abs(left * 320 - PLACE[0]) < 14 and abs(right * 320 - PLACE[0] - 48) < 14
    assert abs(bottom * 180 - PLACE[1] - 48) < 14 and top * 180 < PLACE[1] + 8


def test_no_box_where_nothing_is_warm():
    assert box_of(np.zeros((4, 4), np.float32), (0.5, 0.5)) is None
    assert box_of(np.ones((1, 1), np.float32), (1.0, 1.0)) == (0, 0, 1, 1)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_scenes_have_the_truth_they_say(condition):
    scene, again = make_scene(condition, 7, Clicks()), make_scene(condition, 7, Clicks())
    recipe = RECIPES[condition]
    np.testing.assert_array_equal(scene.gray, again.gray)
    np.testing.assert_array_equal(scene.audio, again.audio)
    assert scene.gray.shape[1:] == (180, 320) and len(scene.gray) == len(scene.times_s)
    assert scene.audio.shape == (2, 48000) and np.abs(scene.audio).max() <= 0.71
    assert len(scene.boxes) == (recipe.sources if recipe.seen else 0) and len(scene.distractors) == recipe.distractors
    for left, top, right, bottom in (*scene.boxes, *scene.distractors):
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def test_what_moves_in_a_scene_is_in_its_boxes():
    scene = make_scene("no distractor", 3, Clicks())
    change = np.abs(np.diff(scene.gray.astype(int), axis=0)).mean(axis=0)
    y, x = divmod(int(cv2.blur(change.astype(np.float32), (9, 9)).argmax()), 320)
    left, top, right, bottom = scene.boxes[0]
    assert left - 0.03 <= x / 320 <= right + 0.03 and top - 0.1 <= y / 180 <= bottom + 0.03


def test_scoring_knows_right_from_wrong():
    found = outcome(make_scene("no distractor", 3, Clicks()))
    assert found.inside and found.overlaps["synchrony"] > 0.3 and found.halves["synchrony"]
    assert not outcome(make_scene("off-screen", 3, Clicks())).inside
    assert ranks_above([2, 3], [0, 1]) == 1 and ranks_above([1], [1]) == 0.5
    assert reliability([0.05, 0.95, 0.97], [False, True, True], [2, 1, 1]) == [
        (0.05, 0.0, 0.5),
        (pytest.approx(0.96), 1.0, 0.5),
    ]


def test_the_fit_finds_the_chances_of_its_data():
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(4000, 2)), np.ones((4000, 1))])
    y = rng.random(4000) < 1 / (1 + np.exp(-(x @ (2.0, -1.0, 0.5))))
    assert logistic(x, y.astype(float)) == pytest.approx((2.0, -1.0, 0.5), abs=0.2)


def test_the_fit_is_the_same_each_time_and_knows_the_side(tmp_path, monkeypatch):
    written = []
    for k in range(2):
        paths = {pipeline: tmp_path / f"fusion{k}.json", choosing: tmp_path / f"choosing{k}.json"}
        for module, path in paths.items():
            monkeypatch.setattr(module, "TABLE", path)
        assert main(["--fit", "1"]) == 0
        written.append([path.read_text() for path in paths.values()])
    assert written[0] == written[1]
    table = json.loads(written[0][1])
    assert table["beside"] > 0 and len(table["sounds"]) == len(choosing.FEATURES) + 1


def test_the_fitted_table_tells_sources_from_chance():
    one = outcome(make_scene("plain", 3, Clicks()))

    def found(on_screen, correlation):
        values = features(seen(fit=Fit(correlation, correlation, correlation, 3.7)), UNKNOWN)
        return replace(one, on_screen=on_screen, inside=on_screen, features=values)

    rng = np.random.default_rng(0)
    table = fitted([found(on, rng.normal(0.8 if on else 0.3, 0.1)) for on in (True, False) for _ in range(20)])
    assert set(table) == {"mean", "scale", "here", "absent"} and len(table["here"]) == len(FEATURES) + 1
    here, absent = np.array(table["here"]), np.array(table["absent"])
    assert (here[:3] > 0).all() and (absent[:3] < 0).all()


def test_the_calibration_error_is_the_mean_gap():
    assert calibration_error([(0.1, 0.2, 0.5), (0.9, 0.7, 0.25), (0.5, 0.5, 0.25)]) == pytest.approx(0.1)


def test_chance_gets_no_box_from_few_pictures():
    """Pictures and sound that have nothing to do with each other: of few steps, some fit by chance."""
    rng, claimed = np.random.default_rng(0), []
    for fps, seconds in [(4, 3), (6, 3), (8, 3), (10, 3), (25, 0.4), (25, 0.8)] * 8:
        moves, sounds = (np.sort(rng.uniform(0, 3, 7)) for _ in range(2))
        times, frames = film([(PLACE, moves), (OTHER_PLACE, np.sort(rng.uniform(0, 3, 7)))], fps=fps)
        count = int(seconds * fps)
        sound = beeps(sounds)[:, : int(seconds * RATE_HZ)]
        claimed.append(fuse(synchrony(frames[:count], times[:count], sound, RATE_HZ), UNKNOWN).visible)
    assert sum(claim is True for claim in claimed) == 0


def test_scenes_score_every_method_and_write_json(tmp_path, capsys):
    assert main(["--scenes", "12", "--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.png")]) == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert set(report["conditions"]) == set(CONDITIONS)
    plain, away = report["conditions"]["plain"], report["conditions"]["off-screen, mono"]
    assert plain["scenes"] == 12 and plain["synchrony cIoU"] > 60 > plain["motion alone cIoU"]
    assert plain["similarity half"] is not None and away["side right"] is None and away["sides asked"] == 0
    assert report["conditions"]["cut"]["said null"] == 100
    bars = report["bars"]
    assert bars["right half, %"] > 70 and bars["off-screen AUC, fusion"] > 0.7 and bars["stereo side, %"] > 95
    assert cv2.imread(str(tmp_path / "a.png")) is not None
    assert "off-screen AUC" in capsys.readouterr().out


@pytest.mark.parametrize("lit", [(1.0, 2.5), (0.5, 0.7), (2.0, 3.0)])
def test_a_flash_in_a_still_picture_says_nothing(lit):
    """Neither that the source is there, nor that it is not."""
    times = np.arange(75) / 25
    frames = np.repeat(texture()[None], 75, axis=0).astype(np.uint8)
    frames[(times >= lit[0]) & (times < lit[1]), :80, :120] = 255
    at = np.arange(3 * 16000) / 16000
    audio = 0.3 * np.sin(2 * np.pi * 880 * at) * ((at >= 1.0) & (at < 2.5))
    place = fuse(synchrony(frames, times, audio[None].astype(np.float32), 16000), UNKNOWN)
    assert place.visible is None and place.box is None
