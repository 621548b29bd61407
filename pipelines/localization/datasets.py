"""The datasets of the field as lists of items, from the folders that they are usually unpacked to.

VGG-SS           frames/NAME.jpg, audio/NAME.wav, and vggss.json: [{"file": NAME, "bbox": [[x0, y0, x1, y1], ...]}, ...]
                 with boxes in 0..1. Extended: extend_frames/ and extend_audio/, where nothing in the picture sounds.
Flickr-SoundNet  the same folders, and Annotations/NAME.xml: one <bbox> an annotator with xmin, ymin, xmax, ymax on a
                 grid of 256. `Test/` may stand between.
AVSBench         visual_frames/, gt_masks/ and audio_wav/, flat or as split/category/NAME/: gt_masks' NAME_3.png is the
                 truth for the third second of NAME.wav (S4 and MS3).

Items whose picture or sound is missing are left out, as the published evaluations do: count them.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from avstream.encoders.audio import mono
from avstream.errors import SourceError
from pipelines.localization.metrics import SIZE, box_truth, vote_truth

Kind = Literal["vggss", "flickr", "avsbench"]
KINDS: tuple[Kind, ...] = ("vggss", "flickr", "avsbench")
Boxes = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A picture, a sound, and where in the picture the sound comes from. `sounding` is False when it doesn't."""

    name: str
    picture: Path
    sound: Path
    boxes: Boxes = ()
    mask: Path | None = None
    sounding: bool = True


def read_dataset(
    kind: Kind, folder: Path, *, annotations: Path | None = None, extended: bool = False, split: str = "test"
) -> list[Item]:
    """The items of a dataset, by name. Raises SourceError: no such layout there, or nothing in it."""
    if kind == "avsbench":
        items = avsbench(folder, split)
    else:
        inner = folder / "Test"
        folder = inner if inner.is_dir() else folder
        boxes = vggss_boxes(annotations or folder / "vggss.json") if kind == "vggss" else flickr_boxes(
            annotations or folder / "Annotations"
        )  # fmt: skip
        sounds = by_name(folder / "audio")
        items = [
            Item(name, picture, sounds[name], boxes[name])
            for name, picture in by_name(folder / "frames").items()
            if name in sounds and name in boxes
        ]
        items += silent_items(folder) if extended else []
    if not items:
        raise SourceError(f"expected {kind} in {folder}, found no picture with its sound and its truth; see --help")
    return items


def vggss_boxes(path: Path) -> dict[str, Boxes]:
    """NAME -> boxes in 0..1. Raises SourceError."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {row["file"]: tuple(tuple(box) for box in row["bbox"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"expected VGG-SS annotations (vggss.json) at {path}: {error}; give --annotations") from error


def flickr_boxes(folder: Path) -> dict[str, Boxes]:
    """NAME -> annotators' boxes on a grid of 256. Raises SourceError."""
    found = {}
    for path in sorted(folder.glob("*.xml")):
        try:
            found[path.stem] = tuple(_corners(box) for box in ElementTree.parse(path).getroot().iter("bbox"))
        except (OSError, ElementTree.ParseError, ValueError) as error:
            raise SourceError(f"{path} is no annotation of Flickr-SoundNet: {error}") from error
    if not found:
        raise SourceError(f"expected Flickr-SoundNet's NAME.xml in {folder}, found none; give --annotations")
    return found


def _corners(box: ElementTree.Element) -> tuple[float, ...]:
    """(left, top, right, bottom): by name, or the last four numbers of a box that names them otherwise."""
    named = [box.findtext(key) for key in ("xmin", "ymin", "xmax", "ymax")]
    texts = named if None not in named else [child.text for child in box][-4:]
    if len(texts) != 4:
        raise ValueError(f"expected four corners in <bbox>, found {len(texts)}")
    return tuple(float(text or "none") for text in texts)


def silent_items(folder: Path) -> list[Item]:
    """The extended protocol's pictures with a sound that none of the things in them makes."""
    sounds = by_name(folder / "extend_audio")
    pictures = by_name(folder / "extend_frames")
    found = [Item(name, picture, sounds[name], sounding=False) for name, picture in pictures.items() if name in sounds]
    if not found:
        raise SourceError(f"expected extend_frames/ and extend_audio/ with equal names in {folder}, found no pair")
    return found


def avsbench(folder: Path, split: str) -> list[Item]:
    """One item a mask. Without a folder for `split` everything is taken."""
    inner = next((folder / name for name in ("s4_data", "ms3_data") if (folder / name).is_dir()), folder)
    kinds = {name: inner / name / split for name in ("visual_frames", "gt_masks", "audio_wav")}
    kinds = {name: path if path.is_dir() else path.parent for name, path in kinds.items()}
    sounds = {path.stem: path for path in kinds["audio_wav"].rglob("*.wav")}
    # MS3 calls the frames of NAME "NAME.mp4_3.png", and the masks "NAME_3.png"
    frames = {path.stem.replace(".mp4_", "_"): path for path in kinds["visual_frames"].rglob("*.png")}
    return [
        Item(mask.stem, frames[mask.stem], sounds[name], mask=mask)
        for mask in sorted(kinds["gt_masks"].rglob("*.png"), key=lambda path: path.stem)
        if mask.stem in frames and (name := mask.stem.rpartition("_")[0]) in sounds
    ]


def pairs(folder: Path, names: Path | None = None) -> list[Item]:
    """Pictures with their sounds, without truth, for training: frames/ and audio/; `names` is a CSV, a name a line.

    Raises SourceError.
    """
    wanted = None
    if names is not None:
        try:
            with names.open(newline="", encoding="utf-8") as file:
                wanted = {row[0].strip() for row in csv.reader(file) if row}
        except OSError as error:
            raise SourceError(f"expected a list of names at {names}: {error}") from error
    sounds = by_name(folder / "audio")
    found = [
        Item(name, picture, sounds[name])
        for name, picture in by_name(folder / "frames").items()
        if name in sounds and (wanted is None or name in wanted)
    ]
    if not found:
        raise SourceError(f"expected frames/NAME.jpg and audio/NAME.wav in {folder}, found no pair")
    return found


def by_name(folder: Path) -> dict[str, Path]:
    """The files of a folder by their names without ending, sorted; empty when there is no such folder."""
    return {path.stem: path for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def read_picture(path: Path) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3). Raises SourceError."""
    try:
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise SourceError(f"{path} can't be read as a picture: {error}") from error


def read_sound(path: Path, rate_hz: int) -> NDArray[np.float32]:
    """Mono float32 (n,) at `rate_hz`. Raises SourceError."""
    try:
        with av.open(str(path)) as container:
            found_hz = container.streams.audio[0].rate
            planar = av.AudioResampler(format="fltp", rate=found_hz)
            chunks = [part.to_ndarray() for frame in container.decode(audio=0) for part in planar.resample(frame)]
        return mono(np.concatenate(chunks, axis=1), found_hz, rate_hz)
    except (OSError, IndexError, ValueError, av.FFmpegError) as error:
        raise SourceError(f"{path} can't be read as a sound: {error}") from error


def truth_of(kind: Kind, item: Item) -> NDArray[np.floating]:
    """The item's truth (224, 224) in 0..1; empty when nothing in the picture sounds. Raises SourceError."""
    if kind == "avsbench" and item.mask is not None:
        mask = Image.fromarray(read_picture(item.mask)).convert("L").resize((SIZE, SIZE), Image.Resampling.NEAREST)
        return (np.array(mask) > 0).astype(np.float64)
    return vote_truth(item.boxes) if kind == "flickr" else box_truth(item.boxes)
