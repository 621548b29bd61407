"""The loop: source -> windower -> narrator -> sinks. It knows the records and these two protocols, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from avstream.records import AudioChunk, Narration, StreamInfo, VideoFrame


class Source(Protocol):
    """Something that can be read once, from start to end. Reading blocks, so the loop does it on a thread."""

    info: StreamInfo

    def __iter__(self) -> Iterator[VideoFrame | AudioChunk]:
        """Items in rough order of time; the end of the stream is the end of the iteration.

        Raises SourceError when nothing (more) can be read and that is not simply the end.
        """
        ...

    @property
    def warnings(self) -> list[str]:
        """What was lost so far, counted, one sentence each; empty when all is well."""
        ...

    def close(self) -> None:
        """Let go of files and devices; harmless when repeated, and safe to call from another thread."""
        ...


class Sink(Protocol):
    """Something that narrations go to, in order. Calls block and come from one thread at a time."""

    name: str

    def open(self, info: StreamInfo) -> None:
        """Called once for each stream. Raises SinkError."""
        ...

    def write(self, narration: Narration) -> None:
        """Take one narration. Raises SinkError."""
        ...

    def close(self) -> None:
        """Finish what was written so that it is valid, also after an interruption. Raises SinkError."""
        ...
