"""What a roster wishes for, sorted into the three roles that local models have here.

The coder is for the sonnet tier, the fast model for haiku, the general one for those of the sonnet
tier who write more than they code.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from routing.types import Tier
from routing.wishes import plain_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.types import Roster


class Role(StrEnum):
    """What a local model is for; the value is its deployment's name."""

    CODER = "qwen-coder"
    GENERAL = "qwen-quality"
    FAST = "qwen-fast"


DEFAULT_MODELS: Final[Mapping[Role, str]] = {
    Role.CODER: "qwen2.5-coder:32b-instruct",
    Role.GENERAL: "qwen2.5:32b-instruct",
    Role.FAST: "qwen-fast:latest",
}
"""For a role that the roster wishes nothing for."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which models a roster names."""

    by_role: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
    """The most wished first; roles without wishes are left out."""

    def of(self, role: Role) -> tuple[str, ...]:
        """Return the models wished for a role."""
        return self.by_role.get(role, ())


def read_wishes(roster: Roster) -> Wishes:
    """Return the roster's wishes by role; a model is wished for the tier of most who wish it."""
    tiers: dict[str, Counter[Tier]] = {}
    for agent in roster.agents.values():
        wish = agent.wished_ollama_model
        if wish is not None:
            tiers.setdefault(wish, Counter())[agent.tier] += 1
    by_role: dict[Role, list[str]] = {}
    for wish in sorted(tiers, key=lambda wish: (-tiers[wish].total(), wish)):
        by_role.setdefault(_role(wish, tiers[wish]), []).append(wish)
    return Wishes({role: tuple(models) for role, models in by_role.items()})


def role_of(wish: str, wishes: Wishes) -> Role | None:
    """Return the role that a wished model was sorted into."""
    for role in Role:
        if plain_model(wish) in map(plain_model, wishes.of(role)):
            return role
    return None


def _role(wish: str, tiers: Counter[Tier]) -> Role:
    if tiers.most_common(1)[0][0] is Tier.HAIKU:
        return Role.FAST
    return Role.CODER if "code" in wish.lower() else Role.GENERAL
