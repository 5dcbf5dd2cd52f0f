r"""Tool calls written as JSON, read while they arrive.

Shapes of a call, keys in any order and each at most once:
- a name under `name`, `tool`, `tool_name` or `function`, and arguments under `arguments`,
  `parameters`, `input` or `args`: an object, the JSON of one in a string, or null for none;
- `{"function": {...}}` around such an object;
- beside either, `id` (any string) and `type` (`function`, `function_call`, `tool_call`,
  `tool_use`);
- `{"tool_calls": [...]}`, and a list of calls.
Any other key, or a name that was not offered, ends the reading at its first different character.
Between a call's own tags a name may have another spelling; and whatever cannot be read behind the
name of an offered tool makes a call that cannot be read, instead of none.

Forgiven, because models do it: raw line breaks and tabs in strings; a backslash before a character
that JSON does not escape (`"\d+"`), which is then a backslash; a comma before a closing bracket;
`True`, `False`, `None`; at the end of an answer that was not cut off, missing closing brackets
after a whole value. Not forgiven: single quotes, `\'` (in a shell command it can mean two things),
unescaped quotes, a string or number that the answer's end cuts, nesting beyond 64 levels.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.leak_cursor import SPACE, BrokenCall, NotACall

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.wire.leak_cursor import Cursor, Scan
    from ccproxy.wire.leak_tools import KnownTools

_MAX_DEPTH: Final = 64
_MAX_SHAPES: Final = 2
_IN_STRING: Final = re.compile(r'[^"\\]+')
_WORD: Final = re.compile(r"[-+.0-9A-Za-z]+")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?\Z", re.ASCII)
_WORDS: Final = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_ESCAPED: Final = frozenset('"\\/bfnrtu')

_ROLES: Final = {
    "name": "name",
    "tool": "name",
    "tool_name": "name",
    "function": "function",
    "arguments": "arguments",
    "parameters": "arguments",
    "input": "arguments",
    "args": "arguments",
    "id": "id",
    "type": "type",
    "tool_calls": "calls",
}
_KEYS: Final = tuple(_ROLES)
_TYPES: Final = ("function", "function_call", "tool_call", "tool_use")


@dataclass(slots=True)
class WrittenCall:
    """A call as the model wrote it."""

    name: str = ""
    arguments: dict[str, Any] | None = None
    """None if the model wrote none."""
    calls: list[WrittenCall] = field(default_factory=list)
    """Of `tool_calls`; then there is no name."""
    roles: set[str] = field(default_factory=set)


class CallReader:
    """Reads calls where the cursor stands."""

    def __init__(self, cursor: Cursor, tools: KnownTools, *, in_tags: bool) -> None:
        """`in_tags` is True between tags that hold nothing but a call."""
        self._cursor = cursor
        self._tools = tools
        self._in_tags = in_tags

    def read(self, depth: int = 0) -> Scan[list[WrittenCall]]:
        """Return a call or a list of calls; `depth` counts the shapes around it.

        Raises:
            NotACall: What comes is none.
            BrokenCall: What comes is one whose arguments cannot be read.
        """
        if (yield from self._cursor.peek()) == "[":
            calls: list[WrittenCall] = []

            def read_item() -> Scan[None]:
                calls.extend((yield from self._read_call(depth)))

            try:
                yield from _read_items(self._cursor, read_item)
            except BrokenCall as broken:
                broken.is_alone = False
                raise
        else:
            calls = yield from self._read_call(depth)
        if not calls:
            raise NotACall
        return calls

    def _read_call(self, depth: int) -> Scan[list[WrittenCall]]:
        if depth > _MAX_SHAPES:
            raise NotACall
        call = WrittenCall()

        def read_key() -> Scan[str]:
            yield from self._cursor.take_literal('"')
            return (yield from self._cursor.take_word(_KEYS, '"'))

        def read_value(key: str) -> Scan[None]:
            yield from self._read_part(call, _ROLES[key], depth)

        try:
            yield from _read_members(self._cursor, read_key, read_value)
        except BrokenCall:
            raise
        except NotACall as exc:
            if self._in_tags and call.name:
                raise BrokenCall(call.name) from exc
            raise
        if call.calls:
            if len(call.roles) > 1:
                raise NotACall
            return call.calls
        if not call.name:
            raise NotACall
        return [call]

    def _read_part(self, call: WrittenCall, role: str, depth: int) -> Scan[None]:
        cursor = self._cursor
        if role == "function":
            if (yield from cursor.peek()) == "{":
                inner = yield from self._read_call(depth + 1)
                if len(inner) != 1 or call.roles & {"name", "arguments"}:
                    raise NotACall
                call.name, call.arguments = inner[0].name, inner[0].arguments
                call.roles |= inner[0].roles - {"id", "type"}
                return
            role = "name"
        if role in call.roles:
            raise NotACall
        call.roles.add(role)
        if role == "arguments":
            call.arguments = yield from read_arguments(cursor, call.name)
        elif role == "calls":
            call.calls = yield from self.read(depth + 1)
        else:
            yield from cursor.take_literal('"')
            if role == "name":
                call.name = yield from self._tools.take_name(cursor, '"', in_tags=self._in_tags)
            elif role == "type":
                yield from cursor.take_word(_TYPES, '"')
            else:
                yield from _read_string_body(cursor)


def read_arguments(cursor: Cursor, name: str) -> Scan[dict[str, Any]]:
    """Read the object of a call's arguments.

    Raises:
        NotACall: What comes is no object, nor one in a string.
        BrokenCall: It is, and cannot be read; `name` is not empty.
    """
    char = yield from cursor.peek()
    if char not in ("{", '"', "n", "N"):
        raise NotACall
    try:
        value = yield from _read_value(cursor, 1)
        if isinstance(value, str):
            value = json.loads(value, strict=False)
    except (NotACall, ValueError, RecursionError) as exc:
        if name:
            raise BrokenCall(name) from exc
        raise NotACall from exc
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotACall
    return value


def _read_members(
    cursor: Cursor,
    read_key: Callable[[], Scan[str]],
    read_value: Callable[[str], Scan[None]],
) -> Scan[None]:
    yield from cursor.take_literal("{")
    while (yield from _char_past_space(cursor)) != "}":
        key = yield from read_key()
        yield from cursor.take_run(SPACE)
        yield from cursor.take_literal(":")
        yield from cursor.take_run(SPACE)
        yield from read_value(key)
        if (yield from _closed_by_the_end(cursor, "}")):
            return
    cursor.take(1)


def _read_items(cursor: Cursor, read_item: Callable[[], Scan[None]]) -> Scan[None]:
    yield from cursor.take_literal("[")
    while (yield from _char_past_space(cursor)) != "]":
        yield from read_item()
        if (yield from _closed_by_the_end(cursor, "]")):
            return
    cursor.take(1)


def _char_past_space(cursor: Cursor) -> Scan[str]:
    yield from cursor.take_run(SPACE)
    return (yield from cursor.peek())


def _closed_by_the_end(cursor: Cursor, closing: str) -> Scan[bool]:
    """Go past what follows a value; return True if the answer ends where a bracket is missing."""
    char = yield from _char_past_space(cursor)
    if char == ",":
        cursor.take(1)
    elif not char and not cursor.cut_off:
        return True
    elif char != closing:
        raise NotACall
    return False


def _read_value(cursor: Cursor, depth: int) -> Scan[Any]:
    char = yield from cursor.peek()
    if char == '"':
        cursor.take(1)
        return (yield from _read_string_body(cursor))
    if char == "{":
        return (yield from _read_object(cursor, depth))
    if char == "[":
        return (yield from _read_array(cursor, depth))
    return (yield from _read_word(cursor))


def _read_object(cursor: Cursor, depth: int) -> Scan[dict[str, Any]]:
    if depth > _MAX_DEPTH:
        raise NotACall
    members: dict[str, Any] = {}

    def read_key() -> Scan[str]:
        yield from cursor.take_literal('"')
        return (yield from _read_string_body(cursor))

    def read_value(key: str) -> Scan[None]:
        members[key] = yield from _read_value(cursor, depth + 1)

    yield from _read_members(cursor, read_key, read_value)
    return members


def _read_array(cursor: Cursor, depth: int) -> Scan[list[Any]]:
    if depth > _MAX_DEPTH:
        raise NotACall
    items: list[Any] = []

    def read_item() -> Scan[None]:
        items.append((yield from _read_value(cursor, depth + 1)))

    yield from _read_items(cursor, read_item)
    return items


def _read_word(cursor: Cursor) -> Scan[Any]:
    word = yield from cursor.take_run(_WORD)
    if word in _WORDS:
        return _WORDS[word]
    # At the end of the answer a number may lack digits.
    if not _NUMBER.match(word) or not (yield from cursor.peek()):
        raise NotACall
    try:
        return json.loads(word)
    except ValueError as exc:  # more digits than Python reads
        raise NotACall from exc


def _read_string_body(cursor: Cursor) -> Scan[str]:
    r"""Read a string whose opening quote was taken, to its closing one."""
    pieces = ['"']
    while (char := (yield from cursor.peek())) != '"':
        if not char:
            raise NotACall
        if char != "\\":
            pieces.append(cursor.take_match(_IN_STRING))
            continue
        cursor.take(1)
        escaped = yield from cursor.peek()
        if escaped in ("", "'"):
            raise NotACall
        if escaped in _ESCAPED:
            cursor.take(1)
            pieces.append("\\" + escaped)
        else:
            pieces.append("\\\\")
    cursor.take(1)
    pieces.append('"')
    try:
        text: str = json.loads("".join(pieces), strict=False)
    except ValueError as exc:  # \u without four hexadecimal digits
        raise NotACall from exc
    return text
