"""The roster's wishes for local models, held against the table.

A wish is a name of an Ollama model. Serving follows the table; lint tells where the two differ, and
`wished_routes` says what the table would have to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from routing.conditions import Subject
from routing.route import levels_for
from routing.types import RequestFacts, Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from routing.types import Agent, Deployment, Profile, Roster, RoutingTable


@dataclass(frozen=True, slots=True)
class WishedRoute:
    """What an agent's route would be if its wish were followed."""

    agent: str
    model: str
    """As wished."""
    route: tuple[str, ...] | None
    """None where no deployment serves the model."""


def wished_routes(table: RoutingTable, roster: Roster) -> Iterator[WishedRoute]:
    """Yield a route for every agent whose wish the active profile does not follow.

    The wished deployment takes its place before the route's first local one, and is the first where
    there is none; the rest of the route stays.
    """
    for agent in roster.agents.values():
        wish = agent.wished_ollama_model
        if wish is None:
            continue
        _place, route = route_of(agent, table.active)
        first_local = first_local_of(route, table.deployments)
        if first_local is not None and serves(first_local, wish):
            continue
        wished = next((each.name for each in _locals(table) if serves(each, wish)), None)
        if wished is None:
            yield WishedRoute(agent.slug, wish, None)
            continue
        others = [name for name in route if name != wished]
        at = others.index(first_local.name) if first_local is not None else 0
        yield WishedRoute(agent.slug, wish, (*others[:at], wished, *others[at:]))


def route_of(agent: Agent, profile: Profile) -> tuple[str, tuple[str, ...]]:
    """Return the level that gives an agent's route, rules aside, and the route."""
    for level in levels_for(profile, Subject(RequestFacts(""), agent, agent.tier)):
        if level.entry is not None and level.entry.route is not None:
            return level.name, level.entry.route
    return "", ()


def first_local_of(
    route: Sequence[str], deployments: Mapping[str, Deployment]
) -> Deployment | None:
    """Return the first deployment of a route that stays here and whose model is known."""
    candidates = (deployments[name] for name in route)
    return next((each for each in candidates if _is_local(each)), None)


def serves(deployment: Deployment, model: str) -> bool:
    """Return whether a deployment is the Ollama model of that name, or stands in for it."""
    known = (deployment.upstream_model, *deployment.stands_in_for)
    return plain_model(model) in map(plain_model, known)


def plain_model(model: str) -> str:
    """Return a model's name as Ollama understands it: without `:latest`, in lower case."""
    return model.casefold().removesuffix(":latest")


def _locals(table: RoutingTable) -> Iterator[Deployment]:
    return (each for each in table.deployments.values() if _is_local(each))


def _is_local(deployment: Deployment) -> bool:
    return deployment.side is Side.LOCAL and bool(deployment.upstream_model)
