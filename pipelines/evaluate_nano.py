"""Score the embedded bundle through the very code that narrates, and write avstream/models/nano/scores.json.

ESC-10's fold 4 was never trained on; the movies are evaluation only. The counterfactuals: mute (no sound),
blind (black picture), swap (another clip's sound over the picture).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from avstream import loading, wording
from avstream.checkpoints import NANO
from avstream.config import presets
from avstream.encoders.audio import mono
from avstream.level import SILENCE_DBFS, loudness_dbfs
from avstream.narrator import Narrator, heard_in
from avstream.records import Narration, Sound, VideoFrame, Window
from avstream.sentences import said
from avstream.sources.file.movie import Movie
from avstream.substitution import substitute
from avstream.vocabulary import OTHER, covered
from avstream.windows import Windower
from pipelines.nano.labels import LABELS

ESC10 = LABELS[:10]


def windows_of(path: Path) -> Iterator[Window]:
    """Every window of a file, hop 1 s."""
    source = Movie(path, motion=True)
    windower = Windower(has_audio=source.info.has_audio, has_video=source.info.has_video)
    for item in source:
        yield from windower.push(item)
    yield from windower.finish(source.reached_s)


def best_of_ten(narrator_models: loading.Models, window: Window) -> tuple[str, float]:
    """The likeliest of ESC-10's labels in a window, and how loud the window is."""
    listener = narrator_models.listener
    heard = listener.listen(mono(window.audio, window.rate_hz, listener.rate_hz))
    probabilities = heard.clip[[listener.labels.index(label) for label in ESC10]]
    return ESC10[int(probabilities.argmax())], loudness_dbfs(window.audio, window.rate_hz)


def score_esc10(loaded: loading.Models, narrator: Narrator, folder: Path, fold: int) -> dict[str, float]:
    """Top-1 over the ten classes, one 3-second window at a time; silent ones, which nothing is claimed of, apart.

    And, over all labels and `other`: how many claims are right, and how many sounding windows get a right claim.
    """
    right, sounding, claims, right_claims, found = 0, 0, 0, 0, 0
    for path in sorted(folder.glob(f"*/{fold}-*.ogg")):
        label = path.parent.name
        for window in windows_of(path):
            if window.end_s - window.start_s < loading.WINDOW_S - 0.05:
                continue
            guess, level = best_of_ten(loaded, window)
            if level < SILENCE_DBFS:
                continue
            general = covered(label) | {parent for parent, kinds in loaded.listener.parents.items() if label in kinds}
            sounding += 1
            right += guess == label
            claimed = [s.label for s in narrator.narrate_window(window, path.name).sounds if s.label != OTHER]
            claims += len(claimed)
            right_claims += sum(one == label or one in general for one in claimed)
            found += label in claimed
    return {
        "windows": sounding,
        "top1_of_ten": right / sounding,
        "claims": claims,
        "claims_right": right_claims / max(1, claims),
        "windows_with_the_right_claim": found / sounding,
    }


def score_movies(narrator: Narrator, folder: Path) -> dict[str, object]:
    """What is said of each movie, and how many sounds are claimed of it when muted or when its picture is black."""
    found: dict[str, object] = {}
    for path in sorted(folder.glob("*.mp4")):
        windows = list(windows_of(path))
        said = [narrator.narrate_window(window, path.name) for window in windows]
        muted = [narrator.narrate_window(replace(w, audio=np.zeros_like(w.audio)), path.name) for w in windows]
        blind = [narrator.narrate_window(blackened(w), path.name) for w in windows]
        found[path.name] = {
            "said": [n.text for n in said],
            "sounds": [[s.to_dict()["label"] + f" {s.confidence:.2f}" for s in n.sounds] for n in said],
            "sounds_claimed_when_muted": sum(len(n.sounds) for n in muted),
            "same_sounds_when_blind": all(labels(a) == labels(b) for a, b in zip(said, blind, strict=True)),
        }
    return found


def labels(narration: Narration) -> list[str]:
    """The labels that a narration claims."""
    return [sound.label for sound in narration.sounds]


def blackened(window: Window) -> Window:
    """The window with black pictures."""
    frames = tuple(VideoFrame(frame.time_s, np.zeros_like(frame.rgb)) for frame in window.frames)
    return replace(window, frames=frames)


def score_language(loaded: loading.Models, folder: Path, fold: int) -> dict[str, float]:
    """Whether the language model's own sentence agrees with the words it is given; and, given no words at all,
    whether it names the sound that the evidence names, which only the substituted token can tell it.
    """
    rng, agree, alone, total = np.random.default_rng(4), 0, 0, 0
    for path in sorted(folder.glob(f"*/{fold}-*.ogg")):
        window = next(windows_of(path))
        z = loaded.audio.encode(mono(window.audio, window.rate_hz, loaded.audio.rate_hz))
        claims = heard_in(window, loaded.listener)
        if claims[0].label == OTHER or loaded.alignment is None:
            continue
        picture = loaded.tower.encode(rng.integers(0, 256, (90, 160, 3), dtype=np.uint8))
        tokens, _, _ = substitute(loaded.alignment(z), picture.patches, loaded.tokens, loaded.unselected)
        sounds = [Sound(claim.label, claim.confidence) for claim in claims]
        with_words = loaded.language.describe(tokens, loaded.prompt, wording.heard(sounds))
        without = loaded.language.describe(tokens, loaded.prompt, "")
        total += 1
        agree += with_words == wording.sentence(sounds)
        alone += any(claims[0].label in claim for claim in said(without).claims)
    return {"sentences": total, "agree_with_the_evidence": agree / total, "name_it_without_words": alone / total}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with esc10/ and, if wanted, ave2/ (movies)")
    parser.add_argument("--fold", type=int, default=4, help="the fold of ESC-10 that was not trained on (default: 4)")
    parser.add_argument("--out", type=Path, default=NANO / "scores.json")
    args = parser.parse_args()
    loaded = loading.load(presets.load("nano"))
    narrator = Narrator(loaded)
    before = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}  # of the training, too
    scores: dict[str, object] = before | {
        "esc10": {"fold": args.fold} | score_esc10(loaded, narrator, args.data / "esc10", args.fold),
        "movies": score_movies(narrator, args.data / "ave2"),
        "language": score_language(loaded, args.data / "esc10", args.fold),
    }
    for stage in ("listener", "nano/alignment", "nano/vision"):
        path = Path("runs") / stage / "scores.json"
        if path.is_file():
            scores[stage.rpartition("/")[2]] = json.loads(path.read_text(encoding="utf-8"))
    args.out.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: scores[key] for key in ("esc10", "movies", "language")}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
