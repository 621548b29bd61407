"""Marks on places: names and how sure, outlines, one of several, what is off-screen; and they follow their things."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avstream.drawing.canvas import ACCENT
from avstream.drawing.following import Follower
from avstream.drawing.overlay import Overlay, draw, follower_of
from avstream.drawing.placemarks import outside, placed, tag
from avstream.records import Sound

BOX, OTHER = (0.2, 0.3, 0.4, 0.7), (0.6, 0.3, 0.8, 0.7)
DARK = np.zeros((360, 640, 3), np.uint8)


def sound(label="dog_bark", box=BOX, **more):
    return Sound(label, 0.9, True, box, place_confidence=0.93, **more)


def accent(rgb):
    return (np.abs(rgb.astype(int) - ACCENT) < 24).all(axis=2)


def ground(seed=0, size=(360, 640)):
    rng = np.random.default_rng(seed)
    gray = cv2.GaussianBlur(rng.integers(0, 256, size, dtype=np.uint8), (0, 0), 3)
    gray = cv2.normalize(gray, None, 0, 200, cv2.NORM_MINMAX)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)


def with_thing(x, y, rgb=None):
    """A textured square on a textured ground."""
    out = (ground() if rgb is None else rgb).copy()
    out[y : y + 140, x : x + 120] = ground(7, (140, 120)) // 2 + 120
    return out


def test_a_tag_says_what_and_how_sure():
    assert tag([sound()]) == "dog barking 93 %"
    assert tag([sound(one_of=(BOX, OTHER))]) == "one of these: dog barking"
    assert tag([Sound("dog_bark", 0.9, True, BOX)]) == "dog barking"


def test_sounds_of_one_thing_share_its_frame_and_others_have_their_own():
    groups = placed(
        [sound("speech"), sound("clapping"), sound(box=OTHER), Sound("rain", 0.9), Sound("bell", 0.9, False, BOX)]
    )
    assert [[one.label for one in group] for group in groups] == [["speech", "clapping"], ["dog_bark"]]
    out = accent(draw(DARK, sounds=[sound(), sound("bell", OTHER)]))
    assert out[108:252, 128].mean() > 0.8 and out[108:252, 384].mean() > 0.8


def test_an_outline_is_drawn_in_place_of_the_frame():
    ring = ((0.3, 0.3), (0.4, 0.5), (0.3, 0.7), (0.2, 0.5))
    out = accent(draw(DARK, sounds=[sound(outline=ring)]))
    assert out[180 - 3 : 180 + 3, 128 - 3 : 128 + 4].any() and out[108:250, 190:194].any()
    assert not out[240:252, 125:140].any(), "the corner of the box is bare"


def test_each_of_several_is_marked_and_the_others_are_dashed():
    out = accent(draw(DARK, sounds=[sound(one_of=(BOX, OTHER))]))
    likely, other = out[110:250, 126:131].any(axis=1).mean(), out[110:250, 382:387].any(axis=1).mean()
    assert likely > 0.95 and 0.3 < other < 0.8


def test_what_is_off_screen_is_said_at_the_top_when_no_side_is_known():
    away = Sound("siren", 0.9, False, None, None, place_confidence=0.8)
    assert outside([away, Sound("bell", 0.9, False, None, "left"), Sound("rain", 0.9)]) == [away]
    out = draw(DARK, sounds=[away])
    assert (out[:60] > 200).all(axis=2).any() and not (out[80:] > 0).any()
    left = draw(DARK, sounds=[Sound("siren", 0.9, False, None, "left")])
    assert (left[:, :80] > 0).any() and not (left[:60] > 0).any()


def test_names_keep_out_of_each_others_way():
    near = (0.2, 0.31, 0.41, 0.7)
    one = (draw(DARK, sounds=[sound()]) > 200).all(axis=2).sum()
    two = (draw(DARK, sounds=[sound(), sound("bell", near)]) > 200).all(axis=2)
    assert two.sum() > 1.5 * one
    rows = np.flatnonzero(two.any(axis=1))
    assert (np.diff(rows) > 3).sum() >= 1, "two lines of type, one below the other"


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (40, 10), (-36, -24)])
def test_marks_follow_their_thing(dx, dy):
    key, now = with_thing(128, 108), with_thing(128 + dx, 108 + dy)
    follower = Follower(key, [BOX, (0.75, 0.1, 0.95, 0.4)])
    moved, still = follower.shifts(now)
    assert moved == pytest.approx((dx / 640, dy / 360), abs=0.006) and still == pytest.approx((0, 0), abs=0.004)
    small = cv2.resize(now, (320, 180), interpolation=cv2.INTER_AREA)
    assert follower.shifts(small)[0] == pytest.approx((dx / 640, dy / 360), abs=0.006)


def test_marks_are_drawn_where_the_thing_is_now_and_not_over_another_shot():
    key, now = with_thing(128, 108), with_thing(168, 118)
    overlay = Overlay(640, 360, sounds=[sound()], follower=follower_of(key, [sound()]))
    out = accent(overlay.draw(now))
    assert out[118:262, 166:171].any(axis=1).mean() > 0.9 and not out[:, 126:131].any()
    other = 255 - ground(3)
    assert (overlay.draw(other) == other).all()
    assert follower_of(None, [sound()]) is None and follower_of(key, []) is None


def test_what_cannot_be_followed_stays():
    flat = np.full((180, 320, 3), 90, np.uint8)
    assert Follower(flat, [BOX]).shifts(flat) == [(0.0, 0.0)]


def test_a_mark_that_leaves_the_picture_is_cut():
    overlay = Overlay(640, 360, sounds=[sound()])
    (patch,) = [overlay._patch]
    for across, down in ((0.9, 0), (-0.5, 0), (0, 0.5), (0.7, -0.6), (2, 2)):
        moved = patch.moved(across, down, 640, 360)
        if moved is not None:
            moved.blend(DARK.copy())
    assert patch.moved(2, 2, 640, 360) is None
