"""How soon after it begins is a sound named in a live stream, how often wrongly, and how often one that has no name?

    python -m pipelines.evaluate_onsets                                 nano, on recordings it never heard
    python -m pipelines.evaluate_onsets --left-out runs/listener        unknown kinds by networks that never met them

Each recording is four seconds of a stream of its own, between five of quiet and four. The stream is the live one, with
windows, caution and events as they are, read from memory: `evaluate_live` has sound servers and clocks in it, and takes
eight seconds a recording. A delay is from the onset to the end of the window that has the name; narrating comes on top.
An event is wrong when it names something else, if only at first, or nothing to its end.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import avstream
from avstream.errors import AvstreamError
from avstream.level import loudness_dbfs
from avstream.narrator import Narrator
from avstream.records import SoundEvent, Window
from avstream.stream import Stream
from avstream.testing import MemorySource
from avstream.vocabulary import OTHER, PARENTS
from pipelines.evaluate_listener import REPO, load
from pipelines.evaluate_live import BEFORE_DB, all_right
from pipelines.listening.clips import RATE_HZ, Clip, of_left_out
from pipelines.sounds.vocabulary import LEFT_OUT

BEFORE_S, SOUND_S, AFTER_S, LEAST_S = 5.0, 4.0, 4.0, 1.0
QUIET = 1e-4  # of the noise around it: -80 dBFS
PHASES = 4  # of the hop, when a sound begins; as many as a stream may have others and still have prompt windows
SEED = 3


@dataclass
class Named:
    """What became of a recording of `kind`: its events' labels, and when it was named after it began."""

    kind: str
    events: dict[str, list[str]] = field(default_factory=dict)
    delay_s: float = np.inf
    window_s: float = 0.0  # the end of the window that is narrated

    def offer(self, news: object) -> None:
        """Take what a stream has to tell."""
        if not isinstance(news, SoundEvent):
            return
        labels = self.events.setdefault(news.id, [])
        if news.label not in labels[-1:]:
            labels.append(news.label)
        if news.label == self.kind:
            self.delay_s = min(self.delay_s, self.window_s - BEFORE_S)

    @property
    def wrong(self) -> int:
        """Events that name something else, if only at first, or nothing."""
        return sum(not all_right(labels, self.kind) for labels in self.events.values())

    @property
    def has_name(self) -> bool:
        """Whether it was called anything but general words."""
        return bool({label for labels in self.events.values() for label in labels} - {OTHER, *PARENTS})


def surrounded(clip: Clip, rng: np.random.Generator) -> np.ndarray | None:
    """The first seconds of what sounds in a recording, from its onset on, in quiet; None of one that is too short."""
    block = RATE_HZ // 20
    levels = [
        loudness_dbfs(clip.samples[None, at : at + block], RATE_HZ) for at in range(0, len(clip.samples) - block, block)
    ]
    first = next((at for at, level in enumerate(levels) if level > max(levels) - BEFORE_DB), 0) * block
    sound = clip.samples[first : first + round(SOUND_S * RATE_HZ)]
    if len(sound) < LEAST_S * RATE_HZ or not sound.any():
        return None
    out = QUIET * rng.standard_normal(round((BEFORE_S + SOUND_S + AFTER_S) * RATE_HZ))
    at = round(BEFORE_S * RATE_HZ)
    out[at : at + len(sound)] += sound * min(1.0, 0.5 / float(np.abs(sound).max()))
    return out.astype(np.float32)


def played(narrator: Narrator, clip: Clip, phase: int, rng: np.random.Generator) -> Named | None:
    """What a live stream makes of a recording, its windows at one of PHASES of the hop; None of one that is too short.

    Raises SourceError.
    """
    samples = surrounded(clip, rng)
    if samples is None:
        return None
    out, source = Named(clip.kind), MemorySource(len(samples) / RATE_HZ, samples=samples[None], rate_hz=RATE_HZ)
    stream = Stream(source, [], policy="drop_oldest", place=phase, of=PHASES)
    stream.outlets = [out]  # type: ignore[list-item]  # nothing else of an outlet is needed without a loop

    def narrate(window: Window, _last: bool) -> None:
        out.window_s = window.end_s
        stream.take(window, narrator.narrate_window(window, source.info.name))

    def fail(error: AvstreamError) -> None:
        raise error

    stream.read(narrate, fail)
    stream.end_events()
    return out


def all_played(narrator: Narrator, clips: Sequence[Clip], title: str) -> list[Named]:
    """All recordings, each at every phase."""
    rng, out = np.random.default_rng(SEED), []
    for number, clip in enumerate(clips, 1):
        out += [one for phase in range(PHASES) if (one := played(narrator, clip, phase, rng)) is not None]
        if number % 20 == 0 or number == len(clips):
            print(f"{title}: {number} of {len(clips)}", file=sys.stderr, flush=True)
    return out


def report(known: Sequence[Named], unknown: Sequence[Named]) -> dict[str, object]:
    """The figures. `delay_s` is the median of all, those that never were named among them, and of the named ones."""
    delays = np.array([one.delay_s for one in known])
    came = np.isfinite(delays)
    events = sum(len(one.events) for one in known)
    middle = float(np.median(delays))
    return {
        "known": len(known),
        "named": share(came),
        "delay_s": round(middle, 2) if np.isfinite(middle) else None,
        "delay_of_named_s": round(float(np.median(delays[came])), 2) if came.any() else None,
        "with_an_event": share(bool(one.events) for one in known),
        "events": events,
        "wrong_events": round(sum(one.wrong for one in known) / max(1, events), 3),
        "unknown": len(unknown),
        "unknown_with_a_name": share(one.has_name for one in unknown),
        "unknown_with_an_event": share(bool(one.events) for one in unknown),
    }


def share(found: Iterable[bool]) -> float | None:
    """The share that is true; None when there are none."""
    values = list(found)
    return round(sum(values) / len(values), 3) if values else None


def unknown_kinds(options: argparse.Namespace, narrator: Narrator, outside: Sequence[Clip]) -> list[Named]:
    """What kinds without a label are called, by the networks that never met them if they are at hand."""
    if options.left_out is None:
        return all_played(narrator, outside, "unknown kinds")
    out = []
    for group in range(LEFT_OUT):
        left = avstream.load("nano", listener=str(options.left_out / f"group-{group}"))
        out += all_played(left, of_left_out(outside, group), f"unknown kinds {group + 1} of {LEFT_OUT}")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        "evaluate_onsets", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listener", default="nano", help="as `avstream live` takes it (default: nano)")
    parser.add_argument(
        "--left-out", type=Path, metavar="RUNS", help="a training's --runs: networks without a group of kinds"
    )
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data", help="holds sounds/ and esc10/")
    parser.add_argument("--most", type=int, default=4, help="recordings of a kind (default: 4)")
    options = parser.parse_args(arguments)
    try:
        narrator = avstream.load("nano", listener=options.listener)
        material = load(options.data, options.most)
        known = all_played(narrator, material.known, "known kinds")
        unknown = unknown_kinds(options, narrator, material.outside)
    except AvstreamError as error:
        print(f"evaluate_onsets: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report(known, unknown), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
