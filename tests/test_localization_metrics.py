"""The measures against the published evaluation's numbers and cases counted by hand; the datasets' folders."""

import json
import wave
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from avstream.errors import SourceError
from avstream.localization.acl import Grounded
from pipelines import evaluate_localization
from pipelines.localization import metrics
from pipelines.localization.benchmarks import evaluate_dataset
from pipelines.localization.datasets import (
    avsbench,
    flickr_boxes,
    pairs,
    read_dataset,
    read_picture,
    read_sound,
    truth_of,
)
from pipelines.localization.score_similarity import Similarity
from tests import parity

EMPTY = np.zeros((224, 224))


def write_wav(path, samples, rate_hz):
    """Mono float (n,) as 16-bit PCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def square(left, top, right, bottom, value=1.0):
    out = np.zeros((224, 224))
    out[top:bottom, left:right] = value
    return out


# Counted by hand


def test_ciou_counts_truth_found_over_truth_and_false_claims():
    heat = square(0, 0, 112, 112, 0.5)  # a quarter of the picture
    assert metrics.ciou(heat, square(0, 0, 112, 112), 0.5) == 1
    assert metrics.ciou(heat, square(0, 0, 112, 112), 0.51) == 0
    assert metrics.ciou(heat, square(56, 0, 168, 112), 0.5) == pytest.approx((56 * 112) / (112 * 112 + 56 * 112))
    half = 0.5 * square(0, 0, 112, 112)  # one vote of two
    assert metrics.ciou(heat, half, 0.5) == 1
    assert metrics.ciou(square(0, 0, 224, 112), half, 0.5) == pytest.approx(1 / 3)
    assert metrics.ciou(EMPTY, EMPTY, 0.5) == 0 and metrics.ciou(heat, EMPTY, 0.5, 1e-12) == 0


def test_success_and_auc():
    assert metrics.success([0.5, 0.49, 1.0, 0.0]) == 50
    assert metrics.auc([1.0]) == pytest.approx(100) and metrics.auc([0.0]) == pytest.approx(2.5)
    assert metrics.auc([0.5]) == pytest.approx(100 * (0.5 + 0.025))


def test_truths():
    truth = metrics.box_truth([(-0.1, 0, 0.5, 0.5), (0.25, 0.25, 0.5, 2)])
    assert truth.max() == 1 and truth.sum() == 112 * 112 + 56 * 112
    votes = metrics.vote_truth([(0, 0, 256, 128), (0, 0, 128, 128), (0, 0, 128, 128)])
    assert votes[0, 0] == 1 and votes[0, 223] == 0.5 and votes[223, 0] == 0


def test_median_threshold_claims_half():
    heat = np.linspace(0, 1, 224 * 224).reshape(224, 224)
    assert (heat >= metrics.median_threshold(heat)).mean() == 0.5


def test_extended_measures():
    ciou, confidence, sounding = [0.9, 0.8, 0.1, 0.0], [0.9, 0.7, 0.8, 0.6], [1, 1, 1, 0]
    # from 0.8 on: one hit, one wrong, one missed; 0.7: 2 / 1 / 0; 0.6: 2 / 2 / 0. Recall 1/2, 1, 1
    assert metrics.extended_ap(ciou, confidence, sounding) == pytest.approx(100 * (2 / 3) * (1 - 0.5))
    assert metrics.extended_max_f1(ciou, confidence, sounding) == 80.0
    assert metrics.loc_acc(ciou, sounding) == pytest.approx(100 * 2 / 3)
    assert metrics.loc_acc([0.5], [1]) == 0 and metrics.loc_acc([0.9], [0]) == 0
    assert metrics.extended_max_f1([0.0], [0.5], [0]) == 0


def test_avsbench_measures():
    mask, heat = square(0, 0, 100, 100), square(0, 0, 100, 200, 0.7)
    assert metrics.avs_iou(heat, mask, 0.5) == pytest.approx(0.5) and metrics.avs_iou(heat, mask, 0.7) == 0
    assert metrics.avs_iou(heat, EMPTY, 0.5) == pytest.approx(1 - 100 * 200 / 224**2)
    assert metrics.avs_miou([1.0, 0.0, 0.5]) == 50 and metrics.avs_miou([1.0, 0.0, 0.5], 2) == 50
    assert metrics.avs_miou([1.0, 1.0, 0.5], 2) == 75
    curve = metrics.avs_f_curve(heat, mask)
    assert curve[100] == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1)) and curve[-1] == 0
    assert metrics.avs_f_curve(heat, EMPTY) is None
    assert metrics.avs_f([curve, None]) == pytest.approx(100 * curve.max()) and metrics.avs_f([None]) == 0


# Folders


@dataclass
class Centered:
    """Claims the middle of every picture; as sure as the sound is loud."""

    rate_hz: int = 16_000

    def locate(self, rgb, samples):
        assert rgb.shape[2] == 3 and samples.ndim == 1
        return Grounded(square(56, 56, 168, 168).astype(np.float32), float(np.abs(samples).max()))


def media(folder, name, frames="frames", audio="audio", ending="jpg", level=0.5, rate_hz=16_000):
    (folder / frames).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(folder / frames / f"{name}.{ending}")
    write_wav(folder / audio / f"{name}.wav", np.full(rate_hz // 2, level), rate_hz)


def test_vggss(tmp_path):
    rows = [{"file": name, "class": "x", "bbox": [[0.25, 0.25, 0.75, 0.75]]} for name in ("a_1", "b_2", "gone")]
    (tmp_path / "vggss.json").write_text(json.dumps([*rows, {"file": "c_3", "bbox": [[0, 0, 0.1, 0.1]]}]))
    for name in ("a_1", "b_2", "c_3", "unknown"):
        media(tmp_path, name)
    items = read_dataset("vggss", tmp_path)
    assert [item.name for item in items] == ["a_1", "b_2", "c_3"]
    report = evaluate_dataset(Centered(), "vggss", items)
    assert report["ciou"] == [pytest.approx(200 / 3)] * 19 and "ap" not in report and report["items"] == 3
    with pytest.raises(SourceError, match="extend_frames"):
        read_dataset("vggss", tmp_path, extended=True)
    media(tmp_path, "d_4", "extend_frames", "extend_audio", level=0.1)
    extended = evaluate_dataset(Centered(), "vggss", read_dataset("vggss", tmp_path, extended=True))
    assert extended["ciou"] == report["ciou"] and extended["loc_acc"] == [pytest.approx(200 / 3)] * 19
    assert extended["max_f1"] == [80.0] * 19


def test_flickr(tmp_path):
    boxes = "".join(
        f"<object><bbox><id>{i}</id><xmin>64</xmin><ymin>64</ymin><xmax>192</xmax><ymax>192</ymax></bbox></object>"
        for i in range(3)
    )
    inner = tmp_path / "Test"
    media(inner, "77")
    (inner / "Annotations").mkdir()
    (inner / "Annotations" / "77.xml").write_text(f"<annotation><name>77</name>{boxes}</annotation>")
    items = read_dataset("flickr", tmp_path)
    assert items[0].boxes == ((64, 64, 192, 192),) * 3
    assert evaluate_dataset(Centered(), "flickr", items)["auc"] == [pytest.approx(100)] * 19
    (inner / "Annotations" / "77.xml").write_text(boxes[:40])
    with pytest.raises(SourceError, match=r"77\.xml"):
        flickr_boxes(inner / "Annotations")


@pytest.mark.parametrize("layout", ["S4", "MS3", "flat"])
def test_avsbench(tmp_path, layout):
    inner = {"S4": "test/dog/clip_9", "MS3": "test/clip_9", "flat": ""}[layout]
    sounds = {"S4": "test/dog", "MS3": "test", "flat": ""}[layout]
    root = tmp_path if layout == "flat" else tmp_path / f"{layout.lower()}_data"
    frame = "clip_9.mp4_{}.png" if layout == "MS3" else "clip_9_{}.png"
    frames = root / "visual_frames" / ("clip_9" if layout == "MS3" else inner)
    masks = root / "gt_masks" / inner
    frames.mkdir(parents=True), masks.mkdir(parents=True)
    write_wav(root / "audio_wav" / sounds / "clip_9.wav", np.zeros(8000), 16_000)
    for second, mask in ((1, square(56, 56, 168, 168)), (2, EMPTY)):
        Image.fromarray(np.zeros((224, 224, 3), np.uint8)).save(frames / frame.format(second))
        Image.fromarray((mask * 255).astype(np.uint8)).save(masks / f"clip_9_{second}.png")
    items = avsbench(tmp_path, "test")
    assert [item.name for item in items] == ["clip_9_1", "clip_9_2"]
    np.testing.assert_array_equal(truth_of("avsbench", items[0]), square(56, 56, 168, 168))
    report = evaluate_dataset(Centered(), "avsbench", items)
    assert report["miou"] == [pytest.approx(100 * (1 + 0.75) / 2)] * 19 and report["f"] == pytest.approx(100)


def test_pairs_for_training(tmp_path):
    for name in ("a", "b", "c"):
        media(tmp_path, name)
    (tmp_path / "names.csv").write_text("b,dog\nc\nz\n")
    assert [item.name for item in pairs(tmp_path, tmp_path / "names.csv")] == ["b", "c"]
    assert len(pairs(tmp_path)) == 3


def test_what_is_not_there_is_said(tmp_path):
    for kind, what in (("vggss", "vggss.json"), ("flickr", "NAME.xml"), ("avsbench", "expected avsbench")):
        with pytest.raises(SourceError, match=what):
            read_dataset(kind, tmp_path)
        with pytest.raises(SourceError, match="found none"):
            evaluate_dataset(Centered(), kind, [])
    with pytest.raises(SourceError, match="expected frames/"):
        pairs(tmp_path)
    (tmp_path / "a.wav").write_text("no sound"), (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(SourceError, match=r"a\.wav can't be read"):
        read_sound(tmp_path / "a.wav", 16_000)
    with pytest.raises(SourceError, match=r"a\.jpg can't be read"):
        read_picture(tmp_path / "a.jpg")
    with pytest.raises(SourceError, match="names"):
        pairs(tmp_path, tmp_path / "names.csv")


def test_sounds_are_brought_to_the_rate(tmp_path):
    t = np.arange(44_100) / 44_100
    write_wav(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * t), 44_100)
    samples = read_sound(tmp_path / "tone.wav", 16_000)
    assert samples.shape == (16_000,) and samples.dtype == np.float32
    want = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(samples[200:-200], want[200:-200], atol=2e-3)


def test_similarity_from_the_command_line(tmp_path, capsys):
    (tmp_path / "vggss.json").write_text(json.dumps([{"file": "a", "bbox": [[0.25, 0.25, 0.75, 0.75]]}]))
    media(tmp_path, "a")
    assert evaluate_localization.main(["--dataset", "vggss", str(tmp_path), "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["items"] == 1 and all(0 <= value <= 100 for value in found["ciou"] + found["auc"])
    capsys.readouterr()
    assert evaluate_localization.main(["--dataset", "flickr", str(tmp_path / "none")]) == SourceError.exit_code
    assert "NAME.xml" in capsys.readouterr().err


def test_similarity_gives_a_heatmap_and_a_cosine():
    rgb = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    localizer = Similarity("nano")
    found = localizer.locate(rgb, np.random.default_rng(1).normal(0, 0.1, localizer.rate_hz).astype(np.float32))
    assert found.heatmap.shape == (224, 224) and found.heatmap.min() < 0.1 and found.heatmap.max() > 0.9
    assert -1 <= found.confidence <= 1


# Parity


@pytest.fixture(scope="module")
def published():
    data = parity.arrays("acl_eval")
    heat = data["heat_steps"].astype(np.float32).cumsum(1).cumsum(2)  # kept as differences, which pack well
    return heat / 4096, data, parity.info("acl_eval")


def truths(info, kind):
    if kind == "vggss":
        return [metrics.box_truth(boxes) for boxes in info["inputs"]["vggss_boxes"]]
    return [metrics.vote_truth(boxes) for boxes in info["inputs"]["flickr_boxes_256"]]


@pytest.mark.parametrize("kind", ["vggss", "flickr"])
def test_parity_of_ciou_and_auc(published, kind):
    heat, data, info = published
    truth, want = truths(info, kind), info[kind]
    gt = data["vggss/gt_u8"] if kind == "vggss" else data["flickr/gt_twice_u8"] / 2
    np.testing.assert_array_equal(np.stack(truth), gt)
    values = np.array([[metrics.ciou(heat[i], truth[i], t) for i in range(12)] for t in metrics.THRESHOLDS])
    parity.close(values, data[f"{kind}/ciou"], 1e-9)
    parity.close(np.array([metrics.success(row) for row in values]), want["ciou_at_0.5_percent"], 1e-4)
    parity.close(np.array([metrics.auc(row) for row in values]), want["auc_percent"], 1e-4)
    for batch in (1, 12):  # in a batch the published code takes the first picture's threshold for all
        levels = [metrics.median_threshold(heat[i if batch == 1 else 0]) for i in range(12)]
        row = [metrics.ciou(heat[i], truth[i], levels[i]) for i in range(12)]
        about = want[f"median_threshold_batch{batch}"]
        assert metrics.success(row) == pytest.approx(about["ciou_at_0.5_percent"], abs=1e-4)
        assert metrics.auc(row) == pytest.approx(about["auc_percent"], abs=1e-4)
        if batch == 1:
            parity.close(np.array(row), data[f"{kind}/ciou_median_threshold"], 1e-9)


class Published:
    """Gives the published heatmaps, one after the other."""

    rate_hz = 16_000

    def __init__(self, heat, confidence):
        self._found = iter(zip(heat, confidence, strict=True))

    def locate(self, rgb, samples):
        return Grounded(*next(self._found))


def test_parity_of_a_whole_folder(published, tmp_path):
    """From the files of VGG-SS with the extended protocol to the published figures."""
    heat, data, info = published
    rows = [{"file": f"n{i:02}", "bbox": boxes} for i, boxes in enumerate(info["inputs"]["vggss_boxes"])]
    (tmp_path / "vggss.json").write_text(json.dumps(rows))
    for i in range(18):
        media(tmp_path, f"n{i:02}", *(("frames", "audio") if i < 12 else ("extend_frames", "extend_audio")))
    items = read_dataset("vggss", tmp_path, extended=True)
    assert [item.sounding for item in items] == list(data["extended/sounding"].astype(bool))
    report = evaluate_dataset(Published(heat[:18], data["extended/confidence"]), "vggss", items)
    parity.close(np.array(report["ciou"]), info["vggss"]["ciou_at_0.5_percent"], 1e-4)
    parity.close(np.array(report["auc"]), info["vggss"]["auc_percent"], 1e-4)
    for name, wanted in (("ap", "AP_percent"), ("max_f1", "max_F1_percent")):
        parity.close(np.array(report[name]), info["extended_vggss"][wanted], 1e-4)


@pytest.mark.parametrize("kind", ["vggss", "flickr"])
def test_parity_of_the_extended_protocol(published, kind):
    heat, data, info = published
    truth, want = [*truths(info, kind), *[EMPTY] * 6], info[f"extended_{kind}"]
    confidence, sounding = data["extended/confidence"], data["extended/sounding"]
    for at, threshold in enumerate(metrics.THRESHOLDS):
        values = [metrics.ciou(heat[i], truth[i], threshold, 1e-12) for i in range(18)]
        if threshold == 0.5:
            parity.close(np.array(values), data[f"extended/{kind}_ciou_at_0.5"], 1e-9)
        assert metrics.extended_ap(values, confidence, sounding) == pytest.approx(want["AP_percent"][at], abs=1e-4)
        assert metrics.extended_max_f1(values, confidence, sounding) == want["max_F1_percent"][at]
        assert metrics.loc_acc(values, sounding) == pytest.approx(100 * want["loc_acc"][at], abs=1e-4)


def test_parity_of_a_long_list(published):
    _, data, info = published
    values, confidence, sounding = (data[f"long/{name}"] for name in ("ciou", "confidence", "sounding"))
    want = info["long_list"]
    assert metrics.extended_ap(values, confidence, sounding) == pytest.approx(want["AP_percent"], abs=1e-4)
    assert metrics.extended_max_f1(values, confidence, sounding) == want["max_F1_percent"]
    assert metrics.loc_acc(values, sounding) == pytest.approx(100 * want["loc_acc"], abs=1e-4)


def test_parity_of_avsbench(published):
    heat, data, info = published
    masks, want = data["avsbench/gt_u8"], info["avsbench"]
    for at, threshold in enumerate(metrics.THRESHOLDS):
        values = [metrics.avs_iou(heat[i], masks[i], threshold) for i in range(12)]
        assert metrics.avs_miou(values, 5) == pytest.approx(want["mIoU_percent"][at], abs=1e-4)
        if threshold == 0.5:
            parity.close(np.array(values), data["avsbench/miou_per_image_at_0.5"], 1e-6)
            assert metrics.avs_miou(values) == pytest.approx(want["batch1_at_0.5"]["mIoU_percent"], abs=1e-4)
    curves = [metrics.avs_f_curve(heat[i], masks[i]) for i in range(12)]
    assert metrics.avs_f(curves) == pytest.approx(want["F_percent"][0], abs=1e-4)
    values = [metrics.avs_iou(heat[i], masks[i], metrics.median_threshold(heat[i])) for i in range(12)]
    assert metrics.avs_miou(values) == pytest.approx(want["median_threshold_batch1_mIoU_percent"], abs=1e-4)
