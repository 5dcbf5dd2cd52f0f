"""Which side made the tool calls that a request brings the results of.

A request is inside an open tool loop where tool results stand behind the last assistant turn that
answer calls of that turn. Who made them is told by

1. the ids of the answered calls: Claude's begin `toolu_01`, with `bdrk_` or `vrtx_` before the 01
   where they come by way of Bedrock or Vertex; those that we mint begin with `LOCAL_TOOL_ID`, and
   those that we keep of Ollama and LiteLLM with `call_` (conformance 210), as no Claude's do;
2. the signature of thinking in the same turn, which is our marker or somebody's whom we are not;
   `redacted_thinking` is Claude's alone.

Where these say nothing, or contradict each other, it is not known. `Side.LOCAL` stands for every
deployment whose answers are translated: their ids look alike.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ccproxy.wire.ids import LOCAL_TOOL_ID
from ccproxy.wire.signature import LOCAL_SIGNATURE
from routing.types import Side

_CLAUDES_ID: Final = re.compile(r"toolu_(?:bdrk_|vrtx_)?01[A-Za-z0-9]")
"""Source: ids in Anthropic's documentation of tool use and of Bedrock and Vertex AI (2026-10)."""
_OUR_IDS: Final = (LOCAL_TOOL_ID, "call_")


def tool_loop_side(messages: object) -> Side | None:
    """Return the side whose calls are being answered; None outside a loop, and where it is unknown.

    Looks at the last turn alone, and never raises, whatever `messages` holds.
    """
    answered: set[str] = set()
    turn: list[dict[str, Any]] = []
    for message in reversed(_dicts(messages)):
        role = message.get("role")
        if role == "assistant":
            turn += _blocks(message)
        elif role == "user":
            if turn:
                break
            answered |= {
                block["tool_use_id"]
                for block in _blocks(message)
                if block.get("type") == "tool_result" and isinstance(block.get("tool_use_id"), str)
            }
    if not any(_is_answered(block, answered) for block in turn):
        return None
    sides = {side for block in turn if (side := _side_of(block, answered)) is not None}
    return sides.pop() if len(sides) == 1 else None


def _is_answered(block: dict[str, Any], answered: set[str]) -> bool:
    tool_id = block.get("id")
    return block.get("type") == "tool_use" and isinstance(tool_id, str) and tool_id in answered


def _side_of(block: dict[str, Any], answered: set[str]) -> Side | None:
    """Return the side that a block is surely of."""
    kind = block.get("type")
    if kind == "redacted_thinking":
        return Side.CLAUDE
    if kind == "thinking":
        signature = block.get("signature")
        if not isinstance(signature, str) or not signature:
            return None
        return Side.LOCAL if signature == LOCAL_SIGNATURE else Side.CLAUDE
    if not _is_answered(block, answered):
        return None
    if _CLAUDES_ID.match(block["id"]):
        return Side.CLAUDE
    return Side.LOCAL if block["id"].startswith(_OUR_IDS) else None


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    return _dicts(message.get("content"))


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
