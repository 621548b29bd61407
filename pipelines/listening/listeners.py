"""Listeners as the evaluation sees them: three seconds in, chances of nano's labels out, whatever they call them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import soxr

from avstream.errors import ModelError, SourceError
from pipelines.sounds.vocabulary import LABELS, OTHER, PARENTS
from pipelines.sounds.yamnet import HOP, PATCH, Yamnet

RATE_HZ, WINDOW_S, STEPS = 16000, 3.0, 30
NAMES: tuple[str, ...] = (*LABELS, OTHER, *(f"/{parent}" for parent in PARENTS))
# label -> AudioSet's display names (the highest of them counts); what has none can't be said by an AudioSet listener
AUDIOSET: dict[str, str] = {
    "dog_bark": "Dog|Bark|Yip|Bow-wow|Howl", "rain": "Rain|Raindrop|Rain on surface", "sea_waves": "Waves, surf|Ocean",
    "baby_cry": "Baby cry, infant cry", "clock_tick": "Tick|Tick-tock|Clock", "sneeze": "Sneeze",
    "helicopter": "Helicopter", "chainsaw": "Chainsaw", "rooster": "Crowing, cock-a-doodle-doo",
    "fire_crackling": "Fire|Crackle", "speech": "Speech|Conversation|Narration, monologue|Child speech, kid speaking",
    "guitar": "Guitar|Acoustic guitar|Electric guitar|Bass guitar|Steel guitar, slide guitar",
    "piano": "Piano|Electric piano", "bell": "Bell|Church bell|Change ringing (campanology)|Chime",
    "alarm": "Alarm|Alarm clock|Smoke detector, smoke alarm|Fire alarm|Beep, bleep|Buzzer",
    "doorbell": "Doorbell|Ding-dong", "phone_ring": "Telephone|Telephone bell ringing|Ringtone",
    "siren": "Siren|Civil defense siren|Police car (siren)|Ambulance (siren)|Fire engine, fire truck (siren)",
    "car_horn": "Vehicle horn, car horn, honking|Toot|Air horn, truck horn", "knock": "Knock|Tap",
    "engine": "Engine|Medium engine (mid frequency)|Heavy engine (low frequency)|Idling|Engine starting|"
              "Accelerating, revving, vroom|Motorcycle", "cat_meow": "Cat|Meow|Caterwaul",
    "birds": "Bird|Bird vocalization, bird call, bird song|Chirp, tweet", "crow": "Crow|Caw",
    "hen": "Chicken, rooster|Cluck", "cow": "Moo|Cattle, bovinae", "sheep": "Sheep|Bleat|Goat", "pig": "Pig|Oink",
    "frog": "Frog|Croak", "crickets": "Cricket", "insects": "Insect|Fly, housefly|Bee, wasp, etc.|Mosquito|Buzz",
    "cough": "Cough|Throat clearing", "laughter": "Laughter|Giggle|Belly laugh|Chuckle, chortle|Snicker",
    "breathing": "Breathing|Wheeze|Gasp|Pant", "snoring": "Snoring", "clapping": "Clapping|Applause",
    "footsteps": "Walk, footsteps|Run", "brushing_teeth": "Toothbrush|Electric toothbrush",
    "drinking": "Gurgling|Gargling|Gulp", "scream": "Screaming|Yell|Shout", "singing": "Singing|Choir|Chant|Song",
    "whistling": "Whistling|Whistle", "music": "Music|Musical instrument", "drum": "Drum|Drum kit|Snare drum|Bass drum",
    "violin": "Violin, fiddle|Bowed string instrument|Cello", "flute": "Flute", "door": "Door|Slam|Sliding door",
    "door_creak": "Creak|Squeak", "glass_breaking": "Shatter|Glass|Breaking", "can_opening": "",
    "keyboard_typing": "Typing|Computer keyboard|Typewriter", "mouse_click": "Mouse|Clicking",
    "vacuum_cleaner": "Vacuum cleaner", "washing_machine": "", "drill": "Drill|Power tool|Dental drill, dentist's drill",
    "hand_saw": "Sawing|Filing (rasp)", "water_drops": "Drip", "water_pouring": "Pour|Fill (with liquid)",
    "water_running": "Water tap, faucet|Sink (filling or washing)|Stream", "water_splash": "Splash, splatter|Slosh",
    "toilet_flush": "Toilet flush", "thunder": "Thunder|Thunderstorm", "wind": "Wind|Wind noise (microphone)",
    "train": "Train|Rail transport|Railroad car, train wagon|Train horn|Train whistle",
    "airplane": "Fixed-wing aircraft, airplane|Aircraft|Jet engine|Aircraft engine",
    "fireworks": "Fireworks|Firecracker", "gunshot": "Gunshot, gunfire|Machine gun|Cap gun",
}  # fmt: skip
AUDIOSET_PARENTS = {
    "animal": "Animal|Domestic animals, pets|Wild animals|Livestock, farm animals, working animals|Bird|Insect",
    "person": "Speech|Singing|Laughter|Crying, sobbing|Hands|Cheering|Crowd|Shout", "music": "Music|Musical instrument",
    "water": "Water|Liquid", "vehicle": "Vehicle|Motor vehicle (road)|Rail transport|Aircraft", "machine": "Mechanisms|Tools",
    "signal": "Alarm|Bell|Siren|Vehicle horn, car horn, honking", "bang": "Explosion|Bang|Door|Glass", "object": "",
    "weather": "Wind|Thunderstorm|Fire",
}  # fmt: skip


class Listener(Protocol):
    """`listen` takes windows float32 (n, 48000) at 16 kHz and gives frames (n, 30, names) and clips (n, names)."""

    name: str
    thresholds: np.ndarray

    def listen(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See the class; names are NAMES."""
        ...


@dataclass
class Nano:
    """A listener's folder as it is shipped, by onnxruntime on one thread."""

    folder: Path
    name: str = "nano"
    thresholds: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        import onnxruntime

        for file in ("listener.onnx", "listener.json"):
            if not (self.folder / file).exists():
                raise ModelError(f"no {self.folder / file}; write it with: python -m pipelines.train_listener")
        about = json.loads((self.folder / "listener.json").read_text())
        if tuple(about["labels"]) != (*LABELS, OTHER) or tuple(about["parents"]) != tuple(PARENTS):
            raise ModelError(f"{self.folder} has other labels than pipelines.sounds.vocabulary; train it again")
        self.thresholds = np.array([about["thresholds"][label] for label in LABELS])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.folder / "listener.onnx", options,
                                                    providers=["CPUExecutionProvider"])  # fmt: skip

    def listen(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Listener`."""
        frames, clips = [], []
        for s in range(0, len(windows), 16):
            outputs = ("frames", "clip", "parent_frames", "parent_clip")
            f, c, pf, pc = self.session.run(outputs, {"samples": windows[s : s + 16]})
            frames.append(np.concatenate([f, pf], 2))
            clips.append(np.concatenate([c, pc], 1))
        return np.concatenate(frames), np.concatenate(clips)


@dataclass
class YamnetListener:
    """YAMNet's scores as they are, its classes taken for nano's labels; claims at 0.5. `other` is never said."""

    folder: Path
    name: str = "yamnet"
    thresholds: np.ndarray = field(default_factory=lambda: np.full(len(LABELS), 0.5))

    def __post_init__(self) -> None:
        self.net = Yamnet(self.folder)
        place = {name: k for k, name in enumerate(self.net.names)}
        table = [AUDIOSET[label] for label in LABELS] + [""] + [AUDIOSET_PARENTS[parent] for parent in PARENTS]
        self.columns = [[place[name] for name in told.split("|") if name in place] for told in table]

    def named(self, scores: np.ndarray) -> np.ndarray:
        """Scores (n, 521) as NAMES."""
        out = [scores[:, c].max(1) if c else np.zeros(len(scores), np.float32) for c in self.columns]
        return np.stack(out, 1)

    def listen(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Listener`: patches of 0.975 s each 0.48 s; a frame is the patch about it, a clip their mean."""
        frames, clips = [], []
        for window in windows:
            scores = self.named(self.net(window)[1])
            middle = (np.arange(STEPS) + 0.5) * WINDOW_S / STEPS
            near = np.clip(np.round((middle - PATCH / RATE_HZ / 2) / (HOP / RATE_HZ)), 0, len(scores) - 1).astype(int)
            frames.append(scores[near])
            clips.append(scores.mean(0))
        return np.stack(frames), np.stack(clips)


def cost_ms(listener: Listener, windows: int = 40) -> float:
    """CPU milliseconds for a window of three seconds."""
    x = np.random.default_rng(0).standard_normal((1, round(WINDOW_S * RATE_HZ))).astype(np.float32) * 0.1
    listener.listen(x)
    began = time.process_time()
    for _ in range(windows):
        listener.listen(x)
    return 1000 * (time.process_time() - began) / windows


def windows_of(x: np.ndarray, hop_s: float = 1.0) -> np.ndarray:
    """All windows of a sound that hold some of it (within 20 dB of its loudest 50 ms); a short sound is padded."""
    length, frame = round(WINDOW_S * RATE_HZ), RATE_HZ // 20
    x = np.pad(x, (0, max(0, length - len(x)))).astype(np.float32)
    starts = range(0, len(x) - length + 1, round(hop_s * RATE_HZ))
    level = np.square(x[: len(x) // frame * frame].reshape(-1, frame)).mean(1)
    loud = [s for s in starts if level[s // frame : (s + length) // frame].max() > 0.01 * level.max()]
    return np.stack([x[s : s + length] for s in loud or starts])


def resampled(x: np.ndarray, rate_hz: int, to_hz: int) -> np.ndarray:
    """Another rate."""
    return x if rate_hz == to_hz else np.asarray(soxr.resample(x, rate_hz, to_hz), np.float32)


def open_listener(spec: str) -> Listener:
    """`nano`, `yamnet:FOLDER` or a folder with listener.onnx. SourceError for anything else."""
    shipped = Path(__file__).resolve().parents[2] / "avstream" / "models" / "nano" / "listener"
    if spec == "nano":
        return Nano(shipped)
    if spec.startswith("yamnet:"):
        return YamnetListener(Path(spec.removeprefix("yamnet:")))
    if (Path(spec) / "listener.onnx").exists():
        return Nano(Path(spec), Path(spec).name)
    raise SourceError(f"no listener {spec!r}: give nano, yamnet:FOLDER, or a folder with listener.onnx")
