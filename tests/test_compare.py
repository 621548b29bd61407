"""`avstream compare`: what it measures against NumPy and by hand, and its page in a real browser."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from avstream.alignment import shapes
from avstream.comparison import scores
from avstream.comparison.page import veiled
from avstream.comparison.truth import Truth, active, named, read_truth
from avstream.errors import ConfigError, ModelError, SourceError
from tests import fakes
from tests.browser import ENTER, SPACE, TAB, browser
from tests.command import avstream
from tests.synth import make_movie

PUBLISHED = {
    "clip1": {
        "alignment_scores": {"Temporal": 9},
        "sources": ["Visible Active:", "Dog, Bell", "Visible Silent:", "Cat"],
        "published_captions": {"clap": {"raw": "Dogs are barking.", "projected": "<b>a cat</b> sleeps"}},
    }
}


# Measures


def test_ranks_against_a_sorted_list():
    rng = np.random.default_rng(0)
    sounds, pictures = rng.standard_normal((2, 7, 5)).astype(np.float32)
    cosines = scores.similarity(sounds, pictures)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (sounds, pictures)]
    np.testing.assert_allclose(cosines, unit[0] @ unit[1].T, atol=1e-6)
    want = [1 + sorted(row, reverse=True).index(row[i]) for i, row in enumerate(cosines.tolist())]
    assert scores.ranks(cosines).tolist() == want
    assert scores.ranks(np.ones((5, 5), np.float32)).tolist() == [3.0] * 5  # all alike: what guessing gives
    assert scores.ranks_by_chance(5) == 3.0
    found = scores.retrieval(np.array([[0.9, 0.8, 0.1], [0.3, 0.2, 0.1], [0, 0, 1]], np.float32))
    assert found["sound to picture, mean rank"] == pytest.approx(4 / 3) and found["sound to picture, top-1"] == 2 / 3
    assert found["picture to sound, mean rank"] == pytest.approx(4 / 3)
    assert scores.nearest(cosines, 2) == [np.argsort(-row)[:2].tolist() for row in cosines]


@pytest.mark.parametrize(
    ("right", "of", "interval"), [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1.0))]
)
def test_intervals_are_wilsons(right, of, interval):
    assert scores.wilson(right, of) == pytest.approx(interval, abs=1e-4)
    assert scores.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("sentence", "sources", "found"),
    [
        ("a dog is barking.", ["dog_bark", "rain"], ["dog_bark"]),
        ("Waves and a bell", ["sea_waves", "Church bells"], ["sea_waves", "Church bells"]),
        ("someone sneezes", ["sneeze"], ["sneeze"]),
        ("a baby cries", ["baby_cry"], ["baby_cry"]),
        ("two men are speaking", ["Man"], ["Man"]),
        ("a mannequin and the manual", ["Man"], []),
        ("the sound of rain", ["sound of an engine"], []),
        ("", ["dog"], []),
    ],
)
def test_a_source_is_named_in_any_ending(sentence, sources, found):
    assert named(sentence, sources) == found


def test_the_truth_is_read_in_its_layouts(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(PUBLISHED | {"b.mp4": ["rain"], "c": "dog, bell"}))
    found = read_truth(tmp_path / "a.json")
    assert found["clip1"].sources == ("Dog", "Bell") and found["clip1"].published["clap"]["raw"] == "Dogs are barking."
    assert found["b"] == Truth(("rain",)) and found["c"] == Truth(("dog", "bell"))
    row = {"sample_id": "d_01", "visible_active_sources": ["dog"], "invisible_active_sources": ["rain"]}
    (tmp_path / "ave2.json").write_text(json.dumps([row]))
    assert read_truth(tmp_path / "ave2.json") == {"d_01": Truth(("dog", "rain"))}
    (tmp_path / "a.csv").write_text("clip,sounds\nb.mp4,dog;rain\n\nc,bell\n")
    assert read_truth(tmp_path / "a.csv") == {"b": Truth(("dog", "rain")), "c": Truth(("bell",))}
    assert active(["Cat, dog"]) == ("Cat", "dog")


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": 3}', '{"a": {"x": 1}}'])
def test_another_layout_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SourceError, match=r"a\.json has another layout .*write it as JSON"):
        read_truth(tmp_path / "a.json")


def test_the_veil_covers_what_was_not_kept():
    """Painted by its own path's rectangles, on a 4 x 3 grid of 40 x 30 pixels."""
    kept, painted = {0, 5, 11}, np.zeros((30, 40), int)
    for part in veiled(kept, (3, 4), 40, 30).split("z")[:-1]:
        left, rest = part[1:].split(" ")
        top, rest = rest.split("H", 1)
        right, rest = rest.split("V")
        painted[int(top) : int(rest.split("H")[0]), int(left) : int(right)] += 1
    grid = painted.reshape(3, 10, 4, 10)
    assert all((grid[i // 4, :, i % 4] == (i not in kept)).all() for i in range(12))


# The command


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A page of two clips, one of them four times as long, and a sound without a picture."""
    folder = tmp_path_factory.mktemp("compare")
    make_movie(folder / "clip1.mp4", duration_s=3.0)
    make_movie(folder / "clip 2.mp4", duration_s=8.0, tone=(3.0, 5.0), square=None)
    make_movie(folder / "sound.wav", video=False, duration_s=3.0)
    (folder / "truth.json").write_text(json.dumps(PUBLISHED))
    done = avstream(
        "compare", folder / "clip1.mp4", folder / "clip 2.mp4", folder / "sound.wav", folder / "none.mp4", "--tokens",
        "0,7,500", "--encoder", "whisperclip:nano", "--encoder", "whisper:nano", "--truth", folder / "truth.json",
        "--out", folder / "page.html",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done


def test_every_combination_is_compared(made):
    folder, done = made
    report = json.loads((folder / "page.json").read_text())
    first, second = report["clips"]
    ways = [("whisperclip:nano", "raw"), ("whisperclip:nano", "projected"), ("whisper:nano", "raw")]
    wanted = [(*way, k) for way in ways for k in (0, 7, 100)]  # of 100 patches no more than 100 are kept
    for clip in (first, second):
        assert [(one["encoder"], one["alignment"], one["tokens"]) for one in clip["entries"]] == wanted
        assert all(len(set(one["kept"])) == one["tokens"] for one in clip["entries"])
        assert all(sorted(one["near"]) == ["clip 2.mp4", "clip1.mp4"] for one in clip["entries"])
    assert (first["start_s"], second["start_s"]) == (0.0, 2.5)  # the middle
    assert first["sources"] == ["Dog", "Bell"] and second["sources"] is None
    assert all(isinstance(one["named"], list) for one in first["entries"])
    assert all(one["named"] is None for one in second["entries"])
    assert [one["named"] for one in first["published"]] == [["Dog"], []]
    for one in report["summary"]:
        entries = [e for e in first["entries"] if all(e[k] == one[k] for k in ("encoder", "alignment", "tokens"))]
        assert one["of"] == 1 and one["right"] == sum(bool(entry["named"]) for entry in entries)
    assert len(report["problems"]) == 2 and "has no picture" in report["problems"][0]
    assert "left out" in done.stderr and "none.mp4" in done.stderr
    assert not list(folder.glob("*.part.*"))


def test_raw_and_projected_keep_other_patches(made):
    entries = json.loads((made[0] / "page.json").read_text())["clips"][0]["entries"]
    kept = {(one["encoder"], one["alignment"]): one["kept"] for one in entries if one["tokens"] == 7}
    assert kept["whisperclip:nano", "raw"] != kept["whisperclip:nano", "projected"]


def test_two_files_of_one_name_are_kept_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make_movie(tmp_path / folder / "clip.mp4", duration_s=3.0, size=(64, 48))
    paths = [str(tmp_path / folder / "clip.mp4") for folder in ("a", "b")]
    assert avstream("compare", *paths, "--tokens", "2", "--out", tmp_path / "page.html").returncode == 0
    clips = json.loads((tmp_path / "page.json").read_text())["clips"]
    assert [clip["name"] for clip in clips] == paths and sorted(clips[0]["entries"][0]["near"]) == paths


def test_other_models_and_a_projection_of_ones_own(tmp_path):
    """A LLaVA whose tower has no CLS token, CLAP, Whisper, and weights that were trained for one of them."""
    movie = make_movie(tmp_path / "clip.mp4", duration_s=3.0, size=(64, 48))
    language, clap, whisper = (getattr(fakes, name)(tmp_path / name) for name in ("onevision", "clap", "whisper"))
    width, dim = fakes.WIDTH, 20
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(shape).astype("f") for name, shape in shapes(dim, width).items()}
    save_file(weights, tmp_path / "own.safetensors")
    before = torch.get_float32_matmul_precision()
    done = avstream(
        "compare", movie, "--language", language, "--encoder", f"clap:{clap}", "--encoder", f"whisper:{whisper}",
        "--projection", f"clap:{clap}={tmp_path / 'own.safetensors'}", "--tokens", "2", "--unselected", "zero",
        "--dtype", "float32", "--out", tmp_path / "page.html",
    )  # fmt: skip
    torch.set_float32_matmul_precision(before)
    assert done.returncode == 0, done.stderr
    entries = json.loads((tmp_path / "page.json").read_text())["clips"][0]["entries"]
    ways = [(one["encoder"].partition(":")[0], one["alignment"]) for one in entries]
    assert ways == [("clap", "raw"), ("clap", "projected"), ("whisper", "raw")]
    assert all(len(one["kept"]) == 2 and one["rank"] == 1 for one in entries)
    assert "zeroed" in (tmp_path / "page.html").read_text()


class Tables(HTMLParser):
    """How many of each tag with which scope there are."""

    def __init__(self):
        super().__init__()
        self.scopes, self.tags, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.scopes += [values["scope"]] if "scope" in values else []
        self.links += [values[name] for name in ("href", "src") if name in values]


def test_the_page_is_one_file_with_real_tables(made):
    text = (made[0] / "page.html").read_text()
    page = Tables()
    page.feed(text)
    rows = 9 + 2 * 9 + 2  # the summary, two clips, what was published
    assert page.tags.count("table") == 3 and page.scopes.count("row") == rows and page.scopes.count("col") == 9 + 8 + 8
    assert all(link.startswith(("data:image/jpeg;base64,", "#clip", "clip")) for link in page.links)
    assert "clip%202.mp4" in page.links
    assert "&lt;b&gt;a cat&lt;/b&gt; sleeps" in text  # what others wrote is text
    assert "prefers-color-scheme: dark" in text and len(text) < 400_000


COLUMN = "return [...document.querySelectorAll('table')[{}].tBodies[0].rows].map(r => r.cells[{}].innerText.trim())"
FOCUS = "return document.activeElement.innerText"


def test_the_page_sorts_by_keyboard_and_asks_for_nothing(made):
    with browser() as shown:
        shown.requests()
        page = made[0] / "page.html"
        shown.open(page)
        assert shown.requests() == [page.as_uri()]
        before = shown.run(COLUMN.format(0, 2))
        assert before == ["0", "7", "100"] * 3
        while shown.run(FOCUS).strip() != "k":
            shown.press(TAB)
        shown.press(ENTER)
        assert shown.run(COLUMN.format(0, 2)) == ["0"] * 3 + ["7"] * 3 + ["100"] * 3
        head = "return document.activeElement.closest('th').getAttribute('aria-sort')"
        assert shown.run(head) == "ascending"
        shown.press(SPACE)
        assert shown.run(COLUMN.format(0, 2)) == ["100"] * 3 + ["7"] * 3 + ["0"] * 3
        assert shown.run(head) == "descending"
        said = shown.run(COLUMN.format(1, 2))
        shown.run("document.querySelectorAll('table')[1].querySelectorAll('button')[2].click()")
        assert sorted(said) == sorted(shown.run(COLUMN.format(1, 2))) and shown.run(COLUMN.format(1, 2))[-2:] == [
            "",
            "",
        ]
        wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert shown.run(wide)  # what is wider scrolls in its own box
        assert shown.requests() == []


def test_the_page_is_dark_where_the_reader_wants_it(made):
    colors = []
    for scheme in (1, 0):
        with browser(f"--blink-settings=preferredColorScheme={scheme}") as shown:
            shown.open(made[0] / "page.html")
            colors.append(
                shown.run("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color].join()")
            )
    light, dark = ([int(n) for n in np.array(c.replace("rgb(", "").replace(")", "").split(","))] for c in colors)
    assert sum(light[:3]) > 700 > sum(light[3:]) + 300 and sum(dark[:3]) < 120 and sum(dark[3:]) > 600


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--out", "page.txt"], ConfigError.exit_code, "page that ends with .html"),
        (["--encoder", "wisper"], ConfigError.exit_code, "did you mean 'whisper'"),
        (["--tokens", "many"], 2, "integers such as 15,150"),
        (["--projection", "clap=x"], ConfigError.exit_code, "expected ENCODER=FILE for one of whisperclip:nano"),
        (
            ["--projection", "whisperclip:nano=no.safetensors"],
            ModelError.exit_code,
            "expected projection weights",
        ),
        (["--truth", "none.csv"], SourceError.exit_code, "can't be read from none.csv"),
        ([], SourceError.exit_code, "movie.mp4 is not there"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    movie = tmp_path / "movie.mp4"
    if arguments and arguments[0] == "--projection":
        make_movie(movie, duration_s=3.0)
    done = avstream("compare", movie, *arguments)
    assert done.returncode == code and says in done.stderr
    assert not list(tmp_path.glob("*.html"))
