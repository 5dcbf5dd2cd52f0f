"""`ccproxy run` and `ccproxy demo`: a proxy that answers on any machine."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import contextlib
import os
from pathlib import Path

import typer

from ccproxy.cli.options import ConfigOption, PortOption, TrafficOption, config_path
from ccproxy.cli.output import remark


def run(
    config: ConfigOption = None, port: PortOption = None, *, traffic: TrafficOption = False
) -> None:
    """Start the proxy with the upstreams found here, or simulated ones where there is none.

    Real and simulated upstreams are never mixed: where an Ollama answers or there is a key for
    Claude, nothing is simulated. The first start makes a token named `local` and prints it, once.

    Examples:
        ccproxy run
        ccproxy run --port 0 --demo-traffic  # a free port, and agents that send work

    Read on: README.md
    """
    start(config, port, simulate=False, traffic=traffic)


def start(config: Path | None, port: int | None, *, simulate: bool, traffic: bool) -> None:
    """Serve until Ctrl-C.

    Raises:
        ConfigError: A file cannot be used; every problem is listed, and nothing was bound.
    """
    from ccproxy.api.listening import ListenError
    from ccproxy.cli.checking import usable_settings
    from ccproxy.demo import run as simulation

    path = config_path(config)
    usable_settings(path, os.environ)
    try:
        # Ctrl-C is how a person stops it, and the server has shut down in order by then.
        with contextlib.suppress(KeyboardInterrupt):
            simulation.run(path, port, simulate=simulate, traffic=traffic)
    except (simulation.DemoTrafficRefused, ListenError) as refusal:
        remark(f"error: {refusal}")
        raise typer.Exit(1) from None
