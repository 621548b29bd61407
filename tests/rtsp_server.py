"""An RTSP camera on loopback, by GStreamer, in a process of the system's Python, which has the bindings.

    with rtsp_camera() as url: ...
    with rtsp_camera(user="ann", password="s3cret") as url: ...

Once a second the picture turns white for 0.3 s and a tone sounds, together to the millisecond.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.system import free_port, lack

PYTHON = "/usr/bin/python3"
NEEDS = "apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly"
SCRIPT = r"""
import math, os, struct, sys, threading
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
port, user, password = sys.argv[1:]
WIDTH, HEIGHT, RATE, ON_S = 320, 240, 48000, 0.3
SOUND = "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=%d" % RATE
PICTURE = "video/x-raw,format=I420,width=%d,height=%d,framerate=25/1" % (WIDTH, HEIGHT)
LAUNCH = ("( appsrc name=picture is-live=true format=time caps=%s ! x264enc tune=zerolatency speed-preset=ultrafast"
          " key-int-max=12 ! rtph264pay name=pay0 pt=96 config-interval=1"
          " appsrc name=sound is-live=true format=time caps=%s ! audioconvert ! avenc_aac"
          " ! rtpmp4gpay name=pay1 pt=97 )"
          % (PICTURE, SOUND))

def picture(k):
    white = k % 25 < ON_S * 25
    return bytes([235 if white else 40]) * (WIDTH * HEIGHT) + b"\x80" * (WIDTH * HEIGHT // 2)

def sound(k):  # 40 ms from the same moment on as picture k
    step = RATE // 25
    if k % 25 >= ON_S * 25:
        return bytes(2 * step)
    return b"".join(struct.pack("<h", int(16000 * math.sin(2 * math.pi * 880 * n / RATE))) for n in range(step))

class Factory(GstRtspServer.RTSPMediaFactory):
    def do_create_element(self, url):
        return Gst.parse_launch(LAUNCH)

    def do_configure(self, media):
        GstRtspServer.RTSPMediaFactory.do_configure(self, media)
        pipeline = media.get_element()
        find = pipeline.get_by_name_recurse_up
        sources = [(find("picture"), picture), (find("sound"), sound)]
        state = {"k": None}
        def tick():
            clock = pipeline.get_clock()
            if clock is None:
                return True
            now = clock.get_time() - pipeline.get_base_time()
            if state["k"] is None:
                state["k"] = now * 25 // Gst.SECOND
            while (state["k"] + 1) * Gst.SECOND // 25 <= now:
                for source, make in sources:
                    data = Gst.Buffer.new_wrapped(make(state["k"]))
                    data.pts = state["k"] * Gst.SECOND // 25
                    data.duration = Gst.SECOND // 25
                    if source.emit("push-buffer", data) != Gst.FlowReturn.OK:
                        return False
                state["k"] += 1
            return True
        GLib.timeout_add(5, tick)

server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
factory = Factory()
factory.set_shared(True)
if user:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("user", right, True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
def parent_gone():
    if os.getppid() == 1:
        os._exit(0)
    return True
GLib.timeout_add(500, parent_gone)
print("ready", flush=True)
GLib.MainLoop().run()
"""


@contextmanager
def rtsp_camera(user: str = "", password: str = "") -> Iterator[str]:
    """Yields its address, with the user and the password if it wants some."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if not os.path.exists(PYTHON) or subprocess.run([PYTHON, "-c", probe], capture_output=True, check=False).returncode:
        lack(f"GStreamer's RTSP server is not there: {NEEDS}")
    port = free_port()
    process = subprocess.Popen(
        [PYTHON, "-c", SCRIPT, str(port), user, password], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n", f"the RTSP server did not start: {NEEDS}"
        secret = f"{user}:{password}@" if user else ""
        yield f"rtsp://{secret}127.0.0.1:{port}/cam"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
