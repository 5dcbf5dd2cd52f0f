from __future__ import annotations

import asyncio
import json
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import ollama
import pytest

from ccproxy.demo.ollama_models import SimModel
from ccproxy.demo.ollama_server import SimulatedOllama

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BASH = {
    "type": "function",
    "function": {
        "name": "Bash",
        "description": "Runs a command",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}},
            "required": ["command"],
        },
    },
}


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[tuple[SimulatedOllama, httpx.AsyncClient]]:
    sim = SimulatedOllama(**{"speed": math.inf, **settings})
    async with sim.serve() as base, httpx.AsyncClient(base_url=base, trust_env=False) as client:
        yield sim, client


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def chat(client: httpx.AsyncClient, text: str = "hello", **extra: Any) -> httpx.Response:
    body = {"model": "qwen-fast", "messages": user(text), **extra}
    return await client.post("/api/chat", json=body)


def records(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.content.splitlines()]


async def test_streams_ndjson_and_ends_with_counts_and_durations() -> None:
    """A chat streams one JSON record per line; the last has done, counts and ns (204, 218)."""
    async with served() as (_, client):
        response = await chat(client)
        lines = records(response)
        last = lines[-1]

        assert response.headers["content-type"] == "application/x-ndjson"
        assert "".join(line["message"]["content"] for line in lines).startswith(
            "[simulated qwen-fast]"
        )
        assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
        assert last["done_reason"] == "stop"
        assert last["eval_count"] == len(lines) - 1
        assert last["prompt_eval_count"] > 0
        assert last["load_duration"] == 1_500_000_000


async def test_stream_false_gives_the_same_text_in_one_object() -> None:
    """With `stream: false` the streamed pieces come as one JSON object."""
    async with served() as (_, client):
        streamed = records(await chat(client))
        whole = (await chat(client, stream=False)).json()

        text = "".join(line["message"]["content"] for line in streamed)
        assert text == whole["message"]["content"]
        assert whole["done"] is True
        assert whole["eval_count"] == streamed[-1]["eval_count"]


async def test_generate_answers_in_response() -> None:
    """`/api/generate` puts its text into `response`."""
    async with served() as (_, client):
        body = {"model": "qwen-fast", "prompt": "hello"}
        lines = records(await client.post("/api/generate", json=body))

        assert "".join(line["response"] for line in lines).startswith("[simulated qwen-fast]")
        assert lines[-1]["done_reason"] == "stop"


@pytest.mark.parametrize(
    ("body", "reason", "resident"),
    [({}, "load", ["qwen-fast:latest"]), ({"keep_alive": 0}, "unload", [])],
)
async def test_empty_messages_load_and_unload(
    body: dict[str, Any], reason: str, resident: list[str]
) -> None:
    """No messages load the model, `keep_alive: 0` unloads it (conformance 241)."""
    async with served() as (_, client):
        await client.post("/api/chat", json={"model": "qwen-fast", "messages": []})
        answer = (
            await client.post("/api/chat", json={"model": "qwen-fast", "messages": [], **body})
        ).json()
        loaded = (await client.get("/api/ps")).json()["models"]

        assert answer["done_reason"] == reason
        assert resident == [model["name"] for model in loaded]


@pytest.mark.parametrize(
    ("model", "extra", "status", "error"),
    [
        ("nope", {}, 404, "model 'nope' not found"),
        ("qwen-fast", {"think": True}, 400, '"qwen-fast" does not support thinking'),
        (
            "qwen2.5vl:7b",
            {"tools": [BASH]},
            400,
            "registry.ollama.ai/library/qwen2.5vl:7b does not support tools",
        ),
    ],
)
async def test_refuses_what_the_model_cannot(
    model: str, extra: dict[str, Any], status: int, error: str
) -> None:
    """A missing model is 404; tools and thinking without the capability are 400."""
    async with served() as (_, client):
        response = await chat(client, model=model, **extra)

        assert (status, error) == (response.status_code, response.json()["error"])


@pytest.mark.parametrize(("think", "expected"), [(None, True), (True, True), (False, False)])
async def test_thinks_unless_told_not_to(think: bool | None, expected: bool) -> None:
    """A capable model thinks by default, and first (conformance 194)."""
    async with served() as (_, client):
        extra = {} if think is None else {"think": think}
        lines = records(await chat(client, model="qwen3:8b", **extra))

        assert expected is bool(lines[0]["message"].get("thinking"))


async def test_a_shell_command_becomes_a_tool_call_and_its_result_a_text() -> None:
    """Asked to run a backticked command with a `command` tool offered, the model calls it."""
    async with served() as (_, client):
        lines = records(await chat(client, "please run `echo hi`", tools=[BASH]))
        call = lines[-2]["message"]["tool_calls"][0]
        follow_up = [
            *user("please run `echo hi`"),
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "hi\n", "tool_name": "Bash", "tool_call_id": call["id"]},
            *user("<system-reminder>be kind, run `ls`</system-reminder>"),
        ]
        final = await chat(client, messages=follow_up, tools=[BASH], stream=False)

        assert {"command": "echo hi"} == call["function"]["arguments"]
        assert call["id"].startswith("call_")
        assert final.json()["message"]["content"].endswith("The tool returned: hi")


async def test_native_chat_delivers_calls_in_the_done_record() -> None:
    """The native path sends tool calls only in the final record (conformance 208)."""
    async with served(models=[SimModel("m:latest", native_chat=True)]) as (_, client):
        lines = records(await chat(client, "run `ls`", model="m", tools=[BASH]))

        assert [line["done"] for line in lines if line["message"].get("tool_calls")] == [True]


@pytest.mark.parametrize(
    ("options", "reason", "text"),
    [
        ({"num_predict": 3}, "length", "[simulated qwen-fast] local"),
        ({"stop": ["models"]}, "stop", "[simulated qwen-fast] local "),
    ],
)
async def test_limits_and_stop_strings_cut(options: dict[str, Any], reason: str, text: str) -> None:
    """`num_predict` ends with `length`; a stop string is swallowed and looks like any end (216)."""
    async with served() as (_, client):
        answer = (await chat(client, "50 words", stream=False, options=options)).json()

        assert (reason, text) == (answer["done_reason"], answer["message"]["content"])


async def test_without_shift_the_answer_ends_at_the_context() -> None:
    """`shift: false` ends the answer with `length` where prompt plus answer fill num_ctx (215)."""
    async with served() as (_, client):
        answer = (
            await chat(client, "500 words", stream=False, shift=False, options={"num_ctx": 100})
        ).json()

        assert answer["done_reason"] == "length"
        assert answer["prompt_eval_count"] + answer["eval_count"] == 100


async def test_overflow_is_an_error_with_truncate_false_and_silent_without() -> None:
    """`truncate: false` makes overflow a 400; else the oldest messages vanish (228)."""
    async with served() as (sim, client):
        messages = [
            {"role": "system", "content": "s" * 40},
            {"role": "user", "content": "a" * 2000},
            {"role": "assistant", "content": "b" * 2000},
            {"role": "user", "content": "the end"},
        ]
        settings = {"messages": messages, "options": {"num_ctx": 256}, "stream": False}
        refused = await chat(client, **settings, truncate=False)
        served_anyway = await chat(client, **settings)

        assert refused.status_code == 400
        assert refused.json()["error"].startswith("the prompt is longer than the context length")
        assert served_anyway.status_code == 200
        assert sim.generations[1].dropped_messages == 2
        assert served_anyway.json()["prompt_eval_count"] < 100


async def test_the_kv_prefix_of_a_conversation_is_not_read_again() -> None:
    """The next turn of a conversation only reads what is new; counts include the prefix (219)."""
    async with served() as (sim, client):
        first = (await chat(client, "x" * 4000, stream=False)).json()
        history = [*user("x" * 4000), first["message"], *user("and now?")]
        await chat(client, messages=history, stream=False)
        again = sim.generations[1]

        assert again.cached_tokens > 1000
        assert again.prompt_tokens - again.cached_tokens < 20


async def test_the_ollama_package_reads_every_answer() -> None:
    """Ollama's own client understands tags, show, ps, chat and pull."""
    sim = SimulatedOllama(speed=math.inf)
    async with sim.serve() as base:
        client = ollama.AsyncClient(host=base, trust_env=False)
        listed = await client.list()
        shown = await client.show("qwen3:8b")
        answer = await client.chat("qwen3:8b", messages=user("hi"))
        loaded = await client.ps()
        states = [part.status async for part in await client.pull("qwen3:8b", stream=True)]
        await client._client.aclose()

        assert [model.model for model in listed.models] == [m.name for m in sim.models.values()]
        assert shown.capabilities == ["completion", "tools", "thinking"]
        assert shown.modelinfo is not None
        assert shown.modelinfo["qwen3.context_length"] == 40960
        assert answer.message.thinking
        assert [model.context_length for model in loaded.models] == [4096]
        assert states[-1] == "success"


async def test_pull_of_an_unknown_model_is_an_error_line_under_200() -> None:
    """A failing pull has status 200 and ends in an error line (conformance 241)."""
    async with served() as (_, client):
        response = await client.post("/api/pull", json={"model": "nope"})

        assert response.status_code == 200
        assert "error" in records(response)[-1]


async def test_a_client_that_leaves_frees_its_slot_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A disconnect ends the generation, frees the slot and is recorded, not logged (285)."""
    async with served() as (sim, client):
        sim.answer_with({"message": {"role": "assistant", "content": "x"}}, asyncio.Event())
        body = {"model": "qwen-fast", "messages": user("hello")}
        async with client.stream("POST", "/api/chat", json=body) as response:
            await anext(response.aiter_lines())
        request = await sim.generation()
        await asyncio.wait_for(request.disconnected.wait(), 2)
        await asyncio.wait_for(sim.idle(), 2)
        after = await chat(client)

        assert after.status_code == 200
        assert sim.open_streams == 0
        assert not caplog.records


async def test_many_clients_that_vanish_leave_no_stream_open() -> None:
    """100 clients that leave at once leave no generation running."""
    async with served(num_parallel=100, models=[SimModel("m:latest", 1.0, 1.0)]) as (sim, client):
        never = asyncio.Event()
        for _ in range(100):
            sim.answer_with({"message": {"role": "assistant", "content": "x"}}, never)
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=client.base_url, trust_env=False, limits=limits
        ) as many:
            body = {"model": "m", "messages": user("hello")}
            tasks = [asyncio.create_task(many.post("/api/chat", json=body)) for _ in range(100)]
            await sim.generation(99)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(sim.idle(), 2)

        assert all(request.disconnected.is_set() for request in sim.generations)


async def test_the_log_shows_bodies_as_received_and_reset_forgets_them() -> None:
    """`/_sim/log` lists what arrived, raw bytes are kept, `/_sim/reset` starts over."""
    async with served() as (sim, client):
        raw = b'{"model": "qwen-fast" , "messages":[]}'
        await client.post("/api/chat", content=raw)
        log = (await client.get("/_sim/log")).json()
        kept = sim.generations[0].raw
        await client.post("/_sim/reset")
        after = (await client.get("/_sim/log")).json()

        assert raw == kept
        assert log["requests"][0]["body"] == {"model": "qwen-fast", "messages": []}
        assert log["loads"] == 1
        assert (after["requests"], after["loads"], after["resident"]) == ([], 0, [])


async def test_scripted_answers_are_sent_as_given() -> None:
    """A test fixes the next answer record by record; raw bytes go through untouched (208)."""
    async with served() as (sim, client):
        step = {"message": {"role": "assistant", "content": "a", "thinking": "t"}, "done": True}
        sim.answer_with(b'{"odd":1}\n', step)
        lines = records(await chat(client))
        sim.answer_with({"message": {"content": "a"}}, {"message": {"content": "b"}, "done": True})
        whole = (await chat(client, stream=False)).json()

        assert lines[0] == {"odd": 1}
        assert lines[1] == {"model": "qwen-fast", "created_at": lines[1]["created_at"], **step}
        assert whole["message"]["content"] == "ab"
