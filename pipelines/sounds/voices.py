"""Speech for training: espeak-ng voices reading sentences of ours, and recorded digits strung together."""

from __future__ import annotations

import subprocess
import wave
from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from pipelines.sounds.dsp import Rng, log_uniform, uniform
from pipelines.sounds.midi import need

WHO = "My brother|The old teacher|Nobody here|Our neighbor|A friend of mine|The committee|She|He|They|The driver"
DID = (
    "has forgotten|will probably bring|never talked about|is looking for|wanted to explain|could not believe|"
    "showed me|asked about|finally repaired|left behind"
)
WHAT = (
    "the blue bicycle|seven boxes of apples|a letter from Chicago|the weather this week|the second question|"
    "a quiet place to work|the results of the vote|that strange machine|fresh bread and cheese|the keys to the house"
)
MORE = (
    "yesterday morning.|, as far as I know.|before the train arrives!|, don't you think?|because it was too late.|"
    "in front of everyone.|and then we laughed.|without saying a word.|, which surprised us all.|"
    "at a quarter past five."
)
# other languages: (voice, sentences of ours)
FOREIGN = {
    "de": "Guten Morgen, wie geht es Ihnen heute? Wir fahren am Samstag mit dem Zug ans Meer und kommen spät zurück.",
    "fr-fr": "Bonjour, je voudrais deux places pour ce soir. Il fait beau aujourd'hui, alors nous irons au jardin.",
    "es": "Buenos días, ¿dónde está la estación? Mañana vamos a visitar a mi abuela en el pueblo de al lado.",
    "it": "Buongiorno, vorrei un caffè e un bicchiere d'acqua. Domani partiamo presto per la montagna.",
    "pt-br": "Bom dia, você pode me ajudar? Amanhã vamos à praia com os amigos da escola.",
    "nl": "Goedemorgen, hoe laat vertrekt de volgende trein? We gaan vandaag samen naar de markt.",
    "pl": "Dzień dobry, gdzie jest najbliższy sklep? Jutro jedziemy razem nad jezioro.",
    "ru": "Доброе утро, как у вас дела? Завтра мы поедем в город и купим новые книги.",
    "sv": "God morgon, hur mår du i dag? I morgon åker vi till sjön med hela familjen.",
    "tr": "Günaydın, bugün nasılsınız? Yarın arkadaşlarla birlikte pazara gideceğiz.",
}  # fmt: skip
ENGLISH = "en-us en-us en-us en-gb en-gb en-gb-scotland en-gb-x-rp en-029 en-gb-x-gbclan".split()
VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt3 klatt4 klatt5 klatt6 Adam Alex Alicia Andrea Andy "
    "Annie Denis Diogo Gene Gene2 Hugo Jacky Lee Marco Mario Michael Mike Storm Zac aunty belinda benjamin boris "
    "caleb david ed edward grandma grandpa gustave john linda max paul quincy rob robert steph steph2 travis victor "
    "croak whisper whisperf"
).split()
HELD_OUT_VARIANTS = ("m5", "f3", "klatt4", "Diogo", "Michael", "belinda", "quincy", "steph2")
HELD_OUT_SPEAKER = "lucas"


def read_wav(data: bytes | Path) -> tuple[np.ndarray, int]:
    """A 16-bit mono wave file as float samples and its rate in Hz."""
    with wave.open(BytesIO(data) if isinstance(data, bytes) else str(data)) as file:
        rate = file.getframerate()
        raw = file.readframes(1 << 30)
    return np.frombuffer(raw[: len(raw) // 2 * 2], np.int16) / 32768, rate


def sentence(rng: Rng) -> str:
    """One of ten thousand English sentences."""
    return " ".join(str(rng.choice(part.split("|"))) for part in (WHO, DID, WHAT, MORE)).replace(" ,", ",")


def espeak(rng: Rng, held_out: bool) -> tuple[np.ndarray, int, str]:
    """Up to some seconds of a synthetic voice: samples, rate in Hz, the voice's name."""
    variants = HELD_OUT_VARIANTS if held_out else [v for v in VARIANTS if v not in HELD_OUT_VARIANTS]
    if rng.random() < 0.6:
        language, text = str(rng.choice(ENGLISH)), " ".join(sentence(rng) for _ in range(2))
    else:
        language = str(rng.choice(list(FOREIGN)))
        text = FOREIGN[language]
    variant = str(rng.choice(variants))
    options = [
        "-s",
        str(int(rng.integers(120, 230))),
        "-p",
        str(int(rng.integers(15, 85))),
        "-g",
        str(int(rng.integers(0, 12))),
    ]
    command = [need("espeak-ng", "espeak-ng"), "-v", f"{language}+{variant}", *options, "--stdout", text]
    done = subprocess.run(command, capture_output=True, check=False)
    x, rate = read_wav(done.stdout) if len(done.stdout) > 1000 else (np.zeros(22050), 22050)
    return x, rate, f"{language}+{variant}"


def widened(x: np.ndarray, rng: Rng) -> np.ndarray:
    """8 kHz speech at 16 kHz with a plausible upper band: its mirror image, sloped.

    Without it a model would learn that speech is what holds nothing above 4 kHz.
    """
    low = resample_poly(x, 2, 1)
    mirror = np.zeros(2 * len(x))
    mirror[::2] = 2 * x
    mirror[: len(low)] -= low[: len(mirror)]
    f = np.fft.rfftfreq(len(mirror), 1 / 16000)
    tilt = (
        10 ** (-uniform(rng, 2, 14) / 20)
        * np.where(f < 4000, 0, 1.0)
        * np.exp(-np.maximum(f - 4000, 0) / log_uniform(rng, 1500, 8000))
    )
    high = np.fft.irfft(np.fft.rfft(mirror) * tilt, len(mirror))
    return low + high[: len(low)]


def digits(folder: Path, speaker: str, rng: Rng) -> np.ndarray:
    """Five seconds of one speaker's digits at 16 kHz, with pauses as in talk; half of them widened."""
    files = sorted(folder.glob(f"*_{speaker}_*.wav"))
    pieces, total, pause = [], 0, uniform(rng, 0.02, 0.3)
    while total < 5 * 8000:
        x, _ = read_wav(files[int(rng.integers(len(files)))])
        x = x / (np.abs(x).max() + 1e-6) * uniform(rng, 0.5, 1)
        pieces += [x, np.zeros(int(8000 * pause * uniform(rng, 0.3, 1.5)))]
        total = sum(map(len, pieces))
    x = np.concatenate(pieces)
    return widened(x, rng) if rng.random() < 0.6 else resample_poly(x, 2, 1)
