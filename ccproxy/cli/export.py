"""`ccproxy export`: the ledger's requests or attempts, one by one."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from ccproxy.cli.ledger_questions import (
    SinceOption,
    UntilOption,
    WhereOption,
    ledger_url,
    scope_of,
    tell_strangers,
)
from ccproxy.cli.options import ConfigOption
from ccproxy.cli.output import harmless_cell, remark
from ccproxy.cli.working import working


class Format(StrEnum):
    """What a row is written as."""

    CSV = "csv"
    JSONL = "jsonl"


def export(
    form: Annotated[
        Format, typer.Option("--format", help="jsonl: a JSON object in each line.")
    ] = Format.CSV,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "--out", "-o", metavar="FILE", help="A new file; stdout by default."
        ),
    ] = None,
    since: SinceOption = "30d",
    until: UntilOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    *,
    attempts: Annotated[
        bool, typer.Option("--attempts", help="Every attempt instead of every request.")
    ] = False,
) -> None:
    """Write every request of a time, oldest first, however many there are.

    Money is in microdollars, and empty where it is not known. Every endpoint is in it.

    Examples:
        ccproxy export --since 7d --output week.csv
        ccproxy export --format jsonl --attempts --where agent=debugger

    Read on: docs/usage.md, docs/ledger.md
    """
    from ccproxy.ledger.export import exported
    from ccproxy.ledger.reading import reading

    scope = scope_of(since, until, where, every_endpoint=True)
    # Rows on the terminal are progress enough.
    progress = nullcontext() if output is None else working(f"writing {output}")
    with reading(ledger_url(config)) as connection, _opened(output) as file, progress:
        rows = exported(connection, scope, of_attempts=attempts)
        try:
            count = _write_csv(rows, file) if form is Format.CSV else _write_lines(rows, file)
            file.flush()
        except BrokenPipeError:  # `| head` has seen enough
            _be_quiet()
            return
    if not count:
        tell_strangers(config, scope)
    remark(f"{count:,} {'attempts' if attempts else 'requests'}")


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Give the file to write to; one that is there already is not written over."""
    if output is None:
        yield sys.stdout
        return
    try:
        file = output.open("x", encoding="utf-8", newline="")
    except FileExistsError:
        raise typer.BadParameter(f"--output {output}: exists already") from None
    with file:
        yield file


def _write_csv(rows: Iterable[dict[str, Any]], file: TextIO) -> int:
    import csv

    writer = csv.writer(file, lineterminator="\n")
    count = 0
    for row in rows:
        if not count:
            writer.writerow(row)
        writer.writerow([harmless_cell(value) for value in row.values()])
        count += 1
    return count


def _write_lines(rows: Iterable[dict[str, Any]], file: TextIO) -> int:
    import orjson

    count = 0
    for row in rows:
        file.write(orjson.dumps(row).decode() + "\n")
        count += 1
    return count


def _be_quiet() -> None:
    """Let nothing be written to a pipe that is closed, not even at the end of the process."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
