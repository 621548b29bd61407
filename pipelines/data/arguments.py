"""The options that every command on a manifest has, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path

from avstream.config import presets
from avstream.config.presets import Settings
from pipelines.data.embeddings import full_name
from pipelines.data.manifest import ABOVE, Row, filter_range, read_manifest, select


def add_data(parser: argparse.ArgumentParser) -> None:
    """--manifest, --above."""
    parser.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="from pipelines.make_manifest")
    parser.add_argument(
        "--above", default=str(ABOVE), metavar="SCORE",
        help=f"only segments with every score above this; -1 for all (default: {ABOVE:g}, as the paper)",
    )  # fmt: skip


def add_cache(parser: argparse.ArgumentParser) -> None:
    """--cache."""
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/vectors"), metavar="FOLDER", help="default: runs/vectors"
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """--preset, --language, --device, --dtype, --threads; --audio differs from command to command."""
    parser.add_argument("--preset", default="nano", help="which models, as for avstream (default: nano)")
    parser.add_argument("--language", metavar="CHECKPOINT", help="a LLaVA whose vision tower is used")
    parser.add_argument("--device", choices=presets.CHOICES["device"])
    parser.add_argument("--dtype", choices=presets.CHOICES["dtype"])
    parser.add_argument("--threads", type=int)


def settings_of(args: argparse.Namespace, audio: str | None) -> Settings:
    """The preset with what was given over it. Raises ConfigError."""
    given = {name: getattr(args, name, None) for name in ("language", "device", "dtype", "threads")}
    return presets.load(args.preset, audio=audio, **given)


def audio_name(args: argparse.Namespace, audio: str | None) -> str:
    """ENCODER:CHECKPOINT of `--audio`, or of the preset. Raises ConfigError."""
    return full_name(settings_of(args, audio))


def rows_of(args: argparse.Namespace, split: str) -> list[Row]:
    """A split's rows that pass the filter. Raises SourceError, ConfigError."""
    return select(read_manifest(args.manifest), split, filter_range(args.above))
