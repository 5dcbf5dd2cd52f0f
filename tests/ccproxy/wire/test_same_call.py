"""When two tool calls are the same call."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.ports import ToolCall
from ccproxy.wire.same_call import call_key, value_key


def deep(levels, innermost):
    value = innermost
    for _ in range(levels):
        value = {"a": [value]}
    return value


SAME = {
    "another order": ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}),
    "a whole number with a point": ({"a": [5, 0]}, {"a": [5.0, -0.0]}),
    "a large number": ({"a": 2**70}, {"a": 2.0**70}),
    "a pair of surrogates": ({"a": "\ud83d\ude00"}, {"a": "😀"}),
    "deep": (deep(5_000, 1), deep(5_000, 1.0)),
    "a lone surrogate": ({"\ud800": "\udfff"}, {"\ud800": "\udfff"}),
    "no number": ({"a": float("inf"), "b": float("nan")}, {"b": float("nan"), "a": float("inf")}),
    "an integer of 100 000 digits": ({"a": 10**100_000}, {"a": 10**100_000}),
}
OTHER = {
    "number and boolean": ({"a": 1}, {"a": True}),
    "number and text": ({"a": 1}, {"a": "1"}),
    "null and text": ({"a": None}, {"a": "null"}),
    "fraction": ({"a": 0.1}, {"a": 0.2}),
    "order of a list": ({"a": [1, 2]}, {"a": [2, 1]}),
    "list and what is in it": ({"a": [[1], 2]}, {"a": [[1, 2]]}),
    "text with signs": ({"a": ["x", "y"]}, {"a": ['x","y']}),
    "empty containers": ({"a": {}}, {"a": []}),
    "missing": ({}, {"a": None}),
    "deep": (deep(5_000, 1), deep(5_000, 2)),
    "lone surrogates": ({"a": "\ud800"}, {"a": "\ud801"}),
    "large numbers": ({"a": 2**70}, {"a": 2**70 + 1}),
}


def key(arguments, name="Read"):
    return call_key(ToolCall(id=None, name=name, arguments=arguments))


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
def test_the_same_call(one, other):
    """Calls are the same whatever the order of their properties and the spelling of numbers."""
    assert key(one) == key(other)


@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=OTHER.keys())
def test_another_call(one, other):
    """Calls with another value anywhere are other calls."""
    assert key(one) != key(other)


def test_calls_of_two_tools():
    """The name of the tool is part of a call, its id is not."""
    call = ToolCall(id="1", name="Read", arguments={})

    assert key({}) == call_key(call)
    assert key({}, name="Write") != call_key(call)


JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, 0.5, "", "1", ",", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)


@given(JSON, JSON)
def test_keys_are_equal_where_values_are(one, other):
    """Values have a key in common exactly where JSON with sorted keys is the same."""

    def plain(value):
        return json.dumps(value, sort_keys=True).replace("1.0", "1")

    assert (value_key(one) == value_key(other)) == (plain(one) == plain(other))
