"""What is said to sound must be evidence, what is seen may be said: counted on sentences with known truth."""

from pathlib import Path

import pytest

from avstream import vocabulary, wording
from avstream.records import Sound
from avstream.sentences import agrees, fits, said

LINES = (Path(__file__).parent / "data" / "sentences.tsv").read_text(encoding="utf-8").splitlines()
ROWS = [line.split("\t") for line in LINES if line.startswith(("dev\t", "test\t"))]


def evidence(text):
    """`dog_bark rain=0.4` -> sounds; without a number, surely."""
    parts = [part.partition("=") for part in text.split()]
    return [Sound(label, float(chance or 0.9)) for label, _, chance in parts]


def mistakes(which):
    """Of a set, the accepted inventions, the rejected truths, and how many inventions and truths there are."""
    rows = [row for row in ROWS if row[0] == which]
    wrong = [row for row in rows if agrees(row[3], evidence(row[2])) != (row[1] == "yes")]
    accepted, rejected = ([row for row in wrong if row[1] == verdict] for verdict in ("no", "yes"))
    counts = [sum(row[1] == verdict for row in rows) for verdict in ("no", "yes")]
    return accepted, rejected, *counts


def test_there_are_hundreds_of_sentences_of_both_kinds():
    assert len(ROWS) >= 300 and {row[1] for row in ROWS} == {"yes", "no"}
    assert len({row[3] + row[2] for row in ROWS}) == len(ROWS)
    assert all(vocabulary.known(sound.label) for row in ROWS for sound in evidence(row[2]))


def test_sentences_that_the_check_was_written_with():
    accepted, rejected, *_ = mistakes("dev")
    assert accepted == [] and rejected == []


def test_sentences_that_it_was_not_written_with():
    accepted, rejected, inventions, truths = mistakes("test")
    print(f"accepted inventions {len(accepted)} of {inventions}, rejected truths {len(rejected)} of {truths}")
    assert len(accepted) <= 0.03 * inventions and len(rejected) <= 0.08 * truths


@pytest.mark.parametrize("chance", [0.95, 0.6, 0.4])
def test_the_plain_sentence_of_every_sound_agrees_with_it(chance):
    for label in (*filter(vocabulary.sayable, vocabulary.ENTRIES), vocabulary.OTHER):
        sounds = [Sound(label, chance)]
        assert agrees(wording.sentence(sounds), sounds) and agrees(wording.listed(sounds), sounds), label


def test_no_label_of_homes_is_taken_for_another():
    """The plain sentence of one is let through for none of the others, but for what it is a kind of."""
    wrong = []
    for said_label in vocabulary.HOME:
        text = wording.sentence([Sound(said_label, 0.9)])
        others = [one for one in vocabulary.HOME if not fits(said_label, one)]
        wrong += [(said_label, one) for one in others if agrees(text, [Sound(one, 0.9)])]
    assert wrong == []


@pytest.mark.parametrize(
    ("word", "heard", "right"),
    [
        ("dog_bark", "dog_bark", True), ("animal", "dog_bark", True), ("dog_bark", "animal", False),
        ("moo", "cow", True), ("chirp", "birds", True), ("guitar", "music", False), ("music", "guitar", True),
        ("crow", "rooster", False), ("giggle", "laughter", True), ("church_bell", "bell", False),
    ],
)  # fmt: skip
def test_words_that_are_right_for_what_was_heard(word, heard, right):
    assert fits(word, heard) == right


def test_odd_texts_claim_nothing_and_do_no_harm():
    for text in ("", " . , ; ", "of of of the", "!!!", "a " * 500, "ünïcödé — “quotes”", "heard", "sounds of"):
        assert said(text).claims == []
        assert not agrees(text, [Sound("bell", 0.9)])
    assert not agrees("A dog is barking.", [])


def test_words_of_ones_own_are_checked_too():
    name = vocabulary.learn("kettle whistling")
    assert agrees("Kettle whistling can be heard beside a dog.", [Sound(name, 0.9)])
    assert not agrees("Kettle whistling can be heard and a dog barks.", [Sound(name, 0.9)])
