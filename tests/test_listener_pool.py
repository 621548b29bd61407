"""The pool of windows mixed as sound: known truth, the same for the same seed; a deeper network and its teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.nano import stages
from pipelines.nano.listener import DEEP, NAMES, SHALLOW, STEPS, WINDOW, Listener, Residual, deepened, restored
from pipelines.nano.teacher import Teacher, load_teacher, train_on_pool
from pipelines.nano.training import losses
from pipelines.sounds.crops import Crops, Sounds
from pipelines.sounds.mels import Elsewhere, write_variant
from pipelines.sounds.pool import MIDDLES, Mixer, Pool, PoolWriter
from pipelines.sounds.recordings import RATE_HZ, Store, write_store
from pipelines.sounds.truth import PLACE


def tone(hz: float, seconds: float, begin: float = 0.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.5 * np.sin(2 * np.pi * hz * t) * (t >= begin)).astype(np.float32)


def hiss(seed: int) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(4 * RATE_HZ)).clip(-1, 1).astype(np.float32)


class Ear:
    """A teacher of the right shapes: the spectrum of each patch."""

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        patches = np.stack([x[s : s + 15600] for s in range(0, len(x) - 15600 + 1, 7680)])
        lines = np.abs(np.fft.rfft(patches))[:, : 1024 * 7].reshape(len(patches), 1024, 7).mean(2)
        return lines.astype(np.float32), np.zeros((len(patches), 521), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones are bells, hiss is rain, and two recordings are of nobody knows what."""
    folder = tmp_path_factory.mktemp("pool")
    sounds = []
    for i in range(12):
        sounds.append((tone(500 + 90 * i, 4.0, begin=1.0), row("bell", f"b{i}")))
        sounds.append((hiss(i), row("rain", f"r{i}")))
    for i in range(6):
        sounds.append((hiss(50 + i), row("unlabelled", f"u{i}")))
    write_store(folder, iter(sounds))
    write_variant(Store(folder), folder, 0, Elsewhere([], 1))
    return folder


def row(kind: str, group: str) -> dict[str, object]:
    return {"path": f"{kind}/{group}.ogg", "kind": kind, "group": group, "fold": 0, "split": "train"}


def stores(folder: Path) -> list[tuple[Store, Sounds]]:
    return [(Store(folder), Sounds(folder))]


def test_targets_say_what_sounds_when_and_nothing_of_the_unlabelled(folder: Path) -> None:
    mixer = Mixer(stores(folder), lambda row: row["kind"] in ("bell", "unlabelled"))
    mix, targets, weights = mixer.windows(48, np.random.default_rng(0))
    assert mix.shape == (48, WINDOW) and targets.shape == weights.shape == (48, STEPS, len(NAMES))
    assert not targets[..., PLACE["rain"]].any() and not targets[..., PLACE["other"]].any()
    bell = targets[..., PLACE["bell"]].amax(1) > 0
    unknown = (weights[..., PLACE["rain"]] == 0).any(1)
    assert bell.any() and unknown.any() and (bell | unknown).all()
    only = np.flatnonzero((bell & ~unknown).numpy())
    loud = np.square(mix[only]).reshape(len(only), STEPS, -1).mean(2)
    on = targets[only][..., PLACE["bell"]].numpy() > 0
    assert loud[on].min() > 1e-3 > loud[~on & (weights[only][..., PLACE["bell"]].numpy() > 0)].max(initial=0)


def test_shards_are_kept_and_the_same_step_gives_the_same_windows(folder: Path, tmp_path: Path) -> None:
    for place in ("one", "two"):
        PoolWriter(tmp_path / place, stores(folder), lambda _: True, Ear()).write(0, 120)  # type: ignore[arg-type]
    one, two = Pool(tmp_path / "one"), Pool(tmp_path / "two")
    a, b, other = one.batch(8, 4), two.batch(8, 4), one.batch(8, 5)
    assert a.mel.equal(b.mel) and a.vectors.equal(b.vectors) and not a.mel.equal(other.mel)
    assert a.mel.shape == (8, 64, 240) and a.vectors.shape == (8, len(MIDDLES), 1024) and a.mel.isfinite().all()
    written = (tmp_path / "one" / "0-mel.npy").stat().st_mtime_ns
    writer = PoolWriter(tmp_path / "one", stores(folder), lambda _: True, Ear())  # type: ignore[arg-type]
    writer.write(0, 120)
    assert (tmp_path / "one" / "0-mel.npy").stat().st_mtime_ns == written
    writer.write(1, 60)
    one.look()
    assert len(one.shards) == 2


def test_a_student_comes_near_the_teachers_vectors(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    PoolWriter(tmp_path, stores(folder), lambda _: True, Ear()).write(0, 60)  # type: ignore[arg-type]
    pool, crops = Pool(tmp_path), Crops([Sounds(folder)], stages.is_train, 5)
    listener, teacher = Listener((8, 8, 8, 8), (1, 1, 1), 16), Teacher().eval()
    optimizer = torch.optim.Adam(listener.parameters(), 3e-3)
    said = []
    for step in range(12):
        parts = losses(listener, teacher, crops.batch(4, step), pool.batch(4, step))
        optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimizer.step()
        said.append(float(parts["pool_vectors"].detach()))
    assert set(parts) >= {"clip", "frames", "pool_clip", "pool_frames", "pool_vectors"}
    assert np.mean(said[-3:]) < 0.6 * said[0]


def test_a_deepened_network_says_the_same_and_can_learn_more() -> None:
    torch.manual_seed(0)
    shallow = Listener().eval()
    for parameter in shallow.buffers():
        if parameter.dtype.is_floating_point:
            parameter.uniform_(0.5, 1.5)
    deep = deepened(shallow).eval()
    mel = torch.randn(2, 64, 240)
    for a, b in zip(shallow(mel), deep(mel), strict=True):
        torch.testing.assert_close(a, b)
    blocks = [layer for layer in deep.body if isinstance(layer, Residual)]
    assert len(blocks) == sum(DEEP)
    deep.train()(mel)[1].sum().backward()
    assert all(block.norm.weight.grad is not None and block.norm.weight.grad.abs().sum() > 0 for block in blocks)
    again = restored(deep.state_dict())
    assert sum(isinstance(layer, Residual) for layer in again.body) == sum(DEEP)
    assert sum(isinstance(layer, Residual) for layer in restored(shallow.state_dict()).body) == sum(SHALLOW)


def test_a_teacher_of_the_pool_tells_the_sounds_apart(folder: Path, tmp_path: Path) -> None:
    PoolWriter(tmp_path, stores(folder), lambda row: row["kind"] != "unlabelled", Ear()).write(0, 120)  # type: ignore[arg-type]
    pool = Pool(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.nano.teacher.POOL_STEPS", 60)
        teacher = load_teacher(tmp_path / "pool.pt", lambda: train_on_pool(pool, 1), unit=True)
    vectors, targets, _ = pool.taught()
    with torch.no_grad():
        said = teacher(vectors).sigmoid()
    for label in ("bell", "rain"):
        there = targets[:, PLACE[label]] > 0
        assert said[there, PLACE[label]].mean() > 1.15 * said[~there, PLACE[label]].mean()
    again = load_teacher(tmp_path / "pool.pt", lambda: pytest.fail("it is there"), unit=True)
    with torch.no_grad():
        assert again(vectors).sigmoid().equal(said)
