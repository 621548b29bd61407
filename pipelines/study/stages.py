"""What the study runs, in order: the documented commands themselves, with the options that the page prints."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avstream.checkpoints import NANO
from avstream.errors import AvstreamError
from pipelines import evaluate_generation, evaluate_retrieval, make_embeddings, make_manifest, train_projection
from pipelines.projection.mlp import ProjectionMLP
from pipelines.study.corpus import CLIPS, make_corpus
from pipelines.study.language import train_on_pictures

SEED = 1
AUDIO = "whisperclip:nano"
SEEDS = ("1", "2", "3")
TRAININGS: dict[str, tuple[str, ...]] = {  # what differs from `Scale.ours`; `paper` has the paper's rate and epochs
    "ours": (),
    "paper": (),
    **{loss: ("--loss", loss) for loss in ("infonce", "distribution", "cosine", "mse")},
    **{pooling: ("--pooling", pooling) for pooling in ("final", "middle", "last2", "weighted")},
}
ALPHAS = ("0", "0.25", "0.5", "0.75", "1")
TOKENS = ("0", "15", "50", "100")  # 100 patches are all; the paper's 150 is all here
SCORERS = ("--bert", "none", "--clip", "none")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is made, trained and said. The page is written at the default's."""

    clips: Mapping[str, int] = field(default_factory=lambda: CLIPS)
    # the paper's rate and epochs are for half a million pairs; a thousand pairs give 8 steps an epoch
    ours: tuple[str, ...] = ("--lr", "2e-3", "--epochs", "60", "--patience", "60")
    scenes: int = 1200
    steps: int = 400  # of the language model
    limit: str = "50"  # clips that are described


class Stopped(AvstreamError):
    """A command of the study ended with a code of its own, having said why."""

    def __init__(self, code: int) -> None:
        super().__init__("the study is not complete: run the same command again to go on")
        self.exit_code = code


class Study:
    """The folder of a study: each step is done once, and its CPU seconds are noted."""

    def __init__(self, folder: Path, scale: Scale | None = None) -> None:
        self.folder, self.scale = folder, scale or Scale()
        self._log = folder / "steps.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.steps: dict[str, float] = json.loads(self._log.read_text()) if self._log.is_file() else {}

    @property
    def manifest(self) -> Path:
        """The corpus as one list."""
        return self.folder / "corpus" / "manifest.jsonl"

    @property
    def data(self) -> list[str]:
        """The options that name the data."""
        return ["--manifest", str(self.manifest), "--cache", str(self.folder / "vectors")]

    def weights(self, name: str, seed: str) -> str:
        """A trained projection."""
        return str(self.folder / "projection" / name / f"seed-{seed}" / "projection.safetensors")

    def step(self, name: str, work: Callable[[], object]) -> None:
        """Do a step unless it was done. Raises Stopped when it says that it was interrupted or failed."""
        if name in self.steps:
            return
        print(f"study: {name}", file=sys.stderr, flush=True)
        began = time.process_time()
        code = work()
        if isinstance(code, int) and code:
            raise Stopped(code)
        self.steps[name] = round(time.process_time() - began, 1)
        self._log.write_text(json.dumps(self.steps, indent=1) + "\n")


def run(study: Study) -> None:
    """Everything that the page needs. Raises AvstreamError."""
    corpus, data, scale = study.folder / "corpus", study.data, study.scale
    study.step("corpus", lambda: make_corpus(corpus, SEED, scale.clips) and None)
    release = ["ave2", str(corpus / "data"), "--media", str(corpus / "clips"), "--out", str(study.manifest)]
    study.step("manifest", lambda: make_manifest.main(release))
    study.step("vectors", lambda: make_embeddings.main([*data, "--audio", AUDIO]))
    pictures = study.folder / "pictures"
    study.step(
        "language model of pictures only",
        lambda: train_on_pictures(pictures, SEED, scale.scenes, scale.steps) and None,
    )
    study.step("the shipped projection", lambda: keep_shipped(Path(study.weights("shipped", "0"))))
    for name, options in TRAININGS.items():
        ours = () if name == "paper" else scale.ours
        out = str(study.folder / "projection" / name)
        command = [
            *data,
            "--audio",
            AUDIO,
            "--seeds",
            *SEEDS,
            *ours,
            *options,
            "--threads",
            "1",
            "--out",
            out,
            "--resume",
        ]
        study.step(f"train {name}", lambda command=command: train_projection.main(command))  # type: ignore[misc]
        measure_retrieval(study, name, SEEDS, ALPHAS if name == "ours" else ("0", "1"))
    measure_retrieval(study, "shipped", ("0",), ("0", "1"))
    for speaker in ("pictures", "nano"):
        measure_generation(study, speaker)


def measure_retrieval(study: Study, name: str, seeds: Sequence[str], alphas: Sequence[str]) -> None:
    """Retrieval of one training's seeds."""
    files = [study.weights(name, seed) for seed in seeds]
    out = str(study.folder / "retrieval" / name)
    command = [*study.data, "--alignment", *files, "--alpha", *alphas, "--out", out]
    study.step(f"retrieval {name}", lambda: evaluate_retrieval.main(command))


def measure_generation(study: Study, speaker: str) -> None:
    """A language model under k x zero and drop, raw and projected; and under every alpha, with all patches."""
    language = str(study.folder / "pictures") if speaker == "pictures" else "nano"
    shipped = [study.weights("shipped", "0")] if speaker == "nano" else []
    common = ["--manifest", str(study.manifest), "--language", language, "--audio", AUDIO, "--limit", study.scale.limit]
    common += SCORERS
    grid = ["--alignment", "raw", study.weights("ours", "1"), *shipped, "--tokens", *TOKENS]
    alphas = ["--alignment", "raw", study.weights("ours", "1"), "--alpha", *ALPHAS, "--tokens", TOKENS[-1]]
    out = study.folder / "generation" / speaker
    study.step(
        f"generation {speaker}",
        lambda: evaluate_generation.main([*common, *grid, "--unselected", "zero", "drop", "--out", str(out)]),
    )
    study.step(
        f"interpolation {speaker}",
        lambda: evaluate_generation.main([*common, *alphas, "--out", str(out.with_name(f"{speaker}-alpha"))]),
    )


def keep_shipped(path: Path) -> None:
    """Nano's own projection with the notes that evaluation reads."""
    mlp = ProjectionMLP.load(NANO / "alignment.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    mlp.save(path, {"audio": AUDIO, "vision": "nano", "pooling": "average", "loss": "shipped", "seed": "0"})
