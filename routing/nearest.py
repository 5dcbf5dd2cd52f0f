"""The nearest known name, for error messages that say what was probably meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_NAME: Final = 100
"""Names longer than this many characters get no hint: comparing costs time per character, and
the name may come from a client."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None if nothing is close.

    Case does not count. The ratio that counts as close is difflib's own default, 0.6.
    """
    if len(name) > LONGEST_NAME:
        return None
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` with a leading space, or an empty string."""
    candidate = nearest(name, known)
    return f" Did you mean {candidate!r}?" if candidate is not None else ""
