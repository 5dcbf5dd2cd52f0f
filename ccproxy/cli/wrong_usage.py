"""What is said of a command line that cannot be understood."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from typer._click.exceptions import (
    BadParameter,
    ClickException,
    NoArgsIsHelpError,
    NoSuchOption,
    UsageError,
)
from typer.core import TyperGroup

from ccproxy.cli.output import remark

if TYPE_CHECKING:
    import typer

_OF_A_LIBRARY: Final = "Value error, "
"""What pydantic, by which Typer reads values, puts before a complaint."""


def tell(error: typer.TyperException) -> None:
    """Say on stderr what is wrong, and what to do next.

    On a terminal Rich draws it. Elsewhere it is one line that `grep` finds whole, however long a
    path in it is, and the next step.
    """
    if isinstance(error, ClickException):
        error.message = _in_our_words(error)
    if isinstance(error, NoArgsIsHelpError):
        error.show()
    elif sys.stderr.isatty() and isinstance(error, ClickException):
        from typer.rich_utils import rich_format_error  # noqa: PLC0415 - slow, and seldom needed

        rich_format_error(error)
    else:
        remark(f"error: {' '.join(error.format_message().split())}")
        if isinstance(error, UsageError) and error.ctx is not None:
            remark(f"try: {error.ctx.command_path} --help")


def _in_our_words(error: ClickException) -> str:
    if isinstance(error, BadParameter):
        return error.message.removeprefix(_OF_A_LIBRARY)
    if not isinstance(error, NoSuchOption) or error.ctx is None:
        return error.message
    if not isinstance(error.ctx.command, TyperGroup):
        return error.message
    words = f"{error.ctx.command_path} COMMAND {error.option_name}"
    return f"{error.message}; options of a command go behind its name: {words}"
