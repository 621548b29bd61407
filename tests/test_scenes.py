import json

import av
import numpy as np
import pytest

from pipelines.demo.score import compare, false_claims, score
from pipelines.nano.labels import LABELS
from pipelines.scenes.compose import background, compose, draw_source
from pipelines.scenes.movie import SceneEvent, write_scene_movie
from pipelines.scenes.sprites import DRAWINGS

RATE_HZ, FPS, SIZE = 44100, 25, (192, 108)
EVENTS = [
    SceneEvent("bell", 0.5, 1.5, ((0.05, 0.1, 0.35, 0.9),), shown=(0.0, 4.0)),
    SceneEvent("dog_bark", 0.0, 4.0, ((0.4, 0.3, 0.6, 0.9),), audible=False),
    SceneEvent("guitar", 2.5, 3.5, ((0.65, 0.1, 0.95, 0.9),)),
]


def buzz(label: str, duration_s: float, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """A sound without pauses, so that its edges are known to the sample."""
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def read(path):
    """The pictures (frames, h, w, 3) and the sound (2, n) of a movie."""
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.stack(pictures), np.concatenate(sound, axis=1)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.mp4"
    gray = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    rng = np.random.default_rng(5)
    truth = write_scene_movie(path, EVENTS, size=SIZE, rng=rng, behind=gray, make_sound=buzz)
    return truth, *read(path)


def changed(picture, behind):
    """Where the picture differs from its background, beyond what a codec does: bool (h, w)."""
    return np.abs(picture.astype(int) - behind).max(axis=-1) > 24


def edges(mask):
    """The box of a mask in [0, 1]."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height


@pytest.mark.parametrize("label", LABELS)
def test_every_label_has_a_drawing_that_fills_its_sprite(label):
    sprite = draw_source(label, 64, np.random.default_rng(1))
    assert sprite.dtype == np.uint8 and sprite.shape[2] == 4 and max(sprite.shape[:2]) == 64
    drawn = sprite[..., 3] > 128
    assert 0.2 < drawn.mean() <= 1
    assert edges(sprite[..., 3] > 0) == pytest.approx((0, 0, 1, 1), abs=0.05)
    assert len(np.unique(sprite[drawn][:, :3], axis=0)) > 4
    assert not np.array_equal(sprite, draw_source(label, 64, np.random.default_rng(2)))


def test_there_is_no_drawing_without_a_label():
    assert set(DRAWINGS) == set(LABELS)
    with pytest.raises(KeyError):
        draw_source("other", 32, np.random.default_rng(0))


@pytest.mark.parametrize(("width", "height"), [(192, 192), (320, 180), (33, 57)])
def test_backgrounds_are_pictures_of_the_size_asked_for(width, height):
    for seed in range(30):
        picture = background(width, height, np.random.default_rng(seed))
        assert picture.shape == (height, width, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture, background(width, height, np.random.default_rng(29)))


def test_boxes_are_inside_apart_and_tight_around_what_is_drawn():
    gray = np.full((120, 160, 3), 128, np.uint8)
    for seed in range(24):
        rng = np.random.default_rng(seed)
        labels = list(rng.choice(LABELS, 1 + seed % 4))
        picture, boxes = compose(labels, 160, 120, rng, behind=gray)
        assert len(boxes) == len(labels)
        left_over = np.abs(picture.astype(int) - gray).max(axis=-1) > 40
        for left, top, right, bottom in boxes:
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
            rows, columns = slice(round(top * 120), round(bottom * 120)), slice(round(left * 160), round(right * 160))
            inside = left_over[rows, columns]
            assert inside.any(), "a box must not be empty: also, boxes don't overlap"
            assert edges(inside) == pytest.approx((0, 0, 1, 1), abs=0.2)
            left_over[rows, columns] = False
        assert not left_over.any(), "nothing is drawn outside the boxes"


def test_pictures_follow_from_the_seed():
    def draw(seed):
        return compose(["dog_bark", "bell"], 96, 96, np.random.default_rng(seed))

    first, again, other = draw(1), draw(1), draw(2)
    assert np.array_equal(first[0], again[0]) and first[1] == again[1]
    assert not np.array_equal(first[0], other[0])


def test_drawings_can_be_kept_for_a_test():
    seen, _ = compose(["car_horn"], 96, 96, np.random.default_rng(0), drawings=range(1))
    kept, _ = compose(["car_horn"], 96, 96, np.random.default_rng(0), drawings=range(1000, 1001))
    assert not np.array_equal(seen, kept)


def test_a_movie_sounds_when_its_truth_says_so_and_else_is_silent(movie):
    truth, _, sound = movie
    level = np.abs(sound).max(axis=0)
    times = np.arange(sound.shape[1]) / RATE_HZ
    sounding = np.zeros(len(times), bool)
    near = np.zeros(len(times), bool)
    for event in truth:
        if event.audible:
            sounding |= (event.start_s + 0.02 < times) & (times < event.end_s - 0.02)
            near |= (event.start_s - 0.05 < times) & (times < event.end_s + 0.05)  # codecs smear by one block
    assert sounding.sum() > RATE_HZ
    loud = level[sounding][: sounding.sum() // 441 * 441].reshape(-1, 441).max(axis=1)
    assert loud.min() > 0.2
    assert level[~near].max() < 1e-4


def test_a_sound_comes_from_where_its_thing_is(movie):
    truth, _, sound = movie
    for event in truth:
        if event.audible:
            piece = sound[:, round(event.start_s * RATE_HZ) : round(event.end_s * RATE_HZ)]
            left, right = np.sqrt((piece**2).mean(axis=1))
            assert (left > 1.5 * right) if event.direction == "left" else (right > 1.5 * left)


def test_things_are_seen_in_their_boxes_during_their_time_only(movie):
    truth, pictures, _ = movie
    assert len(pictures) == 4 * FPS
    height, width = pictures[0].shape[:2]
    for frame in range(0, len(pictures), 7):
        mask = changed(pictures[frame], 128)
        for event in truth:
            left, top, right, bottom = event.box_at(frame / FPS)
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
            rows = slice(int(top * height) - 1, int(np.ceil(bottom * height)) + 1)
            columns = slice(int(left * width) - 1, int(np.ceil(right * width)) + 1)
            shown = event.span_s[0] <= frame / FPS < event.span_s[1]
            share = mask[rows, columns].mean()
            assert share > 0.2 if shown else share == 0
            mask[rows, columns] = False
        assert mask.mean() < 0.002, "nothing is drawn outside the boxes"


def test_a_thing_moves_when_its_sound_begins_and_a_silent_one_does_not(movie):
    _, pictures, _ = movie
    width = SIZE[0]
    bell, dog = pictures[:, :, : int(0.37 * width)], pictures[:, :, int(0.4 * width) : int(0.6 * width)]

    def moved(part, frame):
        return np.abs(part[frame].astype(int) - part[frame - 2]).mean()

    onset = round(0.5 * FPS)
    assert max(moved(bell, onset + k) for k in range(3)) > 5 * max(moved(bell, 50), 0.1)
    assert max(moved(dog, onset + k) for k in range(3)) < 0.5


def test_truth_is_json(movie):
    truth, _, _ = movie
    bell, dog, guitar = json.loads(json.dumps([event.to_dict() for event in truth]))
    assert (bell["label"], bell["start_s"], bell["end_s"], bell["shown"]) == ("bell", 0.5, 1.5, [0.0, 4.0])
    assert not dog["audible"] and guitar["direction"] == "right"


def test_movies_follow_from_the_seed(tmp_path):
    def write(name, seed):
        rng = np.random.default_rng(seed)
        truth = write_scene_movie(tmp_path / name, EVENTS[:1], size=(96, 64), rng=rng, duration_s=1.5)
        return truth, *read(tmp_path / name)

    def difference(one, two):
        return np.abs(one[1].astype(int) - two[1]).mean()

    first, again, other = write("a.mp4", 3), write("b.mp4", 3), write("c.mp4", 4)
    assert first[0] == again[0] and np.array_equal(first[2], again[2])
    assert difference(first, again) < 0.5, "of equal pictures, x264 codes one in some hundred movies a level apart"
    assert difference(first, other) > 5


def test_off_screen_things_sound_and_are_not_drawn(tmp_path):
    hidden = [SceneEvent("siren", 0.0, 0.8, ((x, 0.2, x + 0.2, 0.6),), visible=False) for x in (0.9, 1.1)]
    gray = np.full((64, 96, 3), 128, np.uint8)
    write_scene_movie(tmp_path / "s.mp4", hidden, size=(96, 64), rng=np.random.default_rng(0), behind=gray)
    pictures, sound = read(tmp_path / "s.mp4")
    assert not changed(pictures, 128).any()
    assert np.abs(sound[1]).max() > 0.2 and np.abs(sound[0]).max() < 1e-2


def test_odd_sizes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="even"):
        write_scene_movie(tmp_path / "s.mp4", EVENTS, size=(97, 64), rng=np.random.default_rng(0))


def narrated(second, *labels):
    """A narration line as `avstream file --jsonl` writes it, for the focus that begins at `second`."""
    sounds = [{"label": label, "confidence": 0.9, "visible": None, "direction": None} for label in labels]
    times = {"start_s": max(0, second - 1), "end_s": second + 2}
    return {"focus_start_s": second, "focus_end_s": second + 1, "sounds": sounds, **times}


@pytest.mark.parametrize(
    ("bell", "quiet", "expected"),
    [
        (["bell"], [], "1 of 1 sounds heard, 1 of 1 silences kept, 0 wrong claims"),
        (["alarm"], [], "0 of 1 sounds heard, 1 of 1 silences kept, 4 wrong claims"),
        ([], ["rain"], "0 of 1 sounds heard, 0 of 1 silences kept, 5 wrong claims"),
    ],
)
def test_the_demo_scores_what_was_narrated(bell, quiet, expected):
    truth = [SceneEvent("bell", 0.0, 4.0, ((0, 0, 1, 1),)), SceneEvent("rain", 0, 9, ((0, 0, 1, 1),), audible=False)]
    lines = [narrated(second, *(bell if second < 4 else quiet)) for second in range(9)]
    assert expected in score(compare(truth, lines), false_claims(truth, lines), len(lines))


def test_the_demo_gives_no_points_for_what_was_not_narrated():
    truth = [SceneEvent("bell", 0.0, 4.0, ((0, 0, 1, 1),)), SceneEvent("bell", 8.0, 9.0, ((0, 0, 1, 1),))]
    assert not any(row.right for row in compare(truth, []))
