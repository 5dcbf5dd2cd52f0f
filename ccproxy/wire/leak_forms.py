"""The forms in which models write tool calls as text, and where such a call ends.

Forms, each with any of the bodies of `leaked_json` and `leaked_xml`:
- a bare body: JSON, `<function=...>`, `<invoke name="...">`;
- in `<tool_call>`, `<tools>`, `<function_call>` or `<function_calls>`, also where the opening or
  the closing tag is missing, as qwen3-coder leaves them out (ollama issue 16686);
- in a fence whose language is none, `json`, `xml`, `tool_call`, `tool_calls`, `tool`, `tools` or
  `function_call`, inside or around such tags (vllm issue 32926: qwen2.5-coder's favourite);
- several in a row, separated by whitespace or commas.

What makes them calls, and not text that looks like one:
1. What goes together counts together: the calls of one fence, of one line, and calls joined by
   commas are all calls, or all text. A fence holds nothing else.
2. A call has its lines for itself: only whitespace, closing tags and further calls may follow on
   the line on which it ends. Up to two closing braces too many are forgiven.
3. It fits the tool's schema (`KnownTools.fits`). Arguments may be left out between tags only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ccproxy.ports import ToolCall
from ccproxy.wire.leak_cursor import SPACE, NotACall
from ccproxy.wire.leaked_json import read_calls
from ccproxy.wire.leaked_xml import (
    CLOSES,
    DIALECTS,
    PARAMETER_CLOSE,
    WRAPPERS,
    ParameterReader,
)

if TYPE_CHECKING:
    from ccproxy.wire.leak_cursor import Cursor, Scan
    from ccproxy.wire.leak_tools import KnownTools

_LANGUAGES: Final = (
    "",
    "json",
    "xml",
    "tool_call",
    "tool_calls",
    "tool",
    "tools",
    "function_call",
)
_BLANKS: Final = re.compile(r"[ \t\r]+")
_MARKS: Final = {"`": re.compile("`+"), "~": re.compile("~+")}
_ALL_CLOSES: Final = (*CLOSES, PARAMETER_CLOSE)
_MAX_OPENS: Final = 4
_MAX_SPARE_BRACES: Final = 2
OPENS: Final = (*WRAPPERS, *DIALECTS)
"""Tags with which a form can begin; the last ones are followed by a name."""
STARTS: Final = frozenset("{[<`~")
"""Characters with which a form can begin."""


class CallGroup:
    """Reads calls that count together; used once."""

    def __init__(self, cursor: Cursor, tools: KnownTools) -> None:
        """The cursor stands where a call may begin."""
        self.indent = ""
        """Spaces taken behind the group, on the line that comes next."""
        self._cursor = cursor
        self._tools = tools
        self._calls: list[ToolCall] = []
        self._fence = ""
        self._in_tags = False

    def read(self, *, tag_ends_line: bool) -> Scan[list[ToolCall]]:
        """Return the calls; the cursor stands behind them, at the beginning of a line or the end.

        Args:
            tag_ends_line: True if the first tag has to be the last thing on its line.

        Raises:
            NotACall: What comes is none.
            BrokenCall: Its arguments cannot be read.
        """
        yield from self._read_one(tag_ends_line=tag_ends_line)
        while (yield from self._another_follows()):
            yield from self._read_one(tag_ends_line=False)
        return self._calls

    def _read_one(self, *, tag_ends_line: bool) -> Scan[None]:
        cursor = self._cursor
        for _ in range(_MAX_OPENS):
            char = yield from cursor.peek()
            if char and char in "{[":
                yield from self._read_json()
                return
            if char and char in _MARKS and not self._fence:
                yield from self._open_fence()
            elif char == "<":
                tag = yield from cursor.ahead(OPENS)
                if not tag:
                    raise NotACall
                cursor.take(len(tag))
                if tag in DIALECTS:
                    yield from self._read_tags(tag, tag_ends_line=tag_ends_line)
                    return
                if tag_ends_line:
                    yield from self._expect_line_end()
                    tag_ends_line = False
                self._in_tags = True
            else:
                break
            yield from cursor.take_run(SPACE)
        raise NotACall

    # --- bodies --------------------------------------------------------------------------------

    def _read_json(self) -> Scan[None]:
        cursor = self._cursor
        for call in (yield from read_calls(cursor, self._tools.names)):
            if call.arguments is None and not self._in_tags:
                raise NotACall
            self._add(ToolCall(None, call.name, call.arguments or {}))
        for _ in range(_MAX_SPARE_BRACES):
            if (yield from cursor.peek()) == "}":
                cursor.take(1)

    def _read_tags(self, tag: str, *, tag_ends_line: bool) -> Scan[None]:
        cursor, dialect = self._cursor, DIALECTS[tag]
        name = yield from cursor.take_word(self._tools.names, dialect.end[0])
        if dialect.end[1:]:
            yield from cursor.take_literal(dialect.end[1:])
        if tag_ends_line:
            yield from self._expect_line_end()
        arguments = yield from ParameterReader(cursor, self._tools, dialect, name).read()
        self._add(ToolCall(None, name, arguments))

    def _add(self, call: ToolCall) -> None:
        if not self._tools.fits(call.name, call.arguments):
            raise NotACall
        self._calls.append(call)

    # --- what stands around bodies -------------------------------------------------------------

    def _open_fence(self) -> Scan[None]:
        cursor = self._cursor
        mark = yield from cursor.peek()
        self._fence = yield from cursor.take_run(_MARKS[mark])
        if len(self._fence) < 3:
            raise NotACall
        yield from cursor.take_run(_BLANKS)
        yield from cursor.take_word(_LANGUAGES, "\n")

    def _close_fence(self) -> Scan[None]:
        marks = yield from self._cursor.take_run(_MARKS[self._fence[0]])
        at_end = not (yield from self._cursor.peek())
        if not marks.startswith(self._fence) and (not at_end or self._cursor.goes_on):
            raise NotACall
        self._fence = ""

    def _expect_line_end(self) -> Scan[None]:
        yield from self._cursor.take_run(_BLANKS)
        if (yield from self._cursor.peek()) != "\n":
            raise NotACall

    def _another_follows(self) -> Scan[bool]:
        """Go past what may follow a call; return True if the next belongs to the same group."""
        cursor = self._cursor
        while True:
            gap = yield from cursor.take_run(SPACE)
            char = yield from cursor.peek()
            if not char:
                if self._fence and cursor.goes_on:
                    raise NotACall
                return False
            if char == ",":
                cursor.take(1)
                yield from cursor.take_run(SPACE)
                return True
            if char == "<" and (closing := (yield from cursor.ahead(_ALL_CLOSES))) is not None:
                if not closing:  # the answer ends within a closing tag
                    cursor.take_rest()
                cursor.take(len(closing))
            elif self._fence and char == self._fence[0]:
                yield from self._close_fence()
            elif "\n" in gap and not self._fence:
                self.indent = gap.rpartition("\n")[2]
                return False
            elif char in "{[<":
                return True
            else:
                raise NotACall
