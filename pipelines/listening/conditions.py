"""The same clips under worse conditions, and an hour in which nothing should be claimed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.signal import fftconvolve

from pipelines.listening.clips import KNOWN, Clip, hear, macro, rounded, top1
from pipelines.listening.listeners import RATE_HZ, WINDOW_S, Named, resampled
from pipelines.sounds.augment import room
from pipelines.sounds.dsp import Rng, harmonic, noise, uniform
from pipelines.sounds.mels import coded
from pipelines.sounds.other_sounds import crowd, fan, hum, wind
from pipelines.sounds.vocabulary import ESC50, LABELS

Change = Callable[[np.ndarray], np.ndarray]
HOUR = 1200  # windows of three seconds
FINE = {"wind": {"wind"}, "babble": {"speech"}, "traffic": {"engine", "train", "airplane"}}  # rightly claimed in these


def noisy(snr_db: float) -> Change:
    """Pink-like noise at a ratio to the clip's mean power."""

    def change(x: np.ndarray) -> np.ndarray:
        bed = noise(len(x), np.random.default_rng(len(x)), 3.0)
        scale = np.sqrt(np.square(x).mean() / np.square(bed).mean()) * 10 ** (-snr_db / 20)
        return (x + bed * scale).astype(np.float32)

    return change


def echoing(x: np.ndarray) -> np.ndarray:
    """A made room; the same for all clips of a length."""
    return fftconvolve(x, room(np.random.default_rng(3)))[: len(x)].astype(np.float32)


def clipped(x: np.ndarray) -> np.ndarray:
    """Four times too loud for the converter."""
    return np.clip(4 * x / max(float(np.abs(x).max(initial=0)), 1e-6), -1, 1).astype(np.float32)


CONDITIONS: dict[str, Change | None] = {
    "as recorded": None,
    "noise, 20 dB": noisy(20), "noise, 10 dB": noisy(10), "noise, 0 dB": noisy(0),
    "gain -30 dB": lambda x: x * np.float32(10**-1.5), "gain +12 dB, clipped": lambda x: np.clip(4 * x, -1, 1),
    "8 kHz": lambda x: resampled(resampled(x, RATE_HZ, 8000), 8000, RATE_HZ),
    "Opus 12 kbit/s": lambda x: coded(x, "libopus", 12000), "MP3 32 kbit/s": lambda x: coded(x, "mp3", 32000),
    "a room": echoing, "clipped by 12 dB": clipped,
}  # fmt: skip


def conditions(listener: Named, clips: Sequence[Clip], names: Sequence[str] = tuple(CONDITIONS)) -> dict[str, object]:
    """Top label of ESC-50's, macro precision and recall under each condition, of each clip's loudest window."""
    out: dict[str, object] = {}
    for name in names:
        heard = hear(listener, clips, CONDITIONS[name], loudest=True)
        both = macro(heard, listener.thresholds, ESC50)
        out[name] = {"top1": rounded(top1(heard, ESC50, False)), "macro_precision": both["macro_precision"],
                     "macro_recall": both["macro_recall"]}  # fmt: skip
    return out


def grounds(traffic: Sequence[Clip], voices: Sequence[Clip]) -> dict[str, Callable[[int, Rng], np.ndarray]]:
    """Makers of what goes on for hours: samples of a length."""

    def long(make: Callable[[float, int, Rng], np.ndarray]) -> Callable[[int, Rng], np.ndarray]:
        return lambda n, rng: np.asarray(make(n / RATE_HZ, RATE_HZ, rng)[:n])

    def babble(n: int, rng: Rng) -> np.ndarray:
        if not voices:
            return crowd(n / RATE_HZ, RATE_HZ, rng)
        parts = [np.resize(voices[int(rng.integers(len(voices)))].samples, n) for _ in range(8)]
        return np.sum([part / max(float(part.std()), 1e-6) * uniform(rng, 0.5, 1) for part in parts], axis=0)

    def driving(n: int, rng: Rng) -> np.ndarray:
        if not traffic:
            return noise(n, rng, 6.0)
        return np.resize(np.roll(traffic[int(rng.integers(len(traffic)))].samples, int(rng.integers(1 << 20))), n)

    def mains(n: int, rng: Rng) -> np.ndarray:
        x = harmonic(float(rng.choice([50, 60])), rng.exponential(1, 12) / np.arange(1, 13), n, RATE_HZ)
        return x / x.std() + uniform(rng, 0.02, 0.5) * noise(n, rng, 2.0)

    return {"quiet room": lambda n, rng: noise(n, rng, uniform(rng, 0, 6)), "hum": mains,
            "fan": long(fan), "appliance": long(hum), "wind": long(wind), "traffic": driving,
            "babble": babble}  # fmt: skip


def hour(listener: Named, traffic: Sequence[Clip], voices: Sequence[Clip], windows: int = HOUR) -> dict[str, object]:
    """Windows of an hour of grounds in which a label is claimed at its threshold that is not the ground's own."""
    out: dict[str, object] = {}
    makers = grounds(traffic, voices)
    every, each = 0, windows // len(makers)
    for name, make in makers.items():
        rng = np.random.default_rng([11, len(name), each])
        claimed, labels = 0, dict[str, int]()
        for _ in range(each):
            x = make(round(WINDOW_S * RATE_HZ), rng)
            x = x / max(float(np.sqrt(np.square(x).mean())), 1e-9) * 10 ** (uniform(rng, -60, -25) / 20)
            said = listener.listen(x[None].astype(np.float32))[1][0, :KNOWN] >= listener.thresholds
            wrong = [LABELS[k] for k in np.flatnonzero(said) if LABELS[k] not in FINE.get(name, ())]
            claimed += bool(wrong)
            for label in wrong:
                labels[label] = labels.get(label, 0) + 1
        every += claimed
        most = sorted(labels.items(), key=lambda item: -item[1])[:3]
        out[name] = {"windows": each, "claimed": rounded(claimed / max(1, each)), "most": dict(most)}
    out["all"] = {"windows": each * len(makers), "claimed": rounded(every / max(1, each * len(makers))),
                  "false_claims_an_hour": every * HOUR // max(1, each * len(makers))}  # fmt: skip
    return out
