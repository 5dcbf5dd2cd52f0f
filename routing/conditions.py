"""When a rule of the table applies to a request.

Rules:
1. All keys of one `when` must hold; a list means any of its items. An empty `when` always holds.
2. What is not known holds for nothing, neither `true` nor `false`.
3. Patterns are globs (`*`, `?`, `[abc]`) over the whole text. Case counts, except in
   `requested_model`.
4. The number of tokens is asked for last, and only if everything else holds and a bound does not
   decide: it is an estimate that costs time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from routing.types import Agent, RequestClass, RequestFacts, Tier

MINUTES_PER_DAY: Final = 24 * 60
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A stretch of local time on some days of the week; it may cross midnight."""

    days: frozenset[int] = frozenset(range(7))
    """Days on which it begins; 0 is Monday."""
    start_minute: int = 0
    """Minute of the day, 0 to 1439."""
    end_minute: int = MINUTES_PER_DAY
    """The first minute after it, 1 to 1440; at or before `start_minute` it is on the next day."""

    def holds(self, weekday: int, minute: int) -> bool:
        """Return whether a minute of the week is inside."""
        if self.start_minute < self.end_minute:
            return weekday in self.days and self.start_minute <= minute < self.end_minute
        if minute >= self.start_minute:
            return weekday in self.days
        return minute < self.end_minute and (weekday - 1) % 7 in self.days

    def __str__(self) -> str:
        """Render as `mon,tue 22:00-06:00`."""
        days = ",".join(DAYS[day] for day in sorted(self.days))
        return f"{days} {_clock(self.start_minute)}-{_clock(self.end_minute)}"


@dataclass(frozen=True, slots=True)
class When:
    """The conditions of one rule; None and empty mean that the key is not there."""

    min_input_tokens: int | None = None
    """At least so many."""
    max_input_tokens: int | None = None
    """At most so many."""
    has_images: bool | None = None
    has_documents: bool | None = None
    has_server_tools: bool | None = None
    thinking: bool | None = None
    """Thinking is switched on, or is not."""
    tool_names: tuple[str, ...] = ()
    """Patterns; one offered tool has to match one of them."""
    requested_model: tuple[str, ...] = ()
    """Patterns, in lower case."""
    agent: frozenset[str] = frozenset()
    """Slugs."""
    category: frozenset[str] = frozenset()
    """An agent in several is in each of them."""
    tier: frozenset[Tier] = frozenset()
    principal: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    header: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name in lower case -> patterns; every header named must be there and match."""
    time: TimeWindow | None = None
    request_class: frozenset[RequestClass] = frozenset()


class Subject(NamedTuple):
    """A request as conditions see it."""

    facts: RequestFacts
    agent: Agent | None
    """The roster's agent, or None for an unrecognised caller."""
    tier: Tier | None
    """The agent's, or for an unrecognised caller that of the requested model."""


def first_unmet(when: When, subject: Subject) -> str | None:
    """Return why the conditions do not hold, in words for the trace, or None if they do."""
    return (
        _unmet_identity(when, subject)
        or _unmet_request(when, subject.facts)
        or _unmet_content(when, subject.facts)
        or _unmet_length(when, subject.facts)
    )


def could_hold(when: When, subject: Subject) -> bool:
    """Return whether the conditions may hold for a request of which only the caller is sure.

    What is not known (principal, project, headers, time, anything about the content) is taken to
    hold. A condition on the requested model, or on another class than an ordinary turn, does not.
    """
    facts = subject.facts
    if when.requested_model and not facts.requested_model:
        return False
    known = replace(
        when,
        min_input_tokens=None,
        max_input_tokens=None,
        principal=when.principal if facts.principal else (),
        project=when.project if facts.project is not None else (),
        header={name: asked for name, asked in when.header.items() if name in facts.headers},
        time=when.time if facts.local_minute is not None else None,
    )
    return (_unmet_identity(known, subject) or _unmet_request(known, facts)) is None


def matches_any(text: str, patterns: Iterable[str]) -> bool:
    """Return whether a text as a whole fits one of the globs."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _unmet_identity(when: When, subject: Subject) -> str | None:
    """Look at who is calling."""
    agent = subject.agent
    if when.request_class and subject.facts.request_class not in when.request_class:
        return f"request_class is {subject.facts.request_class}"
    if when.agent and (agent is None or agent.slug not in when.agent):
        return f"agent is {agent.slug if agent is not None else 'unknown'}"
    if when.category and (agent is None or when.category.isdisjoint(agent.categories)):
        return f"category is {', '.join(agent.categories) if agent is not None else 'unknown'}"
    if when.tier and subject.tier not in when.tier:
        return f"tier is {subject.tier or 'unknown'}"
    if when.principal and not matches_any(subject.facts.principal, when.principal):
        return f"principal is {subject.facts.principal or 'unknown'}"
    return None


def _unmet_request(when: When, facts: RequestFacts) -> str | None:
    """Look at what is around the body."""
    if when.project and (facts.project is None or not matches_any(facts.project, when.project)):
        return f"project is {facts.project or 'unknown'}"
    asked = facts.requested_model.casefold()
    if when.requested_model and not matches_any(asked, when.requested_model):
        return "requested_model is another"
    for name, patterns in when.header.items():
        value = facts.headers.get(name)
        if value is None or not matches_any(value, patterns):
            return f"header {name} {'is absent' if value is None else 'does not match'}"
    if when.time is None:
        return None
    if facts.local_minute is None:
        return "time is unknown"
    weekday, minute = facts.local_minute
    if not when.time.holds(weekday, minute):
        return f"time is {DAYS[weekday]} {_clock(minute)}"
    return None


def _unmet_content(when: When, facts: RequestFacts) -> str | None:
    """Look at the body, but not at its length."""
    content = facts.content
    for key, attribute in (
        ("has_images", "has_images"),
        ("has_documents", "has_documents"),
        ("has_server_tools", "has_server_tools"),
        ("thinking", "wants_thinking"),
    ):
        wanted: bool | None = getattr(when, key)
        if wanted is None:
            continue
        if content is None:
            return f"{key} is unknown"
        if getattr(content, attribute) is not wanted:
            return f"{key} is {'false' if wanted else 'true'}"
    if when.tool_names:
        offered = content.tool_names if content is not None else ()
        if not any(matches_any(name, when.tool_names) for name in offered):
            return "tool_names: no such tool is offered"
    return None


def _unmet_length(when: When, facts: RequestFacts) -> str | None:
    """Look at the estimate of the prompt's length, where the rule asks for it."""
    if when.min_input_tokens is None and when.max_input_tokens is None:
        return None
    if facts.content is None:
        return "the number of input tokens is unknown"
    at_most = facts.content.input_tokens_at_most
    if at_most is not None and at_most < (when.min_input_tokens or 0):
        return f"at most {at_most} input tokens, fewer than {when.min_input_tokens}"
    tokens = facts.content.input_tokens
    if when.min_input_tokens is not None and tokens < when.min_input_tokens:
        return f"about {tokens} input tokens, fewer than {when.min_input_tokens}"
    if when.max_input_tokens is not None and tokens > when.max_input_tokens:
        return f"about {tokens} input tokens, more than {when.max_input_tokens}"
    return None


def _clock(minute: int) -> str:
    """Return a minute of the day as HH:MM."""
    return f"{minute // 60:02d}:{minute % 60:02d}"
