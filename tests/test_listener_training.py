"""The listener's training from sounds to the shipped file, in small: real networks, real files, known truth."""

from __future__ import annotations

import json
import os
import signal
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from pipelines.nano import credits, stages
from pipelines.nano.calibration import expected_error, platt
from pipelines.nano.export_listener import OUTPUTS, Shipped, export, fused, trained
from pipelines.nano.listener import KNOWN, NAMES, STEPS, WINDOW, Listener, MelPower, leveled
from pipelines.sounds.crops import Batch, Crops, Sounds
from pipelines.sounds.mels import Elsewhere, coded, write_variant
from pipelines.sounds.recordings import RATE_HZ, Recording, Store, decode, listed, readable, split, write_store
from pipelines.sounds.truth import PLACE, activity, targets
from pipelines.sounds.vocabulary import LABELS, OTHER, left_out_group, outside_kinds, parent_of

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "sounds"


def tone(hz: float, seconds: float = 4.0, begin: float = 0.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    x = 0.5 * np.sin(2 * np.pi * hz * t) * (t >= begin)
    return (x + 1e-4 * np.random.default_rng(int(hz)).standard_normal(len(x))).astype(np.float32)


def hiss(low: bool, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(4 * RATE_HZ)
    return (0.2 * (np.cumsum(x) / 60 if low else np.diff(x, prepend=0))).clip(-1, 1).astype(np.float32)


def row(kind: str, group: str, where: str) -> dict[str, object]:
    return {"path": f"{kind}/{group}.ogg", "kind": kind, "group": group, "fold": 0, "split": where}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> stages.Run:
    """A run whose sounds are prepared: tones are bells, hiss is rain, low noise is an outside kind."""
    folder = tmp_path_factory.mktemp("run")
    sounds = []
    for i in range(12):
        where = "held" if i % 3 == 2 else "train"
        sounds += [(tone(600 + 90 * i), row("bell", f"b{i}", where)), (hiss(False, i), row("rain", f"r{i}", where))]
        sounds.append((hiss(True, i), row("fan", f"f{i}", "train")))
    for name in ("real", "made"):
        write_store(folder / name, iter(sounds if name == "real" else sounds[:6]))
        for variant in range(2):
            write_variant(Store(folder / name), folder / name, variant, Elsewhere([], 1))
    return stages.Run(folder, folder, None, None, size=4, batches=(2, 1))


def test_a_split_never_shares_a_source_and_fold_four_is_only_tested() -> None:
    made = [Recording(f"{kind}/{i}.ogg", kind, f"{kind}-{i // 3}", fold, "CC0", "", "")
            for kind in ("rain", "bell", "cough") for fold in range(5)
            for i in range(30 * fold, 30 * fold + 30)]  # fmt: skip
    done = split(made)
    sides: dict[str, set[str]] = {}
    for r in done:
        sides.setdefault(r.group, set()).add(r.split)
    assert all(len(where) == 1 for where in sides.values())
    assert all(r.split == "test" for r in done if r.fold == 4)
    assert not any(r.split == "test" for r in done if r.fold in (1, 2, 3))
    for kind in ("rain", "bell", "cough"):
        shares = [np.mean([r.split == where for r in done if r.kind == kind]) for where in ("train", "held", "test")]
        assert shares[0] > 0.5 and shares[1] > 0.05 and shares[2] > 0.15
    assert split(made) == done


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the recordings in ../shared/data/sounds")
def test_the_recordings_splits_share_no_source() -> None:
    sides: dict[str, set[str]] = {}
    for r in split(listed(DATA)):
        sides.setdefault(r.group, set()).add(r.split)
    assert len(sides) > 500 and all(len(where) == 1 for where in sides.values())


def test_a_recording_that_cant_be_read_is_listed_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "rain").mkdir()
    (tmp_path / "rain" / "broken.ogg").write_bytes(b"OggS and then nothing of the kind")
    with wave.open(str(tmp_path / "rain" / "good.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "none"))
        file.writeframes((8000 * np.sin(np.arange(8000) / 3)).astype(np.int16).tobytes())
    both = [Recording(f"rain/{name}", "rain", name, 0, "CC0", "", "") for name in ("broken.ogg", "good.wav")]
    bad: list[str] = []
    count = write_store(tmp_path / "store", readable(tmp_path, both, bad))
    assert count == 1 and len(bad) == 1 and "broken.ogg" in bad[0]
    store = Store(tmp_path / "store")
    assert store.rows[0]["path"] == "rain/good.wav" and abs(len(store[0]) - RATE_HZ) < 50
    assert np.abs(decode(tmp_path / "rain" / "good.wav")).max() > 0.2


def test_truth_says_label_parent_and_what_is_unknown() -> None:
    target, weight = targets("dog_bark")
    assert target[PLACE["dog_bark"]] == 1 and target[PLACE["/animal"]] == 1 and target.sum() == 2
    target, weight = targets("clarinet")
    assert target[PLACE["music"]] == 1 and weight[PLACE[OTHER]] == 0 and target[PLACE["flute"]] == 0
    target, weight = targets("gong")
    assert target[PLACE[OTHER]] == 1 and weight[PLACE["bell"]] == 0
    assert targets("noise")[0].sum() == 0
    assert len({left_out_group(kind) for kind in outside_kinds()}) == 3
    assert min(sum(left_out_group(kind) == g for kind in outside_kinds()) for g in range(3)) >= 15
    assert all(parent_of(label) for label in LABELS)


def test_a_bark_sounds_where_it_stands_out_and_rain_throughout() -> None:
    level = np.full(50, -60.0)
    level[20:25] = -10
    assert activity(level, "dog_bark")[20:25].tolist() == [1] * 5
    assert not activity(level, "dog_bark")[:20].any()
    assert (activity(np.linspace(-20, -30, 50), "rain") == 1).all()


def test_frames_of_a_mixture_follow_what_sounds_when(tmp_path: Path) -> None:
    sounds = [(tone(900, 3.0, begin=1.5), row("bell", "b", "train"))]
    write_store(tmp_path, iter(sounds))
    write_variant(Store(tmp_path), tmp_path, 0, Elsewhere([], 1))
    batch = Crops([Sounds(tmp_path)], lambda _: True, 3, plain=True).batch(4, 0)
    bell = batch.frames[0, :, PLACE["bell"]]
    assert batch.mel.shape == (4, 64, 240) and batch.frames.shape == (4, STEPS, len(NAMES))
    assert bell[:14].sum() == 0 and bell[16:].sum() == 14 and batch.clip[0, PLACE["bell"]] == 1
    assert batch.frames[0, :, PLACE["/signal"]].equal(bell)


def test_a_sound_that_has_just_begun_fills_the_window_by_being_repeated(tmp_path: Path) -> None:
    write_store(tmp_path, iter([(tone(900, 3.0, begin=1.5), row("bell", "b", "train"))]))
    write_variant(Store(tmp_path), tmp_path, 0, Elsewhere([], 1))
    sounds = Sounds(tmp_path)
    crops = Crops([sounds], lambda _: True, 3, begun=1.0)
    for seed in range(20):
        crop = crops.crop((0, 0), np.random.default_rng(seed))
        starts = [s for s in range(10, 30) if (crop.mel[:8] == sounds.mels[0][8 * s : 8 * s + 8]).all()]
        assert len(starts) == 1 and crop.active.all(), "it begins where the bell sounds, and sounds throughout"
        periods = [p for p in range(5, 24) if (crop.mel[8 * p :] == crop.mel[: -8 * p]).all()]
        assert periods and starts[0] + periods[0] <= 30, "of the recording, and of nothing after it"


def test_batches_are_the_same_for_the_same_seed_and_step(run: stages.Run) -> None:
    crops = [Crops(run.stores(), stages.is_train, 5) for _ in range(2)]
    one, two = crops[0].batch(6, 3), crops[1].batch(6, 3)
    assert one.mel.equal(two.mel) and one.clip.equal(two.clip) and not one.mel.equal(crops[0].batch(6, 4).mel)
    assert one.mel.isfinite().all()


def test_how_loud_a_window_is_decides_nothing() -> None:
    x = torch.from_numpy(np.stack([tone(700, 3.0), hiss(False, 1)[:WINDOW]]))
    mel = MelPower()
    torch.testing.assert_close(leveled(mel(x)), leveled(mel(0.01 * x)), atol=1e-3, rtol=0)


def test_folding_the_normalizations_changes_nothing() -> None:
    torch.manual_seed(0)
    network = Listener((8, 8, 8, 8), (1, 1, 1), 16)
    mel = torch.randn(4, 64, 240)
    network.train()
    network(mel)
    network.eval()
    for a, b in zip(network(mel), fused(network)(mel), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_codecs_keep_length_and_sound() -> None:
    x = tone(500, 1.0)
    for codec, rate in (("libopus", 24000), ("mp3", 48000), ("aac", 40000)):
        y = coded(x, codec, rate)
        assert len(y) == len(x) and 0.5 < y[4000:].std() / x[4000:].std() < 1.5


def test_platt_makes_chances_true_ones() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.02, 0.98, (1500, 3))
    target = (rng.random((1500, 3)) < chance).astype(np.float32)
    logits = torch.from_numpy((3 * np.log(chance / (1 - chance)) + 1).astype(np.float32))
    scale, bias = platt(logits, torch.from_numpy(target), torch.ones(1500, 3), 1.0)
    fitted = 1 / (1 + np.exp(-(logits.numpy() * scale + bias)))
    assert expected_error(fitted, target) < 0.04 < expected_error(torch.sigmoid(logits).numpy(), target)


def test_from_sounds_to_the_shipped_file(run: stages.Run, tmp_path: Path) -> None:
    """Stop by SIGTERM, go on, fine-tune with and without outside kinds, calibrate, export; the file says the same."""
    import onnxruntime

    batch = Crops.batch

    def interrupted(self: Crops, n: int, step: int) -> Batch:
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(self, n, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Crops, "batch", interrupted)
        assert stages.base(run, 5.0) is False
    stopped = torch.load(run.folder / "base.pt", weights_only=True)
    assert stopped["step"] == 3
    minutes = stopped["elapsed_s"] / 60 + 0.03
    assert stages.base(run, minutes) is True
    done = torch.load(run.folder / "base.pt", weights_only=True)
    assert done["step"] > stopped["step"] and done["elapsed_s"] >= 60 * minutes
    assert stages.base(run, minutes) is True  # complete: nothing is learned again
    assert torch.load(run.folder / "base.pt", weights_only=True)["step"] == done["step"]
    group = left_out_group("fan")
    assert stages.learn(run, f"group-{group}", 0.02, stages.of_group(group), "base")
    assert stages.final(run, 0.02)

    stages.average(run)
    parts = [torch.load(run.folder / f"{n}.pt", weights_only=True)["average"] for n in ("final", f"group-{group}")]
    both = torch.load(run.folder / "shipped.pt", weights_only=True)["average"]["clip.weight"]
    torch.testing.assert_close(both, (parts[0]["clip.weight"] + parts[1]["clip.weight"]) / 2)
    fitted = stages.calibrated(run)
    network = trained(run.folder / "shipped.pt")
    export(network, fitted, tmp_path / "listener")
    about = json.loads((tmp_path / "listener" / "listener.json").read_text())
    assert about["labels"] == [*LABELS, OTHER] and about["hop_s"] == 0.1 and about["window_s"] == 3.0
    assert len(about["thresholds"]) == KNOWN + 1 and set(about["calibration"]) >= {"fitted_on", "ece"}
    session = onnxruntime.InferenceSession(tmp_path / "listener" / "listener.onnx")
    x = np.stack([tone(700, 3.0), hiss(False, 3)[:WINDOW], np.zeros(WINDOW, np.float32)])
    said = session.run(list(OUTPUTS), {"samples": x})
    with torch.no_grad():
        wanted = Shipped(network, fitted).eval()(torch.from_numpy(x))
    for name, a, b in zip(OUTPUTS, said, wanted, strict=True):
        np.testing.assert_allclose(a, b.numpy(), atol=1e-3, err_msg=name)
        assert np.isfinite(a).all()
    assert said[0].shape == (3, STEPS, KNOWN + 1) and said[1].shape == (3, KNOWN + 1)


def test_credits_name_everybody_and_what_was_only_tested(tmp_path: Path) -> None:
    some = [Recording("rain/a.ogg", "rain", "a", 1, "CC-BY 3.0", "by Ann\nLee", "x/y", "train"),
            Recording("rain/b.ogg", "rain", "b", 4, "CC0", "by Bo", "x/y", "test")]  # fmt: skip
    assert credits.write(some, tmp_path / "CREDITS.tsv") == 2
    text = (tmp_path / "CREDITS.tsv").read_text().splitlines()
    assert text[1] == "test only\tCC0\tby Bo\tx/y\t1\train" and "by Ann Lee" in text[2]
