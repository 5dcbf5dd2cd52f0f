"""Tools and `tool_choice` of a Messages request in the chat shape.

Rules:
1. A tool is `{"type": "function", "function": {"name", "description", "parameters"}}`; the schema
   is passed on as it is except where Ollama's parser would answer 400 (conformance 184, 185).
2. Ollama has no `tool_choice`: `none` offers no tools, `tool` offers one, and `any` and `tool`
   are said in words as well (187, 188). Whether the model obeyed is checked on its answer.

Source: Go types `ToolFunctionParameters` and `ToolProperty` in ollama's api/types.go (2026-08).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.errors import UnsupportedLocally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    JsonValue = Any


def offered_tools(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tools the model is offered; `tool_choice` may leave none or one of them.

    Raises:
        UnsupportedLocally: A tool that Anthropic's servers run (`web_search_…`); a 400 where
            no other deployment is left.
    """
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "none":
        return []
    only = choice.get("name") if choice.get("type") == "tool" else None
    return [
        _function(position, tool)
        for position, tool in enumerate(body.get("tools") or ())
        if only is None or tool.get("name") == only
    ]


def choice_instruction(body: Mapping[str, Any]) -> str:
    """Return what the model is told about `tool_choice`, or an empty string."""
    choice = body.get("tool_choice") or {}
    match choice.get("type"):
        case "any":
            words = "You must call one of the available tools now. Do not answer in plain text."
        case "tool":
            words = f"You must call the tool {choice['name']} now. Do not answer in plain text."
        case _:
            return ""
    if choice.get("disable_parallel_tool_use"):
        words += " Make exactly one call."
    return words


def _function(position: int, tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type") or "custom"
    if kind != "custom":
        message = f"tools.{position}.type: {kind} is run by Anthropic and unknown to a local model"
        raise UnsupportedLocally(message)
    function = {"name": tool["name"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function | {"parameters": _root(tool["input_schema"])}}


def _root(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a tool's input, always an object with properties (185)."""
    root = {"type": "object"} | _property(schema)
    if not isinstance(root["type"], str):
        root["type"] = "object"
    root.setdefault("properties", {})
    return root


def _property(schema: object) -> dict[str, Any]:
    """Return one schema without what Ollama's parser refuses; a boolean schema allows anything."""
    if not isinstance(schema, dict):
        return {}
    safe = {key: _SAFE.get(key, _unchanged)(value) for key, value in schema.items()}
    return {key: value for key, value in safe.items() if value is not None}


def _unchanged(value: JsonValue) -> JsonValue:
    return value


def _type(value: JsonValue) -> JsonValue:
    return value if isinstance(value, str) else _strings(value)


def _description(value: JsonValue) -> JsonValue:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _properties(value: JsonValue) -> JsonValue:
    if not isinstance(value, dict):
        return None
    return {name: _property(schema) for name, schema in value.items()}


def _alternatives(value: JsonValue) -> JsonValue:
    return [_property(item) for item in value] if isinstance(value, list) else None


def _list(value: JsonValue) -> JsonValue:
    return value if isinstance(value, list) else None


def _strings(value: JsonValue) -> JsonValue:
    if not isinstance(value, list):
        return None
    return [item for item in value if isinstance(item, str)]


_SAFE: Final[Mapping[str, Callable[[JsonValue], JsonValue]]] = {
    "type": _type,
    "description": _description,
    "properties": _properties,
    "anyOf": _alternatives,
    "enum": _list,
    "required": _strings,
}
"""Member -> its value in the type Ollama's parser wants, or None where there is none to offer."""
