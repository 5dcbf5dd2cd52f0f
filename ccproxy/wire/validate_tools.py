"""Tools and `tool_choice` (conformance 095-100)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.validate_schema import check_schema
from ccproxy.wire.validate_shape import (
    as_list,
    as_object,
    as_string,
    check_depth,
    optional_bool,
    optional_string,
    refuse,
    require,
    tag_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.wire.validate_shape import Review

NAME_PATTERN: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
"""Source: 400s of the API since 2025 name `{1,128}` (its older ones `{1,64}`)."""

_DATED_TYPE: Final = re.compile(r"[a-z0-9_]+_20[0-9]{6}")
"""`web_search_20250305`, `bash_20250124`, ...: tools that Anthropic defines, also future ones."""

CHOICES: Final = ("auto", "any", "tool", "none")


def check_tools(body: Mapping[str, Any], review: Review) -> tuple[set[str], bool]:
    """Check `tools`.

    Returns:
        The names given, and whether Anthropic-defined tools may bring names we do not see.
    """
    value = body.get("tools")
    if value is None:
        return set(), False
    names: set[str] = set()
    open_ended = False
    for index, item in enumerate(as_list(value, "tools")):
        name = check_tool(item, f"tools.{index}", review)
        if name is None:
            open_ended = True
        elif name in names:
            refuse("tools", "Tool names must be unique.")
        else:
            names.add(name)
    return names, open_ended


def check_tool(item: object, path: str, review: Review) -> str | None:
    """Check one tool and return the name of a client tool; None if Anthropic defines it."""
    tool = as_object(item, path)
    kind = tool.get("type")
    if kind not in (None, "custom"):
        if not isinstance(kind, str) or not (kind == "mcp_toolset" or _DATED_TYPE.fullmatch(kind)):
            tag_of(tool, path, ("custom",))
        review.unsupported.append(
            f"{path}.type: {kind} is defined by Anthropic and not available on the local model"
        )
        return None
    path = f"{path}.custom"
    name = as_string(require(tool, "name", path), f"{path}.name")
    if not NAME_PATTERN.fullmatch(name):
        refuse(f"{path}.name", "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")
    optional_string(tool, "description", path)
    schema = as_object(require(tool, "input_schema", path), f"{path}.input_schema")
    if require(schema, "type", f"{path}.input_schema") != "object":
        refuse(f"{path}.input_schema.type", "Input should be 'object'")
    check_schema(schema, f"{path}.input_schema")
    check_depth(schema, f"{path}.input_schema", review)
    return name


def check_tool_choice(body: Mapping[str, Any], names: set[str], *, open_ended: bool) -> str | None:
    """Check `tool_choice` and return its type.

    Args:
        body: The request.
        names: Every name the choice may be of.
        open_ended: Whether there are tools whose names we do not see.
    """
    value = body.get("tool_choice")
    if value is None:
        return None
    choice = as_object(value, "tool_choice")
    kind = tag_of(choice, "tool_choice", CHOICES)
    if kind == "none":
        return kind
    optional_bool(choice, "disable_parallel_tool_use", f"tool_choice.{kind}")
    if not names and not open_ended:
        refuse("tool_choice", "tool_choice may only be specified while providing tools")
    if kind == "tool":
        name = as_string(require(choice, "name", "tool_choice.tool"), "tool_choice.tool.name")
        if name not in names and not open_ended:
            refuse("tool_choice.tool.name", f"Tool '{name[:128]}' not found in provided tools")
    return kind
