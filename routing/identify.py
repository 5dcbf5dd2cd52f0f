"""Who is calling: which agent of the roster a request belongs to.

Rules:
1. The signals, in order of trust: path > token > header > model > prompt > binding > type. The
   first that names an agent decides. A signal below it that names another one changes nothing,
   but is a conflict, which the match carries.
2. A signal from the client steers routing, never authorisation: `authorise` asks the token.
3. A name that is wrong is never ignored: an unknown slug in the path, in `x-ccproxy-agent`, or in
   a requested model of the form `agent/<slug>`, is refused even if another signal would have
   decided. An empty header says nothing.
4. A token that is limited to exactly one agent names it; one with several names nobody.
5. A type names an agent only where the roster has its slug (`Explore` -> `explore`). `custom`,
   which Claude Code sends for every agent from a file, says nothing (2.1.329).
6. A prompt or a binding of an agent that the roster has no more says nothing.
7. No signal means unknown, which is an answer and not an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from routing.errors import AgentForbidden, UnknownAgent
from routing.nearest import nearest
from routing.requested_model import classify_requested_model
from routing.types import AgentMatch, AgentSource, SignalConflict

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from routing.types import RequestFacts, Roster

UNKNOWN: Final = AgentMatch(None, AgentSource.NONE)
"""The match of a request without any signal."""

CONFIDENCE: Final[Mapping[AgentSource, float]] = {
    AgentSource.PATH: 1.0,
    AgentSource.TOKEN: 1.0,
    AgentSource.HEADER: 1.0,
    AgentSource.MODEL: 1.0,
    AgentSource.PROMPT: 0.95,
    AgentSource.BINDING: 0.9,
    AgentSource.TYPE: 0.7,
}
"""The signals in the order of trust. 1 for what was said explicitly. A judgement, not a measured
rate: a whole prompt might be quoted by another agent's system prompt, an id might be used again,
and a built-in agent only shares its name with one of the roster's."""

CONTESTED_PROMPT: Final = 0.6
"""Confidence of a prompt next to another agent's whole prompt."""

_NO_TYPE: Final = "custom"


def identify(facts: RequestFacts, roster: Roster, deployments: Container[str] = ()) -> AgentMatch:
    """Return the agent that `facts` point to.

    Args:
        facts: What the request said.
        roster: The agents that exist.
        deployments: Names that ask for a deployment and therefore, as a requested model, are not
            an agent's alias.

    Raises:
        UnknownAgent: The path, the header or `agent/<slug>` names an agent that does not exist
            (404).
    """
    named = [
        (source, slug)
        for source, slug in _signals(facts, roster, deployments)
        if slug and slug in roster.agents
    ]
    if not named:
        return UNKNOWN
    source, slug = named[0]
    if source is AgentSource.PROMPT and facts.prompt_rivals:
        confidence = CONTESTED_PROMPT
    else:
        confidence = CONFIDENCE[source]
    conflicts = [SignalConflict(*signal) for signal in named[1:] if signal[1] != slug]
    return AgentMatch(slug, source, confidence, tuple(conflicts))


def _signals(
    facts: RequestFacts, roster: Roster, deployments: Container[str]
) -> Iterable[tuple[AgentSource, str | None]]:
    """Return what each signal names, the most trusted first."""
    requested = classify_requested_model(facts.requested_model, roster, deployments)
    for said in (facts.path_agent, facts.header_agent or None):
        if said is not None and said not in roster.agents:
            raise UnknownAgent(said, nearest(said, roster.agents))
    token_agent = facts.token_agents[0] if len(facts.token_agents) == 1 else None
    slugs = (
        facts.path_agent,
        token_agent,
        facts.header_agent,
        requested.agent,
        facts.prompt_agent,
        facts.bound_agent,
        _type_slug(facts.client_agent_type),
    )
    signals = zip(CONFIDENCE, slugs, strict=True)
    return _with_rivals(signals, facts.prompt_rivals) if facts.prompt_rivals else signals


def _with_rivals(
    signals: Iterable[tuple[AgentSource, str | None]], rivals: Iterable[str]
) -> Iterator[tuple[AgentSource, str | None]]:
    """Yield signals, and behind that of the prompt the other agents whose prompt was found."""
    for source, slug in signals:
        yield source, slug
        if source is AgentSource.PROMPT:
            yield from ((source, rival) for rival in rivals)


def _type_slug(client_type: str | None) -> str | None:
    """Return e.g. `explore` for `Explore`, None for a type that says nothing."""
    if client_type is None or client_type == _NO_TYPE:
        return None
    return client_type.casefold().replace("_", "-").replace(" ", "-")


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
