"""Scores on recordings that were not learned from: top label, claims, unknown kinds, calibration, classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from pipelines.listening.listeners import NAMES, RATE_HZ, Named, windows_of
from pipelines.nano.calibration import expected_error
from pipelines.sounds.truth import targets
from pipelines.sounds.vocabulary import ESC50, LABELS, OTHER, left_out_group, outside_kinds, parent_of

KNOWN = len(LABELS)


@dataclass(frozen=True)
class Clip:
    """A recording at 16 kHz, what sounds in it, and the source it comes from."""

    samples: np.ndarray
    kind: str
    group: str
    fold: int


@dataclass(frozen=True)
class Heard:
    """What a listener says of clips: a clip's windows (chances (windows, names)), each clip's mean, and the truth."""

    kinds: list[str]
    windows: list[np.ndarray]

    @property
    def clips(self) -> np.ndarray:
        """Means over each clip's windows, (clips, names)."""
        return np.stack([w.mean(0) for w in self.windows])

    @property
    def truth(self) -> np.ndarray:
        """The label's place, -1 for kinds outside."""
        return np.array([LABELS.index(kind) if kind in LABELS else -1 for kind in self.kinds])

    def joined(self, other: Heard) -> Heard:
        """Both."""
        return Heard(self.kinds + other.kinds, self.windows + other.windows)


def hear(listener: Named, clips: Iterable[Clip], change: Callable[[np.ndarray], np.ndarray] | None = None,
         loudest: bool = False) -> Heard:  # fmt: skip
    """Listen to clips in windows of three seconds at a hop of one, or to the loudest; `change` is done before."""
    kinds, out = [], []
    for clip in clips:
        samples = clip.samples if change is None else change(clip.samples)
        windows = windows_of(samples)
        if loudest:
            windows = windows[[int(np.square(windows).sum(1).argmax())]]
        out.append(listener.listen(windows)[1])
        kinds.append(clip.kind)
    return Heard(kinds, out)


def allowed(kind: str) -> np.ndarray:
    """Bool (labels,): labels whose claim is not wrong for a kind (its own, or what it may be called as well)."""
    target, weight = targets(kind)
    return (target[:KNOWN] > 0) | (weight[:KNOWN] == 0)


def top1(heard: Heard, labels: list[str], by_window: bool) -> float:
    """Share of clips, or windows, of these labels whose top label among them is right."""
    columns = np.array([LABELS.index(label) for label in labels])
    right, count = 0, 0
    for kind, windows in zip(heard.kinds, heard.windows, strict=True):
        if kind not in labels:
            continue
        scores = windows if by_window else windows.mean(0, keepdims=True)
        right += int((columns[scores[:, columns].argmax(1)] == LABELS.index(kind)).sum())
        count += len(scores)
    return right / max(1, count)


def macro(heard: Heard, thresholds: np.ndarray, labels: list[str]) -> dict[str, object]:
    """Precision and recall of claims, a label at a time, over the labels' clips and those of unknown kinds.

    A label that is never claimed has no precision and is left out of its mean (and counted).
    """
    scores, classes, precisions, recalls = heard.clips[:, :KNOWN], {}, [], []
    fine = np.stack([allowed(kind) for kind in heard.kinds])
    claims = scores >= thresholds
    for label in labels:
        k = LABELS.index(label)
        own = np.array([kind == label for kind in heard.kinds])
        counted = claims[:, k] & (own | ~fine[:, k])
        precision = float(own[counted].mean()) if counted.any() else None
        recall = float(claims[own, k].mean()) if own.any() else None
        classes[label] = {"clips": int(own.sum()), "recall": rounded(recall), "precision": rounded(precision)}
        precisions += [precision] if precision is not None else []
        recalls += [recall] if recall is not None else []
    return {"macro_precision": rounded(np.mean(precisions)) if precisions else None,
            "macro_recall": rounded(np.mean(recalls)) if recalls else None,
            "never_claimed": len(labels) - len(precisions), "classes": classes}  # fmt: skip


def false_claims(heard: Heard, thresholds: np.ndarray) -> dict[str, object]:
    """Unknown kinds: how many clips get a label at 0.5, at 0.8 and at the default thresholds.

    `strict` counts every label; the plain figures let a correct general word pass ("music" of a clarinet) and labels
    that the kind may be called as well (`vocabulary.MAY_BE`).
    """
    scores = heard.clips
    labels, fine = scores[:, :KNOWN], np.stack([allowed(kind) for kind in heard.kinds])
    wrong = np.where(fine, 0, labels)
    parents = [f"/{parent_of(kind)}" for kind in heard.kinds]
    general = np.array([p in NAMES and s[NAMES.index(p)] >= 0.5 for p, s in zip(parents, scores, strict=True)])
    silent = labels.max(1) < 0.5
    return {
        "clips": len(labels), "kinds": len(set(heard.kinds)),
        "claimed_0.5": rounded((wrong.max(1) >= 0.5).mean()), "claimed_0.8": rounded((wrong.max(1) >= 0.8).mean()),
        "claimed_default": rounded((wrong >= thresholds).any(1).mean()),
        "strict_0.5": rounded((labels.max(1) >= 0.5).mean()), "strict_0.8": rounded((labels.max(1) >= 0.8).mean()),
        "right_parent": rounded(general.mean()),
        "other_0.5": rounded((scores[:, NAMES.index(OTHER)] >= 0.5).mean()),
        "nothing_claimed": rounded(silent.mean()),
    }  # fmt: skip


def at_recall(heard: Heard, unknown: Heard, labels: list[str], recall: float = 0.7) -> dict[str, object]:
    """Precision and false claims at the one threshold for all labels at which their macro recall is `recall`.

    So listeners compare whose chances mean different things.
    """
    for bar in np.arange(0.99, 0.0, -0.01):
        both = macro(heard.joined(unknown), np.full(KNOWN, bar), labels)
        if float(both["macro_recall"] or 0) >= recall:  # type: ignore[arg-type]
            fine = np.stack([allowed(kind) for kind in unknown.kinds])
            wrong = np.where(fine, 0, unknown.clips[:, :KNOWN]).max(1) >= bar
            return {"threshold": rounded(bar), "macro_recall": both["macro_recall"],
                    "macro_precision": both["macro_precision"], "claimed": rounded(wrong.mean())}  # fmt: skip
    return {"threshold": None, "macro_recall": None, "macro_precision": None, "claimed": None}


def calibration(heard: Heard) -> dict[str, object]:
    """Expected calibration error of the labels' chances of clips and of windows (answers of 0.05 and more)."""
    fine = np.stack([allowed(kind) for kind in heard.kinds])
    own = np.stack([np.arange(KNOWN) == t for t in heard.truth])
    counted = own | ~fine  # what may be called so as well is neither right nor wrong
    counts = [len(w) for w in heard.windows]
    windows = np.concatenate(heard.windows)[:, :KNOWN]
    own_windows, counted_windows = np.repeat(own, counts, 0), np.repeat(counted, counts, 0)
    return {
        "ece_clips": rounded(expected_error(heard.clips[:, :KNOWN][counted], own[counted])),
        "ece_windows": rounded(expected_error(windows[counted_windows], own_windows[counted_windows])),
    }


def reliability(heard: Heard, bins: int = 10) -> list[dict[str, float]]:
    """Mean confidence, share that is right, and count, in bins of confidence."""
    fine = np.stack([allowed(kind) for kind in heard.kinds])
    own = np.stack([np.arange(KNOWN) == t for t in heard.truth])
    counted = own | ~fine
    confidence, right = heard.clips[:, :KNOWN][counted], own[counted]
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [{"confidence": float(confidence[place == b].mean()), "right": float(right[place == b].mean()),
             "count": int((place == b).sum())} for b in range(bins) if (place == b).any()]  # fmt: skip


def confusion(heard: Heard, labels: list[str]) -> np.ndarray:
    """(labels, labels) of counts: true label down, top label across."""
    columns = np.array([LABELS.index(label) for label in labels])
    out = np.zeros((len(labels), len(labels)), int)
    for kind, scores in zip(heard.kinds, heard.clips, strict=True):
        if kind in labels:
            out[labels.index(kind), scores[columns].argmax()] += 1
    return out


def of_left_out(clips: Iterable[Clip], group: int) -> list[Clip]:
    """The clips of a left-out group of outside kinds."""
    return [clip for clip in clips if clip.kind in outside_kinds() and left_out_group(clip.kind) == group]


def rounded(value: object) -> float | None:
    """Four digits, None stays."""
    return None if value is None else round(float(value), 4)  # type: ignore[arg-type]


__all__ = ["ESC50", "RATE_HZ", "Clip", "Heard", "calibration", "confusion", "false_claims", "hear", "macro", "top1"]
