"""The roster's `fallback` block: where an agent may be served when its own route fails it.

Rules:
1. Behind the route stand the deployments of the block's tier that the route does not have: those
   of the active profile's entry of that tier, or of its default where that entry has no route.
   They are judged as every candidate is: privacy, abilities, room and cost.
2. They may be tried once a trigger has come up: at planning, by a candidate of the route that was
   skipped for it, or as the failure of an attempt. What has come up stays up for the request.
3. A candidate skipped as too small is a `token_limit`, an unavailable one `availability`; nothing
   else that skips a candidate is a trigger. Where that leaves nothing of the route and no trigger
   has come up, the block is not tried.
4. What the route has itself is the table's: it keeps its place, and needs no trigger.
5. A Claude deployment that keeps the client's model id (`anthropic/*`) would ask for the model that
   has just failed. So one of the block's tier asks for its `base_model` where that is of this tier
   and the requested id is of another, unless it is the first Claude deployment of the route.
6. There is no fallback for a deployment that was asked for by name, nor for a safety call.

Called by: `routing.plan`, `routing.lint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from routing.candidates import Verdict
from routing.failures import FailureClass
from routing.requested_model import tier_in
from routing.types import ANY_UPSTREAM_MODEL, FallbackTrigger, Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from routing.types import AgentFallback, Deployment, Profile, Tier

CLASSES: Final[Mapping[FallbackTrigger, frozenset[FailureClass]]] = {
    FallbackTrigger.TOKEN_LIMIT: frozenset({FailureClass.CONTEXT_OVERFLOW}),
    FallbackTrigger.RATE_LIMIT: frozenset({FailureClass.RATE_LIMIT}),
    FallbackTrigger.AVAILABILITY: frozenset(
        {
            FailureClass.OVERLOADED,
            FailureClass.CONNECT_ERROR,
            FailureClass.TIMEOUT_FIRST_BYTE,
            FailureClass.TIMEOUT_BETWEEN_BYTES,
            FailureClass.BROKEN_STREAM,
            FailureClass.MODEL_MISSING,
            FailureClass.UPSTREAM_AUTH,
        }
    ),
}
"""Which failed attempts are which trigger. Answers that are no good (`malformed_output`) and models
that cannot do what is asked (`capability_missing`) are none: nothing was short."""


class RosterFallback(NamedTuple):
    """What an agent's block comes to, for one request under one table."""

    block: AgentFallback
    behind: tuple[str, ...]
    """Deployments that follow the route, without those that it has."""
    asks: Mapping[str, str]
    """By deployment, of the route or behind it: the model id that is asked for (rule 5)."""

    def judged(self, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
        """Return the verdicts about the route and what is behind it, in the light of the triggers.

        Args:
            verdicts: One for each candidate, those of `behind` last.
        """
        first = len(verdicts) - len(self.behind)
        own = [verdict._replace(asks=self.asks.get(verdict.name)) for verdict in verdicts[:first]]
        come_up = any(_trigger_of(verdict) in self.block.triggers for verdict in own)
        told = ", ".join(self.block.triggers)
        if not come_up and all(verdict.skipped is not None for verdict in own):
            reason = f"is not tried: nothing of the route was skipped for {told}"
            return (*own, *(Verdict(name, reason, behind=True) for name in self.behind))
        theirs = [
            verdict._replace(behind=True, asks=self.asks.get(verdict.name))
            for verdict in verdicts[first:]
        ]
        if not come_up:
            classes = classes_of(self.block.triggers)
            theirs = [each._replace(only_after=classes, triggers=told) for each in theirs]
        return (*own, *theirs)


def roster_fallback(
    block: AgentFallback,
    profile: Profile,
    route: Sequence[str],
    requested_tier: Tier | None,
    deployments: Mapping[str, Deployment],
) -> RosterFallback:
    """Return what a block comes to.

    Args:
        block: Of the agent.
        profile: The active one.
        route: The agent's own, for this request; not empty.
        requested_tier: That of the requested model id; None where it is no id of Claude's.
        deployments: By name.
    """
    others = fallback_route(block, profile)
    behind = tuple(name for name in dict.fromkeys(others) if name not in route)
    asks: dict[str, str] = {}
    is_first = True
    for name in (*route, *behind):
        deployment = deployments[name]
        if deployment.side is not Side.CLAUDE:
            continue
        keeps_place = is_first and name in route
        is_first = False
        if keeps_place or name not in others or requested_tier in (None, block.tier):
            continue
        if can_ask(deployment, block.tier):
            asks[name] = deployment.base_model or ""
    return RosterFallback(block, behind, asks)


def fallback_route(block: AgentFallback, profile: Profile) -> tuple[str, ...]:
    """Return the route of the block's tier under a profile, or that of its default."""
    for entry in (profile.tiers.get(block.tier), profile.default):
        if entry is not None and entry.route is not None:
            return entry.route
    return ()


def can_ask(deployment: Deployment, tier: Tier) -> bool:
    """Return whether an `anthropic/*` deployment names a model of a tier to ask for."""
    return (
        deployment.upstream_model == ANY_UPSTREAM_MODEL
        and deployment.base_model is not None
        and tier_in(deployment.base_model) is tier
    )


def classes_of(triggers: Iterable[FallbackTrigger]) -> frozenset[FailureClass]:
    """Return the failures that are one of these triggers."""
    return frozenset(failure for trigger in triggers for failure in CLASSES[trigger])


def _trigger_of(verdict: Verdict) -> FallbackTrigger | None:
    """Return what a skipped candidate is a sign of."""
    if verdict.skipped is None:
        return None
    if verdict.outage:
        return FallbackTrigger.AVAILABILITY
    return FallbackTrigger.TOKEN_LIMIT if verdict.longest_prompt is not None else None
