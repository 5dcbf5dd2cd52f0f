"""Tools that a conversation adds and removes, as system messages say (`tool_addition`, `_removal`).

A local model is offered one list of tools, that of the conversation's end:
1. Every tool of `tools`, from the start, also with `defer_loading`: its list then stays the same
   when a search or an addition brings the tool in, and so does the prompt that the model has read.
2. A tool defined in a message, behind those; a later definition of the same name replaces it.
3. A tool removed and not added again is not offered.

Source: docstrings of `BetaRequestToolAdditionBlockParam` and `…RemovalBlockParam` in anthropic
2.11.0 (betas `mid-conversation-tool-changes-2026-07-01`, `inline-tools-2026-09-15`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def with_tool_changes(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a validated body whose `tools` are those of the conversation's end.

    The same object where no message changes them. Changes by reference to an MCP server never come
    here: validation sends them to Claude.
    """
    defined: dict[str, Mapping[str, Any]] = {}
    removed: set[str] = set()
    for kind, tool in _changes(body["messages"]):
        if tool["type"] == "tool_definition":
            name = tool["definition"]["name"]
            defined.pop(name, None)
            defined[name] = tool["definition"]
        else:
            name = tool["name"]
        if kind == "tool_removal":
            removed.add(name)
        else:
            removed.discard(name)
    if not defined and not removed:
        return body
    declared = [tool for tool in body.get("tools") or () if tool.get("name") not in defined]
    offered = [tool for tool in (*declared, *defined.values()) if tool.get("name") not in removed]
    return {**body, "tools": offered}


def _changes(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield `(block type, tool)` of each change, in order."""
    for message in messages:
        if message["role"] != "system" or not isinstance(message.get("content"), list):
            continue
        for block in message["content"]:
            if block["type"] in ("tool_addition", "tool_removal"):
                yield block["type"], block["tool"]
