"""Cameras of this machine: what can go wrong with one, for real, and the reading itself on a movie file."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from avstream.errors import SourceError
from avstream.sources.frames import SHOWN_SIDE
from avstream.sources.live import camera
from avstream.sources.live.camera import CameraFeed
from tests.synth import make_movie


def test_one_that_is_not_there():
    with pytest.raises(SourceError, match=r"camera 63 is not there.*avstream devices"):
        list(CameraFeed("63"))
    with pytest.raises(SourceError, match="is not there"):
        list(CameraFeed("/dev/no-such-video"))


def test_one_that_may_not_be_read(monkeypatch):
    """As root everything may be read, so it is asked whether it may."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SourceError, match="usermod -aG video"):
        list(CameraFeed("/dev/null"))


def test_one_that_is_no_camera_says_so_once():
    code = "from avstream.sources.live.camera import CameraFeed; list(CameraFeed('/dev/null'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("avstream.errors.SourceError: camera /dev/null can't be opened")
    assert "WARN" not in done.stderr and not done.stdout


def test_pictures_are_upright_rgb_and_stamped(tmp_path):
    movie = make_movie(tmp_path / "m.mp4", duration_s=1.0, square=(0.0, 9.0), audio=False)
    pictures, began_s = [], time.monotonic()
    with pytest.raises(SourceError, match="was lost"):
        pictures.extend(CameraFeed(str(movie)))
    assert 1 <= len(pictures) <= 25  # the oldest are dropped
    assert all(began_s <= picture.monotonic_s <= time.monotonic() for picture in pictures)
    assert np.all(np.diff([picture.monotonic_s for picture in pictures]) > 0)
    rgb, gray = pictures[-1].rgb(SHOWN_SIDE), pictures[-1].gray(160)
    assert rgb.shape == (240, 320, 3) and gray.shape == (120, 160)
    assert rgb[20, 20].min() > 240 and rgb[200, 300].max() < 40
    assert gray[10, 10] > 240 and gray[100, 150] < 40


def test_colors_keep_their_order(tmp_path):
    path = tmp_path / "red.avi"
    writer = camera.cv2.VideoWriter(str(path), camera.cv2.VideoWriter.fourcc(*"MJPG"), 25, (160, 120))
    for _ in range(5):
        writer.write(np.full((120, 160, 3), (0, 0, 255), np.uint8))  # blue, green, red
    writer.release()
    red, _, blue = next(iter(CameraFeed(str(path)))).rgb(SHOWN_SIDE)[60, 80]
    assert red > 200 and blue < 60


@pytest.fixture
def hung(tmp_path, monkeypatch):
    """A device that can be opened and then says nothing: a pipe that nobody writes to."""
    monkeypatch.setattr(camera, "FIRST_S", 0.5)
    pipe = tmp_path / "hung.ts"
    os.mkfifo(pipe)
    yield str(pipe)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("read camera")]
    deadline = time.monotonic() + 5
    while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))  # lets the one who hangs go, once for each try to open
        time.sleep(0.01)


def test_one_that_hangs_is_given_up(hung):
    began = time.monotonic()
    with pytest.raises(SourceError, match="gives no pictures"):
        list(CameraFeed(hung))
    assert time.monotonic() - began < 2.0


def test_one_that_hangs_costs_one_thread(hung):
    with pytest.raises(SourceError, match="gives no pictures"):
        list(CameraFeed(hung))
    for _ in range(3):
        with pytest.raises(SourceError, match="still hangs"):
            list(CameraFeed(hung))
    assert sum(thread.name == f"read camera {hung}" for thread in threading.enumerate()) == 1


def test_close_ends_one_that_hangs(hung, monkeypatch):
    monkeypatch.setattr(camera, "FIRST_S", 30.0)
    feed, ended = CameraFeed(hung), threading.Event()

    def consume():
        list(feed)
        ended.set()

    threading.Thread(target=consume, daemon=True).start()
    time.sleep(0.2)
    feed.close()
    assert ended.wait(1.0)
    feed.close()
