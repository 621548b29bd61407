"""The table of events: what a spreadsheet reads, in order, with a box where there is one."""

import csv
from dataclasses import replace

from avstream.records import Narration, Sound, StreamInfo
from avstream.sinks.files import part_path
from avstream.sinks.table import COLUMNS, EventTableSink
from tests.telling import began, tell

INFO = StreamInfo('a, "b".mp4', 20.0, True, True)
DOG = Sound("dog_bark", 0.91234, True, (0.1, 0.2, 0.3, 0.4), "left", -20.0)
RAIN = Sound("rain", 0.4, level_dbfs=-30.0)


def narration(k, *sounds):
    return Narration(INFO.name, k, k, k + 1, k, k + 1, "", sounds, -20.0)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_a_sound_in_order_of_onsets(tmp_path):
    sink = EventTableSink(tmp_path / "a.csv")
    with sink:
        sink.open(INFO)
        tell(sink, narration(0), narration(1, RAIN), narration(2, RAIN, DOG), narration(3, RAIN), narration(4, DOG))
    found = rows(tmp_path / "a.csv")
    assert tuple(found[0]) == COLUMNS
    assert [(row["label"], float(row["onset_s"]), float(row["end_s"])) for row in found] == [
        ("rain", 1, 4),
        ("dog_bark", 2, 3),
        ("dog_bark", 4, 5),
    ]
    rain, dog = found[:2]
    assert dog["source"] == INFO.name and dog["confidence"] == "0.9123" and dog["direction"] == "left"
    assert [dog[side] for side in COLUMNS[-4:]] == ["0.1", "0.2", "0.3", "0.4"] and dog["visible"] == "yes"
    assert [rain[side] for side in COLUMNS[-4:]] == [""] * 4 and rain["visible"] == rain["direction"] == ""


def test_rows_are_written_as_soon_as_their_order_is_known(tmp_path):
    path = tmp_path / "a.csv"
    sink = EventTableSink(path)
    sink.open(INFO)
    rain, dog, late = began(narration(1), RAIN), began(narration(2), DOG), began(narration(5), DOG)
    for event in (rain, dog, late, replace(dog, phase="ended", end_s=3.0)):
        sink.event(event)
    assert not rows(part_path(path)) and not path.exists()
    sink.event(replace(rain, phase="ended", end_s=4.0))
    assert [row["label"] for row in rows(part_path(path))] == ["rain", "dog_bark"]
    sink.close()
    sink.close()
    assert len(rows(path)) == 2, "what goes on for ever has no end to write"


def test_silence_is_a_table_without_rows(tmp_path):
    with EventTableSink(tmp_path / "a.csv") as sink:
        sink.open(INFO)
        tell(sink, narration(0), narration(1))
    assert (tmp_path / "a.csv").read_text() == ",".join(COLUMNS) + "\n"
