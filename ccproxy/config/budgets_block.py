"""The `budgets:` list of `ccproxy.yaml`: limits on requests, tokens, money and concurrency."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ccproxy.config.block import Block, NotBool, Text
from ccproxy.config.yaml_marks import read_marked
from routing.budget_book import EACH, Budget, BudgetScope, Counted, OnReach, Window
from routing.nearest import did_you_mean
from routing.policies import MICRO

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from enum import StrEnum
    from pathlib import Path

    from ccproxy.config.problems import ConfigProblem, KeyPath

    Report = Callable[[KeyPath, str], None]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What fits into a header, a metric's label and a sentence."""
UNKNOWN_AGENT: Final = "unknown"
"""As what callers are counted that nobody recognised."""
MOST: Final = 10**12
"""Of any limit."""


def _name(value: str) -> str:
    """Return a budget's name."""
    if not NAME.fullmatch(value):
        raise ValueError(
            "may hold up to 64 letters, digits and . _ - and must begin with one of the former"
        )
    return value


def _one_of(words: type[StrEnum]) -> tuple[BeforeValidator, WithJsonSchema]:
    """Return what reads one of these words, with a hint where it is another."""
    known = [word.value for word in words]

    def read(value: object) -> object:
        if not isinstance(value, str) or value not in known:
            hint = did_you_mean(value, known) if isinstance(value, str) else ""
            raise ValueError(f"must be one of {', '.join(known)}.{hint}")
        return value

    return BeforeValidator(read), WithJsonSchema({"enum": known})


_SCOPE = _one_of(BudgetScope)
_COUNTS = _one_of(Counted)
_WINDOW = _one_of(Window)
_ON_REACH = _one_of(OnReach)


class BudgetBlock(Block):
    """One limit, and what follows when it is reached."""

    name: Annotated[str, AfterValidator(_name)]
    """Unique; in messages, headers, logs and metrics."""
    scope: Annotated[BudgetScope, *_SCOPE]
    """Whose requests are counted: all (`total`), or those of a `principal` (a token's name),
    `project`, `agent` or `deployment`."""
    value: Text | None = None
    """Which one of them, or `*` for each apart; left out exactly where the scope is `total`."""
    counts: Annotated[Counted, *_COUNTS]
    """`usd`, `tokens` (prompt and answer), `requests`, or `concurrency` (requests at a time)."""
    window: Annotated[Window | None, *_WINDOW] = None
    """`minute`, `day` or `month` by this machine's clock; left out exactly for `concurrency`."""
    limit: Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False), NotBool]
    """How much; dollars for `usd`, else a whole number."""
    on_reach: Annotated[OnReach, *_ON_REACH]
    """`warn`, `local_only` (nothing leaves this host until there is room again), or `refuse`; a
    deployment's budget warns, or refuses it so that the next one serves."""


def read_budgets(
    blocks: Sequence[BudgetBlock], deployments: Collection[str], report: Report
) -> tuple[Budget, ...]:
    """Return the budgets; what is wrong with one is reported.

    Args:
        blocks: As the file has them.
        deployments: Names of those that the file has.
        report: Called with the key and the message of each problem.
    """
    first: dict[str, int] = {}
    for index, block in enumerate(blocks):
        earlier = first.setdefault(block.name, index)
        if earlier != index:
            message = f"{block.name!r} is the name of an earlier budget already"
            report(("budgets", index, "name"), message)
        for key, message in _wrong_with(block, deployments):
            report(("budgets", index, key), message)
    return tuple(
        Budget(
            block.name,
            block.scope,
            block.value or "",
            block.counts,
            block.window,
            _limit(block),
            block.on_reach,
        )
        for block in blocks
    )


def needs_prices(budgets: Sequence[Budget]) -> bool:
    """Return whether any of them counts money."""
    return any(budget.counts is Counted.USD for budget in budgets)


def strange_names(
    path: Path, budgets: Sequence[Budget], agents: Collection[str], tokens: Collection[str] | None
) -> list[ConfigProblem]:
    """Return a warning for each budget of an agent or a token that does not exist.

    Args:
        path: The config file.
        budgets: In its order.
        agents: Slugs of the roster.
        tokens: Names of the tokens on file; None where nobody needs one.
    """
    known: Mapping[BudgetScope, tuple[str, Collection[str]]] = {
        BudgetScope.AGENT: ("agent in the roster", (*agents, UNKNOWN_AGENT)),
        BudgetScope.PRINCIPAL: ("token", tokens or ()),
    }
    found = []
    for index, budget in enumerate(budgets):
        what, names = known.get(budget.scope, ("", ()))
        is_open = budget.scope is BudgetScope.PRINCIPAL and tokens is None
        if not what or is_open or budget.value in (EACH, *names):
            continue
        hint = did_you_mean(budget.value, names)
        message = f"there is no {what} {budget.value!r}, so nothing is counted.{hint}"
        found.append((index, message))
    if not found:
        return []
    document = read_marked(path)
    return [document.problem(("budgets", index, "value"), message) for index, message in found]


def _wrong_with(block: BudgetBlock, deployments: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield key and message of what does not go together."""
    is_total, is_flying = block.scope is BudgetScope.TOTAL, block.counts is Counted.CONCURRENCY
    if is_total and block.value is not None:
        yield "value", "take it out: the scope total is everybody's"
    elif not is_total and block.value is None:
        yield "value", f"is required: the {block.scope}'s name, or '*' for each apart"
    if is_flying and block.window is not None:
        yield "window", "take it out: concurrency is about this moment"
    elif not is_flying and block.window is None:
        yield "window", f"is required: one of {', '.join(Window)}"
    if _limit(block) < 1 or (block.counts is not Counted.USD and block.limit != int(block.limit)):
        unit = "at least 0.000001" if block.counts is Counted.USD else "a whole number"
        yield "limit", f"must be {unit}, as it counts {block.counts}"
    if block.scope is not BudgetScope.DEPLOYMENT:
        return
    if block.on_reach is OnReach.LOCAL_ONLY:
        message = "must be warn or refuse for a deployment: what it refuses, the next one serves"
        yield "on_reach", message
    if block.value not in (None, EACH, *deployments):
        hint = did_you_mean(block.value or "", deployments)
        yield "value", f"there is no deployment {block.value!r}.{hint}"


def _limit(block: BudgetBlock) -> int:
    """Return the limit in whole units; of money, microdollars as the file says them."""
    # A float's shortest text is what was written in the file; binary fractions would drift.
    amount: Any = Decimal(repr(block.limit))
    return int(amount * MICRO) if block.counts is Counted.USD else int(amount)
