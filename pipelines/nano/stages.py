"""The stages of a training run, each resumable and skipped when it is done.

prepare    samples, mels in several variants and the teacher's vectors
pool       windows mixed as sound, with the teacher's vectors of each; no outside kind is in them
base       all labels; no outside kind is heard
distil     base, made twice as deep, goes on with half of each batch from the pool; left out when there is none
group-0..2 fine-tuned with outside kinds as unknown, but for one group of them: what is claimed of that group is honest
final      fine-tuned with all outside kinds
average    the mean of the fine-tuned networks' weights, which are near one another; it is shipped
calibrate  on held sources: their labels by the averaged network, outside kinds by the network that never heard them
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from avstream.errors import ConfigError
from pipelines.listening.conditions import FINE, grounds
from pipelines.nano.calibration import Logits, collect, fit, joined
from pipelines.nano.checks import quick
from pipelines.nano.export_listener import Calibration, Shipped, trained
from pipelines.nano.listener import KNOWN, WINDOW, Listener, deepened
from pipelines.nano.teacher import Teacher, load_teacher, train_on_pool, train_teacher
from pipelines.nano.trainer import Log, Trainer
from pipelines.nano.training import train
from pipelines.sounds.crops import Crops, Sounds
from pipelines.sounds.made import all_made
from pipelines.sounds.mels import Elsewhere, write_variant
from pipelines.sounds.pool import Pool, PoolWriter
from pipelines.sounds.recordings import SEED, Store, gather, readable, write_store
from pipelines.sounds.vocabulary import LABELS, LEFT_OUT, left_out_group, outside_kinds
from pipelines.sounds.yamnet import Yamnet

Row = dict[str, object]
VARIANTS = 6  # of each sound's mels: as recorded, and five times as heard elsewhere
BASE_RATE, DISTIL_RATE, FINE_RATE = (2.5e-3, 5e-4), (1.5e-3, 5e-6), (6e-4, 5e-6)
BASE_UNKNOWN, FINE_UNKNOWN = 6.0, 18.0  # how often an unknown sound is drawn, a label counting 1
BEGUN = 0.3  # of the sounds of crops have just begun, as in live windows; not yet in `base`
SURE = 0.6  # an unlabelled recording that the teacher knows so surely is not taken for unknown
GROUNDS, SUREST = 60, 0.9  # windows of each made ground; no threshold is raised further
OUTSIDE = frozenset(outside_kinds())


@dataclass
class Run:
    """Where a run lives and what it is given."""

    folder: Path
    sounds: Path
    data: Path | None
    yamnet: Path | None
    size: int = 64
    variants: int = VARIANTS
    batches: tuple[int, int] = (36, 8)  # of each kind of crop, to calibrate on: of known sounds, of each unknown group

    @property
    def log(self) -> Log:
        """The run's log."""
        return Log(self.folder / "log.jsonl")

    def stores(self) -> list[Sounds]:
        """Recordings and made sounds."""
        return [Sounds(self.folder / "real"), Sounds(self.folder / "made")]


def prepare(run: Run) -> list[str]:
    """Write the stores, their mels and the teacher's vectors; what is there is kept. Returns unreadable recordings."""
    bad: list[str] = []
    real, made = run.folder / "real", run.folder / "made"
    if not (real / "rows.json").exists():
        found = gather(run.sounds, run.data / "esc10" if run.data else None)
        count = write_store(real, readable(run.sounds, found, bad))
        (run.folder / "unreadable.txt").write_text("".join(f"{line}\n" for line in bad))
        run.log(stage="prepare", recordings=count, unreadable=len(bad))
    if not (made / "rows.json").exists():
        run.log(stage="prepare", made=write_store(made, all_made(run.data)))
    store = Store(real)
    elsewhere = Elsewhere([store[i] for i, row in enumerate(store.rows) if row["kind"] == "rir"], SEED)
    for folder in (real, made):
        for variant in range(run.variants):
            if not (folder / f"mel-{variant}.json").exists():
                write_variant(Store(folder), folder, variant, elsewhere)
                run.log(stage="prepare", variant=variant, of=folder.name)
        if run.yamnet is not None and not (folder / "yamnet.npz").exists():
            ask(Yamnet(run.yamnet), folder)
            run.log(stage="prepare", teacher=folder.name)
    return bad


def ask(yamnet: Yamnet, folder: Path) -> None:
    """Write the teacher's vectors of a store."""
    store, embeddings, scores, offsets = Store(folder), [], [], [0]
    for i in range(len(store)):
        vectors, said = yamnet(store[i])
        embeddings.append(vectors.astype(np.float16))
        scores.append(said.astype(np.float16))
        offsets.append(offsets[-1] + len(vectors))
    np.savez(folder / "yamnet.part.npz", embeddings=np.concatenate(embeddings), scores=np.concatenate(scores),
             offsets=np.array(offsets))  # fmt: skip
    (folder / "yamnet.part.npz").replace(folder / "yamnet.npz")


def pool(run: Run, shards: int) -> None:
    """Write the pool's shards; what is there is kept. ConfigError without a teacher."""
    if run.yamnet is None:
        raise ConfigError("the pool is windows that the teacher has heard; give its folder with --yamnet")
    stores = [(Store(run.folder / name), Sounds(run.folder / name)) for name in ("real", "made")]
    writer = PoolWriter(run.folder / "pool", stores, of_labels, Yamnet(run.yamnet))
    for shard in range(shards):
        writer.write(shard)
        run.log(stage="pool", shard=shard, of=shards)


def is_train(row: Row) -> bool:
    """Whether a row may be learned from, if its kind may."""
    return row["split"] == "train"


def of_labels(row: Row) -> bool:
    """Whether a row may be learned from before any outside kind is heard."""
    return is_train(row) and row["kind"] not in OUTSIDE


def known_to(teacher: Teacher | None, stores: list[Sounds]) -> set[str]:
    """Unlabelled recordings in which the teacher surely hears a label: they are not unknown."""
    out: set[str] = set()
    for store in stores:
        if teacher is None or store.vectors is None:
            continue
        for i, row in enumerate(store.rows):
            if row["kind"] == "unlabelled":
                own = store.vectors[store.offsets[i] : store.offsets[i + 1]].astype(np.float32)
                with torch.no_grad():
                    if teacher(torch.from_numpy(own)[None])[0, :KNOWN].sigmoid().max() > SURE:
                        out.add(str(row["path"]))
    return out


def learn(run: Run, name: str, minutes: float, without: Callable[[Row], bool], start: str | None = None,
          rate: tuple[float, float] = FINE_RATE, unknown: float = FINE_UNKNOWN, begun: float = BEGUN,
          deeper: bool = False) -> bool:  # fmt: skip
    """Train one network for `minutes`, on all rows but those `without`; True when complete, False when stopped.

    It begins at the network `start`, made `deeper` if so; then the pool, if there is one, is half of each batch, and
    the teacher the one that learned from it.
    """
    torch.manual_seed(SEED)
    stores = run.stores()
    teacher = clip_teacher(run, stores)
    not_unknown = known_to(teacher, stores)

    def keep(row: Row) -> bool:
        return is_train(row) and not without(row) and row["path"] not in not_unknown

    crops, mixed, network = Crops(stores, keep, SEED, unknown, begun=begun), None, Listener()
    if start is not None:
        network = trained(run.folder / f"{start}.pt")
        if has_pool(run):
            mixed = Pool(run.folder / "pool")
            teacher = load_teacher(run.folder / "pool.pt", partial(train_on_pool, mixed, SEED), unit=True)
    if deeper:
        network = deepened(network)
    trainer = Trainer(network, rate, minutes, run.folder / f"{name}.pt")
    trainer.restore()
    if trainer.elapsed_s < trainer.budget_s:
        report = quick(stores[0], lambda row: row["kind"] in OUTSIDE and without(row))
        train(trainer, teacher, crops, run.size, run.log, report, mixed)
    return not trainer.stopped


def clip_teacher(run: Run, stores: list[Sounds]) -> Teacher | None:
    """The teacher that learned from clips, if they were shown to YAMNet."""
    if stores[0].vectors is None:
        return None
    return load_teacher(run.folder / "teacher.pt", partial(train_teacher, stores, of_labels, SEED))


def has_pool(run: Run) -> bool:
    """Whether the pool has a shard."""
    return any((run.folder / "pool").glob("*.json"))


@torch.no_grad()
def above_grounds(network: Listener, fitted: Calibration) -> Calibration:
    """Thresholds raised above what the network says of made grounds (noise, hum, fans, wind), 97 of 100 times."""
    shipped, limits = Shipped(network, fitted).eval(), fitted.thresholds.copy()
    for name, make in grounds([], []).items():
        rng = np.random.default_rng([SEED, 93, len(name)])
        heard = np.stack([make(WINDOW, rng) for _ in range(GROUNDS)]).astype(np.float32)
        said = shipped(torch.from_numpy(heard))[1].numpy()
        for k in range(KNOWN):
            if LABELS[k] not in FINE.get(name, ()):
                limits[k] = max(limits[k], min(SUREST, float(np.quantile(said[:, k], 0.97))))
    return replace(fitted, thresholds=limits)


def is_outside(row: Row) -> bool:
    """Whether a row's kind is outside the vocabulary."""
    return row["kind"] in OUTSIDE


def of_group(group: int) -> Callable[[Row], bool]:
    """Whether a row's kind is of a left-out group."""
    return lambda row: row["kind"] in OUTSIDE and left_out_group(str(row["kind"])) == group


def base(run: Run, minutes: float) -> bool:
    """See the module."""
    return learn(run, "base", minutes, is_outside, rate=BASE_RATE, unknown=BASE_UNKNOWN, begun=0.0)


def distil(run: Run, minutes: float) -> bool:
    """See the module."""
    return not has_pool(run) or learn(
        run, "distil", minutes, is_outside, "base", DISTIL_RATE, BASE_UNKNOWN, deeper=True
    )


def before_groups(run: Run) -> str:
    """The network that the fine-tuned ones begin at."""
    return "distil" if (run.folder / "distil.pt").exists() else "base"


def groups(run: Run, minutes: float) -> bool:
    """See the module."""
    return all(learn(run, f"group-{g}", minutes, of_group(g), before_groups(run)) for g in range(LEFT_OUT))


def final(run: Run, minutes: float) -> bool:
    """See the module."""
    return learn(run, "final", minutes, lambda row: False, before_groups(run))


def average(run: Run) -> None:
    """Write shipped.pt, the mean of the final network and the groups' ones; log how it and `final` do."""
    names = ["final", *(f"group-{g}" for g in range(LEFT_OUT))]
    found = [run.folder / f"{name}.pt" for name in names if (run.folder / f"{name}.pt").exists()]
    states = [torch.load(path, weights_only=True)["average"] for path in found]
    mean = {
        key: torch.stack([state[key].float() for state in states]).mean(0).to(value.dtype)
        for key, value in states[0].items()
    }
    torch.save({"average": mean}, run.folder / "shipped.pt")
    report = quick(Sounds(run.folder / "real"), lambda row: False)
    for name in ("final", "shipped"):
        run.log(stage="average", network=name, of=len(found), **report(trained(run.folder / f"{name}.pt")))


def held_logits(run: Run, stores: list[Sounds], network: Listener, unknown: Callable[[Row], bool] | None,
                batches: int) -> Logits:  # fmt: skip
    """Logits of held sources (or of unknown ones alone), half as recorded, half mixed and surrounded."""

    def keep(row: Row) -> bool:
        if unknown is not None:
            return unknown(row)
        return row["split"] == "held" and row["kind"] not in OUTSIDE

    parts = [Crops(stores, keep, SEED + 1, 2.0, plain=plain) for plain in (True, False)]
    return joined([collect(network, crops, batches, size=run.size) for crops in parts])


def calibrated(run: Run, name: str = "shipped", heard_by: tuple[int, ...] = tuple(range(LEFT_OUT))) -> Calibration:
    """Fit a network's calibration, with the outside kinds of the groups `heard_by`, each by its own network."""
    stores = run.stores()
    parts = [held_logits(run, stores, trained(run.folder / f"{name}.pt"), None, run.batches[0])]
    for g in heard_by:
        if (run.folder / f"group-{g}.pt").exists():
            network = trained(run.folder / f"group-{g}.pt")
            parts.append(held_logits(run, stores, network, of_group(g), run.batches[1]))
    return fit(joined(parts), "held sources of each label, and outside kinds by networks that never heard them")
