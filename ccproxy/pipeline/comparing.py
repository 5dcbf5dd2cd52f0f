"""Locally served requests beside Claude: what its prompt cache would have held when they came.

A request is looked at once a local model has begun to answer it, so that one that falls back to
Claude costs nothing here. What is kept while it runs are digests and numbers, never its content.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

from ccproxy.pipeline.off_loop import off_loop
from ccproxy.wire.cache_layout import cache_layout
from routing.counterfactual import Comparison, claude_model
from routing.pricing import PERMILLE
from routing.prompt_cache import PromptCache
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccproxy.outcome import Outcome
    from ccproxy.pipeline.request import MessagesRequest
    from routing.pricing import Price
    from routing.types import Plan, RoutingTable

_log = logging.getLogger(__name__)


Compare: TypeAlias = "Callable[[MessagesRequest, Plan, Outcome], Awaitable[None]]"
"""Looks at a request that is being answered; never raises, and keeps nothing of the request."""


async def compare_nothing(_request: MessagesRequest, _plan: Plan, _outcome: Outcome) -> None:
    """Look at nothing."""


class Comparing:
    """Simulates Claude's prompt cache for one process; used on the event loop alone."""

    def __init__(
        self, table: Callable[[], RoutingTable], key: bytes, cache: PromptCache | None = None
    ) -> None:
        """Begin with an empty cache.

        Args:
            table: Returns the routing table in force, with the prices.
            key: Random bytes, for digests that mean nothing outside this process.
            cache: Where entries are kept.
        """
        self._table = table
        self._key = key
        self._cache = cache or PromptCache()

    async def look(self, request: MessagesRequest, plan: Plan, outcome: Outcome) -> None:
        """Give an outcome its `comparison`, where a local model answers; see `Compare`."""
        if outcome.route != Side.LOCAL or request.counting:
            return
        table = self._table()
        model = claude_model(
            request.requested_model,
            is_claudes=request.names_claude_model,
            tier=plan.tier,
            table=table,
        )
        price = table.prices.find(model) if model is not None else None
        if model is None or price is None or price.token_range is None:
            return
        try:
            size_bytes = len(request.decoded_body)
            layout = await off_loop(size_bytes, cache_layout, request.body, self._key)
        except Exception:  # noqa: BLE001 - told, with its traceback
            # A report is not worth an answer.
            _log.exception("not compared with Claude", extra={"request_id": outcome.request_id})
            return
        if layout is not None:
            use = self._cache.look(
                model, layout, now_s=outcome.arrived_at, least_tokens=_least_tokens(price)
            )
            outcome.comparison = Comparison(model, use)

    def record(self, outcome: Outcome) -> None:
        """Take note that an answer has ended; see `ports.OutcomeSink`."""
        if outcome.comparison is not None:
            self._cache.ended(outcome.comparison.use, outcome.arrived_at + outcome.total_s)


def _least_tokens(price: Price) -> int:
    """Return the least length that is cached, in tokens of a local model's."""
    ratio = price.token_range.expected_permille if price.token_range is not None else PERMILLE
    return -(-price.cache_from_tokens * PERMILLE // max(1, ratio))
