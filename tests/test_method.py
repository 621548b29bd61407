"""The method against independent references: NumPy for Algorithm 1, and each LLaVA family's own picture path."""

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer, ClapModel, WhisperModel

from avstream.alignment import Projection, dim_match
from avstream.encoders.audio import mono
from avstream.encoders.clap import Clap
from avstream.encoders.clip import ClipTower
from avstream.encoders.whisper import Whisper
from avstream.errors import ConfigError, ModelError
from avstream.language import MAX_NEW_TOKENS, Llava
from avstream.localization.similarity import heatmap
from avstream.substitution import select, substitute
from avstream.torch_models import choose_dtype
from pipelines.projection.mlp import ProjectionMLP
from tests import fakes

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
FAMILIES = ("llava", "llava_next", "onevision")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: getattr(fakes, name)(root / name) for name in (*FAMILIES, "whisper", "clap")}


NOISE = np.random.default_rng(1)


def noise(*shape, rng=NOISE):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="session")
def picture():
    return np.random.default_rng(3).integers(0, 256, (fakes.SIZE, fakes.SIZE, 3), dtype=np.uint8)


def load(checkpoint):
    llava = Llava(checkpoint, **CPU)
    return llava, ClipTower(**llava.vision_parts())


def oracle(sound, patches, k, unselected):
    """Algorithm 1 in NumPy, a patch at a time."""
    scores = np.array([sound @ v / (np.linalg.norm(sound) * np.linalg.norm(v)) for v in patches])
    kept = sorted(sorted(range(len(patches)), key=lambda i: (-scores[i], i))[:k])
    if unselected == "drop":
        return np.stack([sound, *(patches[i] for i in kept)]), kept
    return np.stack([sound, *(v if i in kept else np.zeros_like(v) for i, v in enumerate(patches))]), kept


@pytest.mark.parametrize("unselected", ["zero", "drop"])
@pytest.mark.parametrize("k", [0, 1, 15, 39, 40])
def test_substitution_equals_the_oracle(k, unselected):
    rng = np.random.default_rng(k)
    sound, patches = rng.standard_normal(24).astype("f"), rng.standard_normal((40, 24)).astype("f")
    tokens, scores, kept = substitute(sound, patches, k, unselected)
    want, want_kept = oracle(sound, patches, k, unselected)
    np.testing.assert_array_equal(tokens, want)
    assert kept.tolist() == want_kept
    assert scores.shape == (40,)


def test_zero_and_drop_choose_the_same_patches_in_order():
    sound, patches = noise(16), noise(30, 16)
    zeroed, _, kept = substitute(sound, patches, 7, "zero")
    dropped, _, kept_too = substitute(sound, patches, 7, "drop")
    assert np.array_equal(kept, kept_too) and len(zeroed) == 31 and len(dropped) == 8
    assert np.array_equal(zeroed[np.abs(zeroed).sum(-1) > 0], dropped)


def test_ties_go_to_the_earlier_patch():
    assert select(np.array([0.5, 1.0, 0.5, 0.5], np.float32), 2).tolist() == [0, 1]


@pytest.mark.parametrize("k", [-1, 5])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(ConfigError, match="between 0 and the picture's 4 patches"):
        select(np.zeros(4, np.float32), k)


def own_answer(checkpoint, picture, text):
    """What LLaVA itself says under `full`, by its own image processor and its own picture path."""
    model = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()
    pixels = AutoImageProcessor.from_pretrained(checkpoint)(picture, return_tensors="pt").pixel_values
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    inputs = tokenizer(text.replace("<image>", "<image>" * (fakes.PATCHES + 1)), return_tensors="pt")
    output = model.generate(
        input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, pixel_values=pixels,
        vision_feature_select_strategy="full", do_sample=False, max_new_tokens=MAX_NEW_TOKENS,
    )  # fmt: skip
    return tokenizer.decode(output[0, inputs.input_ids.shape[1] :], skip_special_tokens=True).strip()


@pytest.mark.parametrize("unselected", ["zero", "drop"])
def test_with_its_own_cls_and_all_patches_llava_says_its_own_words(checkpoints, picture, unselected):
    llava, tower = load(checkpoints["llava"])
    seen = tower.encode(picture)
    tokens, _, _ = substitute(seen.cls, seen.patches, len(seen.patches), unselected)
    want = own_answer(checkpoints["llava"], picture, llava.prompt("what is", "Heard: dog ."))
    assert want and llava.describe(tokens, "what is", "Heard: dog .") == want
    other = own_answer(checkpoints["llava"], 255 - picture, llava.prompt("what is", "Heard: dog ."))
    assert other != want, "the random model must depend on the picture, or the test above shows nothing"


@pytest.mark.parametrize("family", ["llava_next", "onevision"])
def test_projected_tokens_equal_the_familys_own_packing(checkpoints, picture, family):
    """LlavaNext and Onevision pack one tile as: its features, projected, and a newline token."""
    llava, tower = load(checkpoints[family])
    model = AutoModelForImageTextToText.from_pretrained(checkpoints[family]).eval()
    pixels = AutoImageProcessor.from_pretrained(checkpoints[family])(picture, return_tensors="pt").pixel_values
    base = pixels.reshape(-1, 3, fakes.SIZE, fakes.SIZE)[:1]  # the tile that shows the complete picture comes first
    with torch.inference_mode():
        layer = model.config.vision_feature_layer
        features = model.model.vision_tower(base, output_hidden_states=True).hidden_states[layer]
        projected = model.model.multi_modal_projector(features)
        size = torch.tensor([[fakes.SIZE, fakes.SIZE]])
        options = {"image_newline": model.model.image_newline}
        if family == "llava_next":
            options["vision_feature_select_strategy"] = "full"
        want = model.model.pack_image_features([projected], size, **options)[0][0]
    seen = tower.encode(picture)
    tokens = seen.patches if seen.cls is None else np.concatenate([seen.cls[None], seen.patches])
    with torch.inference_mode():
        torch.testing.assert_close(llava.project(tokens), want)
    assert (seen.cls is None) == (family == "onevision")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("unselected", ["zero", "drop"])
def test_two_sounds_over_one_picture_reach_the_language_model_differently(checkpoints, picture, family, unselected):
    llava, tower = load(checkpoints[family])
    seen = tower.encode(picture)
    rng = np.random.default_rng(5)
    given = [llava.project(substitute(noise(fakes.WIDTH, rng=rng), seen.patches, 4, unselected)[0]) for _ in range(2)]
    assert given[0].shape == given[1].shape and not torch.allclose(*given)
    tokens, _, _ = substitute(noise(fakes.WIDTH, rng=rng), seen.patches, 4, unselected)
    assert isinstance(llava.describe(tokens, "what", "Heard: rain ."), str)


def test_the_block_that_llava_does_not_read_is_removed(checkpoints, picture):
    llava, tower = load(checkpoints["llava"])
    reference = AutoModelForImageTextToText.from_pretrained(checkpoints["llava"]).eval().model.vision_tower
    blocks = llava.vision_parts()["tower"].encoder.layers
    assert len(blocks) == len(reference.encoder.layers) - 1
    with torch.inference_mode():
        want = reference(
            torch.from_numpy(tower._normalization.pixels(picture)), output_hidden_states=True
        ).hidden_states[-2][0]
    seen = tower.encode(picture)
    torch.testing.assert_close(torch.from_numpy(np.concatenate([seen.cls[None], seen.patches])), want)


def test_the_prompt_has_the_instruction_before_the_picture_and_the_evidence_after(checkpoints):
    llava, _ = load(checkpoints["llava"])
    prompt = llava.prompt("Say what sounds.", "Heard: dog barking.")
    assert prompt.index("Say what") < prompt.index("<image>") < prompt.index("Heard") < prompt.index("ASSISTANT")
    assert prompt.count("<image>") == 1
    with pytest.raises(ConfigError, match="contains <image>"):
        llava.prompt("look at <image>", "")


def test_a_checkpoint_without_a_chat_template_gets_a_plain_one(tmp_path):
    llava, _ = load(fakes.llava(tmp_path, template=None))
    assert llava.prompt("what", "Heard: dog .").startswith("USER: what\n<image>\n")


def test_whisper_cut_to_the_window_is_the_plain_encoder_with_fewer_positions(checkpoints):
    samples = np.random.default_rng(0).standard_normal(48_000).astype("f") * 0.1
    ours = [Whisper(checkpoints["whisper"], fuse_layers=fuse, window_s=3.0, **CPU) for fuse in (False, True)]
    encoder = WhisperModel.from_pretrained(checkpoints["whisper"]).encoder.eval()
    # the same arithmetic, written out: convolutions, the first 150 positions, the blocks, the final norm
    mel = torch.from_numpy(ours[0]._features(samples, sampling_rate=16_000).input_features[0])[None, :, :300].float()
    with torch.inference_mode():
        x = torch.nn.functional.gelu(encoder.conv2(torch.nn.functional.gelu(encoder.conv1(mel))))
        x, layers = x.transpose(1, 2) + encoder.embed_positions.weight[:150], []
        for block in encoder.layers:
            x = block(x, None)
            layers.append(x)
        layers[-1] = encoder.layer_norm(layers[-1])
    np.testing.assert_allclose(ours[0].encode(samples), layers[-1].mean(1)[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(
        torch.from_numpy(ours[1].encode(samples)), torch.stack(layers).mean((0, 2))[0], rtol=0, atol=1e-4
    )


def test_clap_is_the_full_models_audio_half(checkpoints):
    samples = np.random.default_rng(0).standard_normal(144_000).astype("f") * 0.1
    clap = Clap(checkpoints["clap"], **CPU)
    vector = clap.encode(samples)
    reference = ClapModel.from_pretrained(checkpoints["clap"]).eval()
    inputs = clap._features(samples, sampling_rate=48_000, return_tensors="pt")
    with torch.inference_mode():
        want = reference.get_audio_features(**inputs).pooler_output[0]  # normalized there, not in ours
    torch.testing.assert_close(torch.from_numpy(vector / np.linalg.norm(vector)), want)
    assert clap.dim == 20
    with pytest.raises(ValueError, match="at most"):
        clap.encode(np.zeros(480_001, np.float32))


def test_dim_match_pads_and_cuts():
    assert dim_match(np.ones(3, np.float32), 5).tolist() == [1, 1, 1, 0, 0]
    assert dim_match(np.arange(5, dtype=np.float32), 3).tolist() == [0, 1, 2]


def test_projection_comes_back_from_its_file_and_refuses_other_widths(tmp_path):
    torch.manual_seed(0)
    projection = ProjectionMLP(24, 32).half().float().eval()
    projection.save(tmp_path / "p.safetensors")
    z = torch.randn(24)
    with torch.no_grad():
        want = projection(z).numpy()
        assert torch.equal(ProjectionMLP.load(tmp_path / "p.safetensors")(z), projection(z))
    np.testing.assert_allclose(Projection.load(tmp_path / "p.safetensors", 24, 32)(z.numpy()), want, atol=1e-6)
    with pytest.raises(ModelError, match="from 20 to 32"):
        Projection.load(tmp_path / "p.safetensors", 20, 32)
    with pytest.raises(ModelError, match="expected projection weights at"):
        Projection.load(tmp_path / "none.safetensors", 24, 32)
    assert sum(p.numel() for p in ProjectionMLP(512, 1024).parameters()) == 2_628_608  # 2.6 M, not the paper's 1.9 M


def test_heatmap_shows_the_kept_patches_and_only_them():
    scores = np.array([0.1, 0.9, -0.3, 0.5, 0.2, 0.3], np.float32)
    where = heatmap(scores, np.array([1, 3]), (2, 3))
    np.testing.assert_allclose(where, [[0, 1, 0], [0.8 / 1.2, 0, 0]], atol=1e-6)
    assert heatmap(scores, np.array([], np.int64), (2, 3)).max() == 0


def test_mono_resamples_a_tone_to_the_same_tone():
    t = np.arange(44_100) / 44_100
    stereo = np.stack([np.sin(2 * np.pi * 440 * t), np.zeros_like(t)]).astype(np.float32)
    samples = mono(stereo, 44_100, 16_000)
    assert samples.shape == (16_000,) and samples.dtype == np.float32
    want = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(samples[200:-200], want[200:-200], atol=2e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_int8_is_close_to_float32(checkpoints, family):
    """The logits of a prompt with a picture, whose linear layers are all quantized but those around the model."""
    embedded = torch.from_numpy(noise(1, 20, fakes.TEXT)) / 4
    logits = []
    for int8 in (False, True):
        llava = Llava(checkpoints[family], **CPU, int8=int8)
        with torch.inference_mode():
            logits.append(llava._model(inputs_embeds=embedded).logits.flatten())
        left = [
            type(layer) for layer in llava._model.model.language_model.modules() if "Linear" in type(layer).__name__
        ]
        assert (torch.nn.Linear in left) != int8 and (type(llava._model.lm_head) is torch.nn.Linear) != int8
        assert llava.describe(noise(5, fakes.WIDTH), "what is", "a dog")
    assert torch.corrcoef(torch.stack(logits))[0, 1] > 0.99 and not torch.equal(*logits)


def test_int8_is_for_a_cpu():
    assert choose_dtype("int8", torch.device("cpu")) is torch.float32
    with pytest.raises(ConfigError, match="--device cpu, or use --dtype bfloat16"):
        choose_dtype("int8", torch.device("cuda"))
