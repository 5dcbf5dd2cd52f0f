"""Reading a text that arrives in pieces as if it were whole.

A reader is a generator: where it needs to see more of the text it yields, and is resumed when more
has come or the text has ended. It sees characters, never pieces, so what it finds cannot depend on
where the text was cut.

What a reader takes goes out as text at once, or is held while it may turn out to be a tool call.
Looking ahead is bounded by `LOOK_AHEAD_CHARS`, so that reading is linear in the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from ccproxy.wire.tool_names import folded

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

_T = TypeVar("_T")
Scan: TypeAlias = "Generator[None, None, _T]"
"""A reader: yields while it waits for more text, returns what it read."""

HELD_CHARS: Final = 256 * 1024
"""What is held at most; a call longer than that stays text."""
LOOK_AHEAD_CHARS: Final = 64
"""Whitespace that `Cursor.ahead` looks past at most."""

NAME_CHARS: Final = 128
"""The longest name that a tool of a Messages request can have."""

SPACE: Final = re.compile(r"[ \t\r\n]+")


class NotACall(Exception):
    """What was read so far cannot become a tool call."""


class BrokenCall(NotACall):
    """A call of an offered tool cannot be read: where it ends is unknown, and what follows too.

    Attributes:
        tool: The tool's name, as it was written.
        is_alone: It is not one of several in a list.
    """

    def __init__(self, tool: str) -> None:
        """See the class."""
        super().__init__(tool)
        self.tool = tool
        self.is_alone = True


class Cursor:
    """A place in the text; one per answer."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        """`emit` gets what was taken and is text, in order."""
        self.cut_off = False
        """The text's end is not where the model meant to end it; known at the end only."""
        self.goes_on = False
        """The text's end is that of a stretch; more may come behind something that is no text."""
        self._emit = emit
        self._ended = False
        self._text = ""
        self._at = 0
        self._held: list[str] | None = None
        self._held_chars = 0

    # --- the text's end ------------------------------------------------------------------------

    def append(self, text: str) -> None:
        """More of the text has come."""
        self._text = self._text[self._at :] + text
        self._at = 0

    def end(self, *, cut_off: bool, goes_on: bool = False) -> None:
        """No more will come, or not before `resume`."""
        self._ended = True
        self.cut_off = cut_off
        self.goes_on = goes_on

    def resume(self) -> None:
        """More will come."""
        self._ended = self.cut_off = self.goes_on = False

    # --- seeing --------------------------------------------------------------------------------

    def peek(self) -> Scan[str]:
        """Return the next character, or "" at the end of the text."""
        while self._at >= len(self._text) and not self._ended:
            yield
        return self._text[self._at : self._at + 1]

    def ahead(self, literals: Sequence[str], *, past_space: bool = False) -> Scan[str | None]:
        """Return which of the literals comes next, and None if none does.

        "" means that the text ends here, or within what could have become one of them.
        """
        longest = max(map(len, literals), default=0)
        while True:
            start = self._at
            if past_space and (space := SPACE.match(self._text, start)):
                start = min(space.end(), start + LOOK_AHEAD_CHARS)
            for literal in literals:
                if self._text.startswith(literal, start):
                    return literal
            rest = self._text[start : start + longest]
            if not any(literal.startswith(rest) for literal in literals):
                return None
            if self._ended:
                return ""
            yield

    # --- taking --------------------------------------------------------------------------------

    def take(self, count: int) -> str:
        """Take so many characters, which were seen."""
        piece = self._text[self._at : self._at + count]
        self._at += len(piece)
        if self._held is None:
            self._emit(piece)
            return piece
        self._held.append(piece)
        self._held_chars += len(piece)
        if self._held_chars > HELD_CHARS:
            raise NotACall
        return piece

    def take_match(self, pattern: re.Pattern[str]) -> str:
        """Take what the pattern matches in the text that is here; "" if nothing does."""
        found = pattern.match(self._text, self._at)
        return self.take(found.end() - self._at) if found else ""

    def take_run(self, run: re.Pattern[str]) -> Scan[str]:
        """Take all characters of a kind; the pattern is one class, repeated."""
        pieces = []
        while (yield from self.peek()) and (piece := self.take_match(run)):
            pieces.append(piece)
        return "".join(pieces)

    def take_rest(self) -> None:
        """Take everything that is here."""
        self.take(len(self._text) - self._at)

    def take_literal(self, literal: str) -> Scan[None]:
        """Take exactly this.

        Raises:
            NotACall: Something else comes.
        """
        if not (yield from self.ahead((literal,))):
            raise NotACall
        self.take(len(literal))

    def take_word(self, words: Sequence[str], end: str) -> Scan[str]:
        """Take one of the words and the one character that ends it; return the word.

        Raises:
            NotACall: At the first character that none of them has.
        """
        word = ""
        while (char := (yield from self.peek())) and char != end:
            word += char
            words = [known for known in words if known.startswith(word)]
            if not words:
                raise NotACall
            self.take(1)
        if not char or word not in words:
            raise NotACall
        self.take(1)
        return word

    def take_name(self, known: Sequence[str], end: str) -> Scan[str]:
        """Take a name and the one character that ends it; return the name, as it was written.

        Args:
            known: Folded names (`tool_names`); what is taken folds to the beginning of one.
            end: The character.

        Raises:
            NotACall: At the first character that none of them has, or beyond `NAME_CHARS`.
        """
        name = begun = ""
        while (char := (yield from self.peek())) and char != end:
            name += char
            if plain := folded(char):
                begun += plain
                known = [each for each in known if each.startswith(begun)]
            if not known or len(name) > NAME_CHARS:
                raise NotACall
            self.take(1)
        if not char:
            raise NotACall
        self.take(1)
        return name

    # --- holding -------------------------------------------------------------------------------

    def hold(self) -> None:
        """Keep what is taken from here on."""
        self._held = []
        self._held_chars = 0

    @property
    def held_chars(self) -> int:
        """How much is held; a place for `held_from`."""
        return self._held_chars

    def held_from(self, place: int) -> str:
        """Return what was taken since then, all of it held."""
        return "".join(self._held or ())[place:]

    def drop(self) -> None:
        """Forget what was held: it was a call's markup."""
        self._held = None

    def release(self) -> bool:
        """Emit what was held: it was text. Return False if nothing was held."""
        held = "".join(self._held or ())
        self._held = None
        if held:
            self._emit(held)
        return bool(held)
