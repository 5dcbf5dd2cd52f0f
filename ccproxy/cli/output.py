"""What commands print: results on stdout, remarks on stderr."""

# ruff: noqa: PLC0415 -- rich is imported only when a table is printed

from __future__ import annotations

import csv
import json
import re
import sys
from typing import TYPE_CHECKING, Final

from ccproxy.cli.colours import wants_colours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PIPED_WIDTH_COLUMNS: Final = 200
"""Width of a table that no terminal limits, so that `grep` sees whole lines."""
_ORDERS: Final = dict.fromkeys({*range(32), *range(127, 160)} - {9, 10}, "\ufffd")
"""Control characters but tab and line feed, which give a terminal orders. Names of models, projects
and sessions are clients', and what Ollama says may hold anything."""
_COLOUR_CODES: Final = {"error:": "1;31", "warning:": "33", "note:": "36", "try:": "36"}
_HOW_BAD: Final = re.compile(r"^(?:error|warning|note|try):", re.MULTILINE)


def print_json(value: object) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a result for people; without any heading the head is left out."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(headings))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        # Text: a name with brackets in it is no markup.
        table.add_row(*(Text(cell.translate(_ORDERS)) for cell in row))
    width = None if sys.stdout.isatty() else PIPED_WIDTH_COLUMNS
    Console(highlight=False, width=width).print(table)


def print_csv(rows: Sequence[Mapping[str, object]]) -> None:
    """Print a result for spreadsheets; every row has the keys of the first."""
    writer = csv.DictWriter(sys.stdout, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def harmless_cell(value: object) -> object:
    """Return a CSV cell that no spreadsheet runs: clients choose names of models and projects.

    Source: OWASP, *CSV Injection*; what would begin a formula has an apostrophe before it.
    """
    if not isinstance(value, str):
        return value
    text = value.translate(_ORDERS)
    return f"'{text}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def remark(*lines: object) -> None:
    """Print lines that are no result: problems, warnings, a summary."""
    coloured = wants_colours(sys.stderr)
    for line in lines:
        text = str(line).translate(_ORDERS)
        print(_coloured(text) if coloured else text, file=sys.stderr)


def _coloured(text: str) -> str:
    """Return text whose lines have their first word in a colour where it says how bad it is."""
    return _HOW_BAD.sub(lambda word: f"\x1b[{_COLOUR_CODES[word[0]]}m{word[0]}\x1b[0m", text)
