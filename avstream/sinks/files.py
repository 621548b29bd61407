"""The rule of all outputs: written as it goes under `name.part.ext`, and `name.ext` when it is whole.

A killed run leaves the part file, which can be read as far as it got.
"""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

from avstream.errors import SinkError

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


class PartFile:
    """A text file that is valid after each `write`, and gets its name at `close`.

    Raises SinkError in the constructor when it could not be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = check_output(path)
        self._part = self.path if is_special(self.path) else part_path(self.path)
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

    def open(self) -> None:
        """Start an empty file under the part name. Raises SinkError."""
        try:
            # Unbuffered: nothing is left over that would fail again, and loudly, at exit.
            self._file, self._size, self._has_failed = open(self._part, "wb", buffering=0), 0, False
        except OSError as error:
            raise SinkError(f"can't write {self._part}: {why(error)}", "name another place") from error

    def write(self, text: str) -> None:
        """Append a whole piece, or nothing: what fits only partly is taken back. Raises SinkError."""
        assert self._file is not None
        # A lone surrogate, from a file name in no known encoding, is written as JSON and people can read it.
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        size = len(rest)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self._take_back()
            self._has_failed = True
            kept = f"what was written before, {self._size} bytes, is kept" if self._size else "nothing was written"
            raise SinkError(
                f"could not go on writing {self.path}: {why(error)}; {kept}", "make room, then run again"
            ) from error
        self._size += size

    def _take_back(self) -> None:
        assert self._file is not None
        try:
            self._file.truncate(self._size)
            self._file.seek(self._size)
        except OSError:
            pass  # a pipe or a device keeps what it got

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
            raise SinkError(f"could not finish {self.path}: {why(error)}; it is kept as {self._part}") from error
