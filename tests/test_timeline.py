"""Events -> what sounds when: in order, nothing twice, and nothing changed afterwards, whatever the events were."""

import random

import pytest

from avstream.events import EventTracker, Rules
from avstream.records import Narration, Sound
from avstream.sinks.timeline import Timeline


def play(script):
    """The timeline's changes as (time, labels), and all events, of a script: labels a narration."""
    timeline, tracker = Timeline(), EventTracker("yard", Rules())
    events, changes = {}, []

    def take(news):
        for event in news:
            timeline.event(event)
            events[event.id] = event

    def note(found):
        for time_s, ids in found:
            assert time_s < timeline.settled_s
            changes.append((time_s, {sound.label for sound in timeline.sounds(ids)}))

    for k, labels in enumerate(script):
        sounds = tuple(Sound(label, 0.9) for label in labels)
        narration = Narration("yard", k, k, k + 3, k + 1, k + 2, "", sounds, -20.0)
        take(tracker.update(narration))
        note(timeline.settle(narration))
        assert timeline.settled_s >= k - 4, "it is not far behind"
    take(tracker.finish())
    note(timeline.finish())
    return changes, list(events.values())


def test_a_sound_with_a_dip_is_one_stretch():
    changes, _ = play([[], ["rain"], ["rain"], [], ["rain"], ["rain"], [], [], [], []])
    assert changes == [(3.0, {"rain"}), (6.0, set())]


def test_what_begins_and_ends_in_another_sound_splits_it():
    changes, _ = play([["rain"]] * 3 + [["rain", "bell"]] * 4 + [["rain"]] * 5)
    assert changes == [(0.0, {"rain"}), (5.0, {"rain", "bell"}), (7.0, {"rain"}), (14.0, set())]


@pytest.mark.parametrize("seed", range(40))
def test_at_every_time_it_has_the_events_that_go_on(seed):
    rng = random.Random(seed)
    labels = ["rain", "bell", "siren"]
    script = [[label for label in labels if rng.random() < (0.3, 0.7)[seed % 2]] for _ in range(50)]
    changes, events = play(script)
    assert [time_s for time_s, _ in changes] == sorted({time_s for time_s, _ in changes})
    for time_s in [k / 2 for k in range(110)]:
        going = {event.label for event in events if event.onset_s <= time_s < event.end_s}
        shown = next((labels for at_s, labels in reversed(changes) if at_s <= time_s), set())
        assert shown == going, time_s
    assert not changes or changes[-1][1] == set()
