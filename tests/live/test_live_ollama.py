"""What the proxy promises, held against a real Ollama and real models.

`make test-live` runs it against a real Ollama, every other run against a stand-in that calls itself
simulated: the tiny model of tests/support, or the simulator where that can do more. A model may
answer what it likes: asserted is what must hold whatever it says, and of a stand-in's answers the
sense is not looked at.
"""

import asyncio
import base64
import io
import json
import re
import time
from secrets import token_hex

import anthropic
import jsonschema
import pytest
from PIL import Image

from ccproxy.health.ollama_version import version_warning
from ccproxy.ports import AttemptFailed, ModelCall
from ccproxy.upstreams.litellm import LiteLLMRuntime, LiteLLMUpstream, Target
from routing.failures import FailureClass
from tests.live.conftest import proxy_before
from tests.support.http_wire import ask
from tests.support.messages import WEATHER
from tests.support.waiting import until, until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")

STAND_INS = {"test_an_image_is_looked_at": "simulated"}
"""The tiny model has no eyes."""

TOO_LONG = re.compile(r"prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)", re.IGNORECASE)
WEATHER_QUESTION = "What is the weather in Paris now? Use the get_weather tool."
THINK = {"type": "enabled", "budget_tokens": 1024}
CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}
STORY = "Write an endless story about the sea, as long as you can."


def texts(message):
    return "".join(block.text for block in message.content if block.type == "text")


def tool_uses(message):
    return [block for block in message.content if block.type == "tool_use"]


async def streamed(live, **request):
    """Return the accumulated message of a stream, and its events."""
    async with live.client.messages.stream(**request) as stream:
        events = [event async for event in stream]
        return await stream.get_final_message(), events


async def health(live):
    answer = await ask(live.proxy.base_url, "/health", method="GET", headers=live.proxy.headers)
    return answer.json()["backends"][0]


async def resident(live, part="text"):
    """Return what Ollama has loaded of the model that plays a part, or None."""
    name = tagged(live.model(part))
    return next((m for m in await live.control.resident() if tagged(m.name) == name), None)


def tagged(model):
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


async def unload(live, part="text"):
    """Have Ollama put a model out of its memory, and wait until it has."""
    body = {"model": live.model(part), "messages": [], "keep_alive": 0}
    await ask(live.ollama.url, "/api/chat", body=body)

    async def is_gone():
        return True if await resident(live, part) is None else None

    await until_found(is_gone, timeout_s=30)


# --- facts ------------------------------------------------------------------------------------


async def test_ollama_is_there_and_never_cuts(live):
    """It answers, and its version honours `truncate` and `shift` (conformance 199, 240)."""

    async def known():
        found = await health(live)
        return found if found["state"] == "up" else None

    backend = await until_found(known, timeout_s=30)

    assert backend["version"] == live.ollama.version
    assert version_warning(live.ollama.version) is None


async def test_models_are_known_without_loading_them(live):
    """Abilities, family, quantisation and trained length come from /api/show (238)."""

    async def known():
        found = (await health(live))["models"]
        return found if all(model["present"] for model in found) else None

    models = {model["model"]: model for model in await until_found(known, timeout_s=30)}
    for part, model in live.ollama.models.items():
        facts = models[tagged(model).lower()]
        assert facts["trained_context_tokens"] >= live.ollama.num_ctx, model
        assert facts["family"], model
        assert facts["weights_bytes"] > 0, model
        if part != "text":
            assert facts[f"supports_{part}"] is True


# --- answers ----------------------------------------------------------------------------------


async def test_a_plain_answer(live):
    """Text, a stop reason, and Ollama's own counts."""
    message = await live.say()

    assert texts(message).strip()
    assert message.stop_reason in ("end_turn", "max_tokens")
    record = live.last_chat.last
    assert message.usage.input_tokens == record["prompt_eval_count"]
    assert message.usage.output_tokens == record["eval_count"]


async def test_a_stream_is_relayed_piece_by_piece(live):
    """Each piece of text that Ollama sends is one delta, as it comes."""
    message, events = await streamed(live, **live.request(text="Count from one to twenty."))

    deltas = [e.delta.text for e in events if e.type == "content_block_delta"]
    pieces = [r["message"]["content"] for r in live.last_chat.records if r["message"]["content"]]
    assert deltas == pieces
    assert len(deltas) > 3
    assert "".join(deltas) == texts(message)
    assert message.usage.output_tokens == live.last_chat.last["eval_count"]


async def test_whole_and_streamed_answers_have_one_shape(live):
    """The same request has the same blocks and stop reason either way."""
    request = live.request("tools", WEATHER_QUESTION, tools=[WEATHER])
    whole = await live.client.messages.create(**request)
    stream, _ = await streamed(live, **request)

    assert [b.type for b in whole.content] == [b.type for b in stream.content]
    assert whole.stop_reason == stream.stop_reason
    assert whole.usage.input_tokens == stream.usage.input_tokens


async def test_counts_are_near_the_truth(live):
    """count_tokens generates nothing, and is as near as docs/local-validation.md says."""
    prose = "The harbour was quiet, and the boats lay still in the evening light. " * 30
    request = live.request(text=prose, max_tokens=1)
    counted = await live.client.messages.count_tokens(
        model=request["model"], messages=request["messages"]
    )
    chats = len(live.tap.chats)
    await live.client.messages.create(**request)

    true_tokens = live.last_chat.last["prompt_eval_count"]
    assert chats == 0
    if not live.ollama.is_standin:
        assert 0.8 <= counted.input_tokens / true_tokens <= 1.6


# --- the context ------------------------------------------------------------------------------


async def test_the_pinned_context_is_what_is_loaded(live):
    """`num_ctx` and both switches are sent, and `/api/ps` confirms the length (197, 199, 233)."""
    await live.say()
    asked = live.last_chat.asked

    assert (asked["truncate"], asked["shift"]) == (False, False)
    assert asked["options"]["num_ctx"] == live.ollama.num_ctx
    assert (await resident(live)).context_tokens == live.ollama.num_ctx


async def test_a_prompt_that_does_not_fit_is_refused_before_it_is_sent(live):
    """The proxy's own estimate says so in Claude's words (conformance 229)."""
    text = "sea " * (4 * live.ollama.num_ctx)
    with pytest.raises(anthropic.BadRequestError) as caught:
        await live.say(text=text)

    assert TOO_LONG.search(caught.value.body["error"]["message"])
    assert live.tap.chats == []


async def test_a_prompt_that_only_ollama_finds_too_long_is_an_error_not_a_cut(live):
    """Past the estimate, Ollama itself refuses, and we recognise how (conformance 058, 199)."""
    upstream = LiteLLMUpstream(
        LiteLLMRuntime(),
        Target(
            model=f"ollama_chat/{live.model('text')}",
            name="live",
            api_base=live.ollama.url,
            num_ctx=live.ollama.num_ctx,
            keep_alive="10m",
        ),
    )
    # Without its oldest message it would fit: that is what an Ollama which may cut would drop.
    messages = [
        {"role": "user", "content": "sea " * (2 * live.ollama.num_ctx)},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "And now?"},
    ]
    call = ModelCall(messages, max_output_tokens=8)
    with pytest.raises(AttemptFailed) as caught:
        async for _ in upstream.stream(call):
            pass
    await upstream.aclose()

    assert caught.value.failure is FailureClass.CONTEXT_OVERFLOW
    assert TOO_LONG.search(caught.value.message)


async def test_a_generation_does_not_shift_its_context(live):
    """An answer ends with the context: prompt and answer together never exceed it."""
    words = [100, 200]
    counts = []
    for number in words:
        await live.say(text=STORY + " word" * number, max_tokens=1)
        counts.append(live.last_chat.last["prompt_eval_count"])
    per_word = (counts[1] - counts[0]) / (words[1] - words[0])
    # Past the proxy, which keeps more room for an answer than this.
    room = 48
    number = int((live.ollama.num_ctx - room - counts[0]) / per_word) + words[0]
    body = {
        **live.last_chat.asked,
        "stream": False,
        "messages": [{"role": "user", "content": STORY + " word" * number}],
    }
    body["options"] = {**body["options"], "num_predict": 4 * room}
    answer = (await ask(live.ollama.url, "/api/chat", body=body)).json()

    used = answer["prompt_eval_count"] + answer["eval_count"]
    assert answer["prompt_eval_count"] > live.ollama.num_ctx - 3 * room
    assert used <= live.ollama.num_ctx
    assert answer["done_reason"] == "length" or used < live.ollama.num_ctx


# --- tools ------------------------------------------------------------------------------------


async def test_a_tool_is_called_and_its_result_used(live):
    """A call arrives as `tool_use`; its result comes back into the conversation."""
    request = live.request("tools", WEATHER_QUESTION, tools=[WEATHER])
    first, _ = await streamed(live, **request)
    calls = tool_uses(first)
    assert calls, f"{live.model('tools')} called no tool: {texts(first)[:200]!r}"
    history = [
        *request["messages"],
        {"role": "assistant", "content": [block.model_dump() for block in first.content]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": "Sleet, 3 degrees."}
                for call in calls
            ],
        },
    ]
    second, _ = await streamed(live, **{**request, "messages": history})

    assert first.stop_reason == "tool_use"
    assert {call.name for call in calls} == {"get_weather"}
    assert all(isinstance(call.input.get("city"), str) for call in calls)
    roles = [message["role"] for message in live.last_chat.asked["messages"]]
    assert roles[-len(calls) :] == ["tool"] * len(calls)
    assert texts(second).strip()
    if not live.ollama.is_standin:
        assert re.search(r"sleet|\b3\b", texts(second), re.IGNORECASE)


async def test_parallel_calls_are_told_apart(live):
    """Several calls have ids of their own; with parallel use disabled there is one at most."""
    question = "Get the weather in Paris and in Berlin: call get_weather for both at once."
    request = live.request("tools", question, tools=[WEATHER])
    many, _ = await streamed(live, **request)
    one, _ = await streamed(
        live, **request, tool_choice={"type": "auto", "disable_parallel_tool_use": True}
    )

    assert len({call.id for call in tool_uses(many)}) == len(tool_uses(many)) >= 1
    assert len(tool_uses(one)) <= 1


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
async def test_a_forced_tool_is_called(choice, live):
    """A model that would rather talk is held to `tool_choice` (conformance 188)."""
    request = live.request("tools", "Say hello, and mention Paris.", tools=[WEATHER])
    message, _ = await streamed(live, **request, tool_choice=choice)

    assert [call.name for call in tool_uses(message)][:1] == ["get_weather"]
    assert isinstance(tool_uses(message)[0].input, dict)
    assert message.stop_reason == "tool_use"


async def test_no_tool_is_called_where_none_may_be(live):
    """`tool_choice: none` offers none (conformance 187)."""
    request = live.request("tools", WEATHER_QUESTION, tools=[WEATHER])
    message, _ = await streamed(live, **request, tool_choice={"type": "none"})

    assert tool_uses(message) == []
    assert "tools" not in live.last_chat.asked


# --- thinking, structure, stops, images -------------------------------------------------------


async def test_thinking_is_on_when_asked_for_and_off_when_not(live):
    """Thinking is a block before the text, or nowhere (conformance 193, 194, 225)."""
    question = "Is 91 a prime number? Answer in one word."
    request = live.request("thinking", question, max_tokens=4096)
    on, _ = await streamed(live, **{**request, "extra_body": {}, "thinking": THINK})
    thought = live.last_chat.asked["think"]
    off, _ = await streamed(live, **request)

    assert thought
    assert on.content[0].type == "thinking"
    assert on.content[0].thinking.strip()
    assert live.last_chat.asked["think"] is False
    assert {block.type for block in off.content} == {"text"}
    assert "<think>" not in texts(off)


async def test_structured_output_keeps_to_its_schema(live):
    """The answer is JSON that the schema accepts (conformance 196)."""
    form = {"format": {"type": "json_schema", "schema": CITY_SCHEMA}}
    message = await live.say(text="Tell me about Paris, as JSON.", output_config=form)

    jsonschema.validate(json.loads(texts(message)), CITY_SCHEMA)


async def test_a_stop_sequence_is_found_and_named(live):
    """The answer ends before it, and Ollama generates no further (conformance 216, 217)."""
    message, _ = await streamed(
        live, **live.request(text=STORY, max_tokens=2000, stop_sequences=["e", "o"])
    )

    assert message.stop_reason == "stop_sequence"
    assert message.stop_sequence in ("e", "o")
    assert not {"e", "o"} & set(texts(message))


async def test_an_image_is_looked_at(live):
    """A picture reaches a model that can see (conformance 171)."""
    raw = io.BytesIO()
    Image.new("RGB", (256, 256), (220, 20, 20)).save(raw, "PNG")
    source = {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(raw.getvalue()).decode(),
    }
    question = {"type": "text", "text": "Which colour fills this picture? One word."}
    content = [{"type": "image", "source": source}, question]
    message = await live.say("vision", messages=[{"role": "user", "content": content}])

    assert len(live.last_chat.asked["messages"][-1]["images"]) == 1
    assert texts(message).strip()
    if not live.ollama.is_standin:
        assert re.search(r"red|crimson|scarlet", texts(message), re.IGNORECASE)


# --- what it costs the machine ----------------------------------------------------------------


async def test_a_client_that_leaves_frees_the_model(live):
    """The next request need not wait for an answer that nobody reads any more."""
    await live.say(max_tokens=5)
    started = time.monotonic()
    await live.say(max_tokens=5)
    usual_s = time.monotonic() - started
    live.tap.chats.clear()
    async with live.client.messages.stream(**live.request(text=STORY, max_tokens=4000)) as stream:
        async for event in stream:
            if event.type == "content_block_delta":
                break
    started = time.monotonic()
    await live.say(max_tokens=5)
    next_s = time.monotonic() - started

    assert live.tap.chats[0].left
    assert live.tap.chats[0].last == {}
    assert next_s < 3 * usual_s + 3
    assert await resident(live) is not None


async def test_a_second_turn_reads_only_what_is_new(live):
    """The prompt of the next turn begins with the one before, so most of it is in the cache."""
    nonce = f"Conversation {token_hex(8)}. "
    system = nonce + "You are a terse assistant who knows the harbour well. " * 80
    request = live.request(text="Name a boat.", system=system, max_tokens=40)
    first, _ = await streamed(live, **request)
    first_ns = live.last_chat.last.get("prompt_eval_duration", 0)
    history = [
        *request["messages"],
        {"role": "assistant", "content": texts(first) or "A boat."},
        {"role": "user", "content": "Name another."},
    ]
    await streamed(live, **{**request, "messages": history})
    second_ns = live.last_chat.last.get("prompt_eval_duration", 0)

    assert second_ns < first_ns / 2


async def test_looking_after_its_health_loads_no_model(live):
    """A proxy that starts, watches and reports makes Ollama load nothing (conformance 245)."""
    await unload(live)
    live.tap.paths.clear()
    async with proxy_before(live.tap_url, live.ollama):
        await until(lambda: "/api/ps" in live.tap.paths, timeout_s=60)
    await health(live)
    counted = await live.client.messages.count_tokens(
        model="live-text", messages=[{"role": "user", "content": "How long is this?"}]
    )

    assert counted.input_tokens > 0
    assert "/api/chat" not in live.tap.paths
    assert await resident(live) is None


async def test_requests_that_differ_do_not_load_the_model_again(live):
    """Everything that starts a runner is the same in every request (conformance 232)."""
    await unload(live)
    await live.say(max_tokens=5)
    first_load_ns = live.last_chat.last.get("load_duration", 0)
    form = {"format": {"type": "json_schema", "schema": CITY_SCHEMA}}
    await asyncio.gather(live.say(max_tokens=7), live.say(max_tokens=9, system="Be brief."))
    await live.say(output_config=form)
    await live.say(stop_sequences=["zzz"], extra_body={"temperature": 1, "top_k": 5, "top_p": 0.5})
    await streamed(live, **live.request(text="Another question.", max_tokens=11))
    if live.ollama.models.get("tools") == live.model("text"):
        await live.say("tools", WEATHER_QUESTION, tools=[WEATHER])

    kept = {
        json.dumps(
            [chat.asked.get(key) for key in ("model", "truncate", "shift", "keep_alive")]
            + [chat.asked["options"]["num_ctx"]]
        )
        for chat in live.tap.chats
    }
    loads_ns = [chat.last.get("load_duration", 0) for chat in live.tap.chats[1:]]
    assert len(kept) == 1
    assert len(loads_ns) >= 5
    assert max(loads_ns) < first_load_ns / 2
