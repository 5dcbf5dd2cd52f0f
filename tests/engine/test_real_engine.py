"""The whole way to tokens that are really computed: SDK, proxy, Ollama's API, llama.cpp, a model.

What the tiny model says is in tests/support/tiny_model.py; what it says depends on its prompt.
"""

import asyncio
import json
import re
import time

import anthropic
import pytest

from ccproxy.demo.ollama_requests import parse_call
from tests.support.engine_ollama import PLAIN, THINKER, engine_models, engine_request
from tests.support.engine_proxy import NUM_CTX, SMALL_NUM_CTX
from tests.support.http_wire import ask, wire
from tests.support.messages import WEATHER, turn
from tests.support.sizes import count
from tests.support.tiny_model import CITIES, COMMENT, ENDLESS, TEXT, THOUGHT
from tests.support.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.needs("llamacpp")]

TOO_LONG = re.compile(r"prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)", re.IGNORECASE)
"""Claude Code's own pattern, on which it compacts (conformance 058)."""
THINK = {"type": "enabled", "budget_tokens": 1024}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}

REQUESTS = {
    "text": turn(model="plain"),
    "tools": turn(model="plain", tools=[WEATHER]),
    "thinking": turn(model="thinker", max_tokens=2048, thinking=THINK),
    "thinking and tools": turn(model="thinker", max_tokens=2048, thinking=THINK, tools=[WEATHER]),
    "length": turn("An endless story.", model="plain", max_tokens=10),
    "stop sequence": turn(model="plain", stop_sequences=["local"]),
    "schema": turn(
        model="plain", output_config={"format": {"type": "json_schema", "schema": SCHEMA}}
    ),
}


async def streamed(client, request):
    """Return the accumulated message of a stream, and its events."""
    async with client.messages.stream(**request) as stream:
        events = [event async for event in stream]
        return await stream.get_final_message(), events


def content(message):
    """Return what an answer says, without ids."""
    return [block.model_dump(exclude={"id"}, exclude_none=True) for block in message.content]


async def test_each_token_arrives_as_one_delta(engine_proxy):
    """Without tools and stop sequences each piece the engine computes is one text_delta."""
    message, events = await streamed(engine_proxy.client, REQUESTS["text"])

    deltas = [e.delta.text for e in events if e.type == "content_block_delta"]
    assert "".join(deltas) == TEXT
    assert len(deltas) == len(TEXT.split(" "))
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", len(deltas) + 1)


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_stream_and_a_whole_answer_are_the_same(kind, engine_proxy):
    """The same request, streamed or not, has the same content, stop reason and counts."""
    client, request = engine_proxy.client, REQUESTS[kind]
    whole = await client.messages.create(**request)
    stream, _ = await streamed(client, request)

    assert content(stream) == content(whole)
    assert (stream.stop_reason, stream.stop_sequence) == (whole.stop_reason, whole.stop_sequence)
    assert stream.usage.input_tokens == whole.usage.input_tokens


async def test_tools_are_called_and_their_results_consumed(engine_proxy):
    """Calls of the model are `tool_use` blocks; with their results in the prompt it goes on."""
    client = engine_proxy.client
    request = REQUESTS["tools"]
    first, _ = await streamed(client, request)
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls
    ]
    history = [
        *request["messages"],
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second, _ = await streamed(client, {**request, "messages": history})

    assert first.stop_reason == "tool_use"
    assert [(call.name, call.input) for call in calls] == [
        (WEATHER["name"], {"city": city}) for city in CITIES
    ]
    assert len({call.id for call in calls}) == len(CITIES)
    assert (second.content[0].text, second.stop_reason) == (COMMENT, "end_turn")


async def test_thinking_is_asked_for_and_told_apart(engine_proxy):
    """Thinking comes as a block of its own if wanted, and not at all if not (193, 194, 225)."""
    client, engine = engine_proxy.client, engine_proxy.engine
    wanted, _ = await streamed(client, REQUESTS["thinking"])
    unwanted, _ = await streamed(client, turn(model="thinker"))

    assert [block.type for block in wanted.content] == ["thinking", "text"]
    assert (wanted.content[0].thinking, wanted.content[1].text) == (THOUGHT, TEXT)
    assert [block.text for block in unwanted.content] == [TEXT]
    assert [chat.body["think"] for chat in engine.chats] == [True, False]


async def test_an_answer_keeps_to_its_schema(engine_proxy):
    """A schema becomes a grammar that the engine samples by (conformance 196)."""
    message = await engine_proxy.client.messages.create(**REQUESTS["schema"])

    assert json.loads(message.content[0].text).keys() == {"city", "people"}
    assert message.stop_reason == "end_turn"


async def test_a_stop_sequence_ends_the_generation(engine_proxy):
    """The answer ends before the sequence, says which, and the engine stops too (217)."""
    client = engine_proxy.client
    request = turn("An endless story.", model="plain", max_tokens=4000, stop_sequences=["tock"])
    message, _ = await streamed(client, request)
    await engine_proxy.engine.server().idle()

    assert (message.content[0].text, message.stop_reason) == (f"{ENDLESS[0]} ", "stop_sequence")
    assert message.stop_sequence == "tock"


@pytest.mark.parametrize("kind", ["text", "tools", "thinking and tools"])
async def test_counts_are_those_of_the_engines_tokenizer(kind, engine_proxy):
    """`input_tokens` is the length of the rendered prompt, cached or not (218, 219)."""
    engine, request = engine_proxy.engine, REQUESTS[kind]
    model = THINKER if request["model"] == "thinker" else PLAIN
    message, events = await streamed(engine_proxy.client, request)
    again, _ = await streamed(engine_proxy.client, request)

    call = parse_call(engine.chats[0].raw, is_chat=True)
    known = {each.name: each for each in engine_models()}[model]
    rendered = engine_request(call, call.messages, known)
    tokens = await engine.server(model).prompt_tokens(rendered)
    assert [record["prompt_eval_count"] for record in engine.final_records] == [tokens, tokens]
    assert (message.usage.input_tokens, again.usage.input_tokens) == (tokens, tokens)
    assert events[0].message.usage.input_tokens > 0


async def test_a_second_turn_reads_only_what_is_new(engine_proxy):
    """What was sent and said before is sent again byte for byte: it is found in the KV cache."""
    client, engine = engine_proxy.client, engine_proxy.engine
    system = "You are terse. " * 100
    request = turn("First question.", model="plain", system=system, tools=[WEATHER])
    first, _ = await streamed(client, request)
    messages = [
        *request["messages"],
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": block.id, "content": "rain"}
                for block in first.content
            ],
        },
    ]
    second, _ = await streamed(client, {**request, "messages": messages})

    # All but the last token of the prompt stays in the cache; the calls, said in a few tokens, are
    # read again letter by letter.
    assert engine.cached_tokens[1] >= first.usage.input_tokens - 1
    assert second.usage.input_tokens - engine.cached_tokens[1] < 400
    assert second.content[0].text == COMMENT


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_frees_the_slot_at_once(stream, engine_proxy):
    """An endless generation ends when its client leaves, and the only slot serves the next."""
    proxy, engine = engine_proxy.proxy, engine_proxy.engine
    body = turn("An endless story.", model="plain", max_tokens=8000, stream=stream)
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, body)
        await until(lambda: engine.chats and engine.chats[0].records_sent > 20)
        if stream:
            await connection.read_until(ENDLESS[0].encode())
        assert await engine.server().busy_slots() == 1
        left_at = time.monotonic()
        connection.abort()
        await engine.server().idle()
        freed_s = time.monotonic() - left_at
    message, _ = await streamed(engine_proxy.client, REQUESTS["text"])

    assert engine.chats[0].disconnected.is_set()
    assert len(engine.final_records) == 1  # of the second request: the first never came to its end
    assert freed_s < 2
    assert message.content[0].text == TEXT


async def test_a_client_that_leaves_the_queue_is_not_served(engine_proxy):
    """Whoever leaves while another has the slot costs the engine nothing afterwards."""
    proxy, engine = engine_proxy.proxy, engine_proxy.engine
    endless = turn("An endless story.", model="plain", max_tokens=8000, stream=True)
    async with wire(proxy.base_url) as first, wire(proxy.base_url) as second:
        await first.send("POST", "/v1/messages", proxy.headers, endless)
        await first.read_until(ENDLESS[0].encode())
        await second.send("POST", "/v1/messages", proxy.headers, REQUESTS["text"])
        await until(lambda: len(engine.chats) == 2)
        second.abort()
        await asyncio.wait_for(engine.chats[1].finished.wait(), 5)
        first.abort()
        await engine.server().idle()

    assert engine.chats[1].disconnected.is_set()
    assert engine.chats[1].records_sent == 0


@pytest.mark.parametrize("native_chat", [False, True])
async def test_a_prompt_that_only_the_engine_finds_too_long_is_an_error(native_chat, engine_proxy):
    """Ollama's 400 becomes the sentence that Claude Code parses; nothing was cut (058, 199)."""
    # The tiny model has a token for each byte, three times what the estimate expects of prose.
    prompt = "an ordinary sentence of prose. " * (NUM_CTX // 24)
    # Without its oldest message it would fit: that is what an Ollama which may cut would drop.
    messages = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "And now?"},
    ]
    request = turn(model="plain", messages=messages)
    engine_proxy.engine.native_chat = native_chat
    with pytest.raises(anthropic.BadRequestError) as caught:
        await streamed(engine_proxy.client, request)
    whole = await ask(
        engine_proxy.proxy.base_url,
        "/v1/messages",
        headers=engine_proxy.proxy.headers,
        body=request,
    )

    assert len(engine_proxy.engine.chats) == 2
    for message in (caught.value.body["error"]["message"], whole.error["message"]):
        found = TOO_LONG.search(message)
        assert found is not None
        assert int(found[2]) == NUM_CTX
        # Only one of Ollama's two wordings says how long the prompt was.
        assert int(found[1]) > (len(prompt) if native_chat else NUM_CTX)
    assert [chat.dropped_messages for chat in engine_proxy.engine.chats] == [0, 0]


async def test_the_engine_does_cut_where_it_may(engine_proxy):
    """The control: the same prompt without `truncate: false` loses its oldest messages silently."""
    engine, base_url = engine_proxy.engine, engine_proxy.engine_url
    messages = [
        {"role": "user", "content": "an old question " * 400},
        {"role": "assistant", "content": "an old answer"},
        {"role": "user", "content": "and now?"},
    ]
    options = {"num_ctx": SMALL_NUM_CTX}
    body = {"model": THINKER, "messages": messages, "options": options, "stream": False}
    answer = await ask(base_url, "/api/chat", body=body)
    refused = await ask(base_url, "/api/chat", body={**body, "truncate": False})

    assert (answer.status, engine.chats[0].dropped_messages) == (200, 1)
    assert (refused.status, engine.chats[1].dropped_messages) == (400, 0)


async def test_a_generation_ends_at_the_end_of_the_context(engine_proxy):
    """Without shift the context's end is the answer's, and the client is told which end (230)."""
    request = turn("An endless story.", model="thinker", max_tokens=30000)
    message, _ = await streamed(engine_proxy.client, request)

    used = message.usage.input_tokens + message.usage.output_tokens
    assert message.stop_reason in ("model_context_window_exceeded", "max_tokens")
    assert SMALL_NUM_CTX * 0.9 < used <= SMALL_NUM_CTX


async def test_no_request_makes_the_model_load_again(engine_proxy):
    """However requests differ, they share one set of runner options (conformance 232)."""
    engine = engine_proxy.engine
    for request in REQUESTS.values():
        await engine_proxy.client.messages.create(**request)
    loads = engine.loads
    for request in REQUESTS.values():
        await streamed(engine_proxy.client, request)

    assert engine.loads == loads


async def test_many_at_once_get_each_their_own_answer(engine_proxy):
    """Requests that wait for one slot are not mixed up."""
    alone = {
        kind: content((await streamed(engine_proxy.client, REQUESTS[kind]))[0]) for kind in REQUESTS
    }
    kinds = [*REQUESTS] * count(quick=3, ci=10, full=50)
    together = await asyncio.gather(
        *(streamed(engine_proxy.client, REQUESTS[kind]) for kind in kinds)
    )

    assert [content(message) for message, _ in together] == [alone[kind] for kind in kinds]
