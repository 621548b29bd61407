"""The seam of all that says where, and fusion's second edition: things, their motion and the ears together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avstream import loading
from avstream.config import presets
from avstream.localization.choosing import Candidate, choose, elsewhere, of_ears, of_motion
from avstream.localization.fit import Fit
from avstream.localization.grounding.coco import COCO
from avstream.localization.grounding.thing import Thing, covered
from avstream.localization.localizer_detector import SURE_VISIBLE, DetectorLocalizer
from avstream.localization.localizer_synchrony import SynchronyLocalizer
from avstream.localization.place import MOST_SOURCES, PerSource, Place, heat_of
from avstream.localization.stereo import UNKNOWN, Bearing
from avstream.localization.tracks import Tracked
from avstream.records import MotionFrame, VideoFrame, Window
from pipelines.localization.composed import over
from pipelines.localization.score_clips import clip_report
from pipelines.localization.score_things import things_report
from tests.test_fusion import Clicks
from tests.test_grounding import FASTESTDET
from tests.test_nano import DATA
from tests.test_narrator import RATE, dancing, strikes

LEFT, RIGHT = (0.15, 0.25, 0.38, 0.75), (0.65, 0.25, 0.88, 0.75)
LIT = np.random.default_rng(0).integers(0, 256, (180, 320, 3), dtype=np.uint8)


class Scripted:
    """A detector that is told what it sees; COCO's names."""

    names, sure, least = frozenset(COCO), 0.5, 0.25

    def __init__(self, *things):
        self.things, self.asked = list(things), []

    def find(self, rgb, words):
        self.asked.append(tuple(words))
        return self.things


def thing(name, box=LEFT, score=0.9):
    return Thing(name, score, box)


def window(index=0, *, audio=None, motion=None, rgb=LIT, channels=1):
    loud, struck = strikes(np.random.default_rng(3))
    motion = dancing(loud) if motion is None else motion
    audio = np.tile(struck if audio is None else audio, (channels, 1)).astype(np.float32)
    motion = tuple(MotionFrame(frame.time_s + index, frame.gray) for frame in motion)
    frames = tuple(VideoFrame(index + t, rgb) for t in (0.5, 1.5, 2.5))
    return Window(index, index, index + 3.0, index + 1.0, index + 2.0, frames, audio, RATE, motion=motion)


STILL = tuple(MotionFrame(k / 25, LIT[:, :, 0]) for k in range(75))


def ask(detector, labels, *windows):
    localizer = DetectorLocalizer(detector)
    for one in windows or (window(motion=STILL),):
        localizer.watch(one, "a")
        places = localizer.places(one, "a", labels)
    return places


def test_a_thing_that_can_make_the_sound_has_it_though_nothing_moves():
    (place,) = ask(Scripted(thing("dog"), thing("chair", RIGHT)), ["dog_bark"])
    assert place.visible is True and place.box == LEFT and place.one_of == () and place.confidence >= SURE_VISIBLE
    assert ask(Scripted(thing("chair", RIGHT)), ["dog_bark"])[0].box is None


def test_who_plays_it_is_asked_only_where_the_thing_itself_is_not_there():
    (place,) = ask(Scripted(thing("clock", LEFT), thing("bird", RIGHT)), ["bell"])
    assert place.box == LEFT
    both = Scripted(thing("toothbrush", RIGHT), thing("person", LEFT))
    assert ask(both, ["brushing_teeth"])[0].box == RIGHT


def test_of_two_that_could_the_one_that_moves_with_it_is_chosen():
    """`dancing` shakes a square on the left with the sound, and one on the right at its own times."""
    people = Scripted(thing("person", RIGHT, 0.95), thing("person", LEFT, 0.8))
    (place,) = ask(people, ["footsteps"], window())
    assert place.visible is True and place.box == LEFT and place.one_of == ()


def test_of_two_that_nothing_tells_apart_both_are_named():
    (place,) = ask(Scripted(thing("dog", RIGHT, 0.95), thing("dog", LEFT, 0.8)), ["dog_bark"])
    assert place.visible is True and set(place.one_of) == {LEFT, RIGHT} and place.box in place.one_of


def test_a_group_that_stands_together_is_one_place():
    bells = [thing("clock", (0.3 + 0.1 * k, 0.2, 0.36 + 0.1 * k, 0.35)) for k in range(4)]
    (place,) = ask(Scripted(*bells), ["bell"])
    assert place.box == pytest.approx((0.3, 0.2, 0.66, 0.35)) and place.one_of == ()


def test_the_ears_may_contradict():
    left_only = window(motion=STILL, channels=2)
    audio = left_only.audio * np.array([[1.0], [0.02]], np.float32)
    here = ask(Scripted(thing("dog", LEFT)), ["dog_bark"], replace(left_only, audio=audio))[0]
    there = ask(Scripted(thing("dog", RIGHT)), ["dog_bark"], replace(left_only, audio=audio))[0]
    assert here.visible is True and here.direction == "left"
    assert there.visible is not True and there.box is None and there.direction == "left"


def test_what_can_make_it_is_nowhere_in_a_well_seen_picture():
    (place,) = ask(Scripted(thing("chair")), ["dog_bark"])
    assert place.visible is False and place.confidence == pytest.approx(0.8)
    assert ask(Scripted(thing("chair"), thing("dog", RIGHT, 0.3)), ["dog_bark"])[0].visible is None, "a doubtful one"
    assert ask(Scripted(), ["dog_bark"])[0].visible is None, "it may be blind here"
    dark = window(motion=STILL, rgb=LIT // 20)
    assert ask(Scripted(thing("chair")), ["dog_bark"], dark)[0].visible is None
    assert ask(Scripted(thing("chair")), ["bell"])[0].visible is None, "bells hide"


def test_small_things_make_no_quiet_sounds():
    assert ask(Scripted(thing("clock", (0.4, 0.4, 0.45, 0.5))), ["clock_tick"])[0].box is None
    assert ask(Scripted(thing("clock", LEFT)), ["clock_tick"])[0].box == LEFT


def test_several_sounds_have_a_place_each():
    dog, clock, rain = ask(Scripted(thing("dog", LEFT), thing("clock", RIGHT)), ["dog_bark", "clock_tick", "rain"])
    assert (dog.box, clock.box) == (LEFT, RIGHT) and rain.visible is None and rain.box is None


def test_what_moves_is_not_taken_for_the_sound_of_another_thing():
    """Alone, synchrony gives the shaking square a box; where that is a chair, a dog is not heard from it."""
    alone = SynchronyLocalizer()
    alone.watch(window(), "a")
    (place,) = alone.places(window(), "a", ["dog_bark"])
    assert place.visible is True and covered(place.box, LEFT) > 0.5
    wide = (0.1, 0.2, 0.5, 0.8)
    assert ask(Scripted(thing("chair", wide)), ["dog_bark"], window())[0].box is None
    assert ask(Scripted(), ["dog_bark"], window())[0].box == place.box, "what it does not know may bark"
    assert ask(Scripted(), ["rain"], window())[0].box == place.box
    (cleaner,) = ask(Scripted(thing("person", wide)), ["vacuum_cleaner"], window())
    assert cleaner.box is None and cleaner.heatmap is None, "of COCO's things none can, but it is a person that moves"
    assert ask(Scripted(thing("person", wide)), ["other"], window())[0].box == place.box, "anything may"


@pytest.mark.parametrize("label", ["wind", "rain", "thunder"])
def test_no_weather_is_heard_from_a_person_that_moves(label):
    assert ask(Scripted(thing("person", (0.1, 0.2, 0.5, 0.8))), [label], window())[0].box is None


@pytest.mark.parametrize(
    ("label", "name"),
    [("animal", "dog"), ("pet", "cat"), ("person", "baby"), ("vehicle", "train"), ("machine", "microwave")],
)
def test_a_general_word_has_the_things_of_its_kinds(label, name):
    (place,) = ask(Scripted(thing(name), thing("chair", RIGHT)), [label])
    assert place.visible is True and place.box == LEFT


def test_music_comes_from_a_player_rather_than_from_a_screen():
    both = Scripted(thing("tv", RIGHT), thing("person", LEFT))
    (place,) = ask(both, ["music"], window())
    assert place.box == LEFT and place.one_of == ()
    assert ask(Scripted(thing("tv", RIGHT)), ["music"])[0].visible is None
    assert ask(Scripted(thing("person")), ["music"])[0].visible is None, "who plays moves"


def test_a_detector_is_asked_for_what_was_heard_and_only_then():
    detector = Scripted()
    ask(detector, ["rain"])
    assert detector.asked == []
    ask(detector, ["siren", "dog_bark"])
    assert detector.asked[0][:1] == ("ambulance",) and detector.asked[0][-1] == "dog"


def test_a_speaker_keeps_the_box_between_words():
    """Moving with the voice in the first windows, still in the last: what was seen of each is remembered."""
    people = Scripted(thing("person", RIGHT, 0.95), thing("person", LEFT, 0.8))
    windows = [window(k) for k in range(3)] + [window(3, motion=STILL)]
    (place,) = ask(people, ["footsteps"], *windows)
    assert place.box == LEFT and place.one_of == ()
    (fresh,) = ask(people, ["footsteps"], window(0, motion=STILL))
    assert fresh.one_of or not fresh.visible


def test_without_pictures_the_answer_is_that_of_synchrony():
    one = replace(window(), frames=())
    (place,) = ask(Scripted(thing("chair")), ["dog_bark"], one)
    assert place.visible is True and place.heatmap is not None


def candidate(box=LEFT, motion=0.0, chance=0.8):
    return Candidate(Tracked(thing("person", box), ""), chance, motion)


def test_more_evidence_never_makes_it_less_likely():
    chances = [choose([candidate(motion=m), candidate(RIGHT)], UNKNOWN).chance for m in (-0.6, 0.0, 1.0, 3.0)]
    assert chances == sorted(chances) and chances[1] == pytest.approx(0.8)
    weak, strong = (of_motion([Fit(c, c - 0.1, c - 0.1, 3.8)], 1.0) for c in (0.0, 0.9))
    assert np.log(0.5) <= weak < 0 < strong, "films: what doesn't move with its sound may still make it"


def test_motion_counts_by_how_much_of_the_window_it_was_seen_and_any_part_may_move():
    weak, strong = (Fit(c, c - 0.1, c - 0.1, 3.8) for c in (0.0, 0.9))
    assert 0 < of_motion([strong], 0.5) < of_motion([strong], 1.0) and of_motion([weak], 0.5) > of_motion([weak], 1.0)
    assert of_motion([weak], 1.0) < of_motion([weak, strong], 1.0) < of_motion([strong], 1.0)


def test_the_ears_speak_for_a_side_only_when_they_are_sure():
    right = Bearing("right", 0.7, 0.9)
    assert of_ears(RIGHT, right) > 0 == of_ears(LEFT, right) == of_ears(RIGHT, UNKNOWN)
    assert of_ears((0.0, 0.0, 1.0, 1.0), right) == 0, "a thing that fills the picture is everywhere"
    assert elsewhere(LEFT, right) and not elsewhere(RIGHT, right) and not elsewhere(LEFT, UNKNOWN)


def test_the_oldest_source_is_forgotten():
    kept = PerSource(list)
    kept.of("a").append(1)
    for k in range(MOST_SOURCES - 1):
        kept.of(str(k))
    assert kept.of("a") == [1]
    kept.of("one more"), kept.of("two more")
    assert kept.of("0") == [] and kept.of("a") == [1] and kept.of("a", anew=True) == []


def test_heatmaps_of_several_places_are_one():
    one, two = np.zeros((2, 2), np.float32), np.zeros((4, 4), np.float32)
    one[0, 0], two[3, 3] = 0.9, 0.5
    places = [Place(True, heat, LEFT, None, 0.9, 0.1) for heat in (one, two, None)]
    heat = heat_of(places)
    assert heat.shape == (4, 4) and (heat[:2, :2] == np.float32(0.9)).all() and heat[3, 3] == 0.5
    assert heat_of(places[2:]) is None and heat_of([places[0]] * 2) is one


@pytest.mark.skipif(not (DATA / "ave2").is_dir(), reason="needs three clips of AVE (AVSTREAM_DATA)")
def test_on_real_clips_synchrony_alone_claims_nothing():
    found = clip_report(DATA / "ave2", loading.load(presets.load("nano")))
    assert all(row["box"] is None for name, row in found.items() if name != "false boxes")


@pytest.mark.skipif(not FASTESTDET.is_file(), reason="needs FastestDet.onnx beside the real clips (AVSTREAM_DATA)")
def test_on_real_clips_a_detector_finds_the_man_the_player_and_the_bells():
    models = loading.load(presets.load("nano", localizer=f"detector:{FASTESTDET}"))
    found = clip_report(DATA / "ave2", models, DATA / "sounds", 10)
    wrong = found.pop("false boxes")
    assert [row["named"]["right"] for row in found.values()] == [True, True, True]
    assert [row["right"] for row in found.values()] == [True, True, True], "of what is heard"
    assert wrong["muted boxes"] == "0 of 3"
    assert int(wrong["swapped with recordings"].split(" of ")[0]) <= 3, "1 in 10"


def test_of_drawn_things_that_a_detector_finds_the_right_one_is_named():
    found = things_report(3, Clicks(), 40)
    plain = found["plain"]
    assert plain["strangers"]["said visible"] >= plain["without"]["said visible"]
    assert plain["strangers"]["box right"] == 100, "who can't make it is no rival"
    assert plain["with"]["among those named"] >= 60
    assert found["off-screen"]["strangers"]["said visible"] <= 34


def test_composed_windows_have_their_thing_where_they_say():
    still = replace(window(motion=STILL), rate_hz=16_000)
    sound = Clicks().draw(np.random.default_rng(1))
    drawn, box = over(still, sound, [LEFT], np.random.default_rng(2))
    moved = np.abs(np.diff(np.stack([frame.gray for frame in drawn.motion]).astype(int), axis=0)).mean(axis=0)
    rows, columns = moved.shape
    inside = moved[int(box[1] * rows) : int(box[3] * rows), int(box[0] * columns) : int(box[2] * columns)]
    assert inside.sum() > 0.9 * moved.sum() > 0, "it moves, and nothing else does"
    assert drawn.frames[0].rgb.shape == still.frames[0].rgb.shape
    assert (drawn.frames[0].rgb != still.frames[0].rgb).any()
