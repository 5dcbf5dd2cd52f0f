"""The words of a roster's `fallback` block, e.g. `{"model": "sonnet-4.5", "triggers": [...]}`."""

from __future__ import annotations

from typing import Final, NamedTuple

from routing.types import FallbackTrigger

EXAMPLE: Final = '{"model": "sonnet", "triggers": ["availability"]}'


class Triggers(NamedTuple):
    """What a block's `triggers` say."""

    known: tuple[FallbackTrigger, ...]
    """Without duplicates, in the order of the file; all there are where the block names none."""
    problem: str | None = None
    """What is wrong with the others."""


def read_triggers(value: object) -> Triggers:
    """Return what `triggers` say; what is no trigger is left out, and told."""
    if value is None:
        return Triggers(tuple(FallbackTrigger))
    words = ", ".join(FallbackTrigger)
    if not isinstance(value, list):
        return Triggers((), f"expected a list of {words}: the block is ignored.")
    known = tuple(dict.fromkeys(FallbackTrigger(word) for word in value if _is_trigger(word)))
    strangers = [word for word in value if not _is_trigger(word)]
    if strangers:
        shown = ", ".join(repr(word)[:40] for word in strangers[:5])
        left = "the others count" if known else "the block is ignored"
        return Triggers(known, f"unknown: {shown}; {left}. Known triggers: {words}.")
    if not known:
        return Triggers((), f"names no trigger: the block is ignored. Known triggers: {words}.")
    return Triggers(known)


def _is_trigger(word: object) -> bool:
    return isinstance(word, str) and word in list(FallbackTrigger)
