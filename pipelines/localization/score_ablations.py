"""Synchrony without each of its parts, on the same scenes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from avstream.localization import fit, motion, synchrony
from pipelines.localization.metrics import success
from pipelines.localization.scenes import make_scene
from pipelines.localization.score_scenes import outcome, percent, ranks_above
from pipelines.scenes.sound_bank import Bank

CONDITIONS = ("plain", "pan", "flicker", "off-screen")
Change = tuple[ModuleType, str, Any]


def _one_kind(which: int) -> Callable[..., Any]:
    """`hearings` of the level (0) or the onsets (1) alone."""
    return lambda heard: fit.hearings(heard[:, [which, which]])


def _no_body(alike: Any, seed: int) -> Any:
    """The cell itself and its neighbors."""
    y, x = divmod(seed, alike.shape[1])
    body = np.zeros(alike.shape, bool)
    body[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = True
    return body


def _scores(smooth: Any, things: Any) -> Any:
    """The scores themselves as a heatmap."""
    return (smooth / smooth.max()).astype(np.float32)


VARIANTS: dict[str, tuple[Change, ...]] = {
    "whole": (),
    "camera not followed": ((motion, "_camera", lambda before, now: None),),
    "flicker not divided out": ((motion, "_gain", lambda before, now: 1.0),),
    "what all cells share left in": ((synchrony, "_own", lambda series: series - series.mean(axis=0)),),
    "level only": ((synchrony, "hearings", _one_kind(0)),),
    "onsets only": ((synchrony, "hearings", _one_kind(1)),),
    "no lags": ((synchrony, "LAGS_S", np.zeros(1)),),
    "amount of motion not weighed": ((synchrony, "WEIGHT", 0.0),),
    "the thing of the best cell": ((synchrony, "CANDIDATES", 1),),
    "no common fate": ((synchrony, "CANDIDATES", 1), (synchrony, "_body", _no_body), (synchrony, "_heatmap", _scores)),
}


@contextmanager
def changed(changes: tuple[Change, ...]) -> Iterator[None]:
    """Each (module, name) has another value in here."""
    kept = [(module, name, getattr(module, name)) for module, name, _ in changes]
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


def ablation_report(args: argparse.Namespace) -> dict[str, Any]:
    """By variant: cIoU and right half of each condition with a source, and off-screen from plain by correlation."""
    bank, seeds = Bank(held_out=True, data=args.data), range(args.seed, args.seed + args.ablate)
    found: dict[str, dict[str, list[Any]]] = {name: {kind: [] for kind in CONDITIONS} for name in VARIANTS}
    for kind in CONDITIONS:
        for seed in seeds:
            scene = make_scene(kind, seed, bank)
            for name, changes in VARIANTS.items():
                with changed(changes):
                    found[name][kind].append(outcome(scene, fitting=True))
    return {name: row(groups) for name, groups in found.items()}


def row(found: dict[str, list[Any]]) -> dict[str, float | None]:
    """The figures of one variant, percent."""
    out: dict[str, float | None] = {}
    for kind in CONDITIONS[:-1]:
        out[f"{kind} cIoU"] = success([one.overlaps["synchrony"] for one in found[kind]])
        out[f"{kind} half"] = percent([one.halves["synchrony"] for one in found[kind]])
    fits = {k: [-1.0 if one.features is None else one.features[0] for one in group] for k, group in found.items()}
    return out | {"off-screen AUC": 100 * ranks_above(fits["plain"], fits["off-screen"])}
