"""Addresses as they may be shown: in logs, errors, files, windows and messages. The one place that hides secrets.

A user, a password and a value in the query may be a secret, and so may a part of the path: many cameras and streams
have their key there (`/live/SEKRET/index.m3u8`). Of a path only words are shown that every stream has.
"""

from __future__ import annotations

import re

REST = r"(?:(?!://).)*"  # up to the next address; with spaces, which a password may hold
USER = re.compile(  # up to the last @: a password may hold one, or a slash
    rf"(?<=://)(?:{REST}|\S*)@|^(?![A-Za-z0-9+.-]+://)(?:[^\s:@]+:\S{REST}|\S*)@"
)
QUERY = re.compile(r"(?<=[?&;])([^=&;#\s]*)=([^&;#\s]*)")
TAIL = re.compile(r"(?i)([a-z0-9]://[^\s?#'\"]*)([?#][^\s'\"]*)")  # query and fragment
IN_PATH = re.compile(r"(?i)(pass\w*?|pwd|token|secret|api_?key)=[^&;#\s/*]+")  # some cameras have it there
PATH = re.compile(r"(?i)\b(?!mqtts?:)([a-z][a-z0-9+.-]+://[^/\s?#'\"]*)(/[^\s?#'\"]*)")
HARMLESS = {"channel", "subtype", "stream", "profile", "width", "height", "resolution", "fps", "codec", "pkt_size",
            "overrun_nonfatal", "fifo_size", "buffer_size", "localport", "ttl"}  # fmt: skip
WORDS = (
    "api|app|audio|av|axis|beep|bin|cam|camera|cgi|ch|channel|channels|cif|dash|default|feed|flv|h264|h265|hd|hevc|high|hls|"
    "htm|html|image|img|index|jpeg|jpg|list|live|low|m3u8|m4s|main|major|master|media|minor|mjpeg|mjpg|mkv|mov|mp3|mp4|mpd|"
    "mpeg|mpeg4|mpg|mpjpeg|muxed|ogg|onvif|out|path|php|play|playlist|preview|profile|raw|rtmp|rtsp|sd|sdp|snapshot|"
    "stream|streaming|streams|sub|test|track|tracks|trackid|ts|unicast|video|videomain|videosub|view|wav|webm"
)
PART = rf"(?:(?:{WORDS})\d{{0,4}}|\d{{1,4}}|[a-z])"
NUMBERS = re.compile(r"\d+(?:[x:.]\d+)*")
SHOWN = re.compile(rf"(?i){PART}(?:[-_.]{PART})*")


def hide(text: str) -> str:
    """A text in which no address shows what may be a secret; what is hidden is `***`."""
    text = USER.sub("***@", text)
    text = QUERY.sub(_value, text)
    text = TAIL.sub(lambda found: found[1] + "".join(map(_flag, re.split(r"([?&;#])", found[2]))), text)
    text = PATH.sub(lambda found: found[1] + "/".join(map(_segment, found[2].split("/"))), text)
    return IN_PATH.sub(r"\1=***", text)


def _value(part: re.Match[str]) -> str:
    """A part of a query; its value is shown only where both it and its name are harmless."""
    shown = part[1].lower() in HARMLESS and (NUMBERS.fullmatch(part[2]) or _segment(part[2]) == part[2])
    return part[0] if shown else f"{part[1]}=***"


def _flag(part: str) -> str:
    """What stands in a query without a value, or behind a #, or between such parts."""
    return part if "=" in part or part in "?&;#" else _segment(part)


def _segment(segment: str) -> str:
    """A part of a path, or `***` unless it is harmless; what a sentence puts behind it stays."""
    name = segment.rstrip(".,:;)>]…")
    return segment if not name or SHOWN.fullmatch(name) else "***" + segment[len(name) :]
