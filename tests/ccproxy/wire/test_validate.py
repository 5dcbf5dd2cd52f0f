"""What a local model may be asked: every rule once, accepted and refused.

Each row changes a valid body and says what comes of it: None, a 400 that begins with a text, or
`Elsewhere(text)` for what only Claude can serve.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import pytest

from ccproxy.wire.errors import ApiError, UnsupportedLocally
from ccproxy.wire.validate import ignored_fields, validate_request

OLD, NEW = "2023-06-01", "2026-10-21"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 20).decode()
SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}}
TOOL = {"name": "get", "input_schema": SCHEMA}
ADAPTIVE = {"type": "adaptive"}
ENABLED = {"type": "enabled", "budget_tokens": 1024}


@dataclass(frozen=True)
class Elsewhere:
    """A valid request that only Claude can serve."""

    text: str


def body(**changes: object) -> dict[str, Any]:
    """Return a valid body with some fields changed; `...` removes one."""
    full: dict[str, Any] = {
        "model": "qwen-coder",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    full.update(changes)
    return {key: value for key, value in full.items() if value is not ...}


def says(role: str, *content: object) -> dict[str, Any]:
    """Return a message of blocks, or of one string."""
    if len(content) == 1 and isinstance(content[0], str):
        return {"role": role, "content": content[0]}
    return {"role": role, "content": list(content)}


def user(*blocks: object) -> dict[str, Any]:
    """Return a body with one user message of these blocks."""
    return body(messages=[says("user", *blocks) if blocks else says("user")])


def assistant(*blocks: object) -> dict[str, Any]:
    """Return a body whose second message is an assistant's, followed by a user's."""
    messages = [says("user", "Hi"), {"role": "assistant", "content": list(blocks)}]
    return body(messages=[*messages, says("user", "go on")])


def text(value: object = "Hi", **more: object) -> dict[str, Any]:
    """Return a text block."""
    return {"type": "text", "text": value, **more}


def call(name: str = "toolu_1", **more: object) -> dict[str, Any]:
    """Return a tool_use block."""
    return {"type": "tool_use", "id": name, "name": "get", "input": {}, **more}


def result(name: str = "toolu_1", **more: object) -> dict[str, Any]:
    """Return a tool_result block."""
    return {"type": "tool_result", "tool_use_id": name, **more}


def image(**source: object) -> dict[str, Any]:
    """Return an image block; base64 unless told otherwise."""
    base = {"type": "base64", "media_type": "image/png", "data": PNG}
    return {"type": "image", "source": source if "type" in source else base | source}


def document(**source: object) -> dict[str, Any]:
    """Return a document block."""
    return {"type": "document", "source": source}


def dialogue(*messages: object) -> dict[str, Any]:
    """Return a body with these messages after a first user message."""
    return body(messages=[says("user", "Hi"), *messages])


def after_call(*blocks: object) -> dict[str, Any]:
    """Return a body in which these blocks answer the call `toolu_1`."""
    return dialogue(says("assistant", call()), says("user", *blocks))


PLAIN = document(type="text", media_type="text/plain", data="x")
SEARCH = {"type": "search_result", "source": "s", "title": "t", "content": [text()]}
CITED = [{"type": "char_location", "cited_text": "x"}]
SERVER_CALL = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
SERVER_RESULT = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
REFERENCE = {"type": "tool_reference", "name": "get"}

Row = tuple[str, dict[str, Any], str | Elsewhere | None]

FIELDS: list[Row] = [
    ("072 model missing", body(model=...), "model: Field required"),
    ("072 max_tokens missing", body(max_tokens=...), "max_tokens: Field required"),
    ("072 messages missing", body(messages=...), "messages: Field required"),
    ("073 model number", body(model=1), "model: Input should be a valid string"),
    ("073 model null", body(model=None), "model: Input should be a valid string"),
    ("073 model empty", body(model=""), "model: String should have at least 1 character"),
    ("074 float", body(max_tokens=10.0), "max_tokens: Input should be a valid integer"),
    ("074 bool", body(max_tokens=True), "max_tokens: Input should be a valid integer"),
    ("074 string", body(max_tokens="10"), "max_tokens: Input should be a valid integer"),
    ("074 null", body(max_tokens=None), "max_tokens: Input should be a valid integer"),
    ("074 negative", body(max_tokens=-1), "max_tokens: Input should be greater than or equal to 0"),
    ("074 large", body(max_tokens=10**9), None),
    ("075 zero", body(max_tokens=0), None),
    ("075 zero, streamed", body(max_tokens=0, stream=True), "max_tokens: 0 is not permitted"),
    ("075 zero, thinking", body(max_tokens=0, thinking=ENABLED), "max_tokens: 0 is not permitted"),
    ("075 zero, adaptive", body(max_tokens=0, thinking=ADAPTIVE), None),
    (
        "075 zero, format",
        body(max_tokens=0, output_config={"format": {"type": "json_schema", "schema": {}}}),
        "max_tokens: 0 is not permitted",
    ),
    (
        "075 zero, forced tool",
        body(max_tokens=0, tools=[TOOL], tool_choice={"type": "any"}),
        "max_tokens: 0 is not permitted",
    ),
    ("092 temperature 0", body(temperature=0), None),
    ("092 temperature 1.0", body(temperature=1.0), None),
    ("092 temperature low", body(temperature=-0.1), "temperature: Input should be greater"),
    ("092 temperature high", body(temperature=1.1), "temperature: Input should be less than"),
    ("092 temperature bool", body(temperature=True), "temperature: Input should be a valid number"),
    ("092 temperature string", body(temperature="1"), "temperature: Input should be a valid"),
    ("092 top_p high", body(top_p=2), "top_p: Input should be less than or equal to 1"),
    ("092 top_k", body(top_k=40), None),
    ("092 top_k negative", body(top_k=-1), "top_k: Input should be greater than or equal to 0"),
    ("092 top_k float", body(top_k=1.5), "top_k: Input should be a valid integer"),
    ("093 stop", body(stop_sequences=["END", " \nx"]), None),
    ("093 stop string", body(stop_sequences="END"), "stop_sequences: Input should be a valid list"),
    ("093 stop number", body(stop_sequences=["a", 1]), "stop_sequences.1: Input should be a valid"),
    ("093 stop blank", body(stop_sequences=[" \n"]), "stop_sequences: each stop sequence must"),
    ("093 stream 1", body(stream=1), "stream: Input should be a valid boolean"),
    ("093 stream string", body(stream="true"), "stream: Input should be a valid boolean"),
    ("093 stream false", body(stream=False), None),
    ("094 metadata", body(metadata={"user_id": None}), None),
    ("094 metadata string", body(metadata="x"), "metadata: Input should be a valid dictionary"),
    ("094 user_id", body(metadata={"user_id": 1}), "metadata.user_id: Input should be a valid"),
    ("094 tier", body(service_tier="standard_only"), None),
    ("094 tier unknown", body(service_tier="batch"), "service_tier: Input should be 'auto' or"),
    ("094 speed", body(speed="fast"), None),
    ("094 speed unknown", body(speed="slow"), "speed: Input should be 'standard' or 'fast'"),
    ("094 geo", body(inference_geo="us"), None),
    ("094 geo number", body(inference_geo=1), "inference_geo: Input should be a valid string"),
    ("091 system string", body(system="Be brief."), None),
    ("091 system empty", body(system=""), None),
    ("091 system blocks", body(system=[text(cache_control={"type": "ephemeral"})]), None),
    ("091 system number", body(system=1), "system: Input should be a valid string or list"),
    ("091 system image", body(system=[image()]), "system.0: Input tag 'image' found using 'type'"),
    ("091 system no text", body(system=[{"type": "text"}]), "system.0.text: Field required"),
    ("091 system string in list", body(system=["x"]), "system.0: Input should be a valid dict"),
    ("110 context_management", body(context_management={"edits": []}), None),
    ("110 diagnostics", body(diagnostics={"previous_message_id": None}), None),
    ("110 container", body(container="c_1"), Elsewhere("container: ")),
    ("110 container null", body(container=None), None),
    ("110 mcp_servers", body(mcp_servers=[{"type": "url"}]), Elsewhere("mcp_servers: ")),
    ("110 mcp_servers empty", body(mcp_servers=[]), None),
    ("110 compaction", body(compaction={"type": "auto"}), Elsewhere("compaction: ")),
    ("110 fallbacks", body(fallbacks=[{"model": "claude-x"}]), Elsewhere("fallbacks: ")),
    ("110 billing_policy", body(billing_policy={"type": "x"}), Elsewhere("billing_policy: ")),
    ("113 unknown field", body(brand_new={"x": 1}), None),
    ("106 five breakpoints", body(system=[text(cache_control={"type": "ephemeral"})] * 5), None),
]

THINKING: list[Row] = [
    ("101 adaptive", body(thinking=ADAPTIVE), None),
    ("101 disabled", body(thinking={"type": "disabled"}), None),
    ("101 between_tools", body(thinking={"type": "between_tools"}), None),
    ("101 null", body(thinking=None), None),
    ("101 unknown", body(thinking={"type": "maybe"}), "thinking: Input tag 'maybe' found"),
    ("101 string", body(thinking="on"), "thinking: Input should be a valid dictionary"),
    ("101 no type", body(thinking={}), "thinking.type: Field required"),
    ("102 enabled", body(thinking=ENABLED, max_tokens=2000), None),
    ("102 no budget", body(thinking={"type": "enabled"}), "thinking.enabled.budget_tokens: Field"),
    (
        "102 small budget",
        body(thinking=ENABLED | {"budget_tokens": 1023}),
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (
        "102 float budget",
        body(thinking=ENABLED | {"budget_tokens": 2000.0}),
        "thinking.enabled.budget_tokens: Input should be a valid integer",
    ),
    (
        "102 budget is max_tokens",
        body(thinking=ENABLED, max_tokens=1024),
        "max_tokens: must be greater than thinking.budget_tokens",
    ),
    ("103 display omitted", body(thinking=ADAPTIVE | {"display": "omitted"}), None),
    ("103 display of a newer client", body(thinking=ADAPTIVE | {"display": "updates"}), None),
    ("103 display null", body(thinking=ADAPTIVE | {"display": None}), None),
    ("103 display number", body(thinking=ADAPTIVE | {"display": 1}), "thinking.adaptive.display: "),
    (
        "103 display disabled",
        body(thinking={"type": "disabled", "display": "omitted"}),
        "thinking.disabled.display: Extra inputs are not permitted",
    ),
    (
        "103 enabled, forced tool",
        body(thinking=ENABLED, max_tokens=2000, tools=[TOOL], tool_choice={"type": "any"}),
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    (
        "103 adaptive, forced tool",
        body(thinking=ADAPTIVE, tools=[TOOL], tool_choice={"type": "any"}),
        None,
    ),
    (
        "104 enabled, temperature",
        body(thinking=ENABLED, max_tokens=2000, temperature=0.5),
        "temperature: may only be set to 1 when thinking is enabled",
    ),
    ("104 enabled, 1", body(thinking=ENABLED, max_tokens=2000, temperature=1), None),
    ("105 effort", body(output_config={"effort": "xhigh"}), None),
    ("105 effort null", body(output_config={"effort": None, "format": None}), None),
    (
        "105 effort unknown",
        body(output_config={"effort": "huge"}),
        "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
    ),
    ("105 string", body(output_config="x"), "output_config: Input should be a valid dictionary"),
    (
        "105 format",
        body(output_config={"format": {"type": "json_schema", "schema": SCHEMA}}),
        None,
    ),
    (
        "105 legacy format",
        body(output_format={"type": "json_schema", "schema": SCHEMA}),
        None,
    ),
    (
        "105 format type",
        body(output_config={"format": {"type": "json"}}),
        "output_config.format: Input tag 'json' found",
    ),
    (
        "105 schema missing",
        body(output_format={"type": "json_schema"}),
        "output_format.schema: Field required",
    ),
    (
        "105 schema string",
        body(output_config={"format": {"type": "json_schema", "schema": "x"}}),
        "output_config.format.schema: Input should be a valid dictionary",
    ),
]


def with_tool(**changes: object) -> dict[str, Any]:
    """Return a body with one tool, changed; `...` removes a member."""
    tool = {key: value for key, value in (TOOL | changes).items() if value is not ...}
    return body(tools=[tool])


def choosing(choice: object, *tools: object) -> dict[str, Any]:
    """Return a body with this tool_choice and these tools."""
    return body(tool_choice=choice, tools=list(tools))


NAME = "tools.0.custom.name: "
NESTED = {"type": "object", "properties": {"x": {"anyOf": [{"type": "strin"}]}}}
DRAFT_4 = {"type": "object", "properties": {"x": {"type": "string", "required": True}}}

TOOLS: list[Row] = [
    ("095 tool", with_tool(), None),
    ("095 custom", with_tool(type="custom", description="Gets."), None),
    ("095 none", body(tools=[]), None),
    ("095 null", body(tools=None), None),
    ("095 not a list", body(tools={}), "tools: Input should be a valid list"),
    ("095 not an object", body(tools=["x"]), "tools.0: Input should be a valid dictionary"),
    ("095 no name", with_tool(name=...), NAME + "Field required"),
    ("095 empty name", with_tool(name=""), NAME + "String should match pattern"),
    ("095 spaced name", with_tool(name="a b"), NAME + "String should match pattern"),
    ("095 newline after name", with_tool(name="a\n"), NAME + "String should match pattern"),
    ("095 long name", with_tool(name="a" * 129), NAME + "String should match pattern"),
    ("095 number", with_tool(name=1), NAME + "Input should be a valid string"),
    ("095 description", with_tool(description=1), "tools.0.custom.description: Input should be"),
    ("095 no schema", with_tool(input_schema=...), "tools.0.custom.input_schema: Field required"),
    ("095 schema string", with_tool(input_schema="x"), "tools.0.custom.input_schema: Input"),
    ("095 no type", with_tool(input_schema={}), "tools.0.custom.input_schema.type: Field required"),
    (
        "095 array type",
        with_tool(input_schema={"type": "array"}),
        "tools.0.custom.input_schema.type: Input should be 'object'",
    ),
    ("095 OpenAI's shape", with_tool(type="function"), "tools.0: Input tag 'function' found"),
    ("095 type number", with_tool(type=1), "tools.0: Input tag of another type found"),
    ("096 same name twice", body(tools=[TOOL, TOOL]), "tools: Tool names must be unique."),
    (
        "097 properties",
        with_tool(input_schema={"type": "object", "properties": []}),
        "tools.0.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft",
    ),
    ("097 deep type", with_tool(input_schema=NESTED), "tools.0.custom.input_schema: JSON schema"),
    (
        "097 required",
        with_tool(input_schema={"type": "object", "required": [1]}),
        "tools.0.custom.input_schema: JSON schema is invalid",
    ),
    ("097 older drafts pass", with_tool(input_schema=DRAFT_4), None),
    (
        "097 boolean and typeless properties pass",
        with_tool(input_schema={"type": "object", "properties": {"a": True, "b": {}}}),
        None,
    ),
    (
        "098 extras",
        with_tool(
            cache_control={"type": "ephemeral", "ttl": "1h"},
            strict=True,
            defer_loading=True,
            eager_input_streaming=None,
            input_examples=[{"x": "y"}],
            allowed_callers=["direct"],
        ),
        None,
    ),
    *(
        (f"099 {kind}", body(tools=[{"type": kind, "name": "x"}]), Elsewhere("tools.0.type: "))
        for kind in (
            "web_search_20250305",
            "web_fetch_20260318",
            "code_execution_20260521",
            "tool_search_tool_regex_20251119",
            "memory_20250818",
            "bash_20250124",
            "text_editor_20250728",
            "computer_toolset_20260801",
            "browser_toolset_20260801",
            "advisor_20260301",
            "mcp_toolset",
        )
    ),
    ("100 auto", choosing({"type": "auto", "disable_parallel_tool_use": True}, TOOL), None),
    ("100 any", choosing({"type": "any"}, TOOL), None),
    ("100 tool", choosing({"type": "tool", "name": "get"}, TOOL), None),
    ("100 none", choosing({"type": "none"}, TOOL), None),
    ("100 none without tools", body(tool_choice={"type": "none"}), None),
    ("100 string", choosing("auto", TOOL), "tool_choice: Input should be a valid dictionary"),
    ("100 unknown", choosing({"type": "required"}, TOOL), "tool_choice: Input tag 'required'"),
    ("100 nameless", choosing({"type": "tool"}, TOOL), "tool_choice.tool.name: Field required"),
    (
        "100 absent tool",
        choosing({"type": "tool", "name": "put"}, TOOL),
        "tool_choice.tool.name: Tool 'put' not found in provided tools",
    ),
    (
        "100 bool",
        choosing({"type": "auto", "disable_parallel_tool_use": 1}, TOOL),
        "tool_choice.auto.disable_parallel_tool_use: Input should be a valid boolean",
    ),
    *(
        (
            f"100 {kind} without tools",
            body(tool_choice={"type": kind, "name": "get"}),
            "tool_choice: tool_choice may only be specified while providing tools",
        )
        for kind in ("auto", "any", "tool")
    ),
]

MESSAGES: list[Row] = [
    ("076 empty", body(messages=[]), "messages: at least one message is required"),
    ("076 object", body(messages={}), "messages: Input should be a valid list"),
    ("076 null", body(messages=None), "messages: Input should be a valid list"),
    ("076 too many", body(messages=[says("user", "x")] * 100_001), "messages: List should have"),
    ("076 string item", body(messages=["x"]), "messages.0: Input should be a valid dictionary"),
    (
        "077 tool",
        dialogue(says("tool", "x")),
        'messages: Unexpected role "tool". Allowed roles are',
    ),
    ("077 no role", body(messages=[{"content": "x"}]), "messages.0.role: Field required"),
    ("077 number", body(messages=[{"role": 1, "content": "x"}]), "messages.0.role: Input should"),
    (
        "078 assistant first",
        body(messages=[says("assistant", "x")]),
        "messages: first message must",
    ),
    ("078 system first", body(messages=[says("system", "x")]), "messages: first message must use"),
    ("079 user twice", dialogue(says("user", "and"), says("user", "more")), None),
    ("079 assistant twice", dialogue(says("assistant", "a"), says("assistant", "b")), None),
    ("080 system", dialogue(says("system", "x")), None),
    ("080 system blocks", dialogue(says("system", text()), says("system", "y")), None),
    ("080 system before assistant", dialogue(says("system", "x"), says("assistant", "y")), None),
    ("080 system anywhere", dialogue(says("assistant", "y"), says("system", "x")), None),
    (
        "080 system between call and result",
        dialogue(says("assistant", call()), says("system", "x"), says("user", result())),
        None,
    ),
    (
        "080 tool_addition",
        dialogue(says("system", {"type": "tool_addition", "tool": REFERENCE})),
        None,
    ),
    (
        "080 tool_removal",
        dialogue(says("system", {"type": "tool_removal", "tool": REFERENCE})),
        None,
    ),
    (
        "080 tool_removal of a definition",
        dialogue(says("system", {"type": "tool_removal", "tool": {"type": "tool_definition"}})),
        "messages.1.content.0.tool_removal.tool: Input tag 'tool_definition' found",
    ),
    (
        "080 tool_addition without tool",
        dialogue(says("system", {"type": "tool_addition"})),
        "messages.1.content.0.tool_addition.tool: Field required",
    ),
    ("080 effort", dialogue({"role": "system", "output_config": {"effort": "low"}}), None),
    (
        "080 effort unknown",
        dialogue({"role": "system", "content": "x", "output_config": {"effort": "x"}}),
        "messages.1.output_config.effort: Input should be",
    ),
    (
        "080 image in system",
        dialogue(says("system", image())),
        "messages.1.content.0: Input tag 'image' found",
    ),
    ("082 missing", body(messages=[{"role": "user"}]), "messages.0.content: Field required"),
    ("082 null", body(messages=[{"role": "user", "content": None}]), "messages.0.content: Input"),
    ("082 number", body(messages=[{"role": "user", "content": 5}]), "messages.0.content: Input"),
    ("082 blocks", user(text(), text()), None),
    (
        "083 empty string",
        body(messages=[says("user", "")]),
        "messages.0: all messages must have non-empty content except for the optional final",
    ),
    ("083 empty list", user(), "messages.0: all messages must have non-empty content"),
    ("083 empty system", dialogue(says("system", "")), "messages.1: all messages must have"),
    ("083 empty final assistant", dialogue({"role": "assistant", "content": ""}), None),
    ("083 empty text block", user(text(""), text("x")), None),
    (
        "084 unknown",
        user({"type": "hologram"}),
        "messages.0.content.0: Input tag 'hologram' found using 'type' does not match any of the",
    ),
    ("084 no type", user({"text": "x"}), "messages.0.content.0.type: Field required"),
    ("084 type number", user({"type": 1}), "messages.0.content.0: Input tag of another type"),
    ("084 string", user("a", "b"), "messages.0.content.0: Input should be a valid dictionary"),
    ("084 text", user({"type": "text"}), "messages.0.content.0.text.text: Field required"),
    ("084 text null", user(text(None)), "messages.0.content.0.text.text: Input should be a valid"),
    ("084 image", user({"type": "image"}), "messages.0.content.0.image.source: Field required"),
    (
        "084 document",
        user({"type": "document"}),
        "messages.0.content.0.document.source: Field required",
    ),
    (
        "084 search_result",
        user({"type": "search_result", "source": "s"}),
        "messages.0.content.0.search_result.title: Field required",
    ),
    *(
        (
            f"084 tool_use without {name}",
            assistant({key: value for key, value in call().items() if key != name}),
            f"messages.1.content.0.tool_use.{name}: Field required",
        )
        for name in ("id", "name", "input")
    ),
    (
        "084 tool_result",
        user({"type": "tool_result"}),
        "messages.0.content.0.tool_result.tool_use_id: Field required",
    ),
    (
        "084 thinking",
        assistant({"type": "thinking", "signature": "s"}),
        "messages.1.content.0.thinking.thinking: Field required",
    ),
    (
        "084 signature",
        assistant({"type": "thinking", "thinking": "t"}),
        "messages.1.content.0.thinking.signature: Field required",
    ),
    (
        "084 redacted",
        assistant({"type": "redacted_thinking"}),
        "messages.1.content.0.redacted_thinking.data: Field required",
    ),
    (
        "084 tool_use of a user",
        user(call()),
        "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages",
    ),
    (
        "084 tool_result of an assistant",
        assistant(result()),
        "messages.1.content.0: `tool_result` blocks can only be in `user` messages",
    ),
    (
        "084 container_upload",
        user({"type": "container_upload"}),
        Elsewhere("messages.0.content.0: "),
    ),
    ("085 id", assistant(call("a b")), "messages.1.content.0.tool_use.id: String should match"),
    ("085 id newline", assistant(call("a\n")), "messages.1.content.0.tool_use.id: String should"),
    ("085 id empty", assistant(call("")), "messages.1.content.0.tool_use.id: String should match"),
    (
        "085 input list",
        assistant(call(input=[])),
        "messages.1.content.0.tool_use.input: Input should be a valid dictionary",
    ),
    (
        "085 input string",
        assistant(call(input="{}")),
        "messages.1.content.0.tool_use.input: Input should be a valid dictionary",
    ),
    ("086 answered", after_call(result(), text()), None),
    (
        "086 unanswered",
        assistant(call("toolu_a"), call("toolu_b")),
        (
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after:"
            " toolu_a, toolu_b. Each `tool_use` block must have a corresponding `tool_result`"
            " block in the next message."
        ),
    ),
    (
        "086 one of two",
        dialogue(says("assistant", call("a"), call("b")), says("user", result("b"))),
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a.",
    ),
    (
        "086 at the end",
        dialogue(says("assistant", call())),
        "messages.1: `tool_use` ids were found",
    ),
    (
        "086 answered a turn too late",
        dialogue(
            says("assistant", call()),
            says("user", "wait"),
            says("assistant", "ok"),
            says("user", result()),
        ),
        "messages.1: `tool_use` ids were found",
    ),
    (
        "086 results in two messages of one turn",
        dialogue(
            says("assistant", call("a"), call("b")),
            says("user", result("b")),
            says("user", result("a")),
        ),
        None,
    ),
    (
        "087 unexpected",
        user(result("toolu_x")),
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_x.",
    ),
    (
        "087 of an earlier turn",
        dialogue(
            says("assistant", call("a")),
            says("user", result("a")),
            says("assistant", "ok"),
            says("user", result("a")),
        ),
        "messages.4.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a.",
    ),
    (
        "088 after text",
        after_call(text(), result()),
        "messages.2.content.1: `tool_result` blocks must come first",
    ),
    (
        "089 same call twice",
        dialogue(says("assistant", call("a"), call("a")), says("user", result("a"))),
        "messages.1.content.1: `tool_use` ids must be unique",
    ),
    (
        "089 two results",
        after_call(result(), result()),
        "messages.2.content.1: each tool_use must have a single result.",
    ),
    ("090 no content", after_call(result()), None),
    ("090 empty", after_call(result(content="")), None),
    ("090 string", after_call(result(content="ok", is_error=True)), None),
    ("090 null", after_call(result(content=None, is_error=None)), None),
    (
        "090 blocks",
        after_call(
            result(
                content=[
                    text(),
                    image(),
                    PLAIN,
                    SEARCH,
                    {"type": "tool_reference", "tool_name": "get"},
                ]
            )
        ),
        None,
    ),
    ("090 no blocks", after_call(result(content=[])), None),
    (
        "090 number",
        after_call(result(content=1)),
        "messages.2.content.0.tool_result.content: Input should be a valid list",
    ),
    (
        "090 tool_use inside",
        after_call(result(content=[call()])),
        "messages.2.content.0.tool_result.content.0: Input tag 'tool_use' found",
    ),
    (
        "090 is_error",
        after_call(result(is_error="yes")),
        "messages.2.content.0.tool_result.is_error: Input should be a valid boolean",
    ),
    ("114 prefill", dialogue(says("assistant", "The answer is (")), None),
    (
        "114 trailing whitespace",
        dialogue(says("assistant", "The answer is ")),
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    (
        "114 trailing whitespace in a block",
        dialogue(says("assistant", text("a"), text("b\n"))),
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    ("114 whitespace before the end", dialogue(says("assistant", "a "), says("user", "b")), None),
    (
        "115 Claude's thinking",
        assistant(
            {"type": "thinking", "thinking": "", "signature": "EqoB"},
            {"type": "redacted_thinking", "data": "abc"},
            text(),
        ),
        None,
    ),
    ("180 server tool history", assistant(SERVER_CALL, SERVER_RESULT, text()), None),
]

SOURCES: list[Row] = [
    ("107 base64", user(image()), None),
    ("107 media type", user(image(media_type="image/tiff")), "messages.0.content.0.image.source."),
    (
        "107 media type missing",
        user(image(type="base64", data=PNG)),
        "messages.0.content.0.image.source.base64.media_type: Field required",
    ),
    *(
        (
            f"107 data {data[:9]!r}",
            user(image(data=data)),
            "messages.0.content.0.image.source.base64.data: invalid base64 data",
        )
        for data in (
            "",
            "not base64!",
            "abc",
            "a=bc",
            "ab==cd==",
            "data:image/png;base64,AAAA",
            "é" * 4,
        )
    ),
    (
        "107 data number",
        user(image(data=1)),
        "messages.0.content.0.image.source.base64.data: Input should be a valid string",
    ),
    (
        "107 too large",
        user(image(data="A" * 14_000_000)),
        "messages.0.content.0.image.source.base64: image exceeds 10 MB maximum: 10500000 bytes",
    ),
    ("107 100 images", user(*[image()] * 100), None),
    ("107 101 images", user(*[image()] * 101), Elsewhere("messages: more than 100 images")),
    ("107 601 images", user(*[image()] * 601), "messages: too many images"),
    (
        "107 http",
        user(image(type="url", url="http://x/y.png")),
        "messages.0.content.0.image.source",
    ),
    ("107 no file_id", user(image(type="file")), "messages.0.content.0.image.source.file.file_id:"),
    (
        "107 file",
        user(image(type="file", file_id="f")),
        Elsewhere("messages.0.content.0.image.sou"),
    ),
    (
        "172 url",
        user(image(type="url", url="https://x/y.png")),
        Elsewhere("messages.0.content.0.im"),
    ),
    (
        "109 text",
        user(PLAIN | {"title": "T", "context": None, "citations": {"enabled": True}}),
        None,
    ),
    ("109 content string", user(document(type="content", content="x")), None),
    ("109 content blocks", user(document(type="content", content=[text(), image()])), None),
    (
        "109 content of the wrong type",
        user(document(type="content", content=[PLAIN])),
        "messages.0.content.0.document.source.content.content.0: Input tag 'document' found",
    ),
    (
        "109 text type",
        user(document(type="text", media_type="text/html", data="x")),
        "messages.0.content.0.document.source.text.media_type: Input should be 'text/plain'",
    ),
    (
        "109 PDF",
        user(document(type="base64", media_type="application/pdf", data="JVBE")),
        Elsewhere("messages.0.content.0.document.source.base64: "),
    ),
    (
        "109 PDF in a result",
        after_call(
            result(content=[document(type="base64", media_type="application/pdf", data="JVBE")])
        ),
        Elsewhere("messages.2.content.0.tool_result.content.0.document.source.base64: "),
    ),
    (
        "109 url",
        user(document(type="url", url="https://x/y.pdf")),
        Elsewhere("messages.0.content.0.document.source.url: "),
    ),
    (
        "109 file",
        user(document(type="file", file_id="f")),
        Elsewhere("messages.0.content.0.document.source.file: "),
    ),
    (
        "109 unknown source",
        user(document(type="ftp")),
        "messages.0.content.0.document.source: Input",
    ),
]


def outcome(request: dict[str, Any], version: str = OLD, *, counting: bool = False) -> object:
    """Return None, the text of a 400, or Elsewhere with the text."""
    try:
        validate_request(request, version=version, counting=counting)
    except UnsupportedLocally as refusal:
        return Elsewhere(refusal.message)
    except ApiError as error:
        envelope = (error.status, error.error_type, error.should_retry)
        right = envelope == (400, "invalid_request_error", False)
        return error.message if right else f"not a 400: {envelope}"
    return None


def assert_outcome(actual: object, expected: str | Elsewhere | None) -> None:
    """Compare kinds exactly and texts by their beginning."""
    assert type(actual) is type(expected), actual
    if isinstance(actual, str):
        assert actual.startswith(str(expected))
    if isinstance(actual, Elsewhere) and isinstance(expected, Elsewhere):
        assert actual.text.startswith(expected.text)


ROWS = [*FIELDS, *THINKING, *TOOLS, *MESSAGES, *SOURCES]


@pytest.mark.parametrize(("rule", "request_body", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_rule(rule: str, request_body: dict[str, Any], expected: str | Elsewhere | None) -> None:
    """Each rule accepts, refuses or sends elsewhere as its row says (conformance 066-116, 172-180)."""
    assert rule[:3].isdigit()
    assert_outcome(outcome(request_body), expected)


@pytest.mark.parametrize(
    ("rule", "request_body", "expected"),
    [row for row in ROWS if "max_tokens" not in str(row[2])],
    ids=[row[0] for row in ROWS if "max_tokens" not in str(row[2])],
)
def test_counting_refuses_the_same(
    rule: str, request_body: dict[str, Any], expected: str | Elsewhere | None
) -> None:
    """count_tokens has the same 400s without any max_tokens (conformance 245)."""
    del rule
    request_body = {key: value for key, value in request_body.items() if key != "max_tokens"}
    assert_outcome(outcome(request_body, counting=True), expected)


NEW_ROWS: list[Row] = [
    ("027 temperature 1", body(temperature=1), "temperature: not permitted"),
    ("027 top_p", body(top_p=0.9), "top_p: not permitted"),
    ("027 top_k", body(top_k=5), "top_k: not permitted"),
    ("028 document", assistant(PLAIN), "messages.1.content.0: `document` blocks are not permitted"),
    ("028 citations", user(text(citations=CITED)), "messages.0.content.0.text.citations: "),
    ("028 no citations", user(text(citations=[]), text(citations=None)), None),
    (
        "028 citations in a search result",
        user(SEARCH | {"content": [text(citations=CITED)]}),
        "messages.0.content.0.search_result.content.0.text.citations: ",
    ),
    ("028 citations of an assistant", assistant(text(citations=CITED)), None),
    ("028 nested document", after_call(result(content=[PLAIN])), None),
    ("028 citations enabled", user(PLAIN | {"citations": {"enabled": True}}), None),
]


@pytest.mark.parametrize(
    ("rule", "request_body", "expected"), NEW_ROWS, ids=[row[0] for row in NEW_ROWS]
)
@pytest.mark.parametrize("counting", [False, True])
def test_newest_version_refuses_more(
    rule: str, request_body: dict[str, Any], expected: str | Elsewhere | None, *, counting: bool
) -> None:
    """Under 2026-10-21 sampling, documents of assistants and user citations are 400s (027, 028)."""
    del rule
    assert outcome(request_body, OLD, counting=counting) is None
    assert_outcome(outcome(request_body, NEW, counting=counting), expected)


@pytest.mark.parametrize("version", ["", "2024-01-01", "latest", "x\r\ny"])
def test_unknown_version_is_a_400(version: str) -> None:
    """A version we do not know is refused by name on the local side (conformance 026)."""
    assert_outcome(outcome(body(), version), f"anthropic-version: {version!r}")


@pytest.mark.parametrize(
    ("thread", "code", "elsewhere"),
    [
        ({"type": "create"}, "thread_unsupported_request", False),
        ({"type": "continue", "previous_message_id": "msg_1"}, "thread_not_found", True),
    ],
)
def test_thread_is_refused_with_its_code(thread: object, code: str, *, elsewhere: bool) -> None:
    """`thread` is a 400 whose code makes the SDK send the full history (conformance 111, 112)."""
    request = body(messages=[says("user", result("toolu_of_an_unsent_history"))], thread=thread)
    with pytest.raises(ApiError) as caught:
        validate_request(request, version=NEW)
    assert (caught.value.status, caught.value.error_code) == (400, code)
    assert isinstance(caught.value, UnsupportedLocally) is elsewhere


def test_null_thread_is_no_thread() -> None:
    """`thread: null` is accepted (conformance 111)."""
    assert outcome(body(thread=None)) is None


def test_first_error_is_always_the_same() -> None:
    """Errors come one at a time, in one order: fields, options, system, tools, messages (116)."""
    request = body(
        model=1, max_tokens=-1, temperature=7, system=1, tools=[1], messages=[1], tool_choice=1
    )
    order = []
    for fix in (
        {"model": "m"},
        {"max_tokens": 5},
        {"temperature": 1},
        {"system": ""},
        {"tools": []},
        {"messages": [says("user", "Hi")]},
        {"tool_choice": None},
    ):
        order.append(str(outcome(request)).split(":")[0].split(".")[0])
        request |= fix
    assert order == [
        "model",
        "max_tokens",
        "temperature",
        "system",
        "tools",
        "messages",
        "tool_choice",
    ]
    assert outcome(request) is None


def test_invalid_wins_over_unsupported() -> None:
    """A request that is wrong everywhere is never sent elsewhere (conformance 116)."""
    request = body(container="c", tools=[{"type": "web_search_20250305"}], messages=[])
    assert_outcome(outcome(request), "messages: at least one message is required")


def test_tool_defined_in_messages_may_be_chosen() -> None:
    """A tool that a message defines may be chosen and is checked like any other."""
    definition = {"type": "tool_definition", "definition": TOOL}
    addition = says("system", {"type": "tool_addition", "tool": definition})
    choice = {"type": "tool", "name": "get"}
    assert outcome(dialogue(addition) | {"tool_choice": choice}) is None
    definition["definition"] = TOOL | {"name": "a b"}
    assert_outcome(outcome(dialogue(addition)), "messages.1.content.0.tool_addition.tool.definit")


def test_a_removed_tool_may_not_be_chosen() -> None:
    """A tool that a message removes is no choice, until another adds it again."""
    removal = says("system", {"type": "tool_removal", "tool": REFERENCE})
    addition = says("system", {"type": "tool_addition", "tool": REFERENCE})
    chosen = {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "get"}}

    assert_outcome(
        outcome(dialogue(removal) | chosen), "tool_choice: tool_choice may only be specified while"
    )
    assert outcome(dialogue(removal, addition) | chosen) is None


@pytest.mark.parametrize("depth", [300, 1000])
def test_deep_values_go_elsewhere(depth: int) -> None:
    """What can be read but not be written again is not sent to a local model (conformance 070)."""
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        deep = {"type": "object", "properties": {"x": deep}}
    assert_outcome(outcome(with_tool(input_schema=deep)), Elsewhere("tools.0.custom.input_schema"))
    assert_outcome(
        outcome(dialogue(says("assistant", call(input=deep)), says("user", result()))),
        Elsewhere("messages.1.content.0.tool_use.input: nested too deeply"),
    )


def test_ignored_fields_are_named() -> None:
    """Unknown fields and those ignored by rule are reported, in order (conformance 110, 113)."""
    request = body(
        metadata={}, safeguards=[{"type": "x"}], brand_new=1, diagnostics={}, other=None
    ) | {"context_management": {"edits": []}, "stream": True, "service_tier": "auto"}
    assert ignored_fields(request) == (
        "safeguards",
        "brand_new",
        "diagnostics",
        "context_management",
    )
    assert ignored_fields(body()) == ()


def test_ignored_fields_are_safe_in_a_header() -> None:
    """Names that could break a header are not repeated, and their number is bounded."""
    assert ignored_fields({"a\r\nset-cookie: x": 1, "é": 2, "": 3, "x" * 65: 4}) == ("?",) * 4
    many = ignored_fields({f"field{index}": 1 for index in range(100)})
    assert (len(many), many[-1]) == (17, "...")
