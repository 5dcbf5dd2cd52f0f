"""Local streams from the first byte to the last, and what happens when they break (section G)."""

import asyncio
import json

import anthropic
import pytest

from ccproxy.demo.claude_faults import Fault, FaultKind
from tests.support.grammar import check_stream
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, MIXED, WEATHER, turn
from tests.support.waiting import settled, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

THINKER = "qwen-thinker"
DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 5}


def said(text="", **more):
    return {"message": {"role": "assistant", "content": text, **more}}


async def stream_of(proxy, body, path="/v1/messages"):
    answer = await ask(proxy.base_url, path, headers=proxy.headers, body={**body, "stream": True})
    assert 200 == answer.status, answer.body
    assert answer.complete
    return answer


def deltas(raw):
    frames = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: ")]
    return [f["delta"] for f in frames if f["type"] == "content_block_delta"]


async def test_headers_of_a_stream(proxy):
    """An event stream that nobody caches, buffers, measures or compresses (conformance 033, 039)."""
    answer = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers | {"accept-encoding": "gzip, deflate, br"},
        body=turn(stream=True),
    )

    assert answer.header("content-type").startswith("text/event-stream")
    assert "no-cache" == answer.header("cache-control")
    assert "no" == answer.header("x-accel-buffering")
    assert (None, None) == (answer.header("content-length"), answer.header("content-encoding"))
    assert not [name for name, _ in answer.headers if "ratelimit" in name]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "*/*"])
async def test_the_body_decides_whether_it_streams(accept, proxy):
    """`stream` in the body decides, nothing else (conformance 001, 163)."""
    headers = proxy.headers | {"accept": accept}
    kinds = {}
    for stream in (True, False, None):
        answer = await ask(
            proxy.base_url, "/v1/messages", headers=headers, body=turn(stream=stream)
        )
        kinds[stream] = answer.header("content-type").partition(";")[0]

    assert {
        True: "text/event-stream",
        False: "application/json",
        None: "application/json",
    } == kinds


SAME_BOTH_WAYS = {
    "text": turn("Tell me something ✓ naïve 🚀."),
    "long": turn("Give me 200 words.", max_tokens=1000),
    "cut": turn("Give me 200 words.", max_tokens=7),
    "tool": turn('use the get_weather tool with {"city": "Zürich 🚀"}', tools=[WEATHER]),
    "parallel": turn("use the get_weather tool 3 times", tools=[WEATHER]),
    "thinking": turn(
        "Think.", THINKER, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2048
    ),
    "omitted": turn("Think.", THINKER, thinking={"type": "adaptive", "display": "omitted"}),
    "hidden": turn("Think.", THINKER, thinking={"type": "disabled"}),
    "unasked": turn("Think.", THINKER),
    "thinking-tool": turn(
        "use the get_weather tool", THINKER, thinking={"type": "adaptive"}, tools=[WEATHER]
    ),
    "stop": turn("Give me 50 words.", stop_sequences=["steady", "never"]),
    "schema": turn(
        "Fill it.",
        output_config={"format": {"type": "json_schema", "schema": WEATHER["input_schema"]}},
    ),
}


@pytest.mark.parametrize("name", SAME_BOTH_WAYS)
async def test_whole_and_streamed_are_the_same(name, proxy):
    """The folded stream equals the message but for its ids, and keeps the grammar.

    (conformance 117, 119, 120, 122, 125, 126, 127, 128, 131, 132, 133, 134, 135, 136, 137, 138,
    140, 142, 143, 145, 146, 147, 148, 149)
    """
    body = SAME_BOTH_WAYS[name]

    streamed = check_stream((await stream_of(proxy, body)).body)
    whole = (await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)).json()

    assert None is streamed.error
    assert anonymous(whole) == anonymous(streamed.message)
    assert body["model"] == whole["model"]
    assert whole["id"].startswith("msg_")
    assert whole["id"] != streamed.message["id"]


def anonymous(message):
    blocks = [{k: v for k, v in block.items() if k != "id"} for block in message["content"]]
    usage = message["usage"]
    return [
        blocks,
        message["stop_reason"],
        message["stop_sequence"],
        message["model"],
        usage["input_tokens"],
        usage["output_tokens"],
    ]


@pytest.mark.parametrize("name", SAME_BOTH_WAYS)
async def test_the_sdk_accumulates_it(name, proxy):
    """The SDK's accumulator ends with what a non-streaming call gives (conformance 128)."""
    body = SAME_BOTH_WAYS[name]
    async with (
        anthropic.AsyncAnthropic(
            base_url=proxy.base_url, api_key=proxy.token, default_headers=proxy.headers
        ) as client,
        client.messages.stream(**body) as stream,
    ):
        final = await stream.get_final_message()

    whole = (await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)).json()
    kinds = [block.type for block in final.content]
    assert [block["type"] for block in whole["content"]] == kinds
    assert (whole["stop_reason"], whole["stop_sequence"]) == (
        final.stop_reason,
        final.stop_sequence,
    )
    for block, same in zip(final.content, whole["content"], strict=True):
        if block.type == "tool_use":
            assert same["input"] == block.input


@pytest.mark.parametrize(
    ("name", "shown"), [("thinking", True), ("omitted", False), ("hidden", None), ("unasked", None)]
)
async def test_thinking(name, shown, proxy):
    """Shown, omitted or absent as asked for, never as text (conformance 138, 139, 225)."""
    answer = await stream_of(proxy, SAME_BOTH_WAYS[name])

    blocks = check_stream(answer.body).message["content"]
    thoughts = [block for block in blocks if block["type"] == "thinking"]
    assert (shown is not None) == bool(thoughts)
    assert bool(shown) == any(block["thinking"] for block in thoughts)
    assert all(block["signature"] for block in thoughts)
    texts = "".join(block.get("text", "") for block in blocks)
    assert "I will answer briefly" not in texts
    asked = proxy.ollama.generations[0].body["think"]
    assert asked is (shown is not None)


async def test_parallel_tools(proxy):
    """Each call is a block with an id of its own and its full input (conformance 125, 140, 209, 210)."""
    answer = await stream_of(proxy, SAME_BOTH_WAYS["parallel"])

    message = check_stream(answer.body).message
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    assert "tool_use" == message["stop_reason"]
    assert 3 == len({call["id"] for call in calls})
    assert all(call["input"]["city"] for call in calls)


async def test_plain_text_flows(proxy):
    """Each upstream chunk is exactly one text_delta, at once (conformance 153, 205, 224)."""
    gates = [asyncio.Event() for _ in range(4)]
    words = ["Hallo", " \n", "Wörld 🚀", " <tool"]
    steps = [step for word, gate in zip(words, gates, strict=True) for step in (said(word), gate)]
    proxy.ollama.answer_with(*steps, said(""), DONE)
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, turn(stream=True))
        await connection.read_head()
        raw = b""
        for number, gate in enumerate(gates, 1):
            while len(deltas(raw)) < number:
                raw += await connection.read_chunk()
            gate.set()
        while chunk := await connection.read_chunk():
            raw += chunk

    assert words == [delta["text"] for delta in deltas(raw)]
    check_stream(raw)


@pytest.mark.parametrize("shape", ["split_utf8", "slow_bytes", "one_chunk"])
async def test_odd_pieces_from_upstream(shape, proxy):
    """Half characters, single bytes, everything at once: the same answer (conformance 161, 204)."""
    body = turn("Grüße 🚀 ✓ an alle", max_tokens=12)
    straight = check_stream((await stream_of(proxy, body)).body)
    proxy.ollama.add_fault(shape)

    odd = check_stream((await stream_of(proxy, body)).body)

    assert anonymous(straight.message) == anonymous(odd.message)


async def test_half_a_character_per_chunk(proxy):
    """Every byte of a record in an HTTP chunk of its own is reassembled (conformance 161)."""
    text = "日本語 🚀 ß"
    record = json.dumps({"model": "q", **said(text), "done": False}, ensure_ascii=False).encode()
    proxy.ollama.answer_with(*[bytes([byte]) for byte in record + b"\r\n"], DONE)

    answer = await stream_of(proxy, turn())

    assert text == check_stream(answer.body).message["content"][0]["text"]


@pytest.mark.parametrize("stream", [False, True])
async def test_stop_sequences(stream, proxy):
    """Exact, across chunks; the rest is not generated any more (conformance 120, 216, 217)."""
    gate = asyncio.Event()
    proxy.ollama.answer_with(said("eins ST"), said("O"), said("P zwei"), gate, said("drei"), DONE)

    async with asyncio.timeout(5):
        answer = await ask(
            proxy.base_url,
            "/v1/messages",
            headers=proxy.headers,
            body=turn(stop_sequences=["STOP"], stream=stream),
        )
        await proxy.ollama.generations[0].disconnected.wait()

    message = check_stream(answer.body).message if stream else answer.json()
    assert "eins " == message["content"][0]["text"]
    assert ("stop_sequence", "STOP") == (message["stop_reason"], message["stop_sequence"])


async def test_a_prefix_of_a_stop_sequence_is_given_back(proxy):
    """Text that only began like a stop sequence is part of the answer (conformance 217)."""
    proxy.ollama.answer_with(said("a ST"), said("Ö b ST"), DONE)

    answer = await stream_of(proxy, turn(stop_sequences=["STOP"]))

    message = check_stream(answer.body).message
    assert "a STÖ b ST" == message["content"][0]["text"]
    assert ("end_turn", None) == (message["stop_reason"], message["stop_sequence"])


async def test_max_tokens_zero(proxy):
    """Nothing is generated; a legal answer with usage (conformance 075)."""
    whole = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(max_tokens=0)
    )
    streamed = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(max_tokens=0, stream=True)
    )

    assert 200 == whole.status
    assert ([], "max_tokens") == (whole.json()["content"], whole.json()["stop_reason"])
    assert whole.json()["usage"]["input_tokens"] > 0
    assert 400 == streamed.status
    assert [] == proxy.ollama.generations


async def test_counting_is_the_estimate(proxy):
    """count_tokens and message_start say the same; message_delta what was counted (conformance 220, 246)."""
    body = turn("Zähl mich bitte. " * 50, tools=[WEATHER], system="You count.")

    counted = await ask(
        proxy.base_url,
        "/v1/messages/count_tokens",
        headers=proxy.headers,
        body={key: value for key, value in body.items() if key != "max_tokens"},
    )
    answer = await stream_of(proxy, body)

    frames = [json.loads(line[6:]) for line in answer.body.splitlines() if line[:6] == b"data: "]
    start = next(f for f in frames if f["type"] == "message_start")["message"]["usage"]
    end = next(f for f in frames if f["type"] == "message_delta")["usage"]
    assert counted.json()["input_tokens"] == start["input_tokens"]
    assert proxy.ollama.generations[0].prompt_tokens == end["input_tokens"]


async def test_missing_counts(proxy):
    """Where Ollama gives no counts, ours stand in, never null (conformance 122, 218)."""
    proxy.ollama.add_fault("missing_counts")

    message = check_stream((await stream_of(proxy, turn())).body).message

    assert message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] > 0


async def test_what_ollama_received(proxy):
    """Runner options never differ, so one load serves all (conformance 197, 198, 199, 232)."""
    bodies = [
        turn(),
        turn("x " * 2000, max_tokens=9, temperature=0.1),
        turn(stream=True, top_k=3, top_p=0.5, stop_sequences=["x"]),
        turn(tools=[WEATHER], system="Be brief.", metadata={"user_id": "u"}),
        turn("use the get_weather tool", tools=[WEATHER], tool_choice={"type": "any"}),
        turn(output_config={"effort": "high"}, thinking={"type": "adaptive"}),
    ]
    for body in bodies:
        answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)
        assert 200 == answer.status, answer.body

    received = [request.body for request in proxy.ollama.generations]
    assert len(bodies) == len(received)
    assert 1 == proxy.ollama.loads
    for body in received:
        pinned = (body["options"]["num_ctx"], body["keep_alive"], body["truncate"], body["shift"])
        assert (32768, "30m", False, False) == pinned
        assert True is body["stream"]
    assert {"num_ctx", "num_predict"} == set(received[0]["options"])


# --- breaking off ---------------------------------------------------------------------------

BREAKS = {
    "reset": ({}, "api_error"),
    "close": ({}, "api_error"),
    "no_done": ({}, "api_error"),
    "error_line": ({}, "api_error"),
    "error_line context": (
        {"message": "request (9 tokens) exceeds the available context size"},
        "invalid_request_error",
    ),
    "garbage_line": ({}, "api_error"),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_a_stream_that_breaks(name, proxy):
    """`event: error` of a documented type, then nothing; never a clean end (155, 156, 157, 222, 286)."""
    settings, error_type = BREAKS[name]
    proxy.ollama.add_fault(name.partition(" ")[0], after_records=3, **settings)

    answer = await stream_of(proxy, turn("Give me 100 words."))

    checked = check_stream(answer.body)
    assert error_type == checked.error["type"]
    assert checked.message["content"][0]["text"]
    assert answer.body.endswith(b"\n\n")
    for leak in (b"litellm", b"Traceback", b"127.0.0.1", b"llama_decode"):
        assert leak not in answer.body


@pytest.mark.parametrize("name", BREAKS)
async def test_a_whole_answer_that_breaks(name, proxy):
    """A client that does not stream gets an HTTP status instead (conformance 154, 222)."""
    settings, error_type = BREAKS[name]
    proxy.ollama.add_fault(name.partition(" ")[0], times=2, after_records=3, **settings)

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn("Give me 100 words.")
    )

    assert answer.status in (400, 502)
    assert error_type == answer.error["type"]


async def test_the_sdk_raises_when_a_stream_breaks(proxy):
    """The SDK's view: an error with our type, not a short success (conformance 156)."""
    proxy.ollama.add_fault("reset", after_records=3)
    async with anthropic.AsyncAnthropic(
        base_url=proxy.base_url, api_key=proxy.token, default_headers=proxy.headers, max_retries=0
    ) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            async with client.messages.stream(**turn("Give me 100 words.")) as stream:
                await stream.until_done()

    assert "api_error" == caught.value.body["error"]["type"]


async def test_ollama_restarts_in_the_middle(proxy):
    """The open stream ends in an error event, the next request works (conformance 242)."""
    gate = asyncio.Event()
    proxy.ollama.answer_with(said("one"), gate)
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, turn(stream=True))
        await connection.read_until(b"text_delta")
        await proxy.ollama.refuse()
        rest = await connection.read_until(b"0\r\n\r\n")
    await proxy.ollama.resume()

    again = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())

    assert b"event: error" in rest
    assert b"message_stop" not in rest
    assert 200 == again.status


# --- the client leaves ------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("when", ["before the first byte", "in the middle", "in the headers"])
@pytest.mark.parametrize("side", ["ollama", "claude"])
async def test_the_client_leaves(side, when, stream, proxy):
    """The upstream hears of it within a second, in every phase and mode (conformance 159)."""
    if side == "ollama":
        kind = {"in the middle": "stall", "in the headers": "delay_headers"}.get(when, "hang")
        proxy.ollama.add_fault(kind, after_records=2, seconds=30 if kind == "delay_headers" else 0)
    else:
        after = {"in the middle": 150}.get(when, 0)
        proxy.claude.faults.append(claude_fault("stall" if after else "hang", after_bytes=after))
    body = turn("Give me 50 words.", MIXED if side == "ollama" else CLAUDE, stream=stream)
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, body)
        record = await arrived(proxy, side)
        if when == "in the middle" and (stream or side == "claude"):
            await connection.read_head()
            await connection.read_chunk() if stream else await connection.reader.read(10)
        connection.abort()
        async with asyncio.timeout(1):
            await record.disconnected.wait()

    if side == "ollama":
        assert [] == list(proxy.claude.requests), "a client that left must not cause a fallback"


async def arrived(proxy, side):
    if side == "ollama":
        return await proxy.ollama.generation()
    await until(lambda: proxy.claude.requests and proxy.claude.requests[0].body)
    return proxy.claude.requests[0]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/files", b""),
        ("POST", "/v1/files", b"x" * 1000),
        ("POST", "/v1/messages/batches", {"requests": []}),
    ],
)
async def test_the_client_of_another_path_leaves(method, path, body, proxy):
    """Forwarded paths are cancelled as well, before Claude's first byte (conformance 159)."""
    proxy.claude.faults.append(claude_fault("hang"))
    async with wire(proxy.base_url) as connection:
        await connection.send(method, path, proxy.headers, body)
        await until(lambda: proxy.claude.requests)
        record = proxy.claude.requests[0]
        connection.abort()
        async with asyncio.timeout(1):
            await record.disconnected.wait()


async def test_the_client_leaves_during_an_upload(proxy):
    """Claude sees the upload broken off, too (conformance 159, 278)."""
    async with wire(proxy.base_url) as connection:
        connection.write_head("POST", "/v1/files", proxy.headers, 1_000_000)
        connection.writer.write(b"x" * 100_000)
        await until(lambda: proxy.claude.requests)
        record = proxy.claude.requests[0]
        connection.abort()
        async with asyncio.timeout(1):
            await record.disconnected.wait()


async def test_a_slow_reader_holds_the_model_back(proxy):
    """What a client does not read is not generated on its account (conformance 160)."""
    text = "x" * 1000
    total = 40_000
    proxy.ollama.answer_with(*[said(text)] * total, DONE)
    async with wire(proxy.base_url, read_limit_bytes=2**16) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, turn(stream=True))
        await connection.read_head()
        connection.writer.transport.pause_reading()
        record = await proxy.ollama.generation()
        others = [
            await ask(
                proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
            )
            for _ in range(3)
        ]
        assert await settled(lambda: record.records_sent) < total / 2
        assert not record.finished.is_set()
        connection.abort()
        async with asyncio.timeout(1):
            await record.disconnected.wait()

    assert [200] * 3 == [answer.status for answer in others]


def claude_fault(kind, **settings):
    return Fault(FaultKind(kind), **settings)
