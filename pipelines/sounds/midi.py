"""Recorded instruments: scores of our own as Standard MIDI files, played by fluidsynth with FluidR3."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import mido
import numpy as np

from avstream.errors import SourceError
from pipelines.sounds.dsp import Rng, log_uniform, uniform
from pipelines.sounds.strikes import CHORDS, SCALE

SOUND_FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
TICKS = 480  # a second, at the tempo written below
SEGMENT_S = 7.0  # five seconds of music, two to ring out
ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123
Event = tuple[float, mido.Message]  # time in seconds


def need(program: str, package: str) -> str:
    """The path of a program; SourceError says how to install it when it is missing."""
    path = shutil.which(program)
    if path is None:
        raise SourceError(f"{program} is not installed; install it with: apt-get install {package}")
    return path


def score(events: list[Event]) -> mido.MidiFile:
    """A format 0 file with one track, whose tempo makes a second TICKS ticks."""
    track, last = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)]), 0
    for time_s, message in sorted(events, key=lambda event: event[0]):
        tick = round(time_s * TICKS)
        track.append(message.copy(time=tick - last))
        last = tick
    return mido.MidiFile(type=0, ticks_per_beat=TICKS, tracks=[track])


def note(at_s: float, pitch: float, length_s: float, velocity: float, channel: int) -> list[Event]:
    """A note on and its note off."""
    key, loud = int(np.clip(pitch, 12, 115)), int(np.clip(velocity, 20, 127))
    on = mido.Message("note_on", channel=channel, note=key, velocity=loud)
    return [(at_s, on), (at_s + length_s, mido.Message("note_off", channel=channel, note=key, velocity=0))]


def control(at_s: float, number: int, channel: int) -> list[Event]:
    """A controller set to 0: ALL_SOUND_OFF or ALL_NOTES_OFF."""
    return [(at_s, mido.Message("control_change", channel=channel, control=number, value=0))]


def plucked(start: float, rng: Rng, channel: int) -> list[Event]:
    """Five seconds of a guitar: strums, arpeggios or a single line."""
    style, root = rng.choice(["strum", "pick", "pick", "melody"]), int(rng.integers(40, 53))
    beat, t, out, loud = uniform(rng, 0.12, 0.5), uniform(rng, 0, 0.4), [], uniform(rng, 55, 110)
    while t < 4.9:
        chord = np.array(CHORDS[int(rng.integers(len(CHORDS)))]) + root + int(rng.choice([0, 0, 5, 7, 2, -3]))
        notes = np.sort(np.concatenate([chord, chord + 12, chord[:1] + 24]))
        if style == "strum":
            order = (notes if rng.random() < 0.6 else notes[::-1])[: int(rng.integers(3, 7))]
            held = uniform(rng, 0.2, 2)
            for i, pitch in enumerate(order):
                out += note(start + t + 0.012 * i, pitch, held, loud * uniform(rng, 0.7, 1.1), channel)
            t += beat * float(rng.choice([1, 2, 2, 4]))
            continue
        for pitch in rng.permutation(notes)[: int(rng.integers(2, 7))] + (12 if style == "melody" else 0):
            out += note(start + t, pitch, uniform(rng, 0.3, 2), loud * uniform(rng, 0.7, 1.1), channel)
            t += beat * float(rng.choice([0.5, 1, 1, 2]))
    return out


def keyed(start: float, rng: Rng, channel: int) -> list[Event]:
    """Five seconds of a piano or another melody instrument: chords with a line above, or either alone."""
    root, beat = int(rng.integers(41, 65)), uniform(rng, 0.1, 0.6)
    chords, melody, loud = rng.random() < 0.7, rng.random() < 0.85, uniform(rng, 50, 110)
    t, out = uniform(rng, 0, 0.4), []
    while t < 4.9:
        base = root + int(rng.choice([0, 0, 5, 7, 9]))
        if chords or not melody:
            held, broken = uniform(rng, 0.3, 2), uniform(rng, 0, 0.2) * (rng.random() < 0.4)
            for i, step in enumerate(CHORDS[int(rng.integers(len(CHORDS)))]):
                out += note(start + t + i * broken, base + step - 12 * (i == 0), held, loud * 0.85, channel)
        for _ in range(int(rng.integers(1, 6)) if melody else 1):
            if melody:
                pitch = base + 12 + int(rng.choice(SCALE))
                out += note(start + t, pitch, uniform(rng, 0.1, 1.2), loud * uniform(rng, 0.8, 1.15), channel)
            t += beat * float(rng.choice([0.5, 1, 1, 2]))
    return out


def tolled(start: float, rng: Rng, channel: int) -> list[Event]:
    """Five seconds of bells: one tolling, a few in turn, or a slow tune."""
    pitches = int(rng.integers(52, 76)) + rng.choice(SCALE[:8], int(rng.choice([1, 1, 2, 3, 5])), replace=False)
    step, t, out, i = log_uniform(rng, 0.25, 1.8), uniform(rng, 0, 0.6), [], 0
    while t < 4.9:
        out += note(start + t, int(pitches[i % len(pitches)]), 3.0, uniform(rng, 70, 120), channel)
        t, i = t + step * uniform(rng, 0.9, 1.1), i + 1
    return out


def drummed(start: float, rng: Rng, channel: int) -> list[Event]:
    """Five seconds of a drum kit and percussion."""
    kit, step, out = rng.integers(35, 76, 6), uniform(rng, 0.1, 0.3), []
    for i in range(int(4.9 / step)):
        for key in kit[rng.random(6) < 0.3]:
            out += note(start + i * step, int(key), 0.2, uniform(rng, 50, 120), channel)
    return out


def held_tone(start: float, rng: Rng, channel: int) -> list[Event]:
    """Long notes, for effects that sound by themselves."""
    length, t, out = uniform(rng, 0.8, 3), uniform(rng, 0, 0.5), []
    while t < 4.9:
        out += note(start + t, int(rng.integers(48, 76)), length, uniform(rng, 60, 120), channel)
        t += length + uniform(rng, 0.1, 0.8)
    return out


STYLES = {"plucked": plucked, "keyed": keyed, "tolled": tolled, "drummed": drummed, "held": held_tone}


def play(events: list[Event], rate_hz: int, room: bool) -> np.ndarray:
    """Mono float64 samples of a score by fluidsynth. SourceError when it or its sound font is missing or fails."""
    program = need("fluidsynth", "fluidsynth fluid-soundfont-gm")
    if not SOUND_FONT.exists():
        raise SourceError(f"{SOUND_FONT} is missing; install it with: apt-get install fluid-soundfont-gm")
    with tempfile.TemporaryDirectory() as folder:
        path, sound = Path(folder, "score.mid"), Path(folder, "score.wav")
        score(events).save(path)
        on = "1" if room else "0"
        command = [program, "-ni", "-q", "-R", on, "-C", on, "-g", "0.5", "-r", str(rate_hz), "-F", str(sound)]
        done = subprocess.run([*command, str(SOUND_FONT), str(path)], capture_output=True, text=True, check=False)
        if done.returncode or not sound.exists():
            raise SourceError(f"fluidsynth failed: {done.stderr.strip()[-200:] or 'no sound was written'}")
        with wave.open(str(sound)) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return pcm.reshape(-1, 2).mean(1) / 32768


def segments(program: int, style: str, count: int, rng: Rng, rate_hz: int = 44100) -> list[np.ndarray]:
    """`count` pieces of five seconds by one General MIDI program, mono float at `rate_hz`."""
    channel = 9 if style == "drummed" else 0
    events: list[Event] = [] if channel == 9 else [(0.0, mido.Message("program_change", program=program))]
    for i in range(count):
        events += STYLES[style](i * SEGMENT_S, rng, channel)
        events += control((i + 1) * SEGMENT_S - 0.3, ALL_SOUND_OFF, channel)
    events += control(count * SEGMENT_S, ALL_NOTES_OFF, channel)
    x = play(events, rate_hz, bool(rng.random() < 0.5))
    x = np.pad(x, (0, max(0, round(count * SEGMENT_S * rate_hz) - len(x))))
    starts = [round(i * SEGMENT_S * rate_hz) for i in range(count)]
    return [x[s : s + 5 * rate_hz] for s in starts]
