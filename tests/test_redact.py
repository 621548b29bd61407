"""What may be a secret is shown nowhere; what helps to find a mistake is."""

import re

import numpy as np
import pytest

from avstream.redact import hide


def test_hide_hides():
    rng = np.random.default_rng(0)
    letters = list("abcXYZ019!$&'()*+,;=:@/.-_~%?")
    for _ in range(300):
        secret = "S" + "".join(rng.choice(letters, rng.integers(3, 12))) + "T"
        shown = hide(f"can't open rtsp://olga:{secret}@10.0.0.7:554/cam?channel=1&subtype=0: refused")
        assert secret not in shown and "olga" not in shown and "10.0.0.7:554/cam?channel=1&subtype=0" in shown
    assert hide("http://h/x?token=abc&width=3") == "http://h/x?token=***&width=3"
    assert hide("rtsp://h:554/user=admin_password=tlJw_channel=1.sdp") == "rtsp://h:554/***"
    assert hide("olga:pw@10.0.0.7/cam") == "***@10.0.0.7/cam"
    assert hide("udp://127.0.0.1:99?pkt_size=1316") == "udp://127.0.0.1:99?pkt_size=1316"


@pytest.mark.parametrize("secret", ["my pass word", "p@ss word", "pa/ss", "p?ss", "p#ss w", "a://b"])
def test_hide_hides_what_should_have_been_escaped(secret):
    for where in ("rtsp://", ""):
        for text in (f"{where}olga:{secret}@10.0.0.7/cam", f"'{where}olga:{secret}@10.0.0.7/cam'"):
            shown = hide(text)
            assert "olga" not in shown and shown.rstrip("'").endswith("***@10.0.0.7/cam")
            assert not any(part in shown for part in re.split("[ @/:?#]+", secret) if len(part) > 1)


def test_hide_leaves_the_rest():
    both = "http://h/x refuses the password: give it as http://olga:my pass@h/x"
    assert hide(both) == "http://h/x refuses the password: give it as http://***@h/x"
    assert hide("kitchen: seen by olga") == "kitchen: seen by olga"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://host/SEKRET/live.m3u8", "rtsp://host/***/live.m3u8"),
        ("rtsp://10.0.0.1:7447/AbC3xYz9", "rtsp://10.0.0.1:7447/***"),
        ("https://h/live/8f3kd92ks/index.m3u8?token=x", "https://h/live/***/index.m3u8?token=***"),
        ("rtsp://h/Streaming/Channels/101", "rtsp://h/Streaming/Channels/101"),
        ("rtsp://h/h264Preview_01_main", "rtsp://h/***"),
        ("http://h/axis-cgi/mjpg/video.cgi", "http://h/axis-cgi/mjpg/video.cgi"),
        ("rtsp://h:8554/cam1", "rtsp://h:8554/cam1"),
        ("can't open 'rtsp://h/SEKRET': refused", "can't open 'rtsp://h/***': refused"),
        ("rtsp://h/SEKRET: check it; rtsp://h/live, too.", "rtsp://h/***: check it; rtsp://h/live, too."),
        ("http://h/live?SEKRET", "http://h/live?***"),
        ("http://h/live?SEKRET&fps=5", "http://h/live?***&fps=5"),
        ("rtsp://h/cam?a=b&SEKRET", "rtsp://h/cam?a=***&***"),
        ("rtsp://h/live#SEKRET", "rtsp://h/live#***"),
        ("http://h/live?stream=SEKRET&fps=5.", "http://h/live?stream=***&fps=5."),
        ("http://h/live?stream=main&resolution=1280x720", "http://h/live?stream=main&resolution=1280x720"),
        ("can't open http://h/live?main: is it on? or #2?", "can't open http://h/live?main: is it on? or #2?"),
        ("mqtt://hub.lan:1883/avstream", "mqtt://hub.lan:1883/avstream"),
        ("/home/olga/SEKRET/movie.mp4", "/home/olga/SEKRET/movie.mp4"),
    ],
)
def test_a_path_shows_only_what_every_stream_has(address, shown):
    assert hide(address) == shown
    assert hide(hide(address)) == shown
