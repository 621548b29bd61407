"""Events with known onsets and ends: test recordings placed on a ground, and PSDS and event F1 by sed_scores_eval."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from avstream.listeners.base import ACTIVE
from pipelines.listening.clips import Clip
from pipelines.listening.listeners import NAMES, RATE_HZ, STEPS, WINDOW_S, Named
from pipelines.sounds.dsp import Rng, uniform
from pipelines.sounds.truth import activity
from pipelines.sounds.vocabulary import LABELS, STEADY

SECONDS, HOP_S = 10.0, 1.0
STEP_S = WINDOW_S / STEPS
COLLAR_S = 0.2
# DESED's: detection, ground truth and cross trigger tolerances, weights of cross triggers and of unstable classes
# (0: sixty labels with five events each differ by chance)
SCENARIOS = ((0.7, 0.7, None, 0.0, 0.0), (0.1, 0.1, 0.3, 0.5, 0.0))


@dataclass(frozen=True)
class Scene:
    """Ten seconds of sound and the events in it: (onset s, end s, label)."""

    samples: np.ndarray
    events: list[tuple[float, float, str]]


def event_of(clip: Clip, longest_s: float) -> np.ndarray | None:
    """The part of a recording in which it sounds first, up to a length; None when that is unknown."""
    frame = RATE_HZ // 10
    x = clip.samples[: len(clip.samples) // frame * frame]
    if len(x) < 3 * frame:
        return None
    level = 10 * np.log10(np.square(x.reshape(-1, frame)).mean(1) + 1e-10)
    on = activity(level, clip.kind) == 1
    first = int(np.argmax(on))
    last = first
    while last + 1 < len(on) and on[last + 1 : last + 4].any():  # pauses of up to 0.3 s are within
        last += 1
    length = min(last + 1 - first, round(longest_s * 10))
    return x[first * frame : (first + length) * frame] if on.any() else None


def scene(clips: Sequence[Clip], grounds: Sequence[Clip], rng: Rng) -> Scene:
    """One to three events, 3 to 25 dB above a recorded ground."""
    n = round(SECONDS * RATE_HZ)
    ground = grounds[int(rng.integers(len(grounds)))].samples
    out = np.resize(ground, n).astype(np.float64)
    out *= 0.01 / max(float(np.sqrt(np.square(out).mean())), 1e-6)
    events: list[tuple[float, float, str]] = []
    for _ in range(int(rng.integers(1, 4))):
        clip = clips[int(rng.integers(len(clips)))]
        x = event_of(clip, 4.0 if clip.kind in STEADY else 3.0)
        if x is None or any(label == clip.kind for _, _, label in events):
            continue
        at = int(uniform(rng, 0.2, SECONDS - 0.2 - len(x) / RATE_HZ) * RATE_HZ)
        edge = min(80, len(x) // 4)
        shape = np.minimum(1, np.minimum(np.arange(len(x)) + 1, np.arange(len(x), 0, -1)) / edge)
        loud = np.sqrt(np.square(x[: len(x) // 1600 * 1600].reshape(-1, 1600)).mean(1).max())
        out[at : at + len(x)] += x * shape * (0.01 * 10 ** (uniform(rng, 3, 25) / 20) / max(loud, 1e-6))
        events.append((at / RATE_HZ, (at + len(x)) / RATE_HZ, clip.kind))
    return Scene((out / max(1.0, np.abs(out).max())).astype(np.float32), events)


def scenes(clips: Sequence[Clip], grounds: Sequence[Clip], count: int, seed: int = 5) -> list[Scene]:
    """`count` scenes with at least one event."""
    rng, out = np.random.default_rng([seed, 101]), list[Scene]()
    while len(out) < count:
        made = scene(clips, grounds, rng)
        if made.events:
            out.append(made)
    return out


def frames_of(listener: Named, samples: np.ndarray) -> np.ndarray:
    """Chances (frames, labels) every 0.1 s as live: of the newest second of each window at a hop of 1 s.

    As avstream takes them: a window's chance, where a frame has half of its highest; then a median over 0.5 s.
    """
    hop, length = round(HOP_S * RATE_HZ), round(WINDOW_S * RATE_HZ)
    padded = np.concatenate([np.zeros(length - hop, np.float32), samples])
    windows = np.stack([padded[s : s + length] for s in range(0, len(padded) - length + 1, hop)])
    frames, clips = listener.listen(windows)
    share = frames / np.maximum(frames.max(1, keepdims=True), 1e-6)
    chances = clips[:, None] * np.minimum(1, share / ACTIVE)
    newest = chances[:, -round(HOP_S / STEP_S) :].reshape(-1, len(NAMES))[:, : len(LABELS)]
    return np.asarray(median_filter(newest, (5, 1), mode="nearest"))


def score(listener: Named, made: Sequence[Scene]) -> dict[str, float]:
    """PSDS by the tolerances of DESED's two scenarios, and event F1 (onset and end within 0.2 s or 20 %)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pkg_resources, which a dependency still imports
        from sed_scores_eval import collar_based, intersection_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe
    labels = sorted({label for s in made for _, _, label in s.events})
    columns = [LABELS.index(label) for label in labels]
    scores, truth, lengths = {}, {}, {}
    for i, one in enumerate(made):
        name = f"scene-{i}"
        values = frames_of(listener, one.samples)[:, columns]
        scores[name] = create_score_dataframe(values, np.arange(len(values) + 1) * STEP_S, labels)
        truth[name], lengths[name] = list(one.events), SECONDS
    psds = []
    for dtc, gtc, cttc, ct, st in SCENARIOS:
        found = intersection_based.psds(
            scores, truth, lengths, dtc_threshold=dtc, gtc_threshold=gtc, cttc_threshold=cttc, alpha_ct=ct,
            alpha_st=st, max_efpr=100,
        )  # fmt: skip
        psds.append(found[0])
    at = dict(zip(labels, listener.thresholds[columns], strict=True))
    f1 = collar_based.fscore(scores, truth, at, onset_collar=COLLAR_S, offset_collar=COLLAR_S, offset_collar_rate=0.2)[
        0
    ]
    best = collar_based.best_fscore(scores, truth, onset_collar=COLLAR_S, offset_collar=COLLAR_S,
                                    offset_collar_rate=0.2)[0]  # fmt: skip
    onset = collar_based.fscore(scores, truth, at, onset_collar=COLLAR_S, offset_collar=10.0)[0]
    return {
        "scenes": len(made), "events": sum(len(s.events) for s in made), "labels": len(labels),
        "psds1": round(float(psds[0]), 4), "psds2": round(float(psds[1]), 4),
        "event_f1": round(float(f1["macro_average"]), 4), "onset_f1": round(float(onset["macro_average"]), 4),
        "best_event_f1": round(float(best["macro_average"]), 4),
    }  # fmt: skip
