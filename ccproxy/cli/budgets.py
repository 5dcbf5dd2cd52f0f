"""`ccproxy budgets`: what has been used of the budgets, as the ledger says."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark
from ccproxy.cli.working import working

if TYPE_CHECKING:
    from ccproxy.config.settings import Settings
    from routing.budget_book import Budget

HEADINGS: Final = ("BUDGET", "WHOSE", "USED", "LIMIT", "SHARE", "OPENS AGAIN", "THEN")
SHOWN: Final = 10
"""Of those that one budget counts apart."""
NOBODY: Final[Mapping[str, Any]] = {"value": "", "used": 0, "reserved": 0, "used_ratio": 0.0}


def budgets(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Show what was used of each budget in its present window, from the ledger.

    Requests in flight are not in there, nor is concurrency; `GET /admin/budgets` of a running proxy
    has them. The JSON is the same. Exit code 1 if the ledger cannot be read.

    Examples:
        ccproxy budgets
        ccproxy budgets --json

    Read on: docs/budgets.md
    """
    from ccproxy.config.settings import load_settings

    settings = load_settings(config_path(config), os.environ)
    told = _status(settings)
    if as_json:
        print_json(told)
        return
    if not settings.budgets:
        remark("There are no budgets: see docs/budgets.md.")
        return
    print_table(HEADINGS, _rows(settings.budgets, told["budgets"]), spare=("SHARE",))


def _status(settings: "Settings") -> dict[str, Any]:
    from ccproxy.config.loading import load_files, routing_files
    from ccproxy.ledger.reading import reading
    from ccproxy.ledger.spending import LedgerSpending
    from ccproxy.pipeline.budgets import BudgetGuard

    loaded = load_files(routing_files(settings))
    guard = BudgetGuard(settings.budgets, lambda: loaded)
    if guard.needs_restoring:
        with working("asking the ledger"), reading(settings.ledger_url) as connection:
            guard.restore(guard.read(LedgerSpending(connection)))
    return guard.status()


def _rows(budgets: "tuple[Budget, ...]", told: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    from ccproxy.pipeline.budget_words import amount
    from routing.budget_book import EACH, Counted

    rows: list[tuple[str, ...]] = []
    for budget, state in zip(budgets, told, strict=True):
        is_flying = budget.counts is Counted.CONCURRENCY
        for tally in state["tallies"][:SHOWN] or [NOBODY]:
            whose = tally["value"] or ("each" if budget.value == EACH else budget.value)
            rows.append(
                (
                    budget.name,
                    f"{budget.scope} {whose}".strip(),
                    "-" if is_flying else amount(budget, tally["used"]),
                    amount(budget, budget.limit),
                    "-" if is_flying else f"{tally['used_ratio']:.0%}",
                    _moment(state["opens_at"]),
                    str(budget.on_reach),
                )
            )
    return rows


def _moment(opens_at: str | None) -> str:
    from datetime import datetime

    from ccproxy.pipeline.budget_words import clock_words

    return "-" if opens_at is None else clock_words(datetime.fromisoformat(opens_at).timestamp())
