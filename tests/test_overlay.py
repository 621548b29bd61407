"""Pictures with narrations drawn in: what is seen, what is legible, and what stays as it was."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from avstream.drawing.overlay import LINE_CHARS, Overlay, draw, fit_caption, wrap_caption
from avstream.records import Sound
from avstream.vocabulary import HOME as LABELS
from avstream.wording import caption, phrase

SIZES = [(320, 240), (640, 360), (1280, 720), (360, 640), (720, 1280), (1921, 1079)]
DOG = Sound("dog_bark", 0.97, True, (0.1, 0.2, 0.4, 0.6), "left")
LONG = "[probably helicopter flying, left] [probably fire crackling, off-screen]"


def plain(width: int, height: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """WCAG relative luminance."""
    c = np.asarray(rgb, float) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_nothing_to_draw_leaves_the_picture_alone():
    rgb = plain(64, 48, 90)
    assert draw(rgb) is rgb
    assert draw(rgb, heatmap=np.zeros((4, 4), np.float32)) is rgb
    assert draw(rgb, sounds=[Sound("rain", 0.9)]) is rgb  # a sound without a box has only its caption


@pytest.mark.parametrize("size", SIZES)
def test_the_picture_given_is_not_changed(size):
    rgb = plain(*size, 90)
    heat = np.eye(6, dtype=np.float32)
    out = draw(rgb, heatmap=heat, sounds=[DOG], caption=caption([DOG]))
    assert (rgb == 90).all()
    assert out.shape == rgb.shape and out.dtype == np.uint8
    assert (out != rgb).any()


def test_the_heat_is_where_the_heatmap_says_and_low_values_are_clear():
    heat = np.full((12, 16), 0.1, np.float32)
    heat[3:6, 2:5] = 1
    out = draw(plain(640, 480, 100), heatmap=heat).astype(int)
    change = np.abs(out - 100).sum(axis=2)
    row, column = np.average(np.argwhere(change > 0), axis=0, weights=change[change > 0])
    assert abs(row / 480 - 4.5 / 12) < 0.05 and abs(column / 640 - 3.5 / 16) < 0.05
    assert not change[300:, 320:].any()


def test_the_heat_is_smooth():
    heat = np.zeros((6, 6), np.float32)
    heat[2, 2] = 1
    out = draw(plain(600, 600, 100), heatmap=heat).astype(int)
    assert np.abs(np.diff(out, axis=0)).max() < 20 and np.abs(np.diff(out, axis=1)).max() < 20


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("words", ["[dog barking]", LONG])
def test_captions_are_legible_on_any_picture(size, value, words):
    rgb = plain(*size, value)
    rgb[:, ::7] = 255 - value  # a restless picture
    out = Overlay(*size, caption=words).draw(rgb)
    changed = (out != rgb).any(axis=2)
    rows, columns = np.nonzero(changed)
    panel = out[rows.min() + 4 : rows.max() - 3, columns.min() + 4 : columns.max() - 3]
    light = luminance(panel)
    assert (light > 0.9).any()
    near_ink = cv2.dilate((light > 0.1).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0  # edges are in between
    assert (~near_ink).any()
    assert 1.05 / (light[~near_ink].max() + 0.05) >= 7
    assert columns.min() > 0 and columns.max() < size[0] - 1 and rows.max() < size[1] - 1
    assert rows.min() > size[1] / 2  # the picture itself stays free


def test_a_caption_can_be_read_across_the_room():
    for width, height in SIZES:
        out = draw(plain(width, height, 0), caption="[dog barking]")
        ink = (luminance(out) > 0.5).any(axis=1)
        assert ink.sum() > 0.03 * min(width, height)  # a line of type, brackets included


def test_a_line_that_is_too_wide_becomes_two_larger_ones():
    words = "[dog barking, left] [rain falling, right]"
    assert len(words) <= LINE_CHARS
    out = draw(plain(360, 640, 0), caption=words)
    rows = (luminance(out) > 0.5).any(axis=1)
    assert np.count_nonzero(np.diff(rows.astype(int)) == 1) >= 2


def test_letters_beyond_ascii_are_drawn():
    def drawn(text: str) -> bytes:
        return draw(plain(200, 100, 0), caption=text).tobytes()

    seen = [drawn(letter) for letter in "aäoöuüßÄÖÜéñŁЖ?"]
    assert len(set(seen)) == len(seen)


def test_a_box_has_its_label_near_it():
    for box in [(0.5, 0.5, 0.8, 0.9), (0.5, 0.0, 0.8, 0.3), (0.9, 0.0, 1.0, 1.0), (-1.0, -0.5, 2.0, 1.5)]:
        rgb = plain(640, 360, 128)
        out = draw(rgb, sounds=[Sound("helicopter", 0.9, True, box)])
        assert (luminance(out) > 0.9).sum() > 50  # the words
        left, right = np.clip([box[0], box[2]], 0, 1) * 639
        yellow = (out == (255, 214, 10)).all(axis=2)
        assert yellow[:, round(left) : round(left) + 3].any() and yellow[:, round(right) - 2 : round(right) + 1].any()


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (16, 9), (33, 17), (5, 300), (300, 5)])
def test_thumbnails_are_drawn_on_without_errors(size):
    out = draw(plain(*size, 50), heatmap=np.ones((3, 3), np.float32), sounds=[DOG], caption=LONG)
    assert out.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("sound", [Sound("siren", 0.9), Sound("siren", 0.9, False, (0.3, 0.3, 0.6, 0.6))])
def test_a_sound_that_is_not_in_the_picture_has_an_arrow_at_its_side(size, value, side, sound):
    rgb = plain(*size, value)
    out = draw(rgb, sounds=[replace(sound, direction=side)])
    rows, columns = np.nonzero((out != rgb).any(axis=2))
    middle = columns.mean() / size[0]
    assert middle < 0.25 if side == "left" else middle > 0.75
    assert columns.min() > 0 and columns.max() < size[0] - 1 and rows.max() < 0.7 * size[1]
    light = luminance(out[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    assert (light.max() + 0.05) / (light.min() + 0.05) >= 7  # shape by brightness, not by color alone


def test_arrows_point_outwards():
    sides = [Sound("rain", 0.9, None, None, side) for side in ("left", "right")]
    left, right = (draw(plain(640, 360, 90), sounds=[sound]) for sound in sides)
    yellow = (left == (255, 214, 10)).all(axis=2)
    rows = [np.flatnonzero(row).min() for row in yellow if row.any()]
    assert rows[len(rows) // 2] < rows[0] and rows[len(rows) // 2] < rows[-1]  # the tip is in the middle
    assert (np.abs(left[:, ::-1].astype(int) - right) > 60).mean() < 0.001


def test_what_is_seen_or_straight_ahead_has_no_arrow():
    rgb = plain(640, 360, 90)
    assert draw(rgb, sounds=[Sound("rain", 0.9, None, None, "center")]) is rgb
    boxed = draw(rgb, sounds=[replace(DOG, direction="right")])
    assert (boxed[:, 400:] == 90).all()


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (230, 160, 40), (200, 60, 60), (90, 20, 110)])
def test_the_hot_spot_is_outlined_on_a_picture_of_any_color(color):
    rgb = np.full((360, 640, 3), color, np.uint8)
    heat = np.zeros((9, 16), np.float32)
    heat[3:6, 6:10] = 1
    light = luminance(draw(rgb, heatmap=heat)[180])  # along a row through it
    for side in (light[: 640 // 2], light[640 // 2 :]):
        edge = np.abs(side[1:] - side[:-1]).argmax()
        near = side[max(0, edge - 4) : edge + 5]
        assert (near.max() + 0.05) / (near.min() + 0.05) >= 3  # WCAG for graphics


def test_odd_heatmaps_are_drawn_on_without_errors():
    holes = np.array([[np.nan, 2.0], [-1.0, np.inf]], np.float32)
    for heat in (holes, np.ones((1, 1), np.float32), np.zeros((0, 4), np.float32)):
        assert draw(plain(64, 48, 50), heatmap=heat).shape == (48, 64, 3)


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match="expected a picture of"):
        Overlay(64, 48, caption="[rain falling]").draw(plain(48, 64, 0))


def test_many_frames_of_a_narration_cost_little():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        heat = np.random.default_rng(0).random((24, 24), np.float32)
        overlay = Overlay(1280, 720, heatmap=heat, sounds=[DOG], caption=LONG)
        rgb, took = plain(1280, 720, 90), []
        for _ in range(10):
            began = time.perf_counter()
            overlay.draw(rgb)
            took.append(time.perf_counter() - began)
    finally:
        cv2.setNumThreads(threads)
    assert min(took) < 0.006


def test_captions_break_between_sounds():
    assert wrap_caption("") == ()
    assert wrap_caption("[dog barking]\n[rain falling]") == ("[dog barking] [rain falling]",)
    assert wrap_caption(LONG) == ("[probably helicopter flying, left]", "[probably fire crackling, off-screen]")
    long = wrap_caption("a sentence " * 20)
    assert len(long) == 2 and long[1].endswith("…")


def test_captions_always_fit_and_lose_the_least_confident_first():
    rng = np.random.default_rng(1)
    for _ in range(500):
        count = int(rng.integers(0, 6))
        sounds = [
            Sound(
                str(rng.choice([*LABELS, "other"])),
                float(rng.random()),
                [None, True, False][rng.integers(3)],
                None,
                [None, "left", "right", "center"][rng.integers(4)],
            )
            for _ in range(count)
        ]
        lines = fit_caption(sounds)
        assert len(lines) <= 2 and all(0 < len(line) <= LINE_CHARS and "…" not in line for line in lines)
        assert bool(lines) == bool(sounds)
        if sounds:
            assert phrase(max(sounds, key=lambda sound: sound.confidence)) in " ".join(lines)
