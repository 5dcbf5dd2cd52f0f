"""Which offered tool a name means that a model wrote.

Only ASCII is folded: beyond it, letter case merges letters that are different ones, as the Kelvin
sign and `k`. Tools of a Messages request have ASCII names.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_FOLD: Final = str.maketrans(
    string.ascii_uppercase,
    string.ascii_lowercase,
    "".join(chr(code) for code in range(128) if not chr(code).isalnum()),
)


def folded(name: str) -> str:
    """Return a name without ASCII letter case and ASCII characters that are no letter or digit."""
    return name.translate(_FOLD)


def offered_name(name: str, offered: Iterable[str]) -> str | None:
    """Return the offered tool that a name means: itself, or the one that is equal when folded.

    None where there is none, where it could mean several, and where folding leaves nothing.
    """
    names = tuple(offered)
    if name in names:
        return name
    wanted = folded(name)
    meant = [each for each in names if folded(each) == wanted]
    return meant[0] if wanted and len(meant) == 1 else None
