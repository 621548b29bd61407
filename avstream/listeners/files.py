"""Files of listeners from the hub: downloaded once, checked against the hub's own checksum, and remembered.

No checksum of these files could be known where this was written, so none is built in. What is checked: that the bytes
are those the hub says (SHA-256), that they are the same as at their first use on this machine, and, by the listener,
that the graph is of the expected kind. `Pinned.sha256` takes a checksum that is known.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from avstream.errors import ModelError

ANSWER_S = 15.0  # the longest wait for the hub to say what it has


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file of a hub repository, by a pattern that one file of it matches, and its checksum where it is known."""

    repository: str
    pattern: str
    sha256: str | None = None

    def path(self) -> Path:
        """The file, from the cache or the hub, checked. Raises ModelError."""
        path = self.cached() or self._download()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        remembered = Remembered.load()
        wanted = self.sha256 or remembered.of(self)
        if wanted is None:
            remembered.add(self, digest)
        elif digest != wanted:
            raise ModelError(
                f"one with {digest}",
                "delete it to download it again, or, if it was changed on purpose, delete its line in "
                f"{Remembered.place()}",
                f"{path} with the SHA-256 {wanted}",
            )
        return path

    def cached(self) -> Path | None:
        """The file where it is on this machine, else None."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(self.repository, local_files_only=True))
        except (OSError, ValueError, LocalEntryNotFoundError):
            return None
        return next(iter(sorted(folder.glob(self.pattern))), None)

    def _download(self) -> Path:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
        from huggingface_hub.utils import httpx

        try:
            # asked once and without retries: without a network the answer should come at once
            info = HfApi().model_info(self.repository, timeout=ANSWER_S, files_metadata=True)
            files = [file for file in info.siblings or [] if Path(file.rfilename).match(self.pattern)]
            if len(files) != 1:
                names = [file.rfilename for file in files]
                expected = f"one {self.pattern} in {self.repository} of the hub"
                raise ModelError(f"{names}", "use another --listener", expected)
            path = Path(hf_hub_download(self.repository, files[0].rfilename, revision=info.sha))
        except HfHubHTTPError as error:
            reason = " ".join(str(error).split("\n")[0].split())
            found = f"the hub does not give {self.repository!r}: {reason}"
            raise ModelError(found, "try again later, or use --listener nano, which needs no download") from error
        except (OSError, httpx.HTTPError, LocalEntryNotFoundError) as error:
            raise ModelError(
                f"{self.repository!r} is not on this machine and the hub can't be reached",
                f"with a network, run `hf download {self.repository} --include '{self.pattern}'`, or use "
                "--listener nano, which needs no download",
            ) from error
        stated = files[0].lfs.sha256 if files[0].lfs else None
        if stated and hashlib.sha256(path.read_bytes()).hexdigest() != stated:
            raise ModelError(f"{path} was damaged on its way: it is not what the hub has", "delete it and try again")
        return path


@dataclass(slots=True)
class Remembered:
    """The checksums of files at their first use on this machine, in one JSON file."""

    sums: dict[str, str]

    @staticmethod
    def place() -> Path:
        """Where they are kept."""
        return cache_folder() / "listeners.json"

    @staticmethod
    def load() -> Remembered:
        """Those so far; none when there is no such file, or it is damaged."""
        try:
            sums = json.loads(Remembered.place().read_text(encoding="utf-8"))
            return Remembered({str(name): str(value) for name, value in sums.items()})
        except (OSError, ValueError, AttributeError):
            return Remembered({})

    def of(self, file: Pinned) -> str | None:
        """The checksum of a file at its first use."""
        return self.sums.get(f"{file.repository}/{file.pattern}")

    def add(self, file: Pinned, digest: str) -> None:
        """Remember a file; a cache that can't be written to remembers nothing."""
        self.sums[f"{file.repository}/{file.pattern}"] = digest
        try:
            self.place().parent.mkdir(parents=True, exist_ok=True)
            self.place().write_text(json.dumps(self.sums, indent=1) + "\n", encoding="utf-8")
        except OSError:
            return


def cache_folder() -> Path:
    """Avstream's own cache: `$XDG_CACHE_HOME/avstream`, or `~/.cache/avstream`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "avstream"
