"""The front door: three functions. `import avstream` gives them; models and codecs are imported when one is called.

>>> import avstream
>>> for n in avstream.narrate("movie.mp4"):
...     for sound in n.sounds:
...         print(f"{n.focus_start_s:.0f} s: {sound.label} {sound.confidence:.2f}")  # doctest: +ELLIPSIS
2 s: ...
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

from avstream import loading, loop
from avstream.config import presets
from avstream.events import Rules
from avstream.loop import Thinker
from avstream.narrator import Narrator, Shown
from avstream.outlets import Policy
from avstream.records import Narration, SoundEvent
from avstream.sinks.base import Sink
from avstream.sources.address import is_url
from avstream.sources.base import Source
from avstream.stream import HOP_S, Report, Stream

AHEAD = 4  # narrations that wait for whoever iterates


def load(preset: str = "nano", *, shown: Shown = "source", **choices: Any) -> Narrator:
    """Load models once, to narrate with many times; see `avstream presets`.

    `choices` override the preset's own: audio, language, alignment, listener, tokens, unselected, device, dtype,
    threads, prompt. Raises ConfigError and ModelError.

    >>> import avstream, numpy
    >>> narrator = avstream.load("nano")
    >>> narrator.narrate(numpy.zeros(48_000), 16_000).text
    ''
    """
    return Narrator(loading.load(presets.load(preset, **choices)), shown)


def narrate(
    source: str | Path | Source,
    preset: str | Thinker = "nano",
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    hop_s: float = HOP_S,
    rules: Rules | None = None,
) -> Iterator[Narration]:
    """Narrate a movie, a sound file, a network stream, or a source of your own: one Narration a window, in order.

    `source` is a path, a URL (rtsp, http, udp ...) or a Source; `preset` a name or what `load` gave. [start_s, end_s)
    is the part of a movie to narrate, `hop_s` how often. `rules` say what is spoken of. A movie waits for you; of a
    live stream the oldest narrations are dropped when you are slow. Work goes on in the background while you iterate,
    and ends, with files and devices let go, when you stop.

    Raises ConfigError, SourceError and ModelError, also in the middle: a SourceError comes after the narrations of
    what could be read.

    >>> import avstream
    >>> [n.index for n in avstream.narrate("movie.mp4", end_s=5, hop_s=0.5)]
    [0, 1, 2, 3, 4]
    """
    narrator = load(preset) if isinstance(preset, str) else preset
    opened = _open(source, start_s, end_s)
    try:
        outbox = _Outbox()
        policy: Policy = "wait" if opened.info.epoch_s is None else "drop_oldest"
        stream = Stream(opened, [outbox], policy=policy, rules=rules, hop_s=hop_s, start_s=start_s)
        with _Background(stream, narrator, outbox):
            yield from outbox
        _raise_first(stream.report)
    finally:
        opened.close()


async def live(
    camera: int | str | None = None,
    mic: int | str | None = None,
    *,
    preset: str | Thinker = "nano",
    name: str | None = None,
    realtime: bool = False,
    repeat: bool = False,
    hop_s: float = HOP_S,
    rules: Rules | None = None,
) -> AsyncIterator[Narration | SoundEvent]:
    """Narrate a camera and a microphone, or a network stream: narrations and events as they come, until you stop.

    `camera` is a number, a device file, a URL, or with `realtime` a movie that is played as if it were live, with
    `repeat` again and again; None is sound alone. `mic` is a number, part of a name, "none", or "stream" for the sound
    inside the URL or movie; None is that, or else the default microphone. A device that is lost is tried again.
    A sound's event comes when it begins, with every window that it goes on in, when its label is corrected (`updated`)
    and when it ends.

    Leave the iteration, or cancel the task, and devices and threads are let go; `contextlib.aclosing` makes sure that
    it is done when you go on. Raises ConfigError, SourceError and ModelError.

    >>> import asyncio, avstream
    >>> async def main():
    ...     async for item in avstream.live("movie.mp4", realtime=True):
    ...         if isinstance(item, avstream.SoundEvent) and item.phase == "began":
    ...             return item.label
    >>> isinstance(asyncio.run(main()), str)  # such as "bell"
    True
    """
    from avstream.sources.live.source import LiveSource

    narrator = await asyncio.to_thread(load, preset) if isinstance(preset, str) else preset
    camera, mic = (None if given is None else str(given) for given in (camera, mic))
    source = LiveSource(camera=camera, microphone=mic, realtime=realtime, loop=repeat, name=name)
    inbox, stop = _AsyncOutbox(), asyncio.Event()
    stream = Stream(source, [inbox], policy="drop_oldest", rules=rules, hop_s=hop_s)
    running = asyncio.create_task(loop.run([stream], narrator, stop=stop), name="avstream.live")
    running.add_done_callback(lambda _: inbox.end())
    try:
        while (item := await inbox.get()) is not None:
            yield item
    finally:
        stop.set()
        inbox.abandon()
        await asyncio.wait([running])
    running.result()
    _raise_first(stream.report)


def _open(source: str | Path | Source, start_s: float, end_s: float | None) -> Source:
    """Raises ConfigError and SourceError."""
    if not isinstance(source, str | Path):
        return source
    if isinstance(source, str) and is_url(source):
        from avstream.sources.live.source import LiveSource

        return LiveSource(camera=source, microphone=None)
    from avstream.sources.file.movie import Movie

    return Movie(source, start_s=start_s, end_s=end_s, motion=True)


def _raise_first(report: Report) -> None:
    for error in report.errors:
        raise error


class _Outbox(Sink):
    """Narrations for an iterator in another thread; `write` waits while AHEAD of them are there."""

    name = "iterator"

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Narration] = deque()
        self._has_ended = self._is_abandoned = False

    def write(self, narration: Narration) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < AHEAD or self._is_abandoned)
            self._waiting.append(narration)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Nobody iterates any more."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Narration]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._has_ended)
                if not self._waiting:
                    return
                narration = self._waiting.popleft()
                self._changed.notify_all()
            yield narration


class _AsyncOutbox(Sink):
    """Narrations and events for an iterator in the running loop; who writes waits while there is one."""

    name = "iterator"

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Narration | SoundEvent | None] = asyncio.Queue(1)
        self._is_abandoned = False
        self._ending: asyncio.Task[None] | None = None

    async def get(self) -> Narration | SoundEvent | None:
        """The next, or None at the end."""
        return await self._queue.get()

    def event(self, event: SoundEvent) -> None:
        self._put(event)

    def write(self, narration: Narration) -> None:
        self._put(narration)

    def end(self) -> None:
        """Nothing more comes, whether or not the loop waited for the last items to be taken."""
        if not self._is_abandoned:
            self._ending = self._loop.create_task(self._queue.put(None), name="end of avstream.live")

    def abandon(self) -> None:
        """Nobody iterates any more: who waits to write goes on."""
        self._is_abandoned = True
        if self._ending is not None:
            self._ending.cancel()
        while not self._queue.empty():
            self._queue.get_nowait()

    def _put(self, item: Narration | SoundEvent | None) -> None:
        if not self._is_abandoned:
            asyncio.run_coroutine_threadsafe(self._queue.put(item), self._loop).result()


class _Background:
    """The loop on a thread of its own, while it is entered. What ended it is raised when it is left."""

    def __init__(self, stream: Stream, narrator: Thinker, outbox: _Outbox) -> None:
        self._stream, self._narrator, self._outbox = stream, narrator, outbox
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._error: Exception | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="avstream.narrate", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self._outbox.abandon()
        assert self._loop is not None
        if self._thread.is_alive():
            self._request_stop(self._loop)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _request_stop(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.call_soon_threadsafe(self._stop.set)
        except RuntimeError:  # it ended just now
            pass

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await loop.run([self._stream], self._narrator, stop=self._stop)

        try:
            asyncio.run(main())
        except Exception as error:
            self._error = error
        finally:
            self._outbox.close()
