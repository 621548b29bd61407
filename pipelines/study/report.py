"""The study's page: docs/study.md and its plots, written from the reports of the commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.data.manifest import ABOVE, Row, read_manifest, select
from pipelines.evaluation import texts
from pipelines.evaluation.generation import RAW, Condition, Sentences
from pipelines.evaluation.retrieval import WAYS
from pipelines.evaluation.scores import cell
from pipelines.evaluation.tables import markdown, plus_minus, write_text
from pipelines.study import findings, plots
from pipelines.study.corpus import CLIPS, KINDS
from pipelines.study.findings import Finding
from pipelines.study.stages import ALPHAS, AUDIO, TOKENS, TRAININGS, Study

LOSSES = ("ours", "infonce", "distribution", "cosine", "mse")
POOLINGS = ("final", "middle", "last2", "ours", "weighted")
TITLES = {"ours": "both (the paper's)", "paper": "the paper's rate and epochs", "shipped": "nano's shipped projection"}
ALL = int(TOKENS[-1])


class Results:
    """What the commands wrote."""

    def __init__(self, study: Study) -> None:
        self.study = study
        names = [*TRAININGS, "shipped"]
        self.retrieval = {name: self._json("retrieval", name, "retrieval.json") for name in names}
        self.generation = {name: self._json("generation", name, "generation.json") for name in ("pictures", "nano")}
        self.alphas = {name: self._json("generation", f"{name}-alpha", "generation.json") for name in self.generation}
        self.rows = {(row.clip, row.start_s): row for row in read_manifest(study.manifest)}

    def _json(self, *parts: str) -> dict[str, Any]:
        return dict(json.loads(self.study.folder.joinpath(*parts).read_text(encoding="utf-8")))

    def entry(self, name: str, alpha: float) -> dict[str, Any]:
        """A training's retrieval at an alpha."""
        return next(one for one in self.retrieval[name]["entries"] if one["alpha"] == alpha)

    def named(self, speaker: str, condition: Condition) -> list[float]:
        """For each clip, in order, whether a source that sounds was named."""
        said = Sentences(self.study.folder / "generation" / speaker / "sentences.jsonl").said
        found = [
            texts.named(text, self.rows[clip, start].sounding)
            for (clip, start, one), text in said.items()
            if one == condition
        ]
        return [one["source named"] for one in found if one is not None]


def retrieval_table(results: Results, names: Sequence[str], titles: dict[str, str]) -> str:
    """A row a training, projected, both ways."""
    columns = [(way, name) for way in WAYS for name in ("top-1", "mean rank")]
    rows = []
    for name in names:
        scores = results.entry(name, 0.0)["scores"]
        rows.append([titles.get(name, name), *(plus_minus(scores[way][measure]) for way, measure in columns)])
    return markdown(["", *(f"{measure}, {way}" for way, measure in columns)], rows)


def main_table(results: Results) -> str:
    """Raw, projected, chance and the bound."""
    entries = [("raw", results.entry("ours", 1.0)), ("projected", results.entry("ours", 0.0))]
    entries.append(("projected, " + TITLES["paper"], results.entry("paper", 0.0)))
    entries.append((TITLES["shipped"], results.entry("shipped", 0.0)))
    parts, measures = [], ("top-1", "top-3", "top-10", "mean rank")
    for way in WAYS:
        rows = [[name, *(plus_minus(one["scores"][way][m]) for m in measures)] for name, one in entries]
        for name, limit in results.retrieval["ours"]["limits"].items():
            rows.append([name, *(f"{limit[m]:.1f}" if m in limit else "" for m in measures)])
        parts.append(f"{way.capitalize()}:\n\n" + markdown(["", *measures], rows))
    return "\n\n".join(parts)


def all_findings(results: Results) -> list[Finding]:
    """Every finding of the paper that can be asked here."""
    raw, ours = RAW, results.study.weights("ours", "1")

    def said(speaker: str, alignment: str, k: int, unselected: str = "zero") -> list[float]:
        one = Condition(AUDIO, alignment, 1.0 if alignment == RAW else 0.0, k, unselected)  # type: ignore[arg-type]
        return results.named(speaker, one)

    losses = {("both" if name == "ours" else name): results.entry(name, 0.0) for name in LOSSES}
    poolings = {("average" if name == "ours" else name): results.entry(name, 0.0) for name in POOLINGS}
    out = [
        findings.lifted(results.entry("ours", 0.0), results.entry("ours", 1.0)),
        findings.best(losses, "both", "InfoNCE with the distribution loss is the best loss."),
        findings.best(poolings, "average", "The average of all layers is the best pooling."),
    ]
    for speaker, words in (("pictures", "model of pictures only"), ("nano", "nano, trained on projected sound")):
        pair = (said(speaker, raw, ALL), said(speaker, ours, ALL))
        claim = f"Raw says more than projected with all patches ({words})."
        out.append(findings.compared(claim, ("raw", "projected"), pair, 1))
    fifteen, none = said("pictures", ours, 15, "drop"), said("pictures", ours, 0, "drop")
    claim = "Sound alone, k = 0, says less than k = 15 (model of pictures only, projected, dropped)."
    out.append(findings.compared(claim, ("at k = 15", "at k = 0"), (fifteen, none), 1))
    for speaker in ("pictures", "nano"):
        pair = (said(speaker, ours, 15), said(speaker, ours, 15, "drop"))
        claim = f"Ours: dropped patches say as much as zeroed ones, k = 15 ({speaker})."
        found = findings.compared(claim, ("zero", "drop"), pair, 0)
        same = found.verdict == findings.OPEN
        out.append(Finding(found.paper, found.here, "no difference is certain" if same else "they differ"))
    retrieved = [findings.top1(results.entry("ours", float(alpha)))["mean"] for alpha in ALPHAS]
    named = [one["scores"]["source named"]["mean"] for one in alpha_entries(results, "pictures")]
    out.append(findings.middle([float(alpha) for alpha in ALPHAS], retrieved, named))
    return out


def alpha_entries(results: Results, speaker: str) -> list[dict[str, Any]]:
    """Generation with all patches, for each alpha."""
    found = {one["alpha"]: one for one in results.alphas[speaker]["entries"] if one["alignment"] != RAW}
    return [found[float(alpha)] for alpha in ALPHAS]


def page(results: Results) -> str:
    """The page, in Markdown."""
    study = results.study
    rows = read_manifest(study.manifest)
    kept = {split: select(rows, split, ABOVE) for split in CLIPS}
    limits = results.retrieval["ours"]["limits"]
    bound = next(limit for name, limit in limits.items() if name.startswith("bound"))
    ours = findings.top1(results.entry("ours", 0.0))
    verdicts = [[one.paper, one.here, f"**{one.verdict}**"] for one in all_findings(results)]
    cpu_s = sum(study.steps.values())
    return TEMPLATE.format(
        cpu=f"{cpu_s / 60:.0f}", clips=len(rows), kinds=len(KINDS), labels=", ".join(KINDS).replace("_", " "),
        train=len(kept["train"]), valid=len(kept["valid"]), test=len(kept["test"]), 
        distinct=distinct(kept["test"]), bound=f"{bound['top-1']:.0f}", above=f"{ABOVE:g}",
        top1=plus_minus(ours), times=f"{ours['mean'] / limits['chance']['top-1']:.0f}",
        share=f"{100 * ours['mean'] / bound['top-1']:.0f}", ours=" ".join(study.scale.ours), limit=study.scale.limit,
        seeds=", ".join(f"{value:.1f}" for value in results.entry("ours", 0.0)["top-1 by seed"]),
        main=main_table(results), losses=retrieval_table(results, LOSSES, TITLES),
        poolings=retrieval_table(results, POOLINGS, {"ours": "average (WhisperCLIP)"}),
        pictures=by_tokens(results.generation["pictures"]["entries"]),
        nano=by_tokens(results.generation["nano"]["entries"]),
        findings="\n".join(["| the paper | here | |", "|---|---|---|", *(f"| {' | '.join(r)} |" for r in verdicts)]),
        steps="\n".join(f"| {name} | {seconds:.0f} |" for name, seconds in study.steps.items() if seconds >= 1),
    )  # fmt: skip


def by_tokens(entries: Sequence[dict[str, Any]]) -> str:
    """A row for each alignment and kind of substitution, a column for each k; and the three measures at k = 15."""
    rows = []
    for alignment, unselected in dict.fromkeys((one["alignment"], one["unselected"]) for one in entries):
        ones = {
            one["tokens"]: one for one in entries if (one["alignment"], one["unselected"]) == (alignment, unselected)
        }
        at = ones[15]["scores"]
        cells = [cell("source named", one["scores"]["source named"]) for one in ones.values()]
        cells += [cell(name, at[name]) for name in ("exactly", "others named", "ROUGE-L")]
        rows.append([f"{alignment_name(alignment)}, {unselected}", *cells])
    named = [f"named, k = {k}" for k in dict.fromkeys(one["tokens"] for one in entries)]
    return markdown(["", *named, "exactly, k = 15", "others, k = 15", "ROUGE-L, k = 15"], rows)


def alignment_name(alignment: str) -> str:
    """What the page calls an alignment."""
    return RAW if alignment == RAW else "shipped" if "shipped" in alignment else "projected"


def distinct(rows: Sequence[Row]) -> int:
    """How many sets of sources there are."""
    return len({frozenset(row.sounding) for row in rows})


def write(study: Study, docs: Path) -> Path:
    """Write the page and its plots. Raises SinkError."""
    results = Results(study)
    docs.mkdir(parents=True, exist_ok=True)
    plots.examples(results.rows.values(), study.manifest.parent, docs / "study-corpus.png")
    plots.interpolation(results.retrieval["ours"], docs / "study-retrieval.png")
    plots.by_tokens(results.generation, docs / "study-generation.png")
    retrieved = [findings.top1(results.entry("ours", float(alpha))) for alpha in ALPHAS]
    spoken = {name: [one["scores"] for one in alpha_entries(results, name)] for name in results.alphas}
    plots.trade_off(ALPHAS, retrieved, spoken, docs / "study-tradeoff.png")
    write_text(docs / "study.md", page(results))
    return docs / "study.md"


TEMPLATE = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")
