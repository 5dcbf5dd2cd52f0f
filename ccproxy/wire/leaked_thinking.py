"""Thinking that a model wrote into its text, between tags at the beginning of an answer.

Rules:
1. Only what opens an answer counts: `<think>` or `<thinking>` behind nothing but whitespace, or
   directly behind such thinking. The same tag later on is text about the tag.
2. All up to the closing tag is thinking; either closing tag closes either opening one. Where there
   is none all of it is thinking, and `unclosed` says so.
3. A closing tag without an opening one belongs to a template that opened it. Whether an answer
   begins with such thinking cannot be known before that tag has come, and to wait for it would hold
   back every answer that has none. So the words before it are text, and the tag is dropped: at the
   answer's beginning wherever it stands, later on where it is alone on its line, outside of code,
   and no opening tag stands in the text before.
4. The whitespace around the tags is theirs, except that before a tag of rule 3.
5. Text flows: no more is held than what could still be a tag, and `LEADING_CHARS` of whitespace
   before an answer. The result does not depend on where the text was cut into pieces.

Source: qwen3's and qwq's chat templates (those of qwen3's thinking models end in `<think>`);
ollama's thinking parser, which takes it out where the template has thinking, and is not asked to
where thinking was switched off.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from itertools import groupby
from typing import Final

from ccproxy.ports import ModelDelta
from ccproxy.wire.leak_lines import Lines

LEADING_CHARS: Final = 1024
"""Whitespace before an answer that is held at most; an answer that begins with more is text."""

_OPEN: Final = ("<think>", "<thinking>")
_CLOSE: Final = ("</think>", "</thinking>")
_TAGS: Final = (*_OPEN, *_CLOSE)
_LONGEST: Final = max(map(len, _TAGS))
_SPACE: Final = re.compile(r"\s*")
_OPEN_TAG: Final = re.compile("|".join(_OPEN))
_CLOSE_TAG: Final = re.compile("|".join(_CLOSE))
# A closing tag on a line of its own, or the end of the text where one may be coming.
_HALF: Final = "|".join(re.escape(tag[:length]) for tag in _CLOSE for length in range(len(tag)))
_LONE_CLOSE: Final = rf" {{0,3}}(?:(?:{'|'.join(_CLOSE)})[ \t\r]{{0,16}}(?:\n|\Z)|(?:{_HALF})\Z)"
_ON_FIRST_LINE: Final = re.compile(_LONE_CLOSE)
_ON_ANY_LINE: Final = re.compile(rf"(?<=\n){_LONE_CLOSE}")


class _At(Enum):
    START = auto()
    THINKING = auto()
    BEHIND = auto()
    """Behind a closing tag, where whitespace is dropped."""
    TEXT = auto()
    """In text, where a closing tag may come of which no opening one was seen."""
    OVER = auto()


class ThinkingFilter:
    """Splits the text of one answer into thinking and text; used by one task."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.found = False
        """True once thinking, or a tag of it, was taken out."""
        self.unclosed = False
        """True once the text has ended within thinking."""
        self._at = _At.START
        self._unread = ""
        self._place = 0
        self._lines = Lines()
        self._last = "\n"
        """The end of the text that went out, as long as a tag."""
        self._out: list[ModelDelta] = []

    @property
    def is_over(self) -> bool:
        """True once all that comes is text."""
        return self._at is _At.OVER

    def feed(self, text: str) -> list[ModelDelta]:
        """Return what is certain by now, in order; neighbours of one kind are one delta."""
        if self._at is _At.OVER:
            return [ModelDelta(text=text)] if text else []
        self._unread = self._unread[self._place :] + text
        self._place = 0
        while self._step():
            pass
        return self._merged()

    def finish(self) -> list[ModelDelta]:
        """Return the rest, where the text has ended: thinking, or text that is no tag."""
        held = self._unread[self._place :]
        at, self._at = self._at, _At.OVER
        self._unread, self._place = "", 0
        if at is _At.THINKING:
            self.unclosed = True
            return [ModelDelta(thinking=held)] if held else []
        if at is _At.TEXT and _CLOSE_TAG.search(held) and not self._lines.in_code:
            self.found = True
            return []
        return [ModelDelta(text=held)] if held else []

    def _merged(self) -> list[ModelDelta]:
        runs = (list(run) for _, run in groupby(self._out, key=lambda each: bool(each.text)))
        merged = [
            ModelDelta(
                thinking="".join(each.thinking for each in run),
                text="".join(each.text for each in run),
            )
            for run in runs
        ]
        self._out.clear()
        return merged

    def _step(self) -> bool:
        """Take one more piece of what is unread; False where more text has to come first."""
        match self._at:
            case _At.START | _At.BEHIND:
                return self._open()
            case _At.THINKING:
                return self._think()
            case _At.TEXT:
                return self._text()
        self._emit(len(self._unread))
        return False

    def _open(self) -> bool:
        """At the beginning, or behind a closing tag: go past a tag, and know what comes then."""
        space = _SPACE.match(self._unread, self._place)
        begun = space.end() if space else self._place
        if self._at is _At.BEHIND:
            self._place = begun
        elif begun - self._place > LEADING_CHARS:
            self._at = _At.TEXT
            return True
        for tag in _TAGS:
            if self._unread.startswith(tag, begun):
                self.found = True
                self._place = begun + len(tag)
                self._at = _At.THINKING if tag in _OPEN else _At.BEHIND
                return True
        if self._may_be_a_tag(begun):
            return False
        self._at = _At.TEXT
        return True

    def _may_be_a_tag(self, begin: int) -> bool:
        rest = self._unread[begin : begin + _LONGEST]
        return any(tag.startswith(rest) for tag in _TAGS)

    def _think(self) -> bool:
        closing = _CLOSE_TAG.search(self._unread, self._place)
        end = closing.start() if closing else len(self._unread) - self._half_a_tag()
        if end > self._place:
            self._out.append(ModelDelta(thinking=self._unread[self._place : end]))
        self._place = closing.end() if closing else end
        if closing:
            self._at = _At.BEHIND
        return closing is not None

    def _half_a_tag(self) -> int:
        """Return how long a beginning of a closing tag stands at the end of what is unread."""
        unread = self._unread[self._place :][-_LONGEST + 1 :]
        for length in range(len(unread), 0, -1):
            if any(tag.startswith(unread[-length:]) for tag in _CLOSE):
                return length
        return 0

    def _text(self) -> bool:
        unread, place = self._unread, self._place
        lone = _ON_FIRST_LINE.match(unread, place) if self._last.endswith("\n") else None
        lone = lone or _ON_ANY_LINE.search(unread, place)
        if self._emit(lone.start() if lone else len(unread)):
            self._at = _At.OVER
            return True
        if lone is None or not lone[0].endswith("\n"):
            return False
        if self._lines.in_code:
            self._emit(lone.end())
        else:
            self.found = True
            self._place = lone.end()
            self._at = _At.BEHIND
        return True

    def _emit(self, end: int) -> bool:
        """Let what is unread go out as text, up to here; return True for an opening tag in it."""
        text = self._unread[self._place : end]
        self._place = end
        if not text:
            return False
        self._lines.see(text)
        self._out.append(ModelDelta(text=text))
        near = self._last + text
        self._last = near[-_LONGEST:]
        return _OPEN_TAG.search(near) is not None
