"""Section L: toward Claude and back, bytes."""

import gzip
import json
import logging

import brotli
import pytest

from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.wire.ids import LOCAL_TOOL_ID
from ccproxy.wire.signature import LOCAL_SIGNATURE
from tests.support.black_box import COUNT, MESSAGES, assert_error, http_answer, post
from tests.support.grammar import check_stream, frames
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, turn
from tests.support.proxy import UPSTREAM_KEY, running_proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD_SPELLING = (
    b' {"messages" :[{"content":"\\u00e9\\/ \xc3\xa9","role":"user"} ],\r\n\t"max_tokens":1.0e1,'
    b'"system":[{"type":"text","text":"x-anthropic-billing-header: a=b;"},{"text":"B","type":"text"}],'
    b'"unknown":{"b":1,"a":[]}, "model":"claude-opus-4-6" } \n'
)


@pytest.mark.parametrize("path", [MESSAGES, f"{MESSAGES}?beta=true&x=%2f", COUNT])
async def test_the_body_is_not_touched(path, relay):
    """Spelling, order, spaces and unknown fields of a body arrive as sent (258, 260, 261)."""
    relay.claude.answer = http_answer()

    assert 200 == (await post(relay.proxy, ODD_SPELLING, path=path)).status

    assert [ODD_SPELLING] == relay.claude.bodies
    assert relay.claude.heads[0].startswith(f"POST {path} HTTP/1.1".encode())


async def test_an_encoded_body_is_not_touched(relay):
    """A compressed body arrives compressed, byte for byte (conformance 258)."""
    relay.claude.answer = http_answer()
    sent = gzip.compress(ODD_SPELLING, 1)

    answer = await post(relay.proxy, sent, headers={"content-encoding": "gzip"})

    assert 200 == answer.status
    assert [sent] == relay.claude.bodies


@pytest.mark.parametrize("encoded", [False, True])
async def test_an_alias_changes_one_value(encoded, relay):
    """Only the value of the top-level `model` is replaced, the length with it (conformance 259)."""
    relay.claude.answer = http_answer()
    nested = b'"metadata":{"model":"named"}, "tools":[{"model":"named"}]'
    body = b'{ "model" : "named" ,"max_tokens":1, ' + nested + b',"messages":[] }'
    headers = {"content-encoding": "gzip"} if encoded else {}

    answer = await post(relay.proxy, gzip.compress(body) if encoded else body, headers=headers)

    assert 200 == answer.status
    assert [body.replace(b'"named"', b'"claude-named-1"', 1)] == relay.claude.bodies
    assert b"content-encoding" not in relay.claude.heads[0].lower()


LOCAL_THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": LOCAL_SIGNATURE}
CLAUDES_THOUGHT = {"type": "thinking", "thinking": "Ah.", "signature": "EqQBCgIYAhIM"}
WORDS = {"type": "text", "text": "B"}


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
async def test_local_thoughts_stay_here(path, relay):
    """What only a local model signed is cut out, and a message empty by that; nothing else.

    It is said in a header (conformance 261, 262).
    """
    relay.claude.answer = http_answer()
    body = turn(model=CLAUDE)
    body["messages"] += [
        {"role": "assistant", "content": [LOCAL_THOUGHT, WORDS]},
        {"role": "user", "content": "C"},
        {"role": "assistant", "content": [LOCAL_THOUGHT]},
        {"role": "user", "content": "D"},
        {"role": "assistant", "content": [CLAUDES_THOUGHT, WORDS]},
        {"role": "user", "content": LOCAL_SIGNATURE},
    ]
    expected = json.loads(json.dumps(body))
    del expected["messages"][3]
    del expected["messages"][1]["content"][0]

    answer = await post(relay.proxy, body, path=path)

    assert expected == json.loads(relay.claude.bodies[0])
    assert "local_thinking_cut=2" == answer.header("x-ccproxy-notes")


LOCAL_CALL = {"type": "tool_use", "id": f"{LOCAL_TOOL_ID}1", "name": "get_weather", "input": {}}
LOCAL_RESULT = {"type": "tool_result", "tool_use_id": f"{LOCAL_TOOL_ID}1"}
LOCAL_LOOP = [
    {"role": "assistant", "content": [LOCAL_THOUGHT, LOCAL_CALL]},
    {"role": "user", "content": [LOCAL_RESULT]},
]


@pytest.mark.parametrize("encoded", [False, True])
async def test_local_thoughts_in_a_batch_stay_here(encoded, relay):
    """Every item's history is cut like that of a message, and nothing else (conformance 258, 262)."""
    relay.claude.answer = http_answer()
    items = [
        turn(model=CLAUDE),
        {**turn(model=CLAUDE), "messages": [*turn()["messages"], *LOCAL_LOOP]},
    ]
    batch = {"requests": [{"custom_id": str(n), "params": each} for n, each in enumerate(items)]}
    raw = json.dumps(batch, indent=1).encode()
    headers = {"content-encoding": "gzip"} if encoded else {}

    answer = await post(
        relay.proxy,
        gzip.compress(raw) if encoded else raw,
        headers=headers,
        path=f"{MESSAGES}/batches",
    )

    assert 200 == answer.status
    expected = json.loads(raw)
    del expected["requests"][1]["params"]["messages"][1]["content"][0]
    assert expected == json.loads(relay.claude.bodies[0])
    assert raw.startswith(relay.claude.bodies[0].partition(b'"assistant"')[0])
    assert "local_thinking_cut=1" == answer.header("x-ccproxy-notes")


async def test_an_untouched_batch_keeps_its_bytes(relay):
    """Also its coding, where there is nothing of ours in it (conformance 258)."""
    relay.claude.answer = http_answer()
    sent = gzip.compress(json.dumps({"requests": [{"params": turn(model=CLAUDE)}]}).encode())

    await post(relay.proxy, sent, headers={"content-encoding": "gzip"}, path=f"{MESSAGES}/batches")

    assert [sent] == relay.claude.bodies


async def test_a_local_loop_goes_on_at_claude(relay):
    """Answers without a word go, and manual thinking, which Claude would refuse, is off for this loop.

    Both are said in a header (conformance 083, 223, 262).
    """
    relay.claude.answer = http_answer()
    body = turn(model=CLAUDE, max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})
    first = body["messages"]
    body["messages"] = [*first, {"role": "assistant", "content": []}, *first, *LOCAL_LOOP]

    answer = await post(relay.proxy, body)

    sent = json.loads(relay.claude.bodies[0])
    assert {"type": "disabled"} == sent["thinking"]
    assert [*first, *first, {"role": "assistant", "content": [LOCAL_CALL]}, LOCAL_LOOP[1]] == sent[
        "messages"
    ]
    notes = {"local_thinking_cut=1", "empty_turn_cut=1", "thinking=off_in_local_loop"}
    assert notes == set(answer.header("x-ccproxy-notes").replace(" ", "").split(","))


STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{}}}\n\n'
    b": comment\n\nid: 7\nretry: 10\nevent: from_the_future\r\ndata: {}\r\n\r\n"
    b'event: ping\ndata: {"type": "ping"}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
    b"trailing bytes"
)


@pytest.mark.parametrize(
    ("coding", "encode"), [(None, bytes), ("gzip", gzip.compress), ("br", brotli.compress)]
)
@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
async def test_the_answer_is_not_touched(kind, coding, encode, relay):
    """Body and coding arrive as Claude sent them, whatever is in them (267, 268, 269, 270)."""
    body = encode(STREAM)
    coded = [("content-encoding", coding)] if coding else []
    relay.claude.answer = http_answer(200, body, *coded, content_type=kind)

    answer = await post(
        relay.proxy, turn(model=CLAUDE), headers={"accept-encoding": "gzip, br;q=0.5"}
    )

    assert (body, coding, kind) == (
        answer.body,
        answer.header("content-encoding"),
        answer.header("content-type"),
    )
    assert b"accept-encoding: gzip, br;q=0.5" in relay.claude.heads[0].lower()
    again = await post(relay.proxy, turn(model=CLAUDE))
    assert 200 == again.status


START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",'
    b'"role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,'
    b'"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
)


@pytest.mark.parametrize(
    "half",
    [b"", b"event: content_block_start\n", b'event: x\ndata: {"a', b"event: ping\r\ndata: 1\r"],
)
async def test_a_stream_that_dies(half, relay):
    """Where Claude breaks off, an error event of its own follows what came (conformance 271)."""
    body = START + half
    relay.claude.answer = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n" % (len(body), body)
    )
    relay.claude.close_after = True
    try:
        answer = await post(relay.proxy, turn(model=CLAUDE, stream=True))
    finally:
        relay.claude.close_after = False

    assert answer.body.startswith(body)
    *_, (name, data) = frames(answer.body[answer.body.rindex(b"event: error") :])
    assert ("error", "api_error") == (name, json.loads(data)["error"]["type"])
    before = answer.body[: answer.body.rindex(b"event: error")]
    assert before.endswith((b"\n\n", b"\r\n\r\n"))
    if not half:
        assert None is not check_stream(answer.body).error


@pytest.mark.parametrize("status", [400, 429, 500, 529])
async def test_nothing_is_tried_again(status, relay):
    """Claude is asked once; its verdict and its `retry-after` are the client's (conformance 272)."""
    relay.claude.answer = http_answer(status, b"{}", ("retry-after", "3600"))

    answer = await post(relay.proxy, turn(model=CLAUDE))

    assert (status, "3600") == (answer.status, answer.header("retry-after"))
    assert 1 == len(relay.claude.bodies)


async def test_redirects_are_not_followed(relay):
    """A redirect is Claude's answer, not an address for our key (conformance 275, 012)."""
    relay.claude.answer = http_answer(307, b"", ("location", f"{relay.claude.base_url}/x"))

    answer = await post(relay.proxy, turn(model=CLAUDE))

    assert 307 == answer.status
    assert 1 == len(relay.claude.bodies)


async def test_cookies_are_not_kept(relay):
    """A cookie goes neither to a client nor back to Claude (conformance 274)."""
    relay.claude.answer = http_answer(200, b"{}", ("set-cookie", "__cf_bm=1; path=/"))

    for _ in range(2):
        answer = await post(relay.proxy, turn(model=CLAUDE))
        assert None is answer.header("set-cookie")

    assert b"cookie" not in relay.claude.heads[1].lower()


async def test_counting_passes(relay):
    """count_tokens of a Claude model is Claude's, its errors too (conformance 247)."""
    for status, body in ((200, b'{"input_tokens": 7 }'), (404, b"nothing here")):
        relay.claude.answer = http_answer(status, body)

        answer = await post(relay.proxy, turn(model=CLAUDE), path=COUNT)

        assert (status, body) == (answer.status, answer.body)


async def test_counting_does_not_fall_back():
    """Claude's failure to count is told, not papered over by an estimate (conformance 247)."""
    profile = {"tiers": {"opus": {"route": ["claude-opus", "qwen-coder"]}}}
    table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
    async with running_proxy(routing=table) as proxy:
        proxy.claude.faults.append(Fault(FaultKind.STATUS, status=529))
        answer = await post(proxy, turn(model=CLAUDE), path=COUNT)

    assert_error(answer, 529, "overloaded_error")


@pytest.mark.parametrize("stream", [False, True])
async def test_falling_back_to_a_local_model(stream):
    """Only where the route says so, before the first byte, and marked (conformance 273)."""
    profile = {"tiers": {"opus": {"route": ["claude-opus", "qwen-coder"]}}}
    table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
    async with running_proxy(routing=table) as proxy:
        await proxy.claude._server.refuse()
        answer = await post(proxy, turn(model=CLAUDE, stream=stream))

    assert 200 == answer.status
    assert "local" == answer.header("x-ccproxy-route")
    assert "claude-opus:connect_error,qwen-coder:ok" == answer.header("x-ccproxy-attempts")


async def test_other_methods_and_paths(relay):
    """The rest of the API passes raw, in both directions (conformance 006, 264, 268)."""
    relay.claude.answer = http_answer(200, b"\x00\xff" * 99, content_type="application/binary")

    answer = await ask(
        relay.proxy.base_url,
        "/v1/files/file_1/content?x=1",
        method="GET",
        headers=relay.proxy.headers,
    )

    assert b"\x00\xff" * 99 == answer.body
    head = relay.claude.heads[0]
    assert head.startswith(b"GET /v1/files/file_1/content?x=1 HTTP/1.1\r\n")
    assert UPSTREAM_KEY.encode() in head
    assert relay.proxy.token.encode() not in head


async def test_no_claude_path_without_claude(relay):
    """A wrong token stops here, before Claude (conformance 024, 264)."""
    answer = await post(relay.proxy, turn(model=CLAUDE), headers={"x-api-key": UPSTREAM_KEY})

    assert_error(answer, 401, "authentication_error")
    assert [] == relay.claude.bodies


async def test_logs_hold_no_secrets(relay, caplog):
    """Neither credentials nor prompts are logged, even where requests fail (conformance 277)."""
    caplog.set_level(logging.DEBUG)
    relay.claude.answer = b"HTTP/1.1 nonsense\r\n\r\n"

    await post(
        relay.proxy, turn("a secret prompt", CLAUDE), headers={"authorization": "Bearer zz9"}
    )
    await post(relay.proxy, turn("a secret prompt", "local-closed"))

    for secret in (relay.proxy.token, UPSTREAM_KEY, "zz9", "a secret prompt"):
        assert secret not in caplog.text
