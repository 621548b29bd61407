"""Addresses of network streams, and what goes wrong with one in words that help."""

from __future__ import annotations

import errno
import re
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import av
import av.error

from avstream.errors import SourceError
from avstream.redact import hide


def is_url(text: str) -> bool:
    """Whether this is an address rather than a path. One letter is a drive."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def explain(error: Exception, url: str) -> SourceError:
    """What opening or reading a stream failed with, for people."""
    where = hide(url)
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return SourceError(
            f"{where} refuses the user or the password", f"give them as {_scheme(url)}://USER:PASSWORD@..."
        )
    if isinstance(error, av.error.HTTPNotFoundError):
        return SourceError(f"{where} is not there (404), though its host answers", "check the path in the address")
    if isinstance(error, ConnectionRefusedError):
        return SourceError(f"{where} can't be reached (connection refused)", "check the port, and that it is on")
    if getattr(error, "errno", None) == errno.EADDRINUSE:
        return SourceError(f"{where} is in use on this machine", "stop the other program that listens there")
    if isinstance(error, av.error.ExitError | TimeoutError):
        return SourceError(f"{where} does not answer", "check the address, and that it is on and sends")
    if isinstance(error, av.error.ProtocolNotFoundError):
        return SourceError(
            f"{where} has a kind of address that can't be read here", "use rtsp, http, https, udp or tcp"
        )
    if isinstance(error, av.error.InvalidDataError):
        return SourceError(f"{where} sends neither picture nor sound that can be read", "try it in a player")
    if not _is_known(url):
        return SourceError(f"no host is named {_host(url)}", "check the address and this machine's network")
    why = getattr(error, "strerror", None) or type(error).__name__
    check = "check the address, and that it is on"
    if "@" in url and _host(url) is None:
        check += "; a password's / is written %2F there, its ? %3F, and its # %23"
    return SourceError(f"{where} can't be read ({hide(str(why))})", check)


def _scheme(url: str) -> str:
    return url.partition("://")[0]


def _host(url: str) -> str | None:
    """The name of the host where that is certain: an @ after a slash may end a password or belong to the path."""
    with suppress(ValueError):  # a bracket too many
        host = urlsplit(url).hostname
        return host if host == urlsplit(hide(url)).hostname else None
    return None


def _is_known(url: str) -> bool:
    """Whether the name of the host can be looked up; libav says only that something is wrong."""
    host = _host(url)
    if not host:
        return True
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True


def is_device(camera: str) -> bool:
    """Whether this is a camera of this machine: its number or its device file."""
    return camera.isdecimal() or camera.startswith("/dev/")


def stream_name(camera: str | None) -> str:
    """A name for people, without anything secret."""
    if camera is None:
        return "microphone"
    if is_url(camera):
        try:
            return urlsplit(hide(camera)).hostname or "stream"
        except ValueError:
            return "stream"
    return f"camera {camera}" if is_device(camera) else Path(camera).name
