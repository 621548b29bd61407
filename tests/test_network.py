"""Network streams: real senders on loopback, and what becomes of their stamps, their faults and their secrets."""

import socket
import threading
import time
from contextlib import suppress
from itertools import pairwise

import cv2
import numpy as np
import pytest

from avstream.errors import SourceError
from avstream.sources import address
from avstream.sources.address import explain
from avstream.sources.frames import SHOWN_SIDE
from avstream.sources.live import network
from avstream.sources.live.capture import CapturedPicture, CapturedSound
from avstream.sources.live.clocks import ArrivalClock, PlaybackClock
from avstream.sources.live.decoding import DecodedPicture
from avstream.sources.live.network import NetworkFeed
from tests.rtsp_server import rtsp_camera
from tests.stream_servers import hls, sending, tcp, web
from tests.synth import damage, make_movie

SYNC_S = 0.045  # people notice sound that is earlier


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """A flash and a tone of 0.4 s, every 1.2 s when it is repeated."""
    path = tmp_path_factory.mktemp("movies") / "flash.mp4"
    return make_movie(path, duration_s=1.2, tone=(0.6, 1.0), square=(0.6, 1.0))


def read(feed, *, until=lambda items: False, seconds=20.0, slow_s=0.0):
    """Items with the time they came at, until there is enough or it took too long; then the feed is closed."""
    items, deadline = [], time.monotonic() + seconds
    for item in feed:
        items.append((time.monotonic(), item))
        if until(items) or time.monotonic() > deadline:
            feed.close()
        if slow_s and isinstance(item, CapturedPicture):
            time.sleep(slow_s)
    return items


def pictures_of(items):
    return [item for _, item in items if isinstance(item, CapturedPicture)]


def pieces_of(items):
    return [item for _, item in items if isinstance(item, CapturedSound)]


def flashes(items):
    """When the white square came, seconds of time.monotonic()."""
    pictures = pictures_of(items)
    lit = [g[: g.shape[0] // 3, : g.shape[1] // 3].mean() > 128 for g in (p.gray(SHOWN_SIDE) for p in pictures)]
    return [p.monotonic_s for p, before, now in zip(pictures[1:], lit, lit[1:], strict=False) if now and not before]


def tones(items):
    """When the tone came, seconds of time.monotonic()."""
    begun, loud_s = [], -1.0
    for piece in pieces_of(items):
        loud = np.flatnonzero(np.abs(piece.samples[0]) > 0.2)
        for place in (loud[0], loud[-1]) if loud.size else ():
            at_s = piece.monotonic_s + place / piece.rate_hz
            if at_s - loud_s > 0.3:
                begun.append(at_s)
            loud_s = at_s
    return begun


def offsets(items):
    """Sound minus picture of each flash that has a tone near it, in seconds."""
    sounds = tones(items)
    near = [min(sounds, key=lambda s: abs(s - flash)) - flash for flash in flashes(items)] if sounds else []
    return [offset for offset in near if abs(offset) < 0.5]


def enough(items):
    return len(items) % 10 == 0 and len(offsets(items)) >= 2


@pytest.mark.parametrize(
    ("over", "coding"),
    [
        ("udp", "-c copy"),
        ("http", "-c copy"),
        ("udp", "-c:v libx264 -preset veryfast -bf 3 -g 25 -c:a mp2 -ar 48000"),
    ],
    ids=["udp", "http", "b-frames"],
)
def test_picture_and_sound_stay_together(movie, over, coding):
    with sending(movie, over=over, coding=coding) as sender:
        items = read(NetworkFeed(sender.url), until=enough)
    found = offsets(items)
    assert len(found) >= 2
    assert max(abs(offset) for offset in found) <= SYNC_S


def test_rtsp_asks_for_its_password_and_stays_together():
    with rtsp_camera("olga", "s3cret") as url:
        feed = NetworkFeed(url)
        items = read(feed, until=enough)
        assert max(abs(offset) for offset in offsets(items)) <= SYNC_S
        assert feed.has_sound is True
        with pytest.raises(SourceError, match="refuses the user or the password") as refused:
            read(NetworkFeed(url.replace("s3cret", "wr0ng")))
        with pytest.raises(SourceError, match="not there") as lost:
            read(NetworkFeed(url.replace("/cam", "/nothing?token=t0p")))
    for error in (refused.value, lost.value):
        assert not any(secret in str(error) for secret in ("wr0ng", "s3cret", "t0p", "olga"))
        assert error.__cause__ is None  # libav's own words have the address in full


@pytest.mark.parametrize("rate_hz", [5, 12])
def test_pictures_by_http_are_of_now(rate_hz):
    """libav makes up their stamps, 25 to the second whatever comes."""
    sent = []

    def answer(request):
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        for number in range(4 * rate_hz):
            _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 60 + number, np.uint8))
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            sent.append(time.monotonic())
            request.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
            time.sleep(1 / rate_hz)

    with web(answer) as address, suppress(SourceError):
        late = []
        for item in NetworkFeed(f"http://{address}/stream.mjpg", sound=False):
            late.append(time.monotonic() - item.monotonic_s)
    assert len(late) > rate_hz and max(late) < 0.5, f"{rate_hz} a second, up to {max(late):.1f} s late"


def test_who_joins_late_sees_no_garbage(tmp_path):
    movie = make_movie(tmp_path / "long.ts", duration_s=4.0, square=None, tone=None, options={})
    with sending(movie, coding="-c:v libx264 -preset ultrafast -g 75 -c:a copy") as sender:
        time.sleep(0.7)  # into the first group of pictures
        items = read(NetworkFeed(sender.url), until=lambda items: len(pictures_of(items)) > 10)
    pictures = pictures_of(items)
    assert pictures and all(np.abs(picture.rgb(SHOWN_SIDE) - 32.0).max() < 10 for picture in pictures)  # dark gray
    assert all(np.abs(picture.gray(SHOWN_SIDE) - 32.0).max() < 10 for picture in pictures)


def test_what_changes_in_the_middle(tmp_path):
    """Size, channels, sample rate and stamps, which begin anew."""
    first = make_movie(tmp_path / "a.ts", duration_s=2.5, size=(320, 240), audio_rate=44100)
    second = make_movie(tmp_path / "b.ts", duration_s=2.5, size=(640, 360), audio_rate=48000, channels=2)
    data = first.read_bytes() + second.read_bytes()
    came = []
    with tcp(data, bytes_a_second=len(data) / 5) as url, suppress(SourceError):
        for item in NetworkFeed(url):
            came.append((time.monotonic(), item))
    assert {picture.rgb(SHOWN_SIDE).shape[:2] for picture in pictures_of(came)} == {(240, 320), (360, 640)}
    assert all(-0.1 <= at_s - item.monotonic_s <= 3.0 for at_s, item in came)
    sound_s = sum(piece.samples.shape[1] / piece.rate_hz for piece in pieces_of(came))
    assert sound_s > 3.5


@pytest.mark.parametrize("seed", range(4))
def test_damage_ends_in_words_or_pictures(tmp_path, seed):
    good = make_movie(tmp_path / "good.ts", duration_s=2.0)
    data = damage(good, tmp_path / "bad.ts", np.random.default_rng(seed)).read_bytes()
    with tcp(data, bytes_a_second=len(data)) as url, pytest.raises(SourceError, match="tcp://127"):
        read(NetworkFeed(url))


@pytest.mark.parametrize(("pictures", "sound"), [(True, False), (False, True)])
def test_one_kind_is_enough(tmp_path, monkeypatch, pictures, sound):
    monkeypatch.setattr(network, "TRACK_SILENCE_S", 0.2)
    movie = make_movie(tmp_path / "one.ts", duration_s=2.0, video=pictures, audio=sound)
    with sending(movie) as sender:
        feed = NetworkFeed(sender.url)
        items = read(feed, until=lambda items: len(items) > 20)
    assert feed.has_sound is sound
    assert [] == feed.lacks if sound else "has no sound" in feed.lacks[0].found
    assert {type(item) for _, item in items} == {DecodedPicture if pictures else CapturedSound}


def test_a_slow_reader_is_never_late(movie):
    """It gets fewer pictures, with all the sound, and not older ones."""
    with sending(movie, coding="-c:v libx264 -preset ultrafast -g 10 -c:a copy") as sender:
        feed = NetworkFeed(sender.url)
        items = read(feed, seconds=5.0, slow_s=0.1)
    ages = [at_s - item.monotonic_s for at_s, item in items]
    assert max(ages[len(ages) // 2 :]) < 2.0
    assert feed.lost["pictures left out to keep up"] > 10
    pieces = pieces_of(items[len(items) // 4 :])  # ffmpeg begins with a burst
    sound_s = sum(piece.samples.shape[1] / piece.rate_hz for piece in pieces)
    assert sound_s == pytest.approx(pieces[-1].monotonic_s - pieces[0].monotonic_s, abs=0.3)


def test_a_stall_and_an_end_are_reported(movie):
    with sending(movie) as sender:
        began = []

        def stall(items):
            if len(items) == 20:
                sender.stall()
                began.append(time.monotonic())
            return False

        with pytest.raises(SourceError, match="sends nothing"):
            read(NetworkFeed(sender.url), until=stall)
        assert time.monotonic() - began[0] < 5.0
    data = movie.with_suffix(".ts")
    make_movie(data, duration_s=1.0)
    with tcp(data.read_bytes(), bytes_a_second=1e6) as url, pytest.raises(SourceError, match="has ended"):
        read(NetworkFeed(url))


def all_end(*, seconds):
    """Whether no connection is read any more, within so long."""
    deadline = time.monotonic() + seconds
    while any(thread.name.startswith("read ") for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_live_playlist_goes_on(movie, tmp_path, monkeypatch):
    """Between two pieces nothing comes for seconds: that is no loss, and what comes is played as if it came then."""
    monkeypatch.setattr(network, "SILENCE_S", 1.0)  # libav waits twice as long; a piece has three key pictures, 3.6 s
    with hls(movie, tmp_path, piece_s=3) as url:
        items = read(NetworkFeed(url), seconds=15.0)  # a loss would raise
    assert items[-1][0] - items[0][0] > 11.4
    assert max(at_s - item.monotonic_s for at_s, item in items) < 2.0
    sound_s = sum(piece.samples.shape[1] / piece.rate_hz for piece in pieces_of(items))
    assert sound_s > 6.6  # as it begins with one piece, it may wait for the next once
    assert abs(np.median(offsets(items))) <= SYNC_S


def test_a_playlist_that_is_not_continued_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "PIECE_SILENCE_S", 2.0)
    piece = make_movie(tmp_path / "piece.ts", duration_s=2.0).read_bytes()

    def answer(request):
        playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\npiece.ts\n"
        request.send_response(200)
        request.end_headers()
        request.wfile.write(playlist if request.path.endswith("m3u8") else piece)

    with web(answer) as host, pytest.raises(SourceError, match=r"sends nothing|has ended"):
        read(NetworkFeed(f"http://{host}/live.m3u8"))
    assert all_end(seconds=8)


def test_a_picture_that_stops_while_the_sound_goes_on_is_reported(movie, tmp_path, monkeypatch):
    """Which is a loss. Connected to again, the stream is one without a picture."""
    monkeypatch.setattr(network, "TRACK_SILENCE_S", 1.5)
    short = make_movie(tmp_path / "short.mp4", duration_s=3.0)
    with sending(short, sound=movie) as sender:
        feed = NetworkFeed(sender.url)
        with pytest.raises(SourceError, match="sends no picture any more"):
            for item in feed:
                assert feed.lacks == [] or isinstance(item, CapturedSound)
        assert all_end(seconds=8)
        feed = NetworkFeed(sender.url)
        items = read(feed, until=lambda _: feed.lacks)
        assert "sends no picture now" in feed.lacks[0].found and items


def test_a_track_that_nobody_wants_keeps_no_connection(movie, tmp_path, monkeypatch):
    monkeypatch.setattr(network, "SILENCE_S", 1.5)
    short = make_movie(tmp_path / "short.mp4", duration_s=3.0)
    with sending(short, sound=movie) as sender:
        with pytest.raises(SourceError, match="sends nothing"):
            read(NetworkFeed(sender.url, sound=False))
        assert all_end(seconds=8)


def test_close_ends_a_stalled_read_within_a_second(movie):
    with sending(movie) as sender:
        feed = NetworkFeed(sender.url)
        came, ended = threading.Event(), threading.Event()

        def consume():
            for _ in feed:
                came.set()
            ended.set()

        threading.Thread(target=consume, daemon=True).start()
        assert came.wait(15)
        sender.stall()
        time.sleep(0.3)
        feed.close()
        assert ended.wait(1.0)
        feed.close()
    assert all_end(seconds=8)


def test_errors_are_words_without_secrets():
    def refuse(request):
        request.send_error(401 if "private" in request.path else 404)

    with web(refuse) as host:
        for url, words in {
            f"http://olga:s3cret@{host}/private?token=t0p": "refuses the user or the password",
            f"http://olga:s3cret@{host}/x.ts?token=t0p": "is not there (404)",
            "rtsp://olga:s3cret@127.0.0.1:1/cam?password=t0p": "connection refused",
            "http://olga:s3cret@no-such-host.invalid/x?key=t0p": "no host is named no-such-host.invalid",
            "rtsp://olga:s3cret/b@127.0.0.1:1/cam": "%2F",
            "rtsp://olga:my s3cret@127.0.0.1:1/cam": "connection refused",
            "gopher9://olga:s3cret@127.0.0.1/t": "a kind of address that can't be read",
        }.items():
            feed = NetworkFeed(url)
            with pytest.raises(SourceError) as caught:
                read(feed)
            assert words in str(caught.value)
            for shown in (str(caught.value), feed.name, *(thread.name for thread in threading.enumerate())):
                assert not any(secret in shown for secret in ("olga", "s3cret", "t0p"))


def test_a_port_in_use_is_reported():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(SourceError, match="is in use on this machine"):
            read(NetworkFeed(f"udp://127.0.0.1:{other.getsockname()[1]}"))


def test_a_page_is_no_stream_and_a_playlist_opens_no_files(tmp_path):
    local = make_movie(tmp_path / "private.ts", duration_s=2.0)

    def answer(request):
        page = b"<html>hello</html>" * 50
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{local}\n#EXT-X-ENDLIST\n".encode()
        body = playlist if request.path.endswith("m3u8") else page
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with web(answer) as host:
        for path in ("index.html", "list.m3u8"):
            with pytest.raises(SourceError, match=path):
                read(NetworkFeed(f"http://{host}/{path}"))


def test_a_file_plays_at_its_own_speed(movie):
    began = time.monotonic()
    items = read(NetworkFeed(str(movie), realtime=True))
    assert 1.1 < time.monotonic() - began < 5.0
    for at_s, item in items:
        length_s = item.samples.shape[1] / item.rate_hz if isinstance(item, CapturedSound) else 0.0
        assert at_s >= item.monotonic_s + length_s - 0.005  # nobody hears the future
    assert max(abs(offset) for offset in offsets(items)) <= 0.021
    assert len(pictures_of(items)) == 30


def test_a_loop_has_no_seam(movie):
    items = read(NetworkFeed(str(movie), realtime=True, loop=True), until=lambda items: len(flashes(items)) >= 2)
    pieces = pieces_of(items)
    steps = [
        after.monotonic_s - before.monotonic_s - before.samples.shape[1] / before.rate_hz
        for before, after in pairwise(pieces)
    ]
    assert max(np.abs(steps)) < 0.05
    assert np.diff(flashes(items)) == pytest.approx(1.2, abs=0.06)


@pytest.mark.parametrize("password", ["pa/ss", "pa#ss", "pa?ss"])
def test_no_name_server_is_asked_for_a_user(monkeypatch, password):
    asked = []
    monkeypatch.setattr(address.socket, "getaddrinfo", lambda host, port: asked.append(host))
    said = str(explain(OSError(), f"rtsp://olga:{password}@no-such-host.invalid/cam"))
    assert "olga" not in asked and "olga" not in said and "pa" not in said.split("@")[0] and "%2F" in said


def test_arrivals_are_placed_by_the_least_delay():
    """Whatever held them up, stamps keep their distance, and lie as far back as the quickest came."""
    rng = np.random.default_rng(1)
    clock, wrong = ArrivalClock(), []
    for k in range(5000):
        stamp_s = k / 50
        arrival_s = 1000.0 + stamp_s * (1 + 100e-6) + 0.03 + rng.exponential(0.02)
        clock.note(stamp_s, arrival_s)
        if k > 200:
            wrong.append(clock.place(stamp_s, arrival_s) - (1000.0 + stamp_s * (1 + 100e-6) + 0.03))
    assert np.max(np.abs(wrong)) < 0.006


def test_stamps_that_begin_anew_are_believed_again():
    clock = ArrivalClock()
    for k in range(100):
        stamp_s = (k if k < 50 else k + 90_000) / 25
        clock.note(stamp_s, 500 + k / 25)
        assert clock.place(stamp_s, 500 + k / 25) == pytest.approx(500 + k / 25, abs=1e-6)
    assert clock.place(3.0, 504.0) == 504.0  # from before the leap, out of a decoder
    assert clock.place(None, 504.0) == 504.0


@pytest.mark.parametrize(("behind_s", "used_s"), [(0.12, 0.12), (-0.05, 0.0), (40.0, 0.0)])
def test_a_wall_clock_is_used_when_it_can_be_ours(behind_s, used_s):
    clock = ArrivalClock()
    for k in range(50):
        clock.note(k / 25, 100 + k / 25, 100 + k / 25 - behind_s)
    assert clock.place(1.0, 101.0) == pytest.approx(101.0 - used_s)


def test_playback_that_is_late_starts_over():
    clock = PlaybackClock()
    now_s = time.monotonic()
    assert clock.place(7.0, 0.0) == pytest.approx(now_s, abs=0.05)
    assert clock.place(8.0, 0.0) == pytest.approx(now_s + 1.0, abs=0.05)
    assert clock.place(2.0, 0.0) == pytest.approx(time.monotonic(), abs=0.05)
