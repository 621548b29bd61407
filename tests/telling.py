"""A sink gets narrations as the loop gives them: the events of each before it, and at the end what goes on ends."""

from dataclasses import replace
from itertools import count

from avstream.records import Narration, SoundEvent
from avstream.sinks.base import Sink

IDS = count()


def began(narration: Narration, sound, **more) -> SoundEvent:
    return SoundEvent(
        f"e{next(IDS)}", narration.source, sound.label, "began", narration.focus_start_s, None, sound.confidence,
        sound.confidence, sound.level_dbfs, sound.direction, sound.visible, box=sound.box, **more,
    )  # fmt: skip


def tell(sink: Sink, *narrations: Narration) -> None:
    """Events begin and end with the foci."""
    going: dict[str, SoundEvent] = {}
    end_s = 0.0
    for narration in narrations:
        sounds = {sound.label: sound for sound in narration.sounds}
        for label in [label for label in going if label not in sounds or narration.focus_start_s > end_s + 0.05]:
            sink.event(replace(going.pop(label), phase="ended", end_s=end_s))
        for label, sound in sounds.items():
            event = going.get(label)
            if event is None:
                going[label] = began(narration, sound)
            else:
                best = max(event.peak_confidence, sound.confidence)
                going[label] = replace(event, phase="continues", peak_confidence=best, box=sound.box or event.box)
            sink.event(going[label])
        sink.write(narration)
        end_s = narration.focus_end_s
    for event in going.values():
        sink.event(replace(event, phase="ended", end_s=end_s))
