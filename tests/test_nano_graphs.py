"""The embedded bundle's graphs and the torch modules they were traced from give the same numbers, to 1e-3."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from avstream.config.presets import DEFAULT_PROMPT
from avstream.encoders.clip import ClipTower
from avstream.encoders.whisper import Whisper
from avstream.errors import ConfigError, ModelError
from avstream.language import Llava
from avstream.nano import FOLDER, NanoAudio, NanoLanguage, NanoTower
from tests.synth import make_movie

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
WORDS = ("Heard: dog barking.", "Heard: possibly rain falling and probably siren wailing.", "")


@pytest.fixture(scope="module")
def llava():
    return Llava(FOLDER / "llava", **CPU)


@pytest.fixture(scope="module")
def language():
    return NanoLanguage()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("seconds", [3.0, 0.4, 3.7])
def test_the_audio_encoder(fused, seconds):
    samples = np.random.default_rng(0).standard_normal(round(16_000 * seconds)).astype("f") * 0.1
    want = Whisper(FOLDER / "whisper", fuse_layers=fused, window_s=3.0, **CPU).encode(samples)
    np.testing.assert_allclose(NanoAudio(fuse_layers=fused).encode(samples), want, rtol=1e-3, atol=1e-3)


def test_the_vision_tower(llava):
    picture = np.random.default_rng(1).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    want, found = ClipTower(**llava.vision_parts()).encode(picture), NanoTower().encode(picture)
    np.testing.assert_allclose(found.cls, want.cls, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.patches, want.patches, rtol=1e-3, atol=1e-3)
    assert found.grid == want.grid


@pytest.mark.parametrize("heard", WORDS)
@pytest.mark.parametrize("instruction", [DEFAULT_PROMPT, "What is sounding?"])
@pytest.mark.parametrize("n", [1, 16, 101])
def test_the_language_model(llava, language, instruction, heard, n):
    tokens = np.random.default_rng(n).standard_normal((n, 192)).astype("f")
    assert language.prompt(instruction, heard) == llava.prompt(instruction, heard)
    assert language.describe(tokens, instruction, heard) == llava.describe(tokens, instruction, heard)


def test_the_cached_instruction_changes_nothing(language):
    tokens = np.random.default_rng(7).standard_normal((16, 192)).astype("f")
    first = language.describe(tokens, DEFAULT_PROMPT, WORDS[0])
    language.describe(tokens, "Narrate.", WORDS[1])
    assert (
        language.describe(tokens, DEFAULT_PROMPT, WORDS[0])
        == first
        == NanoLanguage().describe(tokens, DEFAULT_PROMPT, WORDS[0])
    )


def test_a_prompt_with_the_pictures_token_is_refused(language):
    with pytest.raises(ConfigError, match="contains <image>"):
        language.prompt("look at <image>", "")


def test_a_damaged_graph_is_an_error_for_people(tmp_path, monkeypatch):
    monkeypatch.setattr("avstream.nano.FOLDER", tmp_path)
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "audio.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="reinstall avstream"):
        NanoAudio(fuse_layers=True)


def test_nano_narrates_a_movie_without_torch_and_transformers(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", duration_s=4)
    code = (
        "import sys\n"
        "from avstream.cli import main\n"
        f"assert main(['file', {str(movie)!r}, '--jsonl', '-']) == 0\n"
        "print({'torch', 'transformers', 'scipy'} & sys.modules.keys(), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "set()"
    assert '"text"' in done.stdout
