"""A small fleet for tests of routing: four agents, one in two categories, a few deployments, one table."""

from __future__ import annotations

from routing.capabilities import Capabilities
from routing.types import Agent, Deployment, Roster, Side, Tier

ROSTER = Roster(
    agents={
        agent.slug: agent
        for agent in (
            Agent("chief", "Chief", Tier.OPUS, "architect", api_alias="claude-architect"),
            Agent("coder", "Coder", Tier.SONNET, "codingAgents"),
            Agent("auditor", "Auditor", Tier.SONNET, "securityAgents"),
            Agent(
                "clerk",
                "Clerk",
                Tier.HAIKU,
                "supportAgents",
                further_categories=("securityAgents",),
            ),
        )
    },
    aliases={"claude-architect": "chief", "qwen": "clerk"},
)

DEPLOYMENTS = {
    deployment.name: deployment
    for deployment in (
        Deployment("qwen", Side.LOCAL, leaves_host=False),
        Deployment("qwen-fast", Side.LOCAL, leaves_host=False),
        Deployment("qwen-down", Side.LOCAL, leaves_host=False, unavailable="no such model"),
        Deployment("qwen-cloud", Side.OTHER, leaves_host=True),
        Deployment("claude", Side.CLAUDE, leaves_host=True),
        Deployment("claude-keyless", Side.CLAUDE, leaves_host=True, unavailable="KEY is not set"),
    )
}

CAPABLE_DEPLOYMENTS = {
    deployment.name: deployment
    for deployment in (
        Deployment(
            "small",
            Side.LOCAL,
            leaves_host=False,
            upstream_model="qwen-small",
            capabilities=Capabilities(tools=False),
            num_ctx=1000,
        ),
        Deployment(
            "seeing",
            Side.LOCAL,
            leaves_host=False,
            upstream_model="qwen-vl",
            capabilities=Capabilities(tools=True, vision=True, structured_output=False),
            max_input_tokens=4000,
        ),
        Deployment("plain", Side.LOCAL, leaves_host=False, upstream_model="qwen"),
        Deployment("foreign", Side.OTHER, leaves_host=True, upstream_model="gpt"),
        Deployment("claude", Side.CLAUDE, leaves_host=True, upstream_model="*"),
        Deployment("claude-fixed", Side.CLAUDE, leaves_host=True, upstream_model="claude-sonnet-5"),
        Deployment("gone", Side.LOCAL, leaves_host=False, unavailable="no such model"),
    )
}
"""Deployments that differ in what they can do."""


def table_of(profile: dict[str, object], **others: object) -> dict[str, object]:
    """Return the plain data of a table whose active profile is `main`."""
    return {"version": 1, "active_profile": "main", "profiles": {"main": profile, **others}}
