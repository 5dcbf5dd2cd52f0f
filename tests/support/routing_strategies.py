"""Random requests, tables and fleets, all of which a running proxy could meet.

Tables are plain data as `routing.yaml` gives it, and `compile_table` accepts every one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from routing.capabilities import Capabilities, FleetSnapshot
from routing.conditions import DAYS
from routing.content import StatedContent
from routing.pace import Occupancy, Pace
from routing.types import Privacy, RequestClass, RequestFacts, Side, Tier

if TYPE_CHECKING:
    from collections.abc import Collection

    from routing.types import Roster

TOKENS = (0, 10, 999, 1000, 4000, 100_000)
TOOLS = ("Bash", "Read", "mcp__git__log", "web_search")
MODELS = ("claude-opus-5-5", "claude-sonnet-5", "claude-haiku-4-5", "gpt-4o", "")
PRINCIPALS = ("ops", "ci-nightly", "ci-daily")
PROJECTS = ("blue", "green")
HEADER = "x-team"


def contents() -> st.SearchStrategy[StatedContent]:
    """Return facts about bodies."""
    return st.builds(
        StatedContent,
        input_tokens=st.sampled_from(TOKENS),
        has_images=st.booleans(),
        has_documents=st.booleans(),
        has_server_tools=st.booleans(),
        tool_names=st.frozensets(st.sampled_from(TOOLS)),
        wants_thinking=st.booleans(),
        wants_structured_output=st.booleans(),
        tool_loop_side=st.sampled_from([None, Side.LOCAL, Side.CLAUDE]),
    )


def request_facts(deployments: Collection[str], roster: Roster) -> st.SearchStrategy[RequestFacts]:
    """Return requests; some name an agent or a model that does not exist."""
    slugs = [*roster.agents, "nobody"]
    models = [*MODELS, *deployments, *(f"agent/{slug}" for slug in slugs), *roster.aliases]
    return st.builds(
        RequestFacts,
        requested_model=st.sampled_from(models),
        path_agent=st.none() | st.sampled_from(slugs),
        token_agents=st.just(()) | st.sampled_from([(slug,) for slug in roster.agents]),
        request_class=st.sampled_from(RequestClass),
        principal=st.sampled_from(["", *PRINCIPALS]),
        project=st.none() | st.sampled_from(PROJECTS),
        headers=st.just({}) | st.fixed_dictionaries({HEADER: st.sampled_from(["red", "blue"])}),
        content=st.none() | contents(),
        local_minute=st.none() | st.tuples(st.integers(0, 6), st.integers(0, 1439)),
    )


def table_mappings(
    deployments: Collection[str], roster: Roster
) -> st.SearchStrategy[dict[str, Any]]:
    """Return tables of two profiles, of which the active one may extend the other."""
    names = sorted(deployments)
    return st.builds(
        lambda active, base, extends: {
            "version": 1,
            "active_profile": "main",
            "profiles": {"main": {**active, **extends}, "base": base},
        },
        _profiles(names, roster, "own"),
        _profiles(names, roster, "base"),
        st.sampled_from([{}, {"extends": "base"}]),
    )


def fleet_snapshots(deployments: Collection[str]) -> st.SearchStrategy[FleetSnapshot]:
    """Return what may be known of the deployments at some moment."""
    names = st.sampled_from(sorted(deployments))
    able = st.none() | st.booleans()
    seen = st.builds(Capabilities, able, able, able, able, able, able)
    return st.builds(
        FleetSnapshot,
        unavailable=st.dictionaries(names, st.just("down"), max_size=2),
        capabilities=st.dictionaries(names, seen, max_size=3),
        paces=st.dictionaries(names, _paces(), max_size=2),
        occupancy=st.dictionaries(names, _occupancies(), max_size=2),
    )


def _paces() -> st.SearchStrategy[Pace]:
    """Return paces by which requests of some thousand tokens are in time, or late."""
    return st.builds(
        Pace,
        prefill_tokens_per_s=st.sampled_from([0.01, 10.0, 1000.0]),
        load_s=st.none() | st.just(200.0),
        request_s=st.none() | st.just(100.0),
        prefills=st.integers(1, 3),
    )


def _occupancies() -> st.SearchStrategy[Occupancy]:
    return st.builds(
        Occupancy,
        waiting=st.integers(0, 3),
        busy=st.integers(0, 2),
        slots=st.none() | st.just(2),
        loaded=st.none() | st.booleans(),
    )


def _profiles(
    deployments: list[str], roster: Roster, prefix: str
) -> st.SearchStrategy[dict[str, Any]]:
    """Return profiles without `extends`, the names of whose rules begin with `prefix`."""
    entry = _entries(deployments)
    categories = sorted({agent.category for agent in roster.agents.values()})
    return st.fixed_dictionaries(
        {},
        optional={
            "tiers": st.dictionaries(st.sampled_from([t.value for t in Tier]), entry),
            "categories": st.dictionaries(st.sampled_from(categories), entry, max_size=2),
            "agents": st.dictionaries(st.sampled_from(list(roster.agents)), entry, max_size=2),
            "rules": _rules(deployments, roster, prefix),
            "default": entry,
            "unknown": entry,
            **_policies(),
        },
    )


def _entries(deployments: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Return what may stand under a tier, category or agent."""
    return st.fixed_dictionaries({}, optional=_entry_keys(deployments))


def _entry_keys(deployments: list[str]) -> dict[str, st.SearchStrategy[Any]]:
    route = st.lists(st.sampled_from(deployments), min_size=1, max_size=4, unique=True)
    return {"route": route, **_policies()}


def _policies() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "privacy": st.sampled_from([privacy.value for privacy in Privacy]),
        "deadline_s": st.sampled_from([1, 2.5, 600]),
        "max_cost_usd_per_request": st.sampled_from([0, 0.01, 2]),
        "thinking": st.sampled_from(["keep", "strip", {"max_budget_tokens": 2000}]),
        "on_overflow": st.sampled_from(["reroute", "error"]),
    }


def _rules(
    deployments: list[str], roster: Roster, prefix: str
) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return ordered rules with names of their own."""
    rule = st.fixed_dictionaries({"when": _whens(roster)}, optional=_entry_keys(deployments))
    return st.lists(rule, max_size=4).map(
        lambda rules: [{"name": f"{prefix}-{index}", **rule} for index, rule in enumerate(rules)]
    )


def _whens(roster: Roster) -> st.SearchStrategy[dict[str, Any]]:
    """Return conditions; few at a time, so that some of them hold."""
    categories = sorted({agent.category for agent in roster.agents.values()})
    keys: dict[str, st.SearchStrategy[Any]] = {
        "min_input_tokens": st.sampled_from(TOKENS),
        "max_input_tokens": st.sampled_from(TOKENS),
        "has_images": st.booleans(),
        "has_documents": st.booleans(),
        "has_server_tools": st.booleans(),
        "thinking": st.booleans(),
        "tool_names": _some([*TOOLS, "mcp__*"]),
        "requested_model": _some(["*", "claude-*", "GPT-*", "claude-opus-5-5"]),
        "agent": _some(list(roster.agents)),
        "category": _some(categories),
        "tier": _some([tier.value for tier in Tier]),
        "principal": _some([*PRINCIPALS, "ci-*"]),
        "project": _some(list(PROJECTS)),
        "header": st.fixed_dictionaries({HEADER.title(): _some(["red", "b*"])}),
        "time": st.fixed_dictionaries(
            {"between": st.sampled_from(["09:00-17:00", "22:00-06:00", "00:00-24:00"])},
            optional={"days": _some(["mon-fri", "sat-mon", *DAYS])},
        ),
        "request_class": _some([kind.value for kind in RequestClass]),
    }
    chosen = st.lists(st.sampled_from(sorted(keys)), max_size=2, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: keys[name] for name in names}))


def _some(choices: list[str]) -> st.SearchStrategy[Any]:
    """Return one of the choices, or a list of a few."""
    one = st.sampled_from(choices)
    return one | st.lists(one, min_size=1, max_size=2, unique=True)
