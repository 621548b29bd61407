"""Train the complete embedded bundle, from recordings and synthesized sound to the weights that are shipped.

    python -m pipelines.train_nano --data DATA [--resume] [--minutes 103]

Stages, each a command of its own with its own log under runs/: the listener, the sound corpus, the encoder (teacher,
student), the vision tower, the projection, the language model, and the scores. With --resume, finished stages are
skipped and the interrupted one goes on from its last checkpoint. Needs espeak-ng, fluidsynth and fluid-soundfont-gm
for made sounds, and `pip install -e .[train]`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

RUNS = Path("runs/nano")


def stages(data: Path, minutes: float) -> dict[str, list[str]]:
    """Stage -> its module and arguments. `minutes` is split in the proportion that the shipped bundle had."""
    teacher, student, vision = (f"{minutes * share:.1f}" for share in (0.11, 0.67, 0.22))
    encoder = ["pipelines.train_encoder", "--resume", "--export"]
    return {
        "listener": ["pipelines.train_listener", "--data", str(data)],
        "corpus": ["pipelines.make_corpus", "--data", str(data)],
        "encoder": [*encoder, "--teacher-minutes", teacher, "--minutes", student],
        "vision": ["pipelines.train_vision", "--minutes", vision, "--resume"],
        "alignment": ["pipelines.train_alignment"],
        "language": ["pipelines.train_language"],
        "scores": ["pipelines.evaluate_nano", "--data", str(data)],
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with sounds/, esc10/ and speech/")
    parser.add_argument("--minutes", type=float, default=103, help="for encoder and vision together (default: 103)")
    parser.add_argument("--resume", action="store_true", help="go on where the last run stopped")
    args = parser.parse_args()
    for needed in ("sounds", "esc10"):
        if not (args.data / needed).is_dir():
            print(f"train_nano: expected a folder {needed} in {args.data}; --data names where the recordings are")
            return 2
    RUNS.mkdir(parents=True, exist_ok=True)
    for name, command in stages(args.data, args.minutes).items():
        done = RUNS / f"{name}.done"
        if not args.resume:
            done.unlink(missing_ok=True)
            command = [part for part in command if part != "--resume"]
        if done.exists():
            print(f"{name}: done before")
            continue
        print(f"{name}: {' '.join(command)}", flush=True)
        began = time.monotonic()
        code = subprocess.run([sys.executable, "-m", *command], check=False).returncode
        if code:
            print(f"{name}: stopped with exit code {code}; go on with --resume")
            return code
        done.write_text(f"{time.monotonic() - began:.0f} s\n")
    print("the bundle is in avstream/models/nano; update its model card from scores.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
