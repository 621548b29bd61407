"""The windower: piecewise equals one piece, foci tile, nothing is lost, memory is bounded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from avstream.errors import ConfigError, SourceError
from avstream.records import AudioChunk, MotionFrame, VideoFrame, Watermark, Window
from avstream.windows import Windower

RATE = 8000


def noise(seconds: float, rate: int = RATE, channels: int = 2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((channels, round(seconds * rate))).astype(np.float32) + 3.0  # never zero by chance


def chunks(sound: np.ndarray, sizes: list[int] | int, rate: int = RATE, start_s: float = 0.0) -> list[AudioChunk]:
    cuts = [0]
    while cuts[-1] < sound.shape[1]:
        size = sizes if isinstance(sizes, int) else sizes[(len(cuts) - 1) % len(sizes)]
        cuts.append(min(sound.shape[1], cuts[-1] + size))
    return [AudioChunk(start_s + a / rate, rate, sound[:, a:b]) for a, b in pairwise(cuts)]


def pictures(seconds: float, fps: float = 2.0, start_s: float = 0.0) -> list[VideoFrame]:
    count = int(np.ceil(seconds * fps - 1e-9))
    return [VideoFrame(start_s + k / fps, np.full((2, 2, 3), k % 256, np.uint8)) for k in range(count)]


def run(items, *, end_s: float | None = None, has_audio: bool = True, has_video: bool = True, **options):
    windower = Windower(has_audio=has_audio, has_video=has_video, **options)
    found = [window for item in items for window in windower.push(item)]
    return found + windower.finish(end_s)


def in_order(*streams):
    def time_of(item):
        return item.time_s if isinstance(item, VideoFrame) else item.start_s

    return sorted((item for stream in streams for item in stream), key=time_of)


def shuffled(sound, frames, rng, reach_s: float):
    """Both streams in order, one up to `reach_s` ahead of the other."""

    def key(item):
        time_s = item.time_s if isinstance(item, VideoFrame) else item.start_s + item.samples.shape[1] / RATE
        return time_s + rng.uniform(0, reach_s)

    keys = [np.maximum.accumulate([key(item) for item in stream]) for stream in (sound, frames)]
    pairs = [(k, n, item) for n, stream in enumerate((sound, frames)) for k, item in zip(keys[n], stream, strict=True)]
    return [item for _, _, item in sorted(pairs, key=lambda pair: pair[:2])]


def same(a: list[Window], b: list[Window]) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        for name in ("index", "start_s", "end_s", "focus_start_s", "focus_end_s", "rate_hz", "gap_s"):
            assert getattr(one, name) == getattr(other, name), name
        assert one.audio.dtype == np.float32
        assert np.array_equal(one.audio, other.audio)
        assert [f.time_s for f in one.frames] == [f.time_s for f in other.frames]
        assert all(x.rgb is y.rgb for x, y in zip(one.frames, other.frames, strict=True))


def check_tiling(windows: list[Window], start_s: float, end_s: float, hop_s: float, window_s: float) -> None:
    assert windows[0].start_s == windows[0].focus_start_s == start_s
    assert windows[-1].end_s == windows[-1].focus_end_s == pytest.approx(end_s, abs=1 / RATE)
    for k, window in enumerate(windows):
        assert window.index == k
        assert window.start_s == pytest.approx(start_s + k * hop_s, abs=1e-9)
        assert window.start_s <= window.focus_start_s < window.focus_end_s <= window.end_s
        assert window.audio.shape[1] == round((window.end_s - window.start_s) * window.rate_hz)
    for one, other in pairwise(windows):
        assert one.focus_end_s == other.focus_start_s
        assert one.end_s - one.start_s == pytest.approx(window_s)
        assert other.end_s > one.end_s


def rebuilt(windows: list[Window], start_s: float = 0.0) -> np.ndarray:
    """The input from the parts of the windows that do not overlap."""
    parts, done = [], 0
    for window in windows:
        first = round((window.start_s - start_s) * window.rate_hz)
        parts.append(window.audio[:, done - first :])
        done = first + window.audio.shape[1]
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("window_s, hop_s", [(3.0, 1.0), (3.0, 3.0), (2.0, 0.3), (1.0, 1 / 3), (2.5, 1.7)])
@pytest.mark.parametrize("length_s", [0.4, 3.0, 6.0, 9.37, 12.000125])
@pytest.mark.parametrize("start_s", [0.0, 12.345])
def test_windows_tile_and_lose_nothing(window_s, hop_s, length_s, start_s):
    sound = noise(length_s)
    items = in_order(chunks(sound, 441, start_s=start_s), pictures(length_s, start_s=start_s))
    windows = run(items, window_s=window_s, hop_s=hop_s, start_s=start_s)
    check_tiling(windows, start_s, start_s + length_s, hop_s, window_s)
    assert np.array_equal(rebuilt(windows, start_s), sound)
    assert all(window.gap_s == 0 for window in windows)
    for window in windows:
        want = [f.time_s for f in items if isinstance(f, VideoFrame) and window.start_s <= f.time_s < window.end_s]
        assert [f.time_s for f in window.frames] == want


@pytest.mark.parametrize("seed", range(12))
def test_piecewise_equals_one_piece(seed):
    rng = np.random.default_rng(seed)
    sound, frames = noise(15.3, seed=seed), pictures(15.3)
    single = [AudioChunk(0.0, RATE, sound)]
    want = run(frames + single, wait_s=100.0)
    pieces = chunks(sound, [int(n) for n in rng.integers(1, 4000, 50)])
    same(run(shuffled(pieces, frames, rng, reach_s=4.0)), want)


def test_piecewise_equals_one_piece_over_holes_and_overlaps():
    rng = np.random.default_rng(5)
    sound = noise(8.0)
    starts = [0.3, 1.31, 2.25, 4.0, 4.9, 5.93, 7.5, 8.2]  # jitter, a small overlap, holes, a large overlap
    single = [AudioChunk(s, RATE, sound[:, k * RATE : (k + 1) * RATE]) for k, s in enumerate(starts)]
    pieces = []
    for chunk in single:
        pieces += chunks(chunk.samples, [int(n) for n in rng.integers(1, 900, 20)], start_s=chunk.start_s)
    want = run(single, has_video=False)
    assert sum(window.gap_s for window in want) > 1
    same(run(pieces, has_video=False), want)


@pytest.mark.parametrize(("length_s", "ends"), [(3.003, [3.003]), (3.1, [3.1]), (3.2, [3.0, 3.2]), (4.05, [3.0, 4.05])])
def test_a_remainder_too_short_to_say_anything_belongs_to_the_last_window(length_s, ends):
    windows = run(in_order(chunks(noise(length_s), 441), pictures(length_s)))
    assert [window.end_s for window in windows] == pytest.approx(ends)
    check_tiling(windows, 0.0, length_s, 1.0, 3.0)


def test_a_window_leaves_as_soon_as_sound_has_passed_its_end():
    windower = Windower(has_audio=True, has_video=False)
    sound = noise(5.0)
    assert windower.push(AudioChunk(0.0, RATE, sound[:, : 3 * RATE])) == []
    (window,) = windower.push(AudioChunk(3.0, RATE, sound[:, 3 * RATE : 3 * RATE + RATE // 10 + 1]))
    assert (window.start_s, window.end_s, window.focus_start_s, window.focus_end_s) == (0.0, 3.0, 0.0, 2.0)
    live = Windower(has_audio=True, has_video=True, wait_s=0.0)
    assert len(live.push(AudioChunk(0.0, RATE, sound[:, : 3 * RATE + RATE // 10 + 1]))) == 1


def test_no_drift_over_hours():
    windower = Windower(3.0, 0.1, start_s=0.0, has_audio=True, has_video=False)
    rate, ramp = 11025, np.zeros((1, 11025), np.float32)
    windows = []
    for second in range(3700):
        ramp = np.full((1, rate), second, np.float32)
        windows = windower.push(AudioChunk(second * 1.0, rate, ramp)) or windows
    last = windows[-1]
    assert last.start_s == pytest.approx(last.index * 0.1, abs=1e-9)
    first = int(np.floor(last.index * rate / 10 + 0.5))
    assert np.array_equal(last.audio[0], np.arange(first, first + 3 * rate) // rate)


def test_memory_is_bounded_over_three_hours():
    windower = Windower(has_audio=True, has_video=True)
    most = count = 0
    sound = np.zeros((1, RATE), np.float32)
    for second in range(3 * 3600):
        count += len(windower.push(VideoFrame(float(second), np.zeros((1, 1, 3), np.uint8))))
        count += len(windower.push(AudioChunk(float(second), RATE, sound)))
        most = max(most, len(windower._frames) + len(windower._sound._pieces))
    assert most <= 2 * 9
    assert count + len(windower.finish()) == 3 * 3600 - 2


@pytest.mark.parametrize("audio_s, video_s", [(4.0, 60.0), (60.0, 4.0), (0.0, 60.0), (60.0, 0.0)])
def test_a_stream_that_ends_early_holds_nothing_up(audio_s, video_s):
    windower = Windower(has_audio=True, has_video=True)
    windows, most = [], 0
    for item in in_order(chunks(noise(audio_s), RATE), pictures(video_s)):
        windows += windower.push(item)
        most = max(most, len(windower._frames) + len(windower._sound._pieces))
    assert most < 40
    windows += windower.finish(60.0)
    check_tiling(windows, 0.0, 60.0, 1.0, 3.0)
    silent = [window for window in windows if window.start_s >= audio_s]
    assert all(w.gap_s == pytest.approx(w.end_s - w.start_s, abs=1e-3) and not w.audio.any() for w in silent)


def test_holes_are_silent_and_counted():
    sound = noise(2.0)
    items = [AudioChunk(0.5, RATE, sound[:, :RATE]), AudioChunk(2.0, RATE, sound[:, RATE:])]
    (window,) = run(items, has_video=False)
    assert window.gap_s == pytest.approx(1.0)
    assert not window.audio[:, :4000].any() and not window.audio[:, 12000:16000].any()
    assert np.array_equal(window.audio[:, 4000:12000], sound[:, :RATE])
    assert np.array_equal(window.audio[:, 16000:], sound[:, RATE:])


def test_rounded_stamps_leave_no_clicks_and_no_drift():
    sound = noise(30.0)
    rng = np.random.default_rng(1)
    items = [
        AudioChunk(c.start_s + rng.uniform(-0.02, 0.02) * (k > 0), RATE, c.samples)
        for k, c in enumerate(chunks(sound, 186))
    ]
    windows = run(items, has_video=False)
    assert np.array_equal(rebuilt(windows), sound)
    slow = [AudioChunk(c.start_s * 1.01, RATE, c.samples) for c in chunks(sound, 186)]  # stamps run 1 % slower
    windows = run(slow, has_video=False)
    assert windows[-1].end_s == pytest.approx(30.3, abs=0.06)


def test_picture_only():
    windows = run(pictures(6.0), has_audio=False)
    check_tiling(windows, 0.0, 6.0, 1.0, 3.0)
    assert len(windows) == 4
    assert all(w.audio.shape == (1, 48000) and w.rate_hz == 16000 and w.gap_s == 0 for w in windows)
    assert [len(w.frames) for w in windows] == [6] * 4
    (one,) = run(pictures(0.5), has_audio=False)
    assert len(one.frames) == 1 and one.end_s == 1.0


def test_finish_extends_and_never_cuts():
    sound = chunks(noise(3.5), RATE)
    assert run(sound, has_video=False, end_s=3.0)[-1].end_s == 3.5
    assert run(sound, has_video=False, end_s=5.25)[-1].end_s == 5.25


def test_nothing_in_nothing_out():
    assert run([]) == []
    assert run([], has_audio=False) == []
    assert run([AudioChunk(0.0, RATE, np.zeros((1, 0), np.float32))]) == []


def test_what_comes_before_the_start_or_is_not_announced_is_left_out():
    sound = noise(4.0)
    (window,) = run([AudioChunk(9.0, RATE, sound), *pictures(4.0, start_s=9.0)], start_s=10.0)
    assert np.array_equal(window.audio, sound[:, RATE:])
    assert window.frames[0].time_s == 10.0
    (window,) = run([AudioChunk(0.0, RATE, sound[:, :RATE]), *pictures(1.0)], has_video=False)
    assert window.frames == ()


@pytest.mark.parametrize("window_s, hop_s", [(0, 1), (-1, 1), (3, 0), (3, -1), (3, 3.1), (float("nan"), 1), (3, 1e-9)])
def test_impossible_sizes(window_s, hop_s):
    with pytest.raises(ConfigError) as caught:
        Windower(window_s, hop_s, has_audio=True, has_video=True)
    assert caught.value.found in (f"{window_s:g} s", f"{hop_s:g} s")
    assert caught.value.expected.startswith(("a window longer", "a hop "))


def test_a_change_of_rate_is_the_source_s_fault():
    windower = Windower(has_audio=True, has_video=False)
    windower.push(AudioChunk(0.0, RATE, noise(1.0)))
    with pytest.raises(SourceError) as caught:
        windower.push(AudioChunk(1.0, 2 * RATE, noise(1.0)))
    assert caught.value.found.startswith(f"{2 * RATE} Hz") and "resample" in caught.value.fix


def test_a_watermark_closes_what_nothing_more_comes_for():
    """A live stream that loses its sound, its picture, or both goes on at the pace of its watermarks."""
    windower = Windower(has_audio=True, has_video=True)
    closed = []
    for tenth in range(100):
        now = tenth / 10
        if now < 2:
            closed += windower.push(AudioChunk(now, 1000, np.full((1, 100), 0.5, np.float32)))
        if not 4 <= now < 7:
            closed += windower.push(VideoFrame(now, np.zeros((2, 2, 3), np.uint8)))
        closed += windower.push(Watermark(now - 0.5))
    assert [window.start_s for window in closed] == list(range(len(closed))) and len(closed) == 7
    assert [round(window.gap_s, 1) for window in closed] == [1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    assert all(window.audio.shape == (1, 3000) for window in closed)
    assert len(closed[0].frames) == 30 and len(closed[4].frames) == 0


def test_sound_that_comes_back_after_a_hole_stands_at_its_time():
    windower = Windower(has_audio=True, has_video=False)
    closed = windower.push(AudioChunk(0.0, 1000, np.full((1, 500), 0.5, np.float32)))
    for tenth in range(200):
        closed += windower.push(Watermark(tenth / 10))
    closed += windower.push(AudioChunk(19.5, 1000, np.full((1, 4000), 0.25, np.float32)))
    last = next(window for window in closed if window.end_s > 20)
    heard = np.flatnonzero(last.audio[0])
    assert last.start_s + heard[0] / 1000 == 19.5 and (last.audio[0, heard] == 0.25).all()


def test_a_late_watermark_changes_nothing():
    chunks = [AudioChunk(k / 10, 1000, np.full((1, 100), k / 200, np.float32)) for k in range(100)]
    plain, marked = Windower(has_audio=True, has_video=False), Windower(has_audio=True, has_video=False)
    for chunk in chunks:
        expected, found = plain.push(chunk), marked.push(chunk)
        assert marked.push(Watermark(chunk.start_s - 1)) == []
        assert [w.audio.tobytes() for w in found] == [w.audio.tobytes() for w in expected]


def test_motion_frames_go_into_every_window_that_holds_them():
    windower = Windower(has_audio=True, has_video=True)
    closed = []
    for k in range(200):
        closed += windower.push(AudioChunk(k / 25, 1000, np.zeros((1, 40), np.float32)))
        closed += windower.push(MotionFrame(k / 25, np.zeros((2, 2), np.uint8)))
        closed += windower.push(VideoFrame(k / 25, np.zeros((2, 2, 3), np.uint8)))
    assert len(closed) == 5
    for window in closed:
        assert [m.time_s for m in window.motion] == [f.time_s for f in window.frames] and len(window.motion) == 75


def test_live_windows_speak_for_their_newest_hop():
    windower = Windower(has_audio=True, has_video=False, newest=True)
    closed = []
    for k in range(80):
        closed += windower.push(AudioChunk(k / 10, 1000, np.zeros((1, 100), np.float32)))
    closed += windower.finish()
    foci = [(window.focus_start_s, window.focus_end_s) for window in closed]
    assert foci == [(0, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8)]


def test_a_live_window_waits_for_no_more_than_its_end():
    """Narrated pictures come twice a second, and the next one may be half a second away; motion frames show enough."""
    windower = Windower(has_audio=True, has_video=True, newest=True, start_s=0.3)
    closed_at_s = {}
    for k in range(1000):
        now_s, ends = k / 100, []
        if k % 50 == 0:
            ends += windower.push(VideoFrame(now_s, np.zeros((2, 2, 3), np.uint8)))
        if k % 4 == 0:
            ends += windower.push(MotionFrame(now_s, np.zeros((2, 2), np.uint8)))
        ends += windower.push(AudioChunk(now_s, 1000, np.zeros((1, 10), np.float32)))
        closed_at_s |= {window.end_s: now_s for window in ends}
    assert list(closed_at_s) == pytest.approx([3.3, 4.3, 5.3, 6.3, 7.3, 8.3, 9.3])
    assert all(0 <= closed_s - end_s <= 0.01 for end_s, closed_s in closed_at_s.items())


@pytest.mark.parametrize("fps", [5, 10, 12, 30])
def test_a_live_window_does_not_wait_for_a_picture_that_is_due_after_its_end(fps):
    windower, closed_at_s = Windower(has_audio=True, has_video=True, newest=True, start_s=0.33), {}
    for k in range(1000):
        now_s, windows = k / 100, windower.push(AudioChunk(k / 100, 1000, np.zeros((1, 10), np.float32)))
        if k * fps // 100 != (k - 1) * fps // 100:
            windows += windower.push(VideoFrame(now_s, np.zeros((2, 2, 3), np.uint8)))
            windows += windower.push(MotionFrame(now_s, np.zeros((2, 2), np.uint8)))
        closed_at_s |= {window.end_s: now_s for window in windows}
        for window in windows:
            assert (
                window.end_s - window.motion[-1].time_s <= 1.5 / fps
                and window.end_s - window.frames[-1].time_s <= 1.5 / fps
            )
    assert len(closed_at_s) == 7
    assert all(0 <= closed_s - end_s <= 0.02 for end_s, closed_s in closed_at_s.items())


def with_wanted(sound: np.ndarray, wanted: list[float], size: int, **options) -> list[Window]:
    """Live windows of sound that comes in pieces; an end is wanted 0.5 s before the sound of then comes."""
    windower, closed = Windower(has_audio=True, has_video=True, newest=True, **options), []
    for chunk in chunks(sound, size):
        end_s = chunk.start_s + chunk.samples.shape[1] / RATE
        for time_s in wanted:
            if chunk.start_s <= time_s - 0.5 < end_s:
                windower.ends_at(time_s)
        closed += windower.push(VideoFrame(chunk.start_s, np.zeros((2, 2, 3), np.uint8)))
        closed += windower.push(chunk)
    return closed + windower.finish()


def ends(windows: list[Window]) -> list[float]:
    return [round(window.end_s, 3) for window in windows]


@pytest.mark.parametrize("seed", range(16))
def test_wanted_windows_come_and_nothing_is_lost(seed):
    rng = np.random.default_rng(seed)
    sound = noise(20, seed=seed)
    wanted = [round(float(t), 3) for t in 4 + np.cumsum(rng.uniform(1, 4, 5))]
    options = {"hop_s": float(rng.choice([0.25, 1.0, 2.0, 2.8, 3.0])), "start_s": int(rng.integers(240)) / 1000}
    closed = with_wanted(sound, wanted, int(rng.integers(100, 1200)), **options)
    foci = [(window.focus_start_s, window.focus_end_s) for window in closed]
    later_s = min(0.25, options["hop_s"] / 4, (3 - options["hop_s"]) / 2)
    assert foci[0][0] == options["start_s"] and foci[-1][1] == pytest.approx(20)
    assert all(a[1] == pytest.approx(b[0], abs=1e-9) for a, b in pairwise(foci)), "foci tile the stream"
    assert all(later_s < end - start <= options["hop_s"] + 2 * later_s + 1e-6 for start, end in foci[1:-1])
    assert all(window.start_s - 1e-9 <= window.focus_start_s for window in closed), "no sound is in no window"
    for window in closed:
        first = round(window.start_s * RATE)
        assert np.array_equal(window.audio, sound[:, first : first + window.audio.shape[1]]) and window.gap_s == 0
        assert len(window.frames) > 1 or window is closed[-1]
    for time_s in wanted:
        assert min(abs(window.end_s - time_s) for window in closed) <= later_s + 1e-3


def test_a_wanted_window_comes_between_two_of_the_grid_or_instead_of_one():
    assert ends(with_wanted(noise(12), [6.5], 400)) == [3, 4, 5, 6, 6.5, 7, 8, 9, 10, 11, 12]
    assert ends(with_wanted(noise(12), [7.2], 400)) == [3, 4, 5, 6, 7.2, 8, 9, 10, 11, 12], "one waits for it"
    assert ends(with_wanted(noise(12), [6.85], 400)) == [3, 4, 5, 6, 6.85, 8, 9, 10, 11, 12], "one is too near"
    assert ends(with_wanted(noise(12), [2.0], 400)) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12], "the first has its time"


def test_the_windows_of_a_movie_are_where_they_are():
    windower = Windower(has_audio=True, has_video=False)
    windower.ends_at(4.3)
    found = [window for chunk in chunks(noise(8), 400) for window in windower.push(chunk)] + windower.finish()
    same(found, run(chunks(noise(8), 400), has_video=False))
