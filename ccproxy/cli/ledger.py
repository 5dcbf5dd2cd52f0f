"""`ccproxy ledger`: look after the ledger's database."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, remark
from ccproxy.cli.working import working

if TYPE_CHECKING:
    from ccproxy.ledger.database import SqlDatabase

app: Final = typer.Typer(no_args_is_help=True)


@app.callback()
def root() -> None:
    """Look after the ledger's database.

    What is in it, `ccproxy usage`, `budgets` and `export` tell.

    Examples:
        ccproxy ledger vacuum

    Read on: docs/ledger.md
    """


@app.command()
def vacuum(
    keep_days: Annotated[
        int | None,
        typer.Option(
            "--keep-days", min=32, help="Instead of ledger.keep_days.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Throw away requests and attempts older than ledger.keep_days, and give the room back.

    Sums stay. A proxy may go on serving: its rows wait in memory meanwhile. SQLite needs as much
    room again as its file has.

    Examples:
        ccproxy ledger vacuum
        ccproxy ledger vacuum --keep-days 90

    Read on: docs/ledger.md
    """
    from ccproxy.config.settings import load_settings
    from ccproxy.ledger.database import open_database
    from ccproxy.ledger.reading import reading

    settings = load_settings(config_path(config), os.environ)
    with reading(settings.ledger_url):
        pass  # it is there, and ours
    days = keep_days if keep_days is not None else settings.ledger_keep_days
    with closing(open_database(settings.ledger_url)) as database:
        before_bytes = database.size_bytes()
        with working("throwing old rows away"):
            gone = 0 if days is None else _throw_away(database, days)
        with working("giving the room back"):
            database.vacuum()
        after_bytes = database.size_bytes()
    if as_json:
        sizes = {"before_bytes": before_bytes, "after_bytes": after_bytes}
        print_json({"deleted_rows": gone, **sizes})
        return
    print(f"{gone:,} rows thrown away")
    if before_bytes is not None and after_bytes is not None:
        print(f"{_mib(before_bytes)} before, {_mib(after_bytes)} now")
    if days is None:
        remark("ledger.keep_days is not set: rows are kept for ever")


def _throw_away(database: "SqlDatabase", days: int) -> int:
    """Return how many rows are gone; a proxy that writes gets its turn between two pieces."""
    import time

    from ccproxy.ledger.ledger import TIDY_ROWS

    before_ms = round((time.time() - days * 86_400) * 1000)
    gone = 0
    while piece := database.throw_away(before_ms, TIDY_ROWS):
        gone += piece
    return gone


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB"
