"""ACL-SSL against the official implementation's numbers, against NumPy, and its training on scenes made on the spot."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import cosine_similarity
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer

from avstream.encoders.beats import LAYERS_OF_ACL, Beats, BeatsConfig
from avstream.errors import ConfigError, ModelError, SourceError
from avstream.localization import acl_losses
from avstream.localization.acl import AclHead, AclLocalizer, AudioTokenizer, losses, ten_seconds, to_pixels
from avstream.localization.acl_grounder import PROMPT, Grounder
from pipelines import evaluate_localization, train_localizer
from pipelines.localization import benchmarks as evaluate_acl
from pipelines.train_localizer import Batches, Settings, Synthetic, Trainer
from tests import parity
from tests.test_beats import SMALL
from tests.test_beats import save as save_beats
from tests.test_localization_metrics import write_wav

CPU = torch.device("cpu")
MERGES = ("p h", "o t", "ph ot", "phot o</w>", "o f</w>", "b e", "l l</w>", "be ll</w>")
TEXT = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": 77, "bos_token_id": 62, "eos_token_id": 63, "pad_token_id": 63,
}  # fmt: skip
VISION = {
    "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 64,
    "patch_size": 16,
}  # fmt: skip
INPUTS, WIDTH, JOINT = 72, 32, 24


@pytest.fixture(autouse=True)
def full_precision():
    """Loading a preset lowers the precision of products for all of the process."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def clipseg():
    torch.manual_seed(0)
    config = CLIPSegConfig(
        text_config=TEXT, vision_config=VISION, projection_dim=JOINT, extract_layers=[0, 1, 2], reduce_dim=16,
        decoder_num_attention_heads=4, decoder_intermediate_size=32, use_complex_transposed_convolution=True,
    )  # fmt: skip
    model = CLIPSegForImageSegmentation(config).eval()
    with torch.no_grad():
        for weight in model.clip.parameters():  # large enough that pictures and words differ
            if weight.ndim > 1:
                weight.mul_(2)
        last, pixels = model.decoder.transposed_convolution[-1], torch.randn(4, 3, 64, 64)
        logits = model(pixel_values=pixels, conditional_embeddings=torch.randn(4, JOINT)).logits
        last.weight.div_(logits.std())  # as those of a trained one: around the masks' threshold
        last.bias.copy_((last.bias - logits.mean()) / logits.std() - 1.4)
    return model


def tokenizer():
    """CLIP's own, with a small vocabulary."""
    letters = sorted("abefhlopt")
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *(pair.replace(" ", "") for pair in MERGES)]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    vocab |= {"<|startoftext|>": 62, "<|endoftext|>": 63}
    return CLIPTokenizer(vocab, [tuple(pair.split()) for pair in MERGES])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A CLIPSeg as the hub has it, and a BEATs file beside it."""
    root = tmp_path_factory.mktemp("acl")
    clipseg().save_pretrained(root / "clipseg"), tokenizer().save_pretrained(root / "clipseg")
    torch.manual_seed(2)
    beats = Beats(BeatsConfig.read(SMALL))
    beats.encoder.pos_conv[0].weight_g.data.mul_(0.05)  # untrained, it would drown what the tokens differ in
    save_beats(root / "beats.pt", beats)
    return root


@pytest.fixture
def grounder(folder):
    return Grounder.load(folder / "clipseg", CPU)


@pytest.fixture
def encoder(folder):
    return evaluate_acl.load_frozen(folder / "beats.pt", str(folder / "clipseg"), CPU)[0]


@pytest.fixture
def head():
    torch.manual_seed(1)
    return AclHead(INPUTS, WIDTH).eval()


# The parts


def test_pooling_weighs_by_both_potentials():
    torch.manual_seed(3)
    pool, tokens = AudioTokenizer(10, 6).eval().fga, torch.randn(2, 5, 6)
    with torch.no_grad():
        weights = pool.weights(tokens)
        unary, pair, mix = pool.un_models[0], pool.pp_models[0], pool.reduce_potentials[0].weight.flatten()
        for item in range(2):
            x, y = (tokens[item] @ conv.weight[..., 0].T + conv.bias for conv in (pair.embed_X, pair.embed_Y))
            alike = torch.stack([cosine_similarity(x[i][None], y).mean() for i in range(5)])
            hidden = torch.relu(tokens[item] @ unary.embed.weight[..., 0].T + unary.embed.bias)
            alone = hidden @ unary.feature_reduce.weight[0, :, 0] + unary.feature_reduce.bias
            torch.testing.assert_close(weights[item], (mix[0] * alone + mix[1] * alike).softmax(0))
        torch.testing.assert_close(pool(tokens), (weights[..., None] * tokens).sum(1))


def test_an_ordinary_word_in_place_of_the_sound_is_an_ordinary_prompt(folder, grounder):
    ids = CLIPTokenizer.from_pretrained(folder / "clipseg")(PROMPT + "bell").input_ids
    model = clipseg()
    want = model.clip.get_text_features(torch.tensor([ids])).pooler_output
    word = model.clip.text_model.embeddings.token_embedding(torch.tensor([ids[-2]]))
    assert len(ids) == 6 and ids[0] == 62 and ids[-1] == 63
    torch.testing.assert_close(grounder.audio_embedding(word), want)


def test_logits_are_clipsegs_own(grounder):
    pixels, sounds = torch.randn(3, 3, 64, 64), torch.randn(2, JOINT)
    seen = grounder.see(pixels)
    pairs = grounder.pair_logits(seen, sounds)
    assert pairs.shape == (3, 2, 64, 64) and seen.dense.shape == (3, JOINT, 4, 4)
    for n in range(2):
        with torch.no_grad():
            want = clipseg()(pixel_values=pixels, conditional_embeddings=sounds[n].expand(3, -1)).logits
        torch.testing.assert_close(pairs[:, n], want)
    torch.testing.assert_close(grounder.logits(seen, sounds[[1, 1, 1]])[:, 0], pairs[:, 1])


def test_dense_features_stay_in_their_place(grounder):
    """The last block does not mix. Where all patches are alike mixing changes nothing, so CLIP's block agrees."""
    model, x = clipseg(), torch.randn(48).expand(1, 17, 48)
    vision = model.clip.vision_model
    with torch.no_grad():
        want = model.clip.visual_projection(vision.post_layernorm(vision.encoder.layers[-1](x, None)))
        torch.testing.assert_close(grounder._dense(x), want)
        moved = torch.cat([x[:, :5], x[:, 5:] + torch.randn(1, 12, 48)], 1)
        torch.testing.assert_close(grounder._dense(moved)[:, :5], want[:, :5])


def test_losses_equal_numpys():
    rng = np.random.default_rng(0)
    audio, image, feature = (rng.standard_normal(s).astype("f") for s in ((4, 8), (4, 8), (4, 4, 8)))

    def unit(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    def entropy(logits):
        return -np.mean([logits[i, i] - np.log(np.exp(logits[i]).sum()) for i in range(4)])

    cos = unit(audio) @ unit(image).T / 0.07
    own = np.array([[unit(feature)[b, n] @ unit(audio)[b] for n in range(4)] for b in range(4)]) / 0.07
    a, v, f = map(torch.from_numpy, (audio, image, feature))
    assert acl_losses.acl_image(a, v).item() == pytest.approx((entropy(cos) + entropy(cos.T)) / 2, rel=1e-5)
    assert acl_losses.acl_feature(f, a).item() == pytest.approx((entropy(own) + entropy(own.T)) / 2, rel=1e-5)
    areas = acl_losses.mask_areas(torch.tensor([[1.0, 0.2], [0.4, 0.5]])[..., None, None].expand(2, 2, 3, 3))
    assert [x.item() for x in areas] == pytest.approx([0.75, 0.3])
    assert acl_losses.area_loss(*areas).item() == pytest.approx(0.35 + 0.3)
    assert acl_losses.area_loss(*areas, 0.15).item() == pytest.approx(0.6 + 0.3)
    assert acl_losses.Losses(a.sum(), v.sum(), f.sum()).total() == a.sum() + v.sum() + f.sum()


def test_masks():
    logits = torch.randn(2, 3, 6, 6)
    masker = acl_losses.ImageMasker()
    torch.manual_seed(0)
    drawn = torch.stack([masker(logits) for _ in range(400)])
    assert set(drawn.flatten().tolist()) <= {0.0, 1.0}
    assert (drawn.mean(0) - torch.sigmoid(10 * logits + 14)).abs().max() < 0.12
    drawn.mean().backward()
    assert masker.w.grad.abs() > 0 and masker.b.grad > 0
    assert masker.heatmap(logits, 9).shape == (2, 3, 9, 9)
    torch.testing.assert_close(masker.heatmap(logits), torch.sigmoid(logits + 1.4))
    soft = acl_losses.feature_mask(logits)
    torch.testing.assert_close(acl_losses.feature_mask(5 * logits - 3), soft, rtol=0, atol=1e-4)  # stretched anyway
    assert soft.amin() < 1e-3 and soft.amax() > 0.999
    assert acl_losses.feature_mask(torch.zeros(1, 1, 4, 4)).isfinite().all()


def test_masked_feature_is_what_lies_under_the_mask():
    dense, masks = torch.randn(2, 5, 3, 3), torch.zeros(2, 2, 3, 3)
    masks[0, 1, 2, 0] = masks[1, 0, 1, 1] = 1
    found = acl_losses.masked_feature(dense, masks)
    torch.testing.assert_close(found[0, 1] * 2, dense[0, :, 2, 0], rtol=0, atol=1e-5)
    assert found[0, 0].abs().sum() == 0


def test_sounds_and_pictures_are_brought_to_size():
    assert ten_seconds(np.ones(5, np.float32), 16).tolist() == [1] * 5 + [0] * 155
    assert ten_seconds(np.arange(200, dtype=np.float32), 16)[-1] == 159
    pixels = to_pixels(np.full((30, 50, 3), 255, np.uint8), 64)
    assert pixels.shape == (3, 64, 64)
    parity.close(pixels[:, 9, 9], [1.9303, 2.0749, 2.1459], 1e-4)


def test_gradients_reach_all_that_is_trained_and_nothing_else(grounder, head):
    head.train()
    terms = losses(head, grounder, torch.randn(3, 3, 64, 64), torch.randn(3, 12, INPUTS))
    terms.total().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in head.parameters())
    assert not any(weight.requires_grad for weight in grounder._clipseg.parameters())
    for term, least in zip(terms, (0, 0, 0), strict=True):
        assert term.item() >= least


# Files


def test_head_comes_back_and_refuses_what_does_not_fit(tmp_path, head):
    path = tmp_path / "acl.pth"
    head.save(path)
    back, layers = AclHead.load(path, INPUTS, WIDTH), torch.randn(2, 9, INPUTS)
    assert set(torch.load(path, weights_only=True)) == {"audio_proj", "masker_i"}
    torch.testing.assert_close(back.audio_proj(layers), head.audio_proj(layers), rtol=0, atol=0)
    for damage in ("missing", "added", "shape", "group"):
        file = torch.load(path, weights_only=True)
        part = file["audio_proj"]
        if damage == "missing":
            del part["fc2.bias"]
        elif damage == "group":
            del file["masker_i"]
        else:
            part["fc2.bias" if damage == "shape" else "fc3.bias"] = torch.zeros(3)
        torch.save(file, tmp_path / "damaged.pth")
        with pytest.raises(ModelError, match=r"'audio_proj' from .*(fc\d\.bias|masker_i\.w)"):
            AclHead.load(tmp_path / "damaged.pth", INPUTS, WIDTH)
    with pytest.raises(ModelError, match="from 2304 to 512"):
        AclHead.load(path)
    (tmp_path / "text.pth").write_text("hello")
    for name in ("none.pth", "text.pth"):
        with pytest.raises(ModelError, match="trained ACL-SSL weights at"):
            AclHead.load(tmp_path / name)


def test_clipseg_with_a_weight_missing_is_refused(folder, tmp_path):
    for path in (folder / "clipseg").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["decoder.film_mul.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"decoder\.film_mul\.weight"):
        evaluate_acl.load_frozen(folder / "beats.pt", str(tmp_path), CPU)


def test_localizer_answers_for_any_picture_and_sound(grounder, head, encoder):
    localizer = AclLocalizer(head, grounder, encoder)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
    one, other = (localizer.locate(picture, rng.standard_normal(n).astype("f") * 0.1) for n in (16_000, 200_000))
    assert one.heatmap.shape == (224, 224) and one.heatmap.dtype == np.float32
    assert 0 <= one.heatmap.min() <= one.heatmap.max() <= 1 and -1 <= one.confidence <= 1
    assert not np.array_equal(one.heatmap, other.heatmap)
    assert np.isfinite(localizer.locate(picture[:1, :1] * 0, np.zeros(0, np.float32)).heatmap).all()


# Training


def lines(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_batches_go_on_where_they_were():
    settings = Settings(epochs=3, batch=2)
    every = list(Batches(5, settings))
    assert len(every) == len(Batches(5, settings)) == 6
    assert [key[0] for keys in every for key in keys] == [0] * 4 + [1] * 4 + [2] * 4
    for start in range(7):
        assert list(Batches(5, settings, start)) == every[start:]


class Once:
    """Scenes and their sounds' layers, kept: the same six come again and again."""

    rate_hz, layers_dim = 16_000, INPUTS

    def __init__(self, encoder):
        scenes = Synthetic(6, self.rate_hz, 1, 64, 10.0)
        self.pairs = [scenes.pair(i) for i in range(6)]
        self.heard = {samples.tobytes(): encoder.layers(samples) for _, samples in self.pairs}

    def __len__(self):
        return len(self.pairs)

    def pair(self, index):
        return self.pairs[index]

    def layers(self, samples):
        return self.heard[samples.tobytes()]


def test_a_mask_that_is_less_steep_can_be_learned_from_logits_far_away(tmp_path, grounder, encoder):
    slopes = []
    for masker in (acl_losses.ImageMasker(), acl_losses.ImageMasker(1.0, 4.0)):
        logits = torch.full((2, 2, 8, 8), -6.0, requires_grad=True)
        masker(logits).sum().backward()
        slopes.append(logits.grad.abs().mean().item())
    assert slopes[0] < 1e-6 and slopes[1] > 0.01
    head = Trainer(grounder, encoder, Settings(masker_w=1.0, masker_b=4.0), tmp_path).head
    assert head.masker_i.w.item() == 1 and head.masker_i.b.item() == 4


def test_the_loss_falls(tmp_path, grounder, encoder):
    once = Once(encoder)
    Trainer(grounder, once, Settings(epochs=60, batch=6, lr=1e-2), tmp_path).train(once, log_every=1)
    log = lines(tmp_path)
    fell = {name: [np.mean([line[name] for line in part]) for part in (log[:5], log[-10:])] for name in log[0]}
    assert len(log) == 60 and fell["loss"][1] < fell["loss"][0] - 0.8, fell
    assert fell["image"][1] < np.log(6) - 0.3 and fell["area"][1] < fell["area"][0] - 0.05  # below guessing
    AclHead.load(tmp_path / "acl.pth", INPUTS, WIDTH)


def test_resumed_equals_uninterrupted(tmp_path, grounder, encoder):
    settings, source = Settings(epochs=2, batch=2, lr=1e-2), Synthetic(4, 16_000, 1, 64)
    for name in ("straight", "parts"):
        trainer = Trainer(grounder, encoder, settings, tmp_path / name)
        if name == "straight":
            trainer.train(source)
            continue
        for step, keys in enumerate(Batches(4, settings)):
            if step == 1:
                trainer.save(4)
                trainer = Trainer(grounder, encoder, settings, tmp_path / name)
                trainer.resume(4)
                trainer.train(source)
                break
            data = train_localizer.Augmented(source, 64, 16_000, settings.seed)
            trainer.one_step([data[key] for key in keys])
    one, other = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("straight", "parts"))
    assert one["step"] == other["step"] == 4
    for key, value in one["head"].items():
        torch.testing.assert_close(other["head"][key], value, rtol=0, atol=0)
    for changed in (replace(settings, seed=9), replace(settings, batch=3)):
        with pytest.raises(ConfigError, match="of another run"):
            Trainer(grounder, encoder, changed, tmp_path / "straight").resume(4)
    (tmp_path / "straight" / "last.pt").write_text("hello")
    with pytest.raises(ModelError, match="can't be resumed"):
        Trainer(grounder, encoder, settings, tmp_path / "straight").resume(4)


def test_train_and_evaluate_from_the_command_line(tmp_path, folder, capsys):
    models = ["--beats", str(folder / "beats.pt"), "--clipseg", str(folder / "clipseg"), "--device", "cpu"]
    data, scenes = tmp_path / "data", Synthetic(3, 16_000, 5, 80, 0.5)
    for i in range(3):
        rgb, samples = scenes.pair(i)
        write_wav(data / "audio" / f"n{i}.wav", samples, 16_000)
        (data / "frames").mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(data / "frames" / f"n{i}.jpg")
    (data / "vggss.json").write_text(json.dumps([{"file": f"n{i}", "bbox": [[0, 0, 0.5, 0.5]]} for i in range(3)]))
    out = ["--out", str(tmp_path / "run"), "--batch", "2", "--epochs", "2", "--log-every", "1"]
    assert train_localizer.main(["--data", str(data), *out, *models]) == 0
    assert [line["step"] for line in lines(tmp_path / "run")] == [1, 2]
    assert train_localizer.main(["--data", str(data), "--resume", *out, *models]) == 0  # nothing is left to do
    report = tmp_path / "report.json"
    options = ["--acl", str(tmp_path / "run" / "acl.pth"), "--json", str(report), *models]
    assert evaluate_localization.main(["--dataset", "vggss", str(data), "--limit", "2", *options]) == 0
    found = json.loads(report.read_text())
    assert found["items"] == 2 and len(found["ciou"]) == len(found["auc"]) == 19
    capsys.readouterr()
    assert train_localizer.main(["--data", str(data), "--limit", "1", *out, *models]) == 2
    assert "as many pairs as one" in capsys.readouterr().err
    assert train_localizer.main(["--synthetic", "0", *out, *models]) == 2
    assert train_localizer.main(["--data", str(tmp_path / "none"), *out, *models]) == SourceError.exit_code
    assert evaluate_localization.main(["--dataset", "flickr", str(data), *options]) == SourceError.exit_code
    assert evaluate_localization.main(["--dataset", "coco", str(data), *options]) == ConfigError.exit_code
    assert evaluate_localization.main(["--dataset", "vggss", str(data), *options[:2]]) == ConfigError.exit_code


# Parity


@pytest.fixture(scope="module")
def tokenizer_parity():
    model = AclHead().eval()
    model.load_state_dict(parity.state("acl_tokenizer"))
    return SimpleNamespace(head=model, want=parity.arrays("acl_tokenizer"), info=parity.info("acl_tokenizer"))


def check(found, fixture):
    for name, value in found.items():
        parity.close(value, fixture.want[name], fixture.info["tolerance"][name.split("/")[0]])


def test_parity_of_the_official_file(tmp_path, tokenizer_parity):
    tokenizer_parity.head.save(tmp_path / "Param_best.pth")
    back = AclHead.load(tmp_path / "Param_best.pth").state_dict()
    assert set(back) == set(tokenizer_parity.info["keys"])


@torch.no_grad()
def test_parity_of_the_tokenizer(tokenizer_parity):
    model = tokenizer_parity.head.audio_proj
    layers = parity.unit("acl_tokenizer/input", (2, 24, 2304))
    tokens = model.tokens(layers)
    across = tokens.transpose(1, 2)
    found = {
        "tokens/random": tokens, "unary/random": model.fga.un_models[0](across),
        "self/random": model.fga.pp_models[0](across), "weights/random": model.fga.weights(tokens),
        "output/random": model(layers),
    }  # fmt: skip
    blocks, features = parity.model("beats"), parity.arrays("beats")
    for wave in ("chirp", "clicks"):
        heard = blocks(torch.from_numpy(features[f"features/{wave}"])[None])
        layers = torch.cat([heard[i] for i in LAYERS_OF_ACL], -1)
        found[f"output/beats_{wave}"] = model(layers)[0]
        found[f"weights/beats_{wave}"] = model.fga.weights(model.tokens(layers))[0]
    check(found, tokenizer_parity)


@torch.no_grad()
def test_parity_of_masks_and_losses(tokenizer_parity):
    masker, info = tokenizer_parity.head.masker_i, tokenizer_parity.info
    logits = 3 * parity.unit("acl_head/logits", (2, 2, 22, 22)) - 1
    audio = parity.unit("acl_head/audio", (4, 512))
    image = parity.unit("acl_head/image", (4, 512)) + 0.05 * audio
    feature = parity.unit("acl_head/feature", (4, 4, 512)) + 0.05 * audio[None]
    small = acl_losses.feature_mask(logits, (7, 7))
    found = {
        "image_mask/infer": masker.heatmap(logits), "feature_mask/full": acl_losses.feature_mask(logits),
        "feature_mask/nearest_7": small,
        "masked_feature": acl_losses.masked_feature(parity.unit("acl_head/pixels", (2, 512, 7, 7)), small),
    }  # fmt: skip
    check(found, tokenizer_parity)
    resized = torch.from_numpy(tokenizer_parity.want["bicubic_28"])
    parity.close(masker.heatmap(logits, 28), torch.sigmoid(resized + 1.4), info["tolerance"]["bicubic_28"])
    terms = {
        "acl_i": acl_losses.acl_image(audio, image), "acl_f": acl_losses.acl_feature(feature, audio),
        "area_reg": acl_losses.area_loss(torch.tensor(0.31), torch.tensor(0.07)),
        "infonce_audio_to_image": acl_losses.infonce(audio, image),
    }  # fmt: skip
    for name, value in terms.items():
        assert value.item() == pytest.approx(info["losses"][name], abs=info["tolerance"]["losses"])


@torch.no_grad()
def test_parity_of_the_grounder(tokenizer_parity):
    info, want = parity.info("acl_grounder"), parity.arrays("acl_grounder")
    config = CLIPSegConfig(**info["config"])
    config.text_config.bos_token_id = config.text_config.eos_token_id = 63
    model = CLIPSegForImageSegmentation(config)
    model.load_state_dict(parity.state("acl_grounder"))
    grounder = Grounder(model, [62, 5, 7, 9, 63])
    pixels = parity.unit("acl_grounder/image", (2, 3, 64, 64))
    sounds = grounder.audio_embedding(0.5 * parity.unit("acl_grounder/audio_token", (2, 1, 32))[:, 0])
    seen = grounder.see(pixels)
    logits, pairs = grounder.logits(seen, sounds), grounder.pair_logits(seen, sounds)
    gathered = acl_losses.masked_feature(seen.dense, acl_losses.feature_mask(pairs, (4, 4)))
    found = {
        "audio_embedding": sounds, "pixels": seen.dense, "logits": logits, "pair_logits": pairs,
        "heatmap_40": tokenizer_parity.head.masker_i.heatmap(logits, 40), "masked_feature": gathered,
        "confidence": cosine_similarity(torch.diagonal(gathered).T, sounds),
        "image_embedding": grounder.image_embedding(pixels),
    }  # fmt: skip
    for name, value in found.items():
        parity.close(value, want[name], info["tolerance"]["all"])
