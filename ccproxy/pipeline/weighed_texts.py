"""Long texts that were weighed for a token estimate, while they keep coming.

An agent sends the same system prompt with every turn, and all files it has read. To weigh 100 kB
takes 0.15 ms; to see that they are the same 100 kB takes 0.01 ms. Texts are kept in memory only, up
to a limit, and forgotten in the order in which they came up last.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ccproxy.wire.estimate import units_of_text

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_CHARS: Final = 16 * 1024 * 1024
"""Of all kept texts: those of 115 agents with 100 kB each, and then some."""
_SAMPLE_CHARS: Final = 32

_Key = tuple[int, str, str, str]


class WeighedTexts:
    """Remembers the weight of texts; for one thread."""

    def __init__(
        self, limit_chars: int = LIMIT_CHARS, weigh: Callable[[str], int] = units_of_text
    ) -> None:
        """Begin with none; `limit_chars` is the length of all that are kept together."""
        self._limit_chars = limit_chars
        self._weigh = weigh
        self._kept: OrderedDict[_Key, tuple[str, int]] = OrderedDict()
        self.kept_chars = 0
        """Of the texts that are kept."""

    def units(self, text: str) -> int:
        """Return `units_of_text` of a text."""
        key = _key(text)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == text:
            self._kept.move_to_end(key)
            return kept[1]
        units = self._weigh(text)
        if kept is None:
            self.kept_chars += len(text)
        self._kept[key] = text, units
        self._kept.move_to_end(key)
        while self.kept_chars > self._limit_chars:
            (length, *_), _ = self._kept.popitem(last=False)
            self.kept_chars -= length
        return units


def _key(text: str) -> _Key:
    """Return what tells most texts apart, without a look at the whole of them."""
    middle = len(text) // 2
    return (
        len(text),
        text[:_SAMPLE_CHARS],
        text[middle : middle + _SAMPLE_CHARS],
        text[-_SAMPLE_CHARS:],
    )
