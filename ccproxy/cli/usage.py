"""`ccproxy usage`: what was used and spent, what was saved, and what failed."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ccproxy.cli import amounts
from ccproxy.cli.ledger_questions import (
    CsvOption,
    SinceOption,
    UntilOption,
    WhereOption,
    ledger_url,
    scope_of,
    tell_strangers,
)
from ccproxy.cli.options import ConfigOption, JsonOption
from ccproxy.cli.output import harmless_cell, print_csv, print_json, print_table, remark
from ccproxy.cli.working import working
from ccproxy.ledger.words import By

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ccproxy.ledger.sums import Scope

app: Final = typer.Typer()

Row = dict[str, Any]

ByOption = Annotated[
    list[By] | None, typer.Option("--by", help="What to tell apart; repeatable. Agents by default.")
]
TopByOption = Annotated[
    list[By] | None,
    typer.Option(
        "--by", help="What to tell apart; repeatable. Agent and principal together by default."
    ),
]
EveryEndpointOption = Annotated[
    bool,
    typer.Option("--every-endpoint", help="Count count_tokens and the rest of the API as well."),
]


class Order(StrEnum):
    """By what the most are found."""

    COST = "cost"
    TOKENS = "tokens"
    REQUESTS = "requests"
    FAILED = "failed"


@app.callback(invoke_without_command=True)
def usage(  # noqa: PLR0913 -- one parameter for each option
    context: typer.Context,
    by: ByOption = None,
    since: SinceOption = "30d",
    until: UntilOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    *,
    every_endpoint: EveryEndpointOption = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """What was used and spent, what was saved, what failed.

    Alone it shows requests, tokens and cost, the dearest first, of whole hours of the time given.

    Examples:
        ccproxy usage --since 7d
        ccproxy usage --by project --by deployment --since 2026-03-01 --until 2026-03-31
        ccproxy usage --by day --where agent=debugger --csv

    Read on: docs/usage.md, docs/savings.md
    """
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    keys = list(dict.fromkeys(by or [By.AGENT]))
    scope = scope_of(since, until, where, every_endpoint=every_endpoint)
    rows = _asked(config, keys, scope)
    _show(rows, keys, scope, as_json=as_json, as_csv=as_csv)


def _refuse_options_before(context: typer.Context) -> None:
    """An option before a subcommand would change nothing, silently."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"options stand behind {context.invoked_subcommand}")


@app.command()
def top(
    by: TopByOption = None,
    order: Annotated[Order, typer.Option("--order", help="The most of what.")] = Order.COST,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 10,
    since: SinceOption = "7d",
    until: UntilOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show who spends the most; combinations of agent and principal by default.

    Examples:
        ccproxy usage top
        ccproxy usage top --by agent --order tokens --limit 20 --since 24h

    Read on: docs/usage.md
    """
    keys = list(dict.fromkeys(by or [By.AGENT, By.PRINCIPAL]))
    scope = scope_of(since, until, where)
    rows = sorted(_asked(config, keys, scope), key=_amount(order), reverse=True)[:limit]
    _show(rows, keys, scope, as_json=as_json, as_csv=False, total=False)


@app.command()
def savings(
    since: SinceOption = "30d",
    until: UntilOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say what local answers have saved, as a range; see docs/savings.md for how it is found.

    Examples:
        ccproxy usage savings --since 2026-03-01 --until 2026-03-31
        ccproxy usage savings --where agent=debugger --json

    Read on: docs/savings.md
    """
    from dataclasses import asdict

    from ccproxy.ledger.asking import asking
    from ccproxy.ledger.sums import savings as saved
    from routing.savings import savings_of, told

    scope = scope_of(since, until, where)
    with asking(ledger_url(config)) as ask:
        sums = saved(ask, scope)
    if not sums.compared:
        tell_strangers(config, scope)
    text = told(sums)
    if as_json:
        print_json(_period(scope) | asdict(savings_of(sums)) | asdict(sums) | {"text": text})
    else:
        print(text)


@app.command()
def failed(
    since: SinceOption = "24h",
    until: UntilOption = None,
    where: WhereOption = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, max=10_000, help="Requests that are listed.")
    ] = 20,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what failed where, what it cost, and which requests it befell, the latest first.

    Examples:
        ccproxy usage failed
        ccproxy usage failed --since 7d --where deployment=qwen-coder

    Read on: docs/usage.md, docs/reliability.md
    """
    from ccproxy.ledger.reading import reading
    from ccproxy.ledger.reports import failed_attempts, failed_requests

    scope = scope_of(since, until, where)
    with working("asking the ledger"), reading(ledger_url(config)) as connection:
        attempts = failed_attempts(connection, scope)
        requests = failed_requests(connection, scope, limit)
    if not attempts and not requests:
        tell_strangers(config, scope)
    if as_json:
        print_json(_period(scope) | {"attempts": attempts, "requests": requests})
        return
    if not attempts and not requests:
        remark("Nothing failed in that time.")
        return
    print_table(
        ("failure", "deployment", "attempts", "requests", "cost", "last"),
        [
            (
                each["result"],
                each["deployment"],
                amounts.counted(each["attempts"]),
                amounts.counted(each["requests"]),
                amounts.cost(each["wasted_microusd"], each["unpriced"]),
                amounts.local_time(each["last_ms"]),
            )
            for each in attempts
        ],
        spare=("attempts",),
    )
    if not requests:
        return
    print()
    print_table(
        ("time", "request", "agent", "principal", "served by", "status", "ending", "failure"),
        [
            (amounts.local_time(each["at_ms"]), *(str(value) for value in list(each.values())[1:]))
            for each in requests
        ],
        spare=("principal", "request", "ending", "served by"),
    )


def _asked(config: Path | None, keys: list[By], scope: "Scope") -> list[Row]:
    from ccproxy.ledger.asking import asking
    from ccproxy.ledger.sums import usage as used

    with asking(ledger_url(config)) as ask:
        rows = used(ask, keys, scope)
    if not rows:
        tell_strangers(config, scope)
    return rows


def _show(
    rows: list[Row],
    keys: list[By],
    scope: "Scope",
    *,
    as_json: bool,
    as_csv: bool,
    total: bool = True,
) -> None:
    if as_json:
        print_json(
            _period(scope) | {"by": keys, "rows": rows} | ({"total": _total(rows)} if total else {})
        )
    elif as_csv:
        print_csv([{name: harmless_cell(value) for name, value in row.items()} for row in rows])
    else:
        _print(rows, keys, total=total)


def _print(rows: list[Row], keys: list[By], *, total: bool) -> None:
    if not rows:
        remark("Nothing was recorded in that time.")
        return
    shown = [_cells(row, [row[key] or "(none)" for key in keys]) for row in rows]
    if total and len(rows) > 1:
        shown.append(_cells(_total(rows), ["total", *[""] * (len(keys) - 1)]))
    print_table((*(key.replace("_", " ") for key in keys), *_COLUMNS), shown, spare=_SPARE)
    unpriced = sum(row["unpriced"] for row in rows)
    if unpriced:
        remark(f"?: what {unpriced:,} of the requests cost is not known, and in no sum.")


_COLUMNS: Final = (
    "requests",
    "failed",
    "input",
    "output",
    "cache write",
    "cache read",
    "cost",
    "wasted",
    "at Claude",
    "TTFT",
    "tokens/s",
)
_SPARE: Final = (
    *("tokens/s", "TTFT", "cache write", "cache read"),
    *("at Claude", "wasted", "output", "input"),
)
"""What a narrow screen loses first: who, how many and what it cost stand longest."""


def _cells(row: "Mapping[str, Any]", names: "Sequence[str]") -> tuple[str, ...]:
    return (
        *names,
        amounts.counted(row["requests"]),
        amounts.counted(row["failed"]) if row["failed"] else "",
        amounts.counted(row["input_tokens"]),
        amounts.counted(row["output_tokens"]),
        amounts.counted(row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"]),
        amounts.counted(row["cache_read_tokens"]),
        amounts.cost(row["cost_microusd"], row["unpriced"]),
        amounts.dollars(row["wasted_microusd"]) if row["wasted_microusd"] else "",
        amounts.dollars(row["would_cost_microusd"]) if row["compared"] else "",
        amounts.seconds(row["ttft_s"], row["answers"]),
        amounts.per_second(row["output_tokens"], row["answer_s"]),
    )


def _total(rows: list[Row]) -> Row:
    from ccproxy.ledger.schema import SUMS
    from ccproxy.ledger.sums import COUNTS

    return {name: sum(row[name] for row in rows) for name in (*SUMS, *COUNTS)}


def _amount(order: Order) -> "Callable[[Row], int]":
    return {
        Order.COST: lambda row: row["cost_microusd"],
        Order.TOKENS: lambda row: row["input_tokens"] + row["output_tokens"],
        Order.REQUESTS: lambda row: row["requests"],
        Order.FAILED: lambda row: row["failed"],
    }[order]


def _period(scope: "Scope") -> dict[str, Any]:
    return {"since_ms": scope.since_ms, "until_ms": scope.until_ms}
