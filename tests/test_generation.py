"""Sentences and their scores: hand-made cases, tiny real checkpoints, a judge that is a real server on loopback."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn.functional import cosine_similarity, normalize
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedTokenizerFast,
)

from avstream.errors import ConfigError, ModelError, SourceError
from pipelines import evaluate_generation, train_projection
from pipelines.evaluation import retrieval, texts, tradeoff
from pipelines.evaluation.clip_score import ClipScore
from pipelines.evaluation.generation import Condition, Sentences
from pipelines.evaluation.judge import Judge, marked
from tests.study import prepared

CPU = torch.device("cpu")


def test_ranks_count_what_is_nearer_and_half_of_what_is_as_near():
    items = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    assert retrieval.ranks(items, items).tolist() == [1, 1, 1]
    queries = torch.tensor([[0.0, 1], [0, 1], [1, 0]])  # the first finds its item last
    assert retrieval.ranks(queries, items).tolist() == [3, 1, 2]
    assert retrieval.ranks(torch.ones(3, 2), torch.ones(3, 2)).tolist() == [2, 2, 2]
    found = retrieval.measures(torch.tensor([1.0, 2, 4, 11]))
    assert found == {"mean rank": 4.5, "top-1": 25, "top-3": 50, "top-10": 75}


def test_the_protocol_draws_as_the_paper_does_and_again_the_same():
    draws = list(retrieval.Protocol().sets(800))
    assert [len(set(one.tolist())) for one in draws] == [100] * 5
    assert len(set(np.concatenate(draws).tolist())) <= 500 and not np.array_equal(draws[0], draws[1])
    assert all(np.array_equal(a, b) for a, b in zip(draws, retrieval.Protocol().sets(800), strict=True))
    assert [len(one) for one in retrieval.Protocol().sets(30)] == [30] * 5


def test_perfect_vectors_are_found_and_unrelated_ones_as_chance_has_it():
    rng = torch.Generator().manual_seed(0)
    v = torch.randn(600, 32, generator=rng)
    perfect = retrieval.summary(retrieval.evaluate(v * 3, v, retrieval.Protocol()))
    assert all(
        perfect[way]["top-1"]["mean"] == 100 and perfect[way]["mean rank"]["mean"] == 1 for way in retrieval.WAYS
    )
    other = retrieval.evaluate(torch.randn(600, 32, generator=rng), v, retrieval.Protocol(draws=60))
    found = retrieval.summary(other)["audio to video"]
    wanted = retrieval.chance(600, retrieval.Protocol())
    for name in ("mean rank", "top-1", "top-10"):
        assert found[name]["mean"] == pytest.approx(wanted[name], rel=0.35, abs=3 * found[name]["half"])


def test_the_bound_is_what_somebody_who_knows_the_truth_gets_on_average():
    protocol = retrieval.Protocol(drawn=4, pool=4, draws=3)
    found = retrieval.bound(["a", "a", "b", "a"], protocol)
    assert found["top-1"] == pytest.approx(100 * (3 * (1 / 3) + 1) / 4) and found["top-3"] == 100


def test_interpolation_ends_at_raw_and_at_projected():
    raw, aligned = torch.tensor([[1.0, 2]]), torch.tensor([[3.0, 6]])
    assert retrieval.interpolate(raw, aligned, 1).tolist() == [[1, 2]]
    assert retrieval.interpolate(raw, aligned, 0).tolist() == [[3, 6]]
    assert retrieval.interpolate(raw, aligned, 0.25).tolist() == [[2.5, 5]]


def test_text_measures_are_what_their_formulas_give():
    same = ["a bell is ringing loudly now."]
    assert texts.bleu(same, [same]) == pytest.approx(1) and texts.rouge_l(same, [same]) == [1]
    # LCS "a bell is" of 4 and 5 words: P 3/4, R 3/5
    assert texts.rouge_l(["a bell is silent"], [["a bell is ringing loudly"]])[0] == pytest.approx(2 / 3)
    assert texts.rouge_l(["rain"], [["a dog", "rain"]]) == [1]  # the best reference
    # 4-gram precisions 4/5, 3/4, 2/3, 1/2 of equal lengths, no brevity penalty
    said, reference = "the big bell is loud", "the big bell is gold"
    assert texts.bleu([said], [[reference]]) == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25, rel=1e-6)


def test_sources_are_named_by_the_vocabularys_words():
    assert texts.named("a dog is barking.", ["dog_bark"]) == {"source named": 1, "exactly": 1, "others named": 0}
    both = texts.named("a dog is barking and a bell is ringing.", ["bell", "siren"])
    assert both == {"source named": 1, "exactly": 0, "others named": 1}
    assert texts.named("nothing.", ["rain"]) == {"source named": 0, "exactly": 0, "others named": 0}
    assert texts.named("rain.", ["an idea"]) is None


def test_intervals_cover_the_mean_and_shrink():
    values = [0.0, 1.0] * 50
    few, many = texts.interval(values), texts.interval(values * 16)
    assert few["mean"] == 0.5 and few["half"] == pytest.approx(1.96 * 0.5 / 10, rel=0.15)
    assert many["half"] == pytest.approx(few["half"] / 4, rel=0.15)


WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a dog is barking bell ringing rain falling and .".split()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_bert_score_is_greedy_matching_of_a_layers_tokens(bert):
    said, reference = "a dog is barking", "rain is falling"
    found = texts.bert_score([said, said], [[reference], [reference, said]], str(bert), 1, CPU)
    words, model = BertTokenizerFast.from_pretrained(bert), BertModel.from_pretrained(bert).eval()
    with torch.inference_mode():
        a, b = (
            normalize(model(**words(text, return_tensors="pt"), output_hidden_states=True).hidden_states[1][0], dim=-1)
            for text in (said, reference)
        )
    cosines = a @ b.T  # [CLS] and [SEP] may be matched with, but their own matches do not count
    precision, recall = float(cosines[1:-1].max(1).values.mean()), float(cosines[:, 1:-1].max(0).values.mean())
    assert found[0] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-4)
    assert found[1] == pytest.approx(1, abs=1e-4)
    with pytest.raises(ModelError, match="give --bert-layer"):
        texts.bert_score([said], [[said]], str(bert), None, CPU)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**size, "vocab_size": 16, "max_position_embeddings": 8, "eos_token_id": 2, "bos_token_id": 1},
        vision_config={**size, "image_size": 32, "patch_size": 8}, projection_dim=16,
    )  # fmt: skip
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_clip_score_is_the_models_own_cosine(clip):
    score = ClipScore(str(clip), CPU)
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    model = CLIPModel.from_pretrained(clip).eval()
    pixels = CLIPImageProcessor.from_pretrained(clip)(rgb, return_tensors="pt").pixel_values
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        out = model(input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids))
    want = 2.5 * max(0, float(cosine_similarity(out.image_embeds, out.text_embeds)[0]))
    assert score.score(score.look(rgb), "a dog is") == pytest.approx(want, abs=1e-4)
    assert score.score(score.look(rgb), "a dog is barking " * 9) >= 0
    with pytest.raises(ModelError):
        ClipScore(str(clip / "no"), CPU)


class Endpoint(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint that answers with what it was given, in turn."""

    def __init__(self, answers):
        self.answers, self.seen = list(answers), []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization"), body))
        status, text = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"choices": [{"message": {"content": text}}]}).encode() if text else b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    started = []

    def start(*answers):
        started.append(Endpoint(answers))
        return started[-1]

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


def test_the_judge_waits_for_a_busy_server_and_sends_the_key_in_the_header_only(endpoint, monkeypatch):
    monkeypatch.setenv("AVSTREAM_JUDGE_KEY", "sesame")
    server = endpoint((429, "busy"), (503, ""), (200, '{"score": 4}'))
    assert Judge(server.url, "m", pause_s=0.01).mark("rain.", ["rain is falling."], ["rain"]) == 4
    path, key, body = server.seen[-1]
    assert path == "/v1/chat/completions" and key == "Bearer sesame" and body["model"] == "m"
    assert "rain is falling." in body["messages"][0]["content"] and "sesame" not in json.dumps(body)
    with pytest.raises(SourceError, match=r"HTTP 401\); set the key in AVSTREAM_JUDGE_KEY") as refused:
        Judge(endpoint((401, "no")).url, "m").mark("a", ["b"], [])
    assert "sesame" not in str(refused.value)
    with pytest.raises(SourceError, match="not that of an OpenAI-compatible"):
        Judge(endpoint((200, "")).url, "m").mark("a", ["b"], [])
    with pytest.raises(SourceError, match="no answer"):
        Judge("http://127.0.0.1:9/v1", "m", pause_s=0.01).mark("a", ["b"], [])
    with pytest.raises(ConfigError):
        Judge("file:///etc/passwd", "m")
    with pytest.raises(ConfigError, match="a key belongs into") as refused:
        Judge("https://me:sesame@host/v1", "m")
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "mark"),
    [
        ('{"score": 3}', 3),
        ('Sure: {"score": "5"}', 5),
        ("I give 2.", 2),
        ("1 or 4", None),
        ("10", None),
        ("none", None),
    ],
)
def test_a_mark_is_read_only_where_there_is_one(answer, mark):
    assert marked(answer) == mark


def test_the_trade_off_is_a_line_through_the_points():
    points = [tradeoff.Point(str(gain), gain, 2 * gain + 3) for gain in (0.0, 1.0, 5.0)]
    assert tradeoff.line(points) == pytest.approx((2, 3, 1))
    assert tradeoff.line(points[:2]) is None and tradeoff.loss(0.5, 0.4) == pytest.approx(20)


def test_sentences_survive_a_torn_line(tmp_path):
    one = Condition("whisperclip:nano", "raw", 1.0, 15, "zero")
    said = Sentences(tmp_path / "s.jsonl")
    said.add(("a.mp4", 0.0, one), "rain.")
    with said.path.open("a") as file:
        file.write('{"clip": "b.mp4", "start')
    again = Sentences(said.path)
    assert again.said == {("a.mp4", 0.0, one): "rain."}
    again.add(("b.mp4", 0.0, one), "a dog.")
    assert len(Sentences(said.path).said) == 2
    said.path.write_text("{}\n" + said.path.read_text())
    with pytest.raises(SourceError, match="line 1 is no sentence"):
        Sentences(said.path)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_command_says_scores_and_goes_on(tmp_path, bert, endpoint, monkeypatch, capsys):
    data = prepared(tmp_path / "study")
    options = [*data, "--out", str(tmp_path / "p"), "--epochs", "1", "--batch", "4", "--threads", "1"]
    assert train_projection.main(options) == 0
    weights = str(tmp_path / "p" / "seed-1" / "projection.safetensors")
    retrieved = {"entries": [
        {"audio": "whisperclip:nano", "files": [weights], "alpha": alpha,
         "scores": {"audio to video": {"top-1": {"mean": 9 * (1 - alpha) + 1}}}} for alpha in (0.0, 1.0)
    ]}  # fmt: skip
    (tmp_path / "r.json").write_text(json.dumps(retrieved))
    server, out = endpoint((200, '{"score": 2}')), tmp_path / "g"
    command = [
        *data[:4], "--out", str(out), "--limit", "3", "--alignment", "raw", weights, "--tokens", "0", "150",
        "--unselected", "zero", "drop", "--bert", str(bert), "--bert-layer", "1", "--clip", "none",
        "--retrieval", str(tmp_path / "r.json"), "--judge", server.url, "--judge-model", "m",
    ]  # fmt: skip
    assert evaluate_generation.main(command) == 0
    report = json.loads((out / "generation.json").read_text())
    assert report["clips"] == 3 and len(report["entries"]) == 8
    assert report["trade-off"]["points"][0][:2] == ["whisperclip:nano", 9]
    for entry in report["entries"]:
        assert {"BLEU", "ROUGE-L", "BERTScore", "source named", "judge"} <= set(entry["scores"])
        assert entry["scores"]["judge"]["mean"] == 2
    lines = (out / "sentences.jsonl").read_text().splitlines()
    assert len(lines) == 24 and (out / "tradeoff.png").stat().st_size > 5000
    asked = len(server.seen)

    with (out / "sentences.jsonl").open("w") as file:  # as if it had been stopped
        file.write("".join(line + "\n" for line in lines[:-2]))
    assert evaluate_generation.main(command) == 0
    assert sorted((out / "sentences.jsonl").read_text().splitlines()) == sorted(lines) and len(server.seen) == asked
    monkeypatch.setattr("pipelines.evaluate_generation.load_speaker", lambda *_: pytest.fail("nothing was missing"))
    assert evaluate_generation.main(command) == 0
    capsys.readouterr()
    assert evaluate_generation.main([*command[:6], "--judge", server.url]) == 2
    assert evaluate_generation.main([*command[:6], "--alignment", str(bert / "model.safetensors")]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 2
