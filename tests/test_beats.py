"""BEATs against the official implementation's numbers, against plain NumPy, and its file against damage."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from avstream.encoders import beats
from avstream.encoders.beats import Beats, BeatsConfig, BeatsEncoder, PositionConv, features, load_beats, shorten_mask
from avstream.errors import ModelError
from tests import parity

SMALL = {
    "encoder_layers": 12, "encoder_embed_dim": 24, "encoder_ffn_embed_dim": 32, "encoder_attention_heads": 2,
    "embed_dim": 16, "conv_pos": 8, "conv_pos_groups": 4, "predictor_class": 5,
}  # fmt: skip


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Beats(BeatsConfig.read(SMALL)).eval()


def noise(seconds, seed=0):
    return (np.random.default_rng(seed).standard_normal(round(16_000 * seconds)) * 0.1).astype(np.float32)


def kaldi(samples):
    """Kaldi's filterbank from its definition, in float64."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    mel = lambda hz: 1127 * np.log(1 + hz / 700)  # noqa: E731
    edges = np.linspace(mel(20), mel(8000), 130)
    bins = mel(np.arange(257) * 16_000 / 512)
    rise, fall = bins[:, None] - edges[:-2], edges[2:] - bins[:, None]
    filters = np.maximum(0, np.minimum(rise, fall) / np.diff(edges)[0])
    out = []
    for start in range(0, samples.size - 399, 160):
        frame = samples[start : start + 400].astype(np.float64) * 32768
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * hann**0.85, 512)) ** 2
        out.append(np.log(np.maximum(power @ filters, 2.0**-23)))
    return (np.array(out) - 15.41663) / (2 * 6.55582)


def test_features_are_kaldis():
    samples = noise(0.5)
    found = features(samples)
    assert found.shape == (48, 128) and found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), kaldi(samples), atol=2e-4)


def test_buckets_are_t5s():
    def bucket(d, count=320, furthest=800):
        half, exact, far = count // 2, count // 4, abs(d)
        at = far if far < exact else exact + int(math.log(far / exact) / math.log(furthest / exact) * (half - exact))
        return (half if d > 0 else 0) + min(at, half - 1)

    distances = [d for d in range(-900, 901) if abs(d) != 800]  # there the logarithm is on the edge of a bucket
    assert beats.buckets(torch.tensor(distances), 320, 800).tolist() == [bucket(d) for d in distances]


def test_position_conv_is_torchs_weight_norm():
    torch.manual_seed(1)
    ours = PositionConv(12, 8, 3)
    nn.init.normal_(ours.weight_g), nn.init.normal_(ours.bias)
    conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(12, 12, 8, padding=4, groups=3), dim=2)
    conv.load_state_dict({key.replace("0.", ""): value for key, value in ours.state_dict().items()})
    x = torch.randn(2, 20, 12)
    want = nn.functional.gelu(conv(x.transpose(1, 2))[..., :-1]).transpose(1, 2)
    torch.testing.assert_close(ours(x), want)


def test_gated_attention_written_out(small):
    attention = small.encoder.layers[0].self_attn
    x, bias = torch.randn(1, 7, 24), torch.randn(1, 2, 7, 7)
    with torch.no_grad():
        want = torch.zeros(7, 24)
        for head in range(2):
            part = slice(12 * head, 12 * head + 12)
            q, k, v = (proj(x[0])[:, part] for proj in (attention.q_proj, attention.k_proj, attention.v_proj))
            gates = attention.grep_linear(q)
            a, b = torch.sigmoid(gates[:, :4].sum(1)), torch.sigmoid(gates[:, 4:].sum(1))
            gate = a * (b * attention.grep_a[0, head].flatten() - 1) + 2
            scores = q @ k.T / math.sqrt(12) + gate[:, None] * bias[0, head]
            want[:, part] = scores.softmax(-1) @ v
        torch.testing.assert_close(attention(x, bias, None)[0], attention.out_proj(want))


def test_padding_changes_nothing_for_the_rest(small):
    mel = features(noise(1.0))[:96]
    loud = torch.cat([mel, torch.full((32, 128), 3.0)])
    padding = torch.zeros(1, 128, dtype=torch.bool)
    padding[:, 96:] = True
    with torch.inference_mode():
        alone, padded = small(mel[None])[-1], small(loud[None], padding)[-1]
        torch.testing.assert_close(padded[:, :48], alone, rtol=0, atol=1e-5)
        tokens = shorten_mask(padding, 64)
        torch.testing.assert_close(small.probabilities(padded, tokens), small.probabilities(alone), rtol=0, atol=1e-5)


def test_a_place_is_padding_when_all_of_it_is():
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1]]).bool()  # the seventh is cut off
    assert shorten_mask(mask, 3).tolist() == [[False, False, True]]


def test_encoder_gives_one_vector_or_three_layers(small):
    encoder = BeatsEncoder(small, device=torch.device("cpu"))
    samples = noise(1.0)
    with torch.inference_mode():
        blocks = small(features(samples)[None])
    np.testing.assert_allclose(encoder.encode(samples), blocks[-1][0].mean(0).numpy(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder.layers(samples), torch.cat([blocks[i][0] for i in (3, 7, 11)], -1))
    assert (encoder.dim, encoder.layers_dim) == (24, 72)
    for short in (np.zeros(0, np.float32), np.zeros(100, np.float32), np.zeros(2800, np.float32)):
        assert np.isfinite(encoder.encode(short)).all()


def save(path, model, cfg=SMALL):
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(weights, path, {"cfg": json.dumps(cfg)})
    else:
        torch.save({"cfg": cfg, "model": weights, "label_dict": {0: "/m/0"}}, path)
    return path


@pytest.mark.parametrize("name", ["beats.pt", "beats.safetensors"])
def test_a_file_comes_back(tmp_path, small, name):
    back, mel = load_beats(save(tmp_path / name, small)), features(noise(0.4))[None]
    with torch.inference_mode():
        torch.testing.assert_close(back(mel)[-1], small(mel)[-1], rtol=0, atol=0)
    assert "predictor.weight" in back.state_dict()


def test_a_pretrained_file_has_no_predictor(tmp_path, small):
    del small.predictor
    back = load_beats(save(tmp_path / "beats.pt", small, SMALL | {"finetuned_model": False}))
    assert not hasattr(back, "predictor")


@pytest.mark.parametrize("name", ["beats.pt", "beats.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "added", "shape"])
def test_a_weight_too_few_too_many_or_of_another_shape(tmp_path, small, name, damage):
    class Damaged:
        @staticmethod
        def state_dict():
            weights = dict(small.state_dict())
            if damage == "missing":
                del weights["encoder.layers.5.fc1.bias"]
            elif damage == "added":
                weights["encoder.layers.5.fc3.bias"] = torch.zeros(3)
            else:
                weights["encoder.layers.5.fc1.bias"] = torch.zeros(3)
            return weights

    with pytest.raises(ModelError, match=r"encoder\.layers\.5\.fc"):
        load_beats(save(tmp_path / name, Damaged))


@pytest.mark.parametrize("cfg", [{"layer_norm_first": True}, {"activation_fn": "relu"}, {"encoder_layers": 4}])
def test_another_network_is_refused(tmp_path, small, cfg):
    with pytest.raises(ModelError, match="expected"):
        load_beats(save(tmp_path / "beats.pt", small, SMALL | cfg))


def test_files_that_are_none(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    torch.save({"weights": {}}, tmp_path / "other.pt")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name in ("none.pt", "text.pt", "other.pt", "none.safetensors", "text.safetensors", "other.safetensors"):
        with pytest.raises(ModelError, match=name.replace(".", r"\.")):
            load_beats(tmp_path / name)


@pytest.fixture
def official():
    """The reference weights, through a file of the official layout."""
    return parity.model("beats"), parity.arrays("beats"), parity.info("beats")["tolerance"]


@pytest.mark.parametrize("wave", parity.WAVEFORMS)
def test_parity_of_the_network(official, wave):
    model, want, tolerance = official
    with torch.inference_mode():
        blocks = model(torch.from_numpy(want[f"features/{wave}"])[None])
        found = {
            "block0": blocks[0][0], "layers_cat": torch.cat([blocks[i][0] for i in beats.LAYERS_OF_ACL], -1),
            "last": blocks[-1][0], "probs": model.probabilities(blocks[-1])[0],
        }  # fmt: skip
    compared = [name for name in found if f"{name}/{wave}" in want]
    assert len(compared) >= 2
    for name in compared:
        parity.close(found[name], want[f"{name}/{wave}"], tolerance[name])


@pytest.mark.parametrize("wave", parity.WAVEFORMS)
def test_parity_of_the_features_and_from_the_waveform(official, wave):
    model, want, tolerance = official
    samples = parity.waveform(wave, 16_000)
    parity.close_features(features(samples), want[f"features/{wave}"], tolerance["features"])
    layers = BeatsEncoder(model, device=torch.device("cpu")).layers(samples)
    if f"layers_cat/{wave}" in want:
        parity.close(layers, want[f"layers_cat/{wave}"], tolerance["from_waveform"])
    else:
        parity.close(layers[:, -768:], want[f"last/{wave}"], tolerance["from_waveform"])


def test_parity_of_what_comes_before_the_blocks(official):
    model, want, tolerance = official
    with torch.inference_mode():
        mel = torch.from_numpy(want["features/clicks"])[None, None]
        patches = model.layer_norm(model.patch_embedding(mel).flatten(2).transpose(1, 2))
        parity.close(patches[0], want["patch/clicks"], tolerance["patch"])
        x = model.post_extract_proj(patches)
        x = model.encoder.layer_norm(x + model.encoder.pos_conv[0](x))
        parity.close(x[0], want["embed/clicks"], tolerance["embed"])


def test_parity_of_a_padded_batch(official):
    model, want, tolerance = official
    waves = [parity.waveform("chirp", 16_000)[:32_000], np.pad(parity.waveform("clicks", 16_000), (0, 16_000))]
    mel = torch.stack([features(wave) for wave in waves])
    padding = torch.zeros(2, 32_000, dtype=torch.bool)
    padding[1, 16_000:] = True
    frames = shorten_mask(padding, mel.shape[1])
    tokens = shorten_mask(frames, 96)
    np.testing.assert_array_equal(tokens.numpy(), want["masked/token_mask"].astype(bool))
    with torch.inference_mode():
        last = model(mel, frames)[-1]
        parity.close(last[1, ~tokens[1]], want["masked/last_item1"], tolerance["masked"])
        parity.close(model.probabilities(last, tokens), want["masked/probs"], tolerance["masked"])
