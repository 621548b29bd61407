"""What a training leaves for people: the plot of its losses and its model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.data.embeddings import pooling_of
from pipelines.evaluation.plots import figure, save
from pipelines.projection.losses import LAMBDA, TAU
from pipelines.projection.plan import Plan
from pipelines.projection.train import WEIGHTS


def plot_losses(logs: Mapping[int, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Training and validation loss by epoch, a pair of lines a seed. Raises SinkError."""
    drawing, axes = figure()
    for i, (seed, lines) in enumerate(logs.items()):
        for name, style in (("valid_loss", "-"), ("train_loss", ":")):
            words = "validation" if name == "valid_loss" else "training"
            epochs, losses = [line["epoch"] for line in lines], [line[name] for line in lines]
            axes.plot(epochs, losses, style, color=f"C{i}", label=f"seed {seed}, {words}")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.legend(frameon=False)
    save(drawing, path)


def card(plan: Plan, logs: Mapping[int, Sequence[Mapping[str, Any]]], counts: Mapping[str, float], command: str) -> str:
    """The model card, in Markdown."""
    rows = []
    for seed, lines in logs.items():
        best = min(lines, key=lambda line: line["valid_rank"])
        rows.append(
            f"| {seed} | `seed-{seed}/{WEIGHTS}` | {len(lines)} | {best['epoch']} | {best['valid_rank']:.1f} "
            f"| {best['valid_loss']:.4f} | {lines[-1]['seconds']:.1f} |"
        )
    usable = plan.pooling == pooling_of(plan.audio)
    use = (
        f"`avstream file movie.mp4 --language {plan.vision} --audio {plan.audio} --alignment seed-N/{WEIGHTS}`"
        if usable
        else f"Only in the evaluations here: the program does not pool the layers of {plan.audio} as `{plan.pooling}`."
    )
    return f"""# Projection: {plan.audio} into the space of {plan.vision}

SoundCLIP's projection MLP (arXiv 2506.10416): a sound's vector becomes one that can stand in for the CLS token of the
vision tower. It knows what the {counts["train"]:,} training segments taught it, and nothing else; it is no better at
hearing than the frozen encoder before it.

## Use

{use}

## Training

| | |
|---|---|
| audio encoder, pooling of its layers | `{plan.audio}`, {plan.pooling} |
| vision tower | that of `{plan.vision}` |
| loss | {plan.loss} (InfoNCE tau {TAU}, distribution lambda {LAMBDA}) |
| segments | {counts["train"]:,} train, {counts["valid"]:,} valid, every score above {counts["above"]:g} |
| optimizer | Adam, rate {plan.lr:g}, times 0.1 after {plan.patience} epochs without a better validation loss |
| epochs, batch | {plan.epochs}, {plan.batch} |

| seed | weights | epochs | best epoch | its validation rank | its validation loss | seconds |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

![Losses](loss.png)

Made by `{command}`. What it is worth: `python -m pipelines.evaluate_retrieval`.
"""
