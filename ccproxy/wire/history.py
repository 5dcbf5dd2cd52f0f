"""Takes out of a history what only a local route put there and the next one would refuse.

Rules:
1. Thinking that carries our marker is cut: Claude answers 400 to signatures that it did not issue
   (conformance 262). An assistant message left empty by that goes too.
2. An assistant message without content goes, where the history shows that a local route had part in
   it (our marker, or a tool call with an id of ours): Claude refuses it anywhere but at the end
   (conformance 083), and so do we. A local model may end its turn without a word (223), and a
   client may send that back. This holds toward a local model as well.
3. Manual thinking (`thinking.type: enabled`) is switched off for a request inside a tool loop whose
   calls a local model made. Claude wants the last turn of a loop to begin with thinking of its own
   and answers 400 otherwise: "When `thinking` is enabled, a final `assistant` message must start
   with a thinking block … To avoid this requirement, disable `thinking`." Adaptive thinking stays.
4. All of it is cut as byte ranges of the original: everything else stays as the client spelled it
   (258). Nothing is cut in silence: `notes` says what, and how often.
5. Of the rest that Claude would refuse (tool ids outside its alphabet, repeated ones, text blocks
   that are empty or blank; conformance 263) the local side never makes any.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from ccproxy.wire.ids import LOCAL_TOOL_ID
from ccproxy.wire.signature import LOCAL_SIGNATURE
from ccproxy.wire.spans import Span, cut_ranges, find_member, items, root, without
from ccproxy.wire.tool_loop import tool_loop_side
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MARKER: Final = LOCAL_SIGNATURE.encode()
_OUR_CALL: Final = LOCAL_TOOL_ID.encode()
_EMPTY_LIST: Final = re.compile(rb"\[[ \t\r\n]*+\]")
_NO_CONTENT: Final = re.compile(rb'"content"[ \t\r\n]*+:[ \t\r\n]*+\[[ \t\r\n]*+\]')


class Stripped(NamedTuple):
    """A body as Claude may see it, and what was cut out of it."""

    body: bytes
    """The very same object where nothing was cut."""
    thinking_blocks: int = 0
    empty_messages: int = 0
    """Messages that were empty as they came; those that lost their last block are not counted."""

    def notes(self) -> list[str]:
        """Return what was cut, as a header names it."""
        counts = (
            ("local_thinking_cut", self.thinking_blocks),
            ("empty_turn_cut", self.empty_messages),
        )
        return [f"{what}={number}" for what, number in counts if number]


def strip_local_blocks(body: bytes) -> Stripped:
    """Return a Messages body without what only a local route can have put there.

    Two user messages in a row are fine, Claude merges them (conformance 079).

    Args:
        body: Valid JSON; what is no Messages request comes back as it is.
    """
    if not _may_need_cuts(body):
        return Stripped(body)
    return _cut(body, [root(body)])


def strip_batch(body: bytes) -> Stripped:
    """Return the body of a new batch, every item of it treated as `strip_local_blocks` would."""
    if not _may_need_cuts(body):
        return Stripped(body)
    requests = _list_in(body, "requests", root(body))
    params = (
        find_member(body, "params", item.start) for item in requests if _is_object(body, item)
    )
    return _cut(body, [each.start for each in params if each is not None])


def needs_thinking_off(body: Mapping[str, Any]) -> bool:
    """Return whether Claude would refuse a request for its thinking (rule 3)."""
    thinking = body.get("thinking")
    return (
        isinstance(thinking, dict)
        and thinking.get("type") == "enabled"
        and tool_loop_side(body.get("messages")) is Side.LOCAL
    )


def without_empty_answers(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Return a parsed Messages body after rule 2, and its notes; the very same body without any."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body, []
    empty = [message for message in messages[:-1] if _is_empty_answer(message)]
    if not empty or not any(map(_is_of_local_route, messages)):
        return body, []
    kept = [message for message in messages[:-1] if not _is_empty_answer(message)]
    notes = Stripped(b"", empty_messages=len(empty)).notes()
    return {**body, "messages": [*kept, messages[-1]]}, notes


def _is_empty_answer(message: object) -> bool:
    return (
        isinstance(message, dict)
        and message.get("role") == "assistant"
        and message.get("content") == []
    )


def _is_of_local_route(message: object) -> bool:
    """Return whether a message has a block that only a local route can have made."""
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return False
    content = message.get("content")
    return isinstance(content, list) and any(
        _is_marked(block) for block in content if isinstance(block, dict)
    )


def _is_marked(block: Mapping[str, Any]) -> bool:
    """Return whether a block carries our signature or a tool id of ours."""
    if block.get("type") == "thinking":
        return block.get("signature") == LOCAL_SIGNATURE
    return block.get("type") == "tool_use" and str(block.get("id")).startswith(LOCAL_TOOL_ID)


class _Cuts(NamedTuple):
    ranges: list[Span]
    thinking_blocks: int
    empty_messages: int


def _may_need_cuts(body: bytes) -> bool:
    """Return whether there may be anything to cut; nearly always an answer after one search."""
    return _MARKER in body or (_OUR_CALL in body and _NO_CONTENT.search(body) is not None)


def _cut(body: bytes, starts: list[int]) -> Stripped:
    """Cut out of the Messages requests that begin at these offsets."""
    found = [_cuts(body, start) for start in starts]
    ranges = sorted(span for cuts in found for span in cuts.ranges)
    return Stripped(
        without(body, ranges),
        sum(cuts.thinking_blocks for cuts in found),
        sum(cuts.empty_messages for cuts in found),
    )


def _cuts(body: bytes, start: int) -> _Cuts:
    spans = _list_in(body, "messages", start)
    dropped: set[int] = set()
    empty: set[int] = set()
    ranges: list[Span] = []
    thinking_blocks = 0
    for index, message in enumerate(spans):
        if body.find(_MARKER, *message) >= 0:
            blocks = _blocks(body, message)
            local = {at for at, block in enumerate(blocks) if _is_our_thinking(body, block)}
            thinking_blocks += len(local)
            if local and len(local) == len(blocks) and _role(body, message) == "assistant":
                dropped.add(index)
            else:
                ranges.extend(cut_ranges(blocks, local))
        elif index < len(spans) - 1 and _is_empty(body, message):
            empty.add(index)
    if empty and not thinking_blocks and not any(_has_our_call(body, each) for each in spans):
        empty.clear()
    ranges.extend(cut_ranges(spans, dropped | empty))
    return _Cuts(ranges, thinking_blocks, len(empty))


def _list_in(body: bytes, name: str, start: int) -> list[Span]:
    """Return the items of a list that is a member of the value at `start`; else none."""
    if body[start] != ord("{"):
        return []
    member = find_member(body, name, start)
    if member is None or body[member.start] != ord("["):
        return []
    return list(items(body, member.start))


def _blocks(body: bytes, message: Span) -> list[Span]:
    return _list_in(body, "content", message.start)


def _is_our_thinking(body: bytes, block: Span) -> bool:
    return any(
        value.get("type") == "thinking" and _is_marked(value)
        for value in _objects_with(_MARKER, body, block)
    )


def _has_our_call(body: bytes, message: Span) -> bool:
    """Return whether an assistant's message has a tool call whose id was minted here."""
    if body.find(_OUR_CALL, *message) < 0 or _role(body, message) != "assistant":
        return False
    return any(
        _is_marked(value)
        for block in _blocks(body, message)
        for value in _objects_with(_OUR_CALL, body, block)
    )


def _objects_with(mark: bytes, body: bytes, block: Span) -> Iterator[dict[str, Any]]:
    """Yield the block, parsed, if it is an object in which the mark stands."""
    if body.find(mark, *block) >= 0 and _is_object(body, block):
        yield orjson.loads(body[block.start : block.end])


def _is_empty(body: bytes, message: Span) -> bool:
    """Return whether an assistant's message has an empty list for its content."""
    if _NO_CONTENT.search(body, *message) is None or not _is_object(body, message):
        return False
    content = find_member(body, "content", message.start)
    return (
        content is not None
        and _EMPTY_LIST.fullmatch(body, *content) is not None
        and _role(body, message) == "assistant"
    )


def _is_object(body: bytes, span: Span) -> bool:
    return body[span.start] == ord("{")


def _role(body: bytes, message: Span) -> object:
    role = find_member(body, "role", message.start)
    return None if role is None else orjson.loads(body[role.start : role.end])
