"""Where in a text a tool call may begin.

Rules:
1. Not in a fenced code block. Fences nest here: inside one, a fence line with a language opens
   another, because models show Markdown files that contain fences without longer outer ones. Where
   that guess is wrong, more of the answer counts as code, and code is never called.
2. Not on a quoted line (`>`), nor behind an odd number of backticks on its line.
3. Alone on its line, indented by at most 3 spaces: Markdown takes more for code. A tag may also
   follow the end of a sentence, or stand at the end of a line that holds other text.
4. Bare JSON not below a line that ends in an opening bracket, a comma, `=`, or `":`: there it is
   part of something bigger.
5. Not where the last line of prose speaks of a call instead of announcing one: an example
   ("for example", "looks like"), a possibility ("you could", "would"), an advice against it
   ("don't run"), or what somebody writes ("the model returns"). Lines that begin like JSON or
   markup, and code blocks, are not prose, so several examples may follow one such line.
"""

from __future__ import annotations

import re
from typing import Final

_HEAD_CHARS: Final = 120
_TAIL_CHARS: Final = 240
_INDENT_CHARS: Final = 3
_FENCE: Final = re.compile(r"[ \t]*(`{3,}|~{3,})([^`]*)\Z")
_INDENTED: Final = re.compile(r" {0,3}\t| {4}")
_NOT_PROSE: Final = tuple("{}[]<\"'`~")
_PART_OF_MORE: Final = ("{", "[", "(", ",", "=", '":', "':")
_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001 - Chinese ones
_SPEAKS_OF_CALLS: Final = re.compile(
    r"""
    \b(?: for\ (?:example|instance) | as\ an\ example | an?\ example\ of | examples?\s*: | e\.g\.
        | here(?:['’]s|\ is)\ how | you['’]d
        | (?:example|sample)\ (?:tool\ |function\ )?(?:call|usage)
        | in\ (?:the\ following|this)\ format | (?:call|format|syntax)\ (?:is|was|looks)\b
        | (?:(?:look|looks|something)\ like | like\ (?:this|so|the\ following))\W*\Z
        | (?:you|one|it|we|i|they|that|this)\ (?:would|could|might)
        | you\ (?:can|should|may)\ (?:\w+\ )?(?:call|use|run|write|send|invoke|try)
        | (?:model|assistant|agent|llm|client)s?\ (?:then\ |usually\ )?(?:may\ |must\ |should\ )?
          (?:write|emit|return|output|respond|repl(?:y|ie)|answer|produce|send|receive|leak)e?s?
        | (?:not|never|n['’]t)\ (?:to\ |\w+ly\ )?(?:run|call|execute|invoke|use|send)
        | (?:avoid|instead\ of|without)\ (?:running|calling|executing|invoking|using|sending)
        | zum\ beispiel | beispiel: | par\ exemple | por\ ejemplo
    )(?!\w)
    | n['’]t\ (?:run|call|execute|invoke|use|send)\b
    | (?:\A|[.!?]\ )to\ (?:call|invoke|use)\b
    | \A\s*\#+\s.*(?:example|format|syntax|usage)
    | 例如 | 比如 | 示例 | 格式
    """,  # noqa: RUF001 - a typographic apostrophe
    re.IGNORECASE | re.VERBOSE,
)


class Lines:
    """What the text so far says of the place where it ends."""

    def __init__(self) -> None:
        """The text is empty."""
        self._fences: list[str] = []
        self._prose = ""
        self._last = ""
        self._begin_line()

    def see(self, text: str) -> None:
        """More text has gone by."""
        *whole, rest = text.split("\n")
        for line in whole:
            self._extend(line)
            self._end_line()
        self._extend(rest)

    def interrupted(self) -> None:
        """Something other than text has gone by; a line of nothing but a fence ends there."""
        if _FENCE.match(self._head.rstrip()):
            self._end_line()

    def call_removed(self) -> None:
        """A call has gone by, which is no text; the place is the beginning of a line."""
        self._prose = self._last = ""
        self._begin_line()

    @property
    def in_code(self) -> bool:
        """True in a fenced code block or on an indented line, where a call is forbidden (1, 3)."""
        return bool(self._fences) or _INDENTED.match(self._head) is not None

    @property
    def at_line_start(self) -> bool:
        """True if only spaces stand before this place on its line, and few."""
        return len(self._head) <= _INDENT_CHARS and not self._head.strip(" ")

    @property
    def after_sentence(self) -> bool:
        """True behind the end of a sentence on the same line."""
        return self._tail.rstrip().endswith(_SENTENCE_ENDS)

    @property
    def quoted(self) -> bool:
        """True where rule 2 forbids a call."""
        return self._head.lstrip().startswith(">") or self._backticks % 2 == 1

    @property
    def in_bigger_json(self) -> bool:
        """True where rule 4 forbids a call."""
        return self._last.endswith(_PART_OF_MORE)

    @property
    def speaks_of_calls(self) -> bool:
        """True where rule 5 forbids a call."""
        line = self._tail if self._head.strip() else self._prose
        return _SPEAKS_OF_CALLS.search(line) is not None

    def _begin_line(self) -> None:
        self._head = self._tail = ""
        self._backticks = 0

    def _extend(self, part: str) -> None:
        if len(self._head) < _HEAD_CHARS:
            self._head = (self._head + part)[:_HEAD_CHARS]
        self._tail = (self._tail + part)[-_TAIL_CHARS:]
        self._backticks += part.count("`")

    def _end_line(self) -> None:
        fence = _FENCE.match(self._head.rstrip())
        if fence is not None:
            self._take_fence(fence[1], fence[2].strip())
        elif not self._fences and (text := self._head.strip()):
            self._last = self._tail.rstrip()
            if not text.startswith(_NOT_PROSE):
                self._prose = self._last
        self._begin_line()

    def _take_fence(self, marks: str, language: str) -> None:
        self._last = ""
        if not self._fences or language:
            self._fences.append(marks)
        elif marks.startswith(self._fences[-1]):
            self._fences.pop()
