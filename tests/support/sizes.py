"""How much work the tests do: `CCPROXY_TEST_SIZE` is `quick` (default), `ci` or `full`.

`quick` is for the edit loop, `ci` for every proposed change, `full` for a machine left alone.
Every size checks the same behaviour; only repetitions, examples and client counts grow.
"""

from __future__ import annotations

import os
from enum import StrEnum


class Size(StrEnum):
    """The three sizes, smallest first."""

    QUICK = "quick"
    CI = "ci"
    FULL = "full"


def present_size() -> Size:
    """Return the size asked for in the environment.

    Raises:
        ValueError: The variable holds another word.
    """
    word = os.environ.get("CCPROXY_TEST_SIZE") or Size.QUICK
    try:
        return Size(word)
    except ValueError:
        raise ValueError(f"CCPROXY_TEST_SIZE={word!r}: must be one of {', '.join(Size)}") from None


def count(quick: int, ci: int, full: int) -> int:
    """Return the number that belongs to the present size."""
    return {Size.QUICK: quick, Size.CI: ci, Size.FULL: full}[present_size()]
