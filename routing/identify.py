"""Who is calling: which agent of the roster a request belongs to.

Rules:
1. The signals, in order of trust: path > token > header > model > prompt > binding > type. The
   first that says something decides. Of these, path, token and model are read today.
2. A signal from the client steers routing, never authorisation: `authorise` asks the token.
3. A name that is wrong is never ignored: an unknown slug in the path, or in a requested model of
   the form `agent/<slug>`, is refused even if another signal would have decided.
4. No signal means unknown, which is an answer and not an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from routing.errors import AgentForbidden, UnknownAgent
from routing.nearest import nearest
from routing.requested_model import classify_requested_model
from routing.types import AgentMatch, AgentSource

if TYPE_CHECKING:
    from collections.abc import Container

    from routing.types import RequestFacts, Roster

UNKNOWN: Final = AgentMatch(None, AgentSource.NONE)
"""The match of a request without any signal."""


def identify(facts: RequestFacts, roster: Roster, deployments: Container[str] = ()) -> AgentMatch:
    """Return the agent that `facts` point to.

    Args:
        facts: What the request said.
        roster: The agents that exist.
        deployments: Names that ask for a deployment and therefore, as a requested model, are not
            an agent's alias.

    Raises:
        UnknownAgent: The path or `agent/<slug>` names an agent that does not exist (404).
    """
    requested = classify_requested_model(facts.requested_model, roster, deployments)
    if facts.path_agent is not None:
        if facts.path_agent not in roster.agents:
            raise UnknownAgent(facts.path_agent, nearest(facts.path_agent, roster.agents))
        return AgentMatch(facts.path_agent, AgentSource.PATH)
    if len(facts.token_agents) == 1 and facts.token_agents[0] in roster.agents:
        return AgentMatch(facts.token_agents[0], AgentSource.TOKEN)
    if requested.agent is not None:
        return AgentMatch(requested.agent, AgentSource.MODEL)
    return UNKNOWN


def authorise(match: AgentMatch, token_agents: tuple[str, ...]) -> None:
    """Return if the token may act as the agent of `match`.

    Args:
        match: What `identify` found.
        token_agents: Slugs the token is limited to; empty means not limited.

    Raises:
        AgentForbidden: The token is limited and the agent is another or unknown (403).
    """
    if not token_agents or match.slug in token_agents:
        return
    allowed = ", ".join(token_agents)
    if match.slug is None:
        message = (
            f"This token is limited to the agents {allowed}, and the request does not say which "
            "agent is calling. Use the base URL /agents/<slug>."
        )
        if len(token_agents) == 1:
            message = f"This token is limited to the agent {allowed}, which is not in the roster."
        raise AgentForbidden(message)
    message = f"This token may act as {allowed}, not as {match.slug} (from the {match.source})."
    raise AgentForbidden(message)
