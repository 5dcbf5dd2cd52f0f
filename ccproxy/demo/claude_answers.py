"""What the simulated Claude says: a deterministic answer, labelled as simulated.

In order: 1. a tool result in the last user turn is quoted; 2. a forced tool is called; 3. "use the
NAME tool" calls it, with the input of "with {JSON}" if that follows, and a command in backticks
calls `Bash`, where these are offered; 4. a JSON schema is filled; 5. the prompt is echoed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.demo.claude_checks import blocks_of, sign_thinking
from ccproxy.demo.given_input import given_input

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_USE_TOOL: Final = re.compile(r"\buse the [`'\"]?([A-Za-z0-9_-]+)[`'\"]? tool\b", re.IGNORECASE)
_COMMAND: Final = re.compile(r"`([^`\n]+)`")
_QUOTED_CHARACTERS: Final = 400
_BYTES_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """One finished answer, before it becomes JSON or SSE."""

    model: str
    content: list[dict[str, Any]]
    stop_reason: str
    output_tokens: int
    usage: dict[str, Any] = field(default_factory=dict)
    """Input side of Anthropic's usage object."""


def answer(body: Mapping[str, Any], number: int, input_usage: dict[str, Any]) -> Answer:
    """Return the answer to a checked Messages body.

    Args:
        body: The parsed request.
        number: Counts requests; makes tool ids unique.
        input_usage: As from `input_usage`.
    """
    model = body["model"]
    content: list[dict[str, Any]] = []
    if _thinks(body):
        thought = f"[simulated {model}] Thinking about the question, step by step."
        content.append(
            {"type": "thinking", "thinking": thought, "signature": sign_thinking(thought)}
        )
    call = _tool_call(body)
    if call is None:
        content.append({"type": "text", "text": _text(body)})
    else:
        name, arguments = call
        content.append({"type": "text", "text": f"[simulated {model}] I will use {name}."})
        content.append(
            {"type": "tool_use", "id": f"toolu_sim{number:020d}", "name": name, "input": arguments}
        )
    return _limited(model, content, body["max_tokens"], input_usage)


def input_usage(body: Mapping[str, Any], seen: set[bytes]) -> dict[str, Any]:
    """Return the input side of `usage`; a marked prefix is created once in `seen`, then read."""
    raw = orjson.dumps(body)
    total = max(1, len(raw) // _BYTES_PER_TOKEN)
    cached = 0
    prefix = orjson.dumps([body.get("tools"), body.get("system")])
    if b'"cache_control"' in raw:
        cached = min(total - 1, len(prefix) // _BYTES_PER_TOKEN)
    is_read = prefix in seen
    if cached:
        seen.add(prefix)
    return {
        "input_tokens": total - cached,
        "cache_creation_input_tokens": 0 if is_read else cached,
        "cache_read_input_tokens": cached if is_read else 0,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0 if is_read else cached,
            "ephemeral_1h_input_tokens": 0,
        },
        "service_tier": "standard",
    }


def _thinks(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")


def _last_user_blocks(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for message in reversed(body["messages"]):
        if message["role"] == "user":
            return list(blocks_of(message))
    return []


def _prompt(body: Mapping[str, Any]) -> str:
    """Return the last text of the last user turn; what comes before it are reminders."""
    texts = [b["text"] for b in _last_user_blocks(body) if b.get("type") == "text"]
    return str(texts[-1]) if texts else ""


def _tool_result(body: Mapping[str, Any]) -> str | None:
    results = [b for b in _last_user_blocks(body) if b.get("type") == "tool_result"]
    if not results:
        return None
    return " ".join(str(b.get("text", "")) for b in blocks_of(results[-1])).strip()


def _tool_call(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    tools = {tool["name"]: tool for tool in body.get("tools") or () if "name" in tool}
    if not tools or _tool_result(body) is not None:
        return None
    prompt = _prompt(body)
    command = _COMMAND.search(prompt)
    name = _tool_name(list(tools), body.get("tool_choice") or {"type": "auto"}, prompt)
    if name is None:
        return None
    given = given_input(prompt)
    if given is not None:
        return name, given
    if name == "Bash" and command:
        return name, {"command": command[1], "description": "Run what was asked for"}
    return name, _example(tools[name].get("input_schema") or {}, prompt)


def _tool_name(names: Sequence[str], choice: Mapping[str, Any], prompt: str) -> str | None:
    """Return the tool to call, or None for an answer in text."""
    wanted = _USE_TOOL.search(prompt)
    by_lower_case = {name.lower(): name for name in names}
    asked_for = by_lower_case.get(wanted[1].lower()) if wanted else None
    if asked_for is None and "Bash" in names and _COMMAND.search(prompt):
        asked_for = "Bash"
    match choice.get("type"):
        case "none":
            return None
        case "tool":
            return choice["name"] if choice.get("name") in names else None
        case "any":
            return asked_for or names[0]
        case _:
            return asked_for


def _text(body: Mapping[str, Any]) -> str:
    schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    if isinstance(schema, dict):
        return orjson.dumps(_example(schema, _prompt(body))).decode()
    label = f"[simulated {body['model']}]"
    result = _tool_result(body)
    if result is not None:
        return f"{label} The tool answered: {result[:_QUOTED_CHARACTERS]}"
    return f"{label} You said: {_prompt(body)[:_QUOTED_CHARACTERS]}"


def _example(schema: Mapping[str, Any], prompt: str) -> Any:  # noqa: ANN401 - JSON
    """Return the plainest value a JSON schema allows; strings are taken from the prompt."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        properties = schema.get("properties") or {}
        names: Sequence[str] = schema.get("required") or list(properties)
        return {name: _example(properties.get(name) or {}, prompt) for name in names}
    if kind == "string":
        return prompt[:80] or "x"
    return {"integer": 1, "number": 1, "boolean": True, "array": []}.get(kind)


def _limited(
    model: str, content: list[dict[str, Any]], max_tokens: int, usage: dict[str, Any]
) -> Answer:
    """Cut the answer at `max_tokens`, counting words; a tool call is left out, never cut."""
    kept: list[dict[str, Any]] = []
    left = max_tokens
    for block in content:
        text = block.get("thinking") or block.get("text") or str(block.get("input"))
        words = text.split(" ")
        if len(words) <= left:
            kept.append(block)
            left -= len(words)
            continue
        if block["type"] == "text" and left > 0:
            kept.append({**block, "text": " ".join(words[:left])})
            left = 0
        return Answer(model, kept, "max_tokens", max_tokens, usage)
    used_tool = any(block["type"] == "tool_use" for block in kept)
    return Answer(model, kept, "tool_use" if used_tool else "end_turn", max_tokens - left, usage)
