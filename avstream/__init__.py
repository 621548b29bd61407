"""avstream: what is sounding, where in the picture, and how sure.

>>> import avstream
>>> for n in avstream.narrate("movie.mp4"):
...     print(n.focus_start_s, n.text)  # doctest: +ELLIPSIS
0.0...

`narrate` reads a movie, `live` devices and networks, `load` keeps models for many uses. Importing this imports
nothing else: what is used is brought in then.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avstream.api import live as live
    from avstream.api import load as load
    from avstream.api import narrate as narrate
    from avstream.errors import AvstreamError as AvstreamError
    from avstream.errors import ConfigError as ConfigError
    from avstream.errors import ModelError as ModelError
    from avstream.errors import SinkError as SinkError
    from avstream.errors import SourceError as SourceError
    from avstream.events import Rules as Rules
    from avstream.narrator import Narrator as Narrator
    from avstream.records import Narration as Narration
    from avstream.records import Problem as Problem
    from avstream.records import Sound as Sound
    from avstream.records import SoundEvent as SoundEvent
    from avstream.records import Status as Status
    from avstream.records import StreamInfo as StreamInfo
    from avstream.sinks.base import Sink as Sink
    from avstream.sources.base import Source as Source

__version__ = "0.1.0"
__all__ = [
    "AvstreamError", "ConfigError", "ModelError", "Narration", "Narrator", "Problem", "Rules", "Sink", "SinkError",
    "Sound", "SoundEvent", "Source", "SourceError", "Status", "StreamInfo", "__version__", "live", "load", "narrate",
]  # fmt: skip
_MODULES = {
    "api": ("live", "load", "narrate"),
    "errors": ("AvstreamError", "ConfigError", "ModelError", "SinkError", "SourceError"),
    "events": ("Rules",),
    "narrator": ("Narrator",),
    "records": ("Narration", "Problem", "Sound", "SoundEvent", "Status", "StreamInfo"),
    "sinks.base": ("Sink",),
    "sources.base": ("Source",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"avstream.{module}"), name)
            return value
    raise AttributeError(f"module 'avstream' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
