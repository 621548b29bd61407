"""Narrations -> sound events that begin, go on and end. Pure: no files, no clock but the narrations' own.

A label begins at its threshold and goes on down to STAY of it, so that a sound that wavers is one event; it ends
when it was missed in two narrations and for GAP_S, so that none sticks however fast or slow narrations come.

Windows overlap: what is heard in one and was not in the one before is in its newest part, so an event's onset is where
the window before ended. It ended where the first window without it starts, or, when that one found nothing to listen
to (silence), where that one's focus does. In a movie the listener's own onset and end come first, where it knows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from uuid import uuid4

from avstream import wording
from avstream.errors import ConfigError
from avstream.level import SILENCE_DBFS
from avstream.records import Narration, Phase, Sound, SoundEvent
from avstream.vocabulary import PARENTS, ancestors, includes, known, unknown

BEGIN = wording.LIKELY  # what is only possible is narrated, but starts no event
STAY = 0.6
GAP_S = 2.0
MISSES = 2
UNNAMED = 3  # narrations, live, until a sound without a name is an event


@dataclass(slots=True)
class Rules:
    """What one stream is to speak of. May be changed while it runs, from any thread: every change is one step.

    An event of a label begins at its confidence in `thresholds`, else at `begin`: live at BEGIN, for a movie, whose
    reader can look at the confidence, at any. For a label that has a threshold, what is below STAY of it is not
    narrated either. A label stands for its kinds, too: `alarm` for smoke and fire alarms. Raises ConfigError for an
    unknown label or a threshold outside 0..1.
    """

    thresholds: dict[str, float] = field(default_factory=dict)
    only: set[str] = field(default_factory=set)  # empty: all
    muted: set[str] = field(default_factory=set)
    urgent: set[str] = field(default_factory=set)
    begin: float = BEGIN

    def __post_init__(self) -> None:
        for label in (*self.thresholds, *self.only, *self.muted, *self.urgent):
            check_label(label)
        for label, threshold in self.thresholds.items():
            check_threshold(label, threshold)

    def set_threshold(self, label: str, threshold: float) -> None:
        """Speak of a label from this confidence on. Raises ConfigError."""
        check_label(label)
        check_threshold(label, threshold)
        self.thresholds[label] = threshold

    def mute(self, label: str, muted: bool = True) -> None:
        """Speak of a label no more, or again. Raises ConfigError."""
        check_label(label)
        self.muted.add(label) if muted else self.muted.discard(label)

    def allows(self, sound: Sound) -> bool:
        """Whether a sound is spoken of."""
        label = sound.label
        wanted = (not self.only or includes(self.only, label)) and not includes(self.muted, label)
        return wanted and sound.confidence >= STAY * self._threshold(label, 0.0)

    def begins_at(self, label: str) -> float:
        """The confidence at which an event of a label begins."""
        return self._threshold(label, self.begin)

    def _threshold(self, label: str, otherwise: float) -> float:
        """The label's own threshold, else the lowest of what it is a kind of."""
        if label in self.thresholds:
            return self.thresholds[label]
        general = [self.thresholds[name] for name in ancestors(label) if name in self.thresholds]
        return min(general, default=otherwise)

    def applied(self, narration: Narration) -> Narration:
        """The narration with the sounds that are spoken of, and no other."""
        sounds = tuple(sound for sound in narration.sounds if self.allows(sound))
        if sounds == narration.sounds:
            return narration
        heatmap = narration.heatmap if sounds else None
        return replace(narration, sounds=sounds, text=wording.sentence(sounds), heatmap=heatmap)


def check_label(label: str) -> None:
    """Raises ConfigError, with what may have been meant, for a label that is not known."""
    if not known(label):
        raise ConfigError(*unknown(label))


def check_threshold(label: str, threshold: float) -> None:
    """Raises ConfigError unless the threshold is in 0..1."""
    if not 0 <= threshold <= 1:
        raise ConfigError(f"{threshold}", expected=f"a threshold of {label} from 0 to 1")


@dataclass(slots=True)
class _Going:
    """An event that goes on, as last reported; when its sound was last heard, and narrations without it since."""

    event: SoundEvent
    heard_s: float
    end_s: float  # if it is not heard again
    is_end_known: bool
    missed: int = 0

    def miss(self, narration: Narration) -> None:
        """Note a narration without it."""
        if not self.missed and not self.is_end_known:
            shortest_s = narration.focus_end_s - narration.focus_start_s
            silent = narration.level_dbfs < SILENCE_DBFS
            gone_s = narration.focus_start_s if silent else narration.start_s
            self.end_s = max(gone_s, self.event.onset_s + shortest_s)
        self.missed += 1


@dataclass(frozen=True, slots=True)
class _Held:
    """A beginning that was not reported yet: as it was heard first, and the narration that it was heard in."""

    sound: Sound
    onset_s: float
    narration: Narration
    count: int = 1  # narrations that had it


class EventTracker:
    """The events of one stream.

    A `patient` one, as live, where what was said can't be taken back, holds a beginning that is not sure for one
    narration: another name that comes in its place then takes its onset, too. A sound without a name must last for
    UNNAMED narrations. What is sure, and what the user called urgent, is reported at once.
    """

    def __init__(self, source: str, rules: Rules, *, patient: bool = False) -> None:
        self._source, self._rules, self._patient = source, rules, patient
        self._going: dict[str, _Going] = {}
        self._held: dict[str, _Held] = {}
        self._known_s: float | None = None  # the end of the window before

    def update(self, narration: Narration) -> list[SoundEvent]:
        """What became of events with one more narration (`Rules.applied` to it): first what ended."""
        sounds = {sound.label: sound for sound in narration.sounds}
        out = []
        for label, going in list(self._going.items()):
            sound = sounds.pop(label, None)
            if sound is not None and sound.confidence >= STAY * self._rules.begins_at(label):
                out.append(self._prolong(going, sound, narration))
                continue
            going.miss(narration)
            over = going.missed >= MISSES and narration.focus_end_s - going.heard_s >= GAP_S
            if over or includes(self._rules.muted, label):
                out.append(self._end(label))
        # what is not recognized in the middle of a known sound is most likely part of it
        named_going = any(label != wording.OTHER for label in self._going)
        fresh = {
            label: sound
            for label, sound in sounds.items()
            if sound.confidence >= self._rules.begins_at(label) and not (label == wording.OTHER and named_going)
        }
        if self._patient and any(label != wording.OTHER for label in fresh):
            fresh.pop(wording.OTHER, None)
        onset_s = narration.start_s if self._known_s is None else max(narration.start_s, self._known_s)
        held, self._held = self._held, {}
        for label, before in held.items():
            if label in fresh:
                sound, count = fresh.pop(label), before.count + 1
                if label == wording.OTHER and count < UNNAMED:
                    self._held[label] = replace(before, count=count)
                else:
                    out += self._begin_late(before, sound, narration)
            elif fresh:
                onset_s = min(onset_s, before.onset_s)  # the first guess has become another one
            elif label != wording.OTHER:
                out += self._begin_late(before, None, narration)
        for label, sound in fresh.items():
            if self._patient and self._is_unsure(sound):
                self._held[label] = _Held(sound, onset_s, narration)
            else:
                out.append(self._begin(sound, narration, self._since(sound, narration, onset_s)))
        self._known_s = narration.end_s
        return sorted(out, key=lambda event: event.phase != "ended")

    def finish(self) -> list[SoundEvent]:
        """The end of the stream: whatever goes on ends."""
        held, self._held = self._held.items(), {}
        out = [self._begin(one.sound, one.narration, one.onset_s) for label, one in held if label != wording.OTHER]
        return [*out, *(self._end(label) for label in list(self._going))]

    def _is_unsure(self, sound: Sound) -> bool:
        """Whether a beginning is to be held: it may get another name, or a closer one."""
        unsure = sound.confidence < wording.SURE or sound.label in (wording.OTHER, *PARENTS)  # or says little
        return unsure and not includes(self._rules.urgent, sound.label)

    def _begin_late(self, held: _Held, sound: Sound | None, narration: Narration) -> list[SoundEvent]:
        """Tell of what was held, and that it goes on if it is there still."""
        if includes(self._rules.muted, held.sound.label):
            return []
        began = self._begin(held.sound, held.narration, held.onset_s)
        going = self._going[held.sound.label]
        if sound is not None:
            return [began, self._prolong(going, sound, narration)]
        going.miss(narration)
        return [began]

    def _since(self, sound: Sound, narration: Narration, before_s: float) -> float:
        """When a sound began that is new in a narration; the window before ended at `before_s`."""
        if self._patient or sound.onset_s is None:
            return before_s
        return min(max(sound.onset_s, narration.start_s), narration.focus_end_s)

    def _until(self, sound: Sound, narration: Narration) -> tuple[float, bool]:
        """When a sound ends that is heard in a narration, if it is not heard in the next; and whether that is known."""
        if self._patient or sound.end_s is None:
            return narration.end_s, False
        return min(max(sound.end_s, narration.focus_start_s), narration.end_s), True

    def _begin(self, sound: Sound, narration: Narration, onset_s: float) -> SoundEvent:
        event = SoundEvent(
            id=uuid4().hex[:12],
            source=self._source,
            label=sound.label,
            phase="began",
            onset_s=onset_s,
            end_s=None,
            confidence=sound.confidence,
            peak_confidence=sound.confidence,
            level_dbfs=sound.level_dbfs,
            direction=sound.direction,
            visible=sound.visible,
            urgent=includes(self._rules.urgent, sound.label),
            box=sound.box,
        )
        self._going[sound.label] = _Going(event, narration.focus_end_s, *self._until(sound, narration))
        return event

    def _prolong(self, going: _Going, sound: Sound, narration: Narration) -> SoundEvent:
        before = going.event
        going.heard_s, going.missed = narration.focus_end_s, 0
        going.end_s, going.is_end_known = self._until(sound, narration)
        going.event = replace(
            before,
            phase="continues",
            confidence=sound.confidence,
            peak_confidence=max(before.peak_confidence, sound.confidence),
            level_dbfs=max(before.level_dbfs, sound.level_dbfs),
            direction=sound.direction or before.direction,
            visible=before.visible if sound.visible is None else sound.visible,
            box=sound.box or before.box,
        )
        return going.event

    def _end(self, label: str) -> SoundEvent:
        going = self._going.pop(label)
        phase: Phase = "ended"
        return replace(going.event, phase=phase, end_s=max(going.end_s, going.event.onset_s))


def parse_thresholds(texts: Iterable[str]) -> dict[str, float]:
    """`dog_bark=0.7` -> {"dog_bark": 0.7}. Raises ConfigError."""
    found = {}
    for text in texts:
        label, _, number = text.partition("=")
        try:
            found[label] = float(number)
        except ValueError:
            raise ConfigError(repr(text), expected="LABEL=CONFIDENCE such as dog_bark=0.7") from None
    return found
