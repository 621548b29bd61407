"""The training stages learn what they are for, on small data whose truth is known; and the pipelines' commands run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPVisionModel

from pipelines.nano.labels import LABELS
from pipelines.projection.losses import both
from pipelines.projection.mlp import ProjectionMLP
from pipelines.train_alignment import Scenes, Sounds, evaluate, train
from pipelines.train_language import Examples, assemble, export, tokenizer
from pipelines.train_language import loss_of as language_loss
from pipelines.train_language import train as train_language
from pipelines.train_vision import CONFIG, SIDE, WIDTH, Probe, losses, scene
from tests.command import pipeline
from tests.synth import make_movie

N = SIDE * SIDE
TEXTS = ("Heard: probably dog barking and rain falling.", "a dog is barking.", "USER: What do you hear? ASSISTANT:")


def small_world(seed, directions):
    """Sounds and two-thing scenes in which each label has a direction of its own, plus noise."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(LABELS)).repeat(10)
    sounds = directions[0][labels] + 0.3 * torch.randn(len(labels), directions[0].shape[1], generator=rng)
    pairs = torch.stack([torch.randperm(len(LABELS), generator=rng)[:2] for _ in range(400)])
    masks = torch.zeros(400, 2, N, dtype=torch.bool)
    masks[:, 0, : N // 8], masks[:, 1, N // 2 : N // 2 + N // 8] = True, True
    tokens = 0.3 * torch.randn(400, 1 + N, WIDTH, generator=rng)
    for place in range(2):
        shown = directions[1][pairs[:, place]]
        tokens[:, 1:] += masks[:, place, :, None] * shown[:, None]
        tokens[:, 0] += 0.7 * shown
    return Sounds(sounds, torch.nn.functional.one_hot(labels, len(LABELS)).float()), Scenes(tokens, pairs, masks)


@pytest.fixture(scope="module")
def world():
    torch.manual_seed(0)
    directions = torch.randn(len(LABELS), 40), torch.randn(len(LABELS), WIDTH)
    return small_world(1, directions), small_world(2, directions)


def test_the_projection_learns_to_find_the_source(world, monkeypatch):
    monkeypatch.setattr("pipelines.train_alignment.STEPS", 300)
    (sounds, scenes), (other_sounds, other_scenes) = world
    torch.manual_seed(0)
    before = evaluate(ProjectionMLP(40, WIDTH).eval(), other_sounds, other_scenes)
    after = evaluate(train(sounds, scenes, seed=0), other_sounds, other_scenes)
    assert before["best_patch_on_the_source"] < 0.4 and after["best_patch_on_the_source"] > 0.8


def test_the_alignment_loss_equals_its_formula_in_numpy():
    rng = np.random.default_rng(0)
    f, v = rng.standard_normal((5, 8)), rng.standard_normal((5, 8))
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (f, v)]
    logits = unit[0] @ unit[1].T / 0.07
    rows = -np.diag(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
    columns = -np.diag(logits - np.log(np.exp(logits).sum(0, keepdims=True)))
    shift = ((f.mean(0) - v.mean(0)) ** 2).sum() + ((f.std(0, ddof=1) - v.std(0, ddof=1)) ** 2).sum()
    want = (rows.mean() + columns.mean()) / 2 + 0.02 * shift
    assert float(both(torch.from_numpy(f), torch.from_numpy(v))) == pytest.approx(want)


def test_the_language_model_learns_and_comes_back_from_its_files(world, tmp_path):
    from avstream.language import Llava

    torch.manual_seed(0)
    (sounds, scenes), _ = world
    words = tokenizer()
    model = assemble(CLIPVisionModel(CONFIG), words)
    examples = Examples(sounds, scenes, ProjectionMLP(40, WIDTH).eval(), words)
    held_out = [examples.draw(np.random.default_rng(99)) for _ in range(8)]
    with torch.no_grad():
        before = float(language_loss(model, held_out))
    train_language(model, examples, steps=30, seed=0)
    with torch.no_grad():
        assert float(language_loss(model, held_out)) < 0.6 * before
    export(model, words, tmp_path)
    llava = Llava(tmp_path, device=torch.device("cpu"), dtype=torch.float32)
    said = llava.describe(np.random.default_rng(0).standard_normal((4, WIDTH)).astype("f"), "Narrate.", TEXTS[0])
    assert said and words.unk_token_id not in words(said).input_ids


@pytest.mark.parametrize("text", TEXTS)
def test_the_tokenizer_knows_every_word_and_gives_the_text_back(text):
    words = tokenizer()
    ids = words(text).input_ids
    assert words.unk_token_id not in ids and words.decode(ids) == text


def test_a_scene_of_the_tower_has_patches_for_what_is_present():
    pixels, present, patches = scene(np.random.default_rng(0))
    assert pixels.shape == (3, SIDE * 16, SIDE * 16) and patches.shape == (N,)
    assert set(patches[patches < len(LABELS)].tolist()) == set(torch.nonzero(present).flatten().tolist())
    cls_loss, patch_loss = losses(CLIPVisionModel(CONFIG), Probe(), (pixels[None], present[None], patches[None]))
    assert torch.isfinite(cls_loss) and torch.isfinite(patch_loss)


def test_bench_times_a_movie(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", duration_s=4)
    done = pipeline("bench", movie, "--figure", tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    for word in ("real-time factor", "decode", "language"):
        assert word in done.stdout
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert pipeline("bench").returncode == 2
    assert pipeline("bench", tmp_path / "none.mp4").returncode == 3


def test_the_demo_makes_narrates_and_compares(tmp_path):
    done = pipeline("make_demo", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Score:" in done.stdout and "2 of 2 silences kept" in done.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"demo.mp4", "demo.srt", "demo.vtt", "demo.jsonl", "demo-narrated.mp4"}
    lines = [json.loads(line) for line in (tmp_path / "out" / "demo.jsonl").read_text().splitlines()]
    assert sum("event" not in line for line in lines) == 39


PIPELINES = Path(__file__).parents[1] / "pipelines"
COMMANDS = sorted(path.stem for path in PIPELINES.glob("*.py") if '__name__ == "__main__"' in path.read_text("utf-8"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    done = pipeline(name, "--help")
    assert done.returncode == 0 and "--" in done.stdout


def test_the_readme_has_a_line_for_every_command():
    readme = (PIPELINES / "README.md").read_text(encoding="utf-8")
    named = [line.split("`")[1].split(" ")[0] for line in readme.splitlines() if line.startswith("| `")]
    assert sorted(name for name in named if not name.endswith("/")) == COMMANDS
