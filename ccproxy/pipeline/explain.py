"""What would become of a request, and why: the decision itself, told as plain data.

The decision is made by the functions that serve traffic; nothing is sent, loaded or remembered.
What is told holds no content: lengths, names of tools and what kinds of blocks there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.outcome import Routed
from ccproxy.pipeline.decide import decide, gather_facts
from ccproxy.pipeline.refusals import routing_refusal
from ccproxy.wire.errors import ApiError
from routing.errors import RoutingError
from routing.identify import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ccproxy.pipeline.decide import Circumstances, RoutingState
    from ccproxy.ports import Incoming
    from routing.capabilities import FleetSnapshot
    from routing.types import AgentMatch, Deployment, Plan, RequestFacts, TraceEntry

UNKNOWN_AGENT: Final = "unknown"
"""As in `x-ccproxy-agent`."""


def _planned(routed: Routed, _body: Mapping[str, Any]) -> Plan | None:
    return routed.plan


def explain(
    incoming: Incoming,
    body: Mapping[str, Any],
    state: RoutingState,
    around: Circumstances,
    fleet: FleetSnapshot,
    *,
    counting: bool = False,
    within_budgets: Callable[[Routed, Mapping[str, Any]], Plan | None] = _planned,
) -> dict[str, object]:
    """Return the decision about a request, JSON-ready.

    Always has `agent` (a slug or `unknown`), `source`, `confidence`, `conflicts`, `facts`,
    `requested_model`, `request_class`, `profile`, `table_version`, `attempts` (objects with
    `deployment`, `side` and `position` from 1, in order; `only_after`, the failure classes of which
    one must have come up before, or none; `asks`, the id that Claude is asked for instead of the
    requested one, or null; empty where the request is refused) and `trace` (objects with `kind`,
    `name`, `kept` and `reason`). A plan adds `tier`, `privacy`, `rule` and `policies`; a refusal
    adds `refused` with the `status`, `type` and `message` that a client would get.

    Args:
        incoming: The request; of its headers those count that count for traffic.
        body: Its parsed body, which may be no valid one; its length is taken to be that of compact
            JSON, which is what clients send.
        state: Table, roster and prompts to decide by.
        around: What else the decision depends on.
        fleet: What is known of the deployments.
        counting: The request is one to count_tokens, which concerns no budget.
        within_budgets: Returns what budgets leave of a decision's plan, or raises their refusal.
    """
    facts = gather_facts(
        incoming, body, state, around, counting=counting, body_bytes=_body_bytes(body)
    )
    routed = Routed(facts, state.table.version)
    try:
        plan = decide(routed, state, fleet)
        left = plan if counting else within_budgets(routed, body) or plan
        outcome = _told_plan(left, state.table.deployments)
    except RoutingError as error:
        outcome = _told_refusal(routing_refusal(error), error.trace)
    except ApiError as refusal:
        outcome = _told_refusal(refusal, routed.plan.trace if routed.plan is not None else ())
    # The same keys in both cases: a fact that there is not is null.
    return {
        **_told_match(routed.match or UNKNOWN),
        **_told_facts(facts),
        **outcome,
        "profile": state.table.active.name,
        "table_version": state.table.version,
    }


def _body_bytes(body: Mapping[str, Any]) -> int | None:
    try:
        return len(orjson.dumps(body))
    except TypeError:  # nested deeper than orjson writes: no bound then
        return None


def _told_match(match: AgentMatch) -> dict[str, object]:
    return {
        "agent": match.slug or UNKNOWN_AGENT,
        "source": match.source.value,
        "confidence": match.confidence,
        "conflicts": [
            {"source": conflict.source.value, "agent": conflict.slug}
            for conflict in match.conflicts
        ],
    }


def _told_facts(facts: RequestFacts) -> dict[str, object]:
    told: dict[str, object] = {
        "path_agent": facts.path_agent,
        "token_agents": list(facts.token_agents),
        "token_privacy": facts.token_privacy.value,
        "header_agent": facts.header_agent,
        "prompt_agent": facts.prompt_agent,
        "prompt_rivals": list(facts.prompt_rivals),
        "prompt_near": list(facts.prompt_near),
        "unknown_tags": facts.unknown_tags,
        "bound_agent": facts.bound_agent,
        "client_agent_type": facts.client_agent_type,
        "principal": facts.principal,
        "project": facts.project,
        "headers": sorted(facts.headers),
        "local_minute": list(facts.local_minute) if facts.local_minute is not None else None,
    }
    content = facts.content
    if content is not None:
        told |= {
            "input_tokens": content.input_tokens,
            "has_images": content.has_images,
            "has_documents": content.has_documents,
            "has_server_tools": content.has_server_tools,
            "tool_names": sorted(content.tool_names),
            "wants_thinking": content.wants_thinking,
            "wants_structured_output": content.wants_structured_output,
            "tool_loop_side": content.tool_loop_side,
        }
    return {
        "requested_model": facts.requested_model,
        "request_class": facts.request_class.value,
        "facts": told,
    }


def _told_plan(plan: Plan, deployments: Mapping[str, Deployment]) -> dict[str, object]:
    return {
        "tier": plan.tier.value if plan.tier is not None else None,
        "privacy": plan.privacy.value,
        "rule": plan.rule,
        "policies": {
            "deadline_s": plan.deadline_s,
            "max_cost_microusd": plan.max_cost_microusd,
            "thinking": plan.thinking.mode.value,
            "thinking_max_budget_tokens": plan.thinking.max_budget_tokens,
            "on_overflow": plan.on_overflow.value,
        },
        "attempts": [
            {
                "deployment": name,
                "side": deployments[name].side.value,
                "position": position,
                "only_after": sorted(plan.only_after.get(name, ())),
                "asks": plan.asks.get(name),
            }
            for position, name in enumerate(plan.attempts, 1)
        ],
        "trace": _told_trace(plan.trace),
        "refused": None,
    }


def _told_refusal(refusal: ApiError, trace: Sequence[TraceEntry]) -> dict[str, object]:
    return {
        **dict.fromkeys(("tier", "privacy", "rule", "policies")),
        "attempts": [],
        "trace": _told_trace(trace),
        "refused": {
            "status": refusal.status,
            "type": refusal.error_type,
            "message": refusal.message,
        },
    }


def _told_trace(trace: Sequence[TraceEntry]) -> list[dict[str, object]]:
    return [
        {"kind": step.kind, "name": step.name, "kept": step.kept, "reason": step.reason}
        for step in trace
    ]
