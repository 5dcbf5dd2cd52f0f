"""What people are told of a budget that is reached."""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Final

from ccproxy.wire.errors import ApiError
from routing.budget_book import BudgetScope, Counted, OnReach, Window
from routing.policies import MICRO

if TYPE_CHECKING:
    from routing.budget_book import Budget, Reached

HELD_RETRY_S: Final = 5
"""When to ask again where requests in flight stand in the way: some of them will have ended."""
LONGEST_WAIT_S: Final = 60
"""Anthropic's SDKs wait for a `retry-after` of so many seconds at most (anthropic 2.11)."""
_WHEN: Final = {Window.MINUTE: "this minute", Window.DAY: "today", Window.MONTH: "this month"}
_UNTIL: Final = "; until then only models on this host serve, and none of them may serve this"


def refusal(reached: Reached, now_s: float) -> ApiError:
    """Return what a client is told whom a budget refuses: 429 `rate_limit_error`.

    Money that is used up says `x-should-retry: false`. Rates say `retry-after`, and that there is
    no use in trying again where that is longer than a client waits. What only requests in flight
    stand in the way of may be tried again in a moment.

    Args:
        reached: The budget.
        now_s: Unix time.
    """
    until = _UNTIL if reached.budget.on_reach is OnReach.LOCAL_ONLY else ""
    message = f"B{told(reached)[1:]}{until}."
    if reached.is_held:
        wait_s = _wait_s(reached, now_s, HELD_RETRY_S)
        return ApiError(429, message, should_retry=True, retry_after_s=wait_s)
    if reached.budget.counts is Counted.USD:
        return ApiError(429, message, should_retry=False)
    wait_s = _wait_s(reached, now_s)
    return ApiError(429, message, should_retry=wait_s <= LONGEST_WAIT_S, retry_after_s=wait_s)


def told(reached: Reached) -> str:
    """Return a budget that is reached, in a sentence without its end."""
    budget, whose = reached.budget, whose_words(reached.budget, reached.value)
    limit = amount(budget, budget.limit)
    if budget.counts is Counted.CONCURRENCY:
        return f"budget {budget.name}: {reached.reserved} of {limit} at a time are in flight{whose}"
    when = _WHEN[budget.window] if budget.window is not None else ""
    if reached.is_held:
        used, held = amount(budget, reached.used), amount(budget, reached.reserved)
        return (
            f"budget {budget.name} has no room at the moment: {used} of {limit} is used{whose} "
            f"{when}, and requests in flight may use {held}"
        )
    used = amount(budget, reached.used + (reached.reserved if _is_of_requests(budget) else 0))
    opens = f"; it opens again at {clock_words(reached.opens_at_s)}" if reached.opens_at_s else ""
    return f"budget {budget.name} is used up: {used} of {limit}{whose} {when}{opens}"


def whose_words(budget: Budget, value: str) -> str:
    """Return whose budget it is, with a space before it; nothing where it is everybody's."""
    return "" if budget.scope is BudgetScope.TOTAL else f" by {budget.scope} {value}"


def amount(budget: Budget, value: int) -> str:
    """Return what was counted, with its unit."""
    match budget.counts:
        case Counted.USD:
            digits = 2 if value >= MICRO else 4 if value >= MICRO // 100 else 6
            return f"${value / MICRO:,.{digits}f}"
        case Counted.TOKENS:
            return f"{value:,} tokens"
        case _:
            return f"{value:,} request{'' if value == 1 else 's'}"


def clock_words(moment_s: float) -> str:
    """Return a Unix time as local time, e.g. `2026-12-01 00:00 +0100`."""
    return f"{datetime.fromtimestamp(moment_s).astimezone():%Y-%m-%d %H:%M %z}"


def _wait_s(reached: Reached, now_s: float, at_most_s: int | None = None) -> int:
    """Return whole seconds until it opens, at least one."""
    if reached.opens_at_s is None:
        return at_most_s or HELD_RETRY_S
    wait_s = max(1, ceil(reached.opens_at_s - now_s))
    return wait_s if at_most_s is None else min(wait_s, at_most_s)


def _is_of_requests(budget: Budget) -> bool:
    return budget.counts is Counted.REQUESTS
