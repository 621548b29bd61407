"""The localizers that know classes on the field's benchmarks: VGG-SS, Flickr-SoundNet (extended too) and AVSBench.

Counted as published. `pipelines.evaluate_localization --dataset` runs it on a dataset's folder (see
pipelines/localization/datasets.py): the similarity of any preset, or ACL-SSL, which needs BEATs, CLIPSeg, and trained
weights (pipelines.train_localizer, or the authors' Param_best.pth).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from avstream.encoders.beats import BeatsEncoder, load_beats
from avstream.errors import ConfigError, SourceError
from avstream.localization.acl import AclHead, AclLocalizer, Grounded
from avstream.localization.acl_grounder import Grounder
from avstream.torch_models import choose_device, loading
from pipelines.localization import metrics
from pipelines.localization.datasets import KINDS, Item, Kind, read_dataset, read_picture, read_sound, truth_of
from pipelines.localization.score_similarity import Similarity

CLIPSEG = "CIDAS/clipseg-rd64-refined"
EXTENDED_EPSILON = 1e-12
Report = dict[str, Any]


class Localizer(Protocol):
    """Anything that says where in a picture a sound is: heatmaps (224, 224), and a confidence that it is there."""

    rate_hz: int

    def locate(self, rgb: NDArray[np.uint8], samples: NDArray[np.float32]) -> Grounded:
        """A picture uint8 (H, W, 3), and mono sound float32 (n,) at `rate_hz`."""
        ...


def load_frozen(beats: Path, clipseg: str, device: torch.device) -> tuple[BeatsEncoder, Grounder]:
    """BEATs from its file, CLIPSeg from a folder or the hub. Raises ModelError."""
    grounder = loading(clipseg, "clipseg", lambda path: Grounder.load(path, device))
    return BeatsEncoder(load_beats(beats), device=device), grounder


def load_localizer(beats: Path, acl: Path, clipseg: str, device: torch.device) -> AclLocalizer:
    """The whole method with trained weights. Raises ModelError."""
    encoder, grounder = load_frozen(beats, clipseg, device)
    return AclLocalizer(AclHead.load(acl, encoder.layers_dim, grounder.token_dim), grounder, encoder)


def evaluate_dataset(localizer: Localizer, kind: Kind, items: Sequence[Item], *, batch: int = 1) -> Report:
    """Locate every item's sound and count. `batch` only matters for AVSBench's mIoU, see `avs_miou`.

    The report has a list for each measure, one number a threshold of `thresholds`, all in percent; `median` uses
    each heatmap's own median as its threshold. Raises SourceError for no items and for unreadable ones.
    """
    if not items:
        raise SourceError(f"expected items of {kind} to evaluate, found none")
    tally = _AvsBench() if kind == "avsbench" else _Boxes()
    for item in items:
        found = localizer.locate(read_picture(item.picture), read_sound(item.sound, localizer.rate_hz))
        tally.add(found, truth_of(kind, item), item.sounding)
    return {"dataset": kind, "items": len(items), "thresholds": list(metrics.THRESHOLDS)} | tally.report(batch)


class _Boxes:
    """cIoU and AUC of the sounding items, and the extended measures when some don't sound."""

    def __init__(self) -> None:
        self._values: list[list[float]] = []
        self._extended: list[list[float]] = []
        self._median: list[float] = []
        self._confidence: list[float] = []
        self._sounding: list[bool] = []

    def add(self, found: Grounded, truth: NDArray[np.floating], sounding: bool) -> None:
        """One item."""
        heat = found.heatmap
        self._confidence.append(found.confidence)
        self._sounding.append(sounding)
        self._extended.append([metrics.ciou(heat, truth, t, EXTENDED_EPSILON) for t in metrics.THRESHOLDS])
        if sounding:
            self._values.append([metrics.ciou(heat, truth, t) for t in metrics.THRESHOLDS])
            self._median.append(metrics.ciou(heat, truth, metrics.median_threshold(heat)))

    def report(self, _batch: int) -> Report:
        """All measures, percent."""
        columns = [list(column) for column in zip(*self._values, strict=True)]
        out: Report = {
            "ciou": [metrics.success(column) for column in columns],
            "auc": [metrics.auc(column) for column in columns],
            "median": {"ciou": metrics.success(self._median), "auc": metrics.auc(self._median)},
        }
        if not all(self._sounding):
            extended = [list(column) for column in zip(*self._extended, strict=True)]
            about = (self._confidence, self._sounding)
            out["ap"] = [metrics.extended_ap(column, *about) for column in extended]
            out["max_f1"] = [metrics.extended_max_f1(column, *about) for column in extended]
            out["loc_acc"] = [metrics.loc_acc(column, self._sounding) for column in extended]
        return out


class _AvsBench:
    """mIoU and F."""

    def __init__(self) -> None:
        self._values: list[list[float]] = []
        self._median: list[float] = []
        self._curves: list[NDArray[np.float64] | None] = []

    def add(self, found: Grounded, truth: NDArray[np.floating], _sounding: bool) -> None:
        """One item."""
        heat = found.heatmap
        self._values.append([metrics.avs_iou(heat, truth, t) for t in metrics.THRESHOLDS])
        self._median.append(metrics.avs_iou(heat, truth, metrics.median_threshold(heat)))
        self._curves.append(metrics.avs_f_curve(heat, truth))

    def report(self, batch: int) -> Report:
        """Both measures, percent; F has its own sweep and is one number."""
        return {
            "miou": [metrics.avs_miou(column, batch) for column in zip(*self._values, strict=True)],
            "f": metrics.avs_f(self._curves),
            "median": {"miou": metrics.avs_miou(self._median)},
        }


def add_arguments(parser: argparse._ActionsContainer) -> None:
    """The options of `dataset_report` next to `--dataset`."""
    parser.add_argument("--annotations", type=Path, help="vggss.json, or Flickr's Annotations/, when elsewhere")
    parser.add_argument("--extended", action="store_true", help="with extend_frames/ and extend_audio/")
    parser.add_argument("--split", default="test", help="AVSBench's")
    parser.add_argument("--batch", type=int, default=1, help="AVSBench: mIoU averages batches of this size, then those")
    parser.add_argument("--limit", type=int, help="the first so many items only")
    parser.add_argument("--acl", type=Path, help="ACL-SSL's trained weights; without them similarity is scored")
    parser.add_argument("--preset", default="nano", help="whose similarity")
    add_models(parser, required=False)


def add_models(parser: argparse._ActionsContainer, *, required: bool = True) -> None:
    """The options that name the frozen models."""
    parser.add_argument("--beats", type=Path, required=required, help="BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt")
    parser.add_argument("--clipseg", default=CLIPSEG, help="a folder or a name on the hub")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))


def dataset_report(args: argparse.Namespace) -> Report:
    """What `add_arguments` and `--dataset KIND FOLDER` ask for. Raises ConfigError, ModelError, SourceError."""
    kind, folder = _kind(args.dataset[0]), Path(args.dataset[1])
    items = read_dataset(kind, folder, annotations=args.annotations, extended=args.extended, split=args.split)
    return evaluate_dataset(similarity_or_acl(args), kind, items[: args.limit], batch=args.batch)


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if kind == name:
            return kind
    raise ConfigError(f"expected a dataset of {', '.join(KINDS)}, found {name!r}")


def similarity_or_acl(args: argparse.Namespace) -> Localizer:
    """ACL-SSL when its weights are given, else the similarity of a preset. Raises ConfigError and ModelError."""
    return acl_localizer(args) if args.acl else Similarity(args.preset)


def acl_localizer(args: argparse.Namespace) -> AclLocalizer:
    """ACL-SSL with the weights of `--acl`. Raises ConfigError and ModelError."""
    if args.beats is None:
        raise ConfigError("--acl needs --beats: BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt")
    return load_localizer(args.beats, args.acl, args.clipseg, choose_device(args.device))
