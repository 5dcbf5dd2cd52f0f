"""Content blocks: which types there are, where they may stand, which members they need.

An unknown type is a 400, never dropped (conformance 084). Signatures of thinking are not
questioned: Claude's are accepted in a history that a local model continues (conformance 115).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from ccproxy.wire.validate_shape import (
    as_id,
    as_list,
    as_object,
    as_string,
    check_depth,
    optional_bool,
    refuse,
    require,
    tag_of,
)
from ccproxy.wire.validate_sources import check_document, check_image
from ccproxy.wire.validate_tools import check_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.wire.validate_shape import Review

SERVER_RESULT_BLOCKS: Final = frozenset(
    {
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "advisor_tool_result",
        "mcp_tool_result",
    }
)
"""Results of tools that ran at Anthropic; in a history they become text (conformance 180)."""

USER_BLOCKS: Final = frozenset(
    {"text", "image", "document", "search_result", "tool_result", "container_upload"}
)
ASSISTANT_BLOCKS: Final = (
    frozenset(
        {
            "text",
            "image",
            "document",
            "search_result",
            "thinking",
            "redacted_thinking",
            "tool_use",
            "server_tool_use",
            "mcp_tool_use",
            "mcp_tool_listing",
            "compaction",
            "container_upload",
            "fallback",
        }
    )
    | SERVER_RESULT_BLOCKS
)
SYSTEM_BLOCKS: Final = frozenset({"text", "tool_addition", "tool_removal"})
"""Source: content unions of `BetaMessageParam` in anthropic 2.11.0."""

BLOCKS_BY_ROLE: Final = {
    "user": USER_BLOCKS,
    "assistant": ASSISTANT_BLOCKS,
    "system": SYSTEM_BLOCKS,
}
_ALL_BLOCKS: Final = USER_BLOCKS | ASSISTANT_BLOCKS | SYSTEM_BLOCKS

RESULT_BLOCKS: Final = frozenset(
    {"text", "image", "document", "search_result", "tool_reference", "browser_state"}
)
"""What the content of a `tool_result` may hold."""

_REMOVABLE: Final = ("tool_reference", "mcp_tool_reference", "mcp_toolset_reference")
_ADDABLE: Final = (*_REMOVABLE, "tool_definition")
"""What a `tool_removal` or `tool_addition` may name. Source: types of anthropic 2.11.0."""

_BEYOND_LOCAL: Final = {
    "container_upload": "containers run at Anthropic, not locally",
    "compaction": "compaction blocks are read by Claude only",
    "mcp_tool_listing": "MCP servers are called by Anthropic, not locally",
    "browser_state": "browser state is read by Claude only",
}


def check_block(item: object, path: str, role: str, review: Review) -> str:
    """Check one content block of a message and return its type."""
    if not isinstance(item, dict):
        refuse(path, "Input should be a valid dictionary")
    allowed = BLOCKS_BY_ROLE[role]
    tag = item.get("type")
    if not isinstance(tag, str) or tag not in allowed:
        _refuse_type(item, path, role)
    if tag == "text":  # by far the most frequent
        _check_text(item, path, review, cited=role != "user")
        return tag
    if tag in _BEYOND_LOCAL:
        review.unsupported.append(f"{path}: {_BEYOND_LOCAL[tag]}")
    elif role == "assistant" and tag in {"image", "document"}:
        _check_assistant_source(tag, item, path, review)
    elif tag in SERVER_RESULT_BLOCKS:
        as_string(require(item, "tool_use_id", f"{path}.{tag}"), f"{path}.{tag}.tool_use_id")
        check_depth(item, path, review)
    else:
        _CHECKS[tag](item, path, review)
    return tag


def _refuse_type(block: dict[str, Any], path: str, role: str) -> NoReturn:
    """Raise the 400 for a type that is unknown or stands in the wrong role."""
    tag = tag_of(block, path, _ALL_BLOCKS if role != "system" else SYSTEM_BLOCKS)
    right = "assistant" if role == "user" and tag in ASSISTANT_BLOCKS else "user"
    if tag in SYSTEM_BLOCKS:
        right = "system"
    refuse(path, f"`{tag}` blocks can only be in `{right}` messages")


def _check_text(block: dict[str, Any], path: str, review: Review, *, cited: bool) -> None:
    """Check a `text` block; an empty text is tolerated, because agents replay such blocks."""
    if not isinstance(block.get("text"), str):
        as_string(require(block, "text", f"{path}.text"), f"{path}.text.text")
    if review.newest_version and not cited and block.get("citations"):
        refuse(f"{path}.text.citations", "citations are not permitted on text in user messages")


def _check_assistant_source(tag: str, block: dict[str, Any], path: str, review: Review) -> None:
    """Check an image or document that an assistant message holds."""
    if tag == "image":
        check_image(block, path, review)
        review.unsupported.append(f"{path}: the local model takes images from users only")
    elif review.newest_version:
        refuse(path, "`document` blocks are not permitted in `assistant` messages")
    else:
        check_document(block, path, review)


def _check_search_result(block: dict[str, Any], path: str, review: Review) -> None:
    """Check a `search_result` block: title, source and text blocks."""
    path = f"{path}.search_result"
    as_string(require(block, "source", path), f"{path}.source")
    as_string(require(block, "title", path), f"{path}.title")
    for index, item in enumerate(as_list(require(block, "content", path), f"{path}.content")):
        where = f"{path}.content.{index}"
        part = as_object(item, where)
        tag_of(part, where, ("text",))
        _check_text(part, where, review, cited=False)


def _check_thinking(block: dict[str, Any], path: str, review: Review) -> None:
    """Check a `thinking` block; any signature will do."""
    del review
    path = f"{path}.thinking"
    as_string(require(block, "thinking", path), f"{path}.thinking")
    as_string(require(block, "signature", path), f"{path}.signature")


def _check_redacted(block: dict[str, Any], path: str, review: Review) -> None:
    """Check a `redacted_thinking` block."""
    del review
    path = f"{path}.redacted_thinking"
    as_string(require(block, "data", path), f"{path}.data")


def _check_call(block: dict[str, Any], path: str, review: Review) -> None:
    """Check a call of a client, server or MCP tool (conformance 085)."""
    path = f"{path}.{block['type']}"
    as_id(require(block, "id", path), f"{path}.id")
    if not as_string(require(block, "name", path), f"{path}.name"):
        refuse(f"{path}.name", "String should have at least 1 character")
    as_object(require(block, "input", path), f"{path}.input")
    check_depth(block["input"], f"{path}.input", review)


def _check_tool_result(block: dict[str, Any], path: str, review: Review) -> None:
    """Check a `tool_result`: its content may be absent, a string or blocks (conformance 090)."""
    path = f"{path}.tool_result"
    as_id(require(block, "tool_use_id", path), f"{path}.tool_use_id")
    optional_bool(block, "is_error", path)
    content = block.get("content")
    if content is None or isinstance(content, str):
        return
    for index, item in enumerate(as_list(content, f"{path}.content")):
        where = f"{path}.content.{index}"
        part = as_object(item, where)
        tag = tag_of(part, where, RESULT_BLOCKS)
        if tag == "text":
            _check_text(part, where, review, cited=True)
        elif tag in _BEYOND_LOCAL:
            review.unsupported.append(f"{where}: {_BEYOND_LOCAL[tag]}")
        else:
            _CHECKS[tag](part, where, review)


def _check_tool_reference(block: dict[str, Any], path: str, review: Review) -> None:
    """Check a `tool_reference` in a tool result."""
    del review
    path = f"{path}.tool_reference"
    as_string(require(block, "tool_name", path), f"{path}.tool_name")


def _check_tool_change(block: dict[str, Any], path: str, review: Review) -> None:
    """Check a `tool_addition` or `tool_removal` of a system message.

    A reference to a tool that nobody declared changes nothing.
    """
    adds = block["type"] == "tool_addition"
    path = f"{path}.{block['type']}.tool"
    tool = as_object(require(block, "tool", path.removesuffix(".tool")), path)
    match tag_of(tool, path, _ADDABLE if adds else _REMOVABLE):
        case "tool_reference":
            name = as_string(require(tool, "name", path), f"{path}.name")
            if adds:
                review.removed_tools.discard(name)
            else:
                review.removed_tools.add(name)
        case "tool_definition":
            defined = check_tool(require(tool, "definition", path), f"{path}.definition", review)
            if defined is not None:
                review.added_tools.add(defined)
                review.removed_tools.discard(defined)
        case _:
            review.unsupported.append(f"{path}: MCP servers are called by Anthropic, not locally")


def _check_fallback(block: dict[str, Any], path: str, review: Review) -> None:
    """Accept a `fallback` block: a marker between two Claude models, without content."""
    del block, path, review


_CHECKS: Final[dict[str, Callable[[dict[str, Any], str, Review], None]]] = {
    "image": check_image,
    "document": check_document,
    "search_result": _check_search_result,
    "thinking": _check_thinking,
    "redacted_thinking": _check_redacted,
    "tool_use": _check_call,
    "server_tool_use": _check_call,
    "mcp_tool_use": _check_call,
    "tool_result": _check_tool_result,
    "tool_reference": _check_tool_reference,
    "tool_addition": _check_tool_change,
    "tool_removal": _check_tool_change,
    "fallback": _check_fallback,
}
