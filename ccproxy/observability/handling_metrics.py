"""What was changed, repaired and reused on the way, from outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccproxy.observability.tallies import CounterTally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from ccproxy.outcome import Outcome


class HandlingMetrics:
    """Implements `ports.OutcomeSink` as counters."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything."""
        self._notes = CounterTally(
            registry,
            "ccproxy_notes",
            "Things the proxy changed or left out, by kind.",
            ("kind",),
        )
        self._tool_calls = CounterTally(
            registry,
            "ccproxy_tool_calls",
            "Tool calls of local models by what happened to them; `made`: before any repair.",
            ("agent", "deployment", "event"),
        )
        self._prompt_tokens = CounterTally(
            registry,
            "ccproxy_prompt_tokens",
            "Prompt tokens of local models, `reused` from their cache or `evaluated` anew.",
            ("agent", "deployment", "kind"),
        )

    def record(self, outcome: Outcome) -> None:
        """Count one finished request."""
        for note in outcome.notes:
            self._notes.add((note.partition("=")[0],))
        if outcome.tool_calls:
            _add_up(self._tool_calls, outcome.agent, outcome.tool_calls)
        if outcome.prompt_tokens:
            _add_up(self._prompt_tokens, outcome.agent, outcome.prompt_tokens)


def _add_up(
    tally: CounterTally, agent: str, by_deployment: Mapping[str, Mapping[str, int]]
) -> None:
    for deployment, counts in by_deployment.items():
        for what, count in counts.items():
            tally.add((agent, deployment, what), count)
