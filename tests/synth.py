"""Movies made on the spot, with known truth: a white square and a tone that begin and end together.

    path = make_movie(tmp_path / "a.mp4", tone=(2.0, 4.0), square=(2.0, 4.0))

By PyAV and numpy alone; codecs follow the container. Nothing here is random unless an `rng` is given.
"""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipelines.sounds.synthesis import synthesize

TONE_HZ = 880.0
TONE_LEVEL = 0.5
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
CODECS = {  # container -> (video codec or None, audio codec)
    "mp4": ("libx264", "aac"),
    "mov": ("libx264", "aac"),
    "mkv": ("libx264", "aac"),
    "ts": ("libx264", "aac"),
    "webm": ("libvpx", "libopus"),
    "avi": ("mpeg4", "libmp3lame"),
    "mp3": (None, "libmp3lame"),
    "wav": (None, "pcm_s16le"),
    "flac": (None, "flac"),
    "ogg": (None, "libopus"),
}
FAST = {"libx264": {"preset": "ultrafast", "g": "25"}, "libvpx": {"deadline": "realtime", "cpu-used": "8"}}


def make_movie(
    path: str | Path,
    *,
    duration_s: float = 6.0,
    size: tuple[int, int] = (320, 240),
    fps: int = 25,
    audio_rate: int = 44100,
    channels: int = 1,
    tone: tuple[float, float] | None = (2.0, 4.0),
    square: tuple[float, float] | None = (2.0, 4.0),
    video: bool = True,
    audio: bool = True,
    container: str | None = None,
    video_codec: str | None = None,
    audio_codec: str | None = None,
    rotation: int = 0,
    hflip: bool = False,
    frame_times: list[float] | None = None,
    video_start_s: float = 0.0,
    audio_start_s: float = 0.0,
    tone_channels: tuple[int, ...] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a movie and return its path.

    `tone` and `square` are (begin, end) in seconds of stream: an 880 Hz sine at half of full scale in
    `tone_channels` (None: all), and a white square in the upper left quarter of a dark gray picture.
    `container` and the codecs follow the file's extension unless given; `size` is (width, height) as stored.
    `rotation` (degrees counterclockwise) and `hflip` are written as a display matrix, for players to apply.
    `frame_times` (seconds) makes the frame rate variable. `video_start_s` and `audio_start_s` let a stream
    start late; its end stays at `duration_s`. `options` go to the muxer.
    """
    path = Path(path)
    kind = container or path.suffix.lstrip(".")
    default_video, default_audio = CODECS[kind]
    formats = {"mkv": "matroska", "ts": "mpegts"}
    with av.open(str(path), "w", format=formats.get(kind, kind), options=options or {}) as out:
        sources = []
        if video and default_video:
            stream = _video_stream(out, video_codec or default_video, size, fps, rotation, hflip)
            times = frame_times
            if times is None:
                count = round((duration_s - video_start_s) * fps)
                times = [video_start_s + k / fps for k in range(count)]
            sources.append((stream, _pictures(times, stream, size, square)))
        if audio:
            stream = out.add_stream(audio_codec or default_audio, rate=audio_rate, layout=LAYOUTS[channels])
            sound = tone_sound(duration_s, audio_rate, channels, tone, tone_channels)
            sources.append((stream, _sounds(sound, audio_rate, audio_start_s, stream)))
        _interleave(out, sources)
    return path


def tone_sound(
    duration_s: float,
    rate: int,
    channels: int = 1,
    tone: tuple[float, float] | None = (2.0, 4.0),
    tone_channels: tuple[int, ...] | None = None,
) -> np.ndarray:
    """The sound of `make_movie`: float32 (channels, n), silent but for the tone."""
    at = np.arange(round(duration_s * rate)) / rate
    wave = TONE_LEVEL * np.sin(2 * np.pi * TONE_HZ * at)
    wave *= (at >= tone[0]) & (at < tone[1]) if tone else 0
    sound = np.zeros((channels, at.size), np.float32)
    for channel in range(channels) if tone_channels is None else tone_channels:
        sound[channel] = wave
    return sound


def picture(time_s: float, size: tuple[int, int], square: tuple[float, float] | None) -> np.ndarray:
    """The picture of `make_movie` at a time: uint8 (height, width, 3)."""
    width, height = size
    rgb = np.full((height, width, 3), 32, np.uint8)
    if square and square[0] <= time_s + 1e-6 < square[1]:
        rgb[: height // 2, : width // 2] = 255
    return rgb


def damage(path: str | Path, out: str | Path, rng: np.random.Generator) -> Path:
    """Write a copy with 1 to 40 bytes changed at random, and maybe a stretch zeroed, cut out or cut off."""
    data = bytearray(Path(path).read_bytes())
    for place in rng.integers(0, len(data), rng.integers(1, 41)):
        data[place] = rng.integers(256)
    begin = int(rng.integers(len(data)))
    stretch = slice(begin, begin + int(rng.integers(1, 4096)))
    kind = rng.integers(6)
    if kind == 0:
        data[stretch] = bytes(len(data[stretch]))
    elif kind == 1:
        del data[stretch]
    elif kind == 2:
        del data[begin:]
    Path(out).write_bytes(data)
    return Path(out)


def _video_stream(out: Any, codec: str, size: tuple[int, int], fps: int, rotation: int, hflip: bool) -> Any:
    stream = out.add_stream(codec, rate=fps, options=FAST.get(codec, {}))
    stream.width, stream.height = size
    odd = size[0] % 2 or size[1] % 2
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv444p" if odd else "yuv420p"
    stream.codec_context.time_base = Fraction(1, 1000 if codec == "libvpx" else 90000)
    if codec in ("mpeg4", "mpeg2video"):
        stream.codec_context.time_base = Fraction(1, fps)
    stream.codec_context.thread_count = 1
    if rotation or hflip:
        stream.set_display_rotation(rotation, hflip=hflip)
    return stream


def _pictures(times: list[float], stream: Any, size: tuple[int, int], square: Any) -> Any:
    """(time, frame) pairs."""
    base = stream.codec_context.time_base
    for time_s in times:
        frame = av.VideoFrame.from_ndarray(picture(time_s, size, square), format="rgb24")
        frame.time_base, frame.pts = base, round(Fraction(time_s) / base)
        yield time_s, frame


def _sounds(sound: np.ndarray, rate: int, start_s: float, stream: Any) -> Any:
    """(time, frame) pairs of 20 ms."""
    step = rate // 50
    layout = LAYOUTS[sound.shape[0]]
    for begin in range(round(start_s * rate), sound.shape[1], step):
        piece = np.ascontiguousarray(sound[:, begin : begin + step])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        yield begin / rate, frame


def _interleave(out: Any, sources: list[tuple[Any, Any]]) -> None:
    """Encode and mux in order of time; the muxer sorts the packets that come out late."""
    heads = [(next(frames, None), stream, frames) for stream, frames in sources]
    while heads := [head for head in heads if head[0] is not None]:
        first = min(range(len(heads)), key=lambda k: heads[k][0][0])
        (_, frame), stream, frames = heads[first]
        out.mux(stream.encode(frame))
        heads[first] = (next(frames, None), stream, frames)
    for stream, _ in sources:
        out.mux(stream.encode(None))


def with_siren(movie: Path, path: Path, *, duration_s: float = 6.0) -> Path:
    """The movie with a siren from 2 to 4 s as its sound: of it a listener is sure, of a tone at some moments only."""
    rate_hz, raw = 16_000, path.with_suffix(".f32")
    sound = np.zeros(round(duration_s * rate_hz), np.float32)
    sound[2 * rate_hz : 4 * rate_hz] = synthesize("siren", 2.0, rate_hz, np.random.default_rng(5))
    sound.tofile(raw)
    inputs = ["-i", movie, "-f", "f32le", "-ar", rate_hz, "-ac", 1, "-i", raw]
    out = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", path]
    subprocess.run(["ffmpeg", "-v", "error", *map(str, [*inputs, *out])], check=True)
    return path
