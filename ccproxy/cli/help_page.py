"""The help of a command: plain text that a terminal colours, and that docs/commands.md has too.

Typer's own help is drawn by Rich, whose import takes longer than everything else that `--help`
does; its tables are no text to search in either.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, cast

import typer
from typer.core import TyperArgument, TyperGroup

from ccproxy.cli.colours import wants_colours

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typer._click.core import Command, Context
    from typer.core import TyperOption

WIDEST_COLUMNS: Final = 100
_NARROWEST_COLUMNS: Final = 50
_TERMS_AT_MOST: Final = 26
"""Columns of the left side of a list; what is longer has a line of its own."""
_INDENT: Final = "  "
_TYPE: Final = re.compile(r"<(?:list\[(?P<list>[^]]+)\]|(?P<one>[^>]+))>")
"""How Typer shows the type of a value that has no metavar."""
_VALUE_WORDS: Final = {"int": "N", "float": "X", "str": "TEXT", "path": "PATH", "file": "FILE"}

Row = tuple[str, str]


class HelpContext(typer.Context):
    """The context of our commands: one in which `--help` or `-h` prints this module's page."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - Typer's own, passed on
        """As Typer's own."""
        super().__init__(*arguments, **named)
        self.help_option_names = ["--help", "-h"]

    def get_help(self) -> str:
        """Return the page of the context's command for standard output."""
        self.color = wants_colours(sys.stdout)
        width = shutil.get_terminal_size().columns
        return help_page(self, min(max(width, _NARROWEST_COLUMNS), WIDEST_COLUMNS))


def use_help_page(command: Command) -> None:
    """Let a command and those below it print their help by this module."""
    command.context_class = HelpContext
    command.short_help = summary(command)
    for each in _subcommands(command):
        use_help_page(each)


def help_page(context: Context, columns: int) -> str:
    """Return the help of the context's command, no line longer than `columns` where it can be.

    It has colours, which `typer.echo` takes out where none are wanted.
    """
    command = context.command
    context.terminal_width = columns
    blocks = [f"{_bold('Usage:')}{command.get_usage(context).removeprefix('Usage:')}"]
    blocks += _prose(command.help or "", columns)
    blocks += [_listed(title, rows, columns) for title, rows in _parameters(command, context)]
    blocks += [_listed(title, rows, columns) for title, rows in _commands(command)]
    return "\n\n".join(blocks)


def _prose(text: str, columns: int) -> Iterator[str]:
    """Yield paragraphs, filled anew; of indented lines, which are examples, every line is kept."""
    for paragraph in textwrap.dedent(text).strip().split("\n\n"):
        head, *indented = paragraph.splitlines()
        if not paragraph:
            continue
        if indented and all(line.startswith(" ") for line in indented):
            lines = textwrap.dedent("\n".join(indented)).splitlines()
            yield "\n".join([_bold(head), *(f"{_INDENT}{line}" for line in lines)])
        else:
            yield _filled(paragraph, columns)


def _parameters(command: Command, context: Context) -> Iterator[tuple[str, list[Row]]]:
    """Yield arguments, then options by their group; those without one come first."""
    found: dict[str, list[Row]] = {}
    for each in cast("list[TyperArgument | TyperOption]", command.get_params(context)):
        record = each.get_help_record(context)
        if record is None:
            continue
        is_argument = isinstance(each, TyperArgument)
        term = each.display_name_raw if is_argument else _TYPE.sub(_value_word, record[0])
        title = each.rich_help_panel or ("Arguments" if is_argument else "Options")
        found.setdefault(title, []).append((term, record[1]))
    order = ["Arguments", *(title for title in found if title not in {"Arguments", "Options"})]
    for title in (*order, "Options"):
        if title in found:
            yield title, found[title]


def _value_word(found: re.Match[str]) -> str:
    """Return what stands for a value in a list of options: a word, or all there are to choose."""
    name = found["list"] or found["one"]
    return _VALUE_WORDS.get(name.removesuffix(" range"), name)


def _commands(command: Command) -> Iterator[tuple[str, list[Row]]]:
    shown = [each for each in _subcommands(command) if not each.hidden]
    for title, each in groupby(shown, key=_section):
        yield title, [(str(one.name), summary(one)) for one in each]


def _section(command: Command) -> str:
    return getattr(command, "rich_help_panel", None) or "Commands"


def summary(command: Command) -> str:
    """Return the first paragraph of a command's help, in one line."""
    return " ".join((command.help or "").strip().split("\n\n")[0].split())


def _subcommands(command: Command) -> list[Command]:
    if not isinstance(command, TyperGroup):
        return []
    return list(command.commands.values())


def _listed(title: str, rows: Iterable[Row], columns: int) -> str:
    rows = list(rows)
    fitting = [len(term) for term, _ in rows if len(term) <= _TERMS_AT_MOST]
    term_columns = max(fitting, default=0)
    hanging = " " * (len(_INDENT) + term_columns + 2)
    lines = [_bold(f"{title}:")]
    for term, told in rows:
        filled = _filled(told, columns - len(hanging)).splitlines() or [""]
        shown = typer.style(term, fg="cyan")
        if len(term) > term_columns:
            lines.append(f"{_INDENT}{shown}")
        else:
            padding = " " * (term_columns - len(term) + 2)
            lines.append(f"{_INDENT}{shown}{padding}{filled.pop(0)}".rstrip())
        lines += [f"{hanging}{line}" for line in filled]
    return "\n".join(lines)


def _filled(text: str, columns: int) -> str:
    return textwrap.fill(
        " ".join(text.split()), columns, break_long_words=False, break_on_hyphens=False
    )


def _bold(text: str) -> str:
    return typer.style(text, bold=True)
