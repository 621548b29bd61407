"""What the display shows, as a picture of any size: the live picture, what sounds and where, and what sounded before.

Pure: it opens no window and reads no clock but the stream's time that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import cv2
import numpy as np

from avstream.drawing import meter, panels, timeline
from avstream.drawing.canvas import Patch, Picture
from avstream.drawing.fades import NOTHING, Caption, Look, Marks, caption_lines, caption_patch
from avstream.drawing.history import History, Row
from avstream.drawing.layout import Box, Layout, arrange
from avstream.drawing.overlay import follower_of
from avstream.records import Narration, Problem, Sound, SoundEvent, Status, StreamInfo, VideoFrame
from avstream.troubles import DEAF, GRAVE, in_full, problems_of
from avstream.wording import claim

STALE_S = 10.0  # what was narrated longer ago is not shown as if it were now
KEYS_S, MESSAGE_S = 6.0, 4.0
BACKGROUND = (24, 24, 30)
CUT_LEVELS = 30.0  # of 255, the mean change of THUMB from one picture to the next when it shows something else
THUMB = (16, 9)
SHAPE = (9, 16)  # of a picture that has not come yet
FLASH_HZ = 1.0  # of what is urgent; WCAG 2.3.1 allows three a second
MOST_BANNERS = 2
LATE_S = 2.0  # behind, from which on it is shown


class Screen:
    """The state of one stream's display. Times are the stream's own; a caller with threads must lock around it."""

    def __init__(self, info: StreamInfo, *, flash: bool = True) -> None:
        self._epoch_s, self._has_video, self._flash = info.epoch_s, info.has_video, flash
        self._status: Status | None = None
        self._history = History()
        self._narration: Narration | None = None
        self._look = NOTHING
        self._shown_s: float | None = None  # when the narration was first shown
        self._frozen: tuple[VideoFrame | None, Look] | None = None
        self._message, self._message_until_s, self._keys_until_s = "", -1.0, -1.0
        self._marks, self._caption, self._meter = Marks(), Caption(), meter.Meter()
        self._patches: dict[Hashable, tuple[Hashable, Patch | None]] = {}
        self._fitted: tuple[VideoFrame, Picture] | None = None
        self._thumb: Picture | None = None
        self.frozen, self.heatmap = False, True
        self.muted: tuple[str, ...] = ()

    # What it is given

    def write(self, narration: Narration) -> None:
        """Show a narration from now on."""
        self._narration, self._shown_s = narration, None
        self._see()

    def event(self, event: SoundEvent) -> None:
        """Take an event into the history."""
        self._history.add(event)

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

    def see(self) -> None:
        """The user has seen what is urgent: it goes back to its place in the history."""
        self._history.see()

    def toggle_frozen(self) -> None:
        """Hold the picture and its marks, or let them go on; the words always go on."""
        self.frozen, self._frozen = not self.frozen, None

    def toggle_heatmap(self) -> None:
        """Show or hide the heatmap."""
        self.heatmap = not self.heatmap
        self._see()

    def newest(self) -> str | None:
        """The label that sounded up last of those that go on and are not muted; None in silence."""
        going = [event.label for event in self._history.going() if event.label not in self.muted]
        if going:
            return going[0]
        sounds = self._sounds()
        return max(sounds, key=lambda sound: sound.confidence).label if sounds else None

    def mute(self, label: str) -> None:
        """Show a label no more, until the next status says what is muted."""
        self.muted = (*self.muted, label)
        self._see()

    def _sounds(self) -> tuple[Sound, ...]:
        sounds = self._narration.sounds if self._narration else ()
        return tuple(sound for sound in sounds if sound.label not in self.muted)

    def _see(self) -> None:
        sounds = self._sounds()
        if self._narration is None or not sounds:
            self._look = NOTHING
            return
        heatmap, key = self._narration.heatmap if self.heatmap else None, self._narration.key_frame
        self._look = Look(sounds, heatmap, follower_of(None if key is None else key.rgb, sounds))

    # What is seen

    def render(self, picture: VideoFrame | None, size: tuple[int, int], now_s: float) -> Picture:
        """The display's content at `now_s`: RGB uint8 (height, width, 3) for a `size` of (width, height) pixels."""
        if self._shown_s is None:
            self._shown_s = now_s
        fresh = now_s - self._shown_s <= STALE_S
        if picture is not None and not self.frozen and self._is_cut(picture):
            self._misplace()
        look = self._look if fresh else NOTHING
        if self.frozen:
            self._frozen = self._frozen or (picture, look)
            picture, look = self._frozen
        width, height = max(1, size[0]), max(1, size[1])
        banners = self._history.unseen(now_s, self._epoch_s)[:MOST_BANNERS]
        shape = picture.rgb.shape[:2] if picture else SHAPE if self._has_video else None
        layout = arrange(width, height, shape, len(banners))
        out = np.full((height, width, 3), BACKGROUND, np.uint8)
        if picture is not None:
            left, top, right, bottom = layout.picture
            out[top:bottom, left:right] = self._marks.draw(self._fit(picture, layout), look, now_s)
        self._meter.move(now_s)
        self._draw_words(out, layout, now_s, fresh)
        self._draw_banners(out, layout, banners, now_s)
        self._draw_help(out, layout, now_s)
        return out

    def _is_cut(self, picture: VideoFrame) -> bool:
        """Whether this picture shows something else than the one before; for the same picture again it does not."""
        before, self._thumb = self._thumb, cv2.resize(picture.rgb, THUMB, interpolation=cv2.INTER_AREA)
        return before is not None and float(cv2.absdiff(before, self._thumb).mean()) > CUT_LEVELS

    def _misplace(self) -> None:
        """What was narrated had its place in a picture that is gone; the side that it comes from still holds."""
        self._look = Look(tuple(replace(sound, box=None, one_of=(), outline=()) for sound in self._look.sounds))
        self._marks.clear()

    def _fit(self, picture: VideoFrame, layout: Layout) -> Picture:
        """The picture in its size on the screen."""
        left, top, right, bottom = layout.picture
        size = (right - left, bottom - top)
        kept = self._fitted
        if kept is None or kept[0] is not picture or kept[1].shape[:2] != (size[1], size[0]):
            finely = cv2.INTER_AREA if 2 * size[0] < picture.rgb.shape[1] else cv2.INTER_LINEAR
            kept = self._fitted = (picture, cv2.resize(picture.rgb, size, interpolation=finely))
        return kept[1]

    def _draw_words(self, out: Picture, layout: Layout, now_s: float, fresh: bool) -> None:
        """The strip, the history and the caption, or what is wrong in place of what is not true any more."""
        problems = problems_of(self._status, now_s)
        grave = tuple(problem for problem in problems if problem.kind in GRAVE)
        blind = tuple(problem for problem in problems if problem.kind == "no_picture")
        self._caption.move(caption_lines(self._spoken(layout)) if fresh and not grave else (), now_s)
        if layout.strip is not None:
            self._draw_strip(out, layout, problems)
        if grave:
            self._draw_problems(out, (*grave, *blind), layout.view)
            return
        if blind:
            self._draw_problems(out, blind, layout.picture if layout.picture[2] else layout.view)
        self._draw_history(out, layout, now_s)
        if layout.strip is None and not self._has_video and not self._caption.lines:
            self._draw_listening(out, layout, problems)
        lines, strength = self._caption.lines, self._caption.strength
        if lines and strength > 0 and self._is_captioned(layout):
            _blend(self._cached("caption", (lines, layout), lambda: caption_patch(lines, layout)), out, strength)

    def _is_captioned(self, layout: Layout) -> bool:
        """Whether there is a caption: without a picture the history says it, where there is one."""
        return layout.history is None or self._has_video

    def _spoken(self, layout: Layout) -> tuple[Sound, ...]:
        """The sounds that the caption, or without one the strip, has to say."""
        if self._is_captioned(layout):
            return self._sounds()
        going = {event.label for event in self._history.going()}
        return tuple(sound for sound in self._sounds() if sound.label not in going)

    def _draw_problems(self, out: Picture, problems: tuple[Problem, ...], box: Box) -> None:
        key = tuple(replace(problem, since_s=0.0, retry_s=None) for problem in problems)
        _blend(self._cached("problems", (key, box), lambda: panels.problem_patch(problems, box)), out)

    def _draw_listening(self, out: Picture, layout: Layout, problems: tuple[Problem, ...]) -> None:
        """In a small window without a picture: that it listens; an empty one could be broken."""
        left, top, right, bottom = layout.view
        mark, words = self._strip(layout, problems)
        box = (
            left + layout.gap,
            (top + bottom) // 2 - layout.row,
            right - layout.gap,
            (top + bottom) // 2 + layout.row,
        )
        size = layout.small
        _blend(self._cached("strip", (mark, words, box), lambda: panels.strip_patch(mark, words, box, size)), out)

    def _draw_strip(self, out: Picture, layout: Layout, problems: tuple[Problem, ...]) -> None:
        assert layout.strip is not None
        left, top, right, bottom = layout.strip
        gap, size = layout.gap, layout.small
        mark, words = self._strip(layout, problems)
        middle = right if mark == "warning" else round(0.58 * right)
        box = (left + gap, top, middle - gap, bottom)
        _blend(self._cached("strip", (mark, words, box), lambda: panels.strip_patch(mark, words, box, size)), out)
        if mark != "warning":
            scale = (middle + gap, top, right - gap, bottom, size)
            self._meter.draw(out, *meter.scale_box(*scale))
            _blend(self._cached("scale", scale, lambda: meter.scale_patch(*scale)), out)

    def _strip(self, layout: Layout, problems: tuple[Problem, ...]) -> tuple[panels.Mark, str]:
        """What the program does, honestly: only who hears from the narrator says that it listens."""
        if others := [in_full(problem) for problem in problems if problem.kind in ("broker_away", "broker_refuses")]:
            return "warning", " · ".join(others)
        if any(problem.kind in DEAF for problem in problems):
            return "none", "not listening"
        if self._status is None:
            return "none", "starting"
        words = ["listening"]
        if (self._status.latency_s or 0.0) >= LATE_S:
            words.append(f"{self._status.latency_s:.0f} s behind")
        if not self._is_captioned(layout):
            words += ["".join(run.words for run in line) for line in self._caption.lines]
        if len(words) == 1 and not problems and not self._sounds() and not self._history.going():
            words.append("it is quiet")
        if self.frozen:
            words.append("picture frozen")
        if not self.heatmap:
            words.append("heat map off")
        if self.muted:
            words.append("muted: " + ", ".join(claim(Sound(label, 1.0)) for label in self.muted))
        return "dot", " · ".join(words)

    def _draw_history(self, out: Picture, layout: Layout, now_s: float) -> None:
        """A row for each sound, as many as fit."""
        places = timeline.slots(layout, timeline.MOST_ROWS)
        rows = self._history.rows(now_s, self._epoch_s, len(places))
        for at, (row, place) in enumerate(zip(rows, places, strict=False)):

            def make(row: Row = row, place: timeline.Slot = place) -> Patch | None:
                return timeline.row_patch(row, place)

            _blend(self._cached(("row", at), (replace(row, pieces=()), place), make), out)
        timeline.draw_bars(out, rows, places, layout, now_s)
        if places and rows:
            last = places[min(len(rows), len(places)) - 1]
            _blend(self._cached("axis", (last, layout), lambda: timeline.axis_patch(last, layout)), out)
        elif places and layout.banners[1] == layout.banners[3]:  # an urgent sound has no row, but was heard
            _blend(self._cached("axis", layout, lambda: timeline.empty_patch(layout)), out)

    def _draw_banners(self, out: Picture, layout: Layout, rows: tuple[Row, ...], now_s: float) -> None:
        """What is urgent and was not seen yet; it turns its colors around once a second, unless that is unwanted."""
        bright = not self._flash or int(2 * FLASH_HZ * now_s) % 2 == 0
        for at, row in enumerate(rows):

            def make(row: Row = row, at: int = at) -> Patch | None:
                return timeline.banner_patch(row, layout, at, len(rows), bright=bright)

            key = replace(row, pieces=()), layout, len(rows)
            _blend(self._cached(("banner", at, bright), key, make), out)

    def _draw_help(self, out: Picture, layout: Layout, now_s: float) -> None:
        """The keys and the message of now."""
        stage = layout.picture if layout.picture[2] else layout.view
        if now_s < self._keys_until_s:
            right, bottom = stage[2] - layout.gap, stage[3] - layout.gap
            _blend(self._cached("keys", layout, lambda: panels.keys_panel(layout, right, bottom)), out)
        if now_s < self._message_until_s:
            x, y = (stage[0] + stage[2]) / 2, stage[3] - 2 * layout.small
            key = (self._message, layout)
            _blend(self._cached("message", key, lambda: panels.message_panel(self._message, layout, x, y)), out)

    def _cached(self, name: Hashable, key: Hashable, make: Callable[[], Patch | None]) -> Patch | None:
        """The patch of that name, made again only when its key changes."""
        kept = self._patches.get(name)
        if kept is None or kept[0] != key:
            kept = self._patches[name] = (key, make())
        return kept[1]


def _blend(patch: Patch | None, out: Picture, strength: float = 1.0) -> None:
    if patch is not None:
        patch.blend(out, strength)
