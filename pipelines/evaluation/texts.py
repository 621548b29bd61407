"""How good sentences are, by the field's libraries, and by whether they name what sounds.

Every measure gives one value a sentence, so that intervals can be had over clips; BLEU alone is of all together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from avstream import checkpoints, sentences
from avstream.errors import ConfigError, ModelError

RESAMPLES = 1000


def bleu(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU of sacrebleu, 0..1; each sentence may have several references. ConfigError without sacrebleu."""
    try:
        import sacrebleu
    except ImportError as error:
        raise ConfigError("BLEU needs sacrebleu: pip install -e .[train]") from error
    most = max(map(len, references))
    # sacrebleu wants as many references for each; a repeated one changes nothing
    columns = [[texts[min(i, len(texts) - 1)] for texts in references] for i in range(most)]
    return float(sacrebleu.corpus_bleu(list(said), columns).score) / 100


def rouge_l(said: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """ROUGE-L's F of each sentence against its best reference, stemmed, 0..1. ConfigError without rouge-score."""
    try:
        from rouge_score import rouge_scorer
    except ImportError as error:
        raise ConfigError("ROUGE needs rouge-score: pip install -e .[train]") from error
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    return [
        max(float(scorer.score(reference, text)["rougeL"].fmeasure) for reference in texts)
        for text, texts in zip(said, references, strict=True)
    ]


def bert_score(
    said: Sequence[str], references: Sequence[Sequence[str]], checkpoint: str, layer: int | None, device: torch.device
) -> list[float]:
    """BERTScore's F of each sentence against its best reference; rescaled where bert-score has a baseline for it.

    `layer` is needed for a checkpoint that bert-score does not know. Raises ModelError: not here, unknown layer.
    """
    try:
        import bert_score as library
        from bert_score.utils import model2layers
    except ImportError as error:
        raise ConfigError("BERTScore needs bert-score: pip install -e .[train]") from error
    folder = checkpoints.resolve(checkpoint, "bert")
    name = checkpoint.rstrip("/").rpartition("/")[2]
    chosen = layer or model2layers.get(name) or model2layers.get(checkpoint)
    if chosen is None:
        raise ModelError(f"bert-score does not know which layer of {checkpoint} to read: give --bert-layer")
    baseline = Path(library.__file__).parent / "rescale_baseline" / "en" / f"{name}.tsv"
    known = baseline.is_file()
    try:
        scorer = library.BERTScorer(
            str(folder), num_layers=chosen, device=str(device), lang="en", rescale_with_baseline=known,
            baseline_path=str(baseline) if known else None,
        )  # fmt: skip
        _, _, f = scorer.score(list(said), [list(texts) for texts in references])
    except (OSError, ValueError, AssertionError, IndexError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"BERTScore can't use {checkpoint}: {type(error).__name__}: {reason}") from error
    return [float(value) for value in f]


def named(said: str, sources: Sequence[str]) -> dict[str, float] | None:
    """Whether a sentence names a source that sounds, exactly those that sound, and one that does not, 0 or 1.

    By the vocabulary's words; None where none of the sources is in the vocabulary.
    """
    truth, found = [sounds for source in sources for sounds in mentioned(source)], mentioned(said)
    if not truth:
        return None
    right = [any(sounds & source for source in truth) for sounds in found]
    all_named = all(any(sounds & source for sounds in found) for source in truth)
    return {
        "source named": float(any(right)),
        "exactly": float(all_named and all(right)),
        "others named": float(not all(right)),
    }


def mentioned(text: str) -> list[frozenset[str]]:
    """What a text says to sound, or merely names: for each thing the labels that it may stand for."""
    found = sentences.said(text)
    return found.claims or ([frozenset(found.named)] if found.named else [])


def interval(values: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Mean and the half width of its 95 % interval, from resampled clips."""
    array = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(len(array), size=(RESAMPLES, len(array)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": float(array.mean()), "half": float(high - low) / 2, "n": float(len(array))}
