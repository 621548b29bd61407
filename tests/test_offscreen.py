"""Loaders and measures for sounds that are out of the picture, on small files with known truth."""

from __future__ import annotations

import json
import wave

import cv2
import numpy as np
import pytest

from avstream.errors import SourceError
from avstream.records import Narration, Sound
from pipelines.evaluate_localization import main
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
from pipelines.localization.score_offscreen import class_of, said_of, windows_of
from tests.synth import make_movie

LINES = "frame,class,source,azimuth,distance,onscreen\n0,0,0,45,200,1\n0,11,1,-60,300,0\n1,0,0,44,200,1\n"


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
    assert clip.truth[0].distance_m == 2.0, "the files have centimeters"
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


ON = {"audio_visual_category": "dog", "scenario": "Single-sound", "bbox": [16, 24, 32, 48]}
OFF = {"audio_visual_category": "siren", "scenario": "Off-screen", "bbox": None}


@pytest.fixture
def avatar(tmp_path):
    (tmp_path / "video").mkdir(), (tmp_path / "metadata" / "v").mkdir(parents=True)
    make_movie(tmp_path / "video" / "v.mp4", duration_s=4.0, size=(160, 120), fps=25)
    make_movie(tmp_path / "video" / "without.mp4", duration_s=1.0)
    for number, instances in ((25, [ON]), (50, [OFF]), (75, [])):
        row = {"video_id": "v", "frame_number": number, "annotations": instances}
        (tmp_path / "metadata" / "v" / f"{number:05d}.json").write_text(json.dumps(row))
    return tmp_path


def test_avatar_frames_are_on_or_off_screen(avatar):
    ((video, found),) = read_avatar(avatar).items()
    assert video.name == "v.mp4" and [frame.time_s for frame in found] == [1.0, 2.0, 3.0]
    assert [frame.offscreen for frame in found] == [False, True, False]
    assert found[0].instances == (("dog", (0.1, 0.2, 0.3, 0.6)),)
    on = found[0].instances[0][1]
    assert true_negatives(found, [[on], [], []]) == {
        "off-screen left empty": 100, "on-screen claimed": 100, "claimed box right": 100,
    }  # fmt: skip
    assert true_negatives(found, [[(0.5, 0.5, 1, 1)], [on], []])["claimed box right"] == 0
    (avatar / "metadata" / "v" / "00025.json").write_text('{"frame_number": 1}')
    with pytest.raises(SourceError, match=r"00025\.json"):
        read_avatar(avatar)
    (avatar / "video" / "v.mp4").unlink()
    with pytest.raises(SourceError, match=r"metadata\.zip"):
        read_avatar(avatar)


def test_avatar_is_scored_by_a_command(avatar, capsys):
    assert main(["--avatar", str(avatar)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 3 and report["off-screen left empty"] in (0, 100)
    assert main(["--avatar", str(avatar / "video")]) == 3


def test_what_is_said_has_the_classes_and_frames_of_dcase():
    """A telephone rings from 1.2 to 1.6 s on the right of the picture, and music plays somewhere."""
    ring = Sound("phone_ring", 0.9, True, (0.9, 0.4, 1.0, 0.6), onset_s=1.2, end_s=1.6)
    band = Sound("guitar", 0.9, None, None, "left")
    narration = Narration("a", 0, 0.0, 3.0, 1.0, 2.0, "", (ring, band, Sound("rain", 0.9)), -20.0, None, None)
    said = said_of([narration])
    assert sorted({one.frame for one in said if one.kind == class_of("telephone")}) == [12, 13, 14, 15]
    assert sorted({one.frame for one in said if one.kind == class_of("guitar")}) == list(range(10, 20))
    assert len({one.kind for one in said}) == 2 and class_of("rain") is None and class_of("music") != class_of("guitar")
    phone, guitar = said[0], said[-1]
    assert phone.side == "right" and -50 < phone.azimuth < -40 and phone.onscreen
    assert guitar.side == "left" and not guitar.onscreen


def test_dcase_is_scored_by_a_command(tmp_path, capsys):
    """Sound and pictures in two files, the truth in a third: a tone on the left, which the listener may name or not."""
    for folder in ("metadata_dev", "stereo_dev", "video_dev"):
        (tmp_path / folder / "dev-train").mkdir(parents=True)
    (tmp_path / "metadata_dev" / "dev-train" / "a.csv").write_text(LINES)
    make_movie(tmp_path / "video_dev" / "dev-train" / "a.mp4", duration_s=5.0, audio=False)
    with wave.open(str(tmp_path / "stereo_dev" / "dev-train" / "a.wav"), "wb") as out:
        out.setnchannels(2), out.setsampwidth(2), out.setframerate(24000)
        tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(5 * 24000) / 24000)
        out.writeframes(np.stack([tone, 0.1 * tone], axis=1).astype(np.int16).tobytes())
    (clip,) = read_seld(tmp_path)
    windows = windows_of(clip)
    assert windows[-1].end_s == pytest.approx(5.0, abs=0.05) and all(one.frames and one.motion for one in windows)
    assert windows[0].audio.shape == (2, 3 * 24000) and np.abs(windows[0].audio[0]).max() > 0.2
    assert main(["--dcase", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["clips"] == 1 and report["class F"] is not None
    assert main(["--dcase", str(tmp_path / "stereo_dev")]) == 3


def test_negative_sounds_are_scored_by_a_command(tmp_path, capsys):
    (tmp_path / "frames").mkdir(), (tmp_path / "audio").mkdir()
    rng = np.random.default_rng(0)
    for k in range(3):
        picture = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "frames" / f"{k}.png"), picture)
        with wave.open(str(tmp_path / "audio" / f"{k}.wav"), "wb") as out:
            out.setnchannels(1), out.setsampwidth(2), out.setframerate(16000)
            out.writeframes((3000 * rng.standard_normal(16000)).astype(np.int16).tobytes())
    assert main(["--negatives", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pictures"] == 3 and 0 <= report["pIA silence"] <= 100 and report["threshold"] >= 0
    assert main(["--negatives", str(tmp_path), "--limit", "1"]) == 3


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
