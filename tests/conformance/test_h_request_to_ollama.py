"""Section H: a Messages request in, exactly this `/api/chat` out."""

import base64

import pytest

from tests.support.black_box import assert_error, post, sent_to_model
from tests.support.messages import LOCAL, WEATHER, turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

THINKER = "qwen-thinker"
VISION = "qwen-vision"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(24)).decode()
OPTIONS = {"num_ctx": 32768, "num_predict": 256}


def text(words, **more):
    return {"type": "text", "text": words, **more}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def says(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def call(number=1, **more):
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "get_weather", "input": {}, **more}


def result(number=1, **more):
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", **more}


def image():
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


async def test_the_whole_request(proxy):
    """Everything sent is here: name, stream, options, policy and words.

    (conformance 164, 165, 166, 190, 191, 194, 197, 198, 199, 200)
    """
    await post(proxy, turn("Hi", system="Be brief.", temperature=0, top_p=1, top_k=3))

    assert {
        "model": "qwen2.5-coder:32b-instruct",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "stream": True,
        "options": {**OPTIONS, "temperature": 0, "top_p": 1, "top_k": 3},
        "keep_alive": "30m",
        "truncate": False,
        "shift": False,
    } == sent_to_model(proxy)


CONVERSATIONS = {
    "166 system blocks": (
        {"system": [text("One."), text("Two.", cache_control={"type": "ephemeral"})]},
        [{"role": "system", "content": "One.\n\nTwo."}, {"role": "user", "content": "Say hello."}],
    ),
    "167 billing block": (
        {"system": [text("x-anthropic-billing-header: cc_version=2.1.197;"), text("Two.")]},
        [{"role": "system", "content": "Two."}, {"role": "user", "content": "Say hello."}],
    ),
    "168 system in between": (
        {
            "messages": [
                user(text("A")),
                {"role": "system", "content": "New rule."},
                says(text("B")),
                user(text("C")),
                {"role": "system", "content": [text("Last.")]},
            ]
        },
        [
            {
                "role": "user",
                "content": "A\n\n<system-reminder>\nNew rule.\n</system-reminder>",
            },
            {"role": "assistant", "content": "B"},
            {"role": "user", "content": "C\n\n<system-reminder>\nLast.\n</system-reminder>"},
        ],
    ),
    "169 same role twice": (
        {
            "messages": [
                user(text("A")),
                user(text("B")),
                says(text("C")),
                says(text("D")),
                user(text("E")),
            ]
        },
        [
            {"role": "user", "content": "A\n\nB"},
            {"role": "assistant", "content": "C\n\nD"},
            {"role": "user", "content": "E"},
        ],
    ),
    "170 blocks in order": (
        {"messages": [user(text(" A\n"), text(""), text("B"))]},
        [{"role": "user", "content": " A\n\n\nB"}],
    ),
    "170 a string stays": (
        {"messages": [{"role": "user", "content": " é\u2028\n"}]},
        [{"role": "user", "content": " é\u2028\n"}],
    ),
    "174 178 177 tools": (
        {
            "tools": [WEATHER],
            "messages": [
                user(text("A")),
                says(text("B"), call(1, input={"z": 1, "a": {"y": 2, "b": 3}}), call(2)),
                user(result(2, content="two", is_error=True), result(1, content="one"), text("C")),
            ],
        },
        [
            {"role": "user", "content": "A"},
            {
                "role": "assistant",
                "content": "B",
                "tool_calls": [
                    {
                        "id": "toolu_1",
                        "function": {
                            "name": "get_weather",
                            "arguments": {"z": 1, "a": {"y": 2, "b": 3}},
                        },
                    },
                    {"id": "toolu_2", "function": {"name": "get_weather", "arguments": {}}},
                ],
            },
            {
                "role": "tool",
                "content": "one",
                "tool_call_id": "toolu_1",
                "tool_name": "get_weather",
            },
            {
                "role": "tool",
                "content": "Error: two",
                "tool_call_id": "toolu_2",
                "tool_name": "get_weather",
            },
            {"role": "user", "content": "C"},
        ],
    ),
    "179 result blocks": (
        {
            "messages": [
                user(text("A")),
                says(call(1), call(2), call(3)),
                user(
                    result(1),
                    result(2, content=[text("x"), text("y")]),
                    result(3, content=[{"type": "tool_reference", "tool_name": "get_weather"}]),
                ),
            ]
        },
        [
            {"role": "user", "content": "A"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": f"toolu_{n}", "function": {"name": "get_weather", "arguments": {}}}
                    for n in (1, 2, 3)
                ],
            },
            *(
                {
                    "role": "tool",
                    "content": said,
                    "tool_call_id": f"toolu_{n}",
                    "tool_name": "get_weather",
                }
                for n, said in ((1, "(no output)"), (2, "x\n\ny"), (3, "[Tool: get_weather]"))
            ),
        ],
    ),
    "180 server tools": (
        {
            "messages": [
                user(text("A")),
                says(
                    {
                        "type": "server_tool_use",
                        "id": "srvtoolu_1",
                        "name": "web_search",
                        "input": {"query": "q"},
                    },
                    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                    text("B"),
                ),
                user(text("C")),
            ]
        },
        [
            {"role": "user", "content": "A"},
            {
                "role": "assistant",
                "content": '[server_tool_use] {"name":"web_search","input":{"query":"q"}}\n\n'
                '[web_search_tool_result] {"content":[]}\n\nB',
            },
            {"role": "user", "content": "C"},
        ],
    ),
    "181 182 documents": (
        {
            "messages": [
                user(
                    {
                        "type": "document",
                        "title": "T",
                        "context": "C",
                        "citations": {"enabled": True},
                        "cache_control": {"type": "ephemeral"},
                        "source": {"type": "text", "media_type": "text/plain", "data": "D"},
                    },
                    {
                        "type": "search_result",
                        "title": "T",
                        "source": "S",
                        "content": [text("R")],
                    },
                )
            ]
        },
        [
            {
                "role": "user",
                "content": '<document title="T" context="C">\nD\n</document>\n\n'
                '<search_result title="T" source="S">\nR\n</search_result>',
            }
        ],
    ),
}


@pytest.mark.parametrize(("body", "expected"), CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
async def test_conversations(body, expected, proxy):
    """Each kind of history becomes exactly these messages (conformance 081, 166-182, 291)."""
    answer = await post(proxy, turn(**body))

    assert 200 == answer.status, answer.body
    assert expected == [
        {
            **message,
            **(
                {
                    "tool_calls": [
                        {"id": one["id"], "function": _without_index(one["function"])}
                        for one in message["tool_calls"]
                    ]
                }
                if "tool_calls" in message
                else {}
            ),
        }
        for message in sent_to_model(proxy)["messages"]
    ]


def _without_index(function):
    return {key: value for key, value in function.items() if key != "index"}


async def test_the_order_of_keys_is_kept(proxy):
    """Arguments keep their key order, on which the prompt cache depends (conformance 174)."""
    given = {"zebra": 1, "apple": {"y": 1, "b": [{"d": 1, "c": 2}]}}
    history = [user(text("A")), says(call(1, input=given)), user(result(1, content="x"))]

    await post(proxy, turn(tools=[WEATHER], messages=history))

    assert b'{"zebra":1,"apple":{"y":1,"b":[{"d":1,"c":2}]}}' in proxy.ollama.generations[0].raw


async def test_images(proxy):
    """An image goes as bare base64 beside the words, its place marked (conformance 171)."""
    await post(proxy, turn(model=VISION, messages=[user(text("See:"), image(), text("and?"))]))

    assert [
        {"role": "user", "content": "See:\n\n[Image 1]\n\nand?", "images": [PNG]}
    ] == sent_to_model(proxy)["messages"]


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"}
REDACTED = {"type": "redacted_thinking", "data": "x"}


async def test_thinking_of_the_current_loop(proxy):
    """Thoughts of the open tool loop are sent, joined; older and redacted ones are not.

    Claude's signatures are no obstacle and stay behind (conformance 115, 175, 176).
    """
    history = [
        user(text("A")),
        says(SIGNED | {"thinking": "Old."}, text("B")),
        user(text("C")),
        says(SIGNED, REDACTED, SIGNED | {"thinking": "And."}, call(1)),
        user(result(1, content="x")),
    ]

    answer = await post(proxy, turn(model=THINKER, tools=[WEATHER], messages=history))

    assert 200 == answer.status
    messages = sent_to_model(proxy)["messages"]
    assert [None, None, None, "Hm.\n\nAnd.", None] == [one.get("thinking") for one in messages]
    assert b"EqQBCgIYAhIM" not in proxy.ollama.generations[0].raw


TOOL = {
    **WEATHER,
    "cache_control": {"type": "ephemeral"},
    "strict": True,
    "defer_loading": False,
    "eager_input_streaming": True,
    "input_examples": [{"city": "Köln"}],
    "allowed_callers": ["direct"],
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (WEATHER["input_schema"], WEATHER["input_schema"]),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        (
            {"type": "object", "properties": {"x": True, "y": {"type": ["string"]}}},
            {"type": "object", "properties": {"x": {}, "y": {"type": "string"}}},
        ),
        (
            {"type": "object", "properties": {"x": {"type": "string", "description": ["d"]}}},
            {"type": "object", "properties": {"x": {"type": "string", "description": '["d"]'}}},
        ),
        (
            {
                "type": "object",
                "properties": {
                    "mode": {"const": "a"},
                    "unit": {"oneOf": [{"const": "C"}, {"const": "F"}]},
                    "at": {"$ref": "#/$defs/at", "description": "When"},
                    "days": {"type": "integer", "minimum": 1, "default": 3},
                },
                "$defs": {"at": {"type": "string", "format": "date-time", "pattern": "^2"}},
            },
            {
                "type": "object",
                "properties": {
                    "mode": {"type": "string", "enum": ["a"]},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                    "at": {
                        "type": "string",
                        "description": "When. Format: date-time. Pattern: `^2`.",
                    },
                    "days": {"type": "integer", "description": "Minimum: 1. Default: 3."},
                },
            },
        ),
    ],
)
async def test_tools(schema, expected, proxy):
    """A tool is a function with an object schema; its extras stay here (098, 182, 183, 184, 185)."""
    await post(proxy, turn(tools=[TOOL | {"input_schema": schema}]))

    assert [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Say how the weather is.",
                "parameters": expected,
            },
        }
    ] == sent_to_model(proxy)["tools"]


async def test_what_a_schema_says_of_the_whole_input(proxy):
    """What has no place in Ollama's types is said of the function (conformance 183)."""
    schema = {"type": "object", "description": "Where.", "additionalProperties": False}

    await post(proxy, turn(tools=[TOOL | {"input_schema": schema}]))

    (tool,) = sent_to_model(proxy)["tools"]
    words = "Say how the weather is.\n\nWhere. No other properties."
    assert words == tool["function"]["description"]


OTHER = {**WEATHER, "name": "other"}


@pytest.mark.parametrize(
    ("choice", "offered", "told"),
    [
        (None, ["get_weather", "other"], ""),
        ({"type": "auto"}, ["get_weather", "other"], ""),
        ({"type": "none"}, [], ""),
        ({"type": "any"}, ["get_weather", "other"], "must call one"),
        ({"type": "tool", "name": "other"}, ["other"], "must call the tool other"),
    ],
)
async def test_tool_choice(choice, offered, told, proxy):
    """`none` offers no tool, `tool` that one; what must be called is said in words (187, 188)."""
    await post(proxy, turn("Hi", tools=[WEATHER, OTHER], tool_choice=choice))

    sent = sent_to_model(proxy)
    assert offered == [tool["function"]["name"] for tool in sent.get("tools", [])]
    words = sent["messages"][-1]["content"]
    assert told in words
    assert (words == "Hi") == (told == "")


@pytest.mark.parametrize(
    ("model", "thinking", "effort", "expected"),
    [
        (THINKER, None, None, False),
        (THINKER, {"type": "disabled"}, None, False),
        (THINKER, {"type": "between_tools"}, None, False),
        (THINKER, {"type": "enabled", "budget_tokens": 1024}, None, True),
        (THINKER, {"type": "adaptive"}, None, True),
        (THINKER, {"type": "adaptive"}, "xhigh", True),
        (THINKER, None, "max", False),
        (LOCAL, None, None, None),
        (LOCAL, {"type": "adaptive"}, "low", None),
    ],
)
async def test_thinking_asked_for(model, thinking, effort, expected, proxy):
    """A thinking model is told on or off, always; another is told nothing (193, 194, 195)."""
    config = effort and {"effort": effort}

    await post(proxy, turn(model=model, max_tokens=2000, thinking=thinking, output_config=config))

    assert expected is sent_to_model(proxy).get("think")


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    "asked",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
    ],
)
@pytest.mark.parametrize("model", [LOCAL, THINKER])
@pytest.mark.parametrize("tools", [None, [WEATHER]])
async def test_structured_output(asked, model, tools, proxy):
    """The schema goes along, and the answer is one text block of JSON (conformance 105, 196)."""
    thinking = {"type": "adaptive"} if model == THINKER else None

    answer = await post(proxy, turn(model=model, tools=tools, thinking=thinking, **asked))

    assert SCHEMA == sent_to_model(proxy)["format"]
    *_, last = answer.json()["content"]
    assert "text" == last["type"]
    assert last["text"].startswith("{")


async def test_stop_sequences_stay_here(proxy):
    """A stop list would replace the template's own, so none is sent (conformance 192)."""
    await post(proxy, turn(stop_sequences=["END"]))

    assert "stop" not in sent_to_model(proxy)["options"]


@pytest.mark.parametrize("max_tokens", [1, 4096])
async def test_output_limits(max_tokens, proxy):
    """`num_predict` is the client's limit and never 0 or -1 (conformance 190)."""
    await post(proxy, turn(max_tokens=max_tokens))

    assert max_tokens == sent_to_model(proxy)["options"]["num_predict"]


async def test_nothing_but_utf8_leaves(proxy):
    """Every character of Unicode arrives as it was written (conformance 130, 201, 298)."""
    words = "é\u2028\u0085\U0001f680\x7f \ufeff\\u0000 \t"

    await post(proxy, turn(words))

    assert words == sent_to_model(proxy)["messages"][0]["content"]
    surrogate = (
        b'{"model":"qwen-coder","max_tokens":9,"messages":[{"role":"user","content":"\\ud83d"}]}'
    )
    assert_error(await post(proxy, surrogate), 400, "invalid_request_error")
