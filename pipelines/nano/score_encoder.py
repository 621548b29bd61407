"""How well the encoder's own labels are distinguished while it is trained, on held-out clips."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from avstream.vocabulary import OTHER
from pipelines.nano.encoder import LogMel
from pipelines.nano.labels import LABELS
from pipelines.sounds.batches import FRAME, WINDOW, frame_db


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
