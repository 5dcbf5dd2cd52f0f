"""Who is calling, and whether the token allows it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from routing.errors import AgentForbidden, UnknownAgent
from routing.identify import CONFIDENCE, CONTESTED_PROMPT, UNKNOWN, authorise, identify
from routing.types import (
    Agent,
    AgentMatch,
    AgentSource,
    RequestFacts,
    Roster,
    SignalConflict,
    Tier,
)
from tests.support.routing_samples import DEPLOYMENTS, ROSTER

SIGNALS = {
    AgentSource.PATH: {"path_agent": "by-path"},
    AgentSource.TOKEN: {"token_agents": ("by-token",)},
    AgentSource.HEADER: {"header_agent": "by-header"},
    AgentSource.MODEL: {"requested_model": "agent/by-model"},
    AgentSource.PROMPT: {"prompt_agent": "by-prompt"},
    AgentSource.BINDING: {"bound_agent": "by-binding"},
    AgentSource.TYPE: {"client_agent_type": "By-Type"},
}
"""One fact for each source, each naming an agent of its own; most trusted first."""

FLEET = Roster(
    {
        slug: Agent(slug, slug, Tier.SONNET, "codingAgents")
        for slug in (*(f"by-{source}" for source in SIGNALS), "custom")
    }
)

SOME_SETS = [
    chosen for size in range(1, len(SIGNALS) + 1) for chosen in combinations(SIGNALS, size)
]


def facts_with(*sources: AgentSource) -> RequestFacts:
    """Return facts in which exactly these sources name an agent, each its own."""
    facts = RequestFacts("claude-sonnet-4-5")
    for source in sources:
        facts = replace(facts, **SIGNALS[source])
    return facts


@pytest.mark.parametrize("sources", SOME_SETS, ids="+".join)
def test_the_most_trusted_signal_decides_and_the_others_are_conflicts(
    sources: tuple[AgentSource, ...],
) -> None:
    """Of every set of signals the first in the order of trust wins; the rest is named."""
    first, *rest = sources
    assert identify(facts_with(*sources), FLEET) == AgentMatch(
        f"by-{first}",
        first,
        CONFIDENCE[first],
        tuple(SignalConflict(source, f"by-{source}") for source in rest),
    )


def test_signals_that_agree_are_no_conflict() -> None:
    """A second signal for the same agent is not reported."""
    facts = RequestFacts("agent/coder", header_agent="coder", prompt_agent="coder")
    assert identify(facts, ROSTER) == AgentMatch("coder", AgentSource.HEADER)


@pytest.mark.parametrize(
    ("facts", "slug", "source"),
    [
        pytest.param(
            RequestFacts("agent/coder", token_agents=("clerk", "coder")),
            "coder",
            AgentSource.MODEL,
            id="a token with two agents is nobody in particular",
        ),
        pytest.param(RequestFacts("claude-architect"), "chief", AgentSource.MODEL, id="alias"),
        pytest.param(RequestFacts("qwen"), None, AgentSource.NONE, id="deployment is no alias"),
        pytest.param(RequestFacts("claude-sonnet-4-5"), None, AgentSource.NONE, id="tier"),
        pytest.param(
            RequestFacts("x", token_agents=("gone",)), None, AgentSource.NONE, id="token's is gone"
        ),
        pytest.param(
            RequestFacts("x", prompt_agent="gone", bound_agent="clerk"),
            "clerk",
            AgentSource.BINDING,
            id="an agent that left the roster says nothing",
        ),
        pytest.param(RequestFacts("x", header_agent=""), None, AgentSource.NONE, id="empty header"),
        pytest.param(
            RequestFacts("x", client_agent_type="Coder"), "coder", AgentSource.TYPE, id="type"
        ),
        pytest.param(
            RequestFacts("x", client_agent_type="general-purpose"),
            None,
            AgentSource.NONE,
            id="a built-in type that the roster lacks",
        ),
        pytest.param(
            RequestFacts("x", prompt_near=("coder",)), None, AgentSource.NONE, id="near is nobody"
        ),
    ],
)
def test_what_a_signal_says(facts: RequestFacts, slug: str | None, source: AgentSource) -> None:
    """Only a signal that names an agent of the roster decides; unknown has the source none."""
    match = identify(facts, ROSTER, DEPLOYMENTS)
    assert (match.slug, match.source, match.conflicts) == (slug, source, ())
    assert (match == UNKNOWN) == (slug is None)


def test_custom_is_not_an_agent_of_that_name() -> None:
    """The type that stands for every agent from a file names nobody, whatever the roster has."""
    assert identify(RequestFacts("x", client_agent_type="custom"), FLEET) == UNKNOWN


def test_a_contested_prompt_is_less_sure() -> None:
    """Another agent's whole prompt beside the chosen one is a conflict and lowers confidence."""
    facts = RequestFacts("x", prompt_agent="coder", prompt_rivals=("clerk",))
    assert identify(facts, ROSTER) == AgentMatch(
        "coder",
        AgentSource.PROMPT,
        CONTESTED_PROMPT,
        (SignalConflict(AgentSource.PROMPT, "clerk"),),
    )


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(RequestFacts("claude-sonnet-4-5", path_agent="audito"), id="path"),
        pytest.param(RequestFacts("agent/audito"), id="model"),
        pytest.param(RequestFacts("x", header_agent="audito"), id="header"),
        pytest.param(RequestFacts("agent/audito", path_agent="coder"), id="model under a path"),
        pytest.param(
            RequestFacts("x", path_agent="coder", header_agent="audito"), id="header under a path"
        ),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(facts: RequestFacts) -> None:
    """An unknown slug is never ignored, even where another signal would have decided."""
    with pytest.raises(UnknownAgent, match=r"audito is not in the roster\. Did you mean 'auditor'"):
        identify(facts, ROSTER, DEPLOYMENTS)


@pytest.mark.parametrize("source", [source for source in SIGNALS if source != AgentSource.TOKEN])
def test_no_signal_widens_a_token(source: AgentSource) -> None:
    """Whatever the client says, a token limited to other agents forbids it."""
    facts = replace(facts_with(source), token_agents=("by-token", "custom"))
    with pytest.raises(AgentForbidden):
        authorise(identify(facts, FLEET), facts.token_agents)


@pytest.mark.parametrize(
    ("slug", "token_agents"),
    [(None, ()), ("coder", ()), ("coder", ("coder",)), ("coder", ("clerk", "coder"))],
)
def test_a_token_allows_its_agents(slug: str | None, token_agents: tuple[str, ...]) -> None:
    """An unlimited token may be anybody, a limited one each of its agents."""
    authorise(AgentMatch(slug, AgentSource.PATH), token_agents)


@pytest.mark.parametrize(
    ("slug", "token_agents", "message"),
    [
        (None, ("clerk", "coder"), "does not say which agent"),
        (None, ("gone",), "gone, which is not in the roster"),
        ("auditor", ("clerk", "coder"), "may act as clerk, coder, not as auditor"),
        ("auditor", ("clerk",), "may act as clerk, not as auditor"),
    ],
)
def test_a_limited_token_forbids_others(
    slug: str | None, token_agents: tuple[str, ...], message: str
) -> None:
    """Another agent, or nobody recognisable, is forbidden to a limited token."""
    with pytest.raises(AgentForbidden, match=message):
        authorise(AgentMatch(slug, AgentSource.PATH), token_agents)


def test_a_path_cannot_widen_a_token() -> None:
    """A path that contradicts a one-agent token is identified, and then forbidden."""
    facts = RequestFacts("claude-sonnet-4-5", path_agent="auditor", token_agents=("clerk",))
    with pytest.raises(AgentForbidden):
        authorise(identify(facts, ROSTER, DEPLOYMENTS), facts.token_agents)
