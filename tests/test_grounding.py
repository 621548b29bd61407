"""Grounding: detectors of every family on real classes with random weights, the table of things, and tracks."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from transformers import (
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    DFineConfig,
    DFineForObjectDetection,
    HGNetV2Config,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessorPil,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessorPil,
    RTDetrResNetConfig,
    ViTImageProcessorPil,
    YolosConfig,
    YolosForObjectDetection,
    YolosImageProcessorPil,
)

from avstream import loading, torch_models
from avstream.config import presets
from avstream.errors import ConfigError, ModelError
from avstream.localization.grounding.coco import COCO
from avstream.localization.grounding.fastestdet import FastestDet
from avstream.localization.grounding.thing import Thing, distinct, outlined, overlap
from avstream.localization.grounding.things import read, sources, table
from avstream.localization.localizer_detector import DetectorLocalizer
from avstream.localization.localizer_synchrony import SynchronyLocalizer
from avstream.localization.tracks import Tracks
from avstream.vocabulary import ENTRIES, HOME, OTHER
from tests.fakes import tokenizer
from tests.test_nano import DATA
from tests.test_narrator import tone
from tests.test_narrator import window as plain_window

CPU = torch.device("cpu")
SMALL = {"height": 64, "width": 64}
NAMES = {0: "person", 1: "dog", 2: "motorbike"}
NAMED = {"id2label": NAMES, "label2id": {name: k for k, name in NAMES.items()}}
HEADS = {
    "encoder_hidden_dim": 16, "encoder_in_channels": [16, 16, 16], "encoder_ffn_dim": 16, "encoder_attention_heads": 2,
    "d_model": 16, "num_queries": 12, "decoder_in_channels": [16, 16, 16], "decoder_ffn_dim": 16, "decoder_layers": 2,
    "decoder_attention_heads": 2, "num_denoising": 0,
}  # fmt: skip
TEXT = {
    "vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
VISION = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}


def dfine(path):
    stages = {
        "stage_in_channels": [8, 16, 16, 16], "stage_mid_channels": [8] * 4, "stage_out_channels": [16] * 4,
        "stage_num_blocks": [1] * 4, "stage_numb_of_layers": [1] * 4, "out_features": ["stage2", "stage3", "stage4"],
    }  # fmt: skip
    backbone = HGNetV2Config(hidden_sizes=[16] * 4, depths=[1] * 4, embedding_size=8, stem_channels=[3, 4, 8], **stages)
    config = DFineConfig(
        backbone_config=backbone, feat_strides=[8, 16, 32], decoder_n_points=[2, 2, 2], hidden_expansion=1.0,
        **HEADS, **NAMED,
    )  # fmt: skip
    DFineForObjectDetection(config).save_pretrained(path), RTDetrImageProcessorPil(size=SMALL).save_pretrained(path)


def rtdetr(path):
    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1] * 4, layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    RTDetrForObjectDetection(RTDetrConfig(backbone_config=backbone, **HEADS, **NAMED)).save_pretrained(path)
    RTDetrImageProcessorPil(size=SMALL).save_pretrained(path)


def yolos(path):
    config = YolosConfig(
        **{**VISION, "image_size": [64, 64]}, num_hidden_layers=2, num_detection_tokens=6, **NAMED
    )  # fmt: skip
    YolosForObjectDetection(config).save_pretrained(path)
    YolosImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(path)


def words_of(path):
    tokens = tokenizer()
    tokens.model_max_length = 16
    tokens.save_pretrained(path)


def owlv2(path):
    config = Owlv2Config(text_config=TEXT, vision_config=VISION | {"num_hidden_layers": 2}, projection_dim=16)
    Owlv2ForObjectDetection(config).save_pretrained(path), Owlv2ImageProcessorPil(size=SMALL).save_pretrained(path)
    words_of(path)


def clipseg(path):
    config = CLIPSegConfig(
        text_config=TEXT, vision_config=VISION | {"num_hidden_layers": 3}, projection_dim=16, extract_layers=[0, 1, 2],
        reduce_dim=8, decoder_num_attention_heads=2, decoder_intermediate_size=16,
    )  # fmt: skip
    CLIPSegForImageSegmentation(config).save_pretrained(path), ViTImageProcessorPil(size=SMALL).save_pretrained(path)
    words_of(path)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("detectors")
    for build in (dfine, rtdetr, yolos, owlv2, clipseg):
        torch.manual_seed(3)
        build(root / build.__name__)
    return root


PICTURE = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)


def inside(box):
    return 0 <= box[0] <= box[2] <= 1 and 0 <= box[1] <= box[3] <= 1


@pytest.mark.parametrize("family", ["dfine", "rtdetr", "yolos"])
def test_detectors_with_names_report_them_as_the_table_has_them(checkpoints, family):
    detector = torch_models.load_detector(str(checkpoints / family), CPU)
    assert detector.names == {"person", "dog", "motorcycle"}, "COCO's motorbike is a motorcycle"
    detector.least = 0.0
    found = detector.find(PICTURE, ("dog",))
    assert found and {thing.name for thing in found} <= detector.names and all(inside(thing.box) for thing in found)
    assert [thing.score for thing in found] == sorted((thing.score for thing in found), reverse=True)
    detector.least = 1.0
    assert detector.find(PICTURE, ("dog",)) == []


@pytest.mark.parametrize("family", ["owlv2", "clipseg"])
def test_detectors_that_take_words_answer_in_those_words(checkpoints, family):
    detector = torch_models.load_detector(str(checkpoints / family), CPU)
    assert detector.names is None
    detector.least = 0.0
    found = detector.find(PICTURE, ("dog", "bell"))
    assert found and {thing.name for thing in found} <= {"dog", "bell"} and all(inside(thing.box) for thing in found)
    assert detector.find(PICTURE, ()) == []


def test_a_mask_gives_an_outline_around_its_box(checkpoints):
    detector = torch_models.load_detector(str(checkpoints / "clipseg"), CPU)
    heat = np.zeros((64, 64), np.float32)
    heat[16:32, 8:40] = 0.9
    heat[50:52, 50:51] = 0.9  # a speck
    (thing,) = detector._parts("dog", heat)
    assert thing.box == pytest.approx((8 / 64, 16 / 64, 40 / 64, 32 / 64)) and thing.score == pytest.approx(0.9)
    xs, ys = zip(*thing.outline, strict=True)
    assert 3 <= len(thing.outline) <= 40
    assert (min(xs), min(ys), max(xs), max(ys)) == pytest.approx((8.5 / 64, 16.5 / 64, 39.5 / 64, 31.5 / 64))


def test_ragged_masks_have_short_outlines():
    parts = outlined(np.random.default_rng(0).random((200, 200)) > 0.3)
    assert parts and max(len(outline) for _, outline, _ in parts) <= 40


def test_a_detector_with_a_weight_missing_is_refused(checkpoints, tmp_path):
    from safetensors.torch import load_file, save_file

    for path in (checkpoints / "yolos").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop(next(key for key in weights if "class_labels_classifier" in key and "weight" in key))
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="expected the weights of YolosForObjectDetection"):
        torch_models.load_detector(str(tmp_path), CPU)


@pytest.mark.parametrize(
    ("localizer", "error", "says"),
    [
        ("sinchrony", ConfigError, "did you mean 'synchrony'"),
        ("acl", ConfigError, "acl:FOLDER"),
        ("detector:/no/such/folder", ModelError, r"config\.json at /no/such/folder"),
        ("detector:/no/such.onnx", ModelError, r"ONNX file at /no/such\.onnx"),
        ("acl:/no/such", ModelError, r"acl\.json"),
    ],
)
def test_wrong_localizers_are_told(localizer, error, says):
    with pytest.raises(error, match=says):
        loading.load(presets.load("nano", localizer=localizer))


def test_without_its_tracker_a_detector_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)  # as if it were not installed
    with pytest.raises(ModelError) as caught:
        loading.load_localizer(presets.load("nano", localizer="detector:/no/such/folder"))
    assert caught.value.found == "a detector needs the package trackers"
    assert caught.value.fix == "pip install 'avstream[detector]'"
    said = []
    chosen = loading.load_localizer(presets.load("nano", localizer="auto:/no/such/folder"), said.append)
    assert isinstance(chosen, SynchronyLocalizer) and "avstream[detector]" in said[-1]


def test_a_file_that_is_no_detector_is_told(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="can't be loaded"):
        FastestDet(tmp_path / "a.onnx")


def test_every_label_of_the_vocabulary_is_in_the_table():
    assert set(HOME) | {OTHER} <= set(table())
    assert set(table()) <= set(ENTRIES) | {OTHER}, "a name that no listener can say"


def test_the_table_answers_for_a_label_its_kinds_and_strangers():
    assert sources("guitar").things["guitar"] > sources("guitar").players["person"]
    assert sources("church_bell") == sources("bell") and sources("yip") == sources("dog_bark")
    assert {"dog", "bird", "elephant"} <= set(sources("animal").things) and "clock" not in sources("machine").words
    assert sources("animal").things["dog"] < sources("dog").things["dog"]
    assert sources("person").things["person"] < sources("speech").things["person"]
    assert sources("gravel_crusher").words == ("gravel crusher",) and sources("bang").words == ()
    assert "door" in sources("slam").words and sources("cash_register").words == ("cash register",)
    assert "guitar" in sources("musical_instrument").things and "guitar" in sources("reggae").things
    assert set(sources("theremin").things) == {"theremin"} and "person" in sources("theremin").players
    assert sources("speech").known(frozenset(COCO)) and not sources("bang").known(None)
    assert not sources("alarm").known(frozenset(COCO)) and sources("alarm").known(None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- dog", "expected `label: "),
        ("dog_bark: {thing: {dog: 1}}", "absent, moves, near} in .*: dog_bark, found"),
        ("dog_bark: {things: {dog: 2}}", "chances from 0 to 1 in .*, found 2"),
        ("animal: {kinds: 2}", "chances from 0 to 1 in .*, found 2"),
        ("dog_bark: {things: [dog]}", "`name: chance` as things"),
        ("dog_bark: {things: {dog: 0.5}, moves: tail}", "moves to be one of"),
        ("a: [", "can't be read"),
    ],
)
def test_a_wrong_table_is_told(tmp_path, text, says):
    (tmp_path / "things.yaml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        read(tmp_path / "things.yaml")


def test_what_is_found_twice_is_one_thing():
    one, again = Thing("dog", 0.9, (0.1, 0.1, 0.5, 0.5)), Thing("dog", 0.6, (0.12, 0.1, 0.5, 0.5))
    part, other = Thing("dog", 0.5, (0.2, 0.2, 0.3, 0.3)), Thing("dog", 0.5, (0.6, 0.6, 0.9, 0.9))
    cat = Thing("cat", 0.4, (0.1, 0.1, 0.5, 0.5))
    assert distinct([part, cat, again, other, one]) == [one, other, cat]
    assert overlap(one.box, one.box) == pytest.approx(1) and overlap(one.box, other.box) == 0


def test_things_keep_their_tracks_through_a_gap_and_names_do_not_mix():
    tracks = Tracks(0.5)
    rounds = []
    for k in range(6):
        left = Thing("person", 0.9, (0.1 + 0.02 * k, 0.1, 0.4 + 0.02 * k, 0.9))
        right = Thing("person", 0.8, (0.6, 0.1, 0.8, 0.9))
        clock = Thing("clock", 0.9, (0.6, 0.1, 0.8, 0.9))
        found = tracks.update([right, clock] if k == 3 else [right, clock, left])
        rounds.append([one.track for one in found])
    assert rounds[1][2] and rounds[1] == rounds[2] == rounds[4] == rounds[5] and rounds[3] == rounds[1][:2]
    assert len(set(rounds[1])) == 3
    assert Tracks(0.5).update([]) == []


FASTESTDET = DATA.parent / "peers" / "fastestdet" / "FastestDet.onnx"


@pytest.mark.skipif(not FASTESTDET.is_file(), reason="needs FastestDet.onnx beside the real clips (AVSTREAM_DATA)")
def test_fastestdet_finds_nothing_in_gray_and_answers_in_the_names_of_coco():
    detector = FastestDet(FASTESTDET)
    assert detector.names == set(COCO) and len(COCO) == 80
    assert detector.find(np.full_like(PICTURE, 128), ()) == []


def test_auto_is_the_detector_if_it_can_be_had(checkpoints, tmp_path, monkeypatch):
    settings = presets.load("nano", localizer=f"auto:{checkpoints / 'yolos'}")
    assert isinstance(loading.load_localizer(settings), DetectorLocalizer)
    said = []
    settings = presets.load("nano", localizer=f"auto:{tmp_path / 'nothing'}")
    assert isinstance(loading.load_localizer(settings, said.append), SynchronyLocalizer)
    assert "for want of" in said[-1]


def test_acl_is_loaded_from_the_folder_that_its_training_leaves(checkpoints, tmp_path):
    """Weights of the true classes, random; without a calibration there is a heatmap and no claim."""
    from avstream.encoders.beats import Beats, BeatsConfig
    from avstream.localization.acl import AclHead
    from tests.test_beats import SMALL, save

    save(tmp_path / "beats.pt", Beats(BeatsConfig.read(SMALL)))
    dim = BeatsConfig.read(SMALL).encoder_embed_dim
    AclHead(3 * dim, 16).save(tmp_path / "acl.pth")
    about = {"beats": "beats.pt", "clipseg": str(checkpoints / "clipseg")}
    for calibration in (None, {"scale": 0.0, "bias": 5.0}, {"scale": 0.0, "bias": -5.0}):
        (tmp_path / "acl.json").write_text(json.dumps(about | {"calibration": calibration}))
        localizer = loading.load_localizer(presets.load("nano", localizer=f"acl:{tmp_path}"))
        one = plain_window(tone())
        localizer.watch(one, "a")
        (place,) = localizer.places(one, "a", ["dog_bark"])
        if calibration is None:
            assert place.heatmap.shape == (224, 224) and place.visible is None and place.box is None
        elif calibration["bias"] > 0:
            assert place.here > 0.9 and place.visible is (True if place.box else None)
        else:
            assert place.visible is False and place.absent > 0.9 and place.heatmap is None
        assert {p.box for p in localizer.places(one, "a", ["dog_bark", "rain"])} == {None}
