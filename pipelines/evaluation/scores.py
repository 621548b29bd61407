"""The measures of a condition's sentences, and their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from pipelines.data.manifest import Row
from pipelines.data.segments import read_segment
from pipelines.evaluation import texts
from pipelines.evaluation.clip_score import ClipScore
from pipelines.evaluation.generation import RAW, Condition, Key
from pipelines.evaluation.marks import Marks
from pipelines.evaluation.tables import markdown, plus_minus

Bert = Callable[[Sequence[str], Sequence[Sequence[str]]], list[float]]
MEASURES = ("BLEU", "ROUGE-L", "BERTScore", "CLIPScore", "source named", "exactly", "others named", "judge")
SHARES = ("source named", "exactly", "others named")


def score_condition(
    condition: Condition,
    rows: Sequence[Row],
    root: Path,
    said: Mapping[Key, str],
    clip: ClipScore | None = None,
    bert: Bert | None = None,
    marks: Marks | None = None,
) -> dict[str, Any]:
    """The condition, the clips that have its sentence, and each measure's mean with its interval over clips."""
    keyed = [(row, (row.clip, row.start_s, condition)) for row in rows]
    there = [(row, said[key]) for row, key in keyed if key in said]
    scores: dict[str, dict[str, float]] = {}
    if there:
        sentences, references = [text for _, text in there], [row.captions for row, _ in there]
        scores["BLEU"] = {"mean": texts.bleu(sentences, references), "half": 0.0, "n": float(len(there))}
        scores["ROUGE-L"] = texts.interval(texts.rouge_l(sentences, references))
        if bert is not None:
            scores["BERTScore"] = texts.interval(bert(sentences, references))
        if clip is not None:
            seen = [clip.score(picture(clip, row.clip, row.start_s, root), text) for row, text in there]
            scores["CLIPScore"] = texts.interval(seen)
        named = [found for row, text in there if (found := texts.named(text, row.sounding)) is not None]
        scores |= {name: texts.interval([one[name] for one in named]) for name in SHARES} if named else {}
        if marks is not None:
            given = [mark for row, text in there if (mark := marks.of(row, text)) is not None]
            scores |= {"judge": texts.interval(given)} if given else {}
    return asdict(condition) | {"clips": len(there), "scores": scores}


@lru_cache(maxsize=4096)
def picture(clip: ClipScore, path: str, start_s: float, root: Path) -> Tensor:
    """A segment's picture as CLIP sees it, once."""
    return clip.look(read_segment(Row(path, start_s), root)[1].rgb)


def table(entries: Sequence[Mapping[str, Any]]) -> str:
    """A row a condition; shares in percent, ± 95 % interval over clips."""
    present = [name for name in MEASURES if any(name in one["scores"] for one in entries)]
    rows = []
    for one in entries:
        cells = [cell(name, one["scores"].get(name)) for name in present]
        rows.append([name_of(one), str(one["tokens"]), one["unselected"], str(one["clips"]), *cells])
    headings = ["", "k", "others", "clips", *(f"{name}, %" if name in SHARES else name for name in present)]
    return markdown(headings, rows) + "\n"


def cell(name: str, found: Mapping[str, float] | None) -> str:
    """One figure."""
    if found is None:
        return ""
    if name in SHARES:
        return plus_minus({"mean": 100 * found["mean"], "half": 100 * found["half"]})
    return f"{found['mean']:.3f}" if name == "BLEU" else plus_minus(dict(found), 3)


def name_of(one: Mapping[str, Any]) -> str:
    """`whisperclip:nano, projected`: where several projections are compared, with where the file is."""
    if one["alignment"] == RAW:
        return f"{one['audio']}, raw"
    kind = "projected" if one["alpha"] == 0 else f"alpha {one['alpha']:g}"
    return f"{one['audio']}, {kind} ({Path(one['alignment']).parent.name})"
