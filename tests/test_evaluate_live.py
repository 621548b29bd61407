"""What counts as the right name, in the terminal's lines and in a stream's events."""

import json

import pytest

from avstream import vocabulary
from avstream.records import Sound
from avstream.wording import sentence
from pipelines.evaluate_live import Played, note_events, report, says


@pytest.mark.parametrize("confidence", [0.4, 0.7, 0.9])
def test_a_line_names_each_sound_by_its_own_words(confidence):
    def line(label):
        return f"14:03:22  {sentence([Sound(label, confidence)])} (left)  -23 dBFS".lower()

    assert [label for label in vocabulary.HOME if not says(line(label), label)] == []
    assert not says(line("dog_bark"), "cow") and not says(line("other"), "cow")
    assert not says("14:03:22  silence", "cow") and not says("listening to cow; ctrl-c ends it", "cow")


def test_an_event_is_right_when_it_was_never_wrong_and_got_a_name(tmp_path):
    rows = [
        ("a", "other", "began", 1.5), ("a", "baby_cry", "updated", 1.5), ("a", "baby_cry", "ended", 1.5),
        ("b", "person", "began", 2.5), ("c", "knock", "began", 11.2), ("c", "dog_bark", "updated", 11.2),
        ("d", "other", "began", 12.0),
    ]  # fmt: skip
    lines = [json.dumps({"event": dict(id=i, label=label, phase=p, onset_s=s)}) for i, label, p, s in rows]
    (tmp_path / "live.jsonl").write_text("\n".join([*lines, json.dumps({"end_s": 3.0})]))
    cry, bark = Played("baby_cry", "a.ogg", 101.0, delay_s=0.5), Played("dog_bark", "b.ogg", 111.0)
    note_events([cry, bark], tmp_path / "live.jsonl", 100.0)
    assert cry.events == {"a": ["other", "baby_cry"], "b": ["person"]} and cry.wrong == []
    assert bark.events == {"c": ["knock", "dog_bark"], "d": ["other"]} and bark.wrong == ["c", "d"]
    found = report([cry, bark])
    assert (found["events"], found["wrong"], found["named"]) == (4, 2, 1)
