"""What the window shows, as pictures: what is readable, what covers what, what fades, and what each size does to it."""

import itertools
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from avstream.drawing.layout import CAPTION_TOP, arrange
from avstream.drawing.overlay import target_size
from avstream.drawing.panels import Meter, history_rows
from avstream.drawing.screen import KEYS_S, STALE_S, Screen
from avstream.records import Narration, Problem, Sound, SoundEvent, Status, StreamInfo, VideoFrame
from tests.test_overlay import luminance

LOST = Problem("no_picture", "camera 0", "camera 0 was lost", "check its plug", 90.0, 2.0)
DEAF = Problem("no_sound", "the microphone", "the microphone gives no sound", "check its plug", 90.0)

SIZES = [(640, 360), (1280, 720), (1920, 1080), (405, 720), (800, 600)]
PICTURES = [(360, 640), (480, 640), (720, 405), None]
INFO = StreamInfo("kitchen", None, True, True, 640, 360, 30.0, 1_790_000_000.0)
DOG = Sound("dog_bark", 0.97, True, (0.3, 0.3, 0.6, 0.6), None, -20.0)
SIREN = Sound("siren", 0.6, False, None, "right", -30.0)
HEAT = np.zeros((9, 16), np.float32)
HEAT[3:6, 6:10] = 1


def photo(height: int = 360, width: int = 640, value: int | None = None) -> VideoFrame:
    if value is not None:
        return VideoFrame(0.0, np.full((height, width, 3), value, np.uint8))
    noise = np.random.default_rng(0).integers(60, 200, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return VideoFrame(0.0, cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))


def narration(*sounds: Sound, heatmap=None, at_s: float = 100.0) -> Narration:
    return Narration("kitchen", 0, at_s - 3, at_s, at_s - 2, at_s - 1, "", sounds, -20.0, heatmap)


def event(number: int, label="rain", onset_s=50.0, end_s=None, **more) -> SoundEvent:
    phase = "continues" if end_s is None else "ended"
    return SoundEvent(f"e{number}", "kitchen", label, phase, onset_s, end_s, 0.9, 0.9, -20.0, **more)


def told(*sounds: Sound, **more) -> Screen:
    screen = Screen(INFO)
    screen.status(Status("kitchen", 100.0, 0.4, 0, -20.0))
    screen.tell(narration(*sounds, **more))
    return screen


def settled(screen: Screen, picture, size, at_s=100.0, seconds=2.0) -> np.ndarray:
    for step in range(round(seconds * 10) + 1):
        out = screen.render(picture, size, at_s + step / 10)
    return out


def rows_of_change(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.flatnonzero((a != b).any(axis=(1, 2)))


@pytest.mark.parametrize("size", [*SIZES, (1, 1), (16, 9), (100, 60), (60, 400), (800, 90), (33, 500)])
@pytest.mark.parametrize("picture", [*PICTURES, (1, 1), (2000, 40)])
def test_every_size_of_window_and_picture_is_drawn(size, picture):
    screen = told(DOG, SIREN, heatmap=HEAT)
    for number in range(9):
        screen.event(event(number, onset_s=number, end_s=None if number % 3 else number + 2.5, urgent=number == 4))
    screen.show_keys(100.0)
    screen.say("saved a-file-with-a-long-name-20261121-093000.png", 100.0)
    screen.mute("rain")
    out = settled(screen, photo(*picture) if picture else None, size)
    assert out.shape == (size[1], size[0], 3) and out.dtype == np.uint8


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("picture", PICTURES[:3])
def test_the_picture_is_whole_and_as_large_as_can_be(size, picture):
    left, top, right, bottom = arrange(*size, picture).picture
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    assert right - left == size[0] or bottom - top == size[1]
    assert (right - left) / (bottom - top) == pytest.approx(picture[1] / picture[0], rel=0.02)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("picture", PICTURES)
def test_no_panel_covers_the_caption(size, picture):
    """Whatever is shown besides, the caption's own pixels are the same."""
    frame = photo(*picture, value=90) if picture else None
    plain = settled(told(replace(DOG, box=None)), frame, size)
    without = settled(told(), frame, size)
    caption = rows_of_change(plain, without)
    screen = told(replace(DOG, box=None))
    for number in range(20):
        screen.event(event(number, "helicopter", onset_s=number, end_s=None if number % 2 else number + 70))
    screen.status(Status("kitchen", 100.0, 0.4, 0, -20.0, (LOST, DEAF)))
    screen.show_keys(100.0)
    screen.mute("rain")
    full = settled(screen, frame, size, seconds=3)
    margin_x = round(0.05 * size[0])  # the loudness bar stands there
    stage = arrange(*size, picture).stage
    assert caption.size and (full == plain)[caption, margin_x : stage - margin_x].all()
    assert caption.min() >= (CAPTION_TOP if picture else 0.4) * size[1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_all_type_is_legible_on_any_picture(size, value):
    """In the history: white or light gray on dark, at 7:1 at least."""
    screen, frame = told(), photo(value=value)
    empty = settled(screen, frame, size)
    screen.event(event(1, onset_s=90.0, end_s=95.0))
    out = settled(screen, frame, size)
    rows, columns = np.nonzero((out != empty).any(axis=2))
    panel = luminance(out[rows.min() + 3 : rows.max() - 2, columns.min() + 5 : columns.max() - 4])
    ink = np.sort(panel.ravel())[-20:].min()
    near_ink = cv2.dilate((panel > 0.08).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (~near_ink).any() and (ink + 0.05) / (panel[~near_ink].max() + 0.05) >= 7


def test_captions_are_bigger_without_a_picture():
    def rows_of_ink(frame) -> int:
        out = settled(told(replace(DOG, box=None)), frame, (1280, 720))
        return int((luminance(out[400:, 300:700]) > 0.8).any(axis=1).sum())

    assert rows_of_ink(None) > 1.6 * rows_of_ink(photo(value=0))


def test_long_captions_in_a_narrow_window_become_more_lines_rather_than_small():
    out = settled(told(replace(DOG, box=None), SIREN), photo(720, 405, 0), (405, 720))
    ink = (luminance(out[round(CAPTION_TOP * 720) :, 30:375]) > 0.5).any(axis=1)
    assert np.count_nonzero(np.diff(ink.astype(int)) == 1) >= 3
    assert ink.sum() > 3 * 0.6 * target_size(405, 720)


def test_marks_fade_and_never_flash():
    """Narrations that change ten times a second turn the picture at most three times a second, in small steps."""
    screen, frame = told(), photo(value=100)
    settled(screen, frame, (640, 360))
    looks = itertools.cycle([narration(DOG, heatmap=HEAT), narration()])
    seen = []
    for step in range(90):
        if step % 3 == 0:
            screen.tell(next(looks))
        seen.append(screen.render(frame, (640, 360), 103 + step / 30)[60:250, 60:600].astype(float).mean(axis=2))
    steps = np.diff(seen, axis=0)
    assert 5 < np.abs(steps).max() < 60  # of 255, from one picture to the next
    spot = np.sign([step[110, 260] for step in steps])  # in the heat
    moving = spot[spot != 0]
    assert 1 <= np.count_nonzero(np.diff(moving)) <= 9


def test_a_caption_goes_when_the_sound_is_over_and_when_nothing_is_told_any_more():
    screen, frame = told(DOG), photo(value=90)
    silent = settled(told(), frame, (640, 360))[270:]
    assert (settled(screen, frame, (640, 360))[270:] != silent).any()
    screen.tell(narration())
    half = screen.render(frame, (640, 360), 102.3)[270:]
    assert (half != silent).any()  # it fades
    assert (settled(screen, frame, (640, 360), 102.3)[270:, 40:] == silent[:, 40:]).all()
    screen.tell(narration(DOG))
    settled(screen, frame, (640, 360), 105)
    assert (settled(screen, frame, (640, 360), 105 + STALE_S + 1)[270:, 40:] == silent[:, 40:]).all()


def test_a_frozen_picture_keeps_its_marks_while_the_words_go_on():
    screen, frame = told(DOG, heatmap=HEAT), photo()
    before = settled(screen, frame, (640, 360))
    screen.toggle_frozen()
    settled(screen, frame, (640, 360), 102.1)
    screen.tell(narration(Sound("rain", 0.9)))
    frozen = settled(screen, photo(value=0), (640, 360), 104.2)
    assert (frozen[110:260, 60:] == before[110:260, 60:]).all()
    assert (frozen[270:] != before[270:]).any()
    screen.toggle_frozen()
    assert (settled(screen, photo(value=0), (640, 360), 107)[110:260, 60:600] == 0).all()


def test_the_heatmap_can_be_hidden_and_the_box_stays():
    screen, frame = told(DOG, heatmap=HEAT), photo(value=100)
    shown = settled(screen, frame, (640, 360))
    screen.toggle_heatmap()
    hidden = settled(screen, frame, (640, 360), 103)
    assert (shown[150, 300] != 100).any() and (hidden[150, 300] == 100).all()
    assert (hidden[:, :, 2] < 30).any()  # the yellow of the box


def test_the_newest_is_what_is_muted():
    screen = told(DOG, SIREN)
    assert screen.newest() == "dog_bark"  # without events, the surest
    screen.event(event(1, "rain", onset_s=90.0))
    screen.event(event(2, "siren", onset_s=80.0))
    screen.event(event(3, "bell", onset_s=95.0, end_s=96.0))
    assert screen.newest() == "rain"
    screen.mute("rain")
    assert screen.newest() == "siren"
    screen.mute("siren")
    screen.mute("dog_bark")
    assert screen.newest() is None
    frame = photo(value=90)
    silent = told()
    for label in ("rain", "siren", "dog_bark"):
        silent.mute(label)
    assert (settled(screen, frame, (640, 360))[100:] == settled(silent, frame, (640, 360))[100:]).all()
    screen.status(Status("kitchen", 100.0, 0.4, 0, -20.0, muted=("siren",)))  # the others were unmuted elsewhere
    assert screen.muted == ("siren",) and screen.newest() == "rain"


def test_only_who_is_heard_says_that_it_listens():
    def top_left(status: Status | None, now_s: float = 100.0) -> bytes:
        screen = Screen(INFO)
        if status:
            screen.status(status)
        return screen.render(photo(value=90), (1280, 720), now_s)[:60, 40:500].tobytes()

    well = Status("kitchen", 100.0, 0.4, 0, -20.0)
    states = [
        top_left(None),
        top_left(well),
        top_left(replace(well, problems=(DEAF,))),
        top_left(replace(well, time_s=100.0 - 2 * STALE_S)),
    ]
    assert len(set(states)) == len(states)
    assert top_left(well) == top_left(well, 104.0)  # steady: nothing blinks


def test_the_history_has_wall_clock_times_newest_first_and_what_is_urgent_before_it():
    events = [
        event(1, "rain", 10.0, 95.0),
        event(2, "doorbell", 50.0, 50.4, direction="left"),
        event(3, "dog_bark", 60.0),
        event(4, "alarm", 40.0, urgent=True),
        event(5, "siren", 20.0, 220.0, urgent=True),
    ]
    rows = history_rows(events, INFO.epoch_s, 10)
    words = ["alarm sounding", "dog barking", "doorbell ringing, left", "siren wailing", "rain falling"]
    assert [row.words for row in rows] == words
    assert [row.lasted for row in rows] == ["now", "now", "<1 s", "3 min", "85 s"]
    assert [row.urgent for row in rows] == [True, False, False, True, False]
    assert rows[0].time == time.strftime("%H:%M:%S", time.localtime(INFO.epoch_s + 40))
    assert history_rows(events, None, 2)[0].time == "0:40"
    assert len(history_rows(events, None, 2)) == 2


def test_what_is_urgent_is_framed_and_named():
    def drawn(urgent: bool) -> np.ndarray:
        screen = told(Sound("siren", 0.9))
        screen.event(event(1, "siren", 98.0, urgent=urgent))
        return settled(screen, photo(value=90), (1280, 720))

    calm, alarmed = drawn(False), drawn(True)
    yellow = (alarmed == (255, 214, 10)).all(axis=2) & ~(calm == (255, 214, 10)).all(axis=2)
    assert yellow[:250, 640:].any() and yellow[500:].sum() > 1000  # in the history, and around the caption
    assert (alarmed[:250, 640:] != calm[:250, 640:]).any()


def test_the_history_forgets_the_oldest_and_not_what_goes_on():
    screen = told()
    screen.event(event(0, "rain", 0.0))
    for number in range(1, 300):
        screen.event(event(number, "bell", float(number), number + 0.5))
    assert screen.newest() == "rain"
    assert len(screen._events) <= 64


def test_the_bar_glides_to_the_level_and_the_peak_is_held():
    def drawn(now_s: float) -> tuple[int, int]:
        """Rows of the bar, and the height of the peak's top."""
        meter.move(now_s)
        out = np.zeros((400, 20, 3), np.uint8)
        meter.draw(out, 5, 20, 15, 380)
        bar, peak = ((out[:, 10] == color).all(axis=1) for color in ((212, 212, 218), (255, 214, 10)))
        return int(bar.sum()), 380 - int(np.argmax(peak)) if peak.any() else 0

    meter = Meter()
    meter.move(0.0)
    meter.target_dbfs = -15.0
    levels = [drawn(step / 30)[0] for step in range(1, 31)]
    assert all(-3 <= b - a < 60 for a, b in itertools.pairwise(levels))  # the peak's line and ticks lie on it
    assert levels[-1] == pytest.approx(0.75 * 360, abs=5)
    meter.target_dbfs = -120.0
    low, peak = drawn(2.0)
    assert low < levels[-1] - 100 and peak == pytest.approx(0.75 * 360, abs=3)
    for step in range(60):
        low, peak = drawn(2 + step / 10)
    assert low <= 2 and peak == 0  # two ticks


def test_the_keys_are_shown_for_some_seconds():
    screen, frame = told(), photo(value=90)
    without = settled(screen, frame, (640, 360))
    screen.show_keys(102.0)
    assert (screen.render(frame, (640, 360), 102.5) != without).mean() > 0.1
    assert (screen.render(frame, (640, 360), 102.0 + KEYS_S) == without).all()


def test_marks_of_a_picture_that_is_gone_are_gone():
    """After a cut the box would be on something else; the words, and the side, go on."""
    boxed = Sound("dog_bark", 0.97, True, (0.3, 0.2, 0.6, 0.7), None, -20.0)
    heat = np.zeros((9, 16), np.float32)
    heat[3:6, 6:10] = 1
    before, after = photo(value=200), photo(value=40)
    screen, plain = told(boxed, heatmap=heat), told(replace(boxed, box=None))
    shown = settled(screen, before, (640, 360))
    assert (shown != settled(plain, before, (640, 360))).any()
    now_s = 102.5
    assert (screen.render(after, (640, 360), now_s) == plain.render(after, (640, 360), now_s)).all()
    screen.tell(narration(boxed, heatmap=heat))
    anew = settled(screen, after, (640, 360), 103)
    assert (anew != settled(plain, after, (640, 360), 103)).any(), "a new narration has its own place"
