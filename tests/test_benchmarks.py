"""What the benchmark counts: CPU time and memory of a process, failures, and the reports of live streams."""

from __future__ import annotations

import sys

import pytest
from transformers import Qwen2Config, Qwen2ForCausalLM

from avstream.errors import SourceError
from pipelines.benchmarks import bars, shapes
from tests.synth import make_movie

BURN = "import time\nwhile time.process_time() < {seconds}: pass"


def test_cpu_time_and_memory_are_those_of_the_program():
    idle = bars.spent([sys.executable, "-c", "import time; time.sleep(0.5)"])
    busy = bars.spent([sys.executable, "-c", BURN.format(seconds=0.8)])
    large = bars.spent([sys.executable, "-c", "x = b'a' * (200 * 2**20)"])
    assert idle.cpu_s < 0.4 < 0.8 <= busy.cpu_s < 1.2
    assert large.rss_mib > 200 > 50 > idle.rss_mib > 1


def test_a_program_that_fails_says_so():
    with pytest.raises(SourceError, match=r"ended with 3: no such thing"):
        bars.spent([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"])


def test_live_streams_report_their_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(bars, "STREAMS_S", 5)
    movie = make_movie(tmp_path / "a.mkv", duration_s=4.0, size=(64, 48))
    used, reports = bars.live(movie, 2, tmp_path)
    assert len(reports) == 2
    assert all(windows >= 2 and 0 <= p50 <= p95 for windows, _, p50, p95 in reports)
    assert used.cpu_s > 0.1


def test_rows_stand_in_json_and_in_the_page_beside_their_peers(tmp_path):
    rows = [bars.Row("a", 3.0, "s", "b", 2.0, "1.5 times"), bars.Row("c", 1.0, "s")]
    assert [row["ratio"] for row in bars.as_json(rows)["rows"]] == [1.5, None]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{bars.BEGIN}\nold\n{bars.END}\nafter\n")
    for _ in range(2):
        bars.write_page(page, rows)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count("| a | 3 s | b: 2 | 1.50 | 1.5 times |") == 1
    with pytest.raises(SourceError, match="has no lines"):
        bars.write_page(tmp_path / "other.md", rows)


def test_a_language_model_is_measured_in_each_way_and_scaled(monkeypatch):
    config = Qwen2Config(hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=2,
                         num_key_value_heads=1, vocab_size=100)  # fmt: skip
    monkeypatch.setitem(shapes.LANGUAGE, "llava-0.5b", (Qwen2ForCausalLM, config))
    monkeypatch.setattr(shapes, "WAYS", ("float32", "bfloat16", "int8, dynamic"))
    monkeypatch.setattr(shapes, "REPEATS", 2)
    monkeypatch.setattr(shapes, "MORE", 4)
    found = shapes.measure("llava-0.5b")
    assert [row[0] for row in found.rows] == list(shapes.WAYS)
    assert all(len(row) == len(found.headings) and float(row[-1]) != 0 for row in found.rows)
    assert "2 and 4 of 6 layers" in found.note


def test_a_gpus_language_model_is_run_whole(monkeypatch):
    """By the same code on the CPU, where there is nothing to replay."""
    config = Qwen2Config(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                         num_key_value_heads=1, vocab_size=100)  # fmt: skip
    monkeypatch.setitem(shapes.LANGUAGE, "llava-0.5b", (Qwen2ForCausalLM, config))
    monkeypatch.setattr(shapes, "GPU_WAYS", ("float32",))
    monkeypatch.setattr(shapes, "REPEATS", 2)
    found = shapes.language_on_gpu("llava-0.5b", shapes.CPU)
    (row,) = found.rows
    assert row[0] == "float32" and len(row) == len(found.headings)
    assert float(row[1].split()[0]) > 0 and float(row[-2]) > 0 and "layers were run" not in found.note
