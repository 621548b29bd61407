"""The shipped bundle: what it is made of, and, where the recordings are at hand, whether it meets its bars."""

import json
import os
from pathlib import Path

import pytest

from avstream import loading
from avstream.checkpoints import NANO
from avstream.config import presets
from avstream.narrator import Narrator
from avstream.wording import LIKELY

DATA = Path(os.environ.get("AVSTREAM_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "esc10").is_dir(), reason="needs ESC-10 (AVSTREAM_DATA names its folder)")


@pytest.fixture(scope="module")
def loaded():
    return loading.load(presets.load("nano"))


def test_it_is_small_and_safe():
    files = [path for path in NANO.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 32 * 2**20
    assert {path.suffix for path in files} <= {".safetensors", ".onnx", ".npy", ".json", ".md", ".tsv", ".png"}


def test_the_card_gives_the_scores_that_were_measured():
    card = (NANO / "README.md").read_text(encoding="utf-8")
    scores = json.loads((NANO / "scores.json").read_text(encoding="utf-8"))
    assert f"{100 * scores['esc10']['top1_of_ten']:.1f} %" in card
    assert f"{100 * scores['language']['agree_with_the_evidence']:.1f} %" in card
    assert "@" not in card.replace("AVE@", ""), "a placeholder was left"


@needs_data
def test_it_hears_what_it_was_not_trained_on(loaded):
    from pipelines.evaluate_nano import score_esc10

    scores = score_esc10(loaded, Narrator(loaded), DATA / "esc10", fold=4)
    assert scores["top1_of_ten"] >= 0.85
    assert scores["claims_right"] >= 0.8


@needs_data
@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("rvbmYs4Kl3Y_01", {"speech", "person"}),
        ("IwqD859w2_E_02", {"guitar", "music"}),
        ("DDer7K8WG4I_02", {"bell", "music", "signal"}),
    ],
)
def test_it_narrates_real_movies_and_their_muted_copies(loaded, name, right):
    from pipelines.evaluate_nano import score_movies, windows_of

    narrator = Narrator(loaded)
    said = [narrator.narrate_window(window, name) for window in windows_of(DATA / "ave2" / f"{name}.mp4")]
    claimed = {sound.label for narration in said for sound in narration.sounds if sound.confidence >= LIKELY}
    assert claimed and claimed <= right
    scores = score_movies(narrator, DATA / "ave2")[f"{name}.mp4"]
    assert scores["sounds_claimed_when_muted"] == 0 and scores["same_sounds_when_blind"]
