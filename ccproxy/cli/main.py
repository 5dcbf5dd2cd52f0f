"""The `ccproxy` command.

Importing this module imports no server, no LiteLLM and no configuration code: a command imports
what it needs when it runs, so that `--help` and completion are quick.

Exit codes: 0 fine, 1 a problem was found, 2 wrong usage.
"""

# ruff: noqa: PLC0415 -- see above

import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from ccproxy import __version__
from ccproxy.cli import (
    agents,
    alerts,
    config,
    ledger,
    models,
    routes,
    secret,
    service,
    token,
    usage,
)
from ccproxy.cli.bench import bench
from ccproxy.cli.budgets import budgets
from ccproxy.cli.demo import demo
from ccproxy.cli.doctor import doctor
from ccproxy.cli.estimate import estimate
from ccproxy.cli.explain import explain
from ccproxy.cli.export import export
from ccproxy.cli.init import init
from ccproxy.cli.run import run
from ccproxy.cli.serve import serve
from ccproxy.cli.top import top

app: Final = typer.Typer(
    name="ccproxy",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="One base URL for a fleet of Claude agents: local qwen models where they do, "
    "Claude where they don't.",
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (Typer's callback signature)
    if wanted:
        print(f"ccproxy {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


app.command()(init)
app.command()(doctor)
app.command()(serve)
app.command()(run)
app.command()(demo)
app.command()(explain)
app.command()(estimate)
app.command()(bench)
app.command()(top)
app.command()(budgets)
app.command()(export)
app.add_typer(usage.app, name="usage")
app.add_typer(ledger.app, name="ledger")
app.add_typer(token.app, name="token")
app.add_typer(secret.app, name="secret")
app.add_typer(agents.app, name="agents")
app.add_typer(alerts.app, name="alerts")
app.add_typer(config.app, name="config")
app.add_typer(models.app, name="models")
app.add_typer(routes.app, name="routes")
app.add_typer(service.app, name="service")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the entry point of the installed command.

    Args:
        arguments: Without the program's name; those of the process by default.
    """
    try:
        app(args=arguments, prog_name="ccproxy")
    except Exception as error:
        explanation = _explain(error)
        if explanation is None:
            raise
        print(explanation, file=sys.stderr)
        raise SystemExit(1) from None


def _explain(error: Exception) -> str | None:
    """Return what to tell the person at the terminal, or None for a mistake of this program."""
    from ccproxy.auth import TokenError
    from ccproxy.config.problems import ConfigError
    from ccproxy.config.secrets import SecretError
    from ccproxy.ledger.ledger import LedgerDownError
    from ccproxy.service.problems import ServiceError

    if isinstance(error, ConfigError):
        return "\n".join(f"error: {problem}" for problem in error.problems)
    if isinstance(error, ServiceError):
        return "\n".join([f"error: {error}", *getattr(error, "__notes__", ())])
    if isinstance(error, TokenError | SecretError | LedgerDownError):
        return f"error: {error}"
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"error: {place}{error.strerror}"
    return None
