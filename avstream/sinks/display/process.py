"""The display's window, as a program: it shows the pictures that it reads and answers each with what the user did.

It is a process of its own because a graphics library ends the process it is in when the display goes away; here that
costs the window and nothing else. It imports nothing of avstream, so that it starts quickly. The window is SDL's (by
pygame): OpenCV's, drawn by Qt, loses X events while it starts, and then stays black for ever.

A request is REQUEST and, when it has a size, a picture of it, RGB uint8; every one, and the start, is answered by
REPLY. The end of its input is the end of the program. The one key that it sees to itself is f, the full screen.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pygame

REQUEST = struct.Struct("<II")  # width, height; a size of 0 by 0 keeps the picture
REPLY = struct.Struct("<?iII")  # still open?, the key that was pressed (Unicode) or -1, width and height of the content
CLICK = 0  # in place of a key, for a button of the mouse
SETTINGS = {"PYGAME_HIDE_SUPPORT_PROMPT": "1"}
ON_LINUX = {
    "SDL_VIDEODRIVER": "x11",  # else SDL goes on without any display, out of everyone's sight
    "SDL_FRAMEBUFFER_ACCELERATION": "0",  # OpenGL without a 3D card takes six times as long; elsewhere it is needed
    "SDL_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR": "0",  # SDL takes every window for a game
    "SDL_VIDEO_X11_WMCLASS": "avstream",
}


class DisplayWindow:
    """A window of SDL's. Raises pygame.error when there is no display."""

    def __init__(self, title: str, width: int, height: int) -> None:
        import pygame  # here, since the program that reads REPLY imports this file too

        self._sdl = pygame
        pygame.display.init()
        self._window = pygame.Window(title, (width, height), resizable=True)
        self._window.set_icon(icon(pygame))
        self._window.get_surface()
        self._window.flip()
        self._keys: deque[int] = deque()
        self._is_full = False
        self._is_open = True

    def look(self) -> bytes:
        """Let the window work; a REPLY."""
        for event in self._sdl.event.get():
            if event.type in (self._sdl.QUIT, self._sdl.WINDOWCLOSE):
                self._is_open = False
            elif event.type == self._sdl.KEYDOWN and (key := pressed(self._sdl, event)) is not None:
                if key == ord("f"):
                    self._toggle_full()
                else:
                    self._keys.append(key)
            elif event.type == self._sdl.MOUSEBUTTONDOWN:
                self._keys.append(CLICK)
        width, height = self._window.get_surface().get_size()
        return REPLY.pack(self._is_open, self._keys.popleft() if self._keys else -1, width, height)

    def show(self, rgb: bytes, width: int, height: int) -> None:
        """Show a picture, stretched to the window."""
        surface = self._window.get_surface()
        picture = self._sdl.image.frombuffer(rgb, (width, height), "RGB")
        if (width, height) == surface.get_size():
            surface.blit(picture, (0, 0))
        else:  # the user pulls at the window: until the next picture
            surface.blit(self._sdl.transform.scale(picture, surface.get_size()), (0, 0))
        self._window.flip()

    def _toggle_full(self) -> None:
        """Fill the screen, or go back to what was before."""
        screens = self._sdl.display.get_desktop_sizes()
        still_full = self._is_full and self._window.size[0] in (width for width, _ in screens)
        self._is_full = not still_full
        self._window.set_windowed()  # first in any case: SDL misses it when the desktop has ended the full screen
        if self._is_full:
            self._window.set_fullscreen(True)


def icon(sdl: Any) -> pygame.Surface:
    """Sound that leaves a point, 64 pixels wide."""
    picture = sdl.Surface((64, 64), sdl.SRCALPHA)
    sdl.draw.rect(picture, (24, 24, 30), picture.get_rect(), border_radius=14)
    sdl.draw.circle(picture, (255, 212, 0), (16, 32), 8)
    for radius in (20, 32, 44):
        sdl.draw.circle(picture, (255, 212, 0), (16, 32), radius, 5, draw_top_right=True, draw_bottom_right=True)
    return picture


def pressed(sdl: Any, event: pygame.event.Event) -> int | None:
    """What a key means: its character, whatever Caps Lock says, a question mark for F1, or nothing."""
    if event.mod & (sdl.KMOD_CTRL | sdl.KMOD_LALT | sdl.KMOD_GUI):  # for the desktop; the right Alt writes characters
        return None
    character = "?" if event.key == sdl.K_F1 else event.unicode.lower()
    return ord(character) if len(character) == 1 else None


def serve(requests: BinaryIO, replies: BinaryIO, window: DisplayWindow) -> None:
    """Show what comes until the input ends."""
    while True:
        replies.write(window.look())
        replies.flush()
        header = requests.read(REQUEST.size)
        if len(header) < REQUEST.size:
            return
        width, height = REQUEST.unpack(header)
        if width and height:
            pixels = requests.read(width * height * 3)
            if len(pixels) < width * height * 3:
                return
            window.show(pixels, width, height)


def main() -> None:
    """Open the window with the title and size of the command line, and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started this one
    title, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.environ.update(SETTINGS | (ON_LINUX if sys.platform.startswith("linux") else {}))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply
    serve(sys.stdin.buffer, replies, DisplayWindow(title, width, height))


if __name__ == "__main__":
    main()
