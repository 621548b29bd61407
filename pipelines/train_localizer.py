"""Train ACL-SSL (arXiv 2311.04066, section 3.3): BEATs and CLIPSeg frozen, the audio tokenizer and two scalars learned.

Pictures with their sounds are all it needs: `--data FOLDER` with frames/ and audio/ (VGGSound's 144k, `--names` for a
list), or `--synthetic N` drawn scenes. Adam, learning rate 1e-4, weight decay 1e-4, batch 8, 20 epochs; pictures
resized to 11/10, cropped and flipped at random. `--out` gets last.pt (to go on from), acl.pth (the published layout),
acl.json (what it stands on, and how sure it is: `avstream file --localizer acl:OUT` takes the folder) and log.jsonl.
A run that was interrupted and resumed gives the weights of one that was not.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from avstream.errors import AvstreamError, ConfigError, ModelError
from avstream.localization.acl import AclHead, AclLocalizer, LayerEncoder, losses, ten_seconds, to_pixels
from avstream.localization.acl_grounder import Grounder
from avstream.localization.acl_losses import AREA_OF_PAIRS, ImageMasker
from avstream.torch_models import choose_device
from pipelines.localization.benchmarks import add_models, load_frozen
from pipelines.localization.datasets import Item, pairs, read_picture, read_sound
from pipelines.localization.score_scenes import logistic
from pipelines.nano.labels import LABELS
from pipelines.scenes.compose import compose
from pipelines.sounds.synthesis import SYNTHESIZERS, synthesize

ENLARGED = 387 / 352  # what a random crop is cut from, in crops
SAVE_S = 600
CALIBRATED = 60  # pairs
Sample = tuple[Tensor, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. A run can only be resumed under the same settings. `area`: the share of a picture that sounds, and
    `masker_w` and `masker_b`, what its masks begin with: the paper's, for CLIPSeg's own weights and films.
    """

    epochs: int = 20
    batch: int = 8
    lr: float = 1e-4
    weight_decay: float = 1e-4
    seed: int = 1
    area: float = AREA_OF_PAIRS
    masker_w: float = 10.0
    masker_b: float = 14.0


class Pairs(Protocol):
    """Pictures, uint8 (H, W, 3), with their sounds, mono float32 (n,)."""

    def __len__(self) -> int:
        """How many pairs."""
        ...

    def pair(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """One of them; the same for the same index."""
        ...


@dataclass(frozen=True)
class Recorded:
    """Pairs from files."""

    items: Sequence[Item]
    rate_hz: int

    def __len__(self) -> int:
        return len(self.items)

    def pair(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Raises SourceError for a file that can't be read."""
        item = self.items[index]
        return read_picture(item.picture), read_sound(item.sound, self.rate_hz)


@dataclass(frozen=True)
class Synthetic:
    """Drawn scenes of a thing that sounds and one that doesn't."""

    count: int
    rate_hz: int
    seed: int
    size_px: int = 352
    seconds: float = 3.0

    def __len__(self) -> int:
        return self.count

    def pair(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Neighbors in the list sound different, so that a small batch has true negatives."""
        rng = np.random.default_rng([self.seed, 17, index])
        able = [label for label in LABELS if label in SYNTHESIZERS]
        sounding = able[index % len(able)]
        silent = str(rng.choice([label for label in able if label != sounding]))
        rgb, _ = compose([sounding, silent], self.size_px, self.size_px, rng)
        return rgb, synthesize(sounding, self.seconds, self.rate_hz, rng)


class Augmented(Dataset[Sample]):
    """(epoch, index) -> a crop (3, size, size) and ten seconds of sound; equal numbers give equal crops."""

    def __init__(self, source: Pairs, size_px: int, rate_hz: int, seed: int) -> None:
        self._source, self._size_px, self._rate_hz, self._seed = source, size_px, rate_hz, seed

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Resize to 11/10, cut a square at random, flip half of them."""
        epoch, index = key
        rng = np.random.default_rng([self._seed, 23, epoch, index])
        rgb, samples = self._source.pair(index)
        large = to_pixels(rgb, round(self._size_px * ENLARGED))
        top, left = rng.integers(0, large.shape[-1] - self._size_px + 1, 2)
        crop = large[:, top : top + self._size_px, left : left + self._size_px]
        return crop.flip(-1) if rng.random() < 0.5 else crop, ten_seconds(samples, self._rate_hz)


@dataclass(frozen=True)
class Batches:
    """The keys of all batches from step `start` on: each epoch in its own order, without its short last batch."""

    count: int
    settings: Settings
    start: int = 0

    @property
    def per_epoch(self) -> int:
        """Batches an epoch."""
        return self.count // self.settings.batch

    def __len__(self) -> int:
        return self.settings.epochs * self.per_epoch - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(self.start // self.per_epoch, self.settings.epochs):
            order = np.random.default_rng([self.settings.seed, 29, epoch]).permutation(self.count).tolist()
            first = self.start - epoch * self.per_epoch if epoch == self.start // self.per_epoch else 0
            for i in range(first, self.per_epoch):
                yield [(epoch, index) for index in order[i * self.settings.batch : (i + 1) * self.settings.batch]]


class Trainer:
    """The learned part, its optimizer, and how far they are."""

    def __init__(self, grounder: Grounder, encoder: LayerEncoder, settings: Settings, out: Path) -> None:
        torch.manual_seed(settings.seed)
        self.head = (
            AclHead(encoder.layers_dim, grounder.token_dim, ImageMasker(settings.masker_w, settings.masker_b))
            .to(grounder.device)
            .train()
        )
        self.step = 0
        self._grounder, self._encoder, self._settings, self._out = grounder, encoder, settings, out
        self._optimizer = torch.optim.Adam(self.head.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        out.mkdir(parents=True, exist_ok=True)

    def one_step(self, batch: Sequence[Sample]) -> dict[str, float]:
        """Learn from a batch; the losses before it. The noise depends on the seed and the step alone."""
        torch.manual_seed(self._settings.seed * 1_000_003 + self.step)
        pixels = torch.stack([crop for crop, _ in batch]).to(self._grounder.device)
        layers = torch.stack([self._encoder.layers(samples) for _, samples in batch]).to(self._grounder.device)
        terms = losses(self.head, self._grounder, pixels, layers, self._settings.area)
        self._optimizer.zero_grad()
        terms.total().backward()
        self._optimizer.step()
        self.step += 1
        return {"loss": terms.total().item()} | {name: value.item() for name, value in terms._asdict().items()}

    def save(self, count: int) -> None:
        """Write acl.pth and last.pt; each is complete at any time."""
        state = {
            "head": self.head.state_dict(), "optimizer": self._optimizer.state_dict(), "step": self.step,
            "settings": asdict(self._settings) | {"count": count},
        }  # fmt: skip
        write_complete(self._out / "acl.pth", self.head.save)
        write_complete(self._out / "last.pt", lambda path: torch.save(state, path))

    def resume(self, count: int) -> None:
        """Go on from last.pt, if there is one. Raises ConfigError (other settings or data) and ModelError (damaged)."""
        path = self._out / "last.pt"
        if not path.is_file():
            return
        try:
            state = torch.load(path, map_location=self._grounder.device, weights_only=True)
            before, now = state["settings"], asdict(self._settings) | {"count": count}
            if before == now:
                self.head.load_state_dict(state["head"])
                self._optimizer.load_state_dict(state["optimizer"])
                self.step = int(state["step"])
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{path} can't be resumed from: {reason}; remove it to start anew") from error
        if before != now:
            changed = ", ".join(f"{k} was {before.get(k)}, is {v}" for k, v in now.items() if before.get(k) != v)
            raise ConfigError(f"{path} is of another run ({changed}); give the same options, or another --out")

    def train(self, source: Pairs, *, workers: int = 0, log_every: int = 20) -> None:
        """Train to the end of the last epoch. Raises ConfigError for fewer pairs than a batch."""
        settings, size_px = self._settings, self._grounder.size_px
        if settings.batch < 2 or len(source) < settings.batch:
            raise ConfigError(
                f"expected batches of at least 2 pairs, and as many pairs as one; found --batch {settings.batch} and "
                f"{len(source)} pairs"
            )
        batches = Batches(len(source), settings, self.step)
        data = Augmented(source, size_px, self._encoder.rate_hz, settings.seed)
        saved = time.monotonic()
        for batch in DataLoader(data, batch_sampler=batches, collate_fn=list, num_workers=workers):
            began = time.monotonic()
            terms = self.one_step(batch)
            epoch_ends = self.step % batches.per_epoch == 0
            if epoch_ends or self.step % log_every == 0 or self.step == 1:
                about = {"step": self.step, "epoch": self.step / batches.per_epoch, "step_s": time.monotonic() - began}
                self._log(about | terms)
            if epoch_ends or time.monotonic() - saved > SAVE_S:
                self.save(len(source))
                saved = time.monotonic()

    def _log(self, line: dict[str, float]) -> None:
        """One JSON line to the log and the screen."""
        text = json.dumps({key: round(value, 5) for key, value in line.items()})
        print(text, flush=True)
        with (self._out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def calibrated(localizer: AclLocalizer, source: Pairs) -> dict[str, float]:
    """Scale and bias from the localizer's confidence to the log odds that a sound is in a picture.

    Fitted on up to CALIBRATED pairs and as many pictures with the sound of another pair.
    """
    taken = [source.pair(k) for k in range(min(len(source), CALIBRATED))]
    values, true = [], []
    for k, (rgb, samples) in enumerate(taken):
        for heard in (samples, taken[(k + 1) % len(taken)][1]):
            values.append(localizer.locate(rgb, heard).confidence)
            true.append(heard is samples)
    scale, bias = logistic(np.stack([values, np.ones(len(values))], axis=1), np.array(true, float), ridge=0.01)
    return {"scale": round(float(scale), 4), "bias": round(float(bias), 4)}


def text_to(path: Path, text: str) -> None:
    """Write a line."""
    path.write_text(text + "\n", encoding="utf-8")


def write_complete(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside `path` and then put it in its place, so that an interruption leaves the old one."""
    beside = path.with_name(path.name + ".part")
    write(beside)
    beside.replace(path)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=Path, help="a folder with frames/NAME.jpg and audio/NAME.wav")
    data.add_argument("--synthetic", type=int, metavar="N", help="N drawn scenes instead")
    parser.add_argument("--names", type=Path, help="a CSV with the names to take, one a line")
    parser.add_argument("--limit", type=int, help="the first so many pairs only")
    add_models(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/acl"))
    parser.add_argument("--resume", action="store_true", help="go on from last.pt")
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--workers", type=int, default=0, help="processes that read the data")
    parser.add_argument("--log-every", type=int, default=20, help="steps")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Load, train, save. Raises AvstreamError's kinds."""
    settings = Settings(**{name: getattr(args, name) for name in asdict(Settings())})
    encoder, grounder = load_frozen(args.beats, args.clipseg, choose_device(args.device))
    source: Pairs
    if args.synthetic is not None:
        source = Synthetic(min(args.synthetic, args.limit or args.synthetic), encoder.rate_hz, settings.seed)
    else:
        source = Recorded(pairs(args.data, args.names)[: args.limit], encoder.rate_hz)
    trainer = Trainer(grounder, encoder, settings, args.out)
    if args.resume:
        trainer.resume(len(source))
    trainer.train(source, workers=args.workers, log_every=args.log_every)
    held = replace(source, count=CALIBRATED, seed=settings.seed + 1) if isinstance(source, Synthetic) else source
    fitted = calibrated(AclLocalizer(trainer.head, grounder, encoder), held)
    clipseg = str(Path(args.clipseg).resolve()) if Path(args.clipseg).is_dir() else args.clipseg
    about = json.dumps({"beats": str(args.beats.resolve()), "clipseg": clipseg, "calibration": fitted})
    write_complete(args.out / "acl.json", lambda path: text_to(path, about))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    try:
        run(parse(argv))
    except AvstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
