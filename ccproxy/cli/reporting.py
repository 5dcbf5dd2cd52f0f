"""How the commands that check files say what they found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from ccproxy.cli.output import print_json, remark

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ccproxy.config.problems import ConfigProblem


def report(
    path: Path,
    errors: Sequence[ConfigProblem],
    warnings: Sequence[ConfigProblem],
    about: str,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    """Print every problem, and counts with `about` behind them.

    Raises:
        Exit: 1 with an error, with `strict` also with a warning.
    """
    failed = bool(errors or (strict and warnings))
    if as_json:
        print_json(
            {
                "ok": not failed,
                "errors": [asdict(problem) for problem in errors],
                "warnings": [asdict(problem) for problem in warnings],
            }
        )
    else:
        remark(*(f"error: {problem}" for problem in errors))
        remark(*(f"warning: {problem}" for problem in warnings))
        counts = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
        print(f"{path}: {counts}{about}")
    if failed:
        raise typer.Exit(1)


def _count(things: Sequence[object], noun: str) -> str:
    return f"1 {noun}" if len(things) == 1 else f"{len(things)} {noun}s"
