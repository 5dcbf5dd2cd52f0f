"""A small fleet for tests of routing: four agents, six deployments, one table."""

from __future__ import annotations

from routing.types import Agent, Deployment, Roster, Side, Tier

ROSTER = Roster(
    agents={
        agent.slug: agent
        for agent in (
            Agent("chief", "Chief", Tier.OPUS, "architect", api_alias="claude-architect"),
            Agent("coder", "Coder", Tier.SONNET, "codingAgents"),
            Agent("auditor", "Auditor", Tier.SONNET, "securityAgents"),
            Agent("clerk", "Clerk", Tier.HAIKU, "supportAgents"),
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


def table_of(profile: dict[str, object], **others: object) -> dict[str, object]:
    """Return the plain data of a table whose active profile is `main`."""
    return {"version": 1, "active_profile": "main", "profiles": {"main": profile, **others}}
