"""Whether one `when` covers another: every request of the one is a request of the other.

Sound and not complete: a yes is certain, a no may only mean that it could not be seen. What is
known of agents (their categories and their tier) is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from routing.conditions import DAYS, MINUTES_PER_DAY, matches_any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from routing.conditions import TimeWindow, When
    from routing.types import Agent

FLAGS: Final = ("has_images", "has_documents", "has_server_tools", "thinking")
PATTERNS: Final = ("tool_names", "requested_model", "principal", "project")
WILDCARDS: Final = frozenset("*?[")


def covers(wide: When, narrow: When, agents: Mapping[str, Agent]) -> bool:
    """Return whether `wide` holds wherever `narrow` does, as far as can be told."""
    return (
        _covers_length(wide, narrow)
        and all(getattr(wide, key) in (None, getattr(narrow, key)) for key in FLAGS)
        and all(_covers_patterns(getattr(wide, key), getattr(narrow, key)) for key in PATTERNS)
        and all(
            name in narrow.header and _covers_patterns(patterns, narrow.header[name])
            for name, patterns in wide.header.items()
        )
        and (not wide.request_class or _within(narrow.request_class, wide.request_class))
        and _covers_caller(wide, narrow, agents)
        and _covers_time(wide.time, narrow.time)
    )


def contradiction(when: When, agents: Mapping[str, Agent]) -> str | None:
    """Return why conditions can never hold together, or None if nothing is seen."""
    least, most = when.min_input_tokens, when.max_input_tokens
    if least is not None and most is not None and least > most:
        return f"min_input_tokens {least} is above max_input_tokens {most}"
    known = [agents[slug] for slug in when.agent if slug in agents]
    if when.category and known and all(map(when.category.isdisjoint, _categories(known))):
        return "none of its agents is in its categories"
    if when.tier and known and not any(each.tier in when.tier for each in known):
        return "none of its agents has one of its tiers"
    return None


def _categories(agents: Iterable[Agent]) -> Iterator[tuple[str, ...]]:
    return (each.categories for each in agents)


def _within(narrow: frozenset[str], wide: frozenset[str]) -> bool:
    """Return whether a restriction to `narrow` is one to `wide`; empty does not restrict."""
    return bool(narrow) and narrow <= wide


def _covers_length(wide: When, narrow: When) -> bool:
    if wide.min_input_tokens is not None and (
        narrow.min_input_tokens is None or narrow.min_input_tokens < wide.min_input_tokens
    ):
        return False
    return wide.max_input_tokens is None or (
        narrow.max_input_tokens is not None and narrow.max_input_tokens <= wide.max_input_tokens
    )


def _covers_patterns(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    """Return whether every text that one of `narrow` matches is matched by one of `wide`."""
    if not wide:
        return True
    return bool(narrow) and all(
        pattern in wide
        or "*" in wide
        or (WILDCARDS.isdisjoint(pattern) and matches_any(pattern, wide))
        for pattern in narrow
    )


def _covers_caller(wide: When, narrow: When, agents: Mapping[str, Agent]) -> bool:
    """Look at agent, category and tier; agents that are named have theirs from the roster."""
    named = [agents[slug] for slug in narrow.agent if slug in agents]
    all_known = bool(named) and len(named) == len(narrow.agent)
    if wide.agent and not _within(narrow.agent, wide.agent):
        return False
    in_wide = all_known and not any(map(wide.category.isdisjoint, _categories(named)))
    tiers = frozenset(each.tier for each in named) if all_known else frozenset()
    if wide.category and not (_within(narrow.category, wide.category) or in_wide):
        return False
    return not wide.tier or _within(narrow.tier, wide.tier) or _within(tiers, wide.tier)


def _covers_time(wide: TimeWindow | None, narrow: TimeWindow | None) -> bool:
    if wide is None or wide == narrow:
        return True
    return narrow is not None and not _minutes(narrow) & ~_minutes(wide)


def _minutes(window: TimeWindow) -> int:
    """Return the minutes of the week that a window holds, as bits."""
    bits = 0
    for day in range(len(DAYS)):
        for minute in range(MINUTES_PER_DAY):
            if window.holds(day, minute):
                bits |= 1 << (day * MINUTES_PER_DAY + minute)
    return bits
