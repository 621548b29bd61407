"""One stream's narrations, events and states as MQTT publications. It puts them into the outbox and knows no broker."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import cv2

from avstream.drawing.overlay import draw, fit_caption
from avstream.errors import AvstreamError
from avstream.events import Rules
from avstream.level import FLOOR_DBFS
from avstream.records import Narration, SoundEvent, Status, StreamInfo
from avstream.sinks.base import Sink
from avstream.sinks.mqtt import topics as wire
from avstream.sinks.mqtt.outbox import Outbox
from avstream.sinks.mqtt.topics import HEARING, MUTE, OFF, OFFLINE, ON, ONLINE, THRESHOLD, Topics, encode
from avstream.sources.frames import shrunk
from avstream.troubles import DEAF, in_full

OVERLAY_EVERY_S = 5.0
OVERLAY_PX = 640
OVERLAY_QUALITY = 85
LEVEL_EVERY_S = 0.95  # once a second, where windows come a little unevenly
DIAGNOSTICS_EVERY_S = 10.0


class MqttSink(Sink):
    """One stream's topics. Calls come from a thread that is not the loop's, and never wait for the broker."""

    name = "mqtt"

    def __init__(
        self,
        stream: str,
        topics: Topics,
        rules: Rules,
        labels: Sequence[str],
        outbox: Outbox,
        *,
        images: bool,
    ) -> None:
        self.stream, self.topics = stream, topics
        self._rules, self._labels, self._outbox, self._images = rules, tuple(labels), outbox, images
        self._epoch_s: float | None = None
        self._sounding: dict[str, str] = {}  # event id -> label as announced
        self._kinds: set[str] = set()  # of what is wrong
        self._gist: Hashable = None  # of the narration that was published last
        self._drawn: Narration | None = None
        self._has_begun = False  # a sound, whose picture is yet to come
        self._loudest_dbfs, self._leveled_s = FLOOR_DBFS, -math.inf  # since this time of the stream
        self._level_sent_dbfs = math.nan  # nothing yet
        self._diagnosed: tuple[float, int, int] | None = None  # time_s, dropped, lost
        self._state("status", OFFLINE)
        self._rest()
        self._tell_settings()
        if not images:
            self._state("overlay", "")  # takes back what an earlier run may have left at the broker

    @property
    def set_topics(self) -> tuple[str, ...]:
        """What to subscribe to: what others set, and what they must not say in our place."""
        return *(self.topics.of(setting, "+", "set") for setting in (THRESHOLD, MUTE)), self.topics.of("status")

    def open(self, info: StreamInfo) -> None:
        """The stream is there."""
        self._epoch_s = info.epoch_s
        self._state("status", ONLINE)
        self._tell_state()

    def write(self, narration: Narration) -> None:
        """Tell a narration that is another one than before, and now and then show where it sounds."""
        gist = wire.gist(narration)
        if gist != self._gist:
            self._gist = gist
            payload = wire.narration_payload(narration, self._epoch_s)
            self._outbox.message(self.topics.of("narration"), encode(payload), retain=True)
        waited = self._drawn is None or narration.end_s - self._drawn.end_s >= OVERLAY_EVERY_S
        if self._has_begun or (self._sounding and waited):
            self._has_begun = False
            self._show(narration)

    def event(self, event: SoundEvent) -> None:
        """Tell what began, got another label, and ended; while it goes on there is the state."""
        kind = wire.known(event.label, self._labels)
        before = self._sounding.pop(event.id, kind)
        if event.phase != "ended":
            self._sounding[event.id] = kind
        if event.phase != "continues":
            payload = wire.event_payload(event, self._epoch_s, self._labels)
            self._outbox.message(self.topics.of("event"), encode(payload))
        for one in dict.fromkeys((before, kind)):
            self._state(f"audio/{one}", ON if one in self._sounding.values() else OFF)
        self._state("audio/all", ON if self._sounding else OFF)
        self._state("sound", ON if self._sounding else OFF)
        self._tell_state()
        self._has_begun = self._has_begun or event.phase in ("began", "updated")

    def status(self, status: Status) -> None:
        """Tell problems when they change, the level and how the narrator keeps up now and then."""
        self._epoch_s = self._epoch_s if status.epoch_s is None else status.epoch_s
        # one of the broker is over by the time that anybody hears of it
        problems = [one for one in status.problems if not one.kind.startswith("broker")]
        self._kinds = {one.kind for one in problems}
        self._state("problems", {"problems": [in_full(one) for one in problems], "kinds": sorted(self._kinds)})
        self._state("problem", ON if problems else OFF)
        self._tell_state()
        self._tell_settings()
        self._tell_level(status.time_s, status.level_dbfs)
        time_s, last = status.time_s, self._diagnosed
        counts = (status.dropped, self._outbox.lost)
        if last is None or time_s - last[0] >= DIAGNOSTICS_EVERY_S or counts != last[1:]:
            self._diagnosed = (time_s, *counts)
            latency_s = None if status.latency_s is None else round(status.latency_s, 3)
            self._state("diagnostics", {"latency_s": latency_s, "dropped": counts[0], "lost": counts[1]})

    def close(self) -> None:
        """The stream has ended. Harmless when repeated."""
        self._sounding.clear()
        self._kinds.clear()
        self._rest()
        self._state("status", OFFLINE)

    def set(self, setting: str, label: str, payload: bytes, changed: Callable[[str, str, Any], None]) -> None:
        """Pass on what somebody has set; what is not understood is answered on `error`."""
        shown = label[: wire.SHOWN_CHARS]
        try:
            if label not in self._labels:
                raise ValueError(f"no sound has this label; there are {', '.join(self._labels)}")
            value = wire.parse_setting(setting, payload)
        except ValueError as error:
            self._answer(f"{setting}/{shown}/set: {error}")
            return
        try:
            changed(self.stream, f"{setting}/{label}", value)
        except AvstreamError as error:
            self._answer(f"{setting}/{shown}/set: {error}")
        self._tell_settings()

    def _answer(self, text: str) -> None:
        self._outbox.message(self.topics.of("error"), encode(text))

    def _state(self, topic: str, value: Any) -> None:
        self._outbox.state(self.topics.of(topic), encode(value))

    def _rest(self) -> None:
        """The states of a stream in which nothing sounds and nothing is wrong."""
        for topic in ("sound", "audio/all", *(f"audio/{label}" for label in self._labels), "problem"):
            self._state(topic, OFF)
        self._state("problems", {"problems": [], "kinds": []})
        self._tell_state()

    def _tell_state(self) -> None:
        """Silence, sound, or neither: who can't hear does not know."""
        deaf = bool(self._kinds.intersection(DEAF))
        state = wire.SOUND if self._sounding else wire.SILENCE
        state = wire.DEAF if deaf else wire.OVERLOADED if "overloaded" in self._kinds else state
        self._state("state", state)
        self._state(HEARING, OFFLINE if deaf else ONLINE)

    def _tell_level(self, time_s: float, level_dbfs: float) -> None:
        """The loudest of each second, where that is not what was published last."""
        self._loudest_dbfs = max(self._loudest_dbfs, level_dbfs)
        if time_s - self._leveled_s < LEVEL_EVERY_S:
            return
        if not abs(self._loudest_dbfs - self._level_sent_dbfs) < 1:
            self._level_sent_dbfs = self._loudest_dbfs
            self._state("audio/dBFS", str(round(self._loudest_dbfs)))
        self._loudest_dbfs, self._leveled_s = FLOOR_DBFS, time_s

    def _tell_settings(self) -> None:
        for label in self._labels:
            self._state(f"{THRESHOLD}/{label}", f"{self._rules.begins_at(label):g}")
            self._state(f"{MUTE}/{label}", ON if label in self._rules.muted else OFF)

    def _show(self, narration: Narration) -> None:
        """Draw where it sounds, once for each narration."""
        frame = narration.key_frame
        if not self._images or frame is None or narration is self._drawn:
            return
        self._drawn = narration
        caption = "\n".join(fit_caption(narration.sounds))
        small = shrunk(frame.rgb, OVERLAY_PX)
        picture = draw(small, heatmap=narration.heatmap, sounds=narration.sounds, caption=caption)
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, OVERLAY_QUALITY])
        self._outbox.state(self.topics.of("overlay"), jpeg.tobytes())
