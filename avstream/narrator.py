"""Window -> Narration: the method on one page.

Follows Algorithm 1 of SoundCLIP (arXiv 2506.10416) and adds what is ours: the claims come from a listener that gets
the sound alone, silence ends the work before any model runs, a sentence that claims other sounds is not let through,
and the place is the localizer's, or is left open. What was computed before is not computed again (`SAVINGS`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avstream import wording
from avstream.alignment import dim_match
from avstream.encoders.audio import mono
from avstream.encoders.picture import PictureTokens
from avstream.errors import ConfigError, ModelError
from avstream.level import BLOCK_S, SILENCE_DBFS, loudness_dbfs
from avstream.listeners.base import Claim, Listener, claims, mean
from avstream.loading import Models
from avstream.localization.place import PerSource, Place, heat_of, key_frame
from avstream.localization.similarity import heatmap
from avstream.records import Narration, Sound, VideoFrame, Window
from avstream.sentences import agrees
from avstream.substitution import substitute
from avstream.vocabulary import PARENTS
from avstream.windows import WINDOW_S
from avstream.wording import POSSIBLE

Shown = Literal["source", "similarity"]
Saving = Literal["sentence", "picture"]
SAVINGS: frozenset[Saving] = frozenset({"sentence", "picture"})
MOST_CHANNELS = 32
BEGUN_S = 0.6, 2.3  # of a sound, to be heard again repeated: a shorter one is anything, a longer one is enough
AROUND_DB = 20.0  # what is so much quieter than the sound is the ground before it


class Narrator:
    """Narrates windows of several sources, those of one source one at a time, up to `at_once` together.

    `shown` is what a narration's heatmap is: where the `source` is, when that is known, or the `similarity` of the
    patches that the language model was given.

    `savings` skip work whose result is known; narrations are the same without them, so only tests and measurements
    leave one out. `sentence`: the same words for one sound have the same sentence, where they alone decide it.
    `picture`: the tower does not look again at a picture that is the source's last one, pixel for pixel.
    """

    def __init__(self, models: Models, shown: Shown = "source", savings: frozenset[Saving] = SAVINGS) -> None:
        self.overruled = 0  # sentences of the language model that did not agree with the evidence
        self._models, self._shown, self._savings = models, shown, savings
        self._sentences = dict[str, str]()  # by the words of evidence
        self._seen = PerSource(_Seen)
        self.at_once = models.at_once
        self._free = threading.BoundedSemaphore(models.at_once)
        self._turns = PerSource(threading.Lock)

    @property
    def labels(self) -> tuple[str, ...]:
        """The sounds that it can hear."""
        return self._models.listener.labels

    def narrate(self, samples: ArrayLike, rate_hz: int, picture: NDArray[np.uint8] | None = None) -> Narration:
        """What sounds in up to WINDOW_S (3 s) of sound, with the picture that it belongs to.

        `samples` are (n,) or (channels, n), floats in [-1, 1] or int16; `picture` is RGB uint8 (H, W, 3). From one
        picture what moves with the sound is not known: `narrate_window` takes motion. Raises ConfigError
        for arrays of another form, ModelError when the memory runs out.
        """
        audio = audio_of(samples, rate_hz)
        end_s = audio.shape[1] / rate_hz
        frames = () if picture is None else (VideoFrame(end_s / 2, checked_picture(picture)),)
        return self.narrate_window(Window(0, 0.0, end_s, 0.0, end_s, frames, audio, rate_hz), "samples")

    def narrate_window(self, window: Window, source: str) -> Narration:
        """What sounds in the window, whatever it holds: any sound, any picture, or none. Safe to call from several
        threads: windows of one stream wait for each other, and so do more than `at_once`. `source` is what the
        narration calls it. Raises ModelError when the memory runs out.
        """
        key = f"{source} {window.stream}"  # two sources may have one name
        try:
            with self._turns.of(key), self._free:
                return self._narrate(window, source, key)
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":  # torch's, unimported
                raise
            raise ModelError(
                f"the memory of {self._models.device} does not hold the models and a window",
                "use a smaller --preset, --dtype bfloat16, or --device cpu",
            ) from error

    def _narrate(self, window: Window, source: str, key: str) -> Narration:
        models, timings = self._models, dict[str, float]()
        level = level_of(window)
        frame = key_frame(window)
        models.localizer.watch(window, key)  # also in silence, so that it misses nothing
        name = models.listener.name
        if level < SILENCE_DBFS:
            return assemble(window, source, level, frame, timings=timings, listener=name)

        with stage(timings, "listener"):
            found = heard_in(window, models.listener)
        with stage(timings, "place"):
            places = models.localizer.places(window, key, [one.label for one in found]) if found else ()
        sounds = tuple(sound_of(*pair, window, level) for pair in zip(found, places, strict=True))
        words, heat = wording.heard(sounds), heat_of(places)
        text = self._sentences.get(words)
        if text is None or self._shown == "similarity":
            with stage(timings, "audio"):
                z = models.audio.encode(mono(window.audio, window.rate_hz, models.audio.rate_hz))
            with stage(timings, "vision"):
                picture = self._look(frame, key)
            with stage(timings, "substitution"):
                f = self._align(z)
                k = min(models.tokens, len(picture.patches))
                tokens, scores, kept = substitute(f, picture.patches, k, models.unselected)
                if self._shown == "similarity" and frame is not None:
                    heat = heatmap(scores, kept, picture.grid)
        if text is None:
            with stage(timings, "language"):
                text = models.language.describe(tokens, models.prompt, words)
            self._keep(words, text, sounds)
        return assemble(window, source, level, frame, self._checked(text, sounds), sounds, heat, timings, name)

    def _keep(self, words: str, text: str, sounds: tuple[Sound, ...]) -> None:
        """Remember a sentence, where the words alone decide it: at most three a label, by how sure it is."""
        if "sentence" in self._savings and self._models.language.words_decide and len(sounds) == 1:
            self._sentences[words] = text

    def _look(self, frame: VideoFrame | None, key: str) -> PictureTokens:
        tower = self._models.tower
        if frame is None:
            return PictureTokens(None, np.zeros((0, tower.width), np.float32), (0, 0))
        if "picture" not in self._savings:
            return tower.encode(frame.rgb)
        seen = self._seen.of(key)
        if seen.rgb is None or seen.tokens is None or not same_picture(frame.rgb, seen.rgb):
            seen.rgb, seen.tokens = frame.rgb, tower.encode(frame.rgb)
        return seen.tokens

    def _align(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """f_a = MLP(z_a), or DimMatch(z_a) where no projection was asked for."""
        models = self._models
        return models.alignment(z) if models.alignment is not None else dim_match(z, models.tower.width)

    def _checked(self, text: str, sounds: tuple[Sound, ...]) -> str:
        """The model's sentence when it says the sounds that were heard to sound and no other, else the plain one."""
        sentence = " ".join(text.split())
        if agrees(sentence, sounds):
            return sentence
        self.overruled += 1
        return wording.sentence(sounds)


class _Seen:
    """A source's last picture, and what the tower made of it."""

    rgb: NDArray[np.uint8] | None = None
    tokens: PictureTokens | None = None


def same_picture(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two pictures are equal; a coarse grid of pixels first, since most are not."""
    return one is other or (np.array_equal(one[::64, ::64], other[::64, ::64]) and np.array_equal(one, other))


def audio_of(samples: ArrayLike, rate_hz: int) -> NDArray[np.float32]:
    """Samples as float32 (channels, n). Raises ConfigError."""
    array = np.asarray(samples)
    form = f"{array.dtype} of the shape {array.shape}, at {rate_hz} Hz"
    scale = 1 / 32768 if array.dtype == np.int16 else 1.0
    if array.ndim not in (1, 2) or not array.size or not (array.dtype == np.int16 or array.dtype.kind == "f"):
        raise ConfigError(form, "mix or cast them", "samples (n,) or (channels, n), floats in [-1, 1] or int16")
    audio = np.atleast_2d(array).astype(np.float32) * np.float32(scale)
    if audio.shape[0] > MOST_CHANNELS:
        raise ConfigError(form, "transpose them", f"(channels, n) with at most {MOST_CHANNELS} channels")
    if not 1000 <= rate_hz <= 768_000 or audio.shape[1] > round(WINDOW_S * rate_hz):
        fix = "narrate the newest of them, or a file with avstream.narrate"
        raise ConfigError(form, fix, f"up to {WINDOW_S:g} s of samples at 1 to 768 kHz")
    if not np.isfinite(audio).all():
        raise ConfigError("samples that are not finite", "replace them: numpy.nan_to_num")
    return audio


def checked_picture(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Raises ConfigError unless it is RGB uint8 (H, W, 3)."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise ConfigError(f"{picture.dtype} of the shape {picture.shape}", expected="a picture, RGB uint8 (H, W, 3)")
    return np.ascontiguousarray(picture)


def heard_in(window: Window, listener: Listener) -> list[Claim]:
    """What can be claimed of the part of a window that it speaks for.

    A sound that has just begun when the window ends is little of it, and a listener that was taught by full windows is
    hardly sure of it. So it hears that sound alone, filling the window in two ways (`filled`), and the mean counts.
    General words are capped at "possibly": so early, they are too often wrong.
    """
    samples = mono(window.audio, window.rate_hz, listener.rate_hz)
    begin_s, end_s = (time_s - window.start_s for time_s in (window.focus_start_s, window.focus_end_s))
    onset_s = begun(samples, listener.rate_hz) if window.focus_end_s == window.end_s else None
    if onset_s is None:
        return claims(listener, listener.listen(samples), begin_s, end_s)
    alone = samples[round(onset_s * listener.rate_hz) :]
    heard = mean([listener.listen(one) for one in filled(alone, round(WINDOW_S * listener.rate_hz))])
    found = [replace(one, onset_s=onset_s, end_s=None) for one in claims(listener, heard, 0.0, WINDOW_S)]
    return [replace(one, confidence=min(one.confidence, POSSIBLE)) if one.label in PARENTS else one for one in found]


def filled(samples: NDArray[np.float32], length: int) -> list[NDArray[np.float32]]:
    """Samples (n,) repeated to a length, and forward and backward in turns: their seams differ."""
    return [np.resize(one, length) for one in (samples, np.concatenate([samples, samples[::-1]]))]


def begun(samples: NDArray[np.float32], rate_hz: int) -> float | None:
    """Where the only sound of (n,) samples begins (seconds), when it does so in their last BEGUN_S, else None."""
    block = round(BLOCK_S * rate_hz)
    power = np.square(samples[: len(samples) // block * block], dtype=np.float64).reshape(-1, block).mean(axis=1)
    if not power.max(initial=0.0):
        return None
    onset_s = int(np.argmax(power >= power.max() * 10 ** (-AROUND_DB / 10))) * BLOCK_S
    return onset_s if BEGUN_S[0] <= len(samples) / rate_hz - onset_s <= BEGUN_S[1] else None


def sound_of(claim: Claim, place: Place, window: Window, level_dbfs: float) -> Sound:
    """What is claimed of one sound: what it is from the sound alone, where from its place."""
    where = place.visible, place.box, place.direction, level_dbfs, place.confidence
    return Sound(claim.label, claim.confidence, *where, *on_the_clock(claim, window), place.one_of, place.outline)


def on_the_clock(claim: Claim, window: Window) -> tuple[float | None, float | None]:
    """A claim's onset and end on the stream's clock."""
    onset_s, end_s = (None if time_s is None else window.start_s + time_s for time_s in (claim.onset_s, claim.end_s))
    return onset_s, end_s


def level_of(window: Window) -> float:
    """How loud it is in what the window speaks for, in dBFS; in a pause of a sound, as loud as on the quieter side.

    What sounds on one side only belongs to another window, and its cut end is easily taken for a sound of its own.
    """
    begin, end = (
        round((time_s - window.start_s) * window.rate_hz) for time_s in (window.focus_start_s, window.focus_end_s)
    )
    parts = window.audio[:, begin:end], window.audio[:, :begin], window.audio[:, end:]
    inside, before, after = (loudness_dbfs(part, window.rate_hz) for part in parts)
    return inside if inside >= SILENCE_DBFS else max(inside, min(before, after))


@contextmanager
def stage(timings: dict[str, float], name: str) -> Iterator[None]:
    """Note the milliseconds of one stage."""
    began = perf_counter()
    yield
    timings[name] = (perf_counter() - began) * 1000


def assemble(
    window: Window,
    source: str,
    level_dbfs: float,
    frame: VideoFrame | None,
    text: str = "",
    sounds: tuple[Sound, ...] = (),
    where: NDArray[np.float32] | None = None,
    timings: dict[str, float] | None = None,
    listener: str = "",
) -> Narration:
    """A narration with the window's times."""
    return Narration(
        source, window.index, window.start_s, window.end_s, window.focus_start_s, window.focus_end_s,
        text, sounds, level_dbfs, where, frame, timings or {}, listener,
    )  # fmt: skip
