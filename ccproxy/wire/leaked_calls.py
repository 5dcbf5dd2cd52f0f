"""Tool calls that a model wrote as text, taken out of the text while it streams.

Local models sometimes write a call instead of making it, in forms that their server does not
recognise. `leak_forms` has the forms, `leaked_json` and `leaked_xml` the bodies, `leak_lines` the
places where a call may begin. A call that is recovered wrongly runs something, so whatever is in
doubt stays text.

Rules:
1. Only tools that the request offers are called, by the name that the model wrote: between tags it
   may be another spelling of the offered one, which the check behind takes for it.
2. Text that cannot be a call flows: a piece without a place where a call may begin comes out as it
   is, at once. What could still become one is held, at most `HELD_CHARS`.
3. What is no call comes out unchanged, to the character.
4. A recovered call leaves nothing of its markup. Whitespace before it has gone out by then;
   whitespace behind it goes with it, except the indentation of the line that follows.
5. A call of an offered tool whose arguments cannot be read stays text, unless it stands between
   tags (`leak_forms`, rule 5), and everything after it is text: where its arguments end is unknown,
   and what they contain must not be called.
6. At the end of the answer, tags, a fence or brackets may lack their end, unless the token limit
   cut the answer off: then only a body that is whole is a call.
7. Something other than text between two pieces (a call that the model made, thinking) ends what
   was held, with no more forgiveness than a token limit, and an open fence is not closed by it.
   The line goes on behind it: code, a quotation, an introduction stay what they were.
8. The result does not depend on where the text was cut into pieces.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.leak_cursor import BrokenCall, Cursor, NotACall
from ccproxy.wire.leak_forms import OPENS, STARTS, CallGroup
from ccproxy.wire.leak_lines import Lines
from ccproxy.wire.leak_tools import KnownTools
from ccproxy.wire.notes import note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.ports import ToolCall
    from ccproxy.wire.leak_cursor import Scan

_SPACES: Final = re.compile(" +")
# Up to the line's end, or before a `<` that may begin one of `OPENS`.
_TO_NEXT_PLACE: Final = re.compile(r"[^\n](?:[^\n<]|<(?![tfi]|\Z))*\n?|\n")
_LINE: Final = re.compile(r"[^\n]*\n?")


class LeakFilter:
    """Splits an answer's text into text and calls; one per answer, used by one task."""

    def __init__(self, offered: Mapping[str, Mapping[str, Any]]) -> None:
        """`offered` maps the name of each tool that may be called to its `input_schema`."""
        self.recovered = 0
        """Calls that were taken out of the text."""
        self.notes: list[str] = []
        """`tool_call_recovered=NAME` each, and `tool_call_unreadable=NAME` for rule 5."""
        self._tools = KnownTools(offered)
        self._lines = Lines()
        self._cursor = Cursor(self._emit)
        self._out: list[str | ToolCall] = []
        self._trusted = True
        self._scan = self._run()

    def feed(self, text: str) -> list[str | ToolCall]:
        """Return what is certain by now, in order: text that is not empty, and calls without id."""
        self._cursor.append(text)
        return self._advance()

    def interrupt(self) -> list[str | ToolCall]:
        """Return what was held, where something other than text comes; text may follow (rule 7)."""
        self._cursor.end(cut_off=True, goes_on=True)
        parts = self._advance()
        self._lines.interrupted()
        self._cursor.resume()
        self._scan = self._run()
        return parts

    def finish(self, *, cut_off: bool = False) -> list[str | ToolCall]:
        """Return the rest, once the answer has ended.

        Args:
            cut_off: The model was stopped by its token limit (rule 6).
        """
        self._cursor.end(cut_off=cut_off)
        return self._advance()

    def _advance(self) -> list[str | ToolCall]:
        next(self._scan, None)
        merged: list[str | ToolCall] = []
        text: list[str] = []
        for item in self._out:
            if isinstance(item, str):
                text.append(item)
                continue
            if text:
                merged.append("".join(text))
                text = []
            merged.append(item)
        if text:
            merged.append("".join(text))
        self._out.clear()
        return merged

    def _emit(self, text: str) -> None:
        self._out.append(text)
        if self._trusted:
            self._lines.see(text)

    def _run(self) -> Scan[None]:
        cursor, lines = self._cursor, self._lines
        while char := (yield from cursor.peek()):
            if not self._trusted:
                cursor.take_rest()
            elif lines.in_code:
                cursor.take_match(_LINE)
            elif lines.at_line_start and char == " ":
                cursor.take_match(_SPACES)
            elif not (yield from self._may_begin(char)) or not (yield from self._take_calls()):
                cursor.take_match(_TO_NEXT_PLACE)

    def _may_begin(self, char: str) -> Scan[bool]:
        lines = self._lines
        if char not in STARTS or lines.quoted:
            return False
        if char == "<":
            if not (yield from self._cursor.ahead(OPENS)):
                return False
        elif not lines.at_line_start or (char in "{[" and lines.in_bigger_json):
            return False
        return not lines.speaks_of_calls

    def _take_calls(self) -> Scan[bool]:
        """Take calls, or text that looked like some; return False if nothing was taken."""
        cursor, lines = self._cursor, self._lines
        group = CallGroup(cursor, self._tools)
        tag_ends_line = not (lines.at_line_start or lines.after_sentence)
        cursor.hold()
        try:
            calls = yield from group.read(tag_ends_line=tag_ends_line)
        except BrokenCall as broken:
            self._trusted = False
            self.notes.append(note("tool_call_unreadable", broken.tool))
            return cursor.release()
        except NotACall:
            return cursor.release()
        cursor.drop()
        for call in calls:
            self.recovered += 1
            self.notes.append(note("tool_call_recovered", call.name))
            self._out.append(call)
        lines.call_removed()
        if group.unreadable:
            self._trusted = False
            self.notes.append(note("tool_call_unreadable", group.unreadable))
        if group.behind:
            self._emit(group.behind)
        return True
