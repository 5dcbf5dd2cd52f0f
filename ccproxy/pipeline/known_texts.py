"""What was worked out of long texts, while they keep coming.

An agent sends the same system prompt with every turn, and all files it has read. To weigh 100 kB
takes 0.15 ms, to look for 115 prompts in it 0.1 ms; to see that it is the same 100 kB takes
0.01 ms. Texts are kept in memory only, up to a limit, and forgotten in the order in which they came
up last.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from ccproxy.wire.estimate import units_of_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from routing.prompts import PromptFinding, PromptIndex

LIMIT_CHARS: Final = 16 * 1024 * 1024
"""Of all texts kept for one purpose: those of 115 agents with 100 kB each, and then some."""
_SAMPLE_CHARS: Final = 32

Told = TypeVar("Told")
_Sample = tuple[int, str, str, str]


class KnownTexts(Generic[Told]):
    """Remembers what something says of texts that stand together; for one thread."""

    def __init__(
        self, work_out: Callable[[tuple[str, ...]], Told], limit_chars: int = LIMIT_CHARS
    ) -> None:
        """Begin with none; `limit_chars` is the length of all that are kept together."""
        self._work_out = work_out
        self._limit_chars = limit_chars
        self._kept: OrderedDict[tuple[_Sample, ...], tuple[tuple[str, ...], Told]] = OrderedDict()
        self.kept_chars = 0
        """Of the texts that are kept."""

    def told(self, texts: tuple[str, ...]) -> Told:
        """Return what is worked out of the texts."""
        key = tuple(map(_sample, texts))
        kept = self._kept.get(key)
        if kept is not None and kept[0] == texts:
            self._kept.move_to_end(key)
            return kept[1]
        found = self._work_out(texts)
        if kept is None:
            self.kept_chars += sum(map(len, texts))
        self._kept[key] = texts, found
        self._kept.move_to_end(key)
        while self.kept_chars > self._limit_chars:
            _, (oldest, _) = self._kept.popitem(last=False)
            self.kept_chars -= sum(map(len, oldest))
        return found


def _sample(text: str) -> _Sample:
    """Return what tells most texts apart, without a look at the whole of them."""
    middle = len(text) // 2
    return (
        len(text),
        text[:_SAMPLE_CHARS],
        text[middle : middle + _SAMPLE_CHARS],
        text[-_SAMPLE_CHARS:],
    )


class WeighedTexts:
    """Remembers the weight of texts for token estimates; for one thread."""

    def __init__(
        self, limit_chars: int = LIMIT_CHARS, weigh: Callable[[str], int] = units_of_text
    ) -> None:
        """As `KnownTexts`."""
        self._known = KnownTexts(lambda texts: weigh(texts[0]), limit_chars)

    @property
    def kept_chars(self) -> int:
        """Length of the texts that are kept."""
        return self._known.kept_chars

    def units(self, text: str) -> int:
        """Return `units_of_text` of a text."""
        return self._known.told((text,))


class KnownSystems:
    """Remembers whose prompts stand in a request's `system`; for one thread."""

    def __init__(self) -> None:
        """Begin with none."""
        self._index: PromptIndex | None = None
        self._known: KnownTexts[PromptFinding]

    def find(self, index: PromptIndex, system_texts: Sequence[str]) -> PromptFinding:
        """Return `index.find` of the texts; another index than before knows none of them."""
        if index is not self._index:
            self._index, self._known = index, KnownTexts(index.find)
        return self._known.told(tuple(system_texts))
