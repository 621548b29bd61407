"""`python -m pipelines.evaluate_sounds`: each method on small real files, its figures by hand, its map in a browser."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image

from avstream.errors import ConfigError, ModelError, SourceError
from pipelines.classification import maps, scores, vision
from pipelines.classification.clips import Clip, read_clips, windows
from pipelines.classification.methods import Answers, stands_for
from tests import fakes
from tests.browser import TAB, browser
from tests.command import pipeline
from tests.test_localization_metrics import write_wav

CLASSES = ("dog_bark", "rain", "siren")
RATE = 16_000


def sound(label, seed):
    """A second of bursts, of noise or of a gliding tone, each a little different."""
    rng, t = np.random.default_rng(seed), np.arange(RATE) / RATE
    noise = rng.standard_normal(RATE)
    if label == "dog_bark":
        return 0.4 * noise * np.exp(-12 * (t % rng.uniform(0.22, 0.3)))
    if label == "rain":
        return 0.1 * noise
    return 0.4 * np.sin(2 * np.pi * (700 * t + 60 * np.sin(2 * np.pi * rng.uniform(1.5, 2.5) * t)))


@pytest.fixture(autouse=True)
def full_precision():
    """Loading a preset lowers the precision of products for all of the process."""
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes in five folds of two recordings, named as ESC names them, and a file that is none."""
    root = tmp_path_factory.mktemp("sounds")
    for c, label in enumerate(CLASSES):
        for i in range(10):
            name = f"{1 + i % 5}-{100 * c + i}-A.wav"
            write_wav(root / label / name, sound(label, 10 * c + i).astype("f"), RATE)
    (root / "rain" / "5-999-A.wav").write_bytes(b"no sound")
    return root


def report(out):
    return json.loads((out / "sounds.json").read_text())


# Data


def test_folders_and_esc50s_table_are_read(folder, tmp_path):
    clips = read_clips(folder)
    assert len(clips) == 31 and {clip.label for clip in clips} == set(CLASSES)
    assert (clips[0].fold, clips[0].recording) == (1, "0")
    assert len(read_clips(folder, limit=3)) == 9
    (tmp_path / "meta").mkdir()
    rows = "filename,fold,target,category,esc10,src_file,take\na.wav,2,0,dog,True,7,A\nb.wav,3,1,cat,False,8,B\n"
    (tmp_path / "meta" / "esc50.csv").write_text(rows + "c.wav,3,2,rain,True,9,A\n")
    found = read_clips(tmp_path, esc10=True)
    assert [(clip.label, clip.fold, clip.recording) for clip in found] == [("dog", 2, "7"), ("rain", 3, "9")]
    assert found[0].path == tmp_path / "audio" / "a.wav" and len(read_clips(tmp_path)) == 3
    with pytest.raises(SourceError, match="two classes"):
        read_clips(folder / "rain")
    (tmp_path / "meta" / "esc50.csv").write_text("x\n1\n")
    with pytest.raises(SourceError, match="not ESC-50's table"):
        read_clips(tmp_path)


def test_silent_windows_are_left_out():
    loud = np.random.default_rng(0).standard_normal((1, 3 * RATE)).astype("f") * 0.1
    audio = np.concatenate([loud, np.zeros((1, 4 * RATE), "f")], axis=1)
    assert [piece.size for piece in windows(audio, RATE, RATE)] == [3 * RATE] * 3
    assert len(windows(np.zeros((2, RATE), "f"), RATE, RATE)) == 1


# Figures


def test_scores_by_hand():
    clips = [Clip(None, label, 1, recording) for label, recording in zip("aabbb", "11234", strict=True)]
    entry = scores.score(Answers("m", ["a", "b", "b", None, "b"]), clips, ["a", "b"])
    assert entry["accuracy"] == 0.6 and entry["recall"] == {"a": 0.5, "b": pytest.approx(2 / 3)}
    assert entry["confusion"] == [[1, 1, 0], [0, 2, 1]]
    assert entry["wilson"] == pytest.approx([0.2307, 0.8824], abs=1e-4)
    assert "60.0 | 23.1 to 88.2" in scores.table([entry])


def test_takes_of_one_recording_count_as_one():
    right = np.array([True] * 50 + [False] * 50)
    alone = scores.bootstrap(right, [str(i) for i in range(100)])
    pairs = scores.bootstrap(right, [str(i // 25) for i in range(100)])
    assert alone == pytest.approx((0.4, 0.6), abs=0.03) and pairs[1] - pairs[0] > 3 * (alone[1] - alone[0])


@pytest.mark.parametrize(
    ("label", "of", "means"),
    [
        ("dog_bark", "dog_bark", True),
        ("rain", "dog_bark", False),
        ("pet", "dog_bark", True),  # a general word that covers no other class
        ("animal", "dog_bark", False),  # covers the rooster, too
        ("baby_cry", "crying", True),
    ],
)
def test_a_listeners_label_stands_for_a_class(label, of, means):
    assert stands_for(label, of, [of, "rooster", "rain"]) == means


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("dog bark", "dog_bark"),
        ("**Dog bark.**", "dog_bark"),
        ("I think a dog is barking here", "dog_bark"),
        ("It is rain", "rain"),
        ("rain, not a siren", "rain"),
        ("a car horn", "car_horn"),
        ("no idea", None),
        ("", None),
    ],
)
def test_an_answer_is_read(answer, label):
    assert vision.named_label(answer, ["car_horn", "dog_bark", "rain", "siren"]) == label


# What a vision-language model is shown


def test_a_spectrogram_has_time_to_the_right_and_frequency_upwards():
    t = np.arange(2 * vision.RATE_HZ) / vision.RATE_HZ
    tone = np.where(t < 1, np.sin(2 * np.pi * 300 * t), np.sin(2 * np.pi * 6000 * t)).astype("f")
    bright = vision.draw(tone, 200).astype(int).sum(2)
    assert bright.shape == (200, 200)
    low, high = bright[:, 20:80].sum(1).argmax(), bright[:, 120:180].sum(1).argmax()
    assert low > 150 and high < 60
    assert vision.draw(np.zeros(0, "f"), 50).shape == (50, 50, 3)


def test_examples_are_of_other_folds_and_of_every_class(folder):
    clips = read_clips(folder)
    for clip in clips[::7]:
        chosen = vision.examples_for(clip, clips, 2, seed=0)
        assert len(chosen) == 6 and {one.label for one in chosen} == set(CLASSES)
        assert all(one.fold != clip.fold for one in chosen)
    question, picture = vision.prepared(clips[0], CLASSES, 2, 0, clips[:-1])
    rows, page = 2, picture()
    assert "dog bark, rain, siren" in question and "examples" in question
    assert page.shape == (rows * (vision.SMALL + vision.LINE) + vision.LINE + vision.SIDE, 5 * vision.SMALL, 3)


@pytest.fixture
def endpoint():
    """An OpenAI-compatible server that looks at the picture: bright everywhere is rain."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text, image = body["messages"][0]["content"]
            uri = image["image_url"]["url"]
            rgb = np.array(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))
            seen.append((self.headers["Authorization"], body["model"], text["text"], rgb.shape))
            answer = "It is rain." if np.median(rgb[:, :, 0]) > 180 else "Cannot say."
            data = json.dumps({"choices": [{"message": {"content": answer}}]}).encode()
            self.send_response(200), self.end_headers(), self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", seen
    server.shutdown()
    server.server_close()


def test_a_remote_model_is_shown_pictures_once(folder, tmp_path, endpoint, monkeypatch):
    url, seen = endpoint
    monkeypatch.setenv("AVSTREAM_VLM_KEY", "sesame")
    arguments = (folder, "--limit", "2", "--vlm", url, "--vlm-model", "eye", "--out", tmp_path)
    done = pipeline("evaluate_sounds", *arguments)
    assert done.returncode == 0, done.stderr
    assert len(seen) == 6 and {one[0] for one in seen} == {"Bearer sesame"} and seen[0][1] == "eye"
    assert seen[0][3] == (vision.SIDE, vision.SIDE, 3)
    entry = report(tmp_path)["methods"][0]
    assert entry["recall"] == {"dog_bark": 0.0, "rain": 1.0, "siren": 0.0}
    assert [row[-1] for row in entry["confusion"]] == [0, 0, 2]  # names no class
    assert (
        pipeline("evaluate_sounds", *arguments).returncode == 0 and len(seen) == 6
    )  # kept answers are not asked again
    written = "".join(path.read_text() for path in tmp_path.iterdir() if path.suffix != ".png")
    assert "sesame" not in done.stdout + done.stderr + written


def test_a_preset_is_shown_pictures(folder, tmp_path):
    done = pipeline("evaluate_sounds", folder, "--limit", "1", "--vlm", "nano", "--shots", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    kept = [json.loads(line) for line in (tmp_path / "answers-nano-1.jsonl").read_text().splitlines()]
    assert len(kept) == 3 and all(isinstance(one["answer"], str) for one in kept)
    assert report(tmp_path)["methods"][0]["method"] == "nano on spectrograms, 1 example a class"


# The other methods


@pytest.fixture(scope="module")
def probed(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("probed")
    done = pipeline("evaluate_sounds", folder, "--probe", "whisperclip:nano", "--listener", "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done


def test_a_probe_learns_what_differs(probed):
    out, done = probed
    probe, listener = report(out)["methods"]
    assert probe["clips"] == listener["clips"] == 30 and probe["accuracy"] >= 0.9
    assert np.array(listener["confusion"]).sum() == 30 and listener["note"] == "it has 3 of 3 classes"
    assert len(report(out)["problems"]) == 1 and "5-999-A.wav" in done.stderr
    assert "whisperclip:nano, linear probe | 30" in done.stdout
    names = {path.name for path in out.iterdir()}
    assert {"sounds.md", "confusion-whisperclip-nano-linear-probe.png", "confusion-listener-nano.png"} <= names
    with Image.open(out / "confusion-listener-nano.png") as drawn:
        assert drawn.size[0] > 200


def test_only_the_folds_that_are_asked_for_are_answered(folder, tmp_path):
    arguments = ("--test-folds", "4", "5", "--probe", "whisper:nano", "--map", "pca", "--out", tmp_path)
    assert pipeline("evaluate_sounds", folder, *arguments).returncode == 0
    assert report(tmp_path)["methods"][0]["clips"] == 12
    assert '"n": "4-' in (tmp_path / "map-whisper-nano-linear-probe.html").read_text()
    assert '"n": "1-' not in (tmp_path / "map-whisper-nano-linear-probe.html").read_text()


def test_clap_by_words(folder, tmp_path):
    checkpoint = fakes.clap(tmp_path / "clap")
    fakes.tokenizer().save_pretrained(checkpoint)
    done = pipeline("evaluate_sounds", folder, "--limit", "2", "--clap", str(checkpoint), "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    entry = report(tmp_path / "out")["methods"][0]
    assert entry["clips"] == 6 and entry["method"] == "CLAP, zero-shot"
    assert (tmp_path / "out" / "map-clap-zero-shot.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], ConfigError.exit_code, "nothing to evaluate"),
        (["--probe", "wisper"], ConfigError.exit_code, "did you mean 'whisper'"),
        (["--probe", "wav2clip"], ModelError.exit_code, "curl -L"),
        (["--listener", "--test-folds", "9"], ConfigError.exit_code, "there are 1, 2, 3, 4, 5"),
        (["--vlm", "http://127.0.0.1:9/v1"], ConfigError.exit_code, "needs --vlm-model"),
        (["--probe", "whisper:nano", "--test-folds", "1", "2", "3", "4", "5"], ConfigError.exit_code, "to learn"),
        (["--vlm", "nano", "--shots", "-1"], ConfigError.exit_code, "--shots must be 0 or more"),
    ],
)
def test_what_is_wrong_is_said(folder, tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    done = pipeline("evaluate_sounds", folder, "--limit", "5", *arguments, "--out", tmp_path)
    assert done.returncode == code and says in done.stderr


def test_classes_that_the_listener_does_not_know(folder, tmp_path):
    for label in ("spoons", "ufo"):
        write_wav(tmp_path / label / "a.wav", sound("rain", 0).astype("f"), RATE)
    done = pipeline("evaluate_sounds", tmp_path, "--listener", "--out", tmp_path / "out")
    assert done.returncode == ConfigError.exit_code and "no label for any of these classes: spoons, ufo" in done.stderr
    assert pipeline("evaluate_sounds", tmp_path / "none", "--listener").returncode == SourceError.exit_code


# The map


@pytest.mark.parametrize("kind", ["tsne", "pca"])
def test_vectors_that_are_alike_lie_together(kind):
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(4 * c, 0.5, (12, 8)) for c in range(3)]).astype("f")
    flat = maps.place(vectors, kind)
    assert flat.shape == (36, 2) and flat.min() == 0 and flat.max() == 1
    middles = flat.reshape(3, 12, 2).mean(1)
    nearest = np.linalg.norm(flat[:, None] - middles, axis=2).argmin(1)
    assert (nearest == np.repeat(np.arange(3), 12)).mean() > 0.95
    np.testing.assert_array_equal(flat, maps.place(vectors, kind))


def test_the_map_answers_to_mouse_and_keyboard(probed):
    page = probed[0] / "map-whisperclip-nano-linear-probe.html"
    details = "return document.getElementById('details').innerText"
    with browser() as shown:
        shown.requests()
        shown.open(page)
        assert shown.requests() == [page.as_uri()]
        assert shown.run("return document.querySelectorAll('circle').length") == 30
        spot = shown.run(
            "const r = document.querySelectorAll('circle')[12].getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]"
        )
        shown.move_to(*spot)
        assert shown.run(details).startswith("rain")
        shown.run("document.querySelector('li button').click()")
        assert shown.run("return document.querySelectorAll('circle.dim').length") == 20
        shown.run("document.activeElement.blur()")
        while shown.run("return document.activeElement.tagName") != "svg":
            shown.press(TAB)
        before = shown.run(details)
        shown.press("\ue014"), shown.press("\ue012"), shown.press("\ue013"), shown.press("\ue015")  # the arrows
        marked = "return [...document.querySelectorAll('circle')].findIndex(c => c.classList.contains('now'))"
        assert 0 <= shown.run(marked) and shown.run(details) and before
        assert shown.requests() == []
        link = shown.run("return document.querySelector('#details a').href")
        assert link.endswith(".wav") and link.startswith("file://")
