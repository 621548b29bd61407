"""What a live stream's narrations may claim, beyond what the listener makes of a window: less from broken sound and
from what is no louder than the background itself.

Pure: it knows levels and gaps, and nothing of how sounds are recognized.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from avstream import wording
from avstream.records import Narration, Window
from avstream.wording import POSSIBLE

BROKEN, PATCHY = 0.5, 0.05  # shares of a window that are missing: nothing, or only "possibly", is said of it
BACKGROUND_S, KNOWN_S = 60.0, 5.0  # the background's level is of so long, and known from so much of it on
ROOM_PERCENTILE = 10
BACKGROUND_MOST_DBFS = -45.0  # what is louder for long is no background but a sound, such as rain
ABOVE_BACKGROUND_DB = 6.0  # what is sounding is louder than the background by so much


class Caution:
    """Of one stream. Call `applied` once for each window, in order."""

    def __init__(self) -> None:
        self._levels: deque[tuple[float, float]] = deque()  # when, and the level of a window's focus

    def applied(self, window: Window, narration: Narration) -> Narration | None:
        """The narration with no more than may be claimed; None when so much of the sound is missing, as after a
        connection was made, that it is unknown whether anything sounds.
        """
        missing = window.gap_s / max(1e-6, window.end_s - window.start_s)
        if missing > BROKEN:
            return None
        if missing > PATCHY:
            return _at_most(narration, POSSIBLE, above_dbfs=np.inf)
        self._note(narration.focus_end_s, narration.level_dbfs)
        room_dbfs = self.room_dbfs
        return narration if room_dbfs is None else _at_most(narration, POSSIBLE, room_dbfs + ABOVE_BACKGROUND_DB)

    @property
    def room_dbfs(self) -> float | None:
        """How loud the background is when nothing sounds, BACKGROUND_MOST_DBFS at most; None before that is known."""
        if not self._levels or self._levels[-1][0] - self._levels[0][0] < KNOWN_S:
            return None
        return min(BACKGROUND_MOST_DBFS, float(np.percentile([level for _, level in self._levels], ROOM_PERCENTILE)))

    def _note(self, at_s: float, level_dbfs: float) -> None:
        self._levels.append((at_s, level_dbfs))
        while at_s - self._levels[0][0] > BACKGROUND_S:
            self._levels.popleft()


def _at_most(narration: Narration, confidence: float, above_dbfs: float) -> Narration:
    """The narration with `confidence` at most for what is not louder than `above_dbfs`."""
    sounds = tuple(
        sound
        if sound.level_dbfs >= above_dbfs or sound.confidence <= confidence
        else replace(sound, confidence=confidence)
        for sound in narration.sounds
    )
    return narration if sounds == narration.sounds else replace(narration, sounds=sounds, text=wording.sentence(sounds))
