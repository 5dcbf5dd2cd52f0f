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

_ORDERS: Final = dict.fromkeys({*range(32), *range(127, 160)} - {9, 10}, "\ufffd")
"""Control characters but tab and line feed, which give a terminal orders. Names of models, projects
and sessions are clients', and what Ollama says may hold anything."""
_COLOUR_CODES: Final = {"error:": "1;31", "warning:": "33", "note:": "36", "try:": "36"}
_HOW_BAD: Final = re.compile(r"^(?:error|warning|note|try):", re.MULTILINE)


def print_json(value: object) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2))


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], spare: Sequence[str] = ()
) -> None:
    """Print a result for people; without any heading the head is left out.

    A pipe gets whole lines, however long. A terminal gets what fits, and a word about the rest.

    Args:
        headings: Of the columns.
        rows: A cell for each of them.
        spare: Headings whose columns a narrow screen loses first, the least needed first; by
            default the last ones. The command needs `--json`, which has them all.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ccproxy.cli.narrow import fit

    # Text: a name with brackets in it is no markup.
    cells = [[cell.translate(_ORDERS).expandtabs() for cell in row] for row in rows]
    room = Console().width if sys.stdout.isatty() else None
    fitting = fit(headings, cells, room, spare)
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(headings))
    for place, width in zip(fitting.shown, fitting.widths, strict=True):
        table.add_column(headings[place], overflow="fold", width=width)
    for row in cells:
        table.add_row(*(Text(row[place]) for place in fitting.shown))
    Console(highlight=False, width=room or fitting.total).print(table)
    if fitting.left_out:
        remark(f"note: no room for {'; '.join(fitting.left_out)}: --json has everything")


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
