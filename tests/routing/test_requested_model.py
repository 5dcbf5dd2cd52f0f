"""What the requested model asks for."""

from __future__ import annotations

import pytest

from routing.errors import UnknownAgent
from routing.requested_model import RequestedKind, RequestedModel, classify_requested_model
from routing.types import Roster, Tier
from tests.support.routing_samples import DEPLOYMENTS, ROSTER

OTHER = RequestedModel(RequestedKind.OTHER)


def tier(which: Tier) -> RequestedModel:
    """Return the classification of a Claude id."""
    return RequestedModel(RequestedKind.TIER, tier=which)


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ("agent/coder", RequestedModel(RequestedKind.AGENT, agent="coder")),
        ("claude", RequestedModel(RequestedKind.DEPLOYMENT, deployment="claude")),
        ("claude-architect", RequestedModel(RequestedKind.AGENT, agent="chief")),
        ("claude-opus-4-5-20251101", tier(Tier.OPUS)),
        ("claude-fable-1", tier(Tier.OPUS)),
        ("claude-sonnet-4-5", tier(Tier.SONNET)),
        ("claude-3-5-haiku-latest", tier(Tier.HAIKU)),
        ("us.anthropic.Claude-HAIKU-4-5-v1:0", tier(Tier.HAIKU)),
        ("gpt-4o", OTHER),
        ("", OTHER),
        ("Agent/coder", OTHER),
    ],
)
def test_each_kind_of_name_is_recognised(requested: str, expected: RequestedModel) -> None:
    """Agents, deployments, aliases and Claude's ids are told apart, and the rest is `other`."""
    assert classify_requested_model(requested, ROSTER, DEPLOYMENTS) == expected


def test_a_deployment_hides_an_alias_of_the_same_name() -> None:
    """The order counts: a deployment's name comes before an alias."""
    found = classify_requested_model("qwen", ROSTER, DEPLOYMENTS)
    assert found.deployment == "qwen"
    assert classify_requested_model("qwen", ROSTER, ()).agent == "clerk"


def test_a_deployment_hides_a_tier() -> None:
    """A deployment may be called like a Claude model and is then meant."""
    found = classify_requested_model("claude-opus-4-5", ROSTER, {"claude-opus-4-5"})
    assert found.kind is RequestedKind.DEPLOYMENT


def test_an_alias_of_an_agent_that_is_gone_names_nobody() -> None:
    """A stale alias falls through to the tier in its name."""
    roster = Roster(aliases={"claude-opus-x": "gone"})
    assert classify_requested_model("claude-opus-x", roster) == tier(Tier.OPUS)


@pytest.mark.parametrize(("requested", "nearest"), [("agent/codre", "coder"), ("agent/", None)])
def test_an_unknown_agent_is_refused(requested: str, nearest: str | None) -> None:
    """`agent/<slug>` with an unknown slug is an error that names the nearest agent."""
    with pytest.raises(UnknownAgent) as caught:
        classify_requested_model(requested, ROSTER, DEPLOYMENTS)
    assert caught.value.nearest == nearest
