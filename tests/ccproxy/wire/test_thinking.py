"""Limits on thinking: which bytes change, and that no others do."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.thinking import limit_thinking, limited_body
from routing.policies import KEEP_THINKING, ThinkingMode, ThinkingPolicy

STRIP = ThinkingPolicy(ThinkingMode.STRIP)
CAP = ThinkingPolicy(ThinkingMode.CAP, 2048)
OFF = b'{"type":"disabled"}'

WISHES = [
    # policy, wish as the client wrote it, what becomes of it
    (KEEP_THINKING, b'{"type":"enabled","budget_tokens":9999}', None),
    (KEEP_THINKING, b'{"type": "adaptive"}', None),
    (CAP, b'{"type":"enabled","budget_tokens":9999}', b'{"type":"enabled","budget_tokens":2048}'),
    (CAP, b'{ "budget_tokens" :\t3000 ,"x":[1.0] }', b'{ "budget_tokens" :\t2048 ,"x":[1.0] }'),
    (CAP, b'{"budget_tokens":1,"budget_tokens":9000}', b'{"budget_tokens":1,"budget_tokens":2048}'),
    (CAP, b'{"budget\\u005ftokens":9000}', b'{"budget\\u005ftokens":2048}'),
    (CAP, b'{"type":"enabled","budget_tokens":2048}', None),
    (CAP, b'{"type":"enabled","budget_tokens":"many"}', None),
    *(
        (CAP, b'{"budget_tokens": %b ,"x":1}' % spelled, b'{"budget_tokens": 2048 ,"x":1}')
        for spelled in (
            b"9e3",
            b"9E+3",
            b"9000.0",
            b"2048.5",
            b"2049",
            b"9" * 30,
            b'"9e3"',
            b'"9000"',
        )
    ),
    *(
        (CAP, b'{"budget_tokens": %b ,"x":1}' % spelled, None)
        for spelled in (
            b"2048.0",
            b"2e3",
            b"1e-400",
            b"-9e3",
            b"true",
            b"null",
            b'"2048"',
            b'""',
            b"{}",
        )
    ),
    (CAP, b'{"type":"adaptive","display":"updates"}', None),
    (CAP, b'{"type":"disabled"}', None),
    (STRIP, b'{"type":"enabled","budget_tokens":9999}', OFF),
    (STRIP, b'{ "display":"updates", "type":"adaptive" }', OFF),
    (STRIP, b'{"type":"disabled"}', None),
    (STRIP, b'{"type":"sometimes"}', None),
    (STRIP, b"null", None),
    (STRIP, b'"enabled"', None),
    (CAP, b"[]", None),
]


@pytest.mark.parametrize(("policy", "wish", "allowed"), WISHES)
def test_only_the_wish_changes(policy, wish, allowed):
    """Around it every byte stays; where nothing has to change it is the same object."""
    body = b'{ "model" : "a\\/b",\r\n"thinking":%b , "n":1E+2,"messages":[] }  \n'

    limited = limit_thinking(body % wish, policy)

    assert limited == body % (wish if allowed is None else allowed)
    unchanged = body % wish
    assert allowed is not None or limit_thinking(unchanged, policy) is unchanged


@pytest.mark.parametrize(("policy", "wish", "allowed"), WISHES)
def test_a_parsed_body_gets_the_same_limit(policy, wish, allowed):
    """What a local model is asked for is what Claude would be asked for."""
    body = {"model": "a", "thinking": orjson.loads(wish)}

    limited = limited_body(body, policy)

    assert limited == {"model": "a", "thinking": orjson.loads(allowed or wish)}
    assert allowed is not None or limited is body
    assert body["thinking"] == orjson.loads(wish)


@pytest.mark.parametrize("policy", [KEEP_THINKING, CAP, STRIP])
def test_a_body_without_a_wish_stays(policy):
    """Nothing is added; a `thinking` further inside is not the wish."""
    body = b'{"messages":[{"thinking":{"type":"enabled","budget_tokens":9999}}]}'

    assert limit_thinking(body, policy) is body
    parsed = orjson.loads(body)
    assert limited_body(parsed, policy) is parsed


EDITS = [
    (b'[{"type":"clear_thinking_20251015","keep":"all"}]', b"[]"),
    (
        b'[ {"type":"clear_tool_uses_20250919"} , {"type":"clear_thinking_20251015"}]',
        b'[ {"type":"clear_tool_uses_20250919"}]',
    ),
    (
        b'[{"type":"clear_thinking_20251015"},\n {"type":"clear_tool_uses_20250919"}]',
        b'[{"type":"clear_tool_uses_20250919"}]',
    ),
    (b'["clear_thinking", 1, {"type":null}]', b'["clear_thinking", 1, {"type":null}]'),
    (b"{}", b"{}"),
]


@pytest.mark.parametrize("first", [True, False], ids=["edits first", "thinking first"])
@pytest.mark.parametrize(("edits", "left"), EDITS)
def test_edits_that_need_thinking_go_with_it(edits, left, first):
    """Claude refuses them while thinking is off; the others stay, byte for byte."""
    parts = [b'"context_management":{"edits":%b,"x":1}', b'"thinking":%b']
    values = [edits, b'{"type":"adaptive"}']
    changed = [left, OFF]
    if not first:
        parts, values, changed = parts[::-1], values[::-1], changed[::-1]
    body = b'{"a":1,' + parts[0] + b" , " + parts[1] + b"}"

    assert limit_thinking(body % tuple(values), STRIP) == body % tuple(changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
SPACE = st.text(" \t\r\n", max_size=2).map(str.encode)
NAMES = st.text(max_size=8).filter(lambda name: name not in ("thinking", "context_management"))


@given(
    before=st.lists(st.tuples(NAMES, JSON), max_size=4),
    after=st.lists(st.tuples(NAMES, JSON), max_size=4),
    budget=st.integers(0, 100_000),
    rest=st.dictionaries(NAMES.filter(lambda name: name not in ("type", "budget_tokens")), JSON),
    most=st.integers(1, 100_000),
    strip=st.booleans(),
    space=SPACE,
)
def test_any_body_keeps_every_other_byte(before, after, budget, rest, most, strip, space):
    """Before and behind the value that changes stand the client's own bytes."""

    def written(members):
        return [
            orjson.dumps(name) + space + b":" + space + orjson.dumps(value)
            for name, value in members
        ]

    def body_with(wish):
        members = [*written(before), b'"thinking"' + space + b":" + wish, *written(after)]
        return space + b"{" + (space + b"," + space).join(members) + space + b"}" + space

    def wish_with(tokens):
        inner = orjson.dumps(rest)[1:-1]
        return b'{"type":"enabled"%b,"budget_tokens":%b%d}' % (
            b"," + inner if inner else b"",
            space,
            tokens,
        )

    policy = STRIP if strip else ThinkingPolicy(ThinkingMode.CAP, most)
    allowed = OFF if strip else wish_with(min(budget, most))
    body = body_with(wish_with(budget))

    limited = limit_thinking(body, policy)

    assert limited == body_with(allowed)
    assert orjson.loads(limited) == limited_body(orjson.loads(body), policy)
    assert limit_thinking(limited, policy) is limited
