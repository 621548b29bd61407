"""How soon does `avstream live` say what sounds, and how often is it wrong? Recorded sounds, played to it for real.

    python -m pipelines.evaluate_live FOLDER --pattern '4-*' --count 16      FOLDER/CLASS/*

A private PulseAudio plays each recording into the microphone that a real `avstream live` hears. The time runs from the
start of the player, so that what the sound server needs counts too, to the line in the terminal that has the right
name. A right event names the sound, or what it is a kind of, whenever it has a name; one that stays without is wrong.
Needs ffmpeg and pulseaudio.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from avstream import vocabulary
from avstream.level import loudness_dbfs
from avstream.sentences import said

RATE_HZ = 48_000
BEFORE_DB = 20.0  # a recording begins where it is this far below its loudest 100 ms
ONSET_S = 1.0  # an event may seem to begin so long before its recording is played: the times come from two clocks
READY_S = 120.0  # for models and the microphone, on a busy machine


@dataclass(slots=True)
class Played:
    """One recording: when its player was started (time.monotonic()), and what came of it."""

    label: str
    file: str
    at_s: float = 0.0
    delay_s: float | None = None  # to its name in the terminal; None: never
    events: dict[str, list[str]] = field(default_factory=dict)  # id -> its labels, the first and what corrected it

    @property
    def wrong(self) -> list[str]:
        """Events that name something else, if only at first, or nothing to the end."""
        return [id for id, labels in self.events.items() if not all_right(labels, self.label)]


def is_right(said: str, label: str) -> bool:
    """Whether an event names a sound, or what it is a kind of."""
    return said == label or said in vocabulary.covered(label)


def all_right(labels: Sequence[str], label: str) -> bool:
    """Whether an event's labels, one after the other, are right; without a name it may only begin."""
    named = [name for name in labels if name != vocabulary.OTHER]
    return labels[-1] in named and all(is_right(name, label) for name in named)


def recordings(folder: Path, pattern: str, count: int, rng: random.Random) -> list[Played]:
    """`count` recordings, the classes in turns, each at random."""
    by_label = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        found = sorted(path for path in place.glob(pattern) if path.is_file())
        rng.shuffle(found)
        if found and vocabulary.known(place.name):
            by_label[place.name] = found
    turns = [
        Played(label, str(files[turn]))
        for turn in range(count)
        for label, files in by_label.items()
        if turn < len(files)
    ]
    if len(turns) < count:
        raise SystemExit(f"{folder} holds {len(turns)} recordings of known classes by {pattern}, wanted {count}")
    return turns[:count]


def cut(file: str, seconds: float, out: Path) -> Path:
    """The first seconds of what sounds in a recording, from its onset on, as WAV."""
    command = ["ffmpeg", "-v", "error", "-i", file, "-f", "f32le", "-ac", "1", "-ar", str(RATE_HZ), "-"]
    samples = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)
    block = RATE_HZ // 20
    levels = [loudness_dbfs(samples[None, at : at + block], RATE_HZ) for at in range(0, len(samples) - block, block)]
    first = next(at for at, level in enumerate(levels) if level > max(levels) - BEFORE_DB) * block
    kept = samples[first : first + round(seconds * RATE_HZ)]
    kept = kept * min(1.0, 0.5 / float(np.abs(kept).max()))
    with wave.open(str(out), "wb") as file_out:
        file_out.setnchannels(1)
        file_out.setsampwidth(2)
        file_out.setframerate(RATE_HZ)
        file_out.writeframes(np.rint(kept * 32767).astype("<i2").tobytes())
    return out


def note_lines(stream: IO[str], into: list[tuple[float, str]]) -> None:
    """Note each line with the time at which it came."""
    for line in stream:
        into.append((time.monotonic(), line.lower()))


def says(line: str, label: str) -> bool:
    """Whether a line of the terminal, `14:03:22  a dog is barking. (left)  -23 dBFS`, names a sound."""
    sentence = line.partition("  ")[2].partition(".")[0]
    claims = [name for claim in said(sentence).claims for name in claim]
    return vocabulary.ENTRIES[label].sentence in sentence or any(vocabulary.is_kind(name, label) for name in claims)


def play(plan: Sequence[Played], options: argparse.Namespace, folder: Path) -> None:
    """Play all of it to a program that listens, and note what it says."""
    from tests.pulse import pulse_server

    out = folder / "live.jsonl"
    with pulse_server() as pulse:
        command = [sys.executable, "-m", "avstream", "live", "--mic", "pulse", "--jsonl", str(out), *options.live]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **pulse.env})
        heard: list[tuple[float, str]] = []
        assert program.stdout is not None
        threading.Thread(target=note_lines, args=(program.stdout, heard), daemon=True).start()
        try:
            began_s = time.monotonic()
            while not any("silence" in line for _, line in heard):
                assert time.monotonic() - began_s < READY_S and program.poll() is None, "it does not listen"
                time.sleep(0.1)
            time.sleep(options.pause)
            for number, one in enumerate(plan):
                wav = cut(one.file, options.seconds, folder / f"{number}.wav")
                one.at_s = time.monotonic()
                pulse.play(wav)
                time.sleep(options.seconds + options.pause)
                named = [at for at, line in heard if at >= one.at_s and says(line, one.label)]
                one.delay_s = named[0] - one.at_s if named else None
                print(f"{number + 1}/{len(plan)} {one.label}: {one.delay_s}", file=sys.stderr)
        finally:
            program.terminate()
            program.wait(20)
    note_events(plan, out, program_began_s(heard, out))


def program_began_s(heard: list[tuple[float, str]], out: Path) -> float:
    """When the stream's time was 0, by time.monotonic(): its first narration came `end_s` and a moment later."""
    first = next(json.loads(line) for line in out.read_text().splitlines() if "event" not in json.loads(line))
    return next(at for at, line in heard if "silence" in line) - float(first["end_s"])


def note_events(plan: Sequence[Played], out: Path, origin_s: float) -> None:
    """Give each event to the recording that was playing, or had just played, when it began."""
    for line in out.read_text().splitlines():
        event = json.loads(line).get("event")
        if event and event["phase"] != "ended":
            before = [one for one in plan if one.at_s - origin_s <= event["onset_s"] + ONSET_S]
            if before:
                before[-1].events.setdefault(event["id"], []).append(event["label"])


def report(plan: Sequence[Played]) -> dict[str, Any]:
    """The figures; delays are of the recordings that were named at all."""
    delays = sorted(one.delay_s for one in plan if one.delay_s is not None)
    return {
        "played": len(plan),
        "named": len(delays),
        "delay_s": {
            "median": round(statistics.median(delays), 2) if delays else None,
            "median_of_all": round(statistics.median([*delays, *[np.inf] * (len(plan) - len(delays))]), 2),
            "longest": round(max(delays), 2) if delays else None,
        },
        "events": sum(len(one.events) for one in plan),
        "wrong": sum(len(one.wrong) for one in plan),
        "recordings": [asdict(one) | {"wrong": one.wrong} for one in plan],
    }


def main() -> int:
    """Play, listen, and say how it went; 1 when it was too slow or too often wrong."""
    parser = argparse.ArgumentParser(
        "evaluate_live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="FOLDER/CLASS/*: recordings of known classes")
    parser.add_argument("--pattern", default="*", help="of the files' names (default: all), such as a fold's")
    parser.add_argument("--count", type=int, default=16, help="recordings to play (default: 16)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each (default: 4)")
    parser.add_argument("--pause", type=float, default=4.0, help="after each (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice")
    parser.add_argument("--most-delay", type=float, default=1.2, help="for the median (default: 1.2 s)")
    parser.add_argument("--most-wrong", type=float, default=2 / 24, help="share of events (default: 2 of 24)")
    parser.add_argument("--out", type=Path, metavar="JSON", help="write every figure here too")
    parser.epilog = "What stands after -- are options of `avstream live`."
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:end])
    options.live = words[end + 1 :]
    plan = recordings(options.folder, options.pattern, options.count, random.Random(options.seed))
    with tempfile.TemporaryDirectory(prefix="avs-live-") as folder:
        play(plan, options, Path(folder))
    found = report(plan)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    for one in plan:
        delay = "never" if one.delay_s is None else f"{one.delay_s:.2f} s"
        events = ", ".join(" -> ".join(labels) for labels in one.events.values())
        print(f"{one.label:<16} {delay:>7}  {events or '-'}{'  WRONG' if one.wrong else ''}")
    median = found["delay_s"]["median_of_all"]
    print(f"named {found['named']} of {found['played']}, median {median} s")
    print(f"{found['wrong']} of {found['events']} events wrong")
    return int(median > options.most_delay or found["wrong"] > options.most_wrong * max(1, found["events"]))


if __name__ == "__main__":
    sys.exit(main())
