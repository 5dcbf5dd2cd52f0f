"""What the roster's wishes ask of a table."""

from dataclasses import replace

import pytest

from routing.table import compile_table
from routing.types import Roster
from routing.wishes import WishedRoute, wished_routes
from tests.support.routing_samples import CAPABLE_DEPLOYMENTS, ROSTER, table_of


def wishing(model):
    agents = dict(ROSTER.agents)
    agents["coder"] = replace(agents["coder"], wished_ollama_model=model)
    return Roster(agents)


@pytest.mark.parametrize(
    ("route", "wish", "expected"),
    [
        (["plain", "claude"], "qwen", []),
        (["plain", "claude"], "QWEN:latest", []),
        (["claude", "plain"], "qwen", []),
        (["small", "claude"], "qwen", ["plain", "small", "claude"]),
        (["claude", "small"], "qwen", ["claude", "plain", "small"]),
        (["small", "plain"], "qwen", ["plain", "small"]),
        (["claude"], "qwen", ["plain", "claude"]),
        (["small"], "gpt", None),
        (["small"], "llama", None),
    ],
)
def test_routes(route, wish, expected):
    """The wished model comes before the first local one; where nothing serves it there is no route."""
    profile = {"default": {"route": ["plain"]}, "agents": {"coder": {"route": route}}}
    table, _ = compile_table(table_of(profile), CAPABLE_DEPLOYMENTS, ROSTER)

    found = list(wished_routes(table, wishing(wish)))

    if expected == []:
        assert found == []
    else:
        assert found == [WishedRoute("coder", wish, expected and tuple(expected))]


def test_nobody_wishes():
    """Without wishes nothing is asked."""
    table, _ = compile_table(
        table_of({"default": {"route": ["plain"]}}), CAPABLE_DEPLOYMENTS, ROSTER
    )

    assert list(wished_routes(table, ROSTER)) == []


def test_an_agent_without_a_route():
    """A wish gives it one."""
    table, _ = compile_table(table_of({}), CAPABLE_DEPLOYMENTS, ROSTER)

    (wish,) = wished_routes(table, wishing("qwen"))

    assert wish.route == ("plain",)


def test_a_deployment_that_stands_in():
    """A deployment that is said to stand in for a wished model serves the wish."""
    plain = replace(CAPABLE_DEPLOYMENTS["plain"], stands_in_for=("qwen:72b",))
    deployments = {**CAPABLE_DEPLOYMENTS, "plain": plain}
    table, _ = compile_table(
        table_of({"default": {"route": ["plain", "claude"]}}), deployments, ROSTER
    )

    assert list(wished_routes(table, wishing("QWEN:72b"))) == []
