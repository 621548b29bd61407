"""Presets: what is accepted, and what an error says."""

import pytest

from avstream import loading
from avstream.checkpoints import presence, resolve
from avstream.config import presets
from avstream.errors import ConfigError, ModelError
from avstream.workers import cores


def test_every_preset_loads_and_opens_with_when_to_choose_it():
    assert presets.names()[0] == "nano"
    for name in presets.names():
        assert presets.load(name).description
        assert (presets.folder() / f"{name}.yaml").read_text().startswith("# Choose ")


def test_an_override_wins_and_none_does_not():
    settings = presets.load("nano", tokens=3, audio=None)
    assert (settings.tokens, settings.audio) == (3, "whisperclip:nano")


@pytest.mark.parametrize(
    ("overrides", "at_once"),
    [
        ({}, cores()),
        ({"listener": "yamnet:file.tflite", "localizer": "detector:FastestDet.onnx"}, cores()),
        ({"listener": "clap"}, 1),
        ({"localizer": "detector:ustc-community/dfine-nano-coco"}, 1),
        ({"localizer": "acl:folder"}, 1),
        ({"audio": "whisper:openai/whisper-small"}, 1),
        ({"language": "llava-hf/llava-1.5-7b-hf"}, 1),
    ],
)
def test_models_of_torch_narrate_one_window_at_a_time(overrides, at_once):
    """They take all cores, or a device, and several windows at once would only wait for each other there."""
    assert loading.windows_at_once(presets.load("nano", **overrides)) == at_once


@pytest.mark.parametrize(
    ("name", "overrides", "says"),
    [
        ("nanno", {}, "did you mean 'nano'"),
        ("nano", {"tokens": -1}, "of 0 or more, found -1"),
        ("nano", {"unselected": "dropp"}, "did you mean 'drop'"),
        ("nano", {"audio": "wisper"}, "did you mean 'whisper'"),
        ("nano", {"device": "gpu"}, "unknown device 'gpu'"),
        ("nano", {"dtype": "float"}, "unknown dtype"),
        ("nano", {"prompt": "  "}, "prompt is empty"),
        ("nano", {"threads": -2}, "threads of 0"),
        ("missing.yaml", {}, "no file"),
    ],
)
def test_wrong_choices_are_reported(name, overrides, says):
    with pytest.raises(ConfigError, match=says):
        presets.load(name, **overrides)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tokns: 3", "unknown key 'tokns'; did you mean 'tokens'"),
        ("tokens: many", "expected an integer as tokens of .*mine.yaml, found 'many'; leave it out for 15"),
        ("tokens: true", "an integer as tokens of .*, found True"),
        ("- a list", "expected `key: value` lines in .*mine.yaml, found a list"),
        ("a: [", "not valid YAML: line 1, column 5"),
        ("description: x", "the key 'language' is missing"),
    ],
)
def test_a_wrong_file_is_reported(tmp_path, text, says):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        presets.load(str(path))


def test_an_error_states_what_was_found_expected_and_how_to_fix_it(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("tokens: many\n")
    with pytest.raises(ConfigError) as caught:
        presets.load(str(path))
    error = caught.value
    assert (error.found, error.expected, error.fix) == (
        "'many'", f"an integer as tokens of {path}", "leave it out for 15",
    )  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        presets.load("nano", device="quantum")
    assert (caught.value.found, caught.value.fix) == ("unknown device 'quantum'", "use one of auto, cpu, cuda, mps")


def test_a_file_of_ones_own_works(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("description: mine\nlanguage: nano\naudio: whisper:nano\ntokens: 7\n")
    assert presets.load(str(path)).tokens == 7


@pytest.mark.parametrize(
    ("overrides", "error", "says"),
    [
        ({"tokens": 101}, ConfigError, "at most 100"),
        ({"audio": "clap:nano"}, ConfigError, "no clap encoder"),
        ({"audio": "whisper:nano"}, ConfigError, "no projection is shipped for whisper:nano"),
        ({"alignment": "/no/such.safetensors"}, ModelError, "expected projection weights at /no/such"),
        ({"language": "/no/such/folder"}, ModelError, "config.json at /no/such/folder"),
        ({"prompt": "see <image>"}, ConfigError, "contains <image>"),
        ({"device": "mps"}, ConfigError, "nano runs on the CPU only"),
    ],
)
def test_choices_that_do_not_fit_each_other_are_reported(overrides, error, says):
    with pytest.raises(error, match=says):
        loading.load(presets.load("nano", **overrides))


def test_a_damaged_checkpoint_is_one_clear_error(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="can't be loaded from"):
        loading.load(presets.load("nano", language=str(tmp_path)))


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert presence("openai/whisper-small") == "not downloaded"
    assert presence("nano") == "embedded"
    with pytest.raises(ModelError) as caught:
        resolve("openai/whisper-small", "whisper")
    assert "is not on this machine" in caught.value.found
    assert "hf download openai/whisper-small" in caught.value.fix and "--preset nano" in caught.value.fix
