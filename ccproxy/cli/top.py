"""`ccproxy top`: what a running proxy does right now."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, remark
from ccproxy.cli.working import working

if TYPE_CHECKING:
    import httpx
    from rich.console import RenderableType

    from ccproxy.cli.live_figures import Snapshot
    from ccproxy.cli.live_proxy import LiveProxy

WINDOW_S: Final = 60.0
"""Rates are of so long."""
PIPED_COLUMNS: Final = 1000
"""Width of a frame that no terminal limits."""
URL_VARIABLE: Final = "ANTHROPIC_BASE_URL"
TOKEN_VARIABLES: Final = ["CCPROXY_TOKEN", "ANTHROPIC_AUTH_TOKEN"]


def _address(url: str | None) -> str | None:
    if not url:
        return None
    from ccproxy.cli.live_proxy import is_address, without_agent

    if not is_address(url):
        raise typer.BadParameter(f"{url!r} is no address; write http://HOST:PORT")
    return without_agent(url)


def top(
    url: Annotated[
        str | None,
        typer.Option(
            help="The proxy's address; by default that of --config, else $ANTHROPIC_BASE_URL with "
            "$ANTHROPIC_AUTH_TOKEN, else that of the config that is found.",
            metavar="URL",
            show_default=False,
            callback=_address,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="A token with the scope ops; best in $CCPROXY_TOKEN, else $ANTHROPIC_AUTH_TOKEN.",
            metavar="TOKEN",
            show_default=False,
        ),
    ] = None,
    every_s: Annotated[
        float, typer.Option("--every", min=0.2, max=60, help="Seconds between two looks.")
    ] = 2.0,
    config: ConfigOption = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="One frame, as where it is piped.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show deployments, backends, queues and rates of a running proxy, until Ctrl-C.

    Where it is piped it prints one frame. The proxy's figures need a token with the scope ops.

    Examples:
        ccproxy top
        ccproxy top --url http://mini.local:8081 --every 5
        ccproxy top --once --json

    Read on: docs/usage.md, docs/metrics.md
    """
    import sys

    from ccproxy.cli.live_proxy import LiveProxy, NoProxyError, token_place

    variables = TOKEN_VARIABLES
    if url is None and config is None and (url := _address(os.environ.get(URL_VARIABLE))):
        # What that address is given is what was set with it: it need not be this proxy's.
        variables = TOKEN_VARIABLES[1:]
    base_url = url or _configured_url(config)
    given = next(filter(None, [token, *map(os.environ.get, variables)]), None)
    proxy = LiveProxy(base_url, given, token_place(token, os.environ, variables))
    live = sys.stdout.isatty() and not once and not as_json
    try:
        with proxy.client() as client:
            with working(f"asking {base_url}"):
                first = proxy.look(client)
            if as_json:
                from dataclasses import asdict

                from ccproxy.cli.live_figures import figures_of

                print_json(asdict(figures_of([first])))
            elif live:
                _watch(proxy, client, first, every_s)
            else:
                _print_once(base_url, first)
    except NoProxyError as error:
        remark(f"error: {base_url}: {error}")
        raise typer.Exit(1) from None


def _configured_url(config: Path | None) -> str:
    from ccproxy.config.settings import load_settings
    from ccproxy.service.probe import ProxyProbe

    settings = load_settings(config_path(config), os.environ)
    return ProxyProbe(settings.host, settings.port).url


def _print_once(base_url: str, snapshot: "Snapshot") -> None:
    import sys

    from rich.console import Console

    room = Console().width if sys.stdout.isatty() else None
    console = Console(highlight=False, width=room or PIPED_COLUMNS)
    console.print(_frame(base_url, [snapshot], room))


def _watch(proxy: "LiveProxy", client: "httpx.Client", first: "Snapshot", every_s: float) -> None:
    """Draw a frame for each look; a proxy that does not answer is waited for."""
    import time
    from contextlib import suppress

    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from ccproxy.cli.live_proxy import NoProxyError

    snapshots = [first]
    console = Console(highlight=False)

    def framed() -> "RenderableType":
        return _frame(proxy.base_url, snapshots, console.width)

    with (
        suppress(KeyboardInterrupt),
        Live(framed(), console=console, screen=True, auto_refresh=False) as view,
    ):
        while True:
            time.sleep(every_s)
            frame: RenderableType
            try:
                snapshots.append(proxy.look(client))
            except NoProxyError as error:
                frame = Group(Text(str(error), "red"), "", framed())
            else:
                newest_s = snapshots[-1].at_s
                snapshots = [each for each in snapshots if newest_s - each.at_s <= WINDOW_S]
                frame = framed()
            view.update(frame, refresh=True)


def _frame(base_url: str, snapshots: "list[Snapshot]", room: int | None) -> "RenderableType":
    from datetime import datetime

    from ccproxy.cli.live_figures import figures_of
    from ccproxy.cli.live_view import drawn

    clock = datetime.now().astimezone().strftime("%H:%M:%S")
    return drawn(figures_of(snapshots), f"ccproxy {base_url}  {clock}", room)
