r"""Does a sound find its picture, and a picture its sound? Retrieval as SoundCLIP measures it, raw and projected.

    python -m pipelines.evaluate_retrieval --manifest ave2.jsonl --audio whisperclip clap --out runs/retrieval
    python -m pipelines.evaluate_retrieval --manifest ave2.jsonl --out runs/retrieval \
        --alignment runs/projection/*/seed-*/projection.safetensors

From up to 500 test items 100 are drawn five times; cosine; mean rank, top-1, top-3 and top-10, both ways. `raw` is
the encoder's vector cut or padded to the tower's width. With projections, alpha * raw + (1 - alpha) * projected is
measured for each --alpha; projections that differ in their seed only count together. OUT gets retrieval.md,
retrieval.json and retrieval.png. It needs the vectors of pipelines.make_embeddings only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from avstream.errors import ConfigError
from pipelines.data.arguments import add_cache, add_data, audio_name, rows_of, settings_of
from pipelines.data.embeddings import pairs, pool, pooling_of, store_name
from pipelines.data.manifest import SPLITS, Row
from pipelines.data.running import finish
from pipelines.data.store import Store
from pipelines.evaluation.plots import figure, save
from pipelines.evaluation.retrieval import (
    DRAWN,
    DRAWS,
    POOL,
    WAYS,
    Protocol,
    bound,
    chance,
    evaluate,
    interpolate,
    match_width,
    spread,
    summary,
)
from pipelines.evaluation.tables import markdown, plus_minus, write_json, write_text
from pipelines.projection.model import Trained

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
COLUMNS = ("mean rank", "top-1", "top-3", "top-10")


def parser() -> argparse.ArgumentParser:
    """The options."""
    out = argparse.ArgumentParser(
        "evaluate_retrieval", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data(out)
    add_cache(out)
    out.add_argument("--split", choices=SPLITS, default="test", help="default: test")
    out.add_argument("--audio", nargs="+", metavar="ENCODER", default=[], help="encoders to measure raw")
    out.add_argument("--preset", default="nano", help="whose vision tower, for --audio (default: nano)")
    out.add_argument("--language", metavar="CHECKPOINT", help="a LLaVA whose vision tower is used, for --audio")
    out.add_argument("--alignment", nargs="+", type=Path, metavar="FILE", default=[], help="trained projections")
    out.add_argument("--alpha", nargs="+", type=float, default=list(ALPHAS), help="default: 0 0.25 0.5 0.75 1")
    out.add_argument("--pool", type=int, default=POOL, help=f"items to draw from (default: {POOL})")
    out.add_argument("--drawn", type=int, default=DRAWN, help=f"items in a draw (default: {DRAWN})")
    out.add_argument("--draws", type=int, default=DRAWS, help=f"default: {DRAWS}")
    out.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    out.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return out


def stores_of(args: argparse.Namespace, audio: str, vision: str) -> tuple[Tensor, Tensor, list[Row]]:
    """The test split's vectors. Raises SourceError."""
    stores = Store.find(args.cache, "audio", store_name(audio)), Store.find(args.cache, "vision", vision)
    return pairs(rows_of(args, args.split), args.manifest.parent, *stores)


def raw_entry(args: argparse.Namespace, audio: str, protocol: Protocol) -> dict[str, Any]:
    """An encoder as it is."""
    vision = settings_of(args, audio).language
    name = audio_name(args, audio)
    sounds, pictures, rows = stores_of(args, name, vision)
    raw = match_width(pool(sounds, pooling_of(name)), pictures.shape[-1])
    about: dict[str, Any] = {
        "audio": name,
        "vision": vision,
        "pooling": pooling_of(name),
        "loss": None,
        "alpha": 1.0,
        "files": [],
    }
    return about | scored([evaluate(raw, pictures, protocol)], rows, protocol)


def projected_entries(args: argparse.Namespace, files: Sequence[Path], protocol: Protocol) -> list[dict[str, Any]]:
    """The projections of one group, which differ in their seed, at every alpha."""
    trained = [Trained(path) for path in files]
    notes = trained[0].notes
    sounds, pictures, rows = stores_of(args, notes["audio"], notes["vision"])
    about = {name: notes[name] for name in ("audio", "vision", "pooling", "loss")}
    out = []
    for alpha in args.alpha:
        seeds = []
        for one in trained:
            raw = match_width(one.pooled(sounds), pictures.shape[-1])
            seeds.append(evaluate(interpolate(raw, one.project(sounds), alpha), pictures, protocol))
        out.append(about | {"alpha": alpha, "files": [str(path) for path in files]} | scored(seeds, rows, protocol))
    return out


def scored(seeds: list[list[Any]], rows: list[Row], protocol: Protocol) -> dict[str, Any]:
    """The summary over draws and seeds, and the seeds' own means of top-1 from sound to picture."""
    own = [spread([run[WAYS[0]]["top-1"] for run in runs])["mean"] for runs in seeds]
    return {
        "items": len(rows),
        "scores": summary([run for runs in seeds for run in runs]),
        "top-1 by seed": own,
        "over seeds": spread(own),
    }


def groups(files: Sequence[Path]) -> list[list[Path]]:
    """The projections, those together that differ in their seed only. Raises ModelError."""
    found: dict[tuple[str, ...], list[Path]] = {}
    for path in files:
        notes = Trained(path).notes
        found.setdefault(tuple(notes[name] for name in ("audio", "vision", "pooling", "loss")), []).append(path)
    return list(found.values())


def name_of(entry: dict[str, Any]) -> str:
    """`whisperclip:nano, projected (both), 3 seeds`."""
    if entry["loss"] is None:
        return f"{entry['audio']}, raw"
    usual = pooling_of(entry["audio"])
    pooling = "" if entry["pooling"] == usual else f", {entry['pooling']} pooling"
    kind = {0.0: "projected", 1.0: "raw"}.get(entry["alpha"], f"alpha {entry['alpha']:g}")
    seeds = f", {len(entry['files'])} seeds" if len(entry["files"]) > 1 else ""
    return f"{entry['audio']}{pooling}, {kind} ({entry['loss']}{seeds})"


def table(entries: list[dict[str, Any]], limits: dict[str, Any]) -> str:
    """Both ways as Markdown, with what chance gives and what nobody can exceed."""
    parts = []
    for way in WAYS:
        rows = [[name_of(one), *(plus_minus(one["scores"][way][name]) for name in COLUMNS)] for one in entries]
        for label, limit in limits.items():
            rows.append([label, *(f"{limit[name]:.1f}" if name in limit else "" for name in COLUMNS)])
        parts.append(f"**{way}** (shares in %, ± 95 % interval of the mean)\n\n{markdown(['', *COLUMNS], rows)}")
    return "\n\n".join(parts) + "\n"


def plot(entries: list[dict[str, Any]], limits: dict[str, Any], path: Path) -> None:
    """Top-1 by alpha, a line for each group and way; raw alone is a dot at 1. Raises SinkError, ConfigError."""
    drawing, axes = figure()
    lines: dict[str, list[dict[str, Any]]] = {}
    for one in entries:
        lines.setdefault(f"{one['audio']}, {one['pooling']}, {one['loss'] or 'raw'}", []).append(one)
    for i, (name, ones) in enumerate(lines.items()):
        for way, style in zip(WAYS, ("o-", "s:"), strict=True):
            top = [one["scores"][way]["top-1"] for one in ones]
            axes.errorbar(
                [one["alpha"] for one in ones], [x["mean"] for x in top], [x["half"] for x in top], fmt=style,
                color=f"C{i}", capsize=3, label=f"{name}: {way}",
            )  # fmt: skip
    for (name, limit), style in zip(limits.items(), ("--", "-."), strict=False):
        axes.axhline(limit["top-1"], color="0.5", linestyle=style, linewidth=1, label=name)
    axes.set_xlabel("alpha: 0 is projected, 1 is raw")
    axes.set_ylabel("top-1, %")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize="small")
    save(drawing, path)


def measure(args: argparse.Namespace) -> int:
    """Measure all, write, print; gives the exit code. Raises AvstreamError."""
    if args.drawn < 2 or args.draws < 1 or args.pool < args.drawn:
        raise ConfigError("--drawn must be 2 or more, --pool at least as many, and --draws 1 or more")
    if not args.audio and not args.alignment:
        raise ConfigError("name encoders with --audio, or trained projections with --alignment")
    protocol = Protocol(args.pool, args.drawn, args.draws, args.seed)
    entries = [raw_entry(args, audio, protocol) for audio in args.audio]
    for group in groups(args.alignment):
        entries += projected_entries(args, group, protocol)
    rows = rows_of(args, args.split)
    limits = {"chance": chance(entries[0]["items"], protocol)}
    if all(row.sounding for row in rows):
        limits["bound: knows the set of sources"] = bound([frozenset(row.sounding) for row in rows], protocol)
    write_json(args.out / "retrieval.json", {"entries": entries, "limits": limits})
    write_text(args.out / "retrieval.md", table(entries, limits))
    plot(entries, limits, args.out / "retrieval.png")
    print(table(entries, limits))
    print(f"written to {args.out}: retrieval.md, retrieval.json, retrieval.png")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit code."""
    args = parser().parse_args(arguments)
    return finish("evaluate_retrieval", lambda: measure(args))


if __name__ == "__main__":
    sys.exit(main())
