"""`messages` and `system`: roles, content, and tool calls with their results.

Consecutive messages of one role are one turn (conformance 079). System messages may stand
anywhere but first, and stand between turns without ending them (conformance 080).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.errors import invalid_request
from ccproxy.wire.validate_blocks import check_block
from ccproxy.wire.validate_options import check_effort
from ccproxy.wire.validate_shape import as_list, as_object, as_string, refuse, require, tag_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.wire.validate_shape import Review

MAX_MESSAGES: Final = 100_000
_MAX_NAMED_IDS: Final = 50
ROLES: Final = frozenset({"user", "assistant", "system"})


def check_system(body: Mapping[str, Any]) -> None:
    """Check `system`: absent, a string or text blocks (conformance 091)."""
    value = body.get("system")
    if value is None or isinstance(value, str):
        return
    if not isinstance(value, list):
        refuse("system", "Input should be a valid string or list of text blocks")
    for index, item in enumerate(value):
        path = f"system.{index}"
        block = as_object(item, path)
        tag_of(block, path, ("text",))
        as_string(require(block, "text", path), f"{path}.text")


def check_messages(messages: object, review: Review) -> None:
    """Check `messages` from first to last."""
    items = as_list(messages, "messages")
    if not items:
        raise invalid_request("messages: at least one message is required")
    if len(items) > MAX_MESSAGES:
        refuse("messages", f"List should have at most {MAX_MESSAGES} items")
    turns = _Turns()
    last = len(items) - 1
    for index, item in enumerate(items):
        message = as_object(item, f"messages.{index}")
        role = _role(message, index)
        _check_content(message, index, role, review, is_last=index == last)
        turns.add(index, role, message.get("content"))
    turns.end()
    _check_prefill(items[-1])


def _role(message: dict[str, Any], index: int) -> str:
    """Return the role of a message, or raise (conformance 077, 078)."""
    role = as_string(require(message, "role", f"messages.{index}"), f"messages.{index}.role")
    if role not in ROLES:
        raise invalid_request(
            f'messages: Unexpected role "{role[:64]}". Allowed roles are "user" or "assistant",'
            ' and "system" after the first message. A system prompt belongs in the top-level'
            " `system` parameter."
        )
    if index == 0 and role != "user":
        raise invalid_request('messages: first message must use the "user" role')
    return role


def _check_content(
    message: dict[str, Any], index: int, role: str, review: Review, *, is_last: bool
) -> None:
    """Check `content` of one message (conformance 082, 083)."""
    path = f"messages.{index}"
    if role == "system" and message.get("output_config") is not None:
        config = as_object(message["output_config"], f"{path}.output_config")
        check_effort(config, f"{path}.output_config")
        if message.get("content") is None:
            return  # sets the effort of a turn and says nothing
    content = require(message, "content", path)
    if isinstance(content, list):
        results_ended = False
        for position, item in enumerate(content):
            where = f"{path}.content.{position}"
            is_result = check_block(item, where, role, review) == "tool_result"
            if is_result and results_ended:
                refuse(
                    where,
                    "`tool_result` blocks must come first in the content of a user message,"
                    " before text and other blocks",
                )
            results_ended = results_ended or not is_result
    elif not isinstance(content, str):
        refuse(f"{path}.content", "Input should be a valid string or list of content blocks")
    if not content and not (is_last and role == "assistant"):
        refuse(
            path,
            "all messages must have non-empty content except for the optional final assistant"
            " message",
        )


def _check_prefill(message: dict[str, Any]) -> None:
    """Refuse trailing whitespace in a final assistant message (conformance 114)."""
    if message["role"] != "assistant":
        return
    match message["content"]:
        case str(text) | [*_, {"type": "text", "text": str(text)}] if text[-1:].isspace():
            raise invalid_request(
                "messages: final assistant content cannot end with trailing whitespace"
            )
        case _:
            return


class _Turns:
    """Pairs each `tool_use` with its `tool_result`, turn by turn (conformance 086-089)."""

    __slots__ = ("_all", "_answered", "_open", "_role", "_where")

    def __init__(self) -> None:
        """Start before the first turn."""
        self._role = "user"
        self._all: set[str] = set()
        self._open: dict[str, None] = {}  # a dict keeps the order for the message
        self._answered: set[str] = set()
        self._where = 0

    def add(self, index: int, role: str, content: object) -> None:
        """Take the next message, whose blocks are already checked."""
        if role == "system":
            return
        if role == "assistant" and self._role == "user":
            self.end()
            self._open.clear()
        self._role = role
        if not isinstance(content, list):
            return
        for position, block in enumerate(content):
            if block["type"] == "tool_use":
                self._call(block["id"], index, position)
            elif block["type"] == "tool_result":
                self._result(block["tool_use_id"], index, position)

    def end(self) -> None:
        """Raise if a call of the last assistant turn has no result."""
        missing = [call for call in self._open if call not in self._answered]
        if missing:
            refuse(
                f"messages.{self._where}",
                "`tool_use` ids were found without `tool_result` blocks immediately after:"
                f" {', '.join(missing[:_MAX_NAMED_IDS])}. Each `tool_use` block must have a"
                " corresponding `tool_result` block in the next message.",
            )

    def _call(self, call: str, index: int, position: int) -> None:
        """Remember a call of the current assistant turn."""
        if call in self._all:
            refuse(f"messages.{index}.content.{position}", "`tool_use` ids must be unique")
        self._all.add(call)
        self._open[call] = None
        self._where = index

    def _result(self, call: str, index: int, position: int) -> None:
        """Match a result to a call of the assistant turn before it."""
        path = f"messages.{index}.content.{position}"
        if call not in self._open:
            refuse(
                path,
                f"unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each"
                " `tool_result` block must have a corresponding `tool_use` block in the previous"
                " message.",
            )
        if call in self._answered:
            refuse(
                path,
                "each tool_use must have a single result. Found multiple `tool_result` blocks with"
                f" id: {call}",
            )
        self._answered.add(call)
