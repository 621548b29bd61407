"""What is wrong with a stream in the words of who relies on it: "I can't hear", and what to do about it.

Pure: it reads what a status says and knows no devices, windows or terminals.
"""

from __future__ import annotations

from dataclasses import replace

from avstream.records import Problem, ProblemKind, Status
from avstream.wording import problem_text

HEADLINES: dict[ProblemKind, str] = {
    "no_sound": "I can't hear",
    "no_stream": "I can't hear or see",
    "overloaded": "I am overloaded",
    "no_picture": "The picture stopped",
    "broker_refuses": "",
    "broker_away": "",
}  # the worst first
DEAF: tuple[ProblemKind, ...] = ("no_sound", "no_stream")
GRAVE: tuple[ProblemKind, ...] = (*DEAF, "overloaded")  # what is narrated meanwhile is not to be relied on
SILENT_S = 10.0  # without any word from the stream
BUSY = "see whether other programs keep this machine busy, and start avstream again if it stays so"


def problems_of(status: Status | None, now_s: float) -> tuple[Problem, ...]:
    """What is wrong at `now_s`, the worst first; nothing before the first word of the stream.

    When a stream gives no status any more, that is a problem too: nobody knows then whether it is silent.
    """
    if status is None:
        return ()
    found = list(status.problems)
    if not any(problem.kind in DEAF for problem in found) and now_s - status.time_s > SILENT_S:
        words = f"nothing came from {status.source} for over {SILENT_S:.0f} s"
        found.append(Problem("no_sound", status.source, words, BUSY, status.time_s))
    return tuple(sorted(found, key=lambda problem: list(HEADLINES).index(problem.kind)))


def headline(problem: Problem) -> str:
    """`I can't hear`: what a problem means; "" for one that leaves sounds and pictures alone."""
    return HEADLINES[problem.kind]


def in_full(problem: Problem) -> str:
    """All of a problem on one line, but for when it is tried again, which changes with every try."""
    head, text = headline(problem), problem_text(replace(problem, retry_s=None))
    return f"{head}: {text}" if head else text
