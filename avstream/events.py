"""Narrations -> sound events that begin, go on and end. Pure: no files, no clock but the narrations' own.

A label begins at its threshold and goes on down to STAY of it, so that a sound that wavers is one event; it ends
when it was missed in two narrations and for GAP_S, so that none sticks however fast or slow narrations come.

An event's onset is the listener's own, where it knows it. Else: windows overlap, what is heard in one and was not in
the one before is in its newest part, so the onset is where the window before ended. It ended where the first window
without it starts, or, when that one found nothing to listen to (silence), where that one's focus does; in a movie at
the listener's own end, where it knows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from uuid import uuid4

from avstream import wording
from avstream.errors import ConfigError
from avstream.level import SILENCE_DBFS
from avstream.records import Narration, Sound, SoundEvent
from avstream.vocabulary import PARENTS, ancestors, covered, includes, known, unknown

UNNAMED, GENERAL, NAMED = range(3)  # how much a label says
BEGIN, BEGIN_EARLY = 0.7, wording.LIKELY  # what is less sure is narrated, but starts no event
SURE_GENERAL = 0.9  # live: of held-out recordings' general words 94 % are right from there on, 61 % from 0.8 to 0.9
STAY = 0.6
GAP_S = 2.0
LOST_S = 5.0  # without sound to listen to, until what sounded before has ended
MISSES = 2
CORRECT_S = 4.0  # after its onset, live, an event may still turn out to be another sound
UNNAMED_S = 4.0  # live, until a sound without a name, or with an unsure general one, is an event


@dataclass(slots=True)
class Rules:
    """What one stream is to speak of. May be changed while it runs, from any thread: every change is one step.

    An event of a label begins at its confidence in `thresholds`, else at `begin`: live at BEGIN, for a movie, whose
    reader can look at the confidence, at any; of what is `urgent`, or has no name, at BEGIN_EARLY at the latest. For a
    label that has a threshold, what is below STAY of it is not narrated either. A label stands for its kinds, too:
    `alarm` for smoke and fire alarms. Raises ConfigError for an unknown label or a threshold outside 0..1.
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
        early = label == wording.OTHER or includes(self.urgent, label)
        return self._threshold(label, min(self.begin, BEGIN_EARLY) if early else self.begin)

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
            self.end_s = min(self.end_s, max(gone_s, self.event.onset_s + shortest_s))
        self.missed += 1


@dataclass(frozen=True, slots=True)
class _Held:
    """A sound without a name that is not reported yet: its onset, and the ends of the first and the last narration of
    it. It may pause, as beeps do.
    """

    onset_s: float
    first_end_s: float
    last_end_s: float


class EventTracker:
    """The events of one stream.

    One that `corrects`, as live, where nobody can wait for the end of a sound, reports a beginning before its name is
    certain: when what was unsure, or had no name or a general one, turns out to be something else within CORRECT_S,
    the same event gets that name (`updated`). A sound without a name is held for UNNAMED_S first, and so is one with an
    unsure general word; what the user called urgent never is, and stays urgent.
    """

    def __init__(self, source: str, rules: Rules, *, corrects: bool = False) -> None:
        self._source, self._rules, self._corrects = source, rules, corrects
        self._going: dict[str, _Going] = {}
        self._held: _Held | None = None
        self._known_s: float | None = None  # the end of the window before

    def update(self, narration: Narration) -> list[SoundEvent]:
        """What became of events with one more narration (`Rules.applied` to it): first what ended."""
        out = [self._end(label) for label in list(self._going) if includes(self._rules.muted, label)]
        sounds = {sound.label: sound for sound in map(self._relabeled, narration.sounds)}
        missing = []
        for label, going in self._going.items():
            sound = sounds.pop(label, None)
            if sound is not None and sound.confidence >= STAY * self._rules.begins_at(label):
                out.append(self._prolong(going, sound, narration))
            else:
                missing.append(going)
        fresh = sorted(sounds.values(), key=lambda sound: (_detail(sound.label), sound.confidence), reverse=True)
        if self._corrects:
            out += self._correct(fresh, missing, narration)
        fresh = [sound for sound in fresh if sound.confidence >= self._rules.begins_at(sound.label)]
        for going in missing:
            going.miss(narration)
            if going.missed >= MISSES and narration.focus_end_s - going.heard_s >= GAP_S:
                out.append(self._end(going.event.label))
        out += self._begin_all(fresh, narration)
        self._known_s = narration.end_s
        return sorted(out, key=lambda event: event.phase != "ended")

    def miss(self, now_s: float) -> list[SoundEvent]:
        """There was no sound to listen to: nobody knows what goes on, but what was not heard for LOST_S has ended."""
        lost = [label for label, going in self._going.items() if now_s - going.heard_s >= LOST_S]
        return [self._end(label) for label in lost]

    def finish(self) -> list[SoundEvent]:
        """The end of the stream: whatever goes on ends."""
        self._held = None
        return [self._end(label) for label in list(self._going)]

    def _relabeled(self, sound: Sound) -> Sound:
        """Live, a sound with an unsure general word counts as one without a name, because such words are often wrong.
        It keeps the word if an event of it, or of a kind of it, goes on, or if the user set that word as urgent or gave
        it a threshold.
        """
        label, rules = sound.label, self._rules
        if not self._corrects or label not in PARENTS or sound.confidence >= SURE_GENERAL:
            return sound
        if includes(rules.urgent, label) or includes(rules.thresholds, label):
            return sound
        goes_on = any(label == going or label in covered(going) for going in self._going)
        return sound if goes_on else replace(sound, label=wording.OTHER)

    def _correct(self, fresh: list[Sound], missing: list[_Going], narration: Narration) -> list[SoundEvent]:
        """Take from `missing` the events whose sound goes on under another name, and from `fresh` these names."""
        out = []
        for sound in list(fresh):
            going = next((one for one in missing if self._is_same(one.event, sound, narration.end_s)), None)
            if going is None:
                continue
            missing.remove(going)
            fresh.remove(sound)
            if sound.label not in covered(going.event.label):
                out.append(self._rename(going, sound, narration))
            else:  # heard less well than before: a dog is an animal still
                out.append(self._prolong(going, replace(sound, confidence=going.event.confidence), narration))
        return out

    def _is_same(self, event: SoundEvent, sound: Sound, now_s: float) -> bool:
        """Whether an event that was not heard under its name is most likely the sound that is heard now."""
        begins_at = self._rules.begins_at(sound.label)
        if sound.label in covered(event.label):
            return sound.confidence >= STAY * begins_at
        if sound.confidence < begins_at:
            return False
        reported_after_s = UNNAMED_S if _detail(event.label) == UNNAMED else 0.0
        if now_s - event.onset_s > reported_after_s + CORRECT_S:
            return False
        if event.urgent and not includes(self._rules.urgent, sound.label):
            return False
        is_unsure = _detail(event.label) < NAMED or event.peak_confidence < wording.SURE
        return is_unsure and _detail(sound.label) >= _detail(event.label)

    def _rename(self, going: _Going, sound: Sound, narration: Narration) -> SoundEvent:
        """The same event by its better name."""
        del self._going[going.event.label]
        self._going[sound.label] = going
        urgent = includes(self._rules.urgent, sound.label)
        going.event = replace(going.event, label=sound.label, peak_confidence=sound.confidence, urgent=urgent)
        self._prolong(going, sound, narration)
        going.event = replace(going.event, phase="updated")
        return going.event

    def _begin_all(self, fresh: Iterable[Sound], narration: Narration) -> list[SoundEvent]:
        """Begin an event of each, best known first, or hold it. A name is also given to what was held just before."""
        before_s = narration.start_s if self._known_s is None else max(narration.start_s, self._known_s)
        held = self._held
        if held is not None and narration.end_s - held.last_end_s > GAP_S:
            held = None
        out = []
        for sound in fresh:
            if self._is_part(sound.label):
                continue
            onset_s = self._since(sound, narration, before_s)
            if held is not None and (sound.label == wording.OTHER or held.last_end_s == self._known_s):
                onset_s = min(onset_s, held.onset_s)
            if self._is_held(sound):
                first_end_s = narration.end_s if held is None else held.first_end_s
                if narration.end_s - first_end_s < UNNAMED_S - 1e-3:
                    held = _Held(onset_s, first_end_s, narration.end_s)
                    continue
            out.append(self._begin(sound, narration, onset_s))
            held = None
        lasts = not narration.sounds or (held is not None and held.last_end_s == narration.end_s)  # silence is a pause
        self._held = held if lasts and not self._going else None
        return out

    def _is_part(self, label: str) -> bool:
        """Whether what is heard is most likely part of what goes on: it has no name, or live only a general one that
        nobody called urgent.
        """
        detail = _detail(label)
        if detail == NAMED or (detail == GENERAL and (not self._corrects or includes(self._rules.urgent, label))):
            return False
        return any(_detail(going) >= detail for going in self._going)

    def _is_held(self, sound: Sound) -> bool:
        """Whether a beginning waits, in case a name comes."""
        return self._corrects and sound.label == wording.OTHER and not includes(self._rules.urgent, sound.label)

    def _since(self, sound: Sound, narration: Narration, before_s: float) -> float:
        """When a sound began that is new in a narration; the window before ended at `before_s`."""
        if sound.onset_s is None:
            return before_s
        return min(max(sound.onset_s, narration.start_s), narration.focus_end_s)

    def _until(self, sound: Sound, narration: Narration) -> tuple[float, bool]:
        """When a sound ends that is heard in a narration, if it is not heard in the next; and whether that is known."""
        if self._corrects or sound.end_s is None:
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
        return replace(going.event, phase="ended", end_s=max(going.end_s, going.event.onset_s))


def _detail(label: str) -> int:
    """How much a label says."""
    if label == wording.OTHER:
        return UNNAMED
    return GENERAL if label in PARENTS else NAMED


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
