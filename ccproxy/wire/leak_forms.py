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
4. Between unmistakable tags, opening and closing, and not in a fence around them (`<tool_call>`,
   `<function_call>`, `<function=NAME>`, `<invoke name="NAME">`), a call need not fit, and its name
   may be one that means an offered tool (`tool_names`): what is wrong with it is for the check of
   the arguments, after which the model is asked again.
5. So is a call there that cannot be read. It ends at the answer's last closing tag that ends a
   line, since what it contains must not be called, and its text becomes the argument `UNREADABLE`.
   It stays text where the tool requires no argument, as then the check might let it pass.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ccproxy.ports import ToolCall
from ccproxy.wire.leak_cursor import SPACE, BrokenCall, NotACall
from ccproxy.wire.leak_tools import UNREADABLE, is_definition
from ccproxy.wire.leaked_json import CallReader
from ccproxy.wire.leaked_xml import (
    CALL_WRAPPERS,
    CLOSES,
    DIALECTS,
    PARAMETER_CLOSE,
    WRAPPER_CLOSES,
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
_FENCE_LINES: Final = (*_LANGUAGES, *(f"{one}\r" for one in _LANGUAGES))
_BLANKS: Final = re.compile(r"[ \t\r]+")
_MARKS: Final = {"`": re.compile("`+"), "~": re.compile("~+")}
_ALL_CLOSES: Final = (*CLOSES, PARAMETER_CLOSE)
_CALL_CLOSES: Final = tuple(one for one in CLOSES if one != "</tools>")
_CLOSE_OF_LINE: Final = re.compile(rf"(?:{'|'.join(_CALL_CLOSES)})[ \t\r]*(?:\n|\Z)")
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
        self.behind = ""
        """Text taken behind the group: the spaces of the line that comes next, or all the rest."""
        self.unreadable = ""
        """The tool of a call that cannot be read (rule 5); nothing behind it is called."""
        self._cursor = cursor
        self._tools = tools
        self._calls: list[ToolCall] = []
        self._fence = ""
        self._in_tags = False
        self._in_wrapper = False
        """In one of `CALL_WRAPPERS` (rule 4)."""
        self._owes_close = False
        """A call is one by rule 4 only, and has not been closed."""

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
        if self._owes_close:
            raise NotACall
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
                self._in_wrapper = tag in CALL_WRAPPERS and not self._fence
            else:
                break
            yield from cursor.take_run(SPACE)
        raise NotACall

    # --- bodies --------------------------------------------------------------------------------

    def _read_json(self) -> Scan[None]:
        cursor, in_wrapper = self._cursor, self._in_wrapper
        begin = cursor.held_chars
        try:
            calls = yield from CallReader(cursor, self._tools, in_tags=in_wrapper).read()
        except BrokenCall as broken:
            yield from self._read_unreadable(broken, begin, in_tags=in_wrapper)
            return
        for call in calls:
            if call.arguments is None and not self._in_tags:
                raise NotACall
            self._add(ToolCall(None, call.name, call.arguments or {}), in_tags=in_wrapper)
        for _ in range(_MAX_SPARE_BRACES):
            if (yield from cursor.peek()) == "}":
                cursor.take(1)

    def _read_tags(self, tag: str, *, tag_ends_line: bool) -> Scan[None]:
        cursor, dialect = self._cursor, DIALECTS[tag]
        in_tags = self._in_wrapper or not self._fence
        name = yield from self._tools.take_name(cursor, dialect.end[0], in_tags=in_tags)
        if dialect.end[1:]:
            yield from cursor.take_literal(dialect.end[1:])
        if tag_ends_line:
            yield from self._expect_line_end()
        begin = cursor.held_chars
        try:
            arguments = yield from ParameterReader(cursor, self._tools, dialect, name).read()
        except BrokenCall as broken:
            yield from self._read_unreadable(broken, begin, in_tags=in_tags)
            return
        self._add(ToolCall(None, name, arguments), in_tags=in_tags)

    def _add(self, call: ToolCall, *, in_tags: bool) -> None:
        tool = self._tools.meant(call.name)
        if tool != call.name or not self._tools.fits(tool, call.arguments):
            if not in_tags or is_definition(call.arguments):
                raise NotACall
            self._owes_close = True
        self._calls.append(call)

    def _read_unreadable(self, broken: BrokenCall, begin: int, *, in_tags: bool) -> Scan[None]:
        """Take the rest of the answer, and what of it is the call whose body begins there."""
        cursor, tool = self._cursor, self._tools.meant(broken.tool)
        if not in_tags or not broken.is_alone or not self._tools.refuses_unreadable(tool):
            raise broken
        try:
            while (yield from cursor.peek()):
                cursor.take_rest()
        except NotACall as exc:
            raise broken from exc
        rest = cursor.held_from(begin)
        closes = list(_CLOSE_OF_LINE.finditer(rest))
        if not closes:
            raise broken
        body, behind = rest[: closes[-1].start()].strip(), rest[closes[-1].end() :]
        for tag in _CALL_CLOSES:  # `</function>` before `</tool_call>`
            body = body.removesuffix(tag).rstrip()
        words = behind.lstrip()
        gap = behind[: len(behind) - len(words)]
        self.behind = gap.rpartition("\n")[2] + words if words else ""
        self.unreadable = tool
        self._owes_close = False
        self._calls.append(ToolCall(None, broken.tool, {UNREADABLE: body}))

    # --- what stands around bodies -------------------------------------------------------------

    def _open_fence(self) -> Scan[None]:
        cursor = self._cursor
        mark = yield from cursor.peek()
        self._fence = yield from cursor.take_run(_MARKS[mark])
        if len(self._fence) < 3:
            raise NotACall
        yield from cursor.take_run(_BLANKS)
        yield from cursor.take_word(_FENCE_LINES, "\n")

    def _close_fence(self) -> Scan[None]:
        marks = yield from self._cursor.take_run(_MARKS[self._fence[0]])
        at_end = not (yield from self._cursor.peek())
        if not marks.startswith(self._fence) and (not at_end or self._cursor.goes_on):
            raise NotACall
        self._fence = ""

    def _close_tag(self, closing: str) -> None:
        if not closing:  # the answer ends within a closing tag
            self._cursor.take_rest()
        self._cursor.take(len(closing))
        if closing in _CALL_CLOSES:
            self._owes_close = False
        if closing in WRAPPER_CLOSES:
            self._in_wrapper = False

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
                self._close_tag(closing)
            elif self._fence and char == self._fence[0]:
                yield from self._close_fence()
            elif "\n" in gap and not self._fence and not self._owes_close:
                self.behind = gap.rpartition("\n")[2]
                return False
            elif char in "{[<":
                return True
            else:
                raise NotACall
