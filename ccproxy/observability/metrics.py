"""The Prometheus registry: first metrics, with bounded labels.

Labels are names from the config file, closed enums or status classes; nothing a client chose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.ports import Outcome

Child = TypeVar("Child")

LATENCY_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class _Labelled(Generic[Child]):
    """A metric whose children are looked up by one dict access.

    The library's own `labels` checks, converts and locks at every call: 2 us more each.
    """

    def __init__(self, labels: Callable[..., Child]) -> None:
        self._labels = labels
        self._children: dict[tuple[str, ...], Child] = {}

    def at(self, *values: str) -> Child:
        """Return the child with these label values; there are few, since labels are bounded."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._labels(*values)
        return child


class Metrics:
    """Implements `ports.OutcomeSink` as counters and histograms."""

    def __init__(self) -> None:
        """Create a registry of its own, so that two apps in one process don't collide."""
        self.registry = CollectorRegistry()
        self._requests = _Labelled(
            Counter(
                "ccproxy_requests",
                "Finished requests.",
                ("endpoint", "deployment", "route", "status", "ending"),
                registry=self.registry,
            ).labels
        )
        self._attempts = _Labelled(
            Counter(
                "ccproxy_attempts",
                "Attempts by deployment and result (ok or a failure class).",
                ("deployment", "result"),
                registry=self.registry,
            ).labels
        )
        self._agents = _Labelled(
            Counter(
                "ccproxy_agent_matches",
                "Requests by how their agent was found; source `none` means unknown.",
                ("source",),
                registry=self.registry,
            ).labels
        )
        self._tokens = _Labelled(
            Counter(
                "ccproxy_tokens",
                "Tokens as reported by the upstreams.",
                ("deployment", "kind"),
                registry=self.registry,
            ).labels
        )
        self._notes = _Labelled(
            Counter(
                "ccproxy_notes",
                "Things the proxy changed or left out, by kind.",
                ("kind",),
                registry=self.registry,
            ).labels
        )
        self._tool_calls = _Labelled(
            Counter(
                "ccproxy_tool_calls",
                "Tool calls of local models by what happened to them; made: before any repair.",
                ("agent", "deployment", "event"),
                registry=self.registry,
            ).labels
        )
        self._prompt_tokens = _Labelled(
            Counter(
                "ccproxy_prompt_tokens",
                "Prompt tokens of local models, reused from their cache or evaluated anew.",
                ("agent", "deployment", "kind"),
                registry=self.registry,
            ).labels
        )
        self._ttft = _Labelled(
            Histogram(
                "ccproxy_ttft_seconds",
                "Answer's headers to its first body byte relayed.",
                ("deployment",),
                buckets=LATENCY_BUCKETS_S,
                registry=self.registry,
            ).labels
        )
        self._duration = _Labelled(
            Histogram(
                "ccproxy_request_duration_seconds",
                "Request accepted to response complete.",
                ("deployment",),
                buckets=LATENCY_BUCKETS_S,
                registry=self.registry,
            ).labels
        )

    def record(self, outcome: Outcome) -> None:
        """Count one finished request."""
        deployment = outcome.deployment or "none"
        self._requests.at(
            outcome.endpoint,
            deployment,
            outcome.route or "none",
            str(outcome.status),
            outcome.ending,
        ).inc()
        for attempt in outcome.attempts:
            name, _, result = attempt.rpartition(":")
            self._attempts.at(name, result).inc()
        self._agents.at(outcome.agent_source).inc()
        for note in outcome.notes:
            self._notes.at(note.partition("=")[0]).inc()
        for kind in ("input", "output", "cache_creation_input", "cache_read_input"):
            tokens = getattr(outcome.usage, f"{kind}_tokens")
            if tokens:
                self._tokens.at(deployment, kind).inc(tokens)
        for name, counts in outcome.tool_calls.items():
            for event, count in counts.items():
                self._tool_calls.at(outcome.agent, name, event).inc(count)
        for name, counts in outcome.prompt_tokens.items():
            for kind, count in counts.items():
                self._prompt_tokens.at(outcome.agent, name, kind).inc(count)
        if outcome.ttft_s is not None:
            self._ttft.at(deployment).observe(outcome.ttft_s)
        self._duration.at(deployment).observe(outcome.total_s)

    def exposition(self) -> tuple[bytes, str]:
        """Return what Prometheus scrapes, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
