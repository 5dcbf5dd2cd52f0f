"""`ccproxy serve`: start the proxy."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import contextlib
import os
from typing import Annotated

import typer

from ccproxy.cli.options import ConfigOption, PortOption, config_path
from ccproxy.cli.output import remark


def serve(
    config: ConfigOption = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on, instead of the config's.")
    ] = None,
    port: PortOption = None,
) -> None:
    """Start the proxy.

    It refuses to start with any mistake in ccproxy.yaml or in what that names, and logs JSON lines
    on stderr. Ctrl-C or SIGTERM ends it in order. For a first look there is `ccproxy run`, for good
    `ccproxy service install`.

    Examples:
        ccproxy serve
        ccproxy serve --config /etc/ccproxy/ccproxy.yaml --host 127.0.0.1 --port 8081

    Read on: docs/service.md, docs/logs.md, docs/reload.md
    """
    from ccproxy.cli.checking import usable_settings
    from ccproxy.config.settings import refuse_open_bind

    path = config_path(config)
    settings, findings = usable_settings(path, os.environ)
    refusal = refuse_open_bind(host or settings.host, auth_required=settings.auth_required)
    if refusal is not None:
        remark(f"error: --host: {refusal}")
        raise typer.Exit(1)
    remark(*(f"warning: {warning}" for warning in findings.warnings))

    from ccproxy.api.listening import ListenError
    from ccproxy.serve import run

    try:
        # Ctrl-C is how a person stops it, and the server has shut down in order by then.
        with contextlib.suppress(KeyboardInterrupt):
            run(path, host, port)
    except ListenError as taken:
        remark(f"error: {taken}")
        raise typer.Exit(1) from None
