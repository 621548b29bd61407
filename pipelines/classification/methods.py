"""Ways to say which class a sound is of: CLAP by words alone, an encoder with a linear probe, the shipped listener."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

from avstream import loading, torch_models, vocabulary
from avstream.config import presets
from avstream.encoders.audio import AudioEncoder, mono
from avstream.errors import ConfigError, SourceError
from pipelines.classification.clips import Clip, Floats, read_sound, windows

PROMPT = "This is a sound of {}."
# ESC-50's names, where the vocabulary has another for the same
ALIASES = {
    "dog": "dog_bark", "cat": "cat_meow", "crying_baby": "baby_cry", "crackling_fire": "fire_crackling",
    "chirping_birds": "birds", "pouring_water": "water_pouring", "thunderstorm": "thunder", "sneezing": "sneeze",
    "coughing": "cough", "laughing": "laughter", "drinking_sipping": "drinking", "door_wood_knock": "knock",
    "door_wood_creaks": "door_creak", "clock_alarm": "alarm", "church_bells": "bell",
}  # fmt: skip
Tick = Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a method says: one label a clip, None where it says none of them; and vectors to draw, (n, d) or None."""

    name: str
    labels: list[str | None]
    note: str = ""
    vectors: Floats | None = None


def words(label: str) -> str:
    """`crying_baby` as people write it."""
    return label.replace("_", " ").replace("-", " ")


def readable(clips: Sequence[Clip]) -> tuple[list[Clip], list[str]]:
    """The clips that can be read, and what is wrong with the others. Raises SourceError when none can."""
    good, problems = [], []
    for clip in clips:
        try:
            read_sound(clip.path)
            good.append(clip)
        except SourceError as error:
            problems.append(str(error))
    if not good:
        raise SourceError("none of the clips can be read: " + "; ".join(problems[:3]))
    return good, problems


def embeddings(encoder: AudioEncoder, clips: Sequence[Clip], tick: Tick) -> Floats:
    """The mean over a clip's sounding 3-second windows, (n, dim)."""
    vectors = []
    for clip in clips:
        vectors.append(encoder.encode_batch(windows(*read_sound(clip.path), encoder.rate_hz)).mean(axis=0))
        tick()
    return np.stack(vectors)


def probe(name: str, clips: Sequence[Clip], test_folds: Sequence[int] | None, tick: Tick) -> Answers:
    """Logistic regression on an encoder's vectors. Each fold is classified by a probe that never saw it.

    With `test_folds`, only clips of those are answered, by a probe trained on all others. Raises ConfigError when a
    fold leaves nothing to learn from.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    encoder = loading.load_audio(presets.load("nano", audio=name, alignment="raw"))
    vectors, folds = embeddings(encoder, clips, tick), np.array([clip.fold for clip in clips])
    truth, said = np.array([clip.label for clip in clips]), np.full(len(clips), None, object)
    rounds = [list(test_folds)] if test_folds else [[fold] for fold in sorted(set(folds.tolist()))]
    for held_out in rounds:
        test = np.isin(folds, held_out)
        if len(set(truth[~test])) < 2:
            raise ConfigError(f"without fold {held_out} there are not two classes to learn: add clips, or another fold")
        if test.any():
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000))
            said[test] = model.fit(vectors[~test], truth[~test]).predict(vectors[test])
    note = f"linear probe, {encoder.dim} numbers a clip"
    return Answers(f"{name}, linear probe", said.tolist(), note, vectors)


class ZeroShotClap:
    """CLAP's audio and text halves."""

    def __init__(self, checkpoint: str) -> None:
        """Load it. Raises ModelError."""
        self._model, self._sounds, self._words = torch_models.loading(
            checkpoint,
            "clap",
            lambda path: (
                ClapModel.from_pretrained(path).eval(),
                ClapFeatureExtractor.from_pretrained(path),
                AutoTokenizer.from_pretrained(path),
            ),
        )

    @torch.inference_mode()
    def answer(self, clips: Sequence[Clip], labels: Sequence[str], tick: Tick) -> Answers:
        """The label whose sentence is nearest to the sound. Clips are cut to CLAP's 10 s."""
        inputs = self._words([PROMPT.format(words(label)) for label in labels], return_tensors="pt", padding=True)
        sentences = self._model.get_text_features(**inputs).pooler_output.float().numpy()
        vectors, rate = [], self._sounds.sampling_rate
        for clip in clips:
            samples = mono(*read_sound(clip.path), rate)[: self._sounds.nb_max_samples]
            heard = self._sounds(samples, sampling_rate=rate, return_tensors="pt")
            vectors.append(self._model.get_audio_features(**heard).pooler_output[0].float().numpy())
            tick()
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (np.stack(vectors), sentences)]
        said: list[str | None] = [labels[i] for i in (unit[0] @ unit[1].T).argmax(axis=1)]
        return Answers("CLAP, zero-shot", said, f"prompt: {PROMPT.format('...')}", np.stack(vectors))


def listener(spec: str, clips: Sequence[Clip], labels: Sequence[str], tick: Tick) -> Answers:
    """A listener of the program: the class that the likeliest of its labels stands for, by its mean chance over the
    clip. Raises ModelError when it is not here, ConfigError when it knows none of the classes.
    """
    ears = loading.load_listener(presets.load("nano", listener=spec))
    classes = {label: ALIASES.get(label, label) for label in labels}
    columns = {label: [i for i, name in enumerate(ears.labels) if stands_for(name, of, classes.values())]
               for label, of in classes.items()}  # fmt: skip
    known = [label for label in labels if columns[label]]
    if not known:
        raise ConfigError(f"{ears.name} has no label for any of these classes: {', '.join(labels[:8])}")
    said: list[str | None] = []
    for clip in clips:
        chances = ears.listen(mono(*read_sound(clip.path), ears.rate_hz)).frames.mean(axis=0)
        said.append(max(known, key=lambda label: float(chances[columns[label]].max())))
        tick()
    missing = [label for label in labels if label not in known]
    note = f"it has {len(known)} of {len(labels)} classes" + (f"; without {', '.join(missing)}" if missing else "")
    return Answers(f"listener {ears.name}", said, note)


def stands_for(name: str, of: str, classes: Iterable[str]) -> bool:
    """Whether a label means a class: the same, a kind of it, or a general word that covers no other of the classes."""
    alone = [one for one in classes if vocabulary.is_kind(one, name)] == [of]
    return alone or vocabulary.is_kind(name, of)
