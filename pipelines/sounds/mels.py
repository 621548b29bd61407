"""Mel power of all sounds, once as recorded and several times as heard elsewhere: faster, slower, in rooms, coded.

These are made before training and mapped into memory; what is cheap (mixing, noise, response, masks) is drawn anew
for each batch, in `crops`.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import cast

import av
import numpy as np
import torch
from av.audio.stream import AudioStream
from scipy.signal import fftconvolve

from pipelines.nano.listener import HOP, MelPower
from pipelines.sounds.augment import compressed, mu_law, room
from pipelines.sounds.dsp import Rng, log_uniform, uniform
from pipelines.sounds.recordings import RATE_HZ, SEED, Store

CODECS = {
    "libopus": ("ogg", 6000, 24000, 48000),
    "mp3": ("mp3", 24000, 48000, 16000),
    "aac": ("adts", 14000, 40000, 16000),
}


def coded(x: np.ndarray, codec: str, bit_rate: int) -> np.ndarray:
    """A sound float32 at 16 kHz after a lossy codec, as long as before."""
    container, _, _, rate = CODECS[codec]
    memory = io.BytesIO()
    with av.open(memory, "w", format=container) as out:
        stream = cast(AudioStream, out.add_stream(codec, rate=rate, layout="mono"))
        stream.bit_rate = bit_rate
        resampler = av.AudioResampler(format=stream.codec_context.format or "fltp", layout="mono", rate=rate,
                                      frame_size=stream.codec_context.frame_size or 0)  # fmt: skip
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x[None], np.float32), format="flt", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        for ready in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    memory.seek(0)
    with av.open(memory, "r") as back:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        frames = [y for f in back.decode(audio=0) for y in resampler.resample(f)]
    y = np.concatenate([f.to_ndarray()[0] for f in frames]) if frames else np.zeros(0, np.float32)
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)].astype(np.float32)


def stretched(x: np.ndarray, speed: float) -> np.ndarray:
    """A sound played `speed` times as fast, by linear interpolation."""
    at = np.arange(int((len(x) - 1) / speed), dtype=np.float64) * speed
    return np.interp(at, np.arange(len(x)), x).astype(np.float32)


class Elsewhere:
    """Rooms and devices that a sound is put into; real room responses and made ones."""

    def __init__(self, responses: list[np.ndarray], seed: int) -> None:
        rng = np.random.default_rng([seed, 71])
        self.rooms = [
            response[: 2 * RATE_HZ] / max(float(np.sqrt(np.sum(response**2))), 1e-6) for response in responses
        ]
        self.rooms = [r for r in self.rooms for _ in range(3)] + [room(rng).astype(np.float32) for _ in range(120)]

    def __call__(self, x: np.ndarray, rng: Rng) -> tuple[np.ndarray, float]:
        """The sound as heard elsewhere, and its speed."""
        speed = float(np.exp(rng.uniform(-0.25, 0.25)))
        y = stretched(x, speed)
        if rng.random() < 0.45:
            echo = self.rooms[int(rng.integers(len(self.rooms)))]
            y = fftconvolve(y, echo)[: len(y)].astype(np.float32)
        y = y / max(float(np.abs(y).max(initial=0)), 1e-5)
        if rng.random() < 0.12:
            drive = uniform(rng, 1.5, 6)
            y = np.tanh(drive * y) if rng.random() < 0.5 else np.clip(drive * y, -1, 1)
        if rng.random() < 0.25:
            y = compressed(
                torch.from_numpy(y), int(log_uniform(rng, 0.02, 0.4) * RATE_HZ), uniform(rng, 0.3, 0.9)
            ).numpy()
        if rng.random() < 0.05:
            y = mu_law(torch.from_numpy(y)).numpy()
        if rng.random() < 0.15:
            codec = str(rng.choice(list(CODECS)))
            y = coded(y, codec, int(log_uniform(rng, *CODECS[codec][1:3])))
        return y, speed


def mel_rows(mel: MelPower, x: np.ndarray) -> np.ndarray:
    """Logarithm of the mel power, float16 (frames, BINS)."""
    x = np.pad(x, (0, -len(x) % HOP))
    with torch.no_grad():
        power = mel(torch.from_numpy(np.ascontiguousarray(x, np.float32))[None])[0]
    return torch.log10(power + 1e-9).T.half().numpy()


def write_variant(store: Store, folder: Path, variant: int, elsewhere: Elsewhere) -> None:
    """Write one variant (0 is as recorded) of a store's mels: mel-N.npy (frames, BINS) and mel-N.json, the index."""
    mel, pieces, starts, speeds, start = MelPower(), [], [], [], 0
    for i in range(len(store)):
        x, speed = store[i], 1.0
        if variant:
            x, speed = elsewhere(x, np.random.default_rng([SEED, 72, variant, i]))
        pieces.append(mel_rows(mel, x))
        starts.append(start)
        speeds.append(speed)
        start += len(pieces[-1])
    np.save(folder / f".mel-{variant}.npy", np.concatenate(pieces))
    (folder / f".mel-{variant}.npy").rename(folder / f"mel-{variant}.npy")
    partial = folder / f"mel-{variant}.part"
    partial.write_text(json.dumps({"starts": [*starts, start], "speeds": speeds}))
    partial.replace(folder / f"mel-{variant}.json")
