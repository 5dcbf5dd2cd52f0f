"""What a local model left in a history does not reach Claude."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.history import Stripped, needs_thinking_off, strip_batch, strip_local_blocks
from ccproxy.wire.ids import LOCAL_TOOL_ID
from ccproxy.wire.signature import LOCAL_SIGNATURE

OURS = json.dumps({"type": "thinking", "thinking": "hm", "signature": LOCAL_SIGNATURE})
THEIRS = json.dumps({"type": "thinking", "thinking": "hm", "signature": "EqSigned"})
SAID = '{"type":"text", "text":"quoting ' + LOCAL_SIGNATURE + '"}'


def _body(*messages: str, before: str = "", after: str = "") -> bytes:
    return ("{" + before + '"messages": [' + ",".join(messages) + "]" + after + "}").encode()


def _assistant(*blocks: str) -> str:
    return '{"role": "assistant", "content": [' + " , ".join(blocks) + "]}"


USER = '{"role":"user","content":"hi"}'


@pytest.mark.parametrize(
    ("messages", "expected", "count"),
    [
        ([USER, _assistant(OURS, SAID)], [USER, _assistant(SAID)], 1),
        ([_assistant(SAID, OURS), USER], [_assistant(SAID), USER], 1),
        ([_assistant(SAID, OURS, THEIRS)], [_assistant(SAID, THEIRS)], 1),
        ([_assistant(OURS, OURS, SAID, OURS)], [_assistant(SAID)], 3),
        ([USER, _assistant(OURS), USER], [USER, USER], 1),
        ([USER, _assistant(OURS, OURS)], [USER], 2),
        ([_assistant(OURS), USER, _assistant(OURS, SAID)], [USER, _assistant(SAID)], 2),
        ([USER, _assistant(OURS), _assistant(OURS), USER], [USER, USER], 2),
        (
            ['{"role":"user","content":[' + OURS + "]}"],
            ['{"role":"user","content":[]}'],
            1,
        ),
        ([USER, _assistant(THEIRS, SAID)], [USER, _assistant(THEIRS, SAID)], 0),
    ],
)
def test_only_local_thinking_is_cut(messages: list[str], expected: list[str], count: int) -> None:
    """Blocks with our marker go, emptied messages go with them (conformance 262)."""
    stripped = strip_local_blocks(_body(*messages, after=', "model":"m"'))

    assert orjson.loads(_body(*expected, after=', "model":"m"')) == orjson.loads(stripped.body)
    assert (stripped.thinking_blocks, stripped.empty_messages) == (count, 0)
    assert stripped.notes() == ([f"local_thinking_cut={count}"] if count else [])


def test_everything_else_keeps_its_bytes() -> None:
    """White space, escapes, number spelling and key order around a cut stay (conformance 258)."""
    before = '"x": 1.50 ,\t"mod\\u0065l":"m",'
    body = _body(USER, _assistant(OURS, SAID), before=before)

    assert body.replace(OURS.encode() + b" , ", b"") == strip_local_blocks(body).body


@pytest.mark.parametrize(
    "body",
    [
        _body(USER, _assistant(THEIRS, '{"type":"text","text":"x"}')),
        b"[]",
        b"not even json",
    ],
)
def test_without_the_marker_nothing_is_copied(body: bytes) -> None:
    """The same object comes back when there is nothing of ours in it."""
    stripped = strip_local_blocks(body)

    assert stripped.body is body
    assert stripped == Stripped(body)


@pytest.mark.parametrize(
    "body",
    [
        b'["' + LOCAL_SIGNATURE.encode() + b'"]',
        b'{"messages": "' + LOCAL_SIGNATURE.encode() + b'"}',
        _body('{"role":"user","content":"' + LOCAL_SIGNATURE + '"}'),
        _body(_assistant(SAID)),
    ],
)
def test_a_marker_elsewhere_is_left_alone(body: bytes) -> None:
    """The marker in a prompt or in an odd place is content, not a signature."""
    assert strip_local_blocks(body) == Stripped(body)


@given(st.lists(st.lists(st.sampled_from("ots"), max_size=5), max_size=5))
def test_cutting_equals_filtering(shape: list[list[str]]) -> None:
    """Cutting byte ranges gives what filtering the parsed document gives, for any mix of blocks."""
    spelled = {"o": OURS, "t": THEIRS, "s": SAID}
    body = _body(*(_assistant(*(spelled[kind] for kind in kinds)) for kinds in shape))
    is_ours = any("o" in kinds for kinds in shape)
    expected = [
        [kind for kind in kinds if kind != "o"]
        for index, kinds in enumerate(shape)
        if (not kinds and (index == len(shape) - 1 or not is_ours))
        or any(kind != "o" for kind in kinds)
    ]

    stripped = strip_local_blocks(body)

    wanted = _body(*(_assistant(*(spelled[kind] for kind in kinds)) for kinds in expected))
    assert orjson.loads(wanted) == orjson.loads(stripped.body)
    assert sum(kinds.count("o") for kinds in shape) == stripped.thinking_blocks


EMPTY = '{"content" : [ ], "role":"assistant"}'
OUR_CALL = json.dumps({"type": "tool_use", "id": LOCAL_TOOL_ID + "x", "name": "a", "input": {}})
THEIR_CALL = json.dumps({"type": "tool_use", "id": "toolu_01x", "name": "a", "input": {}})
QUOTED_ID = '{"type":"text", "text":"' + LOCAL_TOOL_ID + '"}'


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([USER, EMPTY, USER, _assistant(OUR_CALL)], [USER, USER, _assistant(OUR_CALL)]),
        ([USER, EMPTY, USER, _assistant(OURS, SAID)], [USER, USER, _assistant(SAID)]),
        ([USER, _assistant(OUR_CALL), USER, EMPTY], None),
        ([USER, EMPTY, USER], None),
        ([USER, EMPTY, USER, _assistant(THEIR_CALL)], None),
        ([USER, EMPTY, USER, _assistant(QUOTED_ID)], None),
        ([USER, EMPTY, '{"role":"user","content":[' + OUR_CALL + "]}"], None),
        (['{"role":"user","content":[]}', USER, _assistant(OUR_CALL)], None),
        ([USER, '{"role":"assistant","content":""}', USER, _assistant(OUR_CALL)], None),
    ],
)
def test_answers_without_a_word_are_cut(messages: list[str], expected: list[str] | None) -> None:
    """Where a local route had part in a history; not at its end (conformance 083, 223, 258)."""
    body = _body(*messages)

    stripped = strip_local_blocks(body)

    if expected is None:
        assert stripped == Stripped(body)
    else:
        assert orjson.loads(stripped.body) == orjson.loads(_body(*expected))
        assert stripped.empty_messages == 1
        assert "empty_turn_cut=1" in stripped.notes()


def test_every_item_of_a_batch_is_looked_at() -> None:
    """Each history is cut for itself, and what is no request stays (conformance 258, 262)."""
    items = [
        '{"custom_id":"a", "params": ' + _body(USER, _assistant(OURS, SAID), USER).decode() + "}",
        '{"params":' + _body(USER, EMPTY, USER).decode() + "}",
        '{"custom_id":"' + LOCAL_SIGNATURE + '"}',
        '{"params": ["' + LOCAL_SIGNATURE + '"]}',
        "7",
        '{"params":' + _body(_assistant(OURS), USER, EMPTY, USER).decode() + ' , "x":1.50}',
    ]
    whole = '{"requests" : [' + ",\n".join(items) + "]}"

    stripped = strip_batch(whole.encode())

    left = [
        items[0].replace(OURS + " , ", ""),
        *items[1:5],
        items[5].replace(_assistant(OURS) + ",", "").replace(EMPTY + ",", ""),
    ]
    assert stripped.body.decode() == '{"requests" : [' + ",\n".join(left) + "]}"
    assert stripped.notes() == ["local_thinking_cut=2", "empty_turn_cut=1"]


@pytest.mark.parametrize("body", [b"{}", b'{"requests": 5}', b'["' + OUR_CALL.encode() + b'"]'])
def test_what_is_no_batch_is_left_alone(body: bytes) -> None:
    """Claude says what is wrong with it."""
    marked = body.replace(b"}", b', "m": "' + LOCAL_SIGNATURE.encode() + b'"}', 1)
    marked = marked.replace(b"{,", b"{")
    assert strip_batch(body).body is body
    assert strip_batch(marked) == Stripped(marked)


@pytest.mark.parametrize(
    ("call", "thinking", "off"),
    [
        (OUR_CALL, {"type": "enabled", "budget_tokens": 1024}, True),
        (THEIR_CALL, {"type": "enabled", "budget_tokens": 1024}, False),
        (OUR_CALL, {"type": "adaptive"}, False),
        (OUR_CALL, {"type": "disabled"}, False),
        (OUR_CALL, None, False),
    ],
)
def test_manual_thinking_in_a_loop_of_a_local_model(call: str, thinking: object, off: bool) -> None:
    """Claude would refuse it: the turn does not begin with thinking of its own."""
    made = json.loads(call)
    result = {"type": "tool_result", "tool_use_id": made["id"]}
    messages = [json.loads(_assistant(call)), {"role": "user", "content": [result]}]
    assert needs_thinking_off({"messages": messages, "thinking": thinking}) is off
    assert not needs_thinking_off({"messages": messages[:1], "thinking": thinking})
