"""The window itself, as a program: it shows the pictures that it reads and answers each with what the user did.

It is a process of its own because a graphics library ends the process it is in when the display is missing or goes
away; here that costs the window and nothing else. It imports nothing of avstream, so that it starts quickly.

A request is REQUEST and, when it has a size, a BGR uint8 picture of it; every one, and the start, is answered by REPLY.
The end of its input is the end of the program.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from typing import BinaryIO

import cv2
import numpy as np

REQUEST = struct.Struct("<?II")  # full screen?, width, height; a size of 0 by 0 keeps the picture
REPLY = struct.Struct("<?iII")  # still open?, a key or -1, width and height of the window's content
NAME = "avstream"


def look(width: int, height: int) -> tuple[bool, int, int, int]:
    """Let the window work: whether it is still open, a key that was pressed or -1, and its size."""
    try:
        key = cv2.pollKey()
        if cv2.getWindowProperty(NAME, cv2.WND_PROP_VISIBLE) < 1:
            return False, key, width, height
        _, _, wide, high = cv2.getWindowImageRect(NAME)
    except cv2.error:  # the window is gone
        return False, -1, width, height
    return True, key, max(1, wide), max(1, high)


def serve(requests: BinaryIO, replies: BinaryIO, width: int, height: int) -> None:
    """Show what comes until the input ends or the window is closed."""
    full = False
    reply = look(width, height)
    while True:
        replies.write(REPLY.pack(*reply))
        replies.flush()
        header = requests.read(REQUEST.size)
        if len(header) < REQUEST.size:
            return
        wants_full, width, height = REQUEST.unpack(header)
        if width and height:
            pixels = requests.read(width * height * 3)
            if len(pixels) < width * height * 3:
                return
            cv2.imshow(NAME, np.frombuffer(pixels, np.uint8).reshape(height, width, 3))
        if wants_full != full:
            full = wants_full
            mode = cv2.WINDOW_FULLSCREEN if full else cv2.WINDOW_NORMAL
            cv2.setWindowProperty(NAME, cv2.WND_PROP_FULLSCREEN, mode)
        reply = look(reply[2], reply[3])


def main() -> None:
    """Open the window with the title and size of the command line, and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started this one
    title, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply
    cv2.namedWindow(NAME, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
    cv2.setWindowTitle(NAME, title)
    cv2.resizeWindow(NAME, width, height)
    cv2.imshow(NAME, np.zeros((height, width, 3), np.uint8))
    serve(sys.stdin.buffer, replies, width, height)


if __name__ == "__main__":
    main()
