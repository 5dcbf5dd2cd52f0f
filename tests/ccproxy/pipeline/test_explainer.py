"""Questions to explain: what they may say, and what is answered."""

import orjson
import pytest

from ccproxy.pipeline.explainer import AssumedState, Explainer, local_minute, read_question
from ccproxy.wire.errors import ApiError
from ccproxy.wire.our_tokens import OurTokens
from routing.capabilities import FleetSnapshot
from routing.prompts import PromptIndex
from routing.table import compile_table
from tests.support.routing_samples import DEPLOYMENTS, ROSTER, table_of

TABLE = {
    "tiers": {
        "sonnet": {"route": ["qwen", "claude-keyless", "claude"]},
        "haiku": {"route": ["qwen-fast"], "privacy": "local_only"},
    },
    "agents": {
        "chief": {"route": ["claude"], "deadline_s": 60, "thinking": {"max_budget_tokens": 9}}
    },
    "rules": [
        {"name": "night", "when": {"time": {"between": "22:00-06:00"}}, "route": ["qwen-fast"]},
        {"name": "reds", "when": {"header": {"x-team": "red"}}, "route": ["claude"]},
        {"name": "ci", "when": {"principal": "ci-*"}, "route": ["claude"]},
    ],
}
PROMPT = "You are the auditor of this house.\nRead every line twice.\nSay what you have not seen.\n"
NOON = {"at": "2026-03-31T12:00"}


def explainer(profile=TABLE, fleet=None):
    table, _ = compile_table(table_of(profile), DEPLOYMENTS, ROSTER)
    prompts = PromptIndex.build({"auditor": PROMPT * 20}, ROSTER.agents)
    state = AssumedState(table, ROSTER, prompts)
    return Explainer(lambda: state, lambda: fleet or FleetSnapshot(), {"qwen", "qwen-fast"})


def explained(profile=TABLE, fleet=None, **question):
    return explainer(profile, fleet).explain({**NOON, **question})


def deployments_of(told):
    return [attempt["deployment"] for attempt in told["attempts"]]


def test_an_answer_has_everything_the_contract_names():
    """agent, source, attempts in order with side and position, and each step with its reason."""
    told = explained(agent="coder", model="claude-sonnet-5-5")

    assert (told["agent"], told["source"], told["confidence"]) == ("coder", "path", 1.0)
    unconditional = {"only_after": [], "asks": None}
    assert told["attempts"] == [
        {"deployment": "qwen", "side": "local", "position": 1, **unconditional},
        {"deployment": "claude", "side": "claude", "position": 2, **unconditional},
    ]
    assert {
        "kind": "candidate",
        "name": "claude-keyless",
        "kept": False,
        "reason": "unavailable: KEY is not set",
    } in told["trace"]
    assert {"rules.night", "rules.reds", "tiers.sonnet", "default", "privacy"} <= {
        step["name"] for step in told["trace"]
    }
    assert (told["tier"], told["privacy"], told["profile"]) == ("sonnet", "any", "main")
    assert told["refused"] is None
    assert orjson.dumps(told)


def test_policies_are_told():
    """What the table says besides the route is in the answer."""
    assert explained(agent="chief")["policies"] == {
        "deadline_s": 60,
        "max_cost_microusd": None,
        "thinking": "cap",
        "thinking_max_budget_tokens": 9,
        "on_overflow": "reroute",
    }


@pytest.mark.parametrize(
    ("question", "source", "agent"),
    [
        ({"path_agent": "clerk"}, "path", "clerk"),
        ({"token_agents": ["clerk"]}, "token", "clerk"),
        ({"headers": {"X-Ccproxy-Agent": "clerk"}}, "header", "clerk"),
        ({"model": "agent/clerk"}, "model", "clerk"),
        ({"system": PROMPT * 20}, "prompt", "auditor"),
        ({"bound_agent": "clerk"}, "binding", "clerk"),
        ({"headers": {"x-claude-code-agent-type": "Clerk"}}, "type", "clerk"),
        ({"model": "claude-haiku-4-5"}, "none", "unknown"),
    ],
)
def test_every_signal_can_be_asked_about(question, source, agent):
    """A question can carry each signal a request can."""
    told = explained(**question)

    assert (told["agent"], told["source"]) == (agent, source)


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        ({}, None),
        ({"at": "2026-03-31T23:15"}, "night"),
        ({"headers": {"x-team": "red"}}, "reds"),
        ({"principal": "ci-1"}, "ci"),
    ],
)
def test_circumstances_count(question, rule):
    """Time, headers and the token's name decide as they do for traffic."""
    assert explained(agent="coder", **question)["rule"] == rule


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({}, ["qwen", "claude"]),
        ({"ollama": "down"}, ["claude"]),
        ({"claude": "down"}, ["qwen"]),
        ({"qwen": "down"}, ["claude"]),
        ({"ollama": "down", "qwen": "up"}, ["qwen", "claude"]),
        ({"qwen": "up", "ollama": "down"}, ["qwen", "claude"]),
        ({"claude-keyless": "up"}, ["qwen", "claude-keyless", "claude"]),
    ],
)
def test_health_can_be_assumed(health, expected):
    """Deployments and groups can be down or up; a deployment named `claude` is just that one."""
    assert deployments_of(explained(agent="coder", health=health)) == expected


def test_assumed_health_beats_what_is_known():
    """`up` takes back what the fleet says of a deployment; others keep what is known of them."""
    fleet = FleetSnapshot(unavailable={"qwen": "connect_error", "claude": "529"})

    told = explained(fleet=fleet, agent="coder", health={"qwen": "up"})

    assert deployments_of(told) == ["qwen"]


@pytest.mark.parametrize(
    ("question", "status", "kind", "traced"),
    [
        ({"agent": "codr"}, 404, "not_found_error", False),
        ({"model": "gpt-4o"}, 404, "not_found_error", True),
        ({"agent": "coder", "token_agents": ["clerk", "chief"]}, 403, "permission_error", False),
        ({"agent": "clerk", "health": {"ollama": "down"}}, 529, "overloaded_error", True),
        (
            {"model": "claude", "headers": {"x-ccproxy-agent": "clerk"}},
            400,
            "invalid_request_error",
            True,
        ),
    ],
)
def test_a_refusal_is_an_answer(question, status, kind, traced):
    """It has no attempts, but what the client would get, and how far the decision came."""
    told = explained(**question)

    assert told["attempts"] == []
    assert (told["refused"]["status"], told["refused"]["type"]) == (status, kind)
    assert told["refused"]["message"]
    assert bool(told["trace"]) == traced


def test_a_forbidden_caller_is_still_named():
    """Who was found is told although the token may not act as it."""
    told = explained(agent="coder", token_agents=["clerk", "chief"])

    assert (told["agent"], told["source"]) == ("coder", "path")


def test_no_content_is_told():
    """Lengths and kinds, but neither a prompt nor a message nor a header's value."""
    told = explained(
        model="claude-sonnet-5",
        system="SECRET-1",
        messages=[{"role": "user", "content": "SECRET-2"}],
        headers={"x-team": "SECRET-3", "authorization": "SECRET-4"},
    )

    assert b"SECRET" not in orjson.dumps(told)
    assert told["facts"]["input_tokens"] > 0
    assert told["facts"]["headers"] == ["x-team"]


def test_a_question_about_count_tokens():
    """`counting` makes it a request of that class."""
    assert explained(agent="coder", counting=True)["request_class"] == "count"


def test_keys_of_the_question_are_not_part_of_the_request():
    """The body that is judged is the request alone."""
    question = read_question(
        {"model": "m", "agent": "coder", "health": {}, "at": "2026-03-31"}, OurTokens()
    )

    assert question.body == {"model": "m"}


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"model": 4}, "model: Input should be a valid string"),
        ({"agent": 4}, "agent: Input should be a valid string"),
        (
            {"agent": "a", "path_agent": "b"},
            "agent: means the same as path_agent, which says otherwise",
        ),
        ({"headers": [["a", "b"]]}, "headers: Input should be an object of texts"),
        ({"headers": {"a": 1}}, "headers.a: Input should be a valid string"),
        ({"headers": {"a": "日"}}, "headers.a: has a character that cannot stand in a header"),
        ({"health": "down"}, 'health: Input should be an object such as {"ollama": "down"}'),
        ({"health": {"qwen": "ill"}}, "health.qwen: Input should be 'down' or 'up'"),
        ({"health": {"qwem": "up"}}, "health: there is no deployment 'qwem'. Did you mean 'qwen'?"),
        ({"token_agents": "coder"}, "token_agents: Input should be a list of texts"),
        ({"at": "noon"}, "at: 'noon' is no time; write it as 2026-03-31T14:30"),
        (
            {"at": "0001-01-01T00:00:00+14:00"},
            "at: '0001-01-01T00:00:00+14:00' is no time; write it as 2026-03-31T14:30",
        ),
        ({"counting": "yes"}, "counting: Input should be true or false"),
    ],
)
def test_a_question_that_makes_no_sense(question, message):
    """It is a 400 that names the key and what belongs there."""
    with pytest.raises(ApiError) as caught:
        explained(**question)

    assert (caught.value.status, caught.value.message) == (400, message)


def test_local_minutes():
    """A time without an offset is local; now is some minute of a week."""
    assert local_minute("2026-03-31T14:30") == (1, 870)
    weekday, minute = local_minute()
    assert weekday in range(7)
    assert minute in range(1440)
