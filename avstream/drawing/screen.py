"""What the window shows, as a picture of any size: the live picture, what sounds and where, and what sounded before.

Pure: it opens no window and reads no clock but the stream's time that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import cv2
import numpy as np

from avstream.drawing import panels
from avstream.drawing.canvas import Patch, Picture
from avstream.drawing.fades import NOTHING, Caption, Look, Marks, caption_patch
from avstream.drawing.layout import Layout, arrange
from avstream.drawing.overlay import fit_caption
from avstream.records import Narration, Sound, SoundEvent, Status, StreamInfo, VideoFrame
from avstream.wording import claim, problem_text

STALE_S = 10.0  # what was narrated longer ago is not shown as if it were now
KEYS_S, MESSAGE_S = 6.0, 4.0
KEPT_EVENTS = 64
BACKGROUND = (24, 24, 30)
CUT_LEVELS = 30.0  # of 255, the mean change of THUMB from one picture to the next when it shows something else
THUMB = (16, 9)


class Screen:
    """The state of one stream's window. Times are the stream's own; a caller with threads must lock around it."""

    def __init__(self, info: StreamInfo) -> None:
        self._epoch_s = info.epoch_s
        self._status: Status | None = None
        self._events: dict[str, SoundEvent] = {}
        self._narration: Narration | None = None
        self._look, self._lines = NOTHING, tuple[str, ...]()
        self._told_s: float | None = None  # when the narration was first shown
        self._frozen: tuple[VideoFrame | None, Look] | None = None
        self._message, self._message_until_s, self._keys_until_s = "", -1.0, -1.0
        self._marks, self._caption, self._meter = Marks(), Caption(), panels.Meter()
        self._patches: dict[str, tuple[Hashable, Patch | None]] = {}
        self._fitted: tuple[VideoFrame, Picture] | None = None
        self._thumb: Picture | None = None
        self.frozen, self.heatmap = False, True
        self.muted: tuple[str, ...] = ()

    # What is told

    def tell(self, narration: Narration) -> None:
        """Show a narration from now on."""
        self._narration, self._told_s = narration, None
        self._see()

    def event(self, event: SoundEvent) -> None:
        """Take an event into the history."""
        self._events[event.id] = event
        if len(self._events) > KEPT_EVENTS:
            ended = (id for id, kept in self._events.items() if kept.end_s is not None)
            self._events.pop(next(ended, next(iter(self._events))))

    def status(self, status: Status) -> None:
        """Show how the stream is doing."""
        self._status = status
        self._epoch_s = self._epoch_s if status.epoch_s is None else status.epoch_s
        self._meter.target_dbfs = status.level_dbfs
        if status.muted != self.muted:  # the rules say what is muted, whoever changed them
            self.muted = status.muted
            self._see()

    def say(self, message: str, now_s: float) -> None:
        """Show a line for some seconds."""
        self._message, self._message_until_s = message, now_s + MESSAGE_S

    def show_keys(self, now_s: float) -> None:
        """Show what the keys do for some seconds."""
        self._keys_until_s = now_s + KEYS_S

    def toggle_frozen(self) -> None:
        """Hold the picture and its marks, or let them go on; the words always go on."""
        self.frozen, self._frozen = not self.frozen, None

    def toggle_heatmap(self) -> None:
        """Show or hide the heatmap."""
        self.heatmap = not self.heatmap
        self._see()

    def newest(self) -> str | None:
        """The label that sounded up last of those that go on and are not muted; None in silence."""
        going = [event for event in self._events.values() if event.end_s is None and event.label not in self.muted]
        if going:
            return max(going, key=lambda event: event.onset_s).label
        sounds = self._sounds()
        return max(sounds, key=lambda sound: sound.confidence).label if sounds else None

    def mute(self, label: str) -> None:
        """Show a label no more, until the next status says what is muted."""
        self.muted = (*self.muted, label)
        self._see()

    def _sounds(self) -> tuple[Sound, ...]:
        told = self._narration.sounds if self._narration else ()
        return tuple(sound for sound in told if sound.label not in self.muted)

    def _see(self) -> None:
        sounds = self._sounds()
        heatmap = self._narration.heatmap if self._narration and sounds and self.heatmap else None
        self._look = Look(sounds, heatmap) if sounds else NOTHING
        self._lines = fit_caption(sounds)

    # What is seen

    def render(self, picture: VideoFrame | None, size: tuple[int, int], now_s: float) -> Picture:
        """The window's content at `now_s`: RGB uint8 (height, width, 3) for a `size` of (width, height) pixels."""
        if self._told_s is None:
            self._told_s = now_s
        fresh = now_s - self._told_s <= STALE_S
        if picture is not None and not self.frozen and self._is_cut(picture):
            self._misplace()
        look = self._look if fresh else NOTHING
        if self.frozen:
            self._frozen = self._frozen or (picture, look)
            picture, look = self._frozen
        width, height = max(1, size[0]), max(1, size[1])
        layout = arrange(width, height, picture.rgb.shape[:2] if picture else None)
        out = np.full((height, width, 3), BACKGROUND, np.uint8)
        left, top, right, bottom = layout.picture
        out[top:bottom, left:right] = self._marks.draw(self._fit(picture, layout), look, now_s, layout.crowded)
        self._caption.move(self._lines if fresh else (), now_s)
        self._meter.move(now_s)
        self._draw_panels(out, layout, now_s)
        return out

    def _is_cut(self, picture: VideoFrame) -> bool:
        """Whether this picture shows something else than the one before; for the same picture again it does not."""
        before, self._thumb = self._thumb, cv2.resize(picture.rgb, THUMB, interpolation=cv2.INTER_AREA)
        return before is not None and float(cv2.absdiff(before, self._thumb).mean()) > CUT_LEVELS

    def _misplace(self) -> None:
        """What was narrated had its place in a picture that is gone; the side that it comes from still holds."""
        self._look = Look(tuple(replace(sound, box=None) for sound in self._look.sounds))
        self._marks.clear()

    def _fit(self, picture: VideoFrame | None, layout: Layout) -> Picture:
        """The picture in its size on the screen; without one a calm dark ground."""
        left, top, right, bottom = layout.picture
        size = (right - left, bottom - top)
        if picture is None:
            return np.full((size[1], size[0], 3), BACKGROUND, np.uint8)
        kept = self._fitted
        if kept is None or kept[0] is not picture or kept[1].shape[:2] != (size[1], size[0]):
            finely = cv2.INTER_AREA if 2 * size[0] < picture.rgb.shape[1] else cv2.INTER_LINEAR
            kept = self._fitted = (picture, cv2.resize(picture.rgb, size, interpolation=finely))
        return kept[1]

    def _draw_panels(self, out: Picture, layout: Layout, now_s: float) -> None:
        status = self._status_patch(layout, now_s)
        self._draw_history(out, layout, status)
        self._draw_meter(out, layout, status)
        if status:
            status.blend(out)
        self._draw_caption(out, layout)
        if now_s < self._keys_until_s:
            _blend(self._cached("keys", layout, lambda: panels.keys_panel(*layout.type, *layout.keys)), out)
        if now_s < self._message_until_s:
            place = (layout.middle_x, layout.message_y)
            key = (self._message, layout)
            patch = self._cached("message", key, lambda: panels.message_panel(self._message, *layout.type, *place))
            _blend(patch, out)

    def _cached(self, name: str, key: Hashable, make: Callable[[], Patch | None]) -> Patch | None:
        """The patch of that name, made again only when its key changes."""
        kept = self._patches.get(name)
        if kept is None or kept[0] != key:
            kept = self._patches[name] = (key, make())
        return kept[1]

    def _status_patch(self, layout: Layout, now_s: float) -> Patch | None:
        lines = tuple(self._status_lines(now_s))
        return self._cached(
            "status", (lines, layout), lambda: panels.status_panel(lines, *layout.type, layout.status_room)
        )

    def _status_lines(self, now_s: float) -> list[tuple[panels.Mark, str]]:
        """What the program does, honestly: only who hears from the narrator says that it listens."""
        status = self._status
        lines: list[tuple[panels.Mark, str]] = []
        if status is None:
            lines.append(("none", "starting"))
        elif status.problems:
            lines += [("warning", problem_text(problem)) for problem in status.problems[:3]]
        elif now_s - status.time_s > STALE_S + (status.latency_s or 0.0):
            lines.append(("warning", f"waiting: nothing heard for over {STALE_S:.0f} s"))
        else:
            behind = "" if status.latency_s is None else f" · {status.latency_s:.1f} s behind"
            dropped = f" · {status.dropped} dropped" if status.dropped else ""
            lines.append(("dot", f"listening{behind}{dropped}"))
        if self.frozen:
            lines.append(("pause", "picture frozen"))
        if not self.heatmap:
            lines.append(("none", "heat map off"))
        if self.muted:
            lines.append(("none", "muted: " + ", ".join(claim(Sound(label, 1.0)) for label in self.muted)))
        return lines

    def _draw_history(self, out: Picture, layout: Layout, status: Patch | None) -> None:
        rows = panels.history_rows(self._events.values(), self._epoch_s, layout.history_rows)
        rows_key = (rows, layout, None if status is None else (status.columns.stop, status.rows.stop))
        _blend(self._cached("history", rows_key, lambda: self._history_patch(rows, layout, status)), out)

    def _history_patch(self, rows: tuple[panels.Row, ...], layout: Layout, status: Patch | None) -> Patch | None:
        """The history in its place, or below the status where that is in its way."""
        right, top, room = layout.history
        patch = panels.history_panel(rows, *layout.type, right, top, room)
        if patch and status and patch.columns.start < status.columns.stop + 4 and top < status.rows.stop:
            room = max(room, right - layout.meter[1] - 4)
            patch = panels.history_panel(rows, *layout.type, right, status.rows.stop + top, room)
        return patch

    def _draw_meter(self, out: Picture, layout: Layout, status: Patch | None) -> None:
        left, right, bottom = layout.meter
        self._meter.draw(out, left, (status.rows.stop if status else 0) + 2 * left, right, bottom)

    def _draw_caption(self, out: Picture, layout: Layout) -> None:
        lines, strength = self._caption.lines, self._caption.strength
        if not lines or strength <= 0:
            return
        caption = self._cached("caption", (lines, layout), lambda: caption_patch(lines, layout))
        _blend(caption, out, strength)
        urgent = any(event.urgent and event.end_s is None for event in self._events.values())
        if urgent and caption:
            size, window = layout.type
            _blend(
                self._cached("urgent", (lines, layout), lambda: panels.urgent_tab(caption, size, window)), out, strength
            )


def _blend(patch: Patch | None, out: Picture, strength: float = 1.0) -> None:
    if patch is not None:
        patch.blend(out, strength)
