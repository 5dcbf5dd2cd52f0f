r"""The parameters of a tool call written as tags, read while they arrive.

Two dialects: `<function=NAME><parameter=KEY>VALUE</parameter></function>`, qwen3-coder's, and
`<invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke>`. Instead of parameters
there may be one JSON object.

Where a value ends, since nothing in it is escaped:
1. At the first `</parameter>` that is followed, whitespace aside, by another parameter, the call's
   closing tag, a wrapper's closing tag or the end of the answer. Others belong to the value.
2. A whole call inside the value (`<function=NAME>` to `</function>`) belongs to it: the model is
   writing a file about calls. If it is never closed, the call cannot be read.
3. Without `</parameter>`, at the beginning of a line: before a parameter that the schema names and
   that was not given yet, or before the call's closing tag where the call is over.
One line break at its beginning and one at its end belong to the template, not to the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.leak_cursor import SPACE, BrokenCall, NotACall
from ccproxy.wire.leaked_json import read_arguments

if TYPE_CHECKING:
    from ccproxy.wire.leak_cursor import Cursor, Scan
    from ccproxy.wire.leak_tools import KnownTools

PARAMETER_CLOSE: Final = "</parameter>"
_KEY: Final = re.compile(r"[\w.$-]+")
_UP_TO_TAG: Final = re.compile(r"[^<]+")
_BREAKS: Final = ("", "\n", "\r\n")
_BREAK_AT_ENDS: Final = re.compile(r"\A\r?\n|\r?\n\Z")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a call's tags are written; `end` closes the tags that carry a name."""

    call_open: str
    parameter_open: str
    call_close: str
    end: str


FUNCTION: Final = Dialect("<function=", "<parameter=", "</function>", ">")
INVOKE: Final = Dialect('<invoke name="', '<parameter name="', "</invoke>", '">')
DIALECTS: Final = {one.call_open: one for one in (FUNCTION, INVOKE)}
WRAPPERS: Final = ("<tool_call>", "<tools>", "<function_call>", "<function_calls>")
WRAPPER_CLOSES: Final = tuple(one.replace("<", "</") for one in WRAPPERS)
CALL_WRAPPERS: Final = ("<tool_call>", "<function_call>")
"""Wrappers that hold nothing but a call; `<tools>` may hold definitions of tools."""
CLOSES: Final = (*WRAPPER_CLOSES, *(one.call_close for one in DIALECTS.values()))


class ParameterReader:
    """Reads what stands between a call's opening and closing tag; used once."""

    def __init__(self, cursor: Cursor, tools: KnownTools, dialect: Dialect, name: str) -> None:
        """The opening tag has been taken; it has this name."""
        self._cursor = cursor
        self._tools = tools
        self._dialect = dialect
        self._name = name
        self._tool = tools.meant(name)
        self._given: dict[str, Any] = {}

    def read(self) -> Scan[dict[str, Any]]:
        """Return the arguments; the closing tag is left where it is.

        Raises:
            NotACall: Something else than parameters comes, on the tag's line, or nothing does.
            BrokenCall: Something else comes on the lines behind it, or where a value ends cannot
                be told.
        """
        cursor, dialect = self._cursor, self._dialect
        gap = yield from cursor.take_run(SPACE)
        if (yield from cursor.peek()) == "{":
            return (yield from read_arguments(cursor, self._name))
        closes = (dialect.call_close, *WRAPPER_CLOSES)
        while True:
            yield from cursor.take_run(SPACE)
            tag = yield from cursor.ahead((dialect.parameter_open, *closes))
            if tag == dialect.parameter_open:
                yield from self._read_parameter()
            elif tag in closes or (tag == "" and self._given and not cursor.cut_off):
                return self._given
            elif tag is None and "\n" in gap:
                raise BrokenCall(self._name)
            else:
                raise NotACall

    def _read_parameter(self) -> Scan[None]:
        cursor = self._cursor
        cursor.take(len(self._dialect.parameter_open))
        key = yield from cursor.take_run(_KEY)
        yield from cursor.take_literal(self._dialect.end)
        if not key or key in self._given:
            raise BrokenCall(self._name)
        try:
            value = yield from self._read_value()
        except NotACall as exc:
            raise BrokenCall(self._name) from exc
        value = _BREAK_AT_ENDS.sub("", value)
        self._given[key] = self._tools.converted(self._tool, key, value)

    def _read_value(self) -> Scan[str]:
        cursor, dialect = self._cursor, self._dialect
        marks = (PARAMETER_CLOSE, dialect.parameter_open, dialect.call_close, dialect.call_open)
        pieces: list[str] = []
        inner_calls = 0
        while char := (yield from cursor.peek()):
            if char != "<":
                pieces.append(cursor.take_match(_UP_TO_TAG))
                continue
            mark = yield from cursor.ahead(marks)
            line_start = not pieces or pieces[-1].endswith("\n")
            if mark == dialect.call_open:
                pieces.append(cursor.take(len(mark)))
                pieces.append((yield from cursor.take_run(_KEY)))
                inner_calls += (yield from cursor.ahead((dialect.end,))) == dialect.end
            elif mark == dialect.call_close and inner_calls:
                pieces.append(cursor.take(len(mark)))
                inner_calls -= 1
            elif mark == PARAMETER_CLOSE and not inner_calls:
                if (yield from self._value_is_over()):
                    return "".join(pieces)
                pieces.append(PARAMETER_CLOSE)
            elif mark and line_start and not inner_calls and (yield from self._forgotten(mark)):
                return "".join(pieces)
            else:
                pieces.append(cursor.take(1))
        raise NotACall

    def _value_is_over(self) -> Scan[bool]:
        """Take `</parameter>` and tell whether it ends the value (rule 1)."""
        cursor, dialect = self._cursor, self._dialect
        cursor.take(len(PARAMETER_CLOSE))
        follow = (dialect.parameter_open, dialect.call_close, *WRAPPER_CLOSES)
        return (yield from cursor.ahead(follow, past_space=True)) is not None

    def _forgotten(self, mark: str) -> Scan[bool]:
        """Tell whether this tag, at the beginning of a line, ends a value (rule 3)."""
        cursor, dialect = self._cursor, self._dialect
        if mark == dialect.call_close:
            # The end of the answer, or of the wrapper, directly behind it.
            over = tuple(mark + between + tag for tag in WRAPPER_CLOSES for between in _BREAKS)
            return (yield from cursor.ahead(over)) is not None
        missing = (key for key in self._tools.parameters(self._tool) if key not in self._given)
        tags = tuple(dialect.parameter_open + key + dialect.end for key in missing)
        return bool((yield from cursor.ahead(tags)))
