"""When people are told of trouble: at once, then seldom, and when it is over.

Pure: the caller passes what was noticed and the time, and keeps the book that is returned. Rules:

1. A trouble is a kind and a subject, e.g. a backend that is down and its address. The first notice
   of it is told at once.
2. While it goes on, or comes up again, it is told again at most every `repeat_s`, with how often it
   was noticed since.
3. A state (`lasts`) is over when the caller says so, and that is told once. Something that happens
   at a moment has no end to tell: it is forgotten after `repeat_s` without another notice.
4. A state that comes back within `settle_s` of what was told of it last is told when that time has
   passed, if it is still there then: who flaps makes two messages in that time.
5. The book has at most `limit` troubles. Where one more comes, the one of which was told longest
   ago is forgotten, those that are over first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

TEXT_LIMIT: Final = 500
"""Characters of a subject, or of what is said about it."""


class AlertKind(StrEnum):
    """What can be told of."""

    BUDGET = "budget"
    BACKEND_DOWN = "backend_down"
    TRUNCATION = "truncation"
    FALLBACK_RATE = "fallback_rate"
    DISK_LOW = "disk_low"
    TEST = "test"


class Phase(StrEnum):
    """Where in a trouble's life it is told of."""

    RAISED = "raised"
    REPEATED = "repeated"
    OVER = "over"


class Trouble(NamedTuple):
    """What is told of once."""

    kind: AlertKind
    subject: str


@dataclass(frozen=True, slots=True)
class AlertRules:
    """How often the same thing is told.

    Raises:
        ValueError: A time is not positive, or there is room for nothing.
    """

    repeat_s: float = 3600.0
    settle_s: float = 300.0
    limit: int = 200

    def __post_init__(self) -> None:
        """Check what the rest relies on."""
        if not (self.repeat_s > 0 and self.settle_s > 0 and self.limit > 0):
            raise ValueError("needs repeat_s, settle_s and limit above 0")


DEFAULT_RULES: Final = AlertRules()


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one trouble."""

    text: str
    lasts: bool
    since_s: float
    told_s: float
    is_on: bool = True
    """False once it is over; kept for `settle_s`."""
    is_told: bool = True
    """People know that it is on."""
    untold: int = 0
    """Notices since it was told."""


Book: TypeAlias = Mapping[Trouble, Standing]
"""What is known of every trouble; never changed, a new one is returned."""
EMPTY: Final[Book] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell people."""

    trouble: Trouble
    phase: Phase
    text: str
    since_s: float
    """When it began, by the caller's clock."""
    times: int = 1
    """Notices since the last time it was told."""


def noticed(
    book: Book,
    trouble: Trouble,
    text: str,
    *,
    lasts: bool,
    now_s: float,
    rules: AlertRules = DEFAULT_RULES,
) -> tuple[Book, News | None]:
    """Return the book after a notice, and what to tell at once.

    Args:
        book: What is known.
        trouble: What was noticed.
        text: About it, for people; a line.
        lasts: It goes on until `ended` says otherwise.
        now_s: Seconds by any clock that only grows.
        rules: How often.
    """
    text = text[:TEXT_LIMIT]
    trouble = Trouble(trouble.kind, trouble.subject[:TEXT_LIMIT])
    known = book.get(trouble)
    if known is None:
        made = Standing(text, lasts, now_s, now_s)
        news = News(trouble, Phase.RAISED, text, now_s)
        return _with(book, trouble, made, rules), news
    if known.is_on:
        known = replace(known, text=text, untold=known.untold + 1)
    else:
        known = replace(known, text=text, since_s=now_s, is_on=True, is_told=False, untold=1)
    told, news_or_none = _told_if_due(trouble, known, now_s, rules)
    return _with(book, trouble, told, rules), news_or_none


def ended(
    book: Book, trouble: Trouble, text: str, *, now_s: float, rules: AlertRules = DEFAULT_RULES
) -> tuple[Book, News | None]:
    """Return the book after a state's end, and what to tell; nothing where nobody knew of it."""
    trouble = Trouble(trouble.kind, trouble.subject[:TEXT_LIMIT])
    known = book.get(trouble)
    if known is None or not known.is_on:
        return book, None
    if not known.is_told:
        return _with(book, trouble, replace(known, is_on=False, untold=0), rules), None
    over = replace(known, is_on=False, told_s=now_s, untold=0)
    news = News(trouble, Phase.OVER, text[:TEXT_LIMIT], known.since_s, known.untold)
    return _with(book, trouble, over, rules), news


def due(
    book: Book, now_s: float, rules: AlertRules = DEFAULT_RULES
) -> tuple[Book, tuple[News, ...]]:
    """Return the book as time goes by, and what to tell by now; to be asked every few seconds."""
    kept: dict[Trouble, Standing] = {}
    news: list[News] = []
    for trouble, known in book.items():
        told, item = _told_if_due(trouble, known, now_s, rules)
        if item is not None:
            news.append(item)
        if not _is_past(told, now_s, rules):
            kept[trouble] = told
    return MappingProxyType(kept), tuple(news)


def _told_if_due(
    trouble: Trouble, known: Standing, now_s: float, rules: AlertRules
) -> tuple[Standing, News | None]:
    if not known.is_on or not (known.lasts or known.untold):
        return known, None
    pause_s = rules.repeat_s if known.is_told else rules.settle_s
    if now_s - known.told_s < pause_s:
        return known, None
    phase = Phase.REPEATED if known.is_told else Phase.RAISED
    news = News(trouble, phase, known.text, known.since_s, known.untold)
    return replace(known, told_s=now_s, is_told=True, untold=0), news


def _is_past(known: Standing, now_s: float, rules: AlertRules) -> bool:
    age_s = now_s - known.told_s
    if known.lasts:
        return not known.is_on and age_s >= rules.settle_s
    return age_s >= rules.repeat_s


def _with(book: Book, trouble: Trouble, known: Standing, rules: AlertRules) -> Book:
    changed = {**book, trouble: known}
    if len(changed) > rules.limit:
        others = (item for item in changed.items() if item[0] != trouble)
        gone, _ = min(others, key=lambda item: (item[1].is_on, item[1].told_s))
        del changed[gone]
    return MappingProxyType(changed)
