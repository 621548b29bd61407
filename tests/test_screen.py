"""The display as pictures: what is readable at three metres, what stays, what fades, what fills the view."""

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from avstream.drawing.fades import HOLD_S
from avstream.drawing.history import UNSEEN_S, History, ago, span
from avstream.drawing.layout import SMALL, arrange
from avstream.drawing.meter import Meter, scale_patch
from avstream.drawing.screen import BACKGROUND, KEYS_S, STALE_S, Screen
from avstream.drawing.timeline import slots
from avstream.records import Narration, Problem, Sound, SoundEvent, Status, StreamInfo, VideoFrame
from tests.test_overlay import luminance

SIZES = [(640, 360), (1280, 720), (1920, 1080), (405, 720), (800, 600)]
PICTURES = [(360, 640), (480, 640), (720, 405), None]
INFO = StreamInfo("kitchen", None, True, True, 640, 360, 30.0, 1_790_000_000.0)
EARS = replace(INFO, has_video=False)
DOG = Sound("dog_bark", 0.97, True, (0.3, 0.3, 0.6, 0.6), None, -20.0)
SIREN = Sound("siren", 0.6, False, None, "right", -30.0)
HEAT = np.zeros((9, 16), np.float32)
HEAT[3:6, 6:10] = 1
YELLOW = (255, 214, 10)
BIG = (1280, 720)


def photo(height: int = 360, width: int = 640, value: int | None = None) -> VideoFrame:
    if value is not None:
        return VideoFrame(0.0, np.full((height, width, 3), value, np.uint8))
    noise = np.random.default_rng(0).integers(60, 200, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return VideoFrame(0.0, cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))


def narration(*sounds: Sound, heatmap=None, at_s: float = 100.0) -> Narration:
    return Narration("kitchen", 0, at_s - 3, at_s, at_s - 2, at_s - 1, "", sounds, -20.0, heatmap)


def event(number: int, label="rain", onset_s=50.0, end_s=None, confidence=0.9, **more) -> SoundEvent:
    phase = "continues" if end_s is None else "ended"
    return SoundEvent(f"e{number}", "kitchen", label, phase, onset_s, end_s, confidence, confidence, -20.0, **more)


DEAF = Problem("no_sound", "the microphone", "the microphone was lost", "check its plug", 90.0, 4.0)
BLIND = Problem("no_picture", "camera 0", "camera 0 was lost", "check its plug and its cable", 90.0, 4.0)
BUSY = Problem("overloaded", "kitchen", "12 s of sound were not listened to", "close other programs", 90.0)
FAR = "MQTT broker mqtts://hub-with-a-long-name.example.org:8883/avstream not reached: connection refused"
AWAY = Problem("broker_away", "mqtts://hub", FAR, "see that it runs, and that host and port are right", 90.0, 4.0)
FRESH_S = 1e6  # of a status that never gets old


def status(at_s: float = FRESH_S, *problems) -> Status:
    return Status("kitchen", at_s, 0.4, 0, -20.0, problems)


def showing(*sounds: Sound, info: StreamInfo = INFO, flash: bool = False, **more) -> Screen:
    screen = Screen(info, flash=flash)
    screen.status(status())
    screen.write(narration(*sounds, **more))
    return screen


def settled(screen: Screen, picture, size, at_s=100.0, seconds=2.0) -> np.ndarray:
    for step in range(round(seconds * 10) + 1):
        out = screen.render(picture, size, at_s + step / 10)
    return out


def part(out: np.ndarray, box) -> np.ndarray:
    left, top, right, bottom = box
    return out[top:bottom, left:right]


def ink_height(patch: np.ndarray) -> int:
    """Rows from the top to the bottom of what is bright."""
    rows = np.flatnonzero((luminance(patch) > 0.5).any(axis=1))
    return int(np.ptp(rows)) + 1 if rows.size else 0


def arcminutes(pixels: float) -> float:
    """At 3 m from a screen of 14 inches, 310 mm wide, that shows 1280 pixels across."""
    return float(np.degrees(np.arctan(pixels * 310 / 1280 / 3000)) * 60)


@pytest.mark.parametrize("size", [*SIZES[2:], (320, 180), (1, 1), (16, 9), (60, 400), (800, 90)])
@pytest.mark.parametrize("picture", [(360, 640), None, (2000, 40)])
@pytest.mark.parametrize("problems", [(), (BLIND, AWAY), (DEAF, BUSY)])
def test_every_size_of_window_and_picture_is_drawn(size, picture, problems):
    screen = showing(DOG, SIREN, heatmap=HEAT, flash=True, info=INFO if picture else EARS)
    for number, label in enumerate(["rain", "bell", "siren", "knock", "alarm", "speech", "piano", "rain", "bell"]):
        screen.event(event(number, label, number, None if number % 3 else number + 2.5, urgent=number in (2, 4, 6)))
    screen.status(status(FRESH_S, *problems))
    screen.show_keys(100.0)
    screen.say("saved a-file-with-a-long-name-20261121-093000.png", 100.0)
    screen.mute("rain")
    out = settled(screen, photo(*picture) if picture else None, size, seconds=0.3)
    assert out.shape == (size[1], size[0], 3) and out.dtype == np.uint8


@pytest.mark.parametrize("size", [*SIZES, (320, 180)])
@pytest.mark.parametrize("picture", PICTURES[:3])
@pytest.mark.parametrize("banners", [0, 2])
def test_the_picture_is_complete_and_nothing_lies_over_it_or_over_another(size, picture, banners):
    layout = arrange(*size, picture, banners)
    left, top, right, bottom = layout.picture
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    assert (right - left) / (bottom - top) == pytest.approx(picture[1] / picture[0], rel=0.02)
    if size[1] < SMALL[0]:
        return
    boxes = [layout.strip, layout.picture, layout.caption, layout.history] + [layout.banners] * bool(banners)
    for one, other in itertools.combinations(boxes, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)


def test_in_a_small_window_picture_and_caption_win():
    layout = arrange(320, 180, (360, 640))
    assert layout.picture == (0, 0, 320, 180) and layout.history is None and layout.strip is None
    screen, frame = showing(replace(DOG, box=None)), photo(value=90)
    for number in range(9):
        screen.event(event(number, "rain", number, number + 1))
    out = settled(screen, frame, (320, 180))
    assert (out[:110] == 90).all(), "the picture has it all, but for the caption"
    assert ink_height(out[110:]) >= 12


def test_a_small_window_without_a_picture_is_never_empty():
    quiet = settled(showing(info=EARS), None, (320, 180))
    assert (luminance(quiet) > 0.5).sum() > 50, "it says that it listens"


def test_words_are_large_enough_for_three_metres():
    """A capital letter is 0.72 of the type's size; sight of 20/20 needs 5 minutes of arc, comfort twice as much."""
    layout = arrange(1280, 720, (360, 640))
    assert arcminutes(0.72 * layout.row) >= 10
    for info, picture in ((INFO, photo(value=90)), (EARS, None)):
        screen = showing(info=info)
        empty = settled(screen, picture, BIG)
        screen.event(event(1, "bell", 99.0))
        box = arrange(1280, 720, picture.rgb.shape[:2] if picture else None).history
        first = slots(arrange(1280, 720, picture.rgb.shape[:2] if picture else None), 1)[0]
        words = (box[0], box[1], box[2], box[1] + round(1.15 * first.size))
        drawn, before = part(settled(screen, picture, BIG), words), part(empty, words)
        assert arcminutes(ink_height(np.where(drawn != before, drawn, 0))) >= 10, "ascender to descender"
    caption = settled(showing(replace(DOG, box=None)), photo(value=0), BIG)
    assert arcminutes(ink_height(part(caption, layout.caption))) >= 14


def test_without_a_camera_the_history_has_the_view_and_the_newest_is_largest():
    layout = arrange(1280, 720, None)
    assert layout.picture[2] == 0 and layout.history[2] - layout.history[0] > 0.95 * 1280
    places = slots(layout, 12)
    assert len(places) >= 6 and places[0].size > 1.4 * places[1].size
    assert all(place.box[3] <= layout.history[3] for place in places)


def test_a_row_a_sound_shows_how_long_how_sure_and_how_old():
    def bar(confidence, onset_s, end_s) -> np.ndarray:
        screen = showing(info=EARS)
        screen.event(event(1, "bell", onset_s, end_s, confidence))
        place = slots(arrange(1280, 720, None), 1)[0]
        return luminance(settled(screen, None, BIG, 400.0)[place.bar_y - 20 : place.bar_y - 1, :1000])

    sure, unsure = bar(0.95, 250.0, 310.0) > 0.3, bar(0.6, 250.0, 310.0) > 0.3
    assert sure.any(axis=1).sum() > 1.3 * unsure.any(axis=1).sum()
    columns = np.flatnonzero(sure.any(axis=0))
    scale = (1280 - 2 * arrange(1280, 720, None).gap) / 300
    assert np.ptp(columns) == pytest.approx(60 * scale, abs=4)
    assert 1280 - columns.max() == pytest.approx(92 * scale + arrange(1280, 720, None).gap, abs=4), "it ended 92 s ago"


def test_age_and_duration_are_two_things_in_words():
    history = History()
    history.add(event(1, "rain", 10.0, 95.0))
    history.add(event(2, "doorbell", 50.0, 50.4, direction="left"))
    history.add(event(3, "dog_bark", 60.0))
    history.add(event(4, "doorbell", 20.0, 26.0))
    rows = history.rows(100.0, None, 10)
    assert [row.label for row in rows] == ["dog_bark", "doorbell", "rain"], "the newest first, one row a sound"
    assert [(row.when, row.lasted) for row in rows] == [
        ("now", "for 40 s"), ("50 s ago", "for 1 s"), ("1 min ago", "for 1 min"),
    ]  # fmt: skip
    assert rows[1].words == "doorbell ringing, left" and len(rows[1].pieces) == 2
    assert [span(v) for v in (0.2, 7.6, 14, 59, 61, 7300)] == ["1 s", "8 s", "10 s", "55 s", "1 min", "2 h"]
    assert ago(30.0, 0.0, 0.0) == "30 s ago" and ago(4000.0, 0.0, 0.0).startswith("at ")


def test_what_goes_on_keeps_its_row_when_there_is_no_room_for_all():
    history = History()
    history.add(event(0, "rain", 0.0))
    for number, label in enumerate(["bell", "siren", "knock", "speech"], 1):
        history.add(event(number, label, 10.0 * number, 10.0 * number + 2))
    assert [row.label for row in history.rows(100.0, None, 2)] == ["speech", "rain"]


def test_a_corrected_sound_keeps_its_row_and_becomes_urgent():
    history = History()
    history.add(event(1, label="person"))
    history.add(replace(event(1, label="baby_cry"), phase="updated", urgent=True))
    assert [row.label for row in history.unseen(60.0, None)] == ["baby_cry"]
    history.see()
    (row,) = history.rows(60.0, None, 8)
    assert (row.label, row.when, row.lasted) == ("baby_cry", "now", "for 10 s")


def test_history_forgets_the_oldest_and_not_what_goes_on():
    history = History()
    history.add(event(0, "rain", 0.0))
    for number in range(1, 900):
        history.add(event(number, "bell", float(number), number + 0.5))
    assert history.going()[0].label == "rain"
    assert sum(len(row.pieces) for row in history.rows(900.0, None, 9)) <= 256


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("info", [INFO, EARS])
def test_all_type_of_the_history_is_legible(size, info):
    """White or light gray on dark, at 7:1 at least."""
    screen, frame = showing(info=info), photo(value=255) if info is INFO else None
    screen.event(event(1, "bell", 20.0, 30.0, 0.95))
    out = part(settled(screen, frame, size), slots(arrange(*size, frame.rgb.shape[:2] if frame else None), 1)[0].box)
    panel = luminance(out)
    ink = np.sort(panel.ravel())[-20:].min()
    assert (ink + 0.05) / (np.median(panel) + 0.05) >= 7


# What is urgent


def urgent_rows(out: np.ndarray, size=BIG) -> int:
    """How many rows of a banner there are below the strip."""
    return int(((out == YELLOW).all(axis=2).mean(axis=1) > 0.6).sum())


def test_what_is_urgent_has_its_own_line_and_no_other_sound_is_called_so():
    """The mark once stood around whatever caption there was, seconds after the urgent sound."""
    sneeze = Sound("sneeze", 0.4)
    plain, frame = showing(sneeze), photo(value=90)
    screen = showing(sneeze)
    screen.event(event(1, "guitar", 95.0, 98.0, urgent=True))
    out, calm = settled(screen, frame, BIG), settled(plain, frame, BIG)
    layout = arrange(1280, 720, (360, 640), 1)
    assert urgent_rows(out) > 50 and urgent_rows(calm) == 0
    caption = part(out, layout.caption)
    assert not (caption == YELLOW).all(axis=2).any(), "nothing marks the caption"
    other = showing(sneeze)
    other.event(event(1, "siren", 95.0, 98.0, urgent=True))
    changed = part(out, layout.banners) != part(settled(other, frame, BIG), layout.banners)
    assert changed.any(), "the line has its own sound's words"
    assert (caption == part(settled(other, frame, BIG, 103), layout.caption)).all()


@pytest.mark.parametrize("size", [(1280, 720), (1280, 722), (1920, 1080)])
def test_how_to_confirm_an_urgent_line_is_not_cut_and_no_history_denies_it(size):
    """In a real window the lower half of "press a key when seen" was missing, beside "nothing heard so far"."""
    screen = showing(flash=False)
    screen.event(event(1, "bell", 95.0, urgent=True))
    out, layout = settled(screen, photo(value=90), size), arrange(*size, (360, 640), 1)
    banner = part(out, layout.banners)
    inked = (np.abs(luminance(banner) - luminance(np.array([[YELLOW]], np.uint8))[0, 0]) > 0.3)[
        :, 3 * size[0] // 4 : -16
    ]
    rows = np.flatnonzero(inked.any(axis=1))
    assert len(rows) > 0.3 * len(banner) and rows[-1] < 0.92 * len(banner), "two lines, above the frame"
    assert (part(out, layout.history) == BACKGROUND).all(), "no row, and no word that there was nothing"
    quiet = settled(showing(flash=False), photo(value=90), size)
    assert (part(quiet, arrange(*size, (360, 640), 0).history) != BACKGROUND).any(), "which there is without it"


@pytest.mark.parametrize("info", [INFO, EARS])
def test_an_urgent_line_is_larger_than_all_else_and_stays_until_it_was_seen(info):
    frame = photo(value=90) if info is INFO else None
    screen = showing(info=info)
    screen.event(event(1, "alarm", 90.0, 95.0, urgent=True))
    layout = arrange(1280, 720, (360, 640) if frame else None, 1)
    out = settled(screen, frame, BIG)
    line = np.abs(luminance(part(out, layout.banners)) - luminance(np.array([[YELLOW]], np.uint8))[0, 0]) > 0.3
    rows = np.flatnonzero(line[8:-8, 200:800].any(axis=1))
    assert np.ptp(rows) > 1.2 * 0.72 * layout.row
    assert urgent_rows(settled(screen, frame, BIG, 95.0 + UNSEEN_S - 2.5)) > 50
    assert urgent_rows(settled(screen, frame, BIG, 95.0 + UNSEEN_S + 0.1)) == 0
    screen.event(event(2, "alarm", 130.0, urgent=True))
    assert urgent_rows(settled(screen, frame, BIG, 200.0)) > 50, "while it sounds it stays, however long"
    screen.see()
    seen = settled(screen, frame, BIG, 203.0)
    assert urgent_rows(seen) == 0 and (part(seen, layout.history) == YELLOW).all(axis=2).any(), "a row like others"


def test_urgent_flashes_less_than_three_times_a_second_and_not_at_all_when_unwanted():
    def flashes(flash: bool, label="alarm") -> int:
        screen = showing(flash=flash)
        screen.event(event(1, label, 90.0, urgent=True))
        layout = arrange(640, 360, (360, 640), 1)
        frame = photo(value=90)
        shots = [screen.render(frame, (640, 360), 100 + step / 30) for step in range(90)]
        light = [float(luminance(part(shot, layout.banners)).mean()) for shot in shots]
        return int((np.abs(np.diff(light)) > 0.1).sum())

    assert 4 <= flashes(True) <= 6, "two changes are a flash: one a second, where three are allowed"
    assert flashes(False) == 0


# What is wrong


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (DEAF, "view"),
        (replace(DEAF, kind="no_stream"), "view"),
        (BUSY, "view"),
        (BLIND, "picture"),
    ],
)
@pytest.mark.parametrize("size", [(1280, 720), (405, 720)])
@pytest.mark.parametrize("info", [INFO, EARS])
def test_what_is_wrong_fills_the_view_while_it_is_so(problem, kind, size, info):
    """Deaf once looked like silent: an empty screen with one cut-off line."""
    if kind == "picture" and info is EARS:
        return
    frame = photo(value=90) if info is INFO else None
    screen = showing(replace(DOG, box=None), info=info)
    screen.event(event(1, "bell", 20.0, 30.0))
    well = settled(screen, frame, size)
    screen.status(status(FRESH_S, problem))
    layout = arrange(*size, (360, 640) if frame else None)
    box = layout.picture if kind == "picture" and frame else layout.view
    out = settled(screen, frame, size, 102.0, 3.0)
    ill = part(out, box)
    assert (ill[2] == YELLOW).all(axis=1).mean() > 0.9, "framed"
    words = (luminance(ill) > 0.4)[12:-12, 12:-12]
    rows, columns = np.flatnonzero(words.any(axis=1)), np.flatnonzero(words.any(axis=0))
    assert np.ptp(rows) > 0.5 * words.shape[0] or np.ptp(columns) > 0.85 * words.shape[1], "as large as fits"
    assert columns.min() > 0 and columns.max() < words.shape[1] - 1 and rows.max() < words.shape[0] - 1, "and uncut"
    if kind == "picture" and frame:
        assert (part(out, layout.history) == part(well, layout.history)).mean() > 0.9, "it hears on"
    screen.status(status())
    again = settled(screen, frame, size, 106.0)
    assert not (part(again, box)[2] == YELLOW).all(axis=1).any()


def test_urgent_is_seen_though_something_is_wrong():
    screen = showing()
    screen.event(event(1, "alarm", 99.0, urgent=True))
    screen.status(status(FRESH_S, DEAF))
    assert urgent_rows(settled(screen, photo(value=90), BIG)) > 50


def test_a_broker_that_is_away_takes_the_strip_only_and_is_said_in_full():
    screen, frame = showing(), photo(value=90)
    well = settled(screen, frame, BIG)
    screen.status(status(FRESH_S, AWAY))
    ill = settled(screen, frame, BIG, 102.0, 1.0)
    layout = arrange(1280, 720, (360, 640))
    assert (part(ill, layout.strip) != part(well, layout.strip)).any()
    assert (part(ill, layout.view) == part(well, layout.view)).mean() > 0.99
    shorter = showing()
    shorter.status(status(FRESH_S, replace(AWAY, fix=AWAY.fix[:-1])))
    assert (part(settled(shorter, frame, BIG, 102.0, 1.0), layout.strip) != part(ill, layout.strip)).any(), "uncut"


def test_only_who_is_heard_says_that_it_listens():
    def strip(state: Status | None, now_s: float = 100.0) -> bytes:
        screen = Screen(INFO)
        if state:
            screen.status(state)
        layout = arrange(1280, 720, (360, 640))
        return screen.render(photo(value=90), BIG, now_s)[: layout.strip[3], :500].tobytes()

    states = [
        strip(None),
        strip(status()),
        strip(status(FRESH_S, DEAF)),
        strip(replace(status(), latency_s=7.0)),
    ]
    assert len(set(states)) == len(states)
    assert strip(replace(status(), time_s=100.0 - 2 * STALE_S)) == states[2], "without a word it is deaf, too"
    assert strip(status()) == strip(status(), 104.0), "steady: nothing blinks"


# What fades


def test_a_caption_holds_for_two_seconds_and_does_not_jump_between_guesses():
    screen, frame, layout = showing(), photo(value=0), arrange(640, 360, (360, 640))
    looks = itertools.cycle([Sound("bell", 0.9), Sound("knock", 0.4), Sound("speech", 0.6)])
    seen: list[tuple[float, bytes]] = []
    for step in range(200):
        if step % 5 == 0:
            screen.write(narration(next(looks)))
        out = part(screen.render(frame, (640, 360), 100 + step / 10), layout.caption)
        words = (luminance(out) > 0.3).tobytes()
        if step > 5 and (not seen or seen[-1][1] != words):
            seen.append((step / 10, words))
    changes = np.diff([at for at, _ in seen][1:])
    assert len(changes) > 5 and changes.min() >= HOLD_S - 0.05
    brief = showing(replace(DOG, box=None))
    settled(brief, frame, (640, 360), 100.0, 0.5)
    brief.write(narration())
    assert ink_height(part(settled(brief, frame, (640, 360), 100.6, 1.2), layout.caption)) > 10, (
        "it holds in silence, too"
    )
    assert ink_height(part(settled(brief, frame, (640, 360), 101.9, 2.0), layout.caption)) == 0


def test_what_is_only_possible_is_less_prominent():
    def drawn(confidence: float) -> np.ndarray:
        layout = arrange(1280, 720, (360, 640))
        return luminance(part(settled(showing(Sound("knock", confidence)), photo(value=0), BIG), layout.caption))

    sure, possible = drawn(0.9), drawn(0.3)
    assert possible.max() < 0.6 * sure.max()
    assert (possible.max() + 0.05) / (luminance(np.array([[BACKGROUND]], np.uint8))[0, 0] + 0.05) >= 7, "and legible"


def test_marks_fade_and_never_flash():
    """Narrations that change ten times a second turn the picture at most three times a second, in small steps."""
    screen, frame = showing(), photo(value=100)
    settled(screen, frame, (640, 360))
    looks = itertools.cycle([narration(DOG, heatmap=HEAT), narration()])
    left, top, right, bottom = arrange(640, 360, (360, 640)).picture
    seen = []
    for step in range(90):
        if step % 3 == 0:
            screen.write(next(looks))
        out = screen.render(frame, (640, 360), 103 + step / 30)[top:bottom, left:right]
        seen.append(out.astype(float).mean(axis=2))
    steps = np.diff(seen, axis=0)
    assert 5 < np.abs(steps).max() < 60  # of 255, from one picture to the next
    spot = np.sign([step[(bottom - top) // 2, (right - left) // 2] for step in steps])  # in the heat
    moving = spot[spot != 0]
    assert 1 <= np.count_nonzero(np.diff(moving)) <= 9


def test_a_caption_goes_when_nothing_is_reported_any_more():
    screen, frame, layout = showing(replace(DOG, box=None)), photo(value=90), arrange(640, 360, (360, 640))
    assert ink_height(part(settled(screen, frame, (640, 360)), layout.caption)) > 0
    assert ink_height(part(settled(screen, frame, (640, 360), 100 + STALE_S + 1), layout.caption)) == 0


def test_a_frozen_picture_keeps_its_marks_while_the_words_go_on():
    screen, frame, layout = showing(DOG, heatmap=HEAT), photo(), arrange(*BIG, (360, 640))
    before = settled(screen, frame, BIG)
    screen.toggle_frozen()
    settled(screen, frame, BIG, 102.1)
    screen.write(narration(Sound("rain", 0.9)))
    frozen = settled(screen, photo(value=0), BIG, 104.2)
    assert (part(frozen, layout.picture) == part(before, layout.picture)).all()
    assert (part(frozen, layout.caption) != part(before, layout.caption)).any()
    assert (part(frozen, layout.strip) != part(before, layout.strip)).any(), "it is said"
    screen.toggle_frozen()
    assert (part(settled(screen, photo(value=0), BIG, 107), layout.picture) == 0).all()


def test_the_heatmap_can_be_hidden_and_the_box_stays():
    screen, frame = showing(DOG, heatmap=HEAT), photo(value=100)
    left, top, right, bottom = arrange(*BIG, (360, 640)).picture
    y, x = (top + bottom) // 2, (left + right) // 2
    shown = settled(screen, frame, BIG)
    screen.toggle_heatmap()
    hidden = settled(screen, frame, BIG, 103)
    assert (shown[y, x] != 100).any() and (hidden[y, x] == 100).all()
    assert (hidden[top:bottom, left:right, 2] < 30).any()  # the yellow of the box


def test_the_newest_is_what_is_muted():
    screen = showing(DOG, SIREN)
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
    screen.status(replace(status(), muted=("siren",)))  # unmuted elsewhere
    assert screen.newest() == "rain"


def test_the_bar_glides_to_the_level_and_the_peak_is_held():
    def drawn(now_s: float) -> tuple[int, int]:
        """Columns of the bar, and how far the peak's end is from the left."""
        meter.move(now_s)
        out = np.zeros((20, 400, 3), np.uint8)
        meter.draw(out, 20, 5, 380, 15)
        bar, peak = ((out[10] == color).all(axis=1) for color in ((212, 212, 218), YELLOW))
        return int(bar.sum()), int(np.flatnonzero(peak).max()) - 20 if peak.any() else 0

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


def test_the_scale_has_words_and_figures():
    patch = scale_patch(0, 0, 500, 60, 32)
    assert patch.color.shape[1] > 480, "from `quiet` to `loud`"
    rows = np.flatnonzero(luminance(patch.color[:, 120:380]).max(axis=1) > 0.3) + patch.rows.start
    assert rows.size and rows.min() > 30, "decibels below the bar"


def test_the_keys_are_shown_for_some_seconds():
    screen, frame = showing(), photo(value=90)
    without = settled(screen, frame, (640, 360))
    screen.show_keys(102.0)
    assert (screen.render(frame, (640, 360), 102.5) != without).mean() > 0.05
    assert (screen.render(frame, (640, 360), 102.0 + KEYS_S) == without).all()


def test_marks_of_a_picture_that_is_gone_are_gone():
    """After a cut the box would be on something else; the words, and the side, go on."""
    boxed = Sound("dog_bark", 0.97, True, (0.3, 0.2, 0.6, 0.7), None, -20.0)
    before, after = photo(value=200), photo(value=40)
    screen, plain = showing(boxed, heatmap=HEAT), showing(replace(boxed, box=None))
    shown = settled(screen, before, (640, 360))
    assert (shown != settled(plain, before, (640, 360))).any()
    now_s = 102.5
    assert (screen.render(after, (640, 360), now_s) == plain.render(after, (640, 360), now_s)).all()
    screen.write(narration(boxed, heatmap=HEAT))
    anew = settled(screen, after, (640, 360), 103)
    assert (anew != settled(plain, after, (640, 360), 103)).any(), "a new narration has its own place"


def test_a_window_that_changes_its_size_keeps_no_patch_of_each():
    screen = showing(DOG, info=EARS)
    screen.status(status(FRESH_S, DEAF))
    counts = []
    for width in range(800, 1200, 20):
        screen.render(None, (width, 500), 100.0)
        counts.append(len(screen._patches))
    assert max(counts) <= counts[0] + 2
