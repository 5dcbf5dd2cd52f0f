"""Warnings about machine, roster and Claude's ids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routing.table import compile_table
from routing.types import (
    Agent,
    AgentFallback,
    Deployment,
    FallbackTrigger,
    Roster,
    Side,
    Tier,
)
from tests.support.routing_samples import table_of


def local(name: str, model: str, host: str = "localhost", **says: Any) -> Deployment:
    """Return a local deployment of 10 GiB and 1 MiB for each of 4096 tokens: 14 GiB."""
    size = {"weights_gib": 10.0, "kv_kib_per_token": 1024.0, "num_ctx": 4096, **says}
    return Deployment(name, Side.LOCAL, leaves_host=False, upstream_model=model, host=host, **size)


DEPLOYMENTS = {
    each.name: each
    for each in (
        local("coder", "qwen-coder"),
        local("coder-again", "qwen-coder:latest"),
        local("general", "qwen"),
        local("elsewhere", "qwen-huge", host="studio", weights_gib=900.0),
        local("unweighed", "qwen-mystery", weights_gib=None),
        Deployment("claude", Side.CLAUDE, leaves_host=True, upstream_model="*"),
        Deployment("claude-5", Side.CLAUDE, leaves_host=True, upstream_model="claude-sonnet-5"),
    )
}
ROSTER = Roster(
    {
        agent.slug: agent
        for agent in (
            Agent("a", "A", Tier.SONNET, "one", wished_ollama_model="qwen-coder"),
            Agent("b", "B", Tier.SONNET, "one", wished_ollama_model="qwen"),
            Agent("c", "C", Tier.HAIKU, "two", wished_ollama_model="qwen"),
            Agent("d", "D", Tier.HAIKU, "two"),
        )
    }
)
NO_WISHES = Roster(
    {slug: replace(agent, wished_ollama_model=None) for slug, agent in ROSTER.agents.items()}
)


def warnings_of(profile: dict[str, Any], roster: Roster = NO_WISHES, **root: Any) -> list[str]:
    """Return the warnings of a valid table."""
    mapping = {**table_of(profile), **root}
    return [str(each) for each in compile_table(mapping, DEPLOYMENTS, roster)[1]]


def both() -> dict[str, Any]:
    """Return a profile that uses two models of 14 GiB each, and others that do not count."""
    route = ["coder", "coder-again", "elsewhere", "unweighed", "claude-5"]
    return {"default": {"route": route}, "rules": [{"name": "r", "when": {}, "route": ["general"]}]}


@pytest.mark.parametrize("memory", [{}, {"memory_gib": 28}, {"memory_gib": 64.5}])
def test_what_fits_is_fine(memory: dict[str, Any]) -> None:
    """One copy of each model of this machine counts; without a figure nothing is said."""
    assert warnings_of(both(), **memory) == []


def test_what_does_not_fit_is_told_with_the_sum() -> None:
    """Weights and KV cache at `num_ctx`, model by model, against the memory there is."""
    assert warnings_of(both(), memory_gib=27.9) == [
        (
            "memory_gib: the models on this machine that main names need 28.0 GiB (coder: 10 GiB + 1024 "
            "KiB x 4096 tokens = 14.0 GiB; general: 10 GiB + 1024 KiB x 4096 tokens = 14.0 GiB), and "
            "memory_gib is 27.9: Ollama unloads one to load another. Lower num_ctx, or route to fewer "
            "models"
        )
    ]


def test_profiles_with_the_same_models_are_told_once() -> None:
    """Profiles are named together."""
    mapping = {
        **table_of(both(), other=both()),
        "memory_gib": 20,
    }
    (warning,) = compile_table(mapping, DEPLOYMENTS, NO_WISHES)[1]
    assert "that main, other name need 28.0 GiB" in str(warning)


def test_a_model_that_does_not_fit_alone_is_told_once_and_apart() -> None:
    """No neighbour is at fault for it, and what else fits is not complained about."""
    mapping = {**table_of(both(), other=both()), "memory_gib": 13}
    found = [str(each) for each in compile_table(mapping, DEPLOYMENTS, NO_WISHES)[1]]
    assert found == [
        (
            f"memory_gib: {name} needs 10 GiB + 1024 KiB x 4096 tokens = 14.0 GiB, and memory_gib is "
            "13: it cannot be loaded as a whole. Lower its num_ctx, or take a smaller model"
        )
        for name in ("coder", "general")
    ]


def test_wishes_of_the_roster_that_the_table_does_not_follow() -> None:
    """Each entry that sends agents to another local model than they wish is told, with them."""
    profile = {
        "tiers": {"haiku": {"route": ["claude-5", "coder", "general"]}},
        "default": {"route": ["coder-again", "general"]},
    }
    assert warnings_of(profile, ROSTER) == [
        (
            "profiles.main.default: the roster wishes qwen for b, and the first local deployment here "
            "is coder-again (qwen-coder:latest)"
        ),
        (
            "profiles.main.tiers.haiku: the roster wishes qwen for c, and the first local deployment "
            "here is coder (qwen-coder)"
        ),
    ]


def test_a_wish_is_met_or_not_contradicted() -> None:
    """The wished model first among the local ones, or no local model at all, is no drift."""
    profile = {
        "agents": {"b": {"route": ["claude-5", "general", "coder"]}},
        "tiers": {"haiku": {"route": ["claude-5"]}},
        "default": {"route": ["coder"]},
    }
    assert warnings_of(profile, ROSTER) == []


FOREIGN = "'claude' asks Claude for whatever the client called the model"


@pytest.mark.parametrize(
    ("profile", "places"),
    [
        ({"default": {"route": ["coder", "claude-5"]}}, []),
        ({"default": {"route": ["coder", "claude"]}}, ["default.route.1"]),
        (
            {"default": {"route": ["coder"]}, "unknown": {"route": ["claude"]}},
            ["unknown.route.0"],
        ),
        ({"default": {"route": ["coder"]}, "tiers": {"opus": {"route": ["claude"]}}}, []),
        (
            {
                "default": {"route": ["coder"]},
                "rules": [
                    {"name": "a", "when": {"requested_model": "claude-*"}, "route": ["claude"]},
                    {"name": "b", "when": {"requested_model": "gpt-4o"}, "route": ["claude"]},
                ],
            },
            ["rules.1.route.0"],
        ),
    ],
)
def test_claude_is_asked_for_ids_it_has(profile: dict[str, Any], places: list[str]) -> None:
    """`anthropic/*` is reported where the requested model may be no id of Claude's."""
    found = warnings_of(profile)
    assert [each.partition(": ")[0] for each in found] == [f"profiles.main.{p}" for p in places]
    assert all(FOREIGN in each for each in found)


def test_an_inherited_route_is_told_once() -> None:
    """What a parent says is reported there, not again at each child."""
    mapping = table_of({"extends": "base"}, base={"default": {"route": ["claude"]}})
    found = [str(each) for each in compile_table(mapping, DEPLOYMENTS, NO_WISHES)[1]]
    assert [each.partition(": ")[0] for each in found] == ["profiles.base.default.route.0"]


def test_a_base_model_answers_for_foreign_ids() -> None:
    """`anthropic/*` that names an id to ask instead needs no other deployment beside it."""
    based = {**DEPLOYMENTS, "claude": replace(DEPLOYMENTS["claude"], base_model="claude-opus-5-5")}
    mapping = table_of({"default": {"route": ["claude"]}})
    assert compile_table(mapping, based, NO_WISHES)[1] == []


@pytest.mark.parametrize(
    ("base_model", "warned"),
    [(None, True), ("claude-opus-5-5", True), ("claude-haiku-4-5", False)],
)
def test_a_fallback_that_would_ask_for_the_same_model(base_model: str | None, warned: bool) -> None:
    """`anthropic/*` in the route of a fallback's tier needs a `base_model` of that tier."""
    fallback = AgentFallback(Tier.HAIKU, (FallbackTrigger.RATE_LIMIT,))
    roster = Roster({"a": Agent("a", "A", Tier.OPUS, "one", fallback=fallback)})
    deployments = {
        **DEPLOYMENTS,
        "any": replace(DEPLOYMENTS["claude"], name="any", base_model=base_model),
    }
    profile = {
        "tiers": {"opus": {"route": ["claude"]}, "haiku": {"route": ["claude-5", "any"]}},
        "default": {"route": ["claude-5"]},
    }

    _, warnings = compile_table(table_of(profile), deployments, roster)

    message = (
        "profiles.main: the roster's fallback of a is haiku, and 'any' asks Claude for the client's "
        "own model; give it a model_info.base_model of tier haiku"
    )
    assert list(map(str, warnings)) == [message] * warned
