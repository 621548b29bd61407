"""The study at a tiny scale: its corpus is as it says, it runs to the page, and it goes on where it stopped."""

import json
import re

import pytest

from pipelines.data.importers import ave2
from pipelines.data.segments import read_segment
from pipelines.evaluation import texts
from pipelines.study import findings
from pipelines.study.corpus import KINDS, make_corpus
from pipelines.study.report import write
from pipelines.study.stages import Scale, Study, run

TINY = Scale({"train": 16, "valid": 8, "test": 12}, ("--lr", "1e-3", "--epochs", "1"), scenes=32, steps=2, limit="2")


def test_the_corpus_is_what_its_release_says(tmp_path):
    make_corpus(tmp_path, seed=1, clips={"train": 3, "valid": 0, "test": 3})
    rows = list(ave2(tmp_path / "data", tmp_path / "clips"))
    assert [row.split for row in rows].count("test") == 3 and len(KINDS) >= 13
    for row in rows:
        assert 1 <= len(row.sounding) <= 3 and set(row.sounding) <= set(KINDS)
        assert texts.named(row.captions[0], row.sounding) == {"source named": 1, "exactly": 1, "others named": 0}
        assert row.passes(8) is not bool(row.invisible)
        window, frame = read_segment(row, tmp_path)
        assert window.audio.shape[1] == 3 * window.rate_hz and frame.rgb.shape == (160, 160, 3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "clips").iterdir()}
    next((tmp_path / "clips").iterdir()).unlink()
    make_corpus(tmp_path, seed=1, clips={"train": 3, "valid": 0, "test": 3})
    assert {path.name: path.read_bytes() for path in (tmp_path / "clips").iterdir()} == before


@pytest.mark.timeout(900)
def test_a_tiny_study_writes_its_page_and_repeats_no_step(tmp_path):
    study = Study(tmp_path / "study", TINY)
    run(study)
    page = write(study, tmp_path / "docs").read_text()
    for words in (
        "## Retrieval",
        "bound: knows the set of sources",
        "weighted",
        "## Do the paper's findings hold here?",
    ):
        assert words in page
    assert "{" not in page and not re.search(r"\bnan\b", page)
    assert {path.name for path in (tmp_path / "docs").glob("*.png")} == {
        f"study-{name}.png" for name in ("corpus", "retrieval", "generation", "tradeoff")
    }
    again = Study(tmp_path / "study", TINY)
    again.step("vectors", lambda: pytest.fail("it was done"))
    del again.steps["retrieval ours"]
    run(again)
    assert json.loads((tmp_path / "study" / "steps.json").read_text()).keys() == study.steps.keys()


def test_a_difference_counts_only_beyond_its_interval():
    a, b = [1.0] * 30 + [0.0] * 30, [0.0] * 60
    assert findings.compared("x", ("a", "b"), (a, b), 1).verdict == findings.HOLDS
    assert findings.compared("x", ("a", "b"), (b, a), 1).verdict == findings.FAILS
    assert findings.compared("x", ("a", "b"), (a, a), 1).verdict == findings.OPEN
    assert findings.middle([0, 0.5, 1], [20, 19, 2], [0.4, 0.78, 0.8]).verdict == findings.FAILS
    assert findings.middle([0, 0.5, 1], [20, 9, 2], [0.4, 0.5, 0.8]).verdict == findings.HOLDS
