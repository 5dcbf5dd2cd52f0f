"""Warnings about how a table fits the machine, the roster and Claude.

Called by: `routing.lint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from routing.errors import Problem
from routing.fit import size_gib, size_told
from routing.implication import WILDCARDS
from routing.requested_model import TIER_WORDS
from routing.roster_fallback import can_ask, fallback_route
from routing.types import ANY_UPSTREAM_MODEL, THIS_HOST, Side
from routing.wishes import first_local_of, plain_model, route_of, serves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from routing.types import Deployment, Profile, Roster, RoutingTable, Tier

SHOWN: Final = 5
"""Slugs a warning names before it counts the rest."""


def shown(slugs: Sequence[str]) -> str:
    """Return a few slugs, and how many more there are."""
    rest = f" and {len(slugs) - SHOWN} more" if len(slugs) > SHOWN else ""
    return f"{', '.join(slugs[:SHOWN])}{rest}"


def lint_memory(table: RoutingTable) -> Iterator[Problem]:
    """Warn of models that do not fit this machine's memory: alone, or all that a profile names.

    One copy of each model is counted: weights, and the KV cache of one context of `num_ctx`.
    Nothing is said where the table has no `memory_gib`, nor of models of unknown weight.
    """
    if table.memory_gib is None:
        return
    found: dict[str, list[str]] = {}
    alone: dict[str, Deployment] = {}
    for profile in table.profiles.values():
        names = _named_deployments(profile)
        models = _residents(table.deployments[name] for name in names)
        alone |= {each.name: each for each in models if _size_gib(each) > table.memory_gib}
        fitting = [each for each in models if each.name not in alone]
        total_gib = sum(_size_gib(each) for each in fitting)
        if total_gib > table.memory_gib:
            sums = "; ".join(f"{each.name}: {size_told(each)}" for each in fitting)
            found.setdefault(f"{total_gib:.1f} GiB ({sums})", []).append(profile.name)
    for each in alone.values():
        message = (
            f"{each.name} needs {size_told(each)}, and memory_gib is {table.memory_gib:g}: it "
            "cannot be loaded as a whole. Lower its num_ctx, or take a smaller model"
        )
        yield Problem(("memory_gib",), message)
    for arithmetic, profiles in found.items():
        message = (
            f"the models on this machine that {', '.join(profiles)} "
            f"{'name' if len(profiles) > 1 else 'names'} need {arithmetic}, and memory_gib is "
            f"{table.memory_gib:g}: Ollama unloads one to load another. Lower num_ctx, or route to "
            "fewer models"
        )
        yield Problem(("memory_gib",), message)


def lint_wishes(table: RoutingTable, roster: Roster) -> Iterator[Problem]:
    """Warn where the active profile sends agents to another local model than the roster wishes.

    A route without a local deployment contradicts no wish.
    """
    profile = table.active
    drifted: dict[tuple[str, str, str], list[str]] = {}
    for agent in roster.agents.values():
        wish = agent.wished_ollama_model
        place, route = route_of(agent, profile)
        local = first_local_of(route, table.deployments)
        if wish is None or local is None or serves(local, wish):
            continue
        drifted.setdefault((place, wish, local.name), []).append(agent.slug)
    for (place, wish, name), slugs in drifted.items():
        model = table.deployments[name].upstream_model
        message = (
            f"the roster wishes {wish} for {shown(slugs)}, and the first local deployment here is "
            f"{name} ({model})"
        )
        yield Problem(("profiles", profile.name, *place.split(".", 1)), message)


def lint_claude_ids(
    own: Iterable[Profile], deployments: Mapping[str, Deployment]
) -> Iterator[Problem]:
    """Warn where a request for something that is no model of Claude's reaches `anthropic/*`.

    That is so of `default` and `unknown`, and of rules about such a requested model.

    Args:
        own: The profiles, each with what it says itself.
        deployments: By name.
    """
    for profile in own:
        places: list[tuple[tuple[str | int, ...], tuple[str, ...] | None]] = [
            ((key,), entry.route)
            for key, entry in (("default", profile.default), ("unknown", profile.unknown))
            if entry is not None
        ]
        places += [
            (("rules", rule.index), rule.entry.route)
            for rule in profile.rules
            if any(_is_foreign_id(pattern) for pattern in rule.when.requested_model)
        ]
        for place, route in places:
            for index, name in enumerate(route or ()):
                deployment = deployments[name]
                if deployment.upstream_model != ANY_UPSTREAM_MODEL or deployment.base_model:
                    continue
                message = (
                    f"{name!r} asks Claude for whatever the client called the model, which here "
                    "may be no id of Claude's; give it a model_info.base_model, or name a "
                    "deployment with an id (anthropic/<id>)"
                )
                yield Problem(("profiles", profile.name, *place, "route", index), message)


def lint_fallbacks(table: RoutingTable, roster: Roster) -> Iterator[Problem]:
    """Warn where the roster's `fallback` of an agent would ask Claude for the very same model.

    That is so of `anthropic/*` in the route of the block's tier, without an id of that tier to ask
    for. Only blocks of another tier than the agent's own count.
    """
    for profile in table.profiles.values():
        found: dict[tuple[Tier, str], list[str]] = {}
        for agent in roster.agents.values():
            block = agent.fallback
            if block is None or block.tier is agent.tier:
                continue
            for name in fallback_route(block, profile):
                keeps_id = table.deployments[name].upstream_model == ANY_UPSTREAM_MODEL
                if keeps_id and not can_ask(table.deployments[name], block.tier):
                    found.setdefault((block.tier, name), []).append(agent.slug)
        for (tier, name), slugs in found.items():
            message = (
                f"the roster's fallback of {shown(slugs)} is {tier}, and {name!r} asks Claude for "
                f"the client's own model; give it a model_info.base_model of tier {tier}"
            )
            yield Problem(("profiles", profile.name), message)


def _is_foreign_id(pattern: str) -> bool:
    """Return whether a pattern of requested models is one name that is surely not Claude's."""
    return WILDCARDS.isdisjoint(pattern) and not any(word in pattern for word, _ in TIER_WORDS)


def _named_deployments(profile: Profile) -> list[str]:
    """Return every deployment that a route of the profile names, once."""
    entries = [
        *profile.tiers.values(),
        *profile.categories.values(),
        *profile.agents.values(),
        *(rule.entry for rule in profile.rules),
        *(entry for entry in (profile.default, profile.unknown) if entry is not None),
    ]
    return list(dict.fromkeys(name for entry in entries for name in entry.route or ()))


def _residents(deployments: Iterable[Deployment]) -> list[Deployment]:
    """Return the deployments whose models stay in this machine's memory, the largest per model."""
    largest: dict[str, Deployment] = {}
    for each in deployments:
        if each.side is not Side.LOCAL or each.host != THIS_HOST or each.weights_gib is None:
            continue
        key = plain_model(each.upstream_model) or each.name
        known = largest.get(key)
        if known is None or _size_gib(each) > _size_gib(known):
            largest[key] = each
    return sorted(largest.values(), key=lambda each: each.name)


def _size_gib(deployment: Deployment) -> float:
    """Return the size of a model whose weights are known."""
    return size_gib(deployment) or 0.0
