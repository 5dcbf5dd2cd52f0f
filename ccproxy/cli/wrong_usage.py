"""What is said of a command line that cannot be understood."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError

from ccproxy.cli.output import remark

if TYPE_CHECKING:
    import typer


def tell(error: typer.TyperException) -> None:
    """Say on stderr what is wrong, and what to do next.

    On a terminal Rich draws it. Elsewhere it is one line that `grep` finds whole, however long a
    path in it is, and the next step.
    """
    if isinstance(error, NoArgsIsHelpError):
        error.show()
    elif sys.stderr.isatty() and isinstance(error, ClickException):
        from typer.rich_utils import rich_format_error  # noqa: PLC0415 - slow, and seldom needed

        rich_format_error(error)
    else:
        remark(f"error: {' '.join(error.format_message().split())}")
        if isinstance(error, UsageError) and error.ctx is not None:
            remark(f"try: {error.ctx.command_path} --help")
