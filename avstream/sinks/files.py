"""The rule of all outputs: output goes to `name.part.ext` and is renamed once complete; live logs are appended to.

A killed run leaves the part file, which can be read as far as it got.
"""

from __future__ import annotations

import errno
import io
import os
import re
import time
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Literal

from avstream.errors import ConfigError, SinkError

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EFBIG: "it is too large"}


def part_path(path: Path) -> Path:
    """`out.part.mp4` for `out.mp4`: the extension stays, since players and muxers go by it."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def why(error: BaseException) -> str:
    """The reason of a failed write in a few words."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in FULL:
        return FULL[number]
    return str(getattr(error, "strerror", None) or error).lower()


def utf8(text: str) -> bytes:
    """The text as UTF-8 that every program takes: a byte of a file name in no known encoding is U+FFFD."""
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text).encode()


def check_output(path: str | Path) -> Path:
    """The real path of an output (links followed), which a new file can be written to. Raises SinkError."""
    try:
        real = Path(os.path.realpath(path))
        if real.is_dir():
            raise SinkError(f"can't write {path}: it is a folder", "name a file in it")
        if not real.parent.is_dir():
            there = "is not a folder" if real.parent.exists() else "is not there"
            raise SinkError(f"can't write {path}: the folder {real.parent} {there}", "create it, or name another")
        if not is_special(real):
            _try_to_create(part_path(real))
    except (OSError, ValueError) as error:
        raise SinkError(f"can't write {path}: {why(error)}", "name a place that you can write to") from error
    return real


def is_special(path: Path) -> bool:
    """Whether a path is a device or a pipe, which are written directly."""
    return path.exists() and not path.is_file()


def _try_to_create(path: Path) -> None:
    """Whether files can be made here shows only when one is made: root may write where the disk can't."""
    was_there = path.exists()
    with open(path, "ab"):
        pass
    if not was_there:
        path.unlink()


def free_path(path: str | Path) -> Path:
    """The path, or `name-2.ext`, `name-3.ext` ... where it, or what a killed run left, is there already."""
    path = Path(path)
    if is_special(path):
        return path
    named = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return next(free for free in chain([path], named) if not free.exists() and not part_path(free).exists())


class _TextFile:
    """A text file that is valid after each `write`. Unbuffered: nothing is left over that would fail loudly at exit."""

    def __init__(self, path: str | Path) -> None:
        self.path = check_output(path)
        self._file: io.FileIO | None = None
        self._size, self._has_failed = 0, False

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not yet closed."""
        return self._file is not None

    @property
    def takes_more(self) -> bool:
        """Whether it is open and no write has failed yet."""
        return self.is_open and not self._has_failed

    def write(self, text: str) -> None:
        """Append a complete piece, or nothing: what fits only partly is taken back. Raises SinkError."""
        assert self._file is not None
        rest = memoryview(utf8(text))
        size = len(rest)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self._take_back()
            self._has_failed = True
            kept = f"what was written before, {self._size} bytes, is kept" if self._size else "nothing was written"
            raise SinkError(
                f"could not go on writing {self.path}: {why(error)}; {kept}", "free some space, then run again"
            ) from error
        self._size += size

    def _open(self, path: Path, mode: Literal["wb", "ab"]) -> None:
        try:
            self._file, self._has_failed = open(path, mode, buffering=0), False
            self._size = 0 if is_special(path) else os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise SinkError(f"can't write {path}: {why(error)}", "name another place") from error

    def _take_back(self) -> None:
        assert self._file is not None
        with suppress(OSError):  # a pipe or a device keeps what it got
            self._file.truncate(self._size)
            self._file.seek(self._size)


class PartFile(_TextFile):
    """Written under its part name, and renamed at `close`. Raises SinkError, in the constructor too."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._part = self.path if is_special(self.path) else part_path(self.path)

    def open(self) -> None:
        """Start an empty file under the part name. Raises SinkError."""
        self._open(self._part, "wb")

    def close(self) -> None:
        """Give the file its name; harmless when repeated. Raises SinkError."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
            if self._part != self.path:
                os.replace(self._part, self.path)
        except OSError as error:
            raise SinkError(f"could not finish {self.path}: {why(error)}", f"it is kept as {self._part}") from error


class LogFile(_TextFile):
    """Appended to line by line under its own name, so that it can be followed and survives a restart.

    With `rotate` a file that is of an earlier day, or would get larger than so many bytes, is renamed to
    `name-20261125.ext` (day) or `name-20261125-140322.ext`, and a new one is begun. A file that somebody else renames
    or removes is begun anew, too. Raises SinkError, in the constructor too.
    """

    def __init__(self, path: str | Path, rotate: int | Literal["day"] | None = None) -> None:
        super().__init__(path)
        self._rotate = None if is_special(self.path) else rotate
        self._day = ""

    def open(self) -> None:
        """Go on with the file, or begin it. Raises SinkError."""
        if is_special(self.path):
            self._open(self.path, "wb")
            return
        old = self.path.exists()
        self._day = time.strftime("%Y%m%d", time.localtime(self.path.stat().st_mtime if old else None))
        self._open(self.path, "ab")
        if self._size and not self._ends_with_a_line():  # the power went in the middle of one
            super().write("\n")

    def write(self, text: str) -> None:
        """Append a line, after a rotation if one is due. Raises SinkError."""
        if self._is_due(len(utf8(text))):
            self._put_aside()
        elif not is_special(self.path) and not self._is_ours():
            self.close()
            self.open()
        super().write(text)

    def close(self) -> None:
        """Let go of the file; harmless when repeated."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _is_due(self, more: int) -> bool:
        if self._rotate == "day":
            return self._size > 0 and time.strftime("%Y%m%d") != self._day
        return self._rotate is not None and self._size > 0 and self._size + more > self._rotate

    def _put_aside(self) -> None:
        """Rename the file, never over another one, and begin a new one."""
        stamp = self._day if self._rotate == "day" else time.strftime("%Y%m%d-%H%M%S")
        aside = free_path(self.path.with_name(f"{self.path.stem}-{stamp}{self.path.suffix}"))
        self.close()
        try:
            os.rename(self.path, aside)
        except OSError as error:
            raise SinkError(f"can't rename {self.path} to {aside.name}: {why(error)}", "check the folder") from error
        self.open()

    def _is_ours(self) -> bool:
        assert self._file is not None
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def _ends_with_a_line(self) -> bool:
        with open(self.path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def rotation(text: str) -> int | Literal["day"]:
    """`day`, or a size such as `500kB`, `10MB` or `1GB`, in bytes. Raises ConfigError."""
    if text == "day":
        return "day"
    found = re.fullmatch(r"(?i)([\d.]+) *([kmg]?)b?", text.strip())
    try:
        size = float(found[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[found[2].lower()] if found else 0
    except ValueError:
        size = 0
    if size < 1:
        raise ConfigError(repr(text), expected="`day`, or a size such as 10MB, to begin a new log at")
    return int(size)
