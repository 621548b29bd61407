"""One stream: its source, its windows, what is spoken of, its events, and how it went.

The policy is the one difference between a movie and a live stream. `wait`: reading waits for the narrator and the
narrator for the sinks, nothing is left out. `drop_oldest`: one window waits for the narrator, an older one is dropped
and counted, so that what is said is of now.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from avstream.caution import Caution
from avstream.errors import AvstreamError, SourceError
from avstream.events import EventTracker, Rules
from avstream.level import FLOOR_DBFS, Onsets, loudness_dbfs
from avstream.outlets import News, Outlet, Policy
from avstream.records import AudioChunk, Narration, Problem, SoundEvent, Status, StreamItem, Watermark, Window
from avstream.sinks.base import Sink
from avstream.sources.base import Source
from avstream.windows import Windower

HOP_S = 1.0
HEARD_S = 0.9  # of a sound that began: enough to name it, as docs/live.md measures
PROMPT_S = 0.5  # what is narrated later than this after its end has no time for more windows
FEW = 4  # streams, which may all hear the same sound begin
APART_S = 0.2  # between the starts of many streams, as the first seconds of each are the most work
WINDOWS_AHEAD = 4  # read ahead while the narrator is busy, where reading waits for it
KEPT_FIGURES = 20_000  # of each stage, and latencies: hours of them
LEVEL_LASTS_S = 1.0  # sound comes in pieces, and may be late: only after this long without any there is none
OVERLOAD_S = 10.0  # of dropped windows: a stream is overloaded while more than one was dropped in this time


@dataclass(slots=True)
class Report:
    """How a stream went. Times are seconds; `stage_ms` has the windows' milliseconds, the last KEPT_FIGURES a stage.

    `latencies_s` are from the end of a window to its narration, of live streams. `missing_s` is sound that came too
    late for its windows, or not at all.
    """

    source: str = ""
    windows: int = 0
    silent: int = 0
    dropped: int = 0
    events: int = 0
    stream_s: float = 0.0
    wall_s: float = 0.0
    missing_s: float = 0.0
    stage_ms: dict[str, deque[float]] = field(default_factory=dict)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_FIGURES))
    came: bool = False  # whether the source ever gave picture or sound
    errors: list[AvstreamError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when all went well, else that of the worst error."""
        return max((error.exit_code for error in self.errors), default=0)

    @property
    def real_time_factor(self) -> float:
        """Wall seconds for a second of stream; below 1 is faster than real time."""
        return self.wall_s / self.stream_s if self.stream_s else 0.0

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """Stage -> (p50, p95) milliseconds, over the windows in which it ran."""
        return {
            name: (float(np.percentile(ms, 50)), float(np.percentile(ms, 95))) for name, ms in self.stage_ms.items()
        }

    def latency_s(self, percentile: float) -> float:
        """A percentile of the latencies; 0 when there is none yet."""
        return float(np.percentile(self.latencies_s, percentile)) if self.latencies_s else 0.0

    def count(self, window: Window, narration: Narration) -> None:
        """Take one window into account."""
        self.windows += 1
        self.silent += not narration.sounds
        focus_s = window.focus_end_s - window.focus_start_s
        self.stream_s += focus_s
        # windows share their sound: each second that is missing counts in full only over all that it is in
        self.missing_s += window.gap_s * focus_s / (window.end_s - window.start_s)
        for name, ms in narration.timings_ms.items():
            self.stage_ms.setdefault(name, deque(maxlen=KEPT_FIGURES)).append(ms)


class Stream:
    """One source on its way to its sinks. `shared` sinks are not closed at its end. Raises ConfigError for the hop.

    Live, it may be the `place`, from 0 on, `of` several: they start at different moments of the hop, so that their
    windows don't all end at one, and many begin one after another. Of a few, a sound that begins has a window end
    HEARD_S after its onset, whatever the hop.
    """

    def __init__(
        self,
        source: Source,
        sinks: Sequence[Sink],
        *,
        policy: Policy = "wait",
        rules: Rules | None = None,
        shared: Sequence[Sink] = (),
        hop_s: float = HOP_S,
        start_s: float = 0.0,
        place: int = 0,
        of: int = 1,
    ) -> None:
        self.source, self.sinks, self.shared, self.policy = source, sinks, shared, policy
        self.rules = Rules() if rules is None else rules
        self.name = source.info.name
        self.report = Report(source=self.name)
        self.outlets: list[Outlet] = []
        self.waiting: deque[Window] = deque()
        self.has_begun = False  # to be read
        self.has_ended = False  # nothing more is read
        self.is_narrated = False  # a window of it, at the moment
        self.is_live = policy == "drop_oldest"
        self.begins_after_s = APART_S * place if self.is_live and of > FEW else 0.0
        self._hop_s = hop_s
        self._windower = Windower(
            hop_s=hop_s,
            start_s=start_s + hop_s * place / of,
            has_audio=source.info.has_audio,
            has_video=source.info.has_video,
            newest=self.is_live,
        )
        self._room, self._stopped = threading.Semaphore(WINDOWS_AHEAD), False
        self._tracker, self._caution = EventTracker(self.name, self.rules, corrects=self.is_live), Caution()
        self._onsets, self._is_prompt = Onsets(), self.is_live and of <= FEW
        self._loudest_dbfs: float | None = None  # of what came since the last status
        self._level_dbfs, self._heard_at_s = FLOOR_DBFS, 0.0
        self._latency_s: float | None = None
        self._drops: deque[float] = deque()  # when windows were dropped lately
        self._overload: tuple[float, int] | None = None  # since when, and windows dropped since

    # On the reading thread

    def read(self, deliver: Callable[[Window, bool], None], fail: Callable[[SourceError], None]) -> None:
        """Read the source to its end. `deliver` gets each window, and whether the source had already ended.

        What came before an error is narrated all the same.
        """
        self.has_begun = True
        try:
            for item in self.source:
                self._note(item)
                if self._is_prompt and isinstance(item, AudioChunk):
                    self._listen_soon(item)
                for window in self._windower.push(item):
                    self._wait_for_room()
                    deliver(window, False)
        except SourceError as error:
            fail(error)
        for window in self._windower.finish(self.source.reached_s):
            self._wait_for_room()
            deliver(window, True)

    def _listen_soon(self, chunk: AudioChunk) -> None:
        """Have a window end soon after a sound begins, unless windows wait already."""
        for onset_s in self._onsets.push(chunk.samples, chunk.rate_hz, chunk.start_s):
            if (self._latency_s or 0.0) <= PROMPT_S:
                self._windower.ends_at(onset_s + HEARD_S)

    def _wait_for_room(self) -> None:
        if not self.is_live:
            self._room.acquire()
            if self._stopped:
                self._room.release()  # so that reading runs to its end

    def _note(self, item: StreamItem) -> None:
        self.report.came = self.report.came or not isinstance(item, Watermark)
        if self.is_live and isinstance(item, AudioChunk):
            level_dbfs = loudness_dbfs(item.samples, item.rate_hz)
            before_dbfs = self._loudest_dbfs
            self._loudest_dbfs = level_dbfs if before_dbfs is None else max(before_dbfs, level_dbfs)

    # In the loop

    def stop_reading(self) -> None:
        """Let a reader that waits for room go on to its end."""
        self._stopped = True
        self._room.release()

    def arrive(self, window: Window, last: bool) -> None:
        """Take a window to be narrated; live, one that still waited is dropped, but for the `last` ones."""
        if self.is_live and not last:
            for _ in self.waiting:
                self._drop()
            self.waiting.clear()
        self.waiting.append(window)

    def next_window(self) -> Window:
        """The window that waited for the longest time."""
        self._room.release()
        return self.waiting.popleft()

    def is_over(self) -> bool:
        """Whether nothing more will be narrated; its events then end, and its sinks, though other streams go on."""
        is_over = self.has_ended and not self.waiting and not self.is_narrated
        if is_over:
            self.end_events()
            for outlet in self.outlets:
                outlet.end()
        return is_over

    async def room(self) -> None:
        """Wait until the sinks have caught up, if that is the policy."""
        for outlet in self.outlets:
            await outlet.room()

    def take(self, window: Window, narration: Narration) -> None:
        """Pass on what becomes of events, and a narration."""
        cautious = self._caution.applied(window, narration) if self.is_live else narration
        narration = self.rules.applied(cautious or replace(narration, sounds=(), text="", heatmap=None))
        self.report.count(window, narration)
        if self.is_live:
            self._latency_s = self.source.now_s() - window.end_s
            self.report.latencies_s.append(self._latency_s)
        broken = cautious is None
        events = self._tracker.miss(narration.focus_end_s) if broken else self._tracker.update(narration)
        self._tell([*events, narration])

    def end_events(self) -> None:
        """Whatever goes on ends."""
        self._tell(self._tracker.finish())

    def tell_status(self, shared_problems: Iterable[Problem] = ()) -> None:
        """Pass on how it goes; `shared_problems` are those of what all streams share."""
        now_s, monotonic_s = self.source.now_s(), time.monotonic()
        problems = [*self.source.problems, *shared_problems, *self._overloaded(monotonic_s)]
        status = Status(
            source=self.name,
            time_s=now_s,
            latency_s=self._latency_s,
            dropped=self.report.dropped,
            level_dbfs=self._level(monotonic_s),
            problems=tuple(replace(one, since_s=now_s - (monotonic_s - one.since_s)) for one in problems),
            epoch_s=time.time() - now_s,
            muted=tuple(sorted(self.rules.muted)),
        )
        self._tell([status])

    def nothing_came(self) -> SourceError | None:
        """The error of a live source that never gave anything, if so it was."""
        report, info = self.report, self.source.info
        if (
            report.came
            or not self.is_live
            or not self.has_begun
            or any(isinstance(error, SourceError) for error in report.errors)
        ):
            return None
        what = [name for name, wanted in (("picture", info.has_video), ("sound", info.has_audio)) if wanted]
        found = f"{self.name} gave no {' and no '.join(what)}"
        problems = self.source.problems
        if not problems:
            return SourceError(found, "check what it is connected to, and give it more time")
        return SourceError(f"{found} ({', '.join(one.found for one in problems)})", problems[0].fix)

    def losses(self) -> list[str]:
        """What sinks were too slow for, a sentence each."""
        return [
            f"{self.name}: {outlet.dropped} narrations or events were dropped, as {outlet.sink.name} was too slow"
            for outlet in self.outlets
            if outlet.dropped
        ]

    def _drop(self) -> None:
        self.report.dropped += 1
        self._drops.append(time.monotonic())

    def _overloaded(self, now_s: float) -> list[Problem]:
        """The problem of a narrator that is too slow, while it is."""
        while self._drops and now_s - self._drops[0] > OVERLOAD_S:
            self._drops.popleft()
        if len(self._drops) < 2:
            self._overload = None
            return []
        since_s, before = self._overload = self._overload or (self._drops[0], self.report.dropped - len(self._drops))
        missed_s = (self.report.dropped - before) * self._hop_s
        found = f"too much to do: {missed_s:.0f} s of sound were not listened to"
        fix = "close other programs, or narrate fewer streams, or with a larger --hop"
        return [Problem("overloaded", self.name, found, fix, since_s)]

    def _level(self, now_s: float) -> float:
        """The loudest since the last status; for a while, what it was when nothing came."""
        loudest, self._loudest_dbfs = self._loudest_dbfs, None
        if loudest is not None:
            self._level_dbfs, self._heard_at_s = loudest, now_s
        elif now_s - self._heard_at_s >= LEVEL_LASTS_S:
            self._level_dbfs = FLOOR_DBFS
        return self._level_dbfs

    def _tell(self, all_news: Sequence[News]) -> None:
        self.report.events += sum(isinstance(news, SoundEvent) and news.phase == "began" for news in all_news)
        for outlet in self.outlets:
            for news in all_news:
                outlet.offer(news)
