"""Listeners as the evaluation sees them: three seconds in, chances of nano's labels out, whatever they call them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from avstream import vocabulary
from avstream.listeners.base import SURE_ENOUGH, Listener
from avstream.listeners.choose import open_listener
from avstream.listeners.nano import NanoListener
from pipelines.sounds.vocabulary import LABELS, OTHER, PARENTS

TITLES = {entry.title: name for name, entry in vocabulary.ENTRIES.items() if entry.title}
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
    "drinking": "Gurgling|Gargling", "scream": "Screaming|Yell|Shout", "singing": "Singing|Choir|Chant|Song",
    "whistling": "Whistling|Whistle", "music": "Music|Musical instrument", "drum": "Drum|Drum kit|Snare drum|Bass drum",
    "violin": "Violin, fiddle|Bowed string instrument|Cello", "flute": "Flute", "door": "Door|Slam|Sliding door",
    "door_creak": "Creak|Squeak", "glass_breaking": "Shatter|Glass|Breaking", "can_opening": "",
    "keyboard_typing": "Typing|Computer keyboard|Typewriter", "mouse_click": "Mouse|Clicking",
    "vacuum_cleaner": "Vacuum cleaner", "washing_machine": "",
    "drill": "Drill|Power tool|Dental drill, dentist's drill",
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
    "water": "Water|Liquid", "vehicle": "Vehicle|Motor vehicle (road)|Rail transport|Aircraft",
    "machine": "Mechanisms|Tools",
    "signal": "Alarm|Bell|Siren|Vehicle horn, car horn, honking", "bang": "Explosion|Bang|Door|Glass", "object": "",
    "weather": "Wind|Thunderstorm|Fire",
}  # fmt: skip


class Named:
    """A listener whose chances are put under nano's names, whatever it calls them.

    A listener of AudioSet's classes has the highest of a label's titles; its clips are the means of its frames, which
    serves YAMNet's top label better than their maximum. `other` is 0 where a listener has none.
    """

    def __init__(self, listener: Listener, name: str | None = None) -> None:
        self.listener, self.name = listener, name or listener.name
        self.own = set(LABELS) <= set(listener.labels)
        names = (*listener.labels, *listener.parents)
        self.columns = [columns_of(name, names, self.own) for name in NAMES]
        limits = [listener.thresholds.get(label, SURE_ENOUGH) if self.own else SURE_ENOUGH for label in LABELS]
        self.thresholds = np.array(limits)

    def named(self, chances: np.ndarray) -> np.ndarray:
        """Chances (n, labels + parents) as NAMES (n, names)."""
        out = [chances[:, c].max(1) if c else np.zeros(len(chances), np.float32) for c in self.columns]
        return np.stack(out, 1)

    def listen(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Windows float32 (n, 48000) at 16 kHz -> frames (n, 30, names) and clips (n, names)."""
        frames, clips = [], []
        for window in windows:
            heard = self.listener.listen(resampled(window, RATE_HZ, self.listener.rate_hz))
            named = self.named(np.concatenate([heard.frames, heard.parent_frames], 1))
            at = ((np.arange(STEPS) + 0.5) * WINDOW_S / STEPS / heard.hop_s).astype(int)
            frames.append(named[np.minimum(at, len(named) - 1)])
            clip = np.concatenate([heard.clip, heard.parent_clip])[None]
            clips.append(self.named(clip)[0] if self.own else named.mean(0))
        return np.stack(frames), np.stack(clips)


def columns_of(name: str, names: Sequence[str], own: bool) -> list[int]:
    """Where a listener has one of NAMES: by that name if it is nano's, else by AudioSet's titles."""
    if own:
        parent = name.startswith("/")
        places = [k for k, other in enumerate(names) if other == name.removeprefix("/")]
        return places[-1:] if parent else places[:1]
    titles = AUDIOSET_PARENTS[name[1:]] if name.startswith("/") else AUDIOSET.get(name, "")
    wanted = {TITLES[title] for title in titles.split("|") if title in TITLES}
    return [k for k, other in enumerate(names) if other in wanted or other == name.removeprefix("/")]


def cost_ms(listener: Named, windows: int = 40) -> float:
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


def open_named(spec: str) -> Named:
    """`nano`, `yamnet:FILE`, a listener's folder, or any other name that `--listener` takes."""
    path = Path(spec)
    if (path / "listener.onnx").exists():
        return Named(NanoListener(path), path.name)
    return Named(open_listener(spec))
