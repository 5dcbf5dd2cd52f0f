"""What a local model left in a history does not reach Claude."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.history import strip_local_blocks
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
    stripped, cut = strip_local_blocks(_body(*messages, after=', "model":"m"'))

    assert orjson.loads(_body(*expected, after=', "model":"m"')) == orjson.loads(stripped)
    assert count == cut


def test_everything_else_keeps_its_bytes() -> None:
    """White space, escapes, number spelling and key order around a cut stay (conformance 258)."""
    before = '"x": 1.50 ,\t"mod\\u0065l":"m",'
    body = _body(USER, _assistant(OURS, SAID), before=before)

    stripped, _ = strip_local_blocks(body)

    assert body.replace(OURS.encode() + b" , ", b"") == stripped


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
    stripped, cut = strip_local_blocks(body)

    assert stripped is body
    assert cut == 0


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
    assert (body, 0) == strip_local_blocks(body)


@given(st.lists(st.lists(st.sampled_from("ots"), max_size=5), max_size=5))
def test_cutting_equals_filtering(shape: list[list[str]]) -> None:
    """Cutting byte ranges gives what filtering the parsed document gives, for any mix of blocks."""
    spelled = {"o": OURS, "t": THEIRS, "s": SAID}
    body = _body(*(_assistant(*(spelled[kind] for kind in kinds)) for kinds in shape))
    expected = [
        [kind for kind in kinds if kind != "o"]
        for kinds in shape
        if not kinds or any(kind != "o" for kind in kinds)
    ]

    stripped, cut = strip_local_blocks(body)

    wanted = _body(*(_assistant(*(spelled[kind] for kind in kinds)) for kinds in expected))
    assert orjson.loads(wanted) == orjson.loads(stripped)
    assert sum(kinds.count("o") for kinds in shape) == cut
