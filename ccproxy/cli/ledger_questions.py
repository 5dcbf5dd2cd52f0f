"""What the commands that ask the ledger share: their options, and the question made of them."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from __future__ import annotations

import os
from pathlib import Path  # noqa: TC003 -- Typer reads annotations
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.completing import limit_words
from ccproxy.cli.options import config_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccproxy.ledger.sums import Scope
    from ccproxy.ledger.words import By

SinceOption = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="TIME",
        help="90m, 24h, 30d (from midnight), 2w, 2026-03-31 or 2026-03-31T14:30; local time.",
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Likewise; of a day, all of it. Now by default."),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="NAME=VALUE",
        help="Only requests of e.g. agent=debugger or route=claude; the names of --by. Repeatable.",
        autocompletion=limit_words,
    ),
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV for spreadsheets.")]

_DAY_S: Final = 86_400
_LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999."""


def ledger_url(config: Path | None) -> str:
    """Return where the ledger is.

    Raises:
        ConfigError: The config is missing, or what it says of the ledger cannot be used.
    """
    from ccproxy.config.ledger_place import read_ledger_url

    return read_ledger_url(config_path(config), os.environ)


def scope_of(
    since: str, until: str | None, where: Sequence[str] | None, *, every_endpoint: bool = False
) -> Scope:
    """Return which requests are asked about.

    Raises:
        BadParameter: A time or a limit cannot be understood.
    """
    import time

    from ccproxy.cli import moments
    from ccproxy.ledger.sums import MESSAGES, Scope

    since_s = moments.since(since, "--since")
    # To the end of the day, UTC, that goes on: then its sums can be taken whole.
    now_s = time.time()
    until_s = moments.until(until, "--until") if until else now_s - now_s % _DAY_S + _DAY_S
    if until and until_s <= since_s:
        raise typer.BadParameter("--until: must be after --since")
    endpoint = None if every_endpoint else MESSAGES
    return Scope(round(since_s * 1000), round(until_s * 1000), _limits(where or ()), endpoint)


def tell_strangers(config: Path | None, scope: Scope) -> None:
    """Say of each limit that no request of the ledger meets, whenever it was, that this is so.

    To be asked where nothing was found: a name that is mistyped looks like one without traffic.
    """
    from ccproxy.cli.output import remark
    from ccproxy.ledger.asking import asking
    from ccproxy.ledger.sums import Scope, usage
    from routing.nearest import did_you_mean

    if not scope.only:
        return
    ever = Scope(0, _LAST_MS, {}, endpoint=None)
    with asking(ledger_url(config)) as ask:
        for by, value in scope.only.items():
            known = [row[by] for row in usage(ask, [by], ever) if row[by]]
            if value not in known:
                hint = did_you_mean(value, known)
                remark(f"note: no request of the ledger has {by}={value}, of any time.{hint}")


def _limits(where: Sequence[str]) -> dict[By, str]:
    from ccproxy.ledger.words import By

    known = [each.value for each in By if each is not By.DAY]
    limits = {}
    for item in where:
        name, sign, value = item.partition("=")
        if not sign or name.replace("-", "_") not in known:
            names = ", ".join(known)
            raise typer.BadParameter(f"--where: {item!r}: write NAME=VALUE with one of {names}")
        limits[By(name.replace("-", "_"))] = value
    return limits
