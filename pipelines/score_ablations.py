"""Synchrony without each of its parts, and the localizers that know classes, on the same scenes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from avstream.encoders.audio import mono
from avstream.localization import fit, motion, synchrony
from pipelines.localization_metrics import SIZE, box_truth, ciou, success
from pipelines.localization_scenes import Scene, make_scene
from pipelines.scene_sounds import Bank
from pipelines.score_scenes import outcome, percent, ranks_above
from pipelines.score_similarity import Similarity

CONDITIONS = ("plain", "pan", "flicker", "off-screen")
Change = tuple[ModuleType, str, Any]


def _one_kind(which: int) -> Callable[..., Any]:
    """`hearings` of the level (0) or the onsets (1) alone."""
    return lambda heard, lag: fit.hearings(heard[[which, which]], lag)


def _no_fate(smooth: Any, energy: Any, sharp: Any, soft: Any) -> tuple[Any, int, Any, float]:
    """The scores themselves as a heatmap."""
    heat = (smooth / smooth.max()).astype(np.float32)
    return heat, int(smooth.argmax()), (heat >= 0.5).ravel(), 0.0


VARIANTS: dict[str, tuple[Change, ...]] = {
    "whole": (),
    "camera not followed": ((motion, "_camera", lambda before, now: None),),
    "flicker not divided out": ((motion, "_gain", lambda before, now: 1.0),),
    "what all cells share left in": ((synchrony, "_own", lambda series: series - series.mean(axis=0)),),
    "level only": ((synchrony, "hearings", _one_kind(0)),),
    "onsets only": ((synchrony, "hearings", _one_kind(1)),),
    "no lags": ((synchrony, "LAG_S", 0.0),),
    "amount of motion not weighed": ((synchrony, "WEIGHT", 0.0),),
    "no common fate": ((synchrony, "_spread", _no_fate),),
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
    nano = Similarity("nano")
    similar = []
    for kind in CONDITIONS:
        for seed in seeds:
            scene = make_scene(kind, seed, bank)
            for name, changes in VARIANTS.items():
                with changed(changes):
                    found[name][kind].append(outcome(scene, fitting=True))
            if kind == "plain":
                similar.append(by_similarity(nano, scene))
    report: dict[str, Any] = {name: row(groups) for name, groups in found.items()}
    overlaps, halves = zip(*similar, strict=True)
    report["similarity, nano"] = {"plain cIoU": success(overlaps), "plain half": percent(halves)}
    return report


def row(found: dict[str, list[Any]]) -> dict[str, float]:
    """The figures of one variant, percent."""
    out = {}
    for kind in CONDITIONS[:-1]:
        out[f"{kind} cIoU"] = success([one.overlaps["synchrony"] for one in found[kind]])
        out[f"{kind} half"] = percent([one.halves["synchrony"] for one in found[kind]])
    fits = {k: [-1.0 if one.features is None else one.features[0] for one in group] for k, group in found.items()}
    return out | {"off-screen AUC": 100 * ranks_above(fits["plain"], fits["off-screen"])}


def by_similarity(localizer: Similarity, scene: Scene) -> tuple[float, bool]:
    """The cIoU at 0.5, and whether the peak is in a source's half, for the middle picture of a scene."""
    rgb = cv2.cvtColor(scene.gray[len(scene.gray) // 2], cv2.COLOR_GRAY2RGB)
    heat = localizer.locate(np.asarray(rgb, np.uint8), mono(scene.audio, scene.rate_hz, localizer.rate_hz)).heatmap
    left = (int(heat.argmax()) % SIZE + 0.5) / SIZE < 0.5
    halves = [(box[0] + box[2]) / 2 < 0.5 for box in scene.boxes]
    return ciou(heat, box_truth(scene.boxes), 0.5), left in halves
