"""Reading the conditions of one rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from routing.conditions import DAYS, MINUTES_PER_DAY, TimeWindow, When
from routing.nearest import did_you_mean
from routing.types import RequestClass, Tier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.diagnostics import Diagnostics, Names, Path

WHEN_KEYS: Final = (
    "min_input_tokens",
    "max_input_tokens",
    "has_images",
    "has_documents",
    "has_server_tools",
    "tool_names",
    "thinking",
    "requested_model",
    "agent",
    "category",
    "tier",
    "principal",
    "project",
    "header",
    "time",
    "request_class",
)
TIME_KEYS: Final = ("days", "between")
DAY_PATTERN: Final = rf"({'|'.join(DAYS)})(-({'|'.join(DAYS)}))?"
"""`mon`, or `mon-fri`, which may pass Sunday: `sat-mon`."""
CLOCK_PATTERN: Final = r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)"
"""`HH:MM-HH:MM`; the end may be 24:00."""
SECRET_HEADERS: Final = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-api-key", "x-ccproxy-token", "set-cookie"}
)
"""Rules may not ask for these: their values would end up in tables and traces."""


def read_when(raw: object, path: Path, found: Diagnostics, names: Names) -> When:
    """Return the conditions; a key that is refused does not restrict."""
    body = found.mapping(raw, path, WHEN_KEYS, "key")
    tiers = _names(body, "tier", path, found, tuple(tier.value for tier in Tier))
    classes = _names(body, "request_class", path, found, tuple(kind.value for kind in RequestClass))
    models = _texts(body, "requested_model", path, found)
    return When(
        min_input_tokens=_tokens(body, "min_input_tokens", path, found),
        max_input_tokens=_tokens(body, "max_input_tokens", path, found),
        has_images=_flag(body, "has_images", path, found),
        has_documents=_flag(body, "has_documents", path, found),
        has_server_tools=_flag(body, "has_server_tools", path, found),
        thinking=_flag(body, "thinking", path, found),
        tool_names=_texts(body, "tool_names", path, found),
        requested_model=tuple(model.casefold() for model in models),
        agent=_names(body, "agent", path, found, names.agents),
        category=_names(body, "category", path, found, names.categories),
        tier=frozenset(Tier(tier) for tier in tiers),
        principal=_texts(body, "principal", path, found),
        project=_texts(body, "project", path, found),
        header=_read_headers(body.get("header"), (*path, "header"), found),
        time=_read_time(body, path, found),
        request_class=frozenset(RequestClass(kind) for kind in classes),
    )


def _tokens(body: Mapping[str, object], key: str, path: Path, found: Diagnostics) -> int | None:
    return found.whole_number(body[key], (*path, key), zero=True) if key in body else None


def _flag(body: Mapping[str, object], key: str, path: Path, found: Diagnostics) -> bool | None:
    return found.flag(body[key], (*path, key)) if key in body else None


def _texts(body: Mapping[str, object], key: str, path: Path, found: Diagnostics) -> tuple[str, ...]:
    return found.texts(body[key], (*path, key)) if key in body else ()


def _names(
    body: Mapping[str, object],
    key: str,
    path: Path,
    found: Diagnostics,
    known: frozenset[str] | tuple[str, ...],
) -> frozenset[str]:
    if key not in body:
        return frozenset()
    return frozenset(found.names(body[key], (*path, key), known, key.replace("_", " ")))


def _read_headers(raw: object, path: Path, found: Diagnostics) -> dict[str, tuple[str, ...]]:
    """Return header name in lower case -> patterns."""
    headers = {}
    for name, patterns in found.mapping(raw, path, None, "header").items():
        folded = name.lower()
        if folded in SECRET_HEADERS:
            found.refuse((*path, name), "holds a credential; ask for principal instead")
        else:
            headers[folded] = found.texts(patterns, (*path, name))
    return headers


def _read_time(body: Mapping[str, object], path: Path, found: Diagnostics) -> TimeWindow | None:
    """Return the window, or None where there is none."""
    if "time" not in body:
        return None
    here = (*path, "time")
    errors_before = len(found.errors)
    window = found.mapping(body["time"], here, TIME_KEYS, "key")
    if not window and len(found.errors) == errors_before:
        found.refuse(
            here, "needs days, between, or both, e.g. {days: mon-fri, between: 22:00-06:00}"
        )
    days = frozenset(range(len(DAYS)))
    if "days" in window:
        days = _read_days(window["days"], (*here, "days"), found)
    start, end = 0, MINUTES_PER_DAY
    if "between" in window:
        start, end = _read_between(window["between"], (*here, "between"), found)
    return TimeWindow(days, start, end)


def _read_days(raw: object, path: Path, found: Diagnostics) -> frozenset[int]:
    """Return weekdays, 0 for Monday."""
    days: set[int] = set()
    for index, text in enumerate(found.texts(raw, path)):
        match = re.fullmatch(DAY_PATTERN, text)
        if match is None:
            here = (*path, index) if isinstance(raw, list) else path
            hint = did_you_mean(text, DAYS)
            found.refuse(here, f"must be a day such as mon, or mon-fri, not {text!r}.{hint}")
            continue
        first = DAYS.index(match[1])
        last = DAYS.index(match[3] or match[1])
        days.update((first + step) % len(DAYS) for step in range((last - first) % len(DAYS) + 1))
    return frozenset(days)


def _read_between(raw: object, path: Path, found: Diagnostics) -> tuple[int, int]:
    """Return the first minute of the day and the first minute after."""
    match = re.fullmatch(CLOCK_PATTERN, raw) if isinstance(raw, str) else None
    if match is None:
        found.refuse(path, f"must be HH:MM-HH:MM, e.g. 22:00-06:00, not {raw!r}")
        return 0, MINUTES_PER_DAY
    start = int(match[1]) * 60 + int(match[2])
    end = int(match[3]) * 60 + int(match[4])
    if end > MINUTES_PER_DAY:
        found.refuse(path, f"ends after 24:00: {raw!r}")
    elif start == end:
        found.refuse(path, f"begins where it ends: {raw!r}; leave it out for the whole day")
    return start, end
