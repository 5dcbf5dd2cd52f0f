"""Tools and `tool_choice` of a Messages request in the chat shape.

Rules:
1. A tool is `{"type": "function", "function": {"name", "description", "parameters"}}`; the schema
   is rewritten so that what Ollama drops of it is said otherwise (183-185, `tool_schema`).
2. Ollama has no `tool_choice`: `none` offers no tools, `tool` offers one, and `any` and `tool`
   are said in words as well (187, 188). Whether the model obeyed is checked on its answer.
3. Tools stand in the order of their names. Some clients gather them in another order for each
   request, and a model would then read the whole conversation again
   (https://github.com/openai/codex/pull/2611, https://github.com/coder/aibridge/pull/49).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from ccproxy.wire.errors import UnsupportedLocally
from ccproxy.wire.tool_schema import offered_schema

if TYPE_CHECKING:
    from collections.abc import Mapping


def offered_tools(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tools the model is offered, by name; `tool_choice` may leave none or one of them.

    Raises:
        UnsupportedLocally: A tool that Anthropic's servers run (`web_search_…`); a 400 where
            no other deployment is left.
    """
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "none":
        return []
    only = choice.get("name") if choice.get("type") == "tool" else None
    offered = [
        _function(position, tool)
        for position, tool in enumerate(body.get("tools") or ())
        if only is None or tool.get("name") == only
    ]
    return sorted(offered, key=lambda tool: tool["function"]["name"])


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
    try:
        schema = offered_schema(tool["input_schema"], tool["name"])
    except (orjson.JSONEncodeError, RecursionError) as exc:
        # What a schema is rewritten to has more levels than the schema.
        message = f"tools.{position}.input_schema: nested too deeply for the local model"
        raise UnsupportedLocally(message) from exc
    said = (tool.get("description") or "", schema.remark)
    function = {"name": tool["name"]}
    if description := "\n\n".join(dict.fromkeys(words for words in said if words)):
        function["description"] = description
    return {"type": "function", "function": function | {"parameters": schema.parameters}}
