"""Where streams come from: each room is a Source (see avstream.run) and knows records and errors only."""

import cv2  # noqa: F401  before av, always: the other way round, the first window that OpenCV opens hangs
