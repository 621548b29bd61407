"""Whether a preset invents sounds: it is shown clips whose sound or picture was changed on purpose.

    python -m pipelines.evaluate_truth --preset nano [--listener NAME] [--data FOLDER] [--out runs/truth]

- *mute*: no sound at all. Nothing may be claimed.
- *swap*: the picture of one clip with the sound of another. The labels must be those of the sound.
- *blind*: black pictures. The labels must not change.
- *shift*: the sound comes later by a known delay. The event's onset must move by it.

FOLDER holds movies or sound files, also in folders; without it, drawn scenes with made sounds are used. A table goes
to the screen and, with its numbers as JSON, to the output folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avstream import loading
from avstream.config import presets
from avstream.errors import AvstreamError, SourceError
from avstream.events import EventTracker, Rules
from avstream.narrator import Narrator
from avstream.records import AudioChunk, Narration, VideoFrame, Window
from avstream.sentences import agrees
from avstream.vocabulary import OTHER
from avstream.windows import Windower
from avstream.wording import sentence
from pipelines.evaluate_nano import blackened, labels, windows_of
from pipelines.scenes.compose import compose
from pipelines.scenes.sound_bank import EVENTS, RATE_HZ, STEADY, made

SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".wav", ".ogg", ".flac", ".mp3"}
LEAD_S, TAIL_S = 3.0, 3.0  # silence around a sound whose onset is asked for
DELAYS_S = (0.5, 1.0, 2.3)
CLOSE_S = 0.5
PICTURE = (240, 320)
MADE = (*EVENTS, *STEADY)


@dataclass(frozen=True)
class Clip:
    """Three seconds of sound (channels, n) and a picture, or none."""

    name: str
    audio: NDArray[np.float32]
    rate_hz: int
    picture: NDArray[np.uint8] | None

    def window(self) -> Window:
        """The clip as one window that speaks for its middle second."""
        length_s = self.audio.shape[1] / self.rate_hz
        frames = () if self.picture is None else (VideoFrame(length_s / 2, self.picture),)
        return Window(0, 0.0, length_s, length_s / 3, 2 * length_s / 3, frames, self.audio, self.rate_hz)


def made_clips(count: int, seed: int = 0) -> list[Clip]:
    """Drawn scenes with the made sound of what is in them."""
    rng, clips = np.random.default_rng(seed), []
    for number in range(count):
        label = MADE[number % len(MADE)]
        rgb, _ = compose([label], PICTURE[1], PICTURE[0], rng)
        sound = made(label, 2 * (number // len(MADE)) + 1)[: 3 * RATE_HZ]
        clips.append(Clip(f"{label} {number}", sound[None], RATE_HZ, rgb))
    return clips


def clips_of(folder: Path, most: int) -> list[Clip]:
    """A window of each file of a folder, the loudest, in a mixed order. Raises SourceError when there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise SourceError(
            f"no movie or sound file in {folder}", f"give a folder with some ({' '.join(sorted(SUFFIXES))})"
        )
    order = np.random.default_rng(0).permutation(len(paths))[:most]
    clips = []
    for path in (paths[place] for place in order):
        windows = [window for window in windows_of(path) if window.end_s - window.start_s > 2.9]
        if windows:
            window = max(windows, key=lambda window: float(np.square(window.audio).mean()))
            frames = window.frames
            picture = frames[len(frames) // 2].rgb if frames else None
            clips.append(Clip(path.name, window.audio, window.rate_hz, picture))
    return clips


def named(narration: Narration) -> set[str]:
    """The labels of a narration; what is unidentified is none."""
    return set(labels(narration)) - {OTHER}


def mute(narrator: Narrator, clips: Sequence[Clip]) -> dict[str, float]:
    """What is claimed of clips without a sound."""
    said = [narrator.narrate_window(replace(c.window(), audio=np.zeros_like(c.audio)), "mute") for c in clips]
    return {"clips": len(said), "sounds claimed": sum(len(one.sounds) for one in said)}


def swap(narrator: Narrator, clips: Sequence[Clip], own: Sequence[Narration]) -> dict[str, float]:
    """Each clip's picture with the sound of another whose labels differ."""
    followed = pictured = pairs = invented = 0
    for place, (clip, narration) in enumerate(zip(clips, own, strict=True)):
        others = [k % len(clips) for k in range(place + 1, place + len(clips))]
        other = next((k for k in others if named(own[k]) and named(own[k]).isdisjoint(named(narration))), None)
        if other is None:
            continue
        sound = clips[other]
        said = narrator.narrate_window(replace(sound, picture=clip.picture).window(), "swap")
        pairs += 1
        followed += labels(said) == labels(own[other])
        pictured += bool(named(said) & named(narration))
        invented += said.text != sentence(said.sounds) and not agrees(said.text, said.sounds)
    return {
        "pairs": pairs,
        "labels follow the sound": followed,
        "labels follow the picture": pictured,
        "sentences that claim another sound": invented,
    }


def blind(narrator: Narrator, clips: Sequence[Clip], own: Sequence[Narration]) -> dict[str, float]:
    """Each clip with black pictures."""
    said = [narrator.narrate_window(blackened(clip.window()), "blind") for clip in clips]
    same = sum(labels(one) == labels(before) for one, before in zip(said, own, strict=True))
    return {"clips": len(said), "labels unchanged": same}


def onset_s(narrator: Narrator, clip: Clip, delay_s: float) -> dict[str, float]:
    """Label -> the onset of its first event, with the clip's sound after LEAD_S and a delay."""
    silence = [np.zeros((clip.audio.shape[0], round(s * clip.rate_hz)), np.float32) for s in (LEAD_S + delay_s, TAIL_S)]
    samples = np.concatenate([silence[0], clip.audio, silence[1]], axis=1)
    windower = Windower(has_audio=True, has_video=False)
    tracker, found = EventTracker("shift", Rules(begin=0.0)), dict[str, float]()
    windows = windower.push(AudioChunk(0.0, clip.rate_hz, samples))
    for window in [*windows, *windower.finish(samples.shape[1] / clip.rate_hz)]:
        for event in tracker.update(narrator.narrate_window(window, "shift")):
            found.setdefault(event.label, event.onset_s)
    return found


def shift(narrator: Narrator, clips: Sequence[Clip]) -> dict[str, float]:
    """How far onsets move when the sound comes later."""
    errors = []
    for number, clip in enumerate(clips):
        delay_s = DELAYS_S[number % len(DELAYS_S)]
        before, after = onset_s(narrator, clip, 0.0), onset_s(narrator, clip, delay_s)
        errors += [abs(after[label] - before[label] - delay_s) for label in before if label in after and label != OTHER]
    return {
        "onsets": len(errors),
        f"moved by the delay, within {CLOSE_S} s": sum(error <= CLOSE_S for error in errors),
        "median error, s": round(float(np.median(errors)), 3) if errors else 0.0,
    }


def evaluate(narrator: Narrator, clips: Sequence[Clip]) -> dict[str, dict[str, float]]:
    """All four."""
    own = [narrator.narrate_window(clip.window(), "own") for clip in clips]
    return {
        "mute": mute(narrator, clips),
        "swap": swap(narrator, clips, own),
        "blind": blind(narrator, clips, own),
        "shift": shift(narrator, clips),
    }


def table(found: dict[str, dict[str, float]], title: str) -> str:
    """The results as Markdown."""
    lines = [f"| {title} | | |", "|---|---|---|"]
    for test, numbers in found.items():
        lines += [f"| *{test}* | {what} | {value:g} |" for what, value in numbers.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="nano", help="as `avstream file` takes it (default: nano)")
    parser.add_argument("--listener", help="another listener than the preset's")
    parser.add_argument("--data", type=Path, help="a folder of movies or sound files (default: drawn scenes)")
    parser.add_argument("--clips", type=int, default=33, help="so many at most (default: 33)")
    parser.add_argument("--out", type=Path, default=Path("runs/truth"), help="gets truth.md and truth.json")
    args = parser.parse_args()
    try:
        settings = presets.load(args.preset, listener=args.listener)
        clips = clips_of(args.data, args.clips) if args.data else made_clips(args.clips)
        narrator = Narrator(loading.load(settings, lambda part: print(f"loading {part}", file=sys.stderr)))
        found = evaluate(narrator, clips)
    except AvstreamError as error:
        print(f"evaluate_truth: {error}", file=sys.stderr)
        return error.exit_code
    what = args.data.name if args.data else "drawn scenes"
    text = table(found, f"{args.preset}, listener {args.listener or settings.listener}, {len(clips)} clips of {what}")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "truth.md").write_text(text, encoding="utf-8")
    (args.out / "truth.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
