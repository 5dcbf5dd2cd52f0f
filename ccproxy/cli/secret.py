"""`ccproxy secret`: store secrets outside the config file, and look whether they are there."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.completing import secret_references
from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.config.secrets import Secrets

app: Final = typer.Typer(no_args_is_help=True)

ReferenceArgument = Annotated[
    str,
    typer.Argument(
        help="file/PATH or keychain/SERVICE/ACCOUNT, as in ccproxy.yaml.",
        autocompletion=secret_references,
    ),
]


@app.callback()
def root() -> None:
    """Keep secrets in files of mode 0600 or in the keychain, and out of ccproxy.yaml.

    The config file names where a secret is, e.g. `api_key: keychain/ccproxy/anthropic`. These
    commands put it there, take it away, and say of each such name whether a secret is behind it.

    Examples:
        ccproxy secret set keychain/ccproxy/anthropic
        ccproxy secret list

    Read on: docs/secrets.md
    """


@app.command("set")
def set_(reference: ReferenceArgument, config: ConfigOption = None) -> None:
    """Store a secret, asked for on a terminal without echo, else read from standard input.

    It is never an argument: those can be read by everybody on the machine while a command runs.

    Examples:
        ccproxy secret set keychain/ccproxy/anthropic
        ccproxy secret set file/~/.ccproxy/anthropic.key < key.txt

    Read on: docs/secrets.md
    """
    from ccproxy.config.secrets import describe

    secrets = _secrets(config)
    if sys.stdin.isatty():
        secret = typer.prompt("Secret", hide_input=True, err=True)
    else:
        secret = sys.stdin.read()
    secrets.store(reference, secret)
    remark(f"Stored it: {describe(reference)}. In ccproxy.yaml write: {reference}")


@app.command()
def delete(reference: ReferenceArgument, config: ConfigOption = None) -> None:
    """Remove a stored secret.

    Examples:
        ccproxy secret delete keychain/ccproxy/anthropic

    Read on: docs/secrets.md
    """
    from ccproxy.config.secrets import describe

    _secrets(config).delete(reference)
    remark(f"Removed it: {describe(reference)}.")


@app.command("list")
def list_(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List every reference of ccproxy.yaml and whether there is a secret behind it, never which.

    Exits 1 where one cannot be read.

    Examples:
        ccproxy secret list
        ccproxy secret list --json

    Read on: docs/secrets.md
    """
    from ccproxy.config.problems import render_key
    from ccproxy.config.secrets import Secrets
    from ccproxy.config.yaml_marks import read_marked

    path = config_path(config).absolute()
    places = Secrets(os.environ, path.parent).places_in(read_marked(path).value)
    if as_json:
        print_json(
            [
                {"key": render_key(each.key), "reference": each.reference, "problem": each.problem}
                for each in places
            ]
        )
    elif places:
        print_table(
            ("key", "reference", "state"),
            [(render_key(each.key), each.reference, each.problem or "ok") for each in places],
        )
    if not places:
        remark(f"{path} has no references.")
    if any(each.problem for each in places):
        raise typer.Exit(1)


def _secrets(config: "Path | None") -> "Secrets":
    """Return the secrets as seen from the config file's folder; without one, from this folder."""
    from pathlib import Path

    from ccproxy.config.problems import ConfigError
    from ccproxy.config.secrets import Secrets

    try:
        folder = config_path(config).absolute().parent
    except ConfigError:
        if config is not None:
            raise
        folder = Path.cwd()
    return Secrets(os.environ, folder)
