"""What PulseAudio, or PipeWire in its place, calls its microphones: PortAudio sees but one device named "pulse".

It asks `pactl`, which both come with, and knows no PortAudio.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

ANSWER_S = 2.0  # of a server that is well; PortAudio finds out about the others


@dataclass(frozen=True, slots=True)
class SoundSource:
    """An input of the sound server: `name` is its own, `description` is for people."""

    name: str
    description: str
    channels: int
    rate_hz: int
    default: bool
    monitor: bool  # what a loudspeaker plays, not what a microphone hears


def sound_sources() -> list[SoundSource]:
    """The inputs of the sound server, microphones first; none where there is no server, no pactl, or no answer."""
    pactl = shutil.which("pactl")
    if pactl is None:
        return []
    with suppress(OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, AttributeError):
        default = _ask(pactl, "info")["default_source_name"]
        found = [_source(one, default) for one in _ask(pactl, "list", "sources")]
        return sorted(found, key=lambda source: source.monitor)
    return []


def _source(one: dict[str, Any], default: str) -> SoundSource:
    _, channels, rate = one["sample_specification"].split()  # s16le 2ch 48000Hz
    description = " ".join(str(one.get("description") or one["name"]).split())
    is_monitor = one.get("monitor_source") not in (None, "", "n/a") or one["name"].endswith(".monitor")
    return SoundSource(
        name=one["name"],
        description=description,
        channels=int(channels.removesuffix("ch")),
        rate_hz=int(rate.removesuffix("Hz")),
        default=one["name"] == default,
        monitor=is_monitor,
    )


def _ask(pactl: str, *words: str) -> Any:
    """What pactl says. Raises OSError, SubprocessError or ValueError."""
    command = [pactl, "--format=json", *words]
    done = subprocess.run(command, capture_output=True, check=True, timeout=ANSWER_S, stdin=subprocess.DEVNULL)
    return json.loads(done.stdout)
