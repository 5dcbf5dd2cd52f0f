"""A committed stream passes to the next attempt until its first content (design 5)."""

import asyncio
import gzip
import json
import re

import anthropic
import pytest

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault, FaultKind
from tests.support.grammar import check_stream
from tests.support.http_wire import wire
from tests.support.messages import WEATHER, turn
from tests.support.outcomes import outcome_of
from tests.support.proxy import running_proxy
from tests.support.raw_upstream import raw_upstream
from tests.support.sdk_stream import accumulated
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

THEN_CLAUDE = "claude-sonnet-4-5"
THEN_TWO_CLAUDES = "claude-opus-4-6"
THEN_LOCAL = "claude-haiku-4-5"
PRIVATE = "/agents/security-auditor/v1/messages"
TABLE = {
    "version": 1,
    "active_profile": "p",
    "profiles": {
        "p": {
            "rules": [{"name": "hurry", "when": {"header": {"x-hurry": "yes"}}, "deadline_s": 0.6}],
            "tiers": {
                "sonnet": {"route": ["qwen-coder", "claude-sonnet"]},
                "opus": {"route": ["qwen-coder", "claude-opus", "claude-sonnet"]},
                "haiku": {"route": ["qwen-coder", "qwen-fast"]},
            },
            "agents": {
                "security-auditor": {
                    "route": ["qwen-coder", "claude-sonnet", "qwen-fast"],
                    "privacy": "local_only",
                }
            },
            "default": {"route": ["qwen-coder", "claude-sonnet"]},
        }
    },
}
PATIENCE_S = 0.1
PROXY_OPTIONS = {"routing": TABLE, "patience_s": PATIENCE_S, "ping_after_s": 0.05}
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 5}


def said(text="", **more):
    return {"message": {"role": "assistant", "content": text, **more}}


def called(name, arguments):
    calls = [{"function": {"name": name, "arguments": arguments}}]
    return {**said(tool_calls=calls), **DONE}


class Stream:
    """A stream that a client reads; the local model waits until it is committed."""

    def __init__(self, connection, request_id, headers, gate):
        self.connection = connection
        self.request_id = request_id
        self.headers = headers
        self.gate = gate
        self.raw = b""

    async def read_until(self, needle):
        while needle not in self.raw:
            self.raw += await self.connection.read_chunk()

    async def rest(self):
        """Let the local model go on, and read to the end."""
        self.gate.set()
        while chunk := await self.connection.read_chunk():
            self.raw += chunk
        return self.raw

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.gate.set()


@pytest.fixture
def committed(proxy):
    """Returns a client's stream, committed by the proxy, of a local model that said nothing."""
    return lambda body, *steps, **options: _Committing(proxy, body, steps, **options)


class _Committing:
    def __init__(self, proxy, body, steps, *, path="/v1/messages", headers=None):
        self.proxy, self.body, self.steps, self.path = proxy, body, steps, path
        self.headers = proxy.headers | (headers or {})

    async def __aenter__(self):
        self.gate = asyncio.Event()
        self.proxy.ollama.answer_with(self.gate, *self.steps)
        self.wire = wire(self.proxy.base_url)
        connection = await self.wire.__aenter__()
        body = {**self.body, "stream": True}
        await connection.send("POST", self.path, self.headers, body)
        status, headers = await connection.read_head()
        assert 200 == status
        known = dict(headers)
        assert "qwen-coder:ok" == known["x-ccproxy-attempts"]
        stream = Stream(connection, known["x-ccproxy-request-id"], known, self.gate)
        await stream.read_until(b"event: ping")
        return stream

    async def __aexit__(self, *exc):
        self.gate.set()
        await self.wire.__aexit__(*exc)


def text_of(message):
    return "".join(block.get("text", "") for block in message["content"])


def without_pings(raw):
    return raw.replace(PING, b"")


BREAKS = {
    # how the local model fails after the commit: (steps behind the gate, fault, failure class)
    "error line": ([b'{"error":"llama runner process has terminated"}\n'], None, "broken_stream"),
    "no done": ([], None, "broken_stream"),
    "garbage": ([b"llama_decode: failed\n"], None, "malformed_output"),
    "reset": ([said("\n")], "reset", "broken_stream"),
    "close": ([said("\n")], "close", "broken_stream"),
}


@pytest.mark.parametrize("model", [THEN_CLAUDE, THEN_LOCAL])
@pytest.mark.parametrize("name", BREAKS)
async def test_the_next_attempt_answers(name, model, proxy, committed):
    """One whole answer behind one start, whose name is the client's (conformance 121, 132, 150)."""
    steps, fault, failure = BREAKS[name]
    if fault is not None:
        proxy.ollama.add_fault(fault, after_records=1)
    async with committed(turn(model=model), *steps) as stream:
        raw = await stream.rest()

    checked = check_stream(raw)
    assert checked.error is None
    assert 1 == raw.count(b"event: message_start\n")
    assert "[simulated" in text_of(checked.message)
    assert model == accumulated(raw).model
    second, side = ("claude-sonnet", "claude") if model == THEN_CLAUDE else ("qwen-fast", "local")
    outcome = await outcome_of(proxy, stream.request_id)
    assert [f"qwen-coder:{failure}", f"{second}:ok"] == outcome["attempts"]
    assert (second, side, "completed", 200) == (
        outcome["deployment"],
        outcome["route"],
        outcome["ending"],
        outcome["status"],
    )
    assert outcome["ttft_s"] > PATIENCE_S
    usage = accumulated(raw).usage
    assert (usage.input_tokens, usage.output_tokens) == (
        outcome["input_tokens"],
        outcome["output_tokens"],
    )


async def test_claudes_bytes(proxy, committed):
    """But for the start, and pings in silence, Claude's stream is Claude's (design 5)."""
    async with committed(turn(model=THEN_CLAUDE)) as stream:
        raw = await stream.rest()
    body = json.dumps({**turn(model=THEN_CLAUDE), "stream": True}).encode()
    async with wire(proxy.claude_url) as direct:
        headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
        await direct.send("POST", "/v1/messages", headers, body)
        answer = await direct.read_answer()

    assert body == proxy.claude.requests[0].body
    rest = answer.body[answer.body.index(b"\n\n") + 2 :]
    ours = raw[raw.index(b"\n\n") + 2 :]
    same = re.compile(rb'"signature":"[^"]*"')
    assert same.sub(b"", without_pings(rest)) == same.sub(b"", without_pings(ours))


async def test_a_client_that_asks_for_gzip(proxy, committed):
    """The headers are out, so Claude is asked for a plain stream (conformance 036)."""
    proxy.claude.faults.append(Fault(FaultKind.ENCODE, coding="gzip"))
    headers = {"accept-encoding": "gzip, br"}
    async with committed(turn(model=THEN_CLAUDE), headers=headers) as stream:
        raw = await stream.rest()

    assert "content-encoding" not in stream.headers
    assert check_stream(raw).error is None
    sent = [pair for pair in proxy.claude.requests[0].headers if pair[0] == b"accept-encoding"]
    assert [(b"accept-encoding", b"identity")] == sent


async def test_headers_keep_what_was_known(proxy, committed):
    """What is out stays; the log's note and attempts tell of the rest (design 5)."""
    async with committed(turn(model=THEN_CLAUDE)) as stream:
        await stream.rest()

    assert ("qwen-coder", "local") == (
        stream.headers["x-ccproxy-deployment"],
        stream.headers["x-ccproxy-route"],
    )
    scraped = proxy.proxy.metrics.exposition()[0].decode()
    assert 'ccproxy_notes_total{kind="late_fallback"}' in scraped


async def test_invalid_calls_twice(proxy, committed):
    """After the repair turn the next attempt answers; no byte of a wrong call is relayed (186)."""
    body = turn("use the get_weather tool", THEN_CLAUDE, tools=[WEATHER])
    async with committed(body, called("get_weather", {"town": "first"})) as stream:
        proxy.ollama.answer_with(called("get_weather", {"town": "second"}))
        raw = await stream.rest()

    assert b"town" not in raw
    checked = check_stream(raw)
    assert ["get_weather"] == [
        block["name"] for block in checked.message["content"] if block["type"] == "tool_use"
    ]
    outcome = await outcome_of(proxy, stream.request_id)
    assert ["qwen-coder:malformed_output", "claude-sonnet:ok"] == outcome["attempts"]


async def test_the_second_claude(proxy, committed):
    """An error of the first Claude falls on to the next attempt."""
    proxy.claude.faults.append(Fault(FaultKind.STATUS, status=529))
    async with committed(turn(model=THEN_TWO_CLAUDES)) as stream:
        raw = await stream.rest()

    assert check_stream(raw).error is None
    outcome = await outcome_of(proxy, stream.request_id)
    assert ["qwen-coder:broken_stream", "claude-opus:overloaded", "claude-sonnet:ok"] == outcome[
        "attempts"
    ]


@pytest.mark.parametrize(
    "kind", [FaultKind.ERROR_EVENT, FaultKind.RESET, FaultKind.CUT], ids=lambda kind: kind.value
)
@pytest.mark.parametrize("after_bytes", [1, 300])
async def test_claude_breaks_before_its_content(kind, after_bytes, proxy, committed):
    """Claude's own start is not content: the next Claude answers, in one well-formed stream."""
    proxy.claude.faults.append(Fault(kind, after_bytes=after_bytes))
    async with committed(turn(model=THEN_TWO_CLAUDES)) as stream:
        raw = await stream.rest()

    checked = check_stream(raw)
    assert 1 == raw.count(b"message_start\n")
    assert checked.error is None
    assert 2 == len(proxy.claude.requests)
    attempts = (await outcome_of(proxy, stream.request_id))["attempts"]
    assert ["qwen-coder", "claude-opus", "claude-sonnet"] == [
        attempt.partition(":")[0] for attempt in attempts
    ]


async def test_nothing_is_tried_again_after_content(proxy, committed):
    """From the first content on a failure ends the stream, and Claude hears nothing (155)."""
    async with committed(turn(model=THEN_CLAUDE), said("one word")) as stream:
        raw = await stream.rest()

    checked = check_stream(raw)
    assert ("one word", "api_error") == (text_of(checked.message), checked.error["type"])
    assert [] == list(proxy.claude.requests)
    outcome = await outcome_of(proxy, stream.request_id)
    assert (["qwen-coder:broken_stream"], "broken") == (outcome["attempts"], outcome["ending"])


async def test_claude_breaks_after_its_content(proxy, committed):
    """What Claude began it alone can end: one error event on a frame boundary (155, 271)."""
    proxy.claude.faults.append(Fault(FaultKind.RESET, after_bytes=1000))
    async with committed(turn("Give me 90 words.", THEN_TWO_CLAUDES)) as stream:
        raw = await stream.rest()

    checked = check_stream(raw)
    assert "api_error" == checked.error["type"]
    assert 1 == len(proxy.claude.requests)
    outcome = await outcome_of(proxy, stream.request_id)
    assert ["qwen-coder:broken_stream", "claude-opus:broken_stream"] == outcome["attempts"]
    assert "broken" == outcome["ending"]


@pytest.mark.parametrize(
    ("status", "error_type", "failure"),
    [
        (529, "overloaded_error", "overloaded"),
        (429, "rate_limit_error", "rate_limit"),
        (401, "authentication_error", "upstream_auth"),
        (500, "api_error", "overloaded"),
        (400, "invalid_request_error", "client_fault"),
    ],
)
async def test_the_last_error_is_claudes_own(status, error_type, failure, proxy, committed):
    """With nobody left its type and words become the one error event (conformance 155, 156)."""
    fault = Fault(FaultKind.STATUS, status=status, message="Wörtlich 🚀")
    proxy.claude.faults.append(fault)
    async with committed(turn(model=THEN_CLAUDE)) as stream:
        raw = await stream.rest()

    checked = check_stream(raw)
    assert {"type": error_type, "message": "Wörtlich 🚀"} == checked.error
    assert [] == checked.message["content"]
    with pytest.raises(anthropic.APIStatusError, match="Wörtlich"):
        accumulated(raw)
    outcome = await outcome_of(proxy, stream.request_id)
    assert ["qwen-coder:broken_stream", f"claude-sonnet:{failure}"] == outcome["attempts"]
    assert ("broken", None) == (outcome["ending"], outcome["ttft_s"])


async def test_claudes_error_event_is_the_last(proxy, committed):
    """An error inside Claude's stream keeps its type and words, too."""
    proxy.claude.faults.append(Fault(FaultKind.ERROR_EVENT, after_bytes=1, message="Full up."))
    async with committed(turn(model=THEN_CLAUDE)) as stream:
        raw = await stream.rest()

    assert {"type": "overloaded_error", "message": "Full up."} == check_stream(raw).error


async def test_all_fail(proxy, committed):
    """One error event with the failure that says most: an outage that passes (conformance 155)."""
    proxy.ollama.add_fault("unauthorized", model="qwen-fast:latest")
    async with committed(turn(model=THEN_LOCAL)) as stream:
        raw = await stream.rest()

    checked = check_stream(raw)
    assert "api_error" == checked.error["type"]
    assert "broke off" in checked.error["message"]
    outcome = await outcome_of(proxy, stream.request_id)
    assert ["qwen-coder:broken_stream", "qwen-fast:upstream_auth"] == outcome["attempts"]
    assert ("broken", "qwen-fast") == (outcome["ending"], outcome["deployment"])


async def test_claude_unreachable(proxy, committed):
    """An attempt that cannot be opened is told in our words, without an address."""
    outage = asyncio.create_task(proxy.claude.refuse(0.4))
    await asyncio.sleep(0)
    async with committed(turn(model=THEN_CLAUDE)) as stream:
        raw = await stream.rest()
    await outage

    checked = check_stream(raw)
    assert "overloaded_error" == checked.error["type"]
    assert b"127.0.0.1" not in raw


async def test_local_only_never_gets_there(proxy, committed):
    """The plan of a `local_only` request has no Claude, however late it fails (design 4.4)."""
    proxy.ollama.add_fault("error_line", model="qwen-fast:latest", after_records=0, times=2)
    async with committed(turn(model=THEN_CLAUDE), path=PRIVATE) as stream:
        raw = await stream.rest()

    assert "api_error" == check_stream(raw).error["type"]
    outcome = await outcome_of(proxy, stream.request_id)
    assert ["qwen-coder:broken_stream", *["qwen-fast:broken_stream"] * 2] == outcome["attempts"]
    assert [] == list(proxy.claude.requests)


async def test_pings_go_on(proxy, committed):
    """While the next attempt is being opened the line is not silent (conformance 151)."""
    proxy.claude.faults.append(Fault(FaultKind.DELAY, seconds=0.4))
    async with committed(turn(model=THEN_CLAUDE)) as stream:
        before = stream.raw.count(b"event: ping")
        stream.gate.set()
        proxy.claude.arrived.clear()
        await until(lambda: proxy.claude.requests)
        while stream.raw.count(b"event: ping") < before + 4:
            stream.raw += await stream.connection.read_chunk()
        assert not proxy.claude.requests[0].finished
        raw = await stream.rest()

    assert check_stream(raw).error is None


@pytest.mark.parametrize("moment", ["opening", "answering"])
async def test_the_client_leaves(moment, proxy, committed):
    """Whichever attempt is running is let go within a second, with one outcome (159)."""
    kind, after = (FaultKind.HANG, 0) if moment == "opening" else (FaultKind.STALL, 900)
    proxy.claude.faults.append(Fault(kind, after_bytes=after))
    async with committed(turn("Give me 90 words.", THEN_CLAUDE)) as stream:
        stream.gate.set()
        await until(lambda: proxy.claude.requests)
        if moment == "answering":
            await stream.read_until(b"content_block_delta")
        stream.connection.abort()
        async with asyncio.timeout(1):
            await proxy.claude.requests[0].disconnected.wait()
            await proxy.ollama.idle()

    outcome = await outcome_of(proxy, stream.request_id)
    assert ("client_gone", "claude-sonnet") == (outcome["ending"], outcome["deployment"])
    assert "qwen-coder:broken_stream" == outcome["attempts"][0]


async def test_the_deadline_holds(proxy, committed):
    """An attempt that is still being opened at the deadline is cut off (conformance 155)."""
    proxy.claude.faults.append(Fault(FaultKind.HANG))
    async with committed(turn(model=THEN_CLAUDE), headers={"x-hurry": "yes"}) as stream:
        async with asyncio.timeout(3):
            raw = await stream.rest()
        await proxy.claude.requests[0].disconnected.wait()

    assert "timeout_error" == check_stream(raw).error["type"]
    outcome = await outcome_of(proxy, stream.request_id)
    assert ("broken", "claude-sonnet") == (outcome["ending"], outcome["deployment"])


# --- deployments of the test's own --------------------------------------------------------------


def deployments(ollama_url, claude_url, **params):
    local = {"model": "ollama_chat/qwen2.5-coder:32b-instruct", "api_base": ollama_url} | params
    claude = {"model": "anthropic/*", "api_base": claude_url, "api_key": "k"}
    return {
        "model_list": [
            {"model_name": "qwen-coder", "litellm_params": {"num_ctx": 32768, **local}},
            {"model_name": "claude-sonnet", "litellm_params": claude},
        ]
    }


ONE_ROUTE = {
    "version": 1,
    "active_profile": "p",
    "profiles": {"p": {"default": {"route": ["qwen-coder", "claude-sonnet"]}}},
}


async def whole_stream(base_url, headers):
    async with wire(base_url) as connection:
        body = turn(model=THEN_CLAUDE, stream=True)
        await connection.send("POST", "/v1/messages", headers, body)
        return await connection.read_answer()


async def test_a_model_that_never_speaks():
    """The first byte's time limit ends the first attempt, and Claude answers (conformance 157)."""
    async with (
        raw_upstream(b"", deaf=True) as ollama,
        SimulatedClaude(speed=0).serve() as claude_url,
        running_proxy(
            routing=ONE_ROUTE,
            changes=deployments(ollama.base_url, claude_url, timeout=0.4),
            patience_s=0.05,
            ping_after_s=0.05,
        ) as proxy,
    ):
        answer = await whole_stream(proxy.base_url, proxy.headers)
        outcome = await outcome_of(proxy, answer.header("x-ccproxy-request-id"))

    assert "qwen-coder:ok" == answer.header("x-ccproxy-attempts")
    assert check_stream(answer.body).error is None
    assert ["qwen-coder:timeout_first_byte", "claude-sonnet:ok"] == outcome["attempts"]


def sse(*events):
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in events
    )


BARE_CLAUDE = sse(
    {
        "type": "message_start",
        "message": {
            "id": "msg_up",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 21, "cache_read_input_tokens": 8, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "héllo"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
)


@pytest.mark.parametrize("coding", ["", "gzip", "compress"])
async def test_a_claude_that_minds_no_accept_encoding(coding):
    """What comes encoded all the same is decoded, or told as a failure; usage is whole (146)."""
    body = gzip.compress(BARE_CLAUDE) if coding == "gzip" else BARE_CLAUDE
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
    head += f"content-encoding: {coding}\r\n".encode() if coding else b""
    async with (
        raw_upstream(b"", deaf=True) as ollama,
        raw_upstream(head + b"\r\n" + body, close_after=True) as claude,
        running_proxy(
            routing=ONE_ROUTE,
            changes=deployments(ollama.base_url, claude.base_url, timeout=0.2),
            patience_s=0.05,
            ping_after_s=0.05,
        ) as proxy,
    ):
        answer = await whole_stream(proxy.base_url, proxy.headers)
        outcome = await outcome_of(proxy, answer.header("x-ccproxy-request-id"))

    if coding == "compress":
        assert "malformed" in outcome["attempts"][1]
        assert "api_error" == check_stream(answer.body).error["type"]
        return
    message = accumulated(answer.body)
    assert "héllo" == message.content[0].text
    usage = message.usage
    assert (21, 8, 3) == (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
    assert (21, 8, 3) == (
        outcome["input_tokens"],
        outcome["cache_read_input_tokens"],
        outcome["output_tokens"],
    )
