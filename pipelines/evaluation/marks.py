"""The judge's marks, kept in a file that grows line by line: a sentence is paid for once."""

from __future__ import annotations

import json
from pathlib import Path

from avstream.errors import SinkError
from pipelines.data.manifest import Row
from pipelines.evaluation.judge import Judge


class Marks:
    """Marks by clip and sentence."""

    def __init__(self, path: Path, judge: Judge) -> None:
        """Read what is there; lines that can't be read are asked for again."""
        self._path, self._judge = path, judge
        self._known: dict[tuple[str, str], float | None] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                entry = json.loads(line)
                self._known[entry["clip"], entry["said"]] = entry["mark"]
            except (ValueError, KeyError, TypeError):
                continue

    def of(self, row: Row, said: str) -> float | None:
        """The mark of a sentence, asked for when it is not known. Raises SourceError, SinkError."""
        clip = f"{row.clip} {row.start_s:g}"
        if (clip, said) not in self._known:
            mark = self._known[clip, said] = self._judge.mark(said, row.captions, row.sounding)
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"clip": clip, "said": said, "mark": mark}) + "\n")
            except OSError as error:
                raise SinkError(f"{self._path} can't be written: {error}") from error
        return self._known[clip, said]
