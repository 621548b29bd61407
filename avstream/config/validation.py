"""YAML files -> settings, by msgspec: every key known, every value of its kind. Passwords are never repeated.

The settings are msgspec Structs; what only they know, such as the range of a number, their `__post_init__` checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from avstream.errors import ConfigError
from avstream.redact import hide
from avstream.wording import unknown

T = TypeVar("T", bound=msgspec.Struct)
WANTED = {  # the annotation of a field -> what its value must be, for people
    "str": "text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "tuple[str, ...]": "a list such as [speech, bell]",
    "Mapping[str, float]": "numbers such as {speech: 0.8}",
}


def read_yaml(path: Path) -> Any:
    """What a file holds. Raises ConfigError: unreadable, or not YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror or error}", "check the name and the folder"
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError for what is no UTF-8, or no date though it looks so
        fix = "correct it there; a text with special characters needs quotes"
        raise ConfigError(f"{path} is not valid YAML: {_mistake(error)}", fix) from None


def checked(values: Mapping[Any, Any], kind: type[T], where: str) -> T:
    """The values as settings of a kind. Raises ConfigError: an unknown or missing key, a value of the wrong kind."""
    values = {str(key): value for key, value in values.items()}
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), values, kind, where) from None


def shown(value: Any) -> str:
    """A value as it may be repeated in an error: without the password of an address."""
    return hide(repr(value))


def _explained(problem: str, values: Mapping[str, Any], kind: type[msgspec.Struct], where: str) -> ConfigError:
    """For people: ``Expected `int`, got `str` - at `$.tokens` `` and the like, with the nearest known key."""
    if match := re.search("unknown field `(.*)`", problem):
        found, fix = unknown("key", hide(match[1]), kind.__struct_fields__)
        return ConfigError(f"{where}: {found}", fix)
    if match := re.search("missing required field `(.*)`", problem):
        return ConfigError(f"{where}: the key {match[1]!r} is missing", "add it")
    match = re.search(r"`\$\.(\w+)", problem)
    if not match:
        return ConfigError(f"{where}: {problem}")
    field = next(field for field in msgspec.structs.fields(kind) if field.name == match[1])
    annotation = kind.__annotations__[field.name].removesuffix(" | None")
    has_default = field.default is not msgspec.NODEFAULT
    fix = f"leave it out for {field.default!r}" if has_default else ""
    expected = f"{WANTED.get(annotation, annotation)} as {field.name} of {where}"
    return ConfigError(shown(values[field.name]), fix, expected)


def _mistake(error: Exception) -> str:
    """What is wrong with the YAML and where, without the line itself: there may be a password in it."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if not problem or mark is None:
        return " ".join(str(error).split())
    nameless = re.sub("(alias|tag|handle) ['\"].*", r"\1", problem)  # without a name from the file
    return f"line {mark.line + 1}, column {mark.column + 1}: {nameless}"
