"""Retrieval as SoundCLIP measures it: from up to 500 test items draw 100, rank the true match by cosine, five draws.

numpy and torch only, no files. Ranks start at 1. An item that is exactly as near as the true match costs half a
rank, so that equal vectors get what guessing would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize, pad

POOL, DRAWN, DRAWS, TOPS = 500, 100, 5, (1, 3, 10)
WAYS = ("audio to video", "video to audio")
MEASURES = ("mean rank", *(f"top-{k}" for k in TOPS))
Scores = dict[str, dict[str, float]]  # way -> measure -> value; shares in percent


@dataclass(frozen=True, slots=True)
class Protocol:
    """How many items are drawn from how many, how often, and the seed of the draws."""

    pool: int = POOL
    drawn: int = DRAWN
    draws: int = DRAWS
    seed: int = 0

    def sets(self, items: int) -> Iterator[NDArray[np.int64]]:
        """The indices of each draw, out of the same pool; fewer where there are fewer items."""
        rng = np.random.default_rng(self.seed)
        pool = rng.permutation(items)[: self.pool]
        for _ in range(self.draws):
            yield rng.choice(pool, min(self.drawn, len(pool)), replace=False)


def ranks(queries: Tensor, items: Tensor) -> Tensor:
    """The rank of item i for query i, float (n,). Both (n, d)."""
    cosines = normalize(queries.double(), dim=-1) @ normalize(items.double(), dim=-1).T
    true = cosines.diagonal()[:, None]
    better, equal = (cosines > true).sum(1), (cosines == true).sum(1) - 1
    return 1 + better + equal / 2


def measures(found: Tensor) -> dict[str, float]:
    """Mean rank, and the share of ranks within 1, 3 and 10, in percent."""
    shares = {f"top-{k}": 100 * float((found <= k).double().mean()) for k in TOPS}
    return {"mean rank": float(found.double().mean())} | shares


def evaluate(sounds: Tensor, pictures: Tensor, protocol: Protocol) -> list[Scores]:
    """The scores of each draw. Both (n, d), already in one space."""
    out = []
    for chosen in protocol.sets(len(sounds)):
        a, v = sounds[chosen], pictures[chosen]
        out.append({WAYS[0]: measures(ranks(a, v)), WAYS[1]: measures(ranks(v, a))})
    return out


def match_width(vectors: Tensor, width: int) -> Tensor:
    """The paper's DimMatch of many: zeros on the right, or cut. (n, d_a) -> (n, width)."""
    return pad(vectors[:, :width], (0, max(0, width - vectors.shape[1])))


def interpolate(raw: Tensor, aligned: Tensor, alpha: float) -> Tensor:
    """The mix alpha * raw + (1 - alpha) * aligned: 1 is raw, 0 is projected. Both (n, d)."""
    return alpha * raw + (1 - alpha) * aligned


def bound(truths: Sequence[Hashable], protocol: Protocol) -> dict[str, float]:
    """What nobody can exceed who knows exactly each item's truth and nothing else, top-k in percent.

    Among n items of equal truth the true match is the first with chance 1/n, within k with min(1, k/n).
    """
    found: dict[str, list[float]] = {f"top-{k}": [] for k in TOPS}
    for chosen in protocol.sets(len(truths)):
        drawn = [truths[i] for i in chosen]
        sizes = Counter(drawn)
        for k in TOPS:
            found[f"top-{k}"].append(100 * float(np.mean([min(1.0, k / sizes[truth]) for truth in drawn])))
    return {name: float(np.mean(values)) for name, values in found.items()}


def chance(items: int, protocol: Protocol) -> dict[str, float]:
    """What guessing gives: k of the drawn items, percent."""
    drawn = min(protocol.drawn, protocol.pool, items)
    return {f"top-{k}": 100 * min(1.0, k / drawn) for k in TOPS} | {"mean rank": (drawn + 1) / 2}


def summary(runs: Sequence[Scores]) -> dict[str, dict[str, dict[str, float]]]:
    """For each way and measure: mean, standard deviation and 95 % interval (t) of the mean, over draws (and seeds)."""
    return {way: {name: spread([run[way][name] for run in runs]) for name in MEASURES} for way in WAYS}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, sample standard deviation and half the width of the 95 % interval of the mean (Student's t)."""
    from scipy.stats import t

    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return {"mean": mean, "sd": 0.0, "half": 0.0, "n": float(n)}
    sd = float(np.std(values, ddof=1))
    return {"mean": mean, "sd": sd, "half": float(t.ppf(0.975, n - 1)) * sd / n**0.5, "n": float(n)}


def nearest(queries: Tensor, items: Tensor, count: int) -> Tensor:
    """The nearest items of each query, best first: (n, count) int64."""
    cosines = normalize(queries.float(), dim=-1) @ normalize(items.float(), dim=-1).T
    return torch.topk(cosines, min(count, cosines.shape[1]), dim=1).indices
