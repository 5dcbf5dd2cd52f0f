"""Requests and how long they took, from the rows that the ledger gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ccproxy.observability.tallies import CounterTally, HistogramTally
from ccproxy.wire.errors import ERROR_TYPES

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from ccproxy.rows import RequestRow

NONE: Final = "none"
"""Label of what a request has not got: a deployment, a category."""
KNOWN_STATUSES: Final = frozenset({200, 405, 502, 503, *ERROR_TYPES})
"""What Anthropic's API and this proxy answer with. An upstream's others are counted by their class,
e.g. `4xx`: a label's values must be few."""

LATENCY_BOUNDS_S: Final = (
    0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 180, 300, 600,
)  # fmt: skip
"""A local model may read a long prompt for minutes."""
INTER_TOKEN_BOUNDS_S: Final = (
    0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 10,
)  # fmt: skip
"""From 200 tokens per second to one that cannot be worked with."""
BY_OUTCOME: Final = ("category", "deployment", "ending")
"""Labels of what is told by how the request ended."""


class TrafficMetrics:
    """Counts finished requests; `AttemptMetrics` has what each was made of."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything."""
        self._requests = CounterTally(
            registry,
            "ccproxy_requests",
            "Finished requests.",
            ("endpoint", "deployment", "route", "status", "ending"),
        )
        self._agents = CounterTally(
            registry,
            "ccproxy_agent_matches",
            "Requests by how their agent was found; source `none` means unknown.",
            ("source",),
        )
        self._durations = HistogramTally(
            registry,
            "ccproxy_request_duration_seconds",
            "From a request's arrival to the end of its response.",
            BY_OUTCOME,
            LATENCY_BOUNDS_S,
        )
        self._ttfts = HistogramTally(
            registry,
            "ccproxy_ttft_seconds",
            "From a request's arrival to the first piece of the model's answer relayed.",
            BY_OUTCOME,
            LATENCY_BOUNDS_S,
        )
        self._inter_tokens = HistogramTally(
            registry,
            "ccproxy_inter_token_seconds",
            "Mean time between two tokens of a streamed answer, once for each answer.",
            BY_OUTCOME,
            INTER_TOKEN_BOUNDS_S,
        )

    def put(self, row: RequestRow) -> None:
        """Count one finished request."""
        dimensions = row.dimensions
        category = dimensions.category or NONE
        deployment = dimensions.deployment or NONE
        self._requests.add(
            (
                dimensions.endpoint,
                deployment,
                dimensions.route or NONE,
                status_label(row.status),
                row.ending,
            )
        )
        self._agents.add((dimensions.agent_source,))
        by_outcome = (category, deployment, row.ending)
        total_s = row.spent.total_s
        self._durations.observe(by_outcome, total_s)
        ttft_s = row.ttft_s
        if ttft_s is None:
            return
        self._ttfts.observe(by_outcome, ttft_s)
        gaps = row.spent.tokens.output_tokens - 1
        if row.stream and gaps > 0:
            self._inter_tokens.observe(by_outcome, max(0.0, total_s - ttft_s) / gaps)


def status_label(status: int) -> str:
    """Return a status as a label; `none` where the client left before it got one."""
    if status in KNOWN_STATUSES:
        return str(status)
    return f"{status // 100}xx" if status else NONE
