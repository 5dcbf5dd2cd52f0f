"""Attempts, and the tokens and waits of each, from the rows that the ledger gets."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from ccproxy.observability.tallies import CounterTally, HistogramTally
from ccproxy.observability.traffic_metrics import BY_OUTCOME, LATENCY_BOUNDS_S, NONE
from ccproxy.outcome import ANSWERED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry

    from ccproxy.rows import AttemptRow, RequestRow
    from routing.pricing import TokenCounts

_TOKEN_KINDS: Final = (
    ("input", "input_tokens"),
    ("output", "output_tokens"),
    ("cache_write_5m", "cache_write_5m_tokens"),
    ("cache_write_1h", "cache_write_1h_tokens"),
    ("cache_read", "cache_read_tokens"),
)


class AttemptMetrics:
    """Counts what finished requests were made of."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything."""
        self._attempts = CounterTally(
            registry,
            "ccproxy_attempts",
            "Attempts: `ok`, `unfinished`, `left_alone`, `over_budget` or a failure class.",
            ("deployment", "result"),
        )
        self._fallbacks = CounterTally(
            registry,
            "ccproxy_fallbacks",
            "Times that the next deployment was asked, by the result of the attempt before.",
            ("from_deployment", "to_deployment", "result"),
        )
        self._retries = CounterTally(
            registry,
            "ccproxy_retries",
            "Times that the same deployment was asked again, by the result of the attempt before.",
            ("deployment", "result"),
        )
        self._tokens = CounterTally(
            registry,
            "ccproxy_tokens",
            "Tokens by where they were counted, each in one kind; attempts that failed included.",
            ("category", "deployment", "kind"),
        )
        self._queues = HistogramTally(
            registry,
            "ccproxy_queue_seconds",
            "Wait of an attempt for a slot of its deployment.",
            BY_OUTCOME,
            LATENCY_BOUNDS_S,
        )
        self._loads = HistogramTally(
            registry,
            "ccproxy_model_load_seconds",
            "Time that a local model took to be in memory, as its server says.",
            ("deployment",),
            LATENCY_BOUNDS_S,
        )

    def put(self, row: RequestRow) -> None:
        """Count the attempts of one finished request."""
        category = row.dimensions.category or NONE
        for attempt in row.attempts:
            deployment, spent = attempt.dimensions.deployment, attempt.spent
            self._attempts.add((deployment, attempt.result))
            self._count_tokens(category, deployment, spent.tokens)
            if spent.queue_s is not None:
                self._queues.observe((category, deployment, row.ending), spent.queue_s)
            if spent.load_s is not None:
                self._loads.observe((deployment,), spent.load_s)
        self._count_changes(row.attempts)

    def _count_changes(self, attempts: Sequence[AttemptRow]) -> None:
        for before, after in pairwise(attempts):
            left, taken = before.dimensions.deployment, after.dimensions.deployment
            if left == taken:
                self._retries.add((left, before.result))
            elif before.result != ANSWERED:
                self._fallbacks.add((left, taken, before.result))

    def _count_tokens(self, category: str, deployment: str, tokens: TokenCounts) -> None:
        for kind, name in _TOKEN_KINDS:
            if count := getattr(tokens, name):
                self._tokens.add((category, deployment, kind), count)
