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
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
    checks: tuple[Check, ...] = field(init=False, repr=False, compare=False)
    """Of the keys that are there: few rules have more than two of them."""

    def __post_init__(self) -> None:
        """Find out once which keys have to be looked at."""
        object.__setattr__(self, "checks", _checks_of(self))


Check: TypeAlias = "Callable[[When, Subject], str | None]"
"""Says why one condition of a rule does not hold, or None if it does."""


class Subject(NamedTuple):
    """A request as conditions see it."""

    facts: RequestFacts
    agent: Agent | None
    """The roster's agent, or None for an unrecognised caller."""
    tier: Tier | None
    """The agent's, or for an unrecognised caller that of the requested model."""


def first_unmet(when: When, subject: Subject) -> str | None:
    """Return why the conditions do not hold, in words for the trace, or None if they do."""
    for check in when.checks:
        unmet = check(when, subject)
        if unmet is not None:
            return unmet
    return None


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
        has_images=None,
        has_documents=None,
        has_server_tools=None,
        thinking=None,
        tool_names=(),
        principal=when.principal if facts.principal else (),
        project=when.project if facts.project is not None else (),
        header={name: asked for name, asked in when.header.items() if name in facts.headers},
        time=when.time if facts.local_minute is not None else None,
    )
    return first_unmet(known, subject) is None


def matches_any(text: str, patterns: Iterable[str]) -> bool:
    """Return whether a text as a whole fits one of the globs."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _unmet_class(when: When, subject: Subject) -> str | None:
    asked = subject.facts.request_class
    return None if asked in when.request_class else f"request_class is {asked}"


def _unmet_agent(when: When, subject: Subject) -> str | None:
    slug = subject.agent.slug if subject.agent is not None else "unknown"
    return None if subject.agent is not None and slug in when.agent else f"agent is {slug}"


def _unmet_category(when: When, subject: Subject) -> str | None:
    if subject.agent is None:
        return "category is unknown"
    categories = subject.agent.categories
    return f"category is {', '.join(categories)}" if when.category.isdisjoint(categories) else None


def _unmet_tier(when: When, subject: Subject) -> str | None:
    return None if subject.tier in when.tier else f"tier is {subject.tier or 'unknown'}"


def _unmet_principal(when: When, subject: Subject) -> str | None:
    principal = subject.facts.principal
    met = matches_any(principal, when.principal)
    return None if met else f"principal is {principal or 'unknown'}"


def _unmet_project(when: When, subject: Subject) -> str | None:
    project = subject.facts.project
    met = project is not None and matches_any(project, when.project)
    return None if met else f"project is {project or 'unknown'}"


def _unmet_requested_model(when: When, subject: Subject) -> str | None:
    met = matches_any(subject.facts.requested_model.casefold(), when.requested_model)
    return None if met else "requested_model is another"


def _unmet_header(when: When, subject: Subject) -> str | None:
    for name, patterns in when.header.items():
        value = subject.facts.headers.get(name)
        if value is None or not matches_any(value, patterns):
            return f"header {name} {'is absent' if value is None else 'does not match'}"
    return None


def _unmet_time(when: When, subject: Subject) -> str | None:
    if when.time is None:
        return None
    if subject.facts.local_minute is None:
        return "time is unknown"
    weekday, minute = subject.facts.local_minute
    met = when.time.holds(weekday, minute)
    return None if met else f"time is {DAYS[weekday]} {_clock(minute)}"


def _unmet_flag(key: str, attribute: str) -> Check:
    """Return the check of a condition that is true or false; `attribute` is of the content."""
    wanted_of, answer_of = attrgetter(key), attrgetter(attribute)

    def unmet(when: When, subject: Subject) -> str | None:
        content, wanted = subject.facts.content, wanted_of(when)
        if content is None:
            return f"{key} is unknown"
        met = answer_of(content) is wanted
        return None if met else f"{key} is {'false' if wanted else 'true'}"

    return unmet


def _unmet_tools(when: When, subject: Subject) -> str | None:
    content = subject.facts.content
    offered = content.tool_names if content is not None else ()
    met = any(matches_any(name, when.tool_names) for name in offered)
    return None if met else "tool_names: no such tool is offered"


def _unmet_length(when: When, subject: Subject) -> str | None:
    """Look at the estimate of the prompt's length, where no bound decides."""
    content = subject.facts.content
    if content is None:
        return "the number of input tokens is unknown"
    at_most = content.input_tokens_at_most
    if at_most is not None and at_most < (when.min_input_tokens or 0):
        return f"at most {at_most} input tokens, fewer than {when.min_input_tokens}"
    tokens = content.input_tokens
    if when.min_input_tokens is not None and tokens < when.min_input_tokens:
        return f"about {tokens} input tokens, fewer than {when.min_input_tokens}"
    if when.max_input_tokens is not None and tokens > when.max_input_tokens:
        return f"about {tokens} input tokens, more than {when.max_input_tokens}"
    return None


_CHECKS: Final[tuple[tuple[tuple[str, ...], Check], ...]] = (
    (("request_class",), _unmet_class),
    (("agent",), _unmet_agent),
    (("category",), _unmet_category),
    (("tier",), _unmet_tier),
    (("principal",), _unmet_principal),
    (("project",), _unmet_project),
    (("requested_model",), _unmet_requested_model),
    (("header",), _unmet_header),
    (("time",), _unmet_time),
    (("has_images",), _unmet_flag("has_images", "has_images")),
    (("has_documents",), _unmet_flag("has_documents", "has_documents")),
    (("has_server_tools",), _unmet_flag("has_server_tools", "has_server_tools")),
    (("thinking",), _unmet_flag("thinking", "wants_thinking")),
    (("tool_names",), _unmet_tools),
    (("min_input_tokens", "max_input_tokens"), _unmet_length),
)
"""The keys of a `when` and who looks at them, in the order in which they are looked at: who is
calling, what is around the body, the body, and its length last."""


_NOT_THERE: Final = (None, (), frozenset[str](), dict[str, str]())


def _checks_of(when: When) -> tuple[Check, ...]:
    """Return the checks of those keys that are there."""
    return tuple(
        check
        for keys, check in _CHECKS
        if any(getattr(when, key) not in _NOT_THERE for key in keys)
    )


def _clock(minute: int) -> str:
    """Return a minute of the day as HH:MM."""
    return f"{minute // 60:02d}:{minute % 60:02d}"
