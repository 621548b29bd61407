"""Quick looks at a listener while it learns: held recordings, fold 4, what is claimed of unknown kinds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from pipelines.nano.listener import BINS, FRAMES, KNOWN, NAMES, STEPS, leveled
from pipelines.sounds.crops import STEP, Sounds
from pipelines.sounds.vocabulary import ESC50, LABELS


def windows(store: Sounds, i: int, hop_steps: int = 10) -> torch.Tensor:
    """Mel power (n, BINS, FRAMES) of all windows of a recording, at a hop of `hop_steps` tenths of a second."""
    a, b = store.starts[0][i], store.starts[0][i + 1]
    power = 10 ** store.mels[0][a:b].astype(np.float32)
    power = np.pad(power, ((0, max(0, FRAMES - len(power))), (0, 0)))
    starts = range(0, len(power) - FRAMES + 1, hop_steps * STEP)
    total = power.sum(1)
    cut = [power[s : s + FRAMES] for s in starts if total[s : s + FRAMES].max() > 0.01 * total.max()]
    return torch.from_numpy(np.stack(cut)).transpose(1, 2)


@torch.no_grad()
def clip_scores(network: nn.Module, store: Sounds, rows: list[int]) -> np.ndarray:
    """Mean over a recording's windows of the clip's probabilities, (rows, names); not calibrated."""
    network.eval()
    pieces = [windows(store, i) for i in rows]
    counts = [len(piece) for piece in pieces]
    every = torch.cat(pieces)
    out = [network(leveled(every[s : s + 64]))[1].sigmoid() for s in range(0, len(every), 64)]
    scores = torch.cat(out).numpy()
    return np.stack([part.mean(0) for part in np.split(scores, np.cumsum(counts)[:-1])])


def quick(store: Sounds, outside: Callable[[dict[str, object]], bool]) -> Callable[[nn.Module], dict[str, object]]:
    """A report on held and fold-4 recordings of the real store, and on unknown kinds."""
    chosen = {
        "held": [i for i, r in enumerate(store.rows) if r["split"] == "held" and r["kind"] in LABELS],
        "fold4": [i for i, r in enumerate(store.rows) if r["fold"] == 4 and r["kind"] in LABELS],
        "outside": [i for i, r in enumerate(store.rows) if outside(r)],
    }
    esc = np.array([LABELS.index(label) for label in ESC50])

    def report(network: nn.Module) -> dict[str, object]:
        out: dict[str, object] = {}
        for name, rows in chosen.items():
            if not rows:
                continue
            scores = clip_scores(network, store, rows)[:, :KNOWN]
            if name == "outside":
                special = np.delete(scores, LABELS.index("music"), 1).max(1)
                out["claimed"] = [round(float((special >= bar).mean()), 3) for bar in (0.5, 0.8)]
                continue
            truth = np.array([LABELS.index(store.rows[i]["kind"]) for i in rows])
            best = scores[:, esc].argmax(1) if name == "fold4" else scores.argmax(1)
            right = (esc[best] if name == "fold4" else best) == truth
            own = scores[np.arange(len(truth)), truth]
            out[name] = round(float(right.mean()), 4)
            out[f"{name}_recall"] = round(float((own >= 0.5).mean()), 3)
            out[f"{name}_precision"] = round(float((own >= 0.5).sum() / max(1, (scores >= 0.5).sum())), 3)
        return out

    return report


__all__ = ["BINS", "NAMES", "STEPS", "clip_scores", "quick", "windows"]
