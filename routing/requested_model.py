"""What the requested model of a request asks for.

Clients put four kinds of names into `model`: an agent, a deployment of ours, an alias of an agent
from the roster, or one of Claude's own model ids. The first that fits, in this order, counts:

1. `agent/<slug>` names the agent.
2. A deployment's name asks for that deployment alone.
3. An `apiAlias` that belongs to exactly one agent names that agent.
4. An id containing `opus` or `fable`, `sonnet`, `haiku` has that tier; case does not count.
5. Anything else takes the default route.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from routing.errors import UnknownAgent
from routing.nearest import nearest
from routing.types import Tier

if TYPE_CHECKING:
    from collections.abc import Container

    from routing.types import Roster

AGENT_PREFIX: Final = "agent/"
"""Start of a requested model that names an agent; no deployment's name may begin with it."""

TIER_WORDS: Final = (
    ("opus", Tier.OPUS),
    ("fable", Tier.OPUS),
    ("sonnet", Tier.SONNET),
    ("haiku", Tier.HAIKU),
)
"""Words in Claude's model ids, in the order in which they are looked for.

Source: Anthropic's models overview (2026-08): ids carry the family's name.
"""


class RequestedKind(StrEnum):
    """What kind of name the requested model is."""

    AGENT = "agent"
    DEPLOYMENT = "deployment"
    TIER = "tier"
    OTHER = "other"


class RequestedModel(NamedTuple):
    """The requested model, understood. Exactly the field that `kind` names is set."""

    kind: RequestedKind
    agent: str | None = None
    """Slug of a roster's agent."""
    deployment: str | None = None
    tier: Tier | None = None


_TIERS: Final = {tier: RequestedModel(RequestedKind.TIER, tier=tier) for tier in Tier}
_OTHER: Final = RequestedModel(RequestedKind.OTHER)
_CLAUDES: Final = frozenset({RequestedKind.TIER, RequestedKind.OTHER})


def classify_requested_model(
    requested: str, roster: Roster, deployments: Container[str] = ()
) -> RequestedModel:
    """Return what `requested` asks for.

    Raises:
        UnknownAgent: `agent/<slug>` with a slug the roster does not have; becomes a 404, like any
            other model that does not exist, and names the nearest agent.
    """
    if requested.startswith(AGENT_PREFIX):
        slug = requested.removeprefix(AGENT_PREFIX)
        if slug not in roster.agents:
            raise UnknownAgent(slug, nearest(slug, roster.agents))
        return RequestedModel(RequestedKind.AGENT, agent=slug)
    if requested in deployments:
        return RequestedModel(RequestedKind.DEPLOYMENT, deployment=requested)
    alias = roster.aliases.get(requested)
    if alias is not None and alias in roster.agents:
        return RequestedModel(RequestedKind.AGENT, agent=alias)
    tier = tier_in(requested)
    return _TIERS[tier] if tier is not None else _OTHER


def tier_in(model: str) -> Tier | None:
    """Return the tier that a model id says, or None; case does not count."""
    folded = model.casefold()
    for word, tier in TIER_WORDS:
        if word in folded:
            return tier
    return None


def is_claude_model(requested: str, roster: Roster, deployments: Container[str] = ()) -> bool:
    """Return whether `requested` is an id that Claude itself may know.

    Raises:
        UnknownAgent: As `classify_requested_model`.
    """
    kind = classify_requested_model(requested, roster, deployments).kind
    return kind in _CLAUDES and requested.startswith("claude")
