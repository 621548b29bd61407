"""Home files: what they may hold, and what a mistake in one is answered with."""

import pytest

from avstream.config import live_file as home
from avstream.errors import ConfigError


def load(tmp_path, text):
    path = tmp_path / "home.yaml"
    path.write_text(text, encoding="utf-8")
    return home.load(path)


def test_the_example_in_the_error_is_right(tmp_path):
    found = load(tmp_path, home.EXAMPLE)
    kitchen, door = found.streams
    assert (kitchen.name, kitchen.camera, kitchen.mic, kitchen.window) == ("kitchen", "0", "USB", True)
    assert door.rules().thresholds == {"speech": 0.8} and door.rules().only == {"doorbell", "knock", "speech"}
    assert found.mqtt == "mqtt://user@hub.local/avstream" and found.preset is None and found.mqtt_images is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "streams:"),
        ("streams: {}", "streams:"),
        ("streams: [a, b]", "streams:"),
        ("streams: {a: 0}", "settings such as {camera: 0} for the stream a of .*, found 0"),
        ("streams: {a: {camra: 0}}", "did you mean 'camera'"),
        ("streams: {a: {camera: 0}}\nmqt: x", "did you mean 'mqtt'"),
        ("streams: {a: {camera: [0]}}", "text as camera of the stream a of .*, found \\[0\\]"),
        ("streams: {a: {name: b}}", "has a key `name`; leave it out"),
        (
            "streams: {a: {camera: 0}}\nmqtt_images: 1",
            "true or false as mqtt_images of .*, found 1; leave it out for True",
        ),
        ("streams: {a: {camera: 0}}\n1: 2", "unknown key '1'"),
        ("streams: {a: {camera: 0, mute: rain}}", "a list such as"),
        ("streams: {a: {camera: 0, mute: [rian]}}", "did you mean 'rain'"),
        ("streams: {a: {camera: 0, thresholds: {rain: 2}}}", "from 0 to 1"),
        ("streams: {a: {camera: 0, thresholds: {rain: high}}}", "numbers such as"),
        ("streams: {a: {camera: 0, window: 1}}", "true or false"),
        ("streams: {a: {camera: 0, srt: x.srt}, b: {camera: 1, srt: x.srt}}", "two outputs"),
        ("streams: {a: {camera: 0}}\nhop: often", "a number as hop of"),
        ("streams: {a: {camera: 0, srt: x.srt}, b: {camera: 1, vtt: ./x.srt}}", "two outputs"),
        ("a: b: c", "not valid YAML: line 1, column 5: mapping values are not allowed here"),
        ("streams: {a: {camera: 0]}", "line 1, column 24: expected ',' or '}', but got ']'"),
        ("streams: {a: {camera: 2026-99-99}}", "not valid YAML: month must be in 1..12"),
    ],
)
def test_mistakes_are_reported(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize("text", ["door: 'URL'", "door: {camera: ['URL']}"])
def test_no_password_is_repeated(tmp_path, text):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, "streams: {" + text.replace("URL", "rtsp://user:hunter2@cam/stream") + "}")
    assert "hunter2" not in str(error.value) and "cam/stream" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "door:\n    camera: rtsp://user:hunter2: x@cam/stream",
        "door: {camera: rtsp://user:hunter2: x@cam/stream}",
        "door: {camera: rtsp://user: 'hunter2@cam/stream}",
        "door: {camera: rtsp://user:x, mic: *hunter2 }",
        "door: {camera: rtsp://user:x, mic: !hunter2@cam/stream}",
        "door: {camera: rtsp://user:x, mic: !hunter2!cam}",
        "door: {camera:rtsp://user:hunter2@cam/stream}",
        "door: {rtsp://user:hunter2@cam/stream: 0}",
        "rtsp://user:hunter2@cam/stream: 0",
        "rtsp://user:hunter2@cam/stream: {camera: [0]}",
    ],
)
def test_no_password_is_repeated_whatever_was_mistyped(tmp_path, text):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, f"streams:\n  {text}\n")
    assert "hunter2" not in str(error.value) and "home.yaml" in str(error.value)
    assert error.value.__cause__ is None, "a traceback would tell it"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="can't be read"):
        home.load(tmp_path / "nowhere.yaml")
