"""What the MQTT tests share: a stream's records, the user's rules, and a hub that runs while a test does."""

import asyncio
import functools
import gc
from collections.abc import Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from avstream.events import Rules
from avstream.records import Narration, Problem, Sound, SoundEvent, Status, StreamInfo, VideoFrame
from avstream.sinks.mqtt.service import Broker, MqttHub
from tests.broker import until

LABELS = ("dog_bark", "rain")
EPOCH_S = 1795248000.0
LOST = Problem("no_picture", "camera 0", "camera 0 lost", "check its plug", 1.0, 2.0)
INFO = StreamInfo("kitchen", None, True, True, epoch_s=EPOCH_S)
SECRET = "hunter2-not-to-be-seen"


def change(rules: Rules) -> Callable[[str, str, float | bool], None]:
    """What is done about a setting from afar."""

    def changed(stream: str, setting: str, value: float | bool) -> None:
        kind, label = setting.split("/")
        rules.set_threshold(label, value) if kind == "threshold" else rules.mute(label, value)

    return changed


def narration(index: int = 0, *, label: str = "dog_bark", picture: bool = False) -> Narration:
    sounds = (Sound(label, 0.93, True, (0.1, 0.2, 0.5, 0.8), "left", -20.0, 0.88),)
    heat = np.zeros((8, 8), np.float32)
    heat[3:6, 1:4] = 1
    frame = VideoFrame(index + 1.5, np.full((480, 960, 3), 90 + index, np.uint8)) if picture else None
    return Narration(
        "kitchen", index, index, index + 3.0, index + 2.0, index + 3.0, "a dog is barking.", sounds, -20.0,
        heat if picture else None, frame, {"motion": 9.421, "audio": 12.345},
    )  # fmt: skip


def event(number: int = 0, phase: str = "began", *, label: str = "dog_bark") -> SoundEvent:
    end_s = 4.5 if phase == "ended" else None
    return SoundEvent(f"e{number}", "kitchen", label, phase, 1.5, end_s, 0.9, 0.93, -20.0, "left", True)


def status(time_s: float = 3.0, *, level_dbfs: float = -20.0, problems: tuple[Problem, ...] = ()) -> Status:
    return Status("kitchen", time_s, 0.41234 + (time_s - 3) / 100, 0, level_dbfs, problems)


def hub_for(port: int, *, base: str = "", rules: Rules | None = None, **options) -> MqttHub:
    there = Broker.parse(f"mqtt://127.0.0.1:{port}/{base}", **options)
    return MqttHub(there, version="0.1.0", model="nano", changed=change(rules or Rules()))


@asynccontextmanager
async def running(hub: MqttHub):
    task = asyncio.create_task(hub.run(), name="hub")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def in_loop(test):
    """Run an async test, and see that it leaves no task behind."""

    @functools.wraps(test)
    def run(*arguments, **options):
        async def run():
            await test(*arguments, **options)
            await until(lambda: asyncio.all_tasks() == {asyncio.current_task()}, 2.0)

        asyncio.run(run())

    return run


def left_over_words(capfd: pytest.CaptureFixture[str]) -> str:
    """What is on standard error once everything is forgotten: asyncio reports an error that nobody has handled."""
    gc.collect()
    return capfd.readouterr().err
