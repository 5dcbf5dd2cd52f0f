"""`ccproxy routes check`: everything that is wrong or odd about a routing table."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, StrictOption, config_path
from ccproxy.cli.reporting import report
from ccproxy.cli.working import working

if TYPE_CHECKING:
    from routing.types import RoutingTable


def check(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A routing file that is not in force (yet); the config's own by default.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    *,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Don't ask Ollama what it knows of the models."),
    ] = False,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check the routing table and the roster; report all problems at once, with their places.

    Exit code 1 with an error: a running proxy would not take the file. Warnings are about what
    makes only some requests unservable or wasteful. An Ollama that answers within a second is asked
    what its models were trained for and how big they are; nothing is loaded.

    Examples:
        ccproxy routes check
        ccproxy routes check edited.yaml --strict  # before it takes the place of the present one
        ccproxy routes check --offline --json

    Read on: docs/routing.md
    """
    from ccproxy.cli.checking import check_configuration
    from ccproxy.cli.model_checks import SeenModels, ask_ollama, check_models
    from ccproxy.config.problems import ConfigError

    try:
        path = config_path(config)
    except ConfigError as error:
        missing = Path(error.problems[0].file)
        report(missing, error.problems, (), "", strict=strict, as_json=as_json)
        return
    findings = check_configuration(path, os.environ, file)
    settings = findings.settings
    # Whose keys are missing or unused is about other files: `ccproxy config check` says it.
    elsewhere = set() if settings is None else {str(settings.path), str(settings.tokens_file)}
    errors = [each for each in findings.errors if each.file not in elsewhere]
    warnings = [each for each in findings.warnings if each.file not in elsewhere]
    table_file = file or (settings.routing_file if settings is not None else path)
    about = _about(findings.table) if findings.table is not None else ""
    if settings is not None:
        with working("asking Ollama"):
            seen = SeenModels() if offline else ask_ollama(settings)
        memory_gib = findings.table.memory_gib if findings.table is not None else None
        models = check_models(settings, seen, memory_gib=memory_gib)
        errors += models.errors
        warnings += models.warnings
        about += "".join(f"; {address} does not answer" for address in seen.silent)
    report(table_file, errors, warnings, about, strict=strict, as_json=as_json)


def _about(table: "RoutingTable") -> str:
    return (
        f"; {len(table.profiles)} profiles, {table.active.name} is active with "
        f"{len(table.active.rules)} rules; table version {table.version}"
    )
