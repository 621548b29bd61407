"""What every sink is: a place where narrations and events go."""

from __future__ import annotations

from typing import Self

from avstream.records import Narration, SoundEvent, Status, StreamInfo


class Sink:
    """The base of all sinks: override what you need, the rest does nothing.

    Calls block, come in order and from one thread at a time. The events of a window come before its narration, so
    that who gets a narration knows what goes on. Any call may raise SinkError: the sink is then left alone until it
    is closed, and all else goes on. As a context manager a sink closes itself.
    """

    name = "sink"
    is_essential = True  # whether a run goes on when only this sink still works

    def open(self, info: StreamInfo) -> None:
        """Called once for each stream, before anything else."""

    def event(self, event: SoundEvent) -> None:
        """A sound began, goes on, or has ended."""

    def write(self, narration: Narration) -> None:
        """What a window turned out to hold."""

    def status(self, status: Status) -> None:
        """How a live stream is doing, a few times a second."""

    def close(self) -> None:
        """Finish what was written so that it is valid, also after an interruption; harmless when repeated."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
