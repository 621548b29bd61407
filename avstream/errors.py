"""What can go wrong, for people: each message says what was expected, what was found and what to do.

AvstreamError            exit code 1: anything of ours that has no better name
  ConfigError            exit code 2: an option, a preset or a combination of them
  SourceError            exit code 3: a movie, a camera or a microphone that can't be read
  ModelError             exit code 4: weights that are missing, damaged or don't fit
  SinkError              exit code 5: an output that can't be written
"""


class AvstreamError(Exception):
    """The root of all errors that avstream raises on purpose."""

    exit_code = 1


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
