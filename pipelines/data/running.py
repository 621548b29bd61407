"""What long commands share: they end clearly, and the first Ctrl-C or SIGTERM lets them save what they have."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avstream.errors import AvstreamError

INTERRUPTED, TERMINATED = 130, 143


class Stop:
    """While entered, the first SIGINT or SIGTERM sets `code` (130 or 143), to be looked at between steps; a second
    one ends the program at once.
    """

    def __init__(self) -> None:
        self.code = 0

    def __bool__(self) -> bool:
        return self.code != 0

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        code = INTERRUPTED if number == signal.SIGINT else TERMINATED
        if self.code:
            raise SystemExit(code)
        self.code = code
        print("stopping: saving what is done (again: stop at once)", file=sys.stderr)


def finish(name: str, work: Callable[[], int]) -> int:
    """Run a command's work and give its exit code: what goes wrong is one line, `name: what, and what to do`."""
    try:
        return work()
    except AvstreamError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def command_line(name: str, arguments: Sequence[str] | None) -> str:
    """The command as it can be typed again."""
    return shlex.join(["python", "-m", f"pipelines.{name}", *(sys.argv[1:] if arguments is None else arguments)])


def progress() -> Progress:
    """A bar with counts and the time that remains, on the standard error; nothing where that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal, transient=True,
    )  # fmt: skip
