"""The rendered movie: in sync, upright, with its own sound, and captions where and when they belong."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from avstream.errors import ConfigError, SinkError
from avstream.records import Narration, Sound, StreamInfo
from avstream.sinks.files import part_path
from avstream.sinks.video.sink import PLAIN_COLOR, VideoSink
from tests.synth import damage, make_movie
from tests.telling import tell

DOG = Sound("dog_bark", 0.97, True, (0.1, 0.1, 0.4, 0.5), "left", -20.0)
RAIN = Sound("rain", 0.9)
INFO = StreamInfo("a.mp4", 6.0, True, True)
FRAME_S = 1 / 25


def narration(start_s: float, end_s: float, *sounds: Sound, heatmap: np.ndarray | None = None) -> Narration:
    return Narration("a.mp4", 0, start_s, end_s, start_s, end_s, "text", sounds, -20.0, heatmap)


def render(movie: Path, out: Path, *narrations: Narration, **limits: float) -> Path:
    sink = VideoSink(movie, out, **limits)
    sink.open(INFO)
    tell(sink, *(narrations or [narration(k, k + 1) for k in range(6)]))
    sink.close()
    return out


def pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    """(seconds from the start of the movie, RGB) of every frame, as a player would turn it."""
    with av.open(str(path)) as container:
        origin_s = (container.start_time or 0) / 1e6
        return [(f.time - origin_s, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def onsets(path: Path) -> tuple[float, float]:
    """When the upper left becomes white, and when the sound becomes loud, in seconds."""
    flash = next(time_s for time_s, rgb in pictures(path) if rgb[20:60, 20:60].mean() > 200)
    with av.open(str(path)) as container:
        origin_s = (container.start_time or 0) / 1e6
        for frame in container.decode(audio=0):
            plain = av.AudioResampler("fltp", frame.layout, frame.sample_rate).resample(frame)[0]
            loud = np.nonzero(np.abs(plain.to_ndarray()).max(axis=0) > 0.1)[0]
            if loud.size:
                return flash, float(frame.time) - origin_s + loud[0] / frame.sample_rate
    raise AssertionError("no tone")


def coded_sound(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [hashlib.sha256(bytes(p)).hexdigest() for p in container.demux(audio=0) if p.size]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.mp4", {}),
        ("a.mkv", {"audio_codec": "libopus", "audio_rate": 48000}),
        ("a.webm", {"audio_rate": 48000}),
        ("a.mov", {"audio_codec": "pcm_s16le"}),
        ("a.avi", {}),
        ("a.ts", {}),
        ("a.mkv", {"audio_codec": "pcm_s16le", "audio_rate": 8000}),
        ("a.mkv", {"audio_codec": "ac3", "audio_rate": 48000, "channels": 6}),
        ("a.mp4", {"video_start_s": 1.0}),
        ("a.mp4", {"audio_start_s": 1.5}),
        ("a.mkv", {"audio_start_s": 1.5, "audio_codec": "mp2"}),
        ("a.ts", {"video_start_s": 1.0}),
        ("a.mp4", {"frame_times": [0.0, 0.04, 0.5, 0.9, 1.96, 2.0, 2.011, 3.5, 5.9]}),
    ],
)
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_sound_and_picture_stay_in_sync(tmp_path, name, make, kind):
    movie = make_movie(tmp_path / name, duration_s=4, tone=(2.0, 2.5), square=(2.0, 2.5), **make)
    out = render(movie, tmp_path / f"out.{kind}")
    before, after = onsets(movie), onsets(out)
    assert after == pytest.approx(before, abs=FRAME_S)
    assert after[1] - after[0] == pytest.approx(before[1] - before[0], abs=0.005)
    times, new_times = ([time_s for time_s, _ in pictures(path)] for path in (movie, out))
    assert np.subtract(new_times, new_times[0]) == pytest.approx(np.subtract(times, times[0]), abs=0.0021)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([name, out.name])


@pytest.mark.parametrize(
    ("name", "codec", "rate", "kind"),
    [("a.mp4", "aac", 44100, "mp4"), ("a.avi", "libmp3lame", 44100, "mp4"), ("a.mkv", "libopus", 48000, "mp4"),
     ("a.mkv", "flac", 44100, "mov"), ("a.mkv", "ac3", 48000, "mov"), ("a.mov", "pcm_s16le", 44100, "mkv")],
)  # fmt: skip
def test_sound_is_copied_as_it_is_where_the_container_can_carry_it(tmp_path, name, codec, rate, kind):
    movie = make_movie(tmp_path / name, audio_codec=codec, audio_rate=rate, channels=2)
    out = render(movie, tmp_path / f"out.{kind}")
    with av.open(str(out)) as container:
        found = container.streams.audio[0].codec_context.codec.canonical_name
    if (codec, kind) == ("flac", "mov"):
        assert found == "aac"  # the one that can't be carried
    else:
        assert found == codec.removeprefix("lib").replace("mp3lame", "mp3")
        assert coded_sound(out) == coded_sound(movie)


def test_captions_boxes_and_heat_are_there_when_it_sounds_and_only_then(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", size=(640, 360), square=None)
    heat = np.zeros((12, 16), np.float32)
    heat[3, 3] = 1
    shown = [narration(0, 2), narration(2, 3, DOG, heatmap=heat), narration(3, 4, RAIN), narration(4, 6)]
    for time_s, rgb in pictures(render(movie, tmp_path / "out.mp4", *shown)):
        caption, boxed = rgb[280:, 200:440], rgb[30:180, 60:260]
        assert (caption.max() > 200) == (1.99 < time_s < 3.99), time_s
        assert (boxed.max() > 120) == (1.99 < time_s < 2.99), time_s
        if not 1.99 < time_s < 3.99:
            assert rgb.astype(int).max() - rgb.min() < 12


def test_a_mark_begins_with_its_sound_and_stays_while_that_goes_on(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", size=(640, 360), square=None)
    shown = [narration(0, 2), narration(2, 3, replace(DOG, onset_s=2.6)), narration(3, 4, replace(DOG, onset_s=3.4))]
    out = render(movie, tmp_path / "out.mp4", *shown, narration(4, 6))
    seen = [time_s for time_s, rgb in pictures(out) if rgb[30:180, 60:260].max() > 120]
    assert (seen[0], seen[-1]) == pytest.approx((2.6, 3.96), abs=0.002)
    assert len(seen) == 35, "no pause between the windows"


def test_a_frame_on_the_edge_belongs_to_the_focus_that_begins(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", size=(640, 360), square=None)
    out = render(movie, tmp_path / "out.mp4", narration(0, 2), narration(2, 3, RAIN), narration(3, 6))
    seen = [time_s for time_s, rgb in pictures(out) if rgb[280:, 200:440].max() > 200]
    assert (seen[0], seen[-1]) == pytest.approx((2.0, 2.96), abs=0.002)


def test_nothing_is_lost_at_the_end(tmp_path):
    movie = make_movie(tmp_path / "a.mp4")
    out = render(movie, tmp_path / "out.mp4", narration(0, 3), narration(3, 5.9, RAIN))
    assert len(pictures(out)) == len(pictures(movie)) == 150
    assert coded_sound(out) == coded_sound(movie)


@pytest.mark.parametrize("turned", [0, 90, 180, -90])
def test_turned_movies_come_out_upright(tmp_path, turned):
    movie = make_movie(tmp_path / "a.mp4", duration_s=1, square=(0, 1), tone=None, rotation=turned)
    with av.open(str(render(movie, tmp_path / "out.mp4", narration(0, 1)))) as container:
        frame = next(container.decode(video=0))
        rgb = frame.to_ndarray(format="rgb24")
    assert frame.rotation == 0
    assert rgb.shape == ((240, 320, 3) if turned in (0, 180) else (320, 240, 3))
    light = np.argwhere(rgb.mean(axis=2) > 128).mean(axis=0) / rgb.shape[:2]
    where = {0: (0.25, 0.25), 90: (0.75, 0.25), 180: (0.75, 0.75), -90: (0.25, 0.75)}[turned]
    assert light == pytest.approx(where, abs=0.02)


def test_odd_sizes_are_padded_by_a_pixel(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", duration_s=1, size=(321, 239), square=(0, 1), tone=None)
    assert pictures(render(movie, tmp_path / "out.mp4", narration(0, 1, DOG)))[0][1].shape == (240, 322, 3)


def test_colors_stay(tmp_path):
    movie, size = tmp_path / "a.mkv", 64
    colors = np.array([[230, 20, 20], [20, 200, 30], [20, 30, 220], [200, 180, 40], [128, 128, 128]], np.uint8)
    rgb = np.repeat(np.repeat(colors[None], size, axis=0), size, axis=1)
    with av.open(str(movie), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height = rgb.shape[1], rgb.shape[0]
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode(None))
    out = pictures(render(movie, tmp_path / "out.mp4", narration(0, 1)))[-1][1]
    found = out[size // 2, size // 2 :: size].astype(int)
    assert np.abs(found - colors).max() <= 6


def test_a_player_sees_the_same_colors(tmp_path):
    ffmpeg = needs_ffmpeg()
    movie = make_movie(tmp_path / "a.mp4", duration_s=1, square=None, tone=None)
    shown = []
    for path in (movie, render(movie, tmp_path / "out.mp4", narration(0, 1, DOG))):
        command = [ffmpeg, "-v", "error", "-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        raw = subprocess.run(command, capture_output=True, check=True).stdout
        shown.append(np.frombuffer(raw, np.uint8).reshape(240, 320, 3).astype(int))
    assert np.abs(shown[0] - shown[1])[:10, 200:].max() <= 4
    assert np.ptp(shown[1][:60], axis=-1).max() > 100  # the box is yellow, not gray


def needs_ffmpeg() -> str:
    found = shutil.which("ffmpeg")
    if found is None:
        assert "CI" not in os.environ, "ffmpeg is missing"
        pytest.skip("ffmpeg is not installed")
    return found


@pytest.mark.parametrize("name", ["a.mp3", "a.wav", "a.flac", "a.ogg"])
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_sound_alone_gets_a_plain_picture_with_captions(tmp_path, name, kind):
    movie = make_movie(tmp_path / name, duration_s=3, audio_rate=48000)
    shown = narration(0, 2), narration(2, 3, RAIN)
    seen = pictures(render(movie, tmp_path / f"out.{kind}", *shown))
    assert len(seen) == pytest.approx(30, abs=1)
    for time_s, rgb in seen:
        assert np.abs(rgb[:100].astype(int) - PLAIN_COLOR).max() < 8
        assert (rgb.max() > 200) == (time_s > 1.95)
    assert coded_sound(tmp_path / f"out.{kind}")


def test_picture_alone(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", duration_s=2, audio=False)
    out = render(movie, tmp_path / "out.mp4", narration(0, 2))
    assert len(pictures(out)) == 50
    with av.open(str(out)) as container:
        assert not container.streams.audio


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_part_of_a_movie_starts_at_zero_and_is_in_sync(tmp_path, name, kind):
    movie = make_movie(tmp_path / name, tone=(3.5, 4), square=(3.52, 4))
    out = render(movie, tmp_path / f"out.{kind}", *[narration(k, k + 1) for k in (3, 4)], start_s=3.0, end_s=5.0)
    offset_s = onsets(movie)[0] - 3.52  # of the source's own: priming
    flash, tone = onsets(out)
    assert flash == pytest.approx(0.52 + offset_s, abs=FRAME_S + 1e-6)
    assert tone - flash == pytest.approx(-0.02, abs=FRAME_S / 2)
    times = [time_s for time_s, _ in pictures(out)]
    assert times[0] == pytest.approx(0, abs=FRAME_S) and len(times) == pytest.approx(50, abs=1)


def test_an_interrupted_run_leaves_what_was_narrated(tmp_path):
    movie = make_movie(tmp_path / "a.mp4")
    out = render(movie, tmp_path / "out.mp4", narration(0, 1), narration(1, 2, RAIN))
    times = [time_s for time_s, _ in pictures(out)]
    assert times[-1] == pytest.approx(2.2, abs=0.05)
    assert [each.name for each in tmp_path.iterdir() if each.name != "a.mp4"] == ["out.mp4"]
    with av.open(str(out)) as container:
        assert container.duration / 1e6 == pytest.approx(2.25, abs=0.1)


def test_it_goes_on_while_it_is_narrated(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", duration_s=20)
    sink, sizes = VideoSink(movie, tmp_path / "out.mp4"), []
    sink.open(INFO)
    for k in range(15):
        sink.write(narration(k, k + 1))
        sizes.append(part_path(tmp_path / "out.mp4").stat().st_size)
    assert not (tmp_path / "out.mp4").exists() and sizes[4] < sizes[9] < sizes[14]
    sink.close()
    sink.close()
    assert (tmp_path / "out.mp4").exists() and not part_path(tmp_path / "out.mp4").exists()


def test_without_narrations_there_is_no_file(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", duration_s=1)
    sink = VideoSink(movie, tmp_path / "out.mp4")
    sink.close()
    sink.open(INFO)
    sink.close()
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


def test_damaged_movies_are_rendered_as_far_as_they_go(tmp_path):
    movie = make_movie(tmp_path / "a.mkv", duration_s=4)
    rng = np.random.default_rng(0)
    for k in range(20):
        broken = damage(movie, tmp_path / f"{k}.mkv", rng)
        try:
            render(broken, tmp_path / "out.mp4", *[narration(k, k + 1, RAIN) for k in range(4)])
        except SinkError as error:
            assert "can't render" in str(error) and "\n" not in str(error)
    assert (tmp_path / "out.mp4").exists() and not part_path(tmp_path / "out.mp4").exists()


def test_outputs_that_cannot_be_are_refused_at_once(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", duration_s=1)
    (tmp_path / "link.mp4").symlink_to(movie)
    os.link(movie, tmp_path / "hard.mp4")
    os.link(movie, tmp_path / "out.part.mp4")
    for name in ("a.mp4", "link.mp4", "hard.mp4", "out.mp4", "../" + tmp_path.name + "/a.mp4"):
        with pytest.raises(ConfigError, match="overwrite the movie"):
            VideoSink(movie, tmp_path / name)
    for name in ("out.avi", "out"):
        with pytest.raises(ConfigError, match=r"\.mp4, \.m4v, \.mov, \.mkv"):
            VideoSink(movie, tmp_path / name)
    (tmp_path / "folder.mp4").mkdir()
    for name in ("missing/out.mp4", "a.mp4/out.mp4", "/proc/out.mp4", "folder.mp4"):
        with pytest.raises(SinkError, match="can't write"):
            VideoSink(movie, tmp_path / name)
    assert movie.stat().st_size > 1000


def test_a_movie_that_is_gone_is_reported(tmp_path):
    movie = make_movie(tmp_path / "a.mp4", duration_s=1)
    sink = VideoSink(movie, tmp_path / "out.mp4")
    movie.unlink()
    with pytest.raises(SinkError) as caught:
        sink.open(INFO)
    assert caught.value.found.startswith("can't render") and caught.value.fix == "check the name and the folder"
    sink.close()


RENDER = """
import os, resource, signal, sys
from avstream.errors import SinkError
from avstream.records import Narration, Sound, StreamInfo
from avstream.sinks.video.sink import VideoSink
from tests.telling import tell
movie, out, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    sink = VideoSink(movie, out)
    sink.open(StreamInfo("a", 20.0, True, True))
    rows = [Narration("a", k, k, k + 1, k, k + 1, "", (Sound("rain", 0.9),), -20.0) for k in range(12)]
    write = sink.write

    def narrate(narration):
        write(narration)
        if narration.index == 9 and not int(limit):
            os.kill(os.getpid(), signal.SIGKILL)

    sink.write = narrate
    tell(sink, *rows)
    sink.close()
except SinkError as error:
    print(error)
sink.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE and SIGKILL")
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
@pytest.mark.parametrize("limit", ["none", "half", "end"])
def test_a_full_disk_or_a_hard_kill_leaves_a_readable_part(tmp_path, kind, limit):
    movie, out = make_movie(tmp_path / "a.mp4", duration_s=12), tmp_path / f"out.{kind}"
    full = render(movie, tmp_path / f"full.{kind}", *[narration(k, k + 1, RAIN) for k in range(12)]).stat().st_size
    size = {"none": 0, "half": full // 2, "end": full - 50}[limit]  # the last: only the index does not fit
    command = [sys.executable, "-W", "error", "-c", RENDER, str(movie), str(out), str(size)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if size:
        assert "could not go on rendering" in ended.stdout and "out.part" in ended.stdout
        assert ended.stdout.count("\n") == 1 and ended.returncode == 0 and not ended.stderr
    else:
        assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    seen = pictures(part_path(out))
    assert seen[-1][0] > 1.9 and seen[0][1].max() > 200
    assert coded_sound(part_path(out))


def test_ffprobe_finds_an_ordinary_movie(tmp_path):
    needs_ffmpeg()
    movie = make_movie(tmp_path / "a.mp4", channels=2)
    out = render(movie, tmp_path / "out.mp4")
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(out)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    video, audio = found["streams"]
    assert (video["codec_name"], video["pix_fmt"], video["color_space"]) == ("h264", "yuv420p", "bt709")
    assert video["avg_frame_rate"] == "25/1" and audio["codec_name"] == "aac"
    assert float(found["format"]["duration"]) == pytest.approx(6.0, abs=0.05)
    assert boxes(out.read_bytes()) == ["ftyp", "free", "mdat", "moov"]  # plain, for players that know no fragments


def boxes(data: bytes) -> list[str]:
    found = []
    while data:
        found.append(data[4:8].decode())
        data = data[int.from_bytes(data[:4], "big") :]
    return found
