"""`avstream mqtt`: what is to be done at a broker besides narrating."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from avstream.commands.live import add_broker_options
from avstream.errors import ConfigError

EXAMPLES = """\
examples:
  avstream mqtt forget kitchen --mqtt mqtt://user@hub.local    the device leaves Home Assistant, its topics the broker
"""


def add(command: argparse.ArgumentParser) -> None:
    """The commands of this command."""
    actions = command.add_subparsers(required=True, metavar="ACTION")
    action = actions.add_parser(
        "forget",
        help="remove a stream: its device in Home Assistant and every topic that the broker keeps of it",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action.add_argument("stream", metavar="STREAM", help="the name it was narrated under (--name), or its topic's")
    add_broker_options(action)
    action.add_argument("--debug", action="store_true", help="show a traceback when something goes wrong")
    action.set_defaults(run=forget_stream)


def forget_stream(options: argparse.Namespace) -> int:
    """`avstream mqtt forget STREAM`. Raises ConfigError and SinkError."""
    from avstream.sinks.mqtt.broker import Broker
    from avstream.sinks.mqtt.forget import forget

    if not options.mqtt:
        raise ConfigError("no broker was named", "name it with --mqtt mqtt://user@host")
    broker = Broker.parse(
        options.mqtt,
        password_file=Path(options.mqtt_password_file) if options.mqtt_password_file else None,
        cafile=Path(options.mqtt_cafile) if options.mqtt_cafile else None,
    )
    factory = asyncio.SelectorEventLoop if sys.platform == "win32" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        topics = runner.run(forget(broker, options.stream))
    print(f"forgotten: {options.stream}, {len(topics)} topics at {broker.shown}")
    return 0
