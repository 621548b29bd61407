"""Weights and sounds out of their names alone: the same bits on every machine, with numpy only.

A number is z = (2u - 1) sqrt(3), u = (word >> 11) / 2^53 of PCG64's raw stream seeded with the first 8 bytes of the
SHA-256 of the name (little endian): mean 0, variance 1. No libm call is involved.
"""

import hashlib
import re

import numpy as np
import torch

WAVEFORMS = ("chirp", "clicks", "near_silence")
AS_BUILT = re.compile(
    r"num_batches_tracked$|(^|\.)window$|log_logit_scale$|logit_scale(_ai|_at)?$|^masker_i\.[wb]$"
)  # keys that keep what the model builds
SHARED = re.compile(r"(?<=encoder\.layers\.)\d+(?=\.self_attn\.relative_attention_bias\.weight$)")  # one tensor for all
# key -> value = offset + scale * z; the first that matches. Some scales are small on purpose: a tiny variance before
# one norm of each model makes a wrong epsilon visible.
VALUES = tuple(
    (re.compile(pattern), offset, scale)
    for pattern, offset, scale in (
        (r"^audio\.bn1\.running_var$", 2500.0, 900.0),
        (r"layer1\.0\.bn1\.running_var$", 0.002, 0.0008),
        (r"layer1\.0\.bn1\.weight$", 0.05, 0.01),
        (r"running_var$", 1.0, 0.4),
        (r"running_mean$", 0.0, 0.2),
        (r"fbsp\.m$", 0.75, 0.25),
        (r"fbsp\.fb$", 1.0, 0.2),
        (r"weight_g$", 3.0, 0.75),
        (r"pos_conv\.0\.bias$|post_extract_proj\.bias$", 0.0, 0.005),
        (r"grep_a$", 1.0, 0.4),
        (r"grep_linear\.weight$", 0.0, 0.25),
        (r"rgbt_stem\.norm_layer\.weight$", 0.05, 0.01),
        (r"rgbt_stem\.norm_layer\.bias$", 0.0, 0.005),
        (r"(pos_embed|cls_token)$", 0.0, 0.03),
        (r"relative_attention_bias\.weight$|(bias_k|bias_v)$", 0.0, 1.0),
        (r"reduce_potentials\.\d+\.weight$", 0.0, 4.0),
    )
)
GAINS = ((re.compile(r"rgbt_stem\.proj\.weight$|^patch_embedding\.weight$"), 0.02),
         (re.compile(r"^post_extract_proj\.weight$"), 0.05))  # fmt: skip


def uniform(name, shape):
    """float64 in [0, 1)."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    words = np.random.PCG64(seed).random_raw(int(np.prod(shape, dtype=np.int64)))
    return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


def numbers(name, shape):
    """float64 with mean 0 and variance 1."""
    return (2.0 * uniform(name, shape) - 1.0) * 1.7320508075688772


def unit(name, shape):
    """The same as a float32 tensor."""
    return torch.from_numpy(numbers(name, shape).astype(np.float32))


def weight(key, shape):
    """float32 value of a checkpoint's key; None for what the model builds itself.

    Vectors called weight are gains around 1, other vectors biases around 0, the rest kernels of std 1 / sqrt(fan in).
    """
    if not shape or AS_BUILT.search(key):
        return None
    z = numbers(SHARED.sub("0", key), shape)
    if key.endswith("fbsp.fc"):
        return (np.arange(shape[0], dtype=np.float64) + 0.25 * z).astype(np.float32)
    for pattern, offset, scale in VALUES:
        if pattern.search(key):
            return (offset + scale * z).astype(np.float32)
    if len(shape) == 1:
        return (1.0 + 0.2 * z if key.endswith("weight") else 0.1 * z).astype(np.float32)
    gain = next((gain for pattern, gain in GAINS if pattern.search(key)), 1.0)
    return (gain * z / np.sqrt(np.float64(int(np.prod(shape[1:]))))).astype(np.float32)


def waveform(name, rate_hz):
    """Mono float32 on the 16-bit grid: a 3 s chirp in noise, 1 s of clicks over 2 LSB of noise, 2 s of 3 LSB noise."""
    if name == "chirp":
        t = np.arange(3 * rate_hz, dtype=np.float64) / rate_hz
        x = 0.5 * np.sin(2.0 * np.pi * (440.0 * t + (440.0 / 6.0) * t * t))
        x += 0.05 * (2.0 * uniform(f"chirp/{rate_hz}", (3 * rate_hz,)) - 1.0)
    elif name == "clicks":
        x = (4.0 * uniform(f"clicks/{rate_hz}", (rate_hz,)) - 2.0) / 32768.0
        for i in range(8):
            start = (i * rate_hz) // 8 + rate_hz // 50
            x[start : start + 32] += 0.9 * (-0.8) ** np.arange(32, dtype=np.float64)
    else:
        x = (6.0 * uniform(f"near_silence/{rate_hz}", (2 * rate_hz,)) - 3.0) / 32768.0
    return (np.rint(x * 32768.0) / 32768.0).astype(np.float32)
