"""Which regular expressions of a client's schema are run at all.

Python's `re` cannot be stopped and takes exponential time on some patterns. Run are only those of
which it is plain that they are quick: anchored at the start, a row of characters, escapes and
character classes without groups or alternatives, of which at most `REPEATS_LIMIT` are repeated a
varying number of times. On a text of n characters that takes at most n² steps.
"""

from __future__ import annotations

import re
from typing import Final

TEXT_LIMIT_CHARS: Final = 1000
"""Longer texts are not searched: a million steps are about 10 ms."""
PATTERN_LIMIT_CHARS: Final = 200
REPEATS_LIMIT: Final = 2

_ESCAPE: Final = r"\\[dwsDWS.\-/+*?()\[\]{}|^$\\]"
_LITERAL: Final = r"[A-Za-z0-9 _/:@#%&=,;'\"<>!~-]"
_CLASS: Final = rf"\[\^?(?:{_ESCAPE}|[A-Za-z0-9 _/:@#%=,;'\"<>!.+*?(){{}}$-])+\]"
_COUNT: Final = r"\{\d{1,3}\}"
_VARYING: Final = r"[*+?]|\{\d{1,3},\d{0,3}\}"
_ATOM: Final = re.compile(
    rf"(?:{_ESCAPE}|{_CLASS}|{_LITERAL}|\.)(?:{_COUNT}|(?P<varying>{_VARYING}))?"
)


def plain_pattern(pattern: object) -> re.Pattern[str] | None:
    """Return a pattern that is safe to run on up to `TEXT_LIMIT_CHARS`, or None."""
    if not isinstance(pattern, str) or not pattern.startswith("^"):
        return None
    end = (
        len(pattern) - 1 if pattern.endswith("$") and not pattern.endswith("\\$") else len(pattern)
    )
    if end > PATTERN_LIMIT_CHARS:
        return None
    position, repeats = 1, 0
    while position < end:
        atom = _ATOM.match(pattern, position, end)
        if atom is None:
            return None
        repeats += atom["varying"] is not None
        position = atom.end()
    if repeats > REPEATS_LIMIT:
        return None
    try:
        return re.compile(pattern)
    except (re.error, OverflowError):
        return None
