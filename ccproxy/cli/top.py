"""`ccproxy top`: what a running proxy does right now."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import PIPED_WIDTH_COLUMNS, print_json, remark

if TYPE_CHECKING:
    import httpx
    from rich.console import RenderableType

    from ccproxy.cli.live_figures import Snapshot

WINDOW_S: Final = 60.0
"""Rates are of so long."""
TIMEOUT_S: Final = 5.0
TOKEN_VARIABLES: Final = ["CCPROXY_TOKEN", "ANTHROPIC_AUTH_TOKEN"]


class NoProxyError(Exception):
    """No proxy answers as it should; the text says what to do."""


def top(
    url: Annotated[
        str | None,
        typer.Option(help="The proxy's address; that of the config by default.", metavar="URL"),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar=TOKEN_VARIABLES,
            help="A token with the scope ops; best in the environment.",
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

    import httpx

    base_url = url or _configured_url(config)
    headers = {"x-api-key": token} if token else {}
    live = sys.stdout.isatty() and not once and not as_json
    try:
        with httpx.Client(
            base_url=base_url, headers=headers, timeout=TIMEOUT_S, trust_env=False
        ) as client:
            first = _look(client)
            if as_json:
                from dataclasses import asdict

                from ccproxy.cli.live_figures import figures_of

                print_json(asdict(figures_of([first])))
            elif live:
                _watch(client, first, every_s)
            else:
                _print_once(base_url, first)
    except NoProxyError as error:
        remark(f"error: {base_url}: {error}")
        raise typer.Exit(1) from None


def _configured_url(config: Path | None) -> str:
    from ccproxy.config.settings import load_settings

    settings = load_settings(config_path(config), os.environ)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _look(client: "httpx.Client") -> "Snapshot":
    """Return what the proxy says now.

    Raises:
        NoProxyError: It says nothing that could be used.
    """
    from time import monotonic

    import httpx
    from prometheus_client.parser import text_string_to_metric_families

    from ccproxy.cli.live_figures import Snapshot

    try:
        health, metrics = (client.get(path) for path in ("/health", "/metrics"))
        if {health.status_code, metrics.status_code} & {401, 403}:
            raise NoProxyError(
                "needs a token with the scope ops in $CCPROXY_TOKEN; "
                "`ccproxy token create NAME --scope ops` makes one"
            )
        samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(metrics.raise_for_status().text)
            for sample in family.samples
        ]
        return Snapshot(monotonic(), health.raise_for_status().json(), samples)
    except httpx.HTTPStatusError as error:
        raise NoProxyError(f"answers {error.response.status_code}; is it a ccproxy?") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        raise NoProxyError(f"no proxy answers: {why}; `ccproxy serve` starts one") from None
    except ValueError:
        raise NoProxyError("what it answers is not a ccproxy's") from None


def _print_once(base_url: str, snapshot: "Snapshot") -> None:
    import sys

    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPED_WIDTH_COLUMNS
    Console(highlight=False, width=width).print(_frame(base_url, [snapshot]))


def _watch(client: "httpx.Client", first: "Snapshot", every_s: float) -> None:
    """Draw a frame for each look; a proxy that does not answer is waited for."""
    import time
    from contextlib import suppress

    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    base_url = str(client.base_url)
    snapshots = [first]
    console = Console(highlight=False)
    with (
        suppress(KeyboardInterrupt),
        Live(_frame(base_url, snapshots), console=console, screen=True, auto_refresh=False) as view,
    ):
        while True:
            time.sleep(every_s)
            frame: RenderableType
            try:
                snapshots.append(_look(client))
            except NoProxyError as error:
                frame = Group(Text(str(error), "red"), "", _frame(base_url, snapshots))
            else:
                newest_s = snapshots[-1].at_s
                snapshots = [each for each in snapshots if newest_s - each.at_s <= WINDOW_S]
                frame = _frame(base_url, snapshots)
            view.update(frame, refresh=True)


def _frame(base_url: str, snapshots: "list[Snapshot]") -> "RenderableType":
    from datetime import datetime

    from ccproxy.cli.live_figures import figures_of
    from ccproxy.cli.live_view import drawn

    clock = datetime.now().astimezone().strftime("%H:%M:%S")
    return drawn(figures_of(snapshots), f"ccproxy {base_url}  {clock}")
