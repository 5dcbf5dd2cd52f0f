"""`ccproxy config`: check the files people edit, and describe them to editors."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, StrictOption, config_path
from ccproxy.cli.output import print_json
from ccproxy.cli.reporting import report

app: Final = typer.Typer(no_args_is_help=True)


class SchemaName(StrEnum):
    """The files that have a schema."""

    CCPROXY = "ccproxy"
    ROUTING = "routing"


@app.callback()
def root() -> None:
    """Check the configuration, print its schema.

    Settings, roster, routing table and tokens file are checked as `ccproxy serve` does it before it
    starts: all problems at once, each with its place. An editor with the schemas checks while you
    write.

    Examples:
        ccproxy config check --strict
        ccproxy config schema routing > routing.schema.json

    Read on: docs/routing.md, docs/reload.md
    """


@app.command()
def check(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="The ccproxy.yaml, as with --config.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    *,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check settings, roster, routing table and tokens file; report all problems at once.

    Exit code 1 with an error; `serve` would not start. Every problem has file, line and column.

    Examples:
        ccproxy config check
        ccproxy config check /etc/ccproxy/ccproxy.yaml --strict

    Read on: docs/routing.md
    """
    from ccproxy.cli.checking import check_configuration
    from ccproxy.config.problems import ConfigError
    from ccproxy.config.roster import summary

    if file is not None and config is not None:
        raise typer.BadParameter("FILE and --config are the same; name one of them")
    try:
        # An argument that leads nowhere is found out by reading it.
        path = config_path(config) if file is None else file.expanduser().absolute()
    except ConfigError as error:
        missing = Path(error.problems[0].file)
        report(missing, error.problems, (), "", strict=strict, as_json=as_json)
        return
    findings = check_configuration(path, os.environ)
    about = f"; roster: {summary(findings.roster)}" if findings.roster else ""
    report(path, findings.errors, findings.warnings, about, strict=strict, as_json=as_json)


@app.command()
def schema(
    name: Annotated[SchemaName, typer.Argument(help="Which file's schema.")] = SchemaName.CCPROXY,
) -> None:
    """Print a JSON Schema, for completion and checks in your editor.

    Examples:
        ccproxy config schema > ccproxy.schema.json
        ccproxy config schema routing > routing.schema.json

    Read on: docs/routing.md
    """
    from ccproxy.config.schema import ccproxy_schema, routing_schema

    print_json(ccproxy_schema() if name is SchemaName.CCPROXY else routing_schema())
