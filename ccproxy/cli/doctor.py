"""`ccproxy doctor`: look at everything, say what is wrong, and how to put it right."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, remark
from ccproxy.cli.printable import printable

if TYPE_CHECKING:
    from ccproxy.doctor.examination import Patient
    from ccproxy.doctor.finding import Finding

_COLOURS: Final = {"ok": "green", "warning": "yellow", "error": "red"}


def doctor(
    config: ConfigOption = None,
    *,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Put right what is safe: take permissions away, make missing folders."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at the machine, Ollama, the models, the files, the keys and the clock.

    Each line: what is so, what it means, the command that puts it right. Loads no model, sends no
    prompt, costs nothing, and works with everything down. Exit code 1 with an error; warnings are
    none.

    Examples:
        ccproxy doctor
        ccproxy doctor --fix
        ccproxy doctor --json

    Read on: docs/doctor.md
    """
    with _progress() as say:
        findings = _look(config, say)
    done: list[str] = []
    if fix:
        done = _repair(findings)
        if done:
            with _progress() as say:
                findings = _look(config, say)
    if as_json:
        print_json({"ok": _is_well(findings), "fixed": done, "findings": _entries(findings)})
    else:
        remark(*(f"fixed: {each}" for each in done))
        _print(findings)
    if not _is_well(findings):
        raise typer.Exit(1)


def _look(config: Path | None, say: Callable[[str], None]) -> "list[Finding]":
    from ccproxy.doctor.examination import examine
    from ccproxy.doctor.finding import with_config
    from ccproxy.setup.commands import run_command

    patient = _patient(config)
    findings = examine(patient, run_command, say)
    examined = config or patient.config
    if examined is None or examined == patient.home / ".ccproxy" / "ccproxy.yaml":
        return findings
    # What the commands find by themselves may be another installation.
    return [with_config(each, examined) for each in findings]


def _patient(config: Path | None) -> "Patient":
    from ccproxy.cli.checking import check_configuration
    from ccproxy.config.problems import ConfigError
    from ccproxy.doctor.examination import Patient

    try:
        path = config_path(config)
    except ConfigError as error:
        return Patient(None, error.problems, (), os.environ, Path.home())
    found = check_configuration(path, os.environ)
    memory_gib = None if found.table is None else found.table.memory_gib
    return Patient(
        found.settings,
        found.errors,
        found.warnings,
        os.environ,
        Path.home(),
        path.absolute(),
        memory_gib,
    )


def _is_well(findings: "list[Finding]") -> bool:
    return not any(each.level == "error" for each in findings)


def _repair(findings: "list[Finding]") -> list[str]:
    """Do what is safe, and return what was done."""
    done = []
    for each in findings:
        if each.repair is None:
            continue
        try:
            done.append(each.repair())
        except OSError as error:
            remark(f"error: cannot be fixed: {error}")
    return done


def _entries(findings: "list[Finding]") -> list[dict[str, object]]:
    return [
        {
            "check": each.check,
            "level": each.level,
            "what": each.what,
            "means": each.means,
            "fix": each.fix,
            "fixable": each.repair is not None,
        }
        for each in findings
    ]


def _print(findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    width = max(len(each.check) for each in findings)
    for each in findings:
        head = Text.assemble((f"{each.level:<8}", _COLOURS[each.level]), f"{each.check:<{width}}  ")
        console.print(head + Text(printable(each.what)))
        indent = " " * (8 + width + 2)
        for line in (each.means, f"-> {each.fix}" if each.fix else ""):
            if line:
                console.print(Text(indent + printable(line)))
    counts = [_count(findings, level) for level in ("error", "warning")]
    fixable = sum(each.repair is not None for each in findings)
    hint = f"; --fix puts {fixable} of them right" if fixable else ""
    console.print(f"{', '.join(counts)}{hint}")


def _count(findings: "list[Finding]", level: str) -> str:
    count = sum(each.level == level for each in findings)
    return f"{count} {level}" if count == 1 else f"{count} {level}s"


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is waited for."""
    if not sys.stderr.isatty():
        yield lambda _what: None
        return
    from rich.console import Console

    with Console(stderr=True).status("looking at this machine") as status:
        yield status.update
