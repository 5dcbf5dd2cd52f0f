"""Decisions for tests: facts, a match, a plan and an outcome that belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from ccproxy.observability.decisions import decision_line, from_line
from ccproxy.outcome import AttemptRecord, Ending, Outcome, Usage
from routing.identify import identify
from routing.plan import build_plan
from routing.table import compile_table
from routing.types import RequestFacts
from tests.support.routing_samples import DEPLOYMENTS, ROSTER, table_of

if TYPE_CHECKING:
    from ccproxy.observability.decisions import Decision
    from routing.types import AgentMatch, ContentFacts, Plan, RoutingTable


def sample_table(route: str = "qwen") -> RoutingTable:
    """Return a table in which long prompts go to Claude and everything else to one deployment."""
    rule = {"name": "long", "when": {"min_input_tokens": 1000}, "route": ["claude"]}
    profile: dict[str, object] = {"rules": [rule], "default": {"route": [route]}}
    return compile_table(table_of(profile), DEPLOYMENTS, ROSTER)[0]


def sample_outcome(request_id: str = "req_1", started_at: float = 1_700_000_000.5) -> Outcome:
    """Return the outcome of a request that a local model served."""
    return Outcome(
        request_id,
        "messages",
        started_at,
        principal="ops",
        deployment="qwen",
        route="local",
        attempt_records=[
            AttemptRecord("qwen-down", "local", "connect_error"),
            AttemptRecord("qwen", "local", "ok"),
        ],
        status=200,
        ending=Ending.COMPLETED,
        stream=True,
        ttft_s=0.25,
        total_s=1.5,
        usage=Usage(1200, 34, None, 7),
    )


def decided(facts: RequestFacts, table: RoutingTable) -> tuple[AgentMatch, Plan]:
    """Return what routing says about the facts."""
    match = identify(facts, ROSTER, table.deployments)
    return match, build_plan(facts, match, table, ROSTER)


def sample_line(
    facts: RequestFacts | None = None,
    *,
    content: ContentFacts | None = None,
    request_id: str = "req_1",
    at: float = 1_700_000_000.5,
) -> bytes:
    """Return the recorded line of a request of the coder."""
    facts = facts or RequestFacts("claude-sonnet-4-5", path_agent="coder", content=content)
    table = sample_table()
    match, plan = decided(facts, table)
    outcome = sample_outcome(request_id, at)
    return decision_line(outcome, facts, match, plan, table_version=table.version, body_bytes=4000)


def sample_decision(
    facts: RequestFacts | None = None, *, content: ContentFacts | None = None
) -> Decision:
    """Return the same as it is read again."""
    return from_line(sample_line(facts, content=content))


def to_line(decision: Decision) -> bytes:
    """Return a decision as it stands in a file, without the end of the line."""
    return orjson.dumps(decision)
