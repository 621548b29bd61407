"""The commands that list what can be heard and by whom; labels where options take them."""

import pytest

from avstream import cli, vocabulary
from avstream.commands.live import MOST_ANNOUNCED, announced
from avstream.config import presets
from avstream.errors import ConfigError
from avstream.events import Rules
from avstream.listeners.names import labels_of
from tests import fakes


def listed(capsys, *arguments):
    assert cli.main(["labels", *arguments]) == 0
    return [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:] if not line.startswith(" ")]


def test_nanos_labels_and_its_general_words_are_listed(capsys):
    found = listed(capsys)
    assert set(found) == {*vocabulary.HOME, *vocabulary.PARENTS, "other"} and found[0] == "dog_bark"


def test_another_listeners_labels_are_listed(capsys, tmp_path):
    assert {"smoke_alarm", "siren", "machine"} <= set(listed(capsys, "--listener", "ced-mini"))
    assert "silence" not in listed(capsys, "--listener", "yamnet"), "which is no sound"
    assert listed(capsys, "--listener", "clap", "--labels", "my cat, smoke alarm") == ["my_cat", "smoke_alarm", "other"]
    folder = fakes.listener(tmp_path / "mine", labels=("espresso machine", "other"))
    assert listed(capsys, "--listener", str(folder)) == ["espresso_machine", "other"]


def test_a_word_finds_what_has_to_do_with_it(capsys):
    assert {"fire_crackling", "smoke_alarm", "fire_alarm"} <= set(listed(capsys, "fire"))
    assert "siren" not in listed(capsys, "fire")


def test_who_can_listen_is_listed_with_what_is_missing(capsys):
    assert cli.main(["presets", "--listeners"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("nano", "ced-mini", "yamnet", "clap")) and "yes" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--listener", "yamnett"], "did you mean 'yamnet'"),
        (["--listener", "nano:x"], "takes no file"),
        (["--listener", "clap", "--labels", " , "], "expected sounds"),
        (["--labels", "!!"], "expected words for a sound"),
    ],
)
def test_wrong_options_are_reported(capsys, arguments, says):
    with pytest.raises(SystemExit) as ended:
        cli.main(["file", "movie.mp4", *arguments])
    assert ended.value.code == 2 and says in capsys.readouterr().err


def test_labels_of_ones_own_go_with_clap_only():
    with pytest.raises(ConfigError, match="go with --listener clap"):
        presets.load("nano", labels="my cat")
    assert presets.load("nano", listener="clap", labels="my cat, dog bark").label_names == ("my_cat", "dog_bark")


def test_rules_take_every_name_of_the_vocabulary():
    Rules(only={*vocabulary.ENTRIES, "other"})
    for wrong, meant in (("fire", "fire_crackling"), ("smoke", "smoke_alarm"), ("telephon", "telephone")):
        with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
            Rules(urgent={wrong})
    with pytest.raises(ConfigError) as error:
        Rules(urgent={"fire"})
    assert "siren" not in str(error.value)


def test_a_broker_hears_of_a_small_listeners_labels_and_of_those_that_count():
    assert announced(labels_of("nano"), Rules()) == list(labels_of("nano"))
    large = labels_of("yamnet")
    few = announced(large, Rules(urgent={"foghorn"}))
    assert "foghorn" in few and "dog_bark" in few and "jazz" not in few and len(few) <= MOST_ANNOUNCED < len(large)
    assert len(labels_of("nano")) <= MOST_ANNOUNCED


def test_the_vocabulary_is_complete():
    """Every line has words, its kinds exist, nothing is a kind of itself, and captions are written as captions are."""
    for name, entry in vocabulary.ENTRIES.items():
        assert entry.caption and entry.sentence and entry.caption.strip(".[]") == entry.caption, name
        assert name not in vocabulary.ancestors(name) and vocabulary.ancestors(name) <= set(vocabulary.ENTRIES), name
        assert set(entry.also) <= set(vocabulary.ENTRIES), name
    ids = [entry.id for entry in vocabulary.ENTRIES.values() if entry.id]
    assert len(ids) == len(set(ids)) == 527
    assert set(vocabulary.HOME) | set(vocabulary.PARENTS) <= set(vocabulary.ENTRIES)
