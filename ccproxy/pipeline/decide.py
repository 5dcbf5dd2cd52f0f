"""From a request to its plan: the very function that serves traffic, and that explain calls.

Everything it needs is passed in; nothing is sent, loaded or remembered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from ccproxy.wire.content_facts import BodyFacts, call_features, system_texts
from ccproxy.wire.estimate import units_of_text
from routing.identify import authorise, identify
from routing.plan import build_plan
from routing.prompts import PromptIndex
from routing.records import record
from routing.request_class import classify_call
from routing.types import Privacy, RequestFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ccproxy.outcome import Routed
    from ccproxy.ports import Incoming
    from routing.capabilities import FleetSnapshot
    from routing.prompts import PromptFinding
    from routing.types import Plan, Roster, RoutingTable

AGENT_HEADER: Final = b"x-ccproxy-agent"
PROJECT_HEADER: Final = b"x-ccproxy-project"
TYPE_HEADER: Final = b"x-claude-code-agent-type"


class RoutingState(Protocol):
    """What is in force: one consistent whole, kept by a request that got it."""

    @property
    def table(self) -> RoutingTable:
        """The routing table."""
        ...

    @property
    def roster(self) -> Roster:
        """The agents."""
        ...

    @property
    def prompts(self) -> PromptIndex:
        """The agents' own prompts."""
        ...


@record(frozen=True, slots=True)
class Circumstances:
    """What a decision depends on besides the request itself."""

    principal: str = ""
    token_agents: tuple[str, ...] = ()
    token_privacy: Privacy = Privacy.ANY
    token_project: str | None = None
    """What the token says; then no header can say otherwise."""
    brings_credential: bool = False
    """The request has a credential of the client's own for Claude."""
    bound_agent: str | None = None
    """What an earlier turn of the same client agent was recognised as."""
    local_minute: tuple[int, int] | None = None
    """Local weekday (0 is Monday) and minute of the day."""


def gather_facts(
    incoming: Incoming,
    body: Mapping[str, Any],
    state: RoutingState,
    around: Circumstances,
    *,
    counting: bool,
    body_bytes: int | None = None,
    units_of: Callable[[str], int] = units_of_text,
    find: Callable[[PromptIndex, Sequence[str]], PromptFinding] = PromptIndex.find,
) -> RequestFacts:
    """Return what the request says; never raises, whatever the body holds.

    Args:
        incoming: As it arrived.
        body: Parsed.
        state: What is in force.
        around: What the request itself does not say.
        counting: The request was sent to count_tokens.
        body_bytes: Length of the body's JSON; where it is known, a short one needs no estimate.
        units_of: As of `wire.estimate.estimate_prompt`.
        find: Does what `PromptIndex.find` does.
    """
    finding = find(state.prompts, system_texts(body))
    asked = state.table.asked_headers
    headers = {
        key: value.decode("latin-1")
        for name, value in (incoming.headers if asked else ())
        if (key := name.decode("latin-1")) in asked
    }
    return RequestFacts(
        requested_model=str(body.get("model") or ""),
        path_agent=incoming.path_agent,
        token_agents=around.token_agents,
        token_privacy=around.token_privacy,
        brings_credential=around.brings_credential,
        header_agent=_text(incoming, AGENT_HEADER),
        prompt_agent=finding.chosen,
        prompt_rivals=finding.rivals,
        prompt_near=finding.near,
        unknown_tags=len(finding.unknown_tags),
        bound_agent=around.bound_agent,
        client_agent_type=_text(incoming, TYPE_HEADER),
        request_class=classify_call(call_features(body, incoming.headers, counting=counting)),
        principal=around.principal,
        project=around.token_project or _text(incoming, PROJECT_HEADER),
        headers=headers,
        content=BodyFacts(body, body_bytes, units_of),
        local_minute=around.local_minute,
    )


def decide(routed: Routed, state: RoutingState, fleet: FleetSnapshot) -> Plan:
    """Return where a request goes; fills in who is calling as soon as that is known.

    Raises:
        RoutingError: A decision against it: unknown agent or model, forbidden, or no attempt.
    """
    facts = routed.facts
    routed.match = identify(facts, state.roster, state.table.deployments)
    authorise(routed.match, facts.token_agents)
    routed.plan = build_plan(facts, routed.match, state.table, state.roster, fleet)
    return routed.plan


def _text(incoming: Incoming, name: bytes) -> str | None:
    value = incoming.header(name)
    return value.decode("latin-1") if value else None
