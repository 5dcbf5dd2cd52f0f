"""Cost limits: what may cost more is skipped, and what has no price cannot be promised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routing.content import StatedContent
from routing.errors import NoAttempt
from routing.identify import identify
from routing.plan import build_plan
from routing.pricing import Price, PriceList, Rates
from routing.table import compile_table
from routing.types import Deployment, RequestClass, RequestFacts, Side
from tests.support.routing_samples import ROSTER, table_of

RATES = Rates(input=4_000_000, output=20_000_000, cache_write_5m=0, cache_write_1h=0, cache_read=0)
PRICES = PriceList("2026-11-21", {"claude-opus-5-5": Price(RATES)})


def claude(name: str, model: str, base: str | None = None) -> Deployment:
    """Return a Claude deployment."""
    return Deployment(name, Side.CLAUDE, leaves_host=True, upstream_model=model, base_model=base)


DEPLOYMENTS = {
    each.name: each
    for each in (
        Deployment("local", Side.LOCAL, leaves_host=False, upstream_model="qwen"),
        claude("any", "*", "claude-opus-5-5"),
        claude("opus", "claude-opus-5-5"),
        claude("new", "claude-new-9"),
    )
}
# 10,000 tokens of prompt and 1,000 of answer: 0.04 + 0.02 dollars.
CONTENT = StatedContent(input_tokens=10_000, max_output_tokens=1_000)


def attempts(limit_usd: float, route: list[str], **facts: Any) -> tuple[str, ...]:
    """Return who may serve such a request under a limit."""
    entry = {"route": route, "max_cost_usd_per_request": limit_usd}
    table, _ = compile_table(table_of({"default": entry}), DEPLOYMENTS, ROSTER)
    request = RequestFacts(**{"requested_model": "x", "content": CONTENT, **facts})
    match = identify(request, ROSTER, table.deployments)
    return build_plan(request, match, replace(table, prices=PRICES), ROSTER).attempts


@pytest.mark.parametrize(
    ("limit_usd", "route", "expected"),
    [
        (0.06, ["opus", "local"], ("opus", "local")),
        (0.059, ["opus", "local"], ("local",)),
        (0.06, ["any", "local"], ("any", "local")),
        (0.059, ["any", "local"], ("local",)),
        (100, ["new", "local"], ("local",)),
        (0, ["local"], ("local",)),
    ],
)
def test_a_limit_skips_what_may_cost_more(
    limit_usd: float, route: list[str], expected: tuple[str, ...]
) -> None:
    """Counted is the whole prompt and the longest answer; local models cost nothing."""
    assert attempts(limit_usd, route) == expected


def test_the_wildcard_costs_what_the_requested_model_costs() -> None:
    """`anthropic/*` is priced by the client's id, where that has a price."""
    opus = {"requested_model": "claude-opus-5-5"}
    assert attempts(0.06, ["any", "local"], **opus) == ("any", "local")


def test_counting_is_free() -> None:
    """A request to count tokens is never too dear."""
    assert attempts(0, ["opus"], request_class=RequestClass.COUNT) == ("opus",)


def test_a_refusal_names_the_sum() -> None:
    """Where nobody keeps to the limit the client hears what it may cost and what the limit is."""
    with pytest.raises(
        NoAttempt, match=r"opus may cost \$0\.0600, above the limit of \$0\.01"
    ) as no:
        attempts(0.01, ["opus"])
    assert not no.value.outage
