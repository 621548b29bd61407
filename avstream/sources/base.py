"""What every source is: a movie, live devices, a network stream, or something of your own (`avstream.testing`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from avstream.records import Problem, StreamInfo, StreamItem


class Source(Protocol):
    """Something that can be read once, from start to end. Reading blocks, so the loop does it on a thread."""

    @property
    def info(self) -> StreamInfo:
        """What is known of it before it is read."""
        ...

    def __iter__(self) -> Iterator[StreamItem]:
        """Items in rough order of time; the end of the stream is the end of the iteration.

        A live source goes on whatever happens to its devices, and sends a Watermark a few times a second. Raises
        SourceError when nothing (more) can be read and that is not simply the end.
        """
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What was lost so far, counted, one sentence each; empty when all is well."""
        ...

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong now; always empty for a recording. Their `since_s` is of time.monotonic()."""
        ...

    @property
    def reached_s(self) -> float | None:
        """Where the stream ended, once it has; None when it held nothing."""
        ...

    def now_s(self) -> float:
        """The stream time of this moment; of a recording, what was read so far."""
        ...

    def close(self) -> None:
        """Let go of files and devices; harmless when repeated, and safe to call from another thread."""
        ...
