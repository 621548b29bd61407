"""The paper's findings, each asked of the study's own figures: what was measured, and whether it holds here.

A difference counts when the 95 % interval of the paired difference leaves zero out: over seeds for retrieval, over
clips for generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.evaluation.retrieval import WAYS
from pipelines.evaluation.texts import interval

HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the paper found, what was measured here, and the verdict."""

    paper: str
    here: str
    verdict: str


def top1(entry: dict[str, Any], way: str = WAYS[0]) -> dict[str, float]:
    """Top-1 of a retrieval entry, percent."""
    return entry["scores"][way]["top-1"]


def difference(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """Mean and interval of a - b, paired by clip."""
    return interval([x - y for x, y in zip(a, b, strict=True)])


def verdict(found: dict[str, float], wanted: int) -> str:
    """Whether a difference has the wanted sign (+1 or -1), the other one, or is undecided."""
    if abs(found["mean"]) <= found["half"]:
        return OPEN
    return HOLDS if np.sign(found["mean"]) == wanted else FAILS


def lifted(projected: dict[str, Any], raw: dict[str, Any]) -> Finding:
    """The projection's gain in retrieval."""
    a, b = top1(projected), top1(raw)
    clear = a["mean"] - a["half"] > b["mean"] + b["half"]
    here = f"top-1 {b['mean']:.1f} % raw, {a['mean']:.1f} ± {a['half']:.1f} % projected"
    return Finding("The projection lifts retrieval many times (1.0 to 18.6 % top-1).", here, HOLDS if clear else FAILS)


def best(names: dict[str, dict[str, Any]], wanted: str, paper: str) -> Finding:
    """Whether the wanted variant has the best mean rank, both ways together; near ones make it open."""
    ranks = {name: (rank(one, 0) + rank(one, 1)) / 2 for name, one in names.items()}
    halves = {name: one["scores"][WAYS[0]]["mean rank"]["half"] for name, one in names.items()}
    order = sorted(ranks, key=lambda name: ranks[name])
    here = "mean rank, both ways: " + ", ".join(f"{name} {ranks[name]:.1f}" for name in order)
    others = [name for name in order if name != wanted]
    near = abs(ranks[others[0]] - ranks[wanted]) <= max(halves[others[0]], halves[wanted])
    return Finding(paper, here, OPEN if near else HOLDS if order[0] == wanted else FAILS)


def rank(entry: dict[str, Any], way: int) -> float:
    """The mean rank of one way."""
    return float(entry["scores"][WAYS[way]]["mean rank"]["mean"])


def compared(
    paper: str, names: tuple[str, str], values: tuple[Sequence[float], Sequence[float]], wanted: int
) -> Finding:
    """Two conditions of one language model by the share of clips whose source is named."""
    found = difference(*values)
    shares = [100 * float(np.mean(one)) for one in values]
    here = (
        f"source named: {shares[0]:.0f} % {names[0]}, {shares[1]:.0f} % {names[1]}; "
        f"difference {100 * found['mean']:+.0f} ± {100 * found['half']:.0f} points"
    )
    return Finding(paper, here, verdict(found, wanted))


def middle(alphas: Sequence[float], retrieved: Sequence[float], named: Sequence[float]) -> Finding:
    """Whether some mix keeps nine tenths of both gains: of projected's retrieval and of raw's generation, or better."""
    best_retrieval, best_named = max(retrieved), max(named)
    good = [
        alpha
        for alpha, a, b in zip(alphas, retrieved, named, strict=True)
        if a >= 0.9 * best_retrieval and b >= 0.9 * best_named
    ]
    rows = ", ".join(f"{a:g}: {r:.0f} / {100 * n:.0f}" for a, r, n in zip(alphas, retrieved, named, strict=True))
    here = f"alpha: top-1 % / source named %: {rows}"
    return Finding("Mixing raw and projected finds no middle ground.", here, FAILS if good else HOLDS)
