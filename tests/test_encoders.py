"""The audio encoders: the official numbers, batches, foreign and damaged files, and what the user is offered."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import PeAudioConfig, PeAudioFeatureExtractor, PeAudioModel, PeAudioVideoConfig

from avstream import loading
from avstream.cli import main
from avstream.config import presets
from avstream.config.families import FAMILIES
from avstream.encoders import audioclip, imagebind, wav2clip
from avstream.encoders.features import in_batches
from avstream.encoders.pe_av import PeAvEncoder
from avstream.errors import ModelError
from tests import parity
from tests.test_localization_metrics import write_wav

CPU = torch.device("cpu")
FEATURES = {"imagebind": imagebind.features, "wav2clip": wav2clip.features}
OURS = ("imagebind", "wav2clip", "audioclip")
DAC = {"model_type": "dac", "downsampling_ratios": [2, 8, 10, 12], "encoder_hidden_size": 4, "codebook_dim": 8}
AUDIO = {
    "model_type": "pe_audio_encoder", "dac_config": DAC, "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 16,
}  # fmt: skip
TEXT = {
    "model_type": "modernbert", "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 50,
    "num_attention_heads": 2, "pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def full_precision():
    """Loading a preset lowers the precision of products for all of the process."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def fixture(name):
    encoder = parity.model(name)
    return encoder, FEATURES.get(name) or encoder.features, parity.arrays(name), parity.info(name)["tolerance"]


# Parity


@pytest.mark.parametrize("wave", parity.WAVEFORMS)
@pytest.mark.parametrize("name", OURS)
def test_parity_of_features_and_embedding(name, wave):
    encoder, features, want, tolerance = fixture(name)
    samples = parity.waveform(wave, encoder.rate_hz)
    found = features(samples)
    parity.close_features(found, want[f"features/{wave}"], tolerance["features"])
    parity.close(encoder.encode(samples), want[f"embedding/{wave}"], tolerance["from_waveform"])
    given = want[f"features/{wave}"]
    if not isinstance(given, parity.Sampled) and (name, wave) != ("imagebind", "chirp"):  # that one is below
        given = torch.from_numpy(given).reshape(-1, *found.shape[-3:])
        with torch.inference_mode():
            parity.close(encoder.model(given).mean(0), want[f"embedding/{wave}"], tolerance["embedding"])


@torch.inference_mode()
def test_parity_inside_imagebind():
    encoder, _, want, tolerance = fixture("imagebind")
    mel = torch.from_numpy(want["features/chirp"])
    blocks = encoder.model.blocks(mel)
    parity.close(blocks[0][0], want["tokens/chirp_clip0"], tolerance["tokens"])
    parity.close(blocks[1][0], want["block0/chirp_clip0"], tolerance["block0"])
    parity.close(blocks[-1][:, 0], want["trunk_cls/chirp"], tolerance["trunk_cls"])
    parity.close(encoder.model.project(blocks[-1]), want["per_clip/chirp"], tolerance["per_clip"])
    parity.close(encoder.model.project(blocks[-1]).mean(0), want["embedding/chirp"], tolerance["embedding"])


@torch.inference_mode()
def test_parity_inside_wav2clip():
    encoder, _, want, tolerance = fixture("wav2clip")
    net = encoder.model.audio_encoder
    for wave in parity.WAVEFORMS:
        mel = torch.from_numpy(want[f"features/{wave}"])[None, None]
        parity.close(net(mel)[0], want[f"encoder/{wave}"], tolerance["encoder"])
    x = net.layer1(net.stem(torch.from_numpy(want["features/clicks"])[None, None]))
    parity.close(x[0], want["layer1/clicks"], tolerance["layer1"])
    parity.close(net.layer4(net.layer3(net.layer2(x)))[0], want["layer4/clicks"], tolerance["layer4"])
    chirp, clicks = (parity.waveform(wave, 16_000) for wave in ("chirp", "clicks"))
    for batch, expected, limit in (
        ([chirp[:16_000], clicks], want["batch/embedding"], tolerance["batch"]),
        (chirp.reshape(3, 16_000), want["frames/chirp"].T, tolerance["frames"]),
    ):  # the original normalizes over its batch: ours is asked to, to see that nothing else differs
        mel = np.stack([wav2clip.log_power(one) for one in batch])
        mel = ((mel - mel.mean()) / (mel.std(ddof=1) + 1e-9)).astype(np.float32)
        parity.close(encoder.model(torch.from_numpy(mel)[:, None]), expected, limit)


@torch.inference_mode()
def test_parity_inside_audioclip():
    encoder, _, want, tolerance = fixture("audioclip")
    head = encoder.model
    kernels = head.fbsp.kernels()[[0, 1, 100, 512, 1024]]
    parity.close(torch.view_as_real(kernels), want["kernel/rows_0_1_100_512_1024"], tolerance["kernel"])
    mel = torch.from_numpy(want["features/clicks"])[None]
    x, seen = head.stem(mel), []
    for i, stage in enumerate(head.stages(), 1):
        after = stage(x)
        seen.append((x, after))
        x = head.get_submodule(f"att{i}")(x, after)
    gate = head.att1(seen[0][0], torch.ones_like(seen[0][1]))
    parity.close(gate[0, :16], want["att1/clicks_channels_0_15"], tolerance["att1"])
    parity.close(seen[3][1][0], want["layer4/clicks"], tolerance["layer4"])
    parity.close(x[0], want["layer4_gated/clicks"], tolerance["layer4_gated"])
    unit = torch.nn.functional.normalize(head(mel)[0], dim=0)
    parity.close(unit, want["normalized/clicks"], tolerance["normalized"])


@torch.inference_mode()
def test_parity_of_audioclips_other_inputs():
    encoder, features, want, tolerance = fixture("audioclip")
    clicks = parity.waveform("clicks", 44_100)
    both = encoder.model.pooled(torch.stack([features(one) for one in (clicks, np.ascontiguousarray(clicks[::-1]))]))
    parity.close(encoder.model.fc(both.sum(0)), want["stereo/embedding"], tolerance["stereo"])
    quiet = parity.waveform("chirp", 44_100) / np.float32(32768)  # what copies of the demo notebook feed
    parity.close(encoder.encode(quiet), want["unit_scale/embedding"], tolerance["unit_scale"])
    fresh = audioclip.wavelets(torch.zeros(1025), torch.ones(1025), torch.arange(1025.0))
    kernels = audioclip.windowed(fresh, torch.from_numpy(want["built/audio.window"]))
    found = audioclip.power_db(clicks, kernels)
    parity.close_features(found, want["fresh_fbsp/features_clicks"], tolerance["fresh_fbsp"])


# One face


def noise(rate_hz, seconds, seed=0):
    return (np.random.default_rng(seed).standard_normal(round(rate_hz * seconds)) * 0.1).astype(np.float32)


@pytest.mark.parametrize("name", OURS)
def test_a_batch_equals_its_clips(name):
    encoder = parity.model(name)
    clips = [noise(encoder.rate_hz, seconds, i) for i, seconds in enumerate((0.6, 0.3))]
    found = encoder.encode_batch(clips)
    assert found.shape == (2, encoder.dim) and found.dtype == np.float32
    assert (encoder.dim, encoder.rate_hz) == (FAMILIES[name].dim, FAMILIES[name].rate_hz)
    for one, clip in zip(found, clips, strict=True):
        np.testing.assert_allclose(one, encoder.encode(clip), rtol=0, atol=1e-4)
    assert not np.allclose(found[0], found[1], atol=1e-3)


@pytest.mark.parametrize("name", OURS)
def test_hardly_any_sound_gives_a_vector(name):
    encoder, features, _, _ = fixture(name)
    assert np.isfinite(encoder.encode(np.zeros(0, np.float32))).all()
    shapes = {tuple(features(np.zeros(samples, np.float32)).shape) for samples in (0, 1, 250)}
    assert len(shapes) == 1  # padded to the least that the network takes


def test_batches_keep_their_order():
    features = [torch.full((size,), float(i)) for i, size in enumerate((2, 3, 2, 1, 3))]
    seen = []

    def forward(x):
        seen.append(tuple(x.shape))
        return x.mean(1, keepdim=True)

    assert in_batches(features, forward).flatten().tolist() == [0, 1, 2, 3, 4]
    assert seen == [(2, 2), (2, 3), (1, 1)]


def test_imagebind_listens_to_the_start_the_middle_and_the_end():
    ramp = np.arange(5 * 16_000, dtype=np.float32)
    assert [piece[0] for piece in imagebind.cut(ramp)] == [0, 24_000, 48_000]
    assert {piece.size for piece in imagebind.cut(ramp)} == {32_000}
    assert len(imagebind.cut(ramp[:32_000])) == 1


# PE-AV, which is transformers'


@pytest.fixture(scope="module")
def pe_audio():
    torch.manual_seed(0)
    model = PeAudioModel(PeAudioConfig(text_config=TEXT, audio_config=AUDIO)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    return model


def save_pe_av(folder, model, layout):
    """As the hub has it (sound, picture and text in one file), with the encoder's twin's name, or sound alone."""
    PeAudioFeatureExtractor().save_pretrained(folder)
    if layout == "audio":
        model.save_pretrained(folder)
        return folder
    PeAudioVideoConfig(text_config=TEXT, audio_video_config={"audio_config": AUDIO}).save_pretrained(folder)
    place = {"joint": "audio_model.audio_encoder.", "twin": "audio_video_encoder.embedder.audio_encoder."}[layout]
    weights = {"video_model.video_head.proj.weight": torch.zeros(3)}
    for key, value in model.state_dict().items():
        name = place + key.removeprefix("audio_encoder.") if key.startswith("audio_encoder.") else f"audio_model.{key}"
        weights[name] = value.contiguous()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize("layout", ["joint", "twin", "audio"])
def test_pe_av_equals_transformers(tmp_path, pe_audio, layout):
    encoder = PeAvEncoder(save_pe_av(tmp_path, pe_audio, layout), device=CPU, dtype=torch.float32)
    clips = [noise(48_000, seconds, i) for i, seconds in enumerate((0.4, 0.25, 0.41))]
    found = encoder.encode_batch(clips)
    assert (encoder.dim, encoder.rate_hz) == (24, 48_000)
    for one, clip in zip(found, clips, strict=True):
        values = torch.from_numpy(np.array(PeAudioFeatureExtractor()(clip, sampling_rate=48_000).input_values))
        with torch.inference_mode():
            want = pe_audio.get_audio_embeds(values)[0]
        np.testing.assert_allclose(one, want, rtol=1e-4, atol=1e-5)
    assert np.isfinite(encoder.encode(np.zeros(0, np.float32))).all()


def test_pe_av_says_what_does_not_fit(tmp_path, pe_audio):
    folder = save_pe_av(tmp_path / "a", pe_audio, "joint")
    other = json.loads((folder / "config.json").read_text())
    other["audio_video_config"]["audio_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(other))
    with pytest.raises(ModelError, match=r"missing: audio_encoder\.layers\.2"):
        PeAvEncoder(folder, device=CPU, dtype=torch.float32)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"model\.safetensors can't be read as the weights of PE-AV"):
        PeAvEncoder(folder, device=CPU, dtype=torch.float32)


# Files


def load(name, path, **choices):
    settings = presets.load("nano", audio=f"{name}:{path}", **choices)
    return loading.load_audio(settings)


def wav2clip_state():
    return {key: value.clone() for key, value in parity.model("wav2clip").model.state_dict().items()}


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_an_official_file_is_loaded_by_its_path_or_folder(tmp_path, suffix):
    state = wav2clip_state() | {"image_encoder.weight": torch.zeros(2)}
    path = tmp_path / f"mine.{suffix}"
    torch.save(state, path) if suffix == "pt" else save_file(state, path)
    samples = noise(16_000, 0.5)
    for place in (path, tmp_path):
        np.testing.assert_allclose(
            load("wav2clip", place).encode(samples), parity.model("wav2clip").encode(samples), rtol=1e-5
        )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("missing", r"missing: audio_transform\.sequential\.3\.bias$"),
        ("added", r"left over: audio_encoder\.layer5\.weight$"),
        ("shape", r"of another shape: audio_encoder\.conv1\.weight \[64, 3, 7, 7\] instead of \[64, 1, 7, 7\]$"),
    ],
)
def test_a_file_that_does_not_fit_says_which_keys(tmp_path, damage, says):
    state = wav2clip_state()
    if damage == "missing":
        del state["audio_transform.sequential.3.bias"]
    elif damage == "added":
        state["audio_encoder.layer5.weight"] = torch.zeros(1)
    else:
        state["audio_encoder.conv1.weight"] = torch.zeros(64, 3, 7, 7)
    torch.save(state, tmp_path / "mine.pt")
    with pytest.raises(ModelError) as caught:
        load("wav2clip", tmp_path / "mine.pt")
    assert re.search(says, caught.value.found) and "mine.pt" in caught.value.expected and caught.value.fix


def test_an_encoder_refuses_anothers_file(tmp_path):
    torch.save(wav2clip_state(), tmp_path / "mine.pt")
    with pytest.raises(ModelError, match=r"ImageBind.*missing: .* more; left over: audio_encoder\.bn1\.bias"):
        load("imagebind", tmp_path / "mine.pt")


def test_audioclips_classifier_is_not_its_encoder(tmp_path):
    head = parity.model("audioclip").model
    state = {key: value.clone() for key, value in head.state_dict().items()}
    state |= {"fc.weight": torch.zeros(527, 2048), "fc.bias": torch.zeros(527)}  # as ESRNXFBSP.pt
    torch.save(state, tmp_path / "ESRNXFBSP.pt")
    with pytest.raises(ModelError, match=r"AudioCLIP-Full-Training\.pt.*of another shape: fc\.bias \[527\] instead of"):
        load("audioclip", tmp_path / "ESRNXFBSP.pt")


def test_files_that_are_none(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"cfg": 1}, tmp_path / "other.pt")

    class Code:
        def __reduce__(self):
            return (print, ("code ran",))

    torch.save({"audio_encoder.x": Code()}, tmp_path / "code.pt")
    for name in ("text.pt", "text.safetensors", "list.pt", "other.pt", "code.pt"):
        with pytest.raises(ModelError, match=name.replace(".", r"\.")):
            load("wav2clip", tmp_path / name)


# What the user is offered


@pytest.mark.parametrize("name", OURS)
def test_without_the_file_the_error_says_where_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    family = FAMILIES[name]
    with pytest.raises(ModelError) as found:
        loading.load_audio(presets.load("nano", audio=name))
    place = tmp_path / "hub" / "checkpoints" / family.checkpoint
    assert f"curl -L --create-dirs -o {place} {family.url}" in str(found.value)
    assert f"--audio {name}:FILE" in str(found.value) and family.mirror in str(found.value)


def test_the_encoders_are_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "Wav2CLIP.pt").write_bytes(b"")
    assert main(["presets", "--encoders"]) == 0
    rows = {line.split()[0]: line.rstrip() for line in capsys.readouterr().out.splitlines() if line[:1].strip()}
    assert list(rows) == ["encoder", *FAMILIES]
    assert rows["wav2clip"].endswith("yes") and rows["imagebind"].endswith("no")
    assert "16000  1024" in rows["imagebind"] and "CC BY-NC-SA 4.0" in rows["imagebind"]


def test_non_commercial_weights_say_so_when_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    movie = tmp_path / "sound.wav"
    write_wav(movie, noise(16_000, 1.0), 16_000)
    assert main(["file", str(movie), "--audio", "imagebind", "--alignment", "raw"]) == ModelError.exit_code
    said = capsys.readouterr().err
    assert "the weights of imagebind are for non-commercial use only (CC BY-NC-SA 4.0)" in said
    assert main(["file", str(movie), "--audio", "wav2clip", "--alignment", "raw"]) == ModelError.exit_code
    assert "non-commercial" not in capsys.readouterr().err
