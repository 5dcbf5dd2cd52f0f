"""`ccproxy alerts`: try the ways to the people who are told of trouble."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from typing import TYPE_CHECKING, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark
from ccproxy.cli.working import working

if TYPE_CHECKING:
    from ccproxy.alerts.channel import Channel
    from ccproxy.alerts.message import Message

app: Final = typer.Typer(no_args_is_help=True)

DELIVERED: Final = "delivered"


@app.callback()
def root() -> None:
    """Try the alerts of ccproxy.yaml.

    Examples:
        ccproxy alerts test

    Read on: docs/alerts.md
    """


@app.command("test")
def try_channels(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Send a test alert through every channel and say what came of it.

    Exit code 1 if one of them failed, or if there is none.

    Examples:
        ccproxy alerts test
        ccproxy alerts test --json

    Read on: docs/alerts.md
    """
    import asyncio

    from ccproxy.alerting import alert_channels
    from ccproxy.config.settings import load_settings

    settings = load_settings(config_path(config), os.environ)
    alerts = settings.alerts
    message = _test_message()
    with working("sending a test alert"):
        results = asyncio.run(_send_all(alert_channels(alerts), message))
    results += alerts.unavailable
    if as_json:
        print_json([{"channel": name, "result": result} for name, result in results])
    elif results:
        print_table(("channel", "result"), results)
    if not results:
        remark(f"error: {settings.path}: alerts: names no webhook and no email, see docs/alerts.md")
    if not results or any(result != DELIVERED for _, result in results):
        raise typer.Exit(1)


def _test_message() -> "Message":
    import socket
    from time import time

    from ccproxy.alerts.message import Message
    from routing.alerts import AlertKind, Phase

    now_s = time()
    text = "this is a test; nothing is wrong"
    host = socket.gethostname()
    return Message(AlertKind.TEST, "test", Phase.RAISED, text, host, now_s, now_s)


async def _send_all(channels: "list[Channel]", message: "Message") -> list[tuple[str, str]]:
    """Return each channel's name and result, in order; they are asked at the same time."""
    import asyncio

    results = await asyncio.gather(*(_send(channel, message) for channel in channels))
    return [(channel.name, result) for channel, result in zip(channels, results, strict=True)]


async def _send(channel: "Channel", message: "Message") -> str:
    from ccproxy.alerts.channel import NotDelivered

    try:
        await channel.send(message)
    except NotDelivered as failure:
        return str(failure)
    return DELIVERED
