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
    "int": "a whole number",
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
        raise ConfigError(f"{path} can't be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError for what is no UTF-8, or no date though it looks so
        raise ConfigError(f"{path} is not valid YAML: {_mistake(error)}") from None


def checked(values: Mapping[Any, Any], kind: type[T], where: str) -> T:
    """The values as settings of a kind. Raises ConfigError: an unknown or missing key, a value of the wrong kind."""
    values = {str(key): value for key, value in values.items()}
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_explained(str(error), values, kind)}") from None


def shown(value: Any) -> str:
    """A value as it may be repeated in an error: without the password of an address."""
    return hide(repr(value))


def _explained(problem: str, values: Mapping[str, Any], kind: type[msgspec.Struct]) -> str:
    """In words: ``Expected `int`, got `str` - at `$.tokens` `` and the like, with the nearest known key."""
    if found := re.search("unknown field `(.*)`", problem):
        return unknown("key", hide(found[1]), kind.__struct_fields__)
    if found := re.search("missing required field `(.*)`", problem):
        return f"the key {found[1]!r} is missing"
    found = re.search(r"`\$\.(\w+)", problem)
    if not found:
        return problem
    field = next(field for field in msgspec.structs.fields(kind) if field.name == found[1])
    annotation = kind.__annotations__[field.name].removesuffix(" | None")
    default = "" if field.required else f"; leave it out for {field.default!r}"
    if field.default_factory is not msgspec.NODEFAULT:
        default = ""
    return f"{field.name} must be {WANTED.get(annotation, annotation)}, found {shown(values[field.name])}{default}"


def _mistake(error: Exception) -> str:
    """What is wrong with the YAML and where, without the line itself: there may be a password in it."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if not problem or mark is None:
        return " ".join(str(error).split())
    nameless = re.sub("(alias|tag|handle) ['\"].*", r"\1", problem)  # without a name from the file
    return f"line {mark.line + 1}, column {mark.column + 1}: {nameless}"
