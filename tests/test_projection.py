"""The projection's training: its losses, that it goes on exactly where it was, and that it ends clearly."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from avstream import loading
from avstream.checkpoints import NANO
from avstream.config import presets
from avstream.errors import ConfigError, ModelError
from pipelines import evaluate_retrieval, train_projection
from pipelines.data.running import Stop
from pipelines.projection.losses import LOSSES
from pipelines.projection.model import Trained
from pipelines.projection.plan import Pairs, Plan
from pipelines.projection.train import STATE, WEIGHTS, Training, read_log
from tests.study import prepared

CPU = torch.device("cpu")


def pairs(count, seed, scale=1.0, layers=0):
    """Sounds that a linear map takes to their pictures, and some noise."""
    rng = torch.Generator().manual_seed(seed)
    there = torch.randn(10, 12, generator=torch.Generator().manual_seed(0))
    sounds = torch.randn(count, 10, generator=rng)
    pictures = (sounds @ there + 0.1 * torch.randn(count, 12, generator=rng)) * scale
    if layers:  # only the last layer knows it
        noise = torch.randn(count, layers - 1, 10, generator=rng)
        sounds = torch.cat([noise, sounds[:, None]], 1)
    return Pairs(sounds, pictures)


def plan(**changes):
    return replace(Plan("whisperclip:nano", "nano", "average", epochs=4, batch=16, lr=1e-3, seed=3), **changes)


def training(folder, train=None, valid=None, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    return Training(plan(**changes), folder, train or pairs(80, 1), valid or pairs(32, 2), CPU)


def same_weights(*folders):
    a, b = (load_file(folder / WEIGHTS) for folder in folders)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_lowered_on_pairs_that_were_not_seen(tmp_path, loss):
    one = training(tmp_path, pairs(320, 1), loss=loss, epochs=6)
    before, _ = one.validate()
    with Stop() as stop:
        one.run(stop, lambda _: None)
    log = read_log(tmp_path)
    assert log[-1]["valid_loss"] < before and [line["epoch"] for line in log] == [1, 2, 3, 4, 5, 6]
    assert one.best == pytest.approx(min(line["valid_rank"] for line in log), abs=1e-3)


def test_cosine_and_mse_are_their_formulas():
    f, v = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0], [3.0, 3.0]])
    assert float(LOSSES["cosine"](f, v)) == pytest.approx((1 + 0) / 2)
    assert float(LOSSES["mse"](f, v)) == pytest.approx((1 + 4 + 4 + 4) / 4)


@pytest.mark.parametrize("after", [1, 7, 12])
def test_a_training_that_was_interrupted_ends_with_the_same_weights(tmp_path, after):
    straight = training(tmp_path / "straight", loss="both")
    straight.run(Stop(), lambda _: None)

    class After:  # asks to stop after so many steps
        left = after

        def __bool__(self):
            self.left -= 1
            return self.left == 0

    training(tmp_path / "parts").run(After(), lambda _: None)
    second = training(tmp_path / "parts", seed=3)
    second.resume()
    assert second.epoch * second.steps + second.step == after
    second.run(Stop(), lambda _: None)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value), name
    assert same_weights(tmp_path / "straight", tmp_path / "parts")
    timeless = [[{**line, "seconds": 0} for line in read_log(tmp_path / name)] for name in ("straight", "parts")]
    assert timeless[0] == timeless[1]


def test_seeds_differ_and_equal_seeds_do_not(tmp_path):
    runs = [training(tmp_path / str(i), seed=seed) for i, seed in enumerate((1, 1, 2))]
    for one in runs:
        one.run(Stop(), lambda _: None)
    assert same_weights(tmp_path / "0", tmp_path / "1") and not same_weights(tmp_path / "0", tmp_path / "2")


def test_weighted_pooling_learns_which_layer_knows(tmp_path):
    one = training(tmp_path, pairs(320, 1, layers=3), pairs(64, 2, layers=3), pooling="weighted", epochs=20, lr=3e-3)
    one.run(Stop(), lambda _: None)
    trained = Trained(tmp_path / WEIGHTS)
    weights = [float(x) for x in trained.notes["layer_weights"].split()]
    assert weights[2] == max(weights) and sum(weights) == pytest.approx(1, abs=1e-4)
    sounds = pairs(5, 4, layers=3).sounds
    one.model.eval()
    trained_best = trained.project(sounds)
    assert trained_best.shape == (5, 12) and torch.isfinite(trained_best).all()


def test_a_loss_that_is_not_finite_ends_it_and_keeps_the_last_good_epoch(tmp_path):
    good = training(tmp_path)
    good.run(Stop(), lambda epoch: None)
    kept = (tmp_path / WEIGHTS).read_bytes()
    bad = training(tmp_path, pairs(80, 1, scale=1e30), loss="mse")
    with pytest.raises(ModelError, match=r"became inf in epoch 1, step 1 \(seed 3\).*lower --lr"):
        bad.run(Stop(), lambda _: None)
    assert (tmp_path / WEIGHTS).read_bytes() == kept


def test_foreign_and_differing_checkpoints_are_refused(tmp_path):
    training(tmp_path).save()
    with pytest.raises(ConfigError, match=r"trained with lr 0\.001, not 0\.01: give the same options"):
        training(tmp_path, lr=0.01).resume()
    for content in (b"junk", b"PK\x03\x04junk"):
        (tmp_path / STATE).write_bytes(content)
        with pytest.raises(ModelError, match="no saved training of this command"):
            training(tmp_path).resume()
    torch.save({"model": torch.zeros(1)}, tmp_path / STATE)
    with pytest.raises(ModelError, match="no saved training"):
        training(tmp_path).resume()
    with pytest.raises(ConfigError, match="found 1 and 32"):
        training(tmp_path, train=pairs(1, 1))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_between_steps_with_its_own_code(tmp_path, number, code):
    one = training(tmp_path, epochs=50)
    with Stop() as stop:
        one.run(stop, lambda epoch: epoch == 2 and signal.raise_signal(number))
    assert stop.code == code and not one.done and (tmp_path / STATE).is_file()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("study"))


def test_the_command_trains_what_the_program_and_retrieval_take(data, tmp_path, capsys):
    out = tmp_path / "p"
    options = [*data, "--out", str(out), "--seeds", "1", "2", "--epochs", "2", "--batch", "4", "--threads", "1"]
    assert train_projection.main(options) == 0
    weights = out / "seed-2" / WEIGHTS
    models = loading.load(presets.load("nano", alignment=str(weights)))
    assert models.alignment is not None
    z = torch.randn(192)
    want = Trained(weights).project(z[None])[0]
    torch.testing.assert_close(torch.from_numpy(models.alignment(z.numpy())), want, rtol=0, atol=1e-4)
    card = (out / "README.md").read_text()
    assert "| 2 | `seed-2/projection.safetensors` | 2 |" in card and (out / "loss.png").stat().st_size > 5000

    assert train_projection.main(options) == 2
    assert "add --resume" in capsys.readouterr().err
    assert train_projection.main([*options, "--resume"]) == 0
    assert train_projection.main([*options, "--resume", "--lr", "0.01"]) == 2
    assert train_projection.main([*options, "--audio", "clap:x/y", "--pooling", "final"]) == 2

    found = [str(path) for path in sorted(out.glob("*/*.safetensors"))]
    retrieval = ["--out", str(tmp_path / "r"), "--drawn", "4", "--alignment", *found, "--audio", "whisper:nano"]
    assert evaluate_retrieval.main([*data, *retrieval]) == 0
    report = json.loads((tmp_path / "r" / "retrieval.json").read_text())
    assert [one["alpha"] for one in report["entries"]] == [1, 0, 0.25, 0.5, 0.75, 1]
    assert len(report["entries"][1]["top-1 by seed"]) == 2 and report["limits"]["chance"]["top-1"] == 25
    assert "bound" in (tmp_path / "r" / "retrieval.md").read_text() and (tmp_path / "r" / "retrieval.png").is_file()


def test_what_is_missing_ends_the_command_with_one_line(data, tmp_path, capsys):
    out = ["--out", str(tmp_path / "p")]
    manifest, cache = data[1], data[5]
    assert train_projection.main(["--manifest", str(tmp_path / "no"), *out]) == 3
    assert train_projection.main(["--manifest", manifest, "--cache", str(tmp_path), *out]) == 3
    cut = Path(manifest).with_name("cut.jsonl")
    lines = Path(manifest).read_text().splitlines()
    cut.write_text("\n".join(line for line in lines if '"valid"' not in line))
    assert train_projection.main(["--manifest", str(cut), "--cache", cache, *out]) == 3
    assert train_projection.main([*data, *out, "--audio", "whisperclip:/no"]) == 3
    assert train_projection.main([*data, *out, "--batch", "1"]) == 2
    assert evaluate_retrieval.main([*data, *out]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 6 and "make_manifest" in said[0]
    assert "make_embeddings" in said[1] and "no rows of the split 'valid'" in said[2]
    assert evaluate_retrieval.main([*data, *out, "--alignment", str(NANO / "llava" / "model.safetensors")]) == 4
    assert "that python -m pipelines.train_projection wrote" in capsys.readouterr().err
