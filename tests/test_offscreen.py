"""Loaders and measures for sounds that are out of the picture, on small files with known truth."""

from __future__ import annotations

import json

import numpy as np
import pytest

from avstream.errors import SourceError
from pipelines.localization.offscreen import (
    Heard,
    negative_scores,
    negative_sound,
    read_avatar,
    read_seld,
    seld_scores,
    true_negatives,
    universal_threshold,
)

LINES = "frame,class,source,azimuth,distance,onscreen\n0,0,0,45,2.0,1\n0,11,1,-60,3.0,0\n1,0,0,44,2.0,1\n"


@pytest.fixture
def seld(tmp_path):
    for folder, name, content in (
        ("metadata_dev", "a.csv", LINES), ("stereo_dev", "a.wav", ""), ("video_dev", "a.mp4", ""),
        ("metadata_dev", "mute.csv", LINES),
    ):  # fmt: skip
        path = tmp_path / folder / "dev-train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_stereo_seld_is_read_with_sides_and_what_is_in_view(seld):
    (clip,) = read_seld(seld)
    assert clip.name == "dev-train/a" and clip.video is not None and len(clip.truth) == 3
    assert [(one.side, one.onscreen) for one in clip.truth] == [("left", True), ("right", False), ("left", True)]
    assert Heard(0, 0, 20.0, 1, True).side == "center"


@pytest.mark.parametrize(
    ("line", "says"), [("0,0,0,45\n", "line 1: expected frame"), ("0,13,0,4,2,1\n", "from 0 to 12, found 13")]
)
def test_wrong_seld_files_are_told(seld, line, says):
    (seld / "metadata_dev" / "dev-train" / "a.csv").write_text(line)
    with pytest.raises(SourceError, match=says):
        read_seld(seld)


def test_no_seld_is_told(tmp_path):
    with pytest.raises(SourceError, match="found no clip in both"):
        read_seld(tmp_path)


def test_seld_scores_of_the_truth_are_perfect_and_each_error_costs_its_own(seld):
    truth = read_seld(seld)[0].truth
    assert seld_scores([truth], [truth]) == {"F20": 100, "class F": 100, "side": 100, "on/off-screen": 100}
    turned = [Heard(one.frame, one.kind, -one.azimuth, one.distance_m, one.onscreen) for one in truth]
    assert seld_scores([truth], [turned]) == {"F20": 0, "class F": 100, "side": 0, "on/off-screen": 100}
    blind = [Heard(one.frame, one.kind, one.azimuth, one.distance_m, True) for one in truth]
    found = seld_scores([truth], [blind])
    assert found["F20"] == 100 and found["on/off-screen"] == pytest.approx(200 / 3)
    half = seld_scores([truth], [truth[1:]])
    assert half["class F"] == pytest.approx((100 * 2 / 3 + 100) / 2)
    nothing = seld_scores([truth], [()])
    assert nothing["F20"] == 0 and nothing["side"] is None


def test_avatar_frames_are_on_or_off_screen(tmp_path):
    on = {"category": "dog", "box": [10, 20, 30, 40]}
    frames = [
        {"index": 3, "width": 100, "height": 200, "instances": [on]},
        {"index": 4, "width": 100, "height": 200, "instances": [{"category": "siren"}]},
        {"index": 5, "width": 100, "height": 200, "instances": []},
    ]
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "v.json").write_text(json.dumps({"frames": frames}))
    found = read_avatar(tmp_path)
    assert [frame.offscreen for frame in found] == [False, True, False]
    assert found[0].instances == (("dog", (0.1, 0.1, 0.4, 0.3)),)
    assert true_negatives(found, [True, True, False]) == {"off-screen left empty": 0, "on-screen claimed": 100}
    (tmp_path / "metadata" / "v.json").write_text('{"frames": [{"index": 1}]}')
    with pytest.raises(SourceError, match=r"v\.json: expected"):
        read_avatar(tmp_path)


def test_negative_sounds_and_what_is_claimed_of_them():
    rng, other = np.random.default_rng(0), np.arange(3, dtype=np.float32)
    assert not negative_sound("silence", 5, rng, other).any() and negative_sound("noise", 1000, rng, other).std() > 0.9
    assert negative_sound("offscreen", 5, rng, other).tolist() == [0, 1, 2, 0, 1]
    hot, cold = np.zeros((4, 4)), np.full((4, 4), 0.2)
    hot[:2] = 0.9
    assert universal_threshold([cold, cold, cold, hot]) == pytest.approx(0.375)
    assert negative_scores([hot], {"silence": [cold], "noise": [hot]}, 0.5) == {
        "pIA positive": 50, "pIA silence": 0, "pIA noise": 50,
    }  # fmt: skip
