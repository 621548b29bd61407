"""SRT and WebVTT: the cues, and what a foreign reader makes of them."""

import errno
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from avstream.errors import SinkError
from avstream.records import Narration, Sound, SoundEvent, StreamInfo
from avstream.sinks.base import Sink
from avstream.sinks.captions import CaptionSink
from avstream.sinks.files import part_path
from avstream.vocabulary import HOME
from tests.telling import tell

INFO = StreamInfo("a.mp4", 10.0, True, True)
DOG = Sound("dog_bark", 0.9)
RAIN = Sound("rain", 0.9)


def narration(start_s: float, end_s: float, *sounds: Sound) -> Narration:
    return Narration("a.mp4", 0, start_s, end_s, start_s, end_s, "text", sounds, -20.0)


def written(path: Path, *narrations: Narration) -> str:
    sink = CaptionSink(path, "vtt" if path.suffix == ".vtt" else "srt")
    sink.open(INFO)
    tell(sink, *narrations)
    sink.close()
    return path.read_text(encoding="utf-8")


def needs_ffmpeg() -> str:
    found = shutil.which("ffmpeg")
    if found is None:
        assert "CI" not in os.environ, "ffmpeg is missing"
        pytest.skip("ffmpeg is not installed")
    return found


def test_srt(tmp_path):
    text = written(tmp_path / "a.srt", narration(0, 1.5, DOG), narration(3661.5, 3662.25, RAIN, DOG))
    assert text == (
        "1\n00:00:00,000 --> 00:00:01,500\n[dog barking]\n\n"
        "2\n01:01:01,500 --> 01:01:02,250\n[rain falling] [dog barking]\n\n"
    )


def test_vtt(tmp_path):
    text = written(tmp_path / "a.vtt", narration(0, 1.5, DOG), narration(1.5, 2, RAIN))
    assert text == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n[dog barking]\n\n00:00:01.500 --> 00:00:02.000\n[rain falling]\n"
    )


def test_a_sound_is_one_cue_as_sure_as_it_ever_was_and_silence_has_none(tmp_path):
    cues = written(
        tmp_path / "a.srt",
        narration(0, 2, DOG),
        narration(2, 3, Sound("dog_bark", 0.3, None, None, "left")),  # less sure, and from somewhere
        narration(3, 4),
        narration(4, 5, DOG),
        narration(5, 6, DOG, RAIN),
        narration(8, 9, DOG, RAIN),  # not a neighbor
        narration(9, 9, DOG),
    )
    times = re.findall(r"00:00:0(\d),000 --> 00:00:0(\d),000", cues)
    assert times == [("0", "3"), ("4", "5"), ("5", "6"), ("8", "9")]


def test_a_corrected_sound_has_one_cue_with_its_last_name(tmp_path):
    sink = CaptionSink(tmp_path / "a.srt", "srt")
    sink.open(INFO)
    guess = SoundEvent("e", "a.mp4", "knock", "began", 4.0, None, 0.6, 0.6, -20.0)
    for event, end_s in ((guess, 5), (replace(guess, label="bell", phase="updated", peak_confidence=0.9), 6)):
        sink.event(event)
        sink.write(Narration("a.mp4", 0, end_s - 3, end_s, end_s - 1, end_s, "", (), -20.0))
    sink.event(replace(guess, label="bell", phase="ended", end_s=6.0, peak_confidence=0.9))
    sink.close()
    assert (tmp_path / "a.srt").read_text() == "1\n00:00:04,000 --> 00:00:06,000\n[bell ringing]\n\n"


def test_a_silent_movie_gives_a_valid_file(tmp_path):
    assert written(tmp_path / "a.srt", narration(0, 5)) == ""
    assert written(tmp_path / "a.vtt", narration(0, 5)) == "WEBVTT\n"


def test_words_say_what_is_known_and_no_more_than_fits(tmp_path):
    unsure = Sound("dog_bark", 0.5, False, None, "left")
    text = written(
        tmp_path / "a.srt",
        narration(0, 1, unsure),
        narration(1, 2, unsure, *(Sound(label, 0.9) for label in HOME[3:9])),
    )
    assert "[probably dog barking, left, off-screen]" in text
    general = written(tmp_path / "b.srt", narration(0, 1, Sound("person", 0.6)), narration(1, 2, Sound("animal", 0.6)))
    assert "[probably someone making sounds]" in general and "[probably animal sounds]" in general
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")[2:]
        assert 1 <= len(lines) <= 2 and all(len(line) <= 42 for line in lines)


@pytest.mark.parametrize(
    ("sounds", "settings"),
    [
        ([Sound("rain", 0.9, True, (0.1, 0.2, 0.3, 0.7))], "position:20% align:left line:70% size:40%"),
        ([Sound("rain", 0.9, True, (0.8, 0.0, 1.0, 1.0))], "position:90% align:right line:85% size:40%"),
        ([Sound("rain", 0.9, True, (0.4, 0.1, 0.6, 0.5))], "position:50% align:center line:50% size:40%"),
        ([Sound("rain", 0.9, True, (-1.0, -1.0, 0.0, -0.5))], "position:10% align:left line:0% size:40%"),
        ([Sound("rain", 0.9, None, None, "left")], "position:10% align:left line:85% size:40%"),
        ([Sound("rain", 0.9, None, None, "right")], "position:90% align:right line:85% size:40%"),
        ([Sound("rain", 0.9, None, None, "center")], ""),
        ([Sound("rain", 0.9, None, None, "left"), DOG], "position:10% align:left line:85% size:65%"),
        ([Sound("rain", 0.9, None, None, "left"), Sound("bell", 0.9, None, None, "right")], ""),
    ],
)
def test_vtt_cues_stand_where_the_sound_is(tmp_path, sounds, settings):
    timing = written(tmp_path / "a.vtt", narration(0, 1, *sounds)).split("\n")[2]
    assert timing == f"00:00:00.000 --> 00:00:01.000 {settings}".strip()


def test_a_trembling_box_is_one_cue(tmp_path):
    boxes = [(0.10, 0.2, 0.30, 0.70), (0.11, 0.2, 0.32, 0.71), (0.09, 0.2, 0.3, 0.69)]
    rows = [narration(k, k + 1, Sound("rain", 0.9, True, box)) for k, box in enumerate(boxes)]
    assert written(tmp_path / "a.vtt", *rows).count("-->") == 1


def test_vtt_is_escaped(tmp_path, monkeypatch):
    monkeypatch.setattr("avstream.sinks.captions.fit_caption", lambda sounds: ("<b> & -->",) if sounds else ())
    assert "&lt;b&gt; &amp; --&gt;" in written(tmp_path / "a.vtt", narration(0, 1, DOG))


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_the_file_is_valid_after_every_write_and_named_when_complete(tmp_path, format):
    ffmpeg, path = needs_ffmpeg(), tmp_path / f"Kätzchen & co.{format}"
    sink = CaptionSink(path, format)
    assert not list(tmp_path.iterdir())
    sink.open(INFO)
    seen = []

    class Watched(Sink):
        event = sink.event

        def write(self, narration):
            sink.write(narration)
            assert not path.exists()
            if narration.start_s > 2:
                seen.append(foreign_cues(ffmpeg, part_path(path)))

    tell(Watched(), *(narration(k, k + 1, DOG if k % 2 else RAIN) for k in range(6)))
    assert seen == [2, 3, 4], "each is written one window after it ended"
    sink.close()
    assert foreign_cues(ffmpeg, path) == 6
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    sink.close()


def foreign_cues(ffmpeg: str, path: Path) -> int:
    command = [ffmpeg, "-v", "error", "-i", str(path), "-f", "srt", "-"]
    out = subprocess.run(command, capture_output=True, check=True, text=True, encoding="utf-8")
    assert not out.stderr
    return out.stdout.count("-->")


def test_ffmpeg_reads_the_same_times_and_words(tmp_path):
    ffmpeg = needs_ffmpeg()
    rows = [narration(0.25, 1.5, DOG), narration(1.5, 3.75, Sound("rain", 0.9, True, (0.1, 0.2, 0.3, 0.7)))]
    for name in ("a.srt", "a.vtt"):
        written(tmp_path / name, *rows)
        command = [ffmpeg, "-v", "error", "-i", str(tmp_path / name), "-f", "srt", "-"]
        out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        assert re.findall(r"(\S+) --> (\S+)\n(.*)", out) == [
            ("00:00:00,250", "00:00:01,500", "[dog barking]"),
            ("00:00:01,500", "00:00:03,750", "[rain falling]"),
        ]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("missing/a.srt", "is not there"),
        ("file/a.srt", "is not a folder"),
        ("folder", "it is a folder"),
        ("/proc/a.srt", "name a place that you can write to"),
        ("a" * 250 + ".srt", "file name too long"),
        ("a\0.srt", "name a place that you can write to"),
    ],
)
def test_places_that_cannot_be_written_are_refused_at_once(tmp_path, where, why):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(SinkError, match=why) as caught:
        CaptionSink(tmp_path / where, "srt")
    assert "\n" not in str(caught.value) and "can't write" in str(caught.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_an_earlier_output_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("old")
    sink = CaptionSink(path, "srt")
    sink.open(INFO)
    tell(sink, narration(0, 1, DOG))
    assert path.read_text() == "old"
    sink.close()
    assert "dog barking" in path.read_text()


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link.srt").symlink_to(tmp_path / "real.srt")
    written(tmp_path / "link.srt", narration(0, 1, DOG))
    assert (tmp_path / "link.srt").is_symlink() and "dog" in (tmp_path / "real.srt").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_reported_in_one_line():
    sink = CaptionSink("/dev/full", "vtt")
    with pytest.raises(SinkError, match="the disk is full"):
        sink.open(INFO)
    sink.close()
    assert not Path("/dev/full.part").exists()


FILL_UP = """
import resource, sys
from avstream.errors import SinkError
from avstream.records import Narration, Sound, StreamInfo
from avstream.sinks.captions import CaptionSink
from tests.telling import tell
sink = CaptionSink(sys.argv[1], "srt")
sink.open(StreamInfo("a", 10.0, True, True))
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
try:
    rows = [Narration("a", k, k, k + 1, k, k + 1, "", (Sound(("rain", "bell")[k % 2], 0.9),), -20.0) for k in range(20)]
    tell(sink, *rows)
except SinkError as error:
    print(error)
sink.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_disk_that_fills_up_keeps_complete_cues(tmp_path):
    path = tmp_path / "a.srt"
    command = [sys.executable, "-W", "error", "-c", FILL_UP, str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "could not go on writing" in out.stdout and str(path) in out.stdout and "is kept" in out.stdout
    assert not out.stderr
    text = path.read_text()
    assert text.count("-->") >= 3 and len(text) <= 200 and text.endswith("]\n\n")


def test_errors_have_reasons():
    from avstream.sinks.files import why

    assert why(OSError(errno.ENOSPC, "No space left on device")) == "the disk is full"
    assert why(OSError(errno.EROFS, "Read-only file system")) == "read-only file system"
