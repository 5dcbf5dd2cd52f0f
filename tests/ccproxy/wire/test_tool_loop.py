"""Which side made the calls of an open tool loop."""

from __future__ import annotations

from typing import Any

import pytest

from ccproxy.wire.ids import mint_tool_id
from ccproxy.wire.signature import LOCAL_SIGNATURE
from ccproxy.wire.tool_loop import tool_loop_side
from routing.types import Side

CLAUDES = "toolu_01A09q90qw90lq917835lq9"
OURS = mint_tool_id()
KEPT = "call_j0x1wq5k"
FOREIGN = "chatcmpl-tool-1"


def call(tool_id: object) -> dict[str, Any]:
    return {"type": "tool_use", "id": tool_id, "name": "Bash", "input": {}}


def result(tool_id: object) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_id, "content": "done"}


def thought(signature: object) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "Hm.", "signature": signature}


def says(role: str, *blocks: object) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


TEXT = {"type": "text", "text": "Go on."}
REDACTED = {"type": "redacted_thinking", "data": "x"}
QUESTION = {"role": "user", "content": "Begin."}


def loop(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a conversation whose last turn has these blocks, all calls answered."""
    results = [result(block["id"]) for block in blocks if block["type"] == "tool_use"]
    return [QUESTION, says("assistant", *blocks), says("user", *results)]


@pytest.mark.parametrize(
    ("messages", "side"),
    [
        pytest.param(loop(call(CLAUDES)), Side.CLAUDE, id="Claude's id"),
        pytest.param(loop(call("toolu_bdrk_01AbC")), Side.CLAUDE, id="by way of Bedrock"),
        pytest.param(loop(call("toolu_vrtx_01AbC")), Side.CLAUDE, id="by way of Vertex"),
        pytest.param(loop(call(OURS)), Side.LOCAL, id="minted"),
        pytest.param(loop(call(KEPT)), Side.LOCAL, id="kept"),
        pytest.param(loop(TEXT, call(OURS), call(KEPT)), Side.LOCAL, id="several"),
        pytest.param(loop(thought("EqSig"), call(FOREIGN)), Side.CLAUDE, id="signed"),
        pytest.param(loop(thought(LOCAL_SIGNATURE), call(FOREIGN)), Side.LOCAL, id="marked"),
        pytest.param(loop(REDACTED, call(FOREIGN)), Side.CLAUDE, id="redacted"),
        pytest.param(loop(call(FOREIGN)), None, id="somebody's id"),
        pytest.param(loop(call("toolu_sim1")), None, id="no id of Claude's"),
        pytest.param(loop(thought(""), call(FOREIGN)), None, id="unsigned"),
        pytest.param(loop(call(CLAUDES), call(OURS)), None, id="contradicting ids"),
        pytest.param(loop(thought("EqSig"), call(OURS)), None, id="contradicting signature"),
        pytest.param([*loop(call(OURS))[:2]], None, id="no results yet"),
        pytest.param([*loop(call(OURS))[:2], says("user", TEXT)], None, id="no result"),
        pytest.param([*loop(call(OURS))[:2], says("user", result("x"))], None, id="other results"),
        pytest.param(
            [*loop(call(OURS)), says("assistant", TEXT), says("user", TEXT)], None, id="over"
        ),
        pytest.param([*loop(call(OURS)), says("user", TEXT)], Side.LOCAL, id="a text behind"),
        pytest.param(
            [*loop(call(OURS)), says("system", TEXT)], Side.LOCAL, id="a system message behind"
        ),
        pytest.param(
            [QUESTION, says("assistant", thought("EqSig")), says("assistant", call(FOREIGN)),
             says("user", result(FOREIGN))],
            Side.CLAUDE,
            id="a turn in two messages",
        ),
        pytest.param(
            [*loop(call(OURS)), *loop(call(CLAUDES))[1:]], Side.CLAUDE, id="the last turn counts"
        ),
        pytest.param([QUESTION], None, id="no loop"),
        pytest.param([], None, id="nothing"),
    ],
)  # fmt: skip
def test_who_made_the_calls(messages: list[dict[str, Any]], side: Side | None) -> None:
    """Ids and signatures of the last turn tell, if they agree (conformance 210, 226)."""
    assert tool_loop_side(messages) is side


@pytest.mark.parametrize(
    "messages",
    [
        None,
        "x",
        [None, 3, {}],
        [{"role": "assistant"}, {"role": "user", "content": 5}],
        [says("assistant", None, call(["x"]), call(None)), says("user", result({}), result(None))],
        [says("assistant", {"type": []}, thought(None)), says("user", result("x"))],
    ],
)
def test_nothing_is_too_malformed(messages: object) -> None:
    """It runs before validation: a wrong shape counts as absent."""
    assert tool_loop_side(messages) is None
