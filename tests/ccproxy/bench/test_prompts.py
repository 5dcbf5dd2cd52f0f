"""The requests that a benchmark sends."""

import json
from itertools import pairwise

import pytest

from ccproxy.bench.profiles import Profile, Profiles, from_shapes, shipped_profiles
from ccproxy.bench.prompts import MOST_TOOLS, conversation
from ccproxy.wire.estimate import estimate_input_tokens
from ccproxy.wire.validate import validate_request

SHIPPED = shipped_profiles()


@pytest.mark.parametrize("profile", SHIPPED.profiles.values(), ids=lambda each: each.name)
def test_a_request_is_as_large_as_its_profile_says(profile):
    """Within 3 % by our estimate, each further turn by its tool result; the API would take it."""
    bodies = conversation(profile, "key")
    sizes = [estimate_input_tokens(body) for body in bodies]

    assert profile.turns == len(bodies)
    assert sizes[0] == pytest.approx(profile.input_tokens, rel=0.03)
    for before, after in pairwise(sizes):
        assert after - before == pytest.approx(profile.result_tokens, rel=0.05)
    for body in bodies:
        validate_request({**body, "model": "m"}, version="2023-06-01", strict=True)
        assert profile.output_tokens == body["max_tokens"]
        assert profile.tools == len(body.get("tools", ()))
        assert profile.cached == ("cache_control" in json.dumps(body))
    assert profile.tools <= MOST_TOOLS


def test_no_two_tasks_share_a_prefix():
    """The first words that a model reads differ, so that no cache helps; the same key repeats."""
    profile = SHIPPED.profiles["code-edit"]
    first, again, other = (conversation(profile, key)[0] for key in ("a", "a", "b"))

    assert first == again
    assert first["system"][0]["text"][:21] != other["system"][0]["text"][:21]
    assert first["messages"] != other["messages"]


def test_a_turn_contains_the_one_before():
    """A conversation keeps its prefix, as an agent's does, but for the marks that move on."""
    profile = SHIPPED.profiles["tool-loop"]
    bodies = conversation(profile, "key")

    def plain(body):
        return json.loads(json.dumps(body).replace(', "cache_control": {"type": "ephemeral"}', ""))

    for before, after in pairwise(bodies):
        messages = plain(before)["messages"]
        assert messages == plain(after)["messages"][: len(messages)]
        assert 1 == json.dumps(after["messages"]).count("cache_control")


@pytest.mark.parametrize("tokens", [1, 40, 100, 2_000, 150_000])
def test_any_size_can_be_asked_for(tokens):
    """As near as it gets: what has to be in a request is never cut."""
    size = estimate_input_tokens(conversation(Profile("any", tokens, 10), "key")[0])

    assert size == pytest.approx(max(tokens, 75), rel=0.2)


def test_a_workload_has_its_shares():
    """Each whole cycle has every task of it; the seed decides the order."""
    shares = SHIPPED.workloads["mixed"]
    cycle = sum(shares.values())
    tasks = SHIPPED.tasks("mixed", 2 * cycle, seed=1)

    for half in (tasks[:cycle], tasks[cycle:]):
        assert shares == {name: [t.name for t in half].count(name) for name in shares}
    assert tasks == SHIPPED.tasks("mixed", 2 * cycle, seed=1)
    assert tasks != SHIPPED.tasks("mixed", 2 * cycle, seed=2)
    assert ["big-output"] * 3 == [task.name for task in SHIPPED.tasks("big-output", 3, seed=1)]


def test_workloads_name_profiles():
    """Every profile of every workload is there, and no name means two things."""
    assert {name for each in SHIPPED.workloads.values() for name in each} <= set(SHIPPED.profiles)
    assert len(set(SHIPPED.names)) == len(SHIPPED.names)
    with pytest.raises(KeyError):
        Profiles({}, {}).tasks("none", 1, seed=1)


def test_tasks_can_have_the_sizes_of_earlier_requests():
    """Drawn by chance, the same for the same seed; of none there are none."""
    shapes = [(100, 5), (2_000, 300)]
    tasks = from_shapes(shapes, 20, seed=4)

    assert {(100, 16), (2_000, 300)} == {(t.input_tokens, t.output_tokens) for t in tasks}
    assert tasks == from_shapes(shapes, 20, seed=4)
    assert [] == from_shapes([], 20, seed=4)
