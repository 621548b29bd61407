"""Inventions are counted where they are known: a listener that follows the picture is caught, ours is not."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from avstream import loading
from avstream.config import presets
from avstream.narrator import Narrator
from pipelines.evaluate_truth import blind, clips_of, evaluate, made_clips, mute, named, shift, swap, table
from tests.synth import make_movie


@pytest.fixture(scope="module")
def narrator():
    return Narrator(loading.load(presets.load("nano")))


@pytest.fixture(scope="module")
def clips():
    return made_clips(4)


class Seeing:
    """A narrator that claims what the picture's brightness says, and a sound of its own where there is none."""

    def __init__(self, narrator):
        self._narrator = narrator

    def narrate_window(self, window, source):
        said = self._narrator.narrate_window(replace(window, audio=np.full_like(window.audio, 0.01)), source)
        light = window.frames[0].rgb.mean() if window.frames else 0
        label = "dog_bark" if light > 127 else "rain"
        return replace(said, sounds=(replace(said.sounds[0], label=label),))


def test_nano_invents_nothing(narrator, clips):
    found = evaluate(narrator, clips)
    assert found["mute"] == {"clips": 4, "sounds claimed": 0}
    assert found["swap"]["pairs"] >= 2
    assert found["swap"]["labels follow the sound"] == found["swap"]["pairs"]
    assert found["swap"]["labels follow the picture"] == found["swap"]["sentences that claim another sound"] == 0
    assert found["blind"]["labels unchanged"] == found["blind"]["clips"] == 4
    assert found["shift"]["onsets"] and found["shift"]["median error, s"] <= 1.0
    assert "| *mute* | sounds claimed | 0 |" in table(found, "x")


def test_one_that_looks_instead_is_caught(narrator, clips):
    light = [replace(clip, picture=np.full_like(clip.picture, 40 + 200 * (k % 2))) for k, clip in enumerate(clips)]
    seeing = Seeing(narrator)
    own = [seeing.narrate_window(clip.window(), "own") for clip in light]
    assert {label for one in own for label in named(one)} == {"dog_bark", "rain"}
    assert mute(seeing, light)["sounds claimed"] == 4
    assert blind(seeing, light, own)["labels unchanged"] < 4
    assert swap(seeing, light, own)["labels follow the picture"] == 4


def test_a_later_sound_moves_its_onset(narrator, clips):
    class Late:
        """Onsets never move: it begins everything at once."""

        def narrate_window(self, window, source):
            said = narrator.narrate_window(window, source)
            at_once = tuple(replace(sound, onset_s=0.0) for sound in said.sounds)
            return replace(said, sounds=at_once, start_s=0.0, end_s=said.end_s - said.start_s, focus_start_s=0.0)

    found = shift(Late(), clips[:3])
    assert found["moved by the delay, within 0.5 s"] < found["onsets"]


def test_the_command_takes_movies_and_writes_a_table(tmp_path):
    (tmp_path / "in").mkdir()
    for name, tone in (("a.mp4", (0.5, 3.0)), ("b.wav", (1.0, 2.0))):
        make_movie(tmp_path / "in" / name, duration_s=4.0, tone=tone)
    assert [clip.picture is None for clip in clips_of(tmp_path / "in", 9)].count(True) == 1
    command = [sys.executable, "-m", "pipelines.evaluate_truth", "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--data", str(tmp_path / "in")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "truth.md").read_text() == done.stdout and "2 clips of in" in done.stdout
    assert json.loads((tmp_path / "out" / "truth.json").read_text())["mute"]["sounds claimed"] == 0
    (tmp_path / "empty").mkdir()
    done = subprocess.run([*command, "--data", str(tmp_path / "empty")], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and "no movie or sound file" in done.stderr and "Traceback" not in done.stderr
