"""The simulated Claude behaves like Claude toward real clients, and breaks as told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import orjson
import pytest

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_checks import sign_thinking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = {"x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
HI = {"role": "user", "content": "hi there"}
WEATHER = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "x": {}},
        "required": ["city", "unit"],
    },
}
BASH = {"name": "Bash", "input_schema": {"type": "object", "properties": {}}}
MODEL = "claude-sonnet-5-5"


@pytest.fixture
async def claude() -> SimulatedClaude:
    """Return a simulated Claude that never waits."""
    return SimulatedClaude(speed=0)


@pytest.fixture
async def base_url(claude: SimulatedClaude) -> AsyncIterator[str]:
    """Serve it."""
    async with claude.serve() as url:
        yield url


@pytest.fixture
async def sdk(base_url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Return the real SDK, pointed at it."""
    async with anthropic.AsyncAnthropic(
        base_url=base_url, api_key="sk-test", max_retries=0
    ) as client:
        yield client


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a plain HTTP client, pointed at it."""
    async with httpx.AsyncClient(base_url=base_url, headers=KEY) as client:
        yield client


def _body(**members: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 500, "messages": [HI], **members}


async def _streamed(sdk: anthropic.AsyncAnthropic, **members: Any) -> anthropic.types.Message:
    async with sdk.messages.stream(**_body(**members)) as stream:
        return await stream.get_final_message()


CONVERSATIONS: list[tuple[dict[str, Any], str, list[str]]] = [
    ({}, "end_turn", ["text"]),
    ({"thinking": {"type": "adaptive"}}, "end_turn", ["thinking", "text"]),
    ({"max_tokens": 2}, "max_tokens", ["text"]),
    (
        {
            "tools": [WEATHER],
            "messages": [{"role": "user", "content": "Please use the get_weather tool"}],
        },
        "tool_use",
        ["text", "tool_use"],
    ),
    (
        {"tools": [BASH], "messages": [{"role": "user", "content": "run `echo hi` for me"}]},
        "tool_use",
        ["text", "tool_use"],
    ),
    ({"tools": [WEATHER], "tool_choice": {"type": "any"}}, "tool_use", ["text", "tool_use"]),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "get_weather"}},
        "tool_use",
        ["text", "tool_use"],
    ),
    (
        {
            "tools": [BASH],
            "tool_choice": {"type": "none"},
            "messages": [{"role": "user", "content": "run `echo hi`"}],
        },
        "end_turn",
        ["text"],
    ),
    ({"tools": [WEATHER]}, "end_turn", ["text"]),
]


@pytest.mark.parametrize(("members", "stop_reason", "kinds"), CONVERSATIONS)
async def test_stream_and_json_say_the_same(
    claude: SimulatedClaude,
    sdk: anthropic.AsyncAnthropic,
    members: dict[str, Any],
    stop_reason: str,
    kinds: list[str],
) -> None:
    """The SDK accumulates the same blocks, stop reason and usage from both forms (128, 131-150)."""
    streamed = await _streamed(sdk, **members)
    claude.reset()
    whole = await sdk.messages.create(**_body(**members))

    assert stop_reason == streamed.stop_reason == whole.stop_reason
    assert kinds == [block.type for block in whole.content]
    assert whole.usage.output_tokens == streamed.usage.output_tokens > 0
    assert whole.usage.input_tokens > 0
    one, other = whole.model_dump(), streamed.model_dump()
    for block in [*one["content"], *other["content"]]:
        block.pop("id", None)
        block.pop("parsed_output", None)
        block.pop("citations", None)
    assert one["content"] == other["content"]
    assert whole.id != streamed.id


async def test_answers_are_labelled(sdk: anthropic.AsyncAnthropic) -> None:
    """Nobody can take an answer for a real one."""
    message = await sdk.messages.create(**_body())

    assert message.content[0].type == "text"
    assert message.content[0].text.startswith(f"[simulated {MODEL}]")


async def test_a_tool_is_called_with_the_input_that_is_spelled_out(
    sdk: anthropic.AsyncAnthropic,
) -> None:
    """What follows `with` as JSON is the call's input, as it is."""
    text = 'Use the get_weather tool with {"city": "Bern", "unit": "f"}.'

    answer = await _streamed(sdk, tools=[WEATHER], messages=[{"role": "user", "content": text}])

    call = answer.content[-1]
    assert call.type == "tool_use"
    assert call.input == {"city": "Bern", "unit": "f"}


async def test_tool_calls_come_with_input_and_results_are_quoted(
    sdk: anthropic.AsyncAnthropic,
) -> None:
    """A tool turn runs from the call to a text that quotes the result (140)."""
    question = {"role": "user", "content": "use the get_weather tool"}
    first = await _streamed(sdk, tools=[WEATHER], messages=[question])
    call = first.content[-1]
    assert call.type == "tool_use"
    assert call.input == {"city": "use the get_weather tool", "unit": "c"}

    said: dict[str, Any] = {
        "role": "assistant",
        "content": [b.model_dump(exclude_none=True) for b in first.content],
    }
    for block in said["content"]:
        block.pop("parsed_output", None)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "22 degrees"}
    second = await _streamed(
        sdk, tools=[WEATHER], messages=[question, said, {"role": "user", "content": [result]}]
    )

    assert second.stop_reason == "end_turn"
    assert second.content[0].type == "text"
    assert "22 degrees" in second.content[0].text


async def test_bash_gets_the_command_in_backticks(sdk: anthropic.AsyncAnthropic) -> None:
    """A command in the last text of the prompt is called as it stands."""
    content = [
        {"type": "text", "text": "<system-reminder>`not this`</system-reminder>"},
        {"type": "text", "text": "Run `echo hi there` please"},
    ]
    message = await _streamed(sdk, tools=[BASH], messages=[{"role": "user", "content": content}])

    assert message.content[-1].type == "tool_use"
    assert message.content[-1].input["command"] == "echo hi there"


async def test_structured_output_follows_the_schema(http: httpx.AsyncClient) -> None:
    """A JSON schema gets a JSON object."""
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    body = _body(output_config={"format": {"type": "json_schema", "schema": schema}})
    message = (await http.post("/v1/messages", json=body)).json()

    assert {"title": "hi there"} == orjson.loads(message["content"][0]["text"])


async def test_a_marked_prefix_is_cached(sdk: anthropic.AsyncAnthropic) -> None:
    """The first request creates the cache, the second reads it, and the total is the same."""
    system = [{"type": "text", "text": "x" * 4000, "cache_control": {"type": "ephemeral"}}]
    first = (await _streamed(sdk, system=system)).usage
    second = (await sdk.messages.create(**_body(system=system))).usage

    assert first.cache_creation_input_tokens == second.cache_read_input_tokens > 900
    assert first.cache_read_input_tokens == second.cache_creation_input_tokens == 0


async def test_headers_of_an_answer(http: httpx.AsyncClient) -> None:
    """Ids, rate limits and content types are as Claude's (036, 038, 039, 041)."""
    whole = await http.post("/v1/messages", json=_body())
    stream = await http.post("/v1/messages", json=_body(stream=True))

    assert "application/json" == whole.headers["content-type"]
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in stream.headers
    assert whole.headers["request-id"] != stream.headers["request-id"]
    assert whole.headers["anthropic-ratelimit-requests-limit"].isdecimal()
    assert whole.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")


LOCAL = {"type": "thinking", "thinking": "x", "signature": "ccproxy-local-thinking-v1"}
SIGNED = {"type": "thinking", "thinking": "x", "signature": sign_thinking("x")}
EMPTY = {"type": "text", "text": ""}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}


def _turns(*contents: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return _body(messages=[{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)])


REFUSALS: list[tuple[dict[str, Any], int, str]] = [
    (_turns("hi", [SIGNED, {"type": "text", "text": "x"}], "go on"), 200, ""),
    (_turns("hi", [LOCAL, {"type": "text", "text": "x"}], "go on"), 400, "Invalid `signature`"),
    (_turns("hi", [EMPTY], "go on"), 400, "must be non-empty"),
    (_turns("hi", [], "go on"), 400, "non-empty content"),
    (_turns("hi", [CALL], [RESULT]), 200, ""),
    (_turns("hi", [CALL], "no result"), 400, "without `tool_result` blocks"),
    (_turns("hi", "x", [RESULT]), 400, "unexpected `tool_use_id`"),
    (_turns("hi", [{**CALL, "id": "a:b"}], [RESULT]), 400, "should match pattern"),
    (_body(messages=[]), 400, "at least one message"),
    (_body(messages=[HI, {"role": "system", "content": "x"}]), 200, ""),
    (_body(messages=[{"role": "tool", "content": "x"}]), 400, "Unexpected role"),
    (_body(model="qwen-coder"), 404, "model: qwen-coder"),
    (_body(model="claude-opus"), 404, "model: claude-opus"),
    (_body(model="claude-sonnet-5-5-2026"), 404, "model: claude-sonnet-5-5-2026"),
    ({"model": MODEL, "messages": [HI]}, 400, "max_tokens: Field required"),
]


@pytest.mark.parametrize(("body", "status", "message"), REFUSALS)
async def test_what_claude_refuses(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, message: str
) -> None:
    """Bodies Claude answers with 400 or 404 get that, with its envelope and texts (046, 083-087)."""
    response = await http.post("/v1/messages", json=body)

    assert status == response.status_code
    if message:
        assert message in response.json()["error"]["message"]
        assert response.json()["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-api-key": "k", "anthropic-version": "2023-06-01"}, 200),
        ({"authorization": "Bearer k", "anthropic-version": "2023-06-01"}, 200),
        ({"x-api-key": "k", "authorization": "Bearer k", "anthropic-version": "2023-06-01"}, 401),
        ({"anthropic-version": "2023-06-01"}, 401),
        ({"x-api-key": "", "anthropic-version": "2023-06-01"}, 401),
        ({"x-api-key": "k"}, 400),
        ({"x-api-key": "k", "anthropic-version": "2020-01-01"}, 400),
    ],
)
async def test_credentials_and_version(base_url: str, headers: dict[str, str], status: int) -> None:
    """Exactly one credential and a known version are asked for (023, 024, 025)."""
    async with httpx.AsyncClient(base_url=base_url, headers=headers) as client:
        response = await client.post("/v1/messages", json=_body())

    assert status == response.status_code


async def test_sampling_parameters_depend_on_the_version(http: httpx.AsyncClient) -> None:
    """`temperature` is fine in the old API version and a 400 in the new one (027)."""
    old = await http.post("/v1/messages", json=_body(temperature=1))
    new = await http.post(
        "/v1/messages", json=_body(temperature=1), headers={"anthropic-version": "2026-10-21"}
    )

    assert [200, 400] == [old.status_code, new.status_code]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/messages", 405),
        ("POST", "/v1/complete", 404),
        ("GET", "/v1/models/claude-nobody", 404),
        ("GET", "/v1/models/claude-opus-5-5", 200),
        ("HEAD", "/api/hello", 200),
        ("GET", "/", 200),
        ("GET", "/v1/models?limit=0", 400),
        ("GET", "/v1/models?after_id=nobody", 400),
        ("GET", "/v1/models?after_id=claude-opus-5-5&before_id=claude-opus-5-5", 400),
    ],
)
async def test_other_paths(http: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    """Unknown paths, methods, models and pages get Anthropic's envelope (005, 008, 009, 251, 252)."""
    response = await http.request(method, path)

    assert status == response.status_code
    if status >= 400:
        assert response.json()["type"] == "error"


async def test_bad_json_is_a_400(http: httpx.AsyncClient) -> None:
    """A body that is not JSON is refused in Anthropic's words (067)."""
    response = await http.post("/v1/messages", content=b"{")

    assert response.status_code == 400
    assert "not valid JSON" in response.json()["error"]["message"]


async def test_models_are_paged(sdk: anthropic.AsyncAnthropic) -> None:
    """The SDK's auto-pagination ends and sees every id once, in either direction (252, 253)."""
    ids = [model.id async for model in sdk.models.list(limit=3)]
    backwards = await sdk.models.list(limit=2, before_id=ids[-1])

    assert len(ids) == len(set(ids)) > 3
    assert {"claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-2"} < set(
        ids
    )
    assert ids[-3:-1] == [model.id for model in backwards.data]
    assert backwards.has_more


async def test_counting_grows_with_the_prompt(sdk: anthropic.AsyncAnthropic) -> None:
    """count_tokens needs no max_tokens and is monotone."""
    short = await sdk.messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": "hi there"}]
    )
    long = await sdk.messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": "hi there" * 50}]
    )

    assert 0 < short.input_tokens < long.input_tokens


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (409, anthropic.ConflictError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.APIStatusError),
    ],
)
async def test_statuses_on_demand(
    http: httpx.AsyncClient,
    sdk: anthropic.AsyncAnthropic,
    status: int,
    expected: type[anthropic.APIStatusError],
) -> None:
    """A fault set over HTTP meets the next request, once (047, 050)."""
    fault = {"kind": "status", "status": status, "retry_after_s": 2}
    assert (await http.post("/_sim/faults", json=fault)).json() == {"ok": True, "pending": 1}

    with pytest.raises(expected) as raised:
        await sdk.messages.create(**_body())

    assert raised.value.response.headers["retry-after"] == "2"
    assert (await sdk.messages.create(**_body())).stop_reason == "end_turn"


async def test_an_error_event_in_the_stream(
    http: httpx.AsyncClient, sdk: anthropic.AsyncAnthropic
) -> None:
    """`error_event` ends a stream in a way the SDK raises on (155, 156)."""
    await http.post("/_sim/faults", json={"kind": "error_event", "after_bytes": 300})

    with pytest.raises(anthropic.APIStatusError) as raised:
        await _streamed(sdk)

    assert raised.value.status_code == 200
    assert raised.value.type == "overloaded_error"


async def test_refusing_connections(claude: SimulatedClaude, base_url: str) -> None:
    """While it refuses, clients cannot connect; afterwards everything works again."""
    refusing = asyncio.create_task(claude.refuse(0.2))
    async with httpx.AsyncClient(base_url=base_url, headers=KEY) as client:
        await asyncio.sleep(0)  # `refuse` has begun
        with pytest.raises(httpx.TransportError):
            await client.get("/v1/models")
        await refusing
        response = await client.get("/v1/models")

    assert response.status_code == 200


@pytest.mark.parametrize(
    "fault", ["{", [], [{}], {"kind": "nonsense"}, {"kind": "hang", "x": 1}, {"kind": "refuse"}]
)
async def test_bad_faults_are_refused(http: httpx.AsyncClient, fault: Any) -> None:
    """A fault that would do nothing is an error that says why, not a silent success."""
    content = fault if isinstance(fault, str) else orjson.dumps(fault)
    response = await http.post("/_sim/faults", content=content)

    if fault == []:
        assert response.json()["pending"] == 0
    else:
        assert response.status_code == 400
        assert response.json()["error"]


async def test_the_log_has_hashes_and_no_credentials(http: httpx.AsyncClient) -> None:
    """`/_sim/log` shows what arrived, in order; `/_sim/reset` forgets it."""
    await http.post("/v1/messages?beta=true", json=_body())
    log = await http.get("/_sim/log")

    (entry,) = log.json()["requests"]
    assert entry["path"] == "/v1/messages"
    assert entry["query"] == "beta=true"
    assert len(entry["response_sha256"]) == 64
    assert entry["finished"]
    assert "sk-test" not in log.text
    await http.post("/_sim/reset")
    assert (await http.get("/_sim/log")).json()["requests"] == []


async def test_speed_paces_the_stream() -> None:
    """At speed 1 there is time between the pieces; at 0 there is none."""
    claude = SimulatedClaude(speed=20)
    loop = asyncio.get_running_loop()
    async with (
        claude.serve() as url,
        httpx.AsyncClient(base_url=url, headers=KEY) as client,
        client.stream("POST", "/v1/messages", json=_body(stream=True)) as response,
    ):
        begun = loop.time()
        chunks = [chunk async for chunk in response.aiter_raw()]
        elapsed_s = loop.time() - begun

    assert len(chunks) > 5
    assert elapsed_s > 5 * 0.012 / 20


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("claude-sonnet-5-5", 200),
        ("claude-sonnet-5-5-20260915", 200),
        ("claude-haiku-4-5-20251001", 200),
        ("claude-haiku-4-5", 200),
        ("claude-opus", 404),
        ("claude-haiku-4-5-20240101", 404),
        ("gpt-4", 404),
    ],
)
async def test_only_ids_of_claudes_are_known(
    http: httpx.AsyncClient, model: str, status: int
) -> None:
    """A listed id is served with and without its date; any other is a 404, also to count."""
    counting = {"model": model, "messages": [HI]}
    served = await http.post("/v1/messages", json=_body(model=model))
    counted = await http.post("/v1/messages/count_tokens", json=counting)

    assert [status, status] == [served.status_code, counted.status_code]
    if status == 404:
        error = served.json()["error"]
        assert {"type": "not_found_error", "message": f"model: {model}"} == error
