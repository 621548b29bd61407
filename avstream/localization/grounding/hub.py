"""Object detectors of transformers with classes of their own: D-FINE, RT-DETR, YOLOS, DETR and their like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForObjectDetection

from avstream.errors import ModelError
from avstream.localization.grounding.thing import Thing, clipped, distinct

SAYS_NOTHING = {"n/a", "no-object", "__background__"}
SYNONYMS = {"motorbike": "motorcycle", "aeroplane": "airplane", "sofa": "couch", "tvmonitor": "tv"}


class HubDetector:
    """A checkpoint's detector. float32 on any device: these are small, and halves lose boxes."""

    sure = 0.5
    least = 0.25

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises ModelError when a weight is missing; OSError and ValueError of transformers."""
        model, info = AutoModelForObjectDetection.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
        check_whole(folder, model, info)
        self._processor = AutoImageProcessor.from_pretrained(folder)
        self._model = model.to(device).eval()
        self._device = device
        self._labels = {int(k): named(label) for k, label in model.config.id2label.items()}
        self.names: frozenset[str] | None = frozenset(self._labels.values()) - SAYS_NOTHING

    @torch.inference_mode()
    def find(self, rgb: NDArray[np.uint8], words: Sequence[str]) -> list[Thing]:
        """All things that the checkpoint knows in a picture, uint8 (h, w, 3)."""
        inputs = self._processor(images=[rgb], return_tensors="pt").to(self._device)
        outputs = self._model(**inputs)
        size = torch.tensor([rgb.shape[:2]])
        found = self._processor.post_process_object_detection(outputs, threshold=self.least, target_sizes=size)[0]
        return things_of(found, rgb.shape[:2], lambda label: self._labels.get(label, ""))


def named(label: str) -> str:
    """A checkpoint's name for a thing as the table of things has it."""
    name = " ".join(label.lower().replace("_", " ").split())
    return SYNONYMS.get(name, name)


def check_whole(folder: Path, model: object, info: dict[str, set[str]]) -> None:
    """Raises ModelError when the checkpoint lacks weights."""
    if info["missing_keys"]:
        raise ModelError(
            f"none for {sorted(info['missing_keys'])[:3]}",
            "download it again, or use another checkpoint",
            f"the weights of {type(model).__name__} in {folder}",
        )


def things_of(found: dict[str, Tensor], shape: tuple[int, int], name_of: Callable[[int], str]) -> list[Thing]:
    """Transformers' scores, labels and boxes in pixels as things; `name_of` gives a label's name, empty for none."""
    height, width = shape
    things = []
    for score, label, box in zip(found["scores"], found["labels"], found["boxes"], strict=True):
        left, top, right, bottom = box.tolist()
        name = name_of(int(label))
        if name and name not in SAYS_NOTHING:
            place = clipped(left / width, top / height, right / width, bottom / height)
            things.append(Thing(name, float(score), place))
    return distinct(things)
