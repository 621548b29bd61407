"""Vectors as a 2-D map: one HTML file to look around in, which needs nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from avstream.errors import ConfigError
from pipelines.classification.clips import Clip, Floats
from pipelines.classification.methods import Answers, words

TEMPLATE = Path(__file__).with_name("map.html")
KINDS = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}


def place(vectors: Floats, kind: str, seed: int = 0) -> NDArray[np.float64]:
    """(n, d) -> (n, 2) in [0, 1], the same for the same seed. Raises ConfigError without the library that it needs."""
    scaled = (vectors - vectors.mean(0)) / np.maximum(vectors.std(0), 1e-6)
    if kind == "umap":
        try:
            from umap import UMAP
        except ImportError as error:
            raise ConfigError("--map umap needs umap-learn: pip install umap-learn; or use --map tsne") from error
        flat = UMAP(random_state=seed).fit_transform(scaled)
    elif kind == "tsne" and len(vectors) > 5:
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(vectors) - 1) / 3)
        flat = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(scaled.astype(np.float32))
    else:
        from sklearn.decomposition import PCA

        flat = PCA(2, random_state=seed).fit_transform(scaled)
    low, high = flat.min(0), flat.max(0)
    return np.asarray((flat - low) / np.maximum(high - low, 1e-9), np.float64)


def page(answers: Answers, clips: Sequence[Clip], kind: str, path: Path, seed: int = 0) -> str:
    """The map's HTML. Links to the sounds are relative to `path`."""
    assert answers.vectors is not None
    labels = sorted({clip.label for clip in clips})
    points = [
        {
            "x": round(float(x), 4), "y": round(float(y), 4), "c": labels.index(clip.label), "n": clip.path.name,
            "said": None if said is None else words(said), "ok": said == clip.label,
            "href": quote(os.path.relpath(os.path.abspath(clip.path), path.resolve().parent).replace(os.sep, "/")),
        }
        for (x, y), clip, said in zip(place(answers.vectors, kind, seed), clips, answers.labels, strict=True)
    ]  # fmt: skip
    data = json.dumps({"labels": [words(label) for label in labels], "points": points}).replace("<", "\\u003c")
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(f"{answers.name}: {len(clips)} clips"), how=KINDS[kind],
        data=data,
    )  # fmt: skip
