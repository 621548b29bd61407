"""`avstream doctor`: what this machine has of all that avstream needs, and how to fix what is missing.

Each check runs on a thread of its own: one that raises is a failed line, one that hangs is given up. Heavy packages
are imported by the checks only, and no credentials are ever shown.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from avstream.doctor import machine, models, senses
from avstream.doctor.check import REINSTALL, Check
from avstream.workers import NoAnswerError, within

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Check", "checks", "print_checks"]
LIMIT_S = 5.0
SLOW_S = 60.0  # for the checks that bring in torch, or open a window or cameras: slow the first time after a boot
WORDS = {True: ("ok", "green"), None: ("--", "yellow"), False: ("FAIL", "bold red")}


def checks(
    mqtt_url: str | None = None,
    *,
    password_file: Path | None = None,
    cafile: Path | None = None,
    mic: str | None = None,
    camera: str | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> list[Check]:
    """Every check, in the order in which they are shown; it takes some seconds, most of them for torch.

    `mic` is the microphone to listen to, by default the system's if there is one, and `camera` one to look through;
    `say` is called with what the user is to do meanwhile.
    """
    quick = [machine.python, machine.packages, machine.folder, machine.microphones]
    done = [run(function, LIMIT_S) for function in quick]
    if mic not in (None, "none") or (mic is None and done[-1].ok):
        done.append(run(lambda: senses.microphone(mic or "", say), 4 * LIMIT_S, "hearing"))
    if camera is not None:
        done.append(run(lambda: senses.camera(camera), 5 * LIMIT_S, "camera"))
    done.append(run(senses.memory, LIMIT_S))
    slow = [machine.cameras, machine.codecs, machine.display]
    slow += [models.cpu, models.gpu, models.nano, models.presets_here, models.listeners, models.cache]
    done += [run(function, SLOW_S) for function in slow]
    if mqtt_url is not None:
        done.append(run(lambda: visit_broker(mqtt_url, password_file, cafile), 2 * LIMIT_S, "MQTT broker"))
    return done


def visit_broker(url: str, password_file: Path | None, cafile: Path | None) -> Check:
    """The broker's check, whose imports are its own as well."""
    from avstream.doctor.broker import check_broker

    return check_broker(url, password_file, cafile)


def run(function: Callable[[], Check], limit_s: float, name: str = "") -> Check:
    """One check, come what may."""
    name = name or function.__name__.replace("_", " ")
    try:
        return within(limit_s, function, name=f"check {name}")
    except NoAnswerError:
        return Check(name, False, f"no answer for {limit_s:g} s", "restart this machine, and try again")
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())[:200]
        return Check(name, False, f"{type(error).__name__}: {text}", REINSTALL)


def print_checks(console: Console, done: list[Check]) -> int:
    """A line for each check, and below it how to fix it. Gives the exit code: 1 when something failed."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in done:
        word, style = WORDS[check.ok]
        table.add_row(Text(word, style), check.name, Text(check.found))
        if check.fix and check.ok is not True:
            table.add_row("", "", Text(f"-> {check.fix}", "bold" if check.ok is False else "dim"))
    console.print(table)
    failed = sum(check.ok is False for check in done)
    things = "one thing" if failed == 1 else f"{failed} things"
    console.print(f"{things} to fix" if failed else "all well; what has -- is only needed for some of it")
    return 1 if failed else 0
