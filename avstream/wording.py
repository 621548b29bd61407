"""How a sound is put into words: the vocabulary, the caption in brackets, and how sureness is said.

Captions follow the accessibility conventions: lower case in square brackets, source first, a participle while
the sound goes on, the direction in words, and "probably" for what is not sure.
"""

from __future__ import annotations

from collections.abc import Sequence

from avstream.records import Sound

# label -> (caption words, a plain sentence)
VOCABULARY: dict[str, tuple[str, str]] = {
    "dog_bark": ("dog barking", "a dog is barking"),
    "rain": ("rain falling", "rain is falling"),
    "sea_waves": ("waves breaking", "sea waves are breaking"),
    "baby_cry": ("baby crying", "a baby is crying"),
    "clock_tick": ("clock ticking", "a clock is ticking"),
    "sneeze": ("person sneezing", "someone sneezes"),
    "helicopter": ("helicopter flying", "a helicopter is flying"),
    "chainsaw": ("chainsaw running", "a chainsaw is running"),
    "rooster": ("rooster crowing", "a rooster is crowing"),
    "fire_crackling": ("fire crackling", "a fire is crackling"),
    "speech": ("person speaking", "a person is speaking"),
    "guitar": ("guitar playing", "a guitar is playing"),
    "piano": ("piano playing", "a piano is playing"),
    "bell": ("bell ringing", "a bell is ringing"),
    "alarm": ("alarm sounding", "an alarm is sounding"),
    "doorbell": ("doorbell ringing", "a doorbell is ringing"),
    "phone_ring": ("phone ringing", "a phone is ringing"),
    "siren": ("siren wailing", "a siren is wailing"),
    "car_horn": ("car horn honking", "a car horn is honking"),
    "knock": ("someone knocking", "someone is knocking"),
    "engine": ("engine running", "an engine is running"),
}
LABELS: tuple[str, ...] = tuple(VOCABULARY)
OTHER = "other"  # a sound that is there, and is none of these
SURE = 0.8  # below this a caption says "probably"


def phrase(sound: Sound) -> str:
    """`dog barking, left`: the caption words of one sound, without brackets."""
    words = VOCABULARY[sound.label][0] if sound.label in VOCABULARY else "unidentified sound"
    if sound.label != OTHER and sound.confidence < SURE:
        words = f"probably {words}"
    if sound.direction in ("left", "right"):
        words += f", {sound.direction}"
    if sound.visible is False:
        words += ", off-screen"
    return words


def caption(sounds: Sequence[Sound]) -> str:
    """`[dog barking, left] [rain falling]`; empty when nothing sounds."""
    return " ".join(f"[{phrase(sound)}]" for sound in sounds)




def clock(time_s: float) -> str:
    """`0:05` or `1:02:03`: a stream time as people read it."""
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
