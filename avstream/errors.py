"""What can go wrong, as facts: what was expected, what was found, how to fix it. `str()` joins them for people.

AvstreamError            exit code 1: an internal error, or anything else that has no better name
  ConfigError            exit code 2: an option, a preset or a combination of them
  SourceError            exit code 3: a movie, a camera or a microphone that can't be read
  ModelError             exit code 4: weights that are missing, damaged or don't fit
  SinkError              exit code 5: an output that can't be written
"""


class AvstreamError(Exception):
    """The root of all errors that avstream raises on purpose. `fix` and `expected` may be empty.

    >>> print(AvstreamError("movie.mp4 is not there", "check the name and the folder"))
    movie.mp4 is not there; check the name and the folder
    >>> print(AvstreamError("3", expected="a threshold from 0 to 1"))
    expected a threshold from 0 to 1, found 3
    """

    exit_code = 1

    def __init__(self, found: str, fix: str = "", expected: str = "") -> None:
        super().__init__(found, fix, expected)
        self.found, self.fix, self.expected = found, fix, expected

    def __str__(self) -> str:
        text = f"expected {self.expected}, found {self.found}" if self.expected else self.found
        return f"{text}; {self.fix}" if self.fix else text


class ConfigError(AvstreamError):
    """A wrong option, preset or combination of them."""

    exit_code = 2


class SourceError(AvstreamError):
    """An input that can't be opened or read."""

    exit_code = 3


class ModelError(AvstreamError):
    """Weights that are missing, damaged or don't fit the preset."""

    exit_code = 4


class SinkError(AvstreamError):
    """An output that can't be written."""

    exit_code = 5
