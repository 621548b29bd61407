"""Manifests, importers and cached vectors: what goes in comes out, and what is wrong is said with its place."""

import json
import shutil
import signal

import numpy as np
import pytest
import torch

from avstream.errors import SourceError
from pipelines import make_embeddings, make_manifest
from pipelines.data.embeddings import audio_lens, embed, pool
from pipelines.data.importers import held_out, texts
from pipelines.data.manifest import Row, read_manifest, select, write_manifest
from pipelines.data.running import Stop
from pipelines.data.segments import read_segment
from pipelines.data.store import Store, key_of
from tests.synth import make_movie

ROW = Row("a.mp4", 3.0, "test", {"temporal": 9.0, "visibility": 8.5}, ("a bell.",), ("bell",), (), ("dog",), "a.wav")


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    return make_movie(tmp_path_factory.mktemp("m") / "a.mp4", duration_s=7, size=(96, 64), fps=8, tone=(0, 7))


def put(movie, folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(movie, folder / name)


def imported(tmp_path, kind, *arguments):
    out = tmp_path / "out.jsonl"
    assert make_manifest.main([kind, *map(str, arguments), "--out", str(out), "--valid", "0", "--test", "0"]) == 0
    return read_manifest(out)


def test_rows_come_back_from_their_file(tmp_path):
    write_manifest(tmp_path / "m.jsonl", [ROW, Row("b.mp4")])
    assert read_manifest(tmp_path / "m.jsonl") == [ROW, Row("b.mp4")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2"),
        ('{"clip": "b", "split": "test", "label": 1}', "unknown key 'label'"),
        ('{"clip": "b", "split": "dev"}', "found 'dev'"),
        ('{"clip": "b", "split": "test", "start_s": -1}', "start_s"),
        ('{"clip": "b", "split": "test", "scores": {"temporal": 11}}', "from 0 to 10"),
        ('{"clip": "b", "split": "test", "captions": "x"}', "captions must be a list"),
        ('{"clip": "b", "split": "test", "sources": {"heard": []}}', "sources"),
        ('{"clip": "a", "split": "train"}', "there already"),
        ("[]", "expected an object"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, words):
    (tmp_path / "m.jsonl").write_text('{"clip": "a", "split": "train"}\n' + line + "\n")
    with pytest.raises(SourceError, match=r"m\.jsonl, line 2: .*" if words == "line 2" else words):
        read_manifest(tmp_path / "m.jsonl")


def test_the_filter_keeps_what_is_above_in_every_score_and_says_where_a_split_went():
    low = Row("c.mp4", split="test", scores={"temporal": 8.0, "visibility": 10.0})
    assert select([ROW, low, Row("d.mp4", split="test")], "test", 8.0) == [ROW, Row("d.mp4", split="test")]
    with pytest.raises(SourceError, match="every score above 8: lower --above"):
        select([low], "test", 8.0)
    with pytest.raises(SourceError, match="no rows of the split 'valid', only of test"):
        select([low], "valid", 8.0)


def test_ave2_gives_scores_captions_and_three_lists(tmp_path, movie, capsys):
    put(movie, tmp_path / "clips", "x_01.mp4", "complete.mp4")
    entry = {
        "youtube_id": "x", "sample_id": "x_01", "segment_start_time": 0, "temporal_alignment_score": 10,
        "spatial_coherence_score": 9, "contextual_relevance_score": 8, "physical_causality_score": 7,
        "sound_source_visibility_score": 6, "video_caption": "A man.", "audio_caption": "Speech.",
        "visible_active_sources": ["man"], "invisible_active_sources": "none", "visible_silent_objects": "board, can",
        "speech_content": "",
    }  # fmt: skip
    (tmp_path / "data").mkdir()
    entries = [entry, {"youtube_id": "complete", "segment_start_time": 3.0}, {"youtube_id": "gone"}]
    (tmp_path / "data" / "test_00000.json").write_text(json.dumps(entries))
    rows = imported(tmp_path, "ave2", tmp_path / "data", "--media", tmp_path / "clips")
    assert rows[0] == Row(
        "clips/x_01.mp4", 0.0, "test",
        {"temporal": 10, "spatial": 9, "contextual": 8, "causality": 7, "visibility": 6},
        ("A man.", "Speech."), ("man",), (), ("board", "can"),
    )  # fmt: skip
    assert (rows[1].clip, rows[1].start_s) == ("clips/complete.mp4", 3.0)
    said = capsys.readouterr().out
    assert "1 clips are not in" in said and "such as gone_01" in said and "0 of 1 segments with scores" in said
    assert texts("['dog\\'s bark', 'none']") == ("dog's bark",)


def test_ave_vggsound_and_audioset(tmp_path, movie):
    put(movie, tmp_path / "AVE", "vid.mp4")
    (tmp_path / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\nChurch bell&vid&good&0&7\n")
    (tmp_path / "testSet.txt").write_text("Church bell&vid&good&0&7\n")
    rows = imported(tmp_path, "ave", tmp_path, "--media", tmp_path / "AVE")
    assert [(row.start_s, row.split, row.visible) for row in rows] == [
        (0, "test", ("church bell",)), (3, "test", ("church bell",)),
    ]  # fmt: skip

    put(movie, tmp_path / "v", "-a_000030.mp4", "b.mp4")
    (tmp_path / "vgg.csv").write_text('-a,30,"dog, barking",test\nb,12,engine,train\nc,1,rain,train\n')
    rows = imported(tmp_path, "vggsound", tmp_path / "vgg.csv", "--media", tmp_path / "v")
    assert [(row.clip, row.start_s, row.split) for row in rows[2:4]] == [
        ("v/-a_000030.mp4", 6, "test"), ("v/b.mp4", 12, "train"),
    ]  # fmt: skip
    assert rows[0].captions == ("dog, barking",)

    (tmp_path / "class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/0,"Speech"\n1,/m/1,"Bell, church"\n'
    )
    (tmp_path / "eval_segments.csv").write_text('# made\n# YTID, a, b, c\n-a, 30.000, 36.000, "/m/0,/m/1"\n')
    rows = imported(tmp_path, "audioset", tmp_path / "eval_segments.csv", "--media", tmp_path / "v")
    assert [(row.start_s, row.split, row.visible) for row in rows] == [
        (0, "test", ("Speech", "Bell, church")), (3, "test", ("Speech", "Bell, church")),
    ]  # fmt: skip


def test_dcase_tells_what_is_on_screen_and_takes_the_sound_of_its_own_file(tmp_path, movie):
    name = "fold4_room1_mix001_deg1_start0"
    put(movie, tmp_path / "video_dev" / "dev-test-tau", f"{name}.mp4")
    sounds = tmp_path / "stereo_dev" / "dev-test-tau"
    sounds.mkdir(parents=True)
    make_movie(sounds / f"{name}.wav", duration_s=5, audio_rate=24000, channels=2, tone=(0, 5))
    lines = [f"{frame},0,0,-9,155,{int(frame < 20)}" for frame in range(30)] + ["5,11,1,20,100,0", "40,8,1,0,9,1"]
    (tmp_path / "metadata_dev" / "dev-test-tau").mkdir(parents=True)
    (tmp_path / "metadata_dev" / "dev-test-tau" / f"{name}.csv").write_text(
        "frame,class,source,azimuth,distance,onscreen\n" + "\n".join(lines) + "\n"
    )
    (row,) = imported(tmp_path, "dcase2025", tmp_path)
    assert (row.split, row.visible, row.invisible) == ("test", ("female speech",), ("bell",))
    window, frame = read_segment(row, tmp_path)
    assert window.rate_hz == 24000 and window.audio.shape == (2, 72000) and frame.rgb.shape[2] == 3


def test_a_folder_gives_every_segment_of_every_movie(tmp_path, movie):
    put(movie, tmp_path / "movies" / "valid", "a.mp4")
    (tmp_path / "movies" / "torn.mp4").write_bytes(b"nothing")
    rows = imported(tmp_path, "folder", tmp_path / "movies")
    assert [(row.clip, row.start_s, row.split) for row in rows] == [
        ("movies/valid/a.mp4", 0, "valid"), ("movies/valid/a.mp4", 3, "valid"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["ave2", "ave", "vggsound", "audioset", "dcase2025", "folder"])
def test_a_wrong_source_is_an_error_of_one_line(tmp_path, kind, capsys):
    assert make_manifest.main([kind, str(tmp_path / "no"), "--out", str(tmp_path / "m.jsonl")]) == 3
    (tmp_path / "x").mkdir()
    assert make_manifest.main([kind, str(tmp_path / "x"), "--out", str(tmp_path / "m.jsonl")]) == 3
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all(line.startswith("make_manifest: ") for line in said)


def test_shares_are_held_out_by_video_and_only_where_a_split_is_empty():
    rows = [Row(f"v{i}_{k:02d}.mp4") for i in range(400) for k in (1, 2)]
    found = held_out(rows, 0.1, 0.2)
    assert found[::2] != rows[::2] and [a.split for a in found[::2]] == [b.split for b in found[1::2]]
    share = sum(row.split == "test" for row in found) / len(found)
    assert 0.14 < share < 0.26 and found == held_out(rows[::-1], 0.1, 0.2)[::-1]
    assert all(row.split != "test" for row in held_out([*rows, Row("t", split="test")], 0, 0.2)[:-1])


@pytest.fixture
def clips(tmp_path):
    """Three good segments, a silent one and a torn one."""
    names = ["a.mp4", "b.mp4", "c.mp4"]
    for i, name in enumerate(names):
        make_movie(tmp_path / name, duration_s=3, size=(96, 64), fps=8, tone=(i / 2, i / 2 + 1))
    make_movie(tmp_path / "silent.mp4", duration_s=3, size=(96, 64), fps=8, tone=None)
    (tmp_path / "torn.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:300])
    rows = [Row(name) for name in [*names, "silent.mp4", "torn.mp4"]]
    write_manifest(tmp_path / "m.jsonl", rows)
    return tmp_path, rows


def test_vectors_are_computed_once_and_broken_clips_are_listed(clips, capsys):
    folder, rows = clips
    arguments = ["--manifest", str(folder / "m.jsonl"), "--cache", str(folder / "cache")]
    assert make_embeddings.main(arguments) == 0
    assert "2 of 5 clips can't be read" in capsys.readouterr().out
    broken = [json.loads(line) for line in (folder / "m.broken.jsonl").read_text().splitlines()]
    assert [one["clip"] for one in broken] == ["silent.mp4", "torn.mp4"]
    shards = sorted((folder / "cache").glob("*/*.safetensors"))
    before = [path.stat().st_mtime_ns for path in shards]
    assert len(shards) == 2 and make_embeddings.main(arguments) == 0
    assert sorted((folder / "cache").glob("*/*.safetensors")) == shards
    assert [path.stat().st_mtime_ns for path in shards] == before
    store = Store.find(folder / "cache", "audio", "whisper:nano")
    layers = store.read([key_of(row, folder) for row in (rows[2], rows[0])])
    assert layers.shape == (2, 4, 192) and not torch.equal(layers[0], layers[1])


def test_an_interrupted_cache_goes_on_where_it_was(clips):
    from avstream.config import presets

    folder, rows = clips
    lens = audio_lens(presets.load("nano"), folder / "cache")
    with Stop() as stop:
        embed(rows, folder, [lens], stop, lambda done: done == 1 and signal.raise_signal(signal.SIGINT))
    assert stop.code == 130 and len(Store(lens.store.folder)) == 1
    again, seen = Store(lens.store.folder), []
    look = lens.look
    from dataclasses import replace

    broken = embed(
        rows, folder, [replace(lens, store=again, look=lambda *x: seen.append(1) or look(*x))], Stop(), lambda _: None
    )
    assert len(seen) == 2 and len(broken) == 2 and len(Store(lens.store.folder)) == 3


def test_another_file_of_the_same_name_is_another_key(clips):
    folder, rows = clips
    before = key_of(rows[0], folder)
    (folder / "a.mp4").write_bytes(b"x")
    assert key_of(rows[0], folder) != before


def test_a_damaged_shard_and_a_missing_store_say_what_to_do(tmp_path):
    store = Store.create(tmp_path, "audio", "clap:x/y", "abc")
    store.add("k", np.ones(3, np.float32))
    store.flush()
    torch.testing.assert_close(Store.find(tmp_path, "audio", "clap:x/y").read(["k"]), torch.ones(1, 3))
    with pytest.raises(SourceError, match=r"no vision vectors of nano .*there: none.*make_embeddings"):
        Store.find(tmp_path, "vision", "nano")
    (store.folder / "00000.safetensors").write_bytes(b"torn")
    with pytest.raises(SourceError, match="delete the folder"):
        Store.find(tmp_path, "audio", "clap:x/y")


def test_poolings_are_the_layers_they_name():
    layers = torch.arange(4.0)[None, :, None].expand(2, 4, 3)
    wanted = {"final": 3.0, "middle": 1.0, "last2": 2.5, "average": 1.5}
    for name, value in wanted.items():
        np.testing.assert_allclose(pool(layers, name), np.full((2, 3), value))
    assert pool(layers, "weighted").shape == (2, 4, 3)
