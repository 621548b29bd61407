"""What the listener can do: held-out validation, ESC-10's fold 4, sounds it does not know, three real movies."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import nn

from avstream.wording import LABELS, OTHER
from pipelines.nano.encoder import LogMel
from pipelines.nano.export_encoder import Fitted, expected_error
from pipelines.sounds.augment import noise_bed
from pipelines.sounds.batches import FRAME, RATE_HZ, WINDOW, frame_db
from pipelines.sounds.corpus import decode, load_corpus

ESC10 = LABELS[:10]
MOVIES = {"rvbmYs4Kl3Y_01": "speech", "IwqD859w2_E_02": "guitar", "DDer7K8WG4I_02": "bell"}


def logits_of(network: nn.Module, sounds: np.ndarray, size: int = 32) -> np.ndarray:
    """Evidence logits (n, 21) of windows float32 (n, 48000)."""
    mel, out = LogMel(), []
    network.eval()
    with torch.no_grad():
        for i in range(0, len(sounds), size):
            out.append(network(mel(torch.from_numpy(sounds[i : i + size])))[0].numpy())
    return np.concatenate(out)


def loudest_window(clips: np.ndarray) -> np.ndarray:
    """The three seconds with the loudest sound of int16 clips (n, 80000), as float32 (n, 48000)."""
    power = 10 ** (frame_db(clips) / 10)
    sums = np.cumsum(np.pad(power, ((0, 0), (1, 0))), 1)
    width = WINDOW // FRAME
    starts = np.argmax(sums[:, width:] - sums[:, :-width], 1) * FRAME
    cut = [clip[s : s + WINDOW] for clip, s in zip(clips, starts, strict=True)]
    return np.stack(cut).astype(np.float32) / 32768


def truth(rows: list[dict[str, str]]) -> np.ndarray:
    """The label's index for each row; -1 for `other`."""
    return np.array([LABELS.index(row["label"]) if row["label"] != OTHER else -1 for row in rows])


def validation_report(network: nn.Module, clips: np.ndarray, rows: list[dict[str, str]]) -> dict[str, object]:
    """Top-1 on the loudest window of held-out clips: ESC-10, the others; claims above 0.5 on unknown ones."""
    logits, label = logits_of(network, loudest_window(clips)), truth(rows)
    best = logits.argmax(1)
    right = {
        name: round(float((best[label == k] == k).mean()), 3) for k, name in enumerate(LABELS) if (label == k).any()
    }
    esc, made = (label >= 0) & (label < 10), label >= 10
    return {
        "esc10_held_out": round(float((best[esc] == label[esc]).mean()), 4),
        "made_held_out": round(float((best[made] == label[made]).mean()), 4),
        "unknown_claimed": round(float((logits[label < 0].max(1) > 0).mean()), 4),
        "by_label": right,
    }


def windows_of(x: np.ndarray, hop_s: float = 1.0) -> np.ndarray:
    """All whole three-second windows of a sound, float32 (n, 48000); a shorter sound is padded to one."""
    x = np.pad(x, (0, max(0, WINDOW - len(x))))
    starts = range(0, len(x) - WINDOW + 1, round(hop_s * RATE_HZ))
    return np.stack([x[s : s + WINDOW] for s in starts]).astype(np.float32)


def sounding(window: np.ndarray, loudest_db: float) -> bool:
    """Whether a window holds a frame above -55 dBFS and within 20 dB of its clip's loudest."""
    top = frame_db((window[None] * 32767).astype(np.int16)).max()
    return bool(top > -55 and top > loudest_db - 20)


def fold_four(fitted: Fitted, clips: np.ndarray, rows: list[dict[str, str]]) -> dict[str, object]:
    """ESC-10's unseen fold: windows of 3 s at hop 1 s; a clip's answer is the mean confidence of its windows."""
    truths = truth(rows)
    stacks = [windows_of(clip.astype(np.float32) / 32768) for clip in clips]
    scores = [fitted.confidence(logits_of(fitted.listener, stack)) for stack in stacks]
    tops = frame_db(clips).max(1)
    heard = [np.array([sounding(w, top) for w in stack]) for stack, top in zip(stacks, tops, strict=True)]
    every, label = np.concatenate(scores), np.repeat(truths, [len(s) for s in scores])
    sounds = np.concatenate(heard)
    right = every[:, :10].argmax(1) == label
    answer = np.array([s[:, :10].mean(0).argmax() for s in scores])
    claims = (every >= fitted.thresholds)[sounds]
    is_true = np.arange(len(LABELS)) == label[sounds, None]
    by_class = {name: round(float((answer[truths == k] == k).mean()), 3) for k, name in enumerate(ESC10)}
    return {
        "clips": len(clips),
        "windows": len(every),
        "windows_sounding": int(sounds.sum()),
        "top1_all_windows": round(float(right.mean()), 4),
        "top1_sounding_windows": round(float(right[sounds].mean()), 4),
        "top1_clip_mean": round(float((answer == truths).mean()), 4),
        "top1_of_21_sounding_windows": round(float((every[sounds].argmax(1) == label[sounds]).mean()), 4),
        "claims_right": round(float((claims & is_true).sum() / max(1, claims.sum())), 4),
        "sounds_claimed": round(float((claims & is_true).sum() / sounds.sum()), 4),
        "ece": round(expected_error(every[sounds], is_true), 4),
        "by_class_clip_mean": by_class,
    }


def false_claims(fitted: Fitted, corpus: Path, seed: int) -> dict[str, object]:
    """How often a label is claimed where none is true: noise and room tone, digital silence, unknown sounds."""
    rng = np.random.default_rng([seed, 51])
    beds = np.stack([noise_bed(rng, WINDOW) * 10 ** (rng.uniform(-80, -22) / 20) for _ in range(300)]).astype(
        np.float32
    )
    clips, rows = load_corpus(corpus, ("valid",))
    unknown = loudest_window(clips[[row["label"] == OTHER for row in rows]])
    out: dict[str, object] = {}
    for name, sounds in (("noise", beds), ("silence", np.zeros((1, WINDOW), np.float32)), ("unknown", unknown)):
        claims = fitted.confidence(logits_of(fitted.listener, sounds)) >= fitted.thresholds
        out[name] = {"windows": len(sounds), "claimed": round(float(claims.any(1).mean()), 4),
                     "labels": {LABELS[k]: int(n) for k, n in enumerate(claims.sum(0)) if n}}  # fmt: skip
    return out


def movies(fitted: Fitted, folder: Path) -> dict[str, object]:
    """The three real movies: what is heard first, how sure, and whether that passes its threshold."""
    out: dict[str, object] = {}
    for name, expected in MOVIES.items():
        if not (folder / f"{name}.mp4").exists():
            continue
        x, rate = decode(folder / f"{name}.mp4")
        common = math.gcd(RATE_HZ, rate)
        sound = windows_of(resample_poly(x, RATE_HZ // common, rate // common)[:WINDOW])
        score = fitted.confidence(logits_of(fitted.listener, sound))[0]
        best = np.argsort(-score)[:3]
        out[name] = {
            "expected": expected,
            "heard": {LABELS[k]: round(float(score[k]), 3) for k in best},
            "claimed": [LABELS[k] for k in np.flatnonzero(score >= fitted.thresholds)],
            "right": bool(LABELS[best[0]] == expected and score[best[0]] >= fitted.thresholds[best[0]]),
        }
    return out


def evaluate(fitted: Fitted, corpus: Path, data: Path, seed: int) -> dict[str, object]:
    """All scores of an exported listener."""
    clips, rows = load_corpus(corpus, ("valid",))
    return {
        "fold4": fold_four(fitted, *load_corpus(corpus, ("test",))),
        "held_out": validation_report(fitted.listener, clips, rows),
        "false_claims": false_claims(fitted, corpus, seed),
        "movies": movies(fitted, data / "ave2"),
    }
