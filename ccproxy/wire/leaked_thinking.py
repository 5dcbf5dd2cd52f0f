"""Thinking that a model wrote into its text, between tags at the beginning of an answer.

Rules:
1. Only what opens an answer counts: `<think>` or `<thinking>` behind nothing but whitespace. The
   same tag later on is text about the tag.
2. All up to the closing tag is thinking, and all of it where there is none: a model that ran into
   its limit has not come to its answer.
3. A closing tag that opens an answer belongs to a template that opened it, and is dropped.
4. The whitespace around the tags is theirs.
5. Text flows: no more is held than what could still be a tag. The result does not depend on where
   the text was cut into pieces.

Source: qwen3's and qwq's chat templates; ollama's thinking parser, which takes it out where the
template has thinking, and is not asked to where thinking was switched off.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from ccproxy.ports import ModelDelta

_OPEN: Final = ("<think>", "<thinking>")
_CLOSE: Final = ("</think>", "</thinking>")
_CLOSING: Final = {"<think>": "</think>", "<thinking>": "</thinking>"}


class _At(Enum):
    START = auto()
    THINKING = auto()
    BEHIND = auto()
    """Behind the closing tag, where whitespace is dropped."""
    TEXT = auto()


class ThinkingFilter:
    """Splits the text of one answer into thinking and text; used by one task."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.found = False
        """True once thinking, or a tag of it, was taken out."""
        self._at = _At.START
        self._held = ""
        self._close = ""

    @property
    def is_over(self) -> bool:
        """True once all that comes is text."""
        return self._at is _At.TEXT

    def feed(self, text: str) -> list[ModelDelta]:
        """Return what is certain by now, in order."""
        if self._at is _At.TEXT:
            return [ModelDelta(text=text)] if text else []
        self._held += text
        deltas: list[ModelDelta] = []
        while self._step(deltas):
            pass
        return deltas

    def finish(self) -> list[ModelDelta]:
        """Return the rest: what is not text by now was thinking, or is no tag."""
        held, self._held = self._held, ""
        at, self._at = self._at, _At.TEXT
        if not held or at is _At.BEHIND:
            return []
        return [ModelDelta(thinking=held) if at is _At.THINKING else ModelDelta(text=held)]

    def _step(self, deltas: list[ModelDelta]) -> bool:
        """Take one more piece off what is held; False where more text has to come first."""
        match self._at:
            case _At.START:
                return self._start(deltas)
            case _At.THINKING:
                return self._think(deltas)
            case _At.BEHIND:
                self._held = self._held.lstrip()
                if self._held:
                    self._text(deltas)
        return False

    def _start(self, deltas: list[ModelDelta]) -> bool:
        begun = self._held.lstrip()
        for tag in (*_OPEN, *_CLOSE):
            if begun.startswith(tag):
                self.found = True
                self._held = begun[len(tag) :]
                self._close = _CLOSING.get(tag, "")
                self._at = _At.THINKING if self._close else _At.BEHIND
                return True
        if begun and not any(tag.startswith(begun) for tag in (*_OPEN, *_CLOSE)):
            self._text(deltas)
        return False

    def _think(self, deltas: list[ModelDelta]) -> bool:
        thought, closed, rest = self._held.partition(self._close)
        kept = "" if closed else _tail_that_may_be(self._close, thought)
        said = thought.removesuffix(kept)
        if said:
            deltas.append(ModelDelta(thinking=said))
        self._held = rest if closed else kept
        if closed:
            self._at = _At.BEHIND
        return bool(closed)

    def _text(self, deltas: list[ModelDelta]) -> None:
        deltas.append(ModelDelta(text=self._held))
        self._held = ""
        self._at = _At.TEXT


def _tail_that_may_be(tag: str, text: str) -> str:
    """Return the longest end of `text` that is a beginning of `tag`, but not all of it."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return tag[:length]
    return ""
