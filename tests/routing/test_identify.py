"""Who is calling, and whether the token allows it."""

from __future__ import annotations

import pytest

from routing.errors import AgentForbidden, UnknownAgent
from routing.identify import UNKNOWN, authorise, identify
from routing.types import AgentMatch, AgentSource, RequestFacts
from tests.support.routing_samples import DEPLOYMENTS, ROSTER


def match(slug: str, source: AgentSource) -> AgentMatch:
    """Return a certain match."""
    return AgentMatch(slug, source, 1.0)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            RequestFacts("agent/coder", path_agent="auditor", token_agents=("clerk",)),
            match("auditor", AgentSource.PATH),
            id="path before token and model",
        ),
        pytest.param(
            RequestFacts("agent/coder", token_agents=("clerk",)),
            match("clerk", AgentSource.TOKEN),
            id="token before model",
        ),
        pytest.param(
            RequestFacts("agent/coder", token_agents=("clerk", "coder")),
            match("coder", AgentSource.MODEL),
            id="a token with two agents is nobody in particular",
        ),
        pytest.param(
            RequestFacts("agent/coder"), match("coder", AgentSource.MODEL), id="model names agent"
        ),
        pytest.param(
            RequestFacts("claude-architect"), match("chief", AgentSource.MODEL), id="unique alias"
        ),
        pytest.param(RequestFacts("qwen"), UNKNOWN, id="a deployment's name is no alias"),
        pytest.param(RequestFacts("claude-sonnet-4-5"), UNKNOWN, id="a tier is no agent"),
        pytest.param(RequestFacts("x", token_agents=("gone",)), UNKNOWN, id="agent is gone"),
    ],
)
def test_the_most_trusted_signal_decides(facts: RequestFacts, expected: AgentMatch) -> None:
    """Signals are asked in the stated order of trust."""
    assert identify(facts, ROSTER, DEPLOYMENTS) == expected


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(RequestFacts("claude-sonnet-4-5", path_agent="audito"), id="path"),
        pytest.param(RequestFacts("agent/audito"), id="model"),
        pytest.param(RequestFacts("agent/audito", path_agent="coder"), id="model under a path"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(facts: RequestFacts) -> None:
    """An unknown slug is never ignored, even where another signal would have decided."""
    with pytest.raises(UnknownAgent, match=r"audito is not in the roster\. Did you mean 'auditor'"):
        identify(facts, ROSTER, DEPLOYMENTS)


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
