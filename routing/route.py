"""Which part of a profile speaks for a request, and what it says.

Called by: `routing.plan`, whose rules it carries out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from routing.conditions import could_hold, first_unmet
from routing.policies import combine
from routing.types import Privacy, RouteRule, TraceEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from routing.conditions import Subject
    from routing.policies import Policies
    from routing.requested_model import RequestedModel
    from routing.types import ConditionalRule, Profile

REQUESTED_MODEL: Final = "requested model"
"""What decided where the requested model is a deployment's name."""
DEFAULT: Final = "default"


class Level(NamedTuple):
    """One place of the profile that may speak for a request."""

    name: str
    """Its key path inside the profile, e.g. `agents.security-auditor` or `rules.long-context`."""
    entry: RouteRule | None


Step: TypeAlias = tuple[str, bool, str]
"""Of a rule or level: its name, whether it is kept, and why."""


class Decision(NamedTuple):
    """What the profile says of one request."""

    route: tuple[str, ...] | None
    """Candidates in order, or None where nothing names a route."""
    rule: ConditionalRule | None
    """The rule that gave the route, if one did."""
    privacy: Privacy
    policies: Policies
    steps: Sequence[Step]
    """What became of each rule and level, in the order in which they were looked at."""
    speaking: Sequence[Level]
    """The levels whose privacy and policies apply, most specific first, the profile last."""

    def trace(self) -> tuple[TraceEntry, ...]:
        """Return how this came about, in words."""
        return (
            *(TraceEntry("rule", *step) for step in self.steps),
            _privacy_entry(self.speaking),
            *_policy_trace(self.speaking, self.policies),
        )


def decide(profile: Profile, subject: Subject, requested: RequestedModel) -> Decision:
    """Return the route, privacy and policies of a request, and how they came about."""
    walk = _Walk()
    if requested.deployment is not None:
        walk.route = (requested.deployment,)
        walk.decided_by = REQUESTED_MODEL
        walk.note(REQUESTED_MODEL, "it names this deployment", kept=True)
    walk.try_rules(profile.rules, subject)
    walk.try_levels(levels_for(profile, subject))
    speaking = [
        *walk.speaking,
        Level("profile", RouteRule(None, profile.privacy, profile.policies)),
        *_privacy_levels(profile, subject),
    ]
    policies = combine(level.entry.policies for level in speaking if level.entry is not None)
    privacy = combine_privacy(speaking)
    return Decision(walk.route, walk.rule, privacy, policies, walk.steps, speaking)


def levels_for(profile: Profile, subject: Subject) -> tuple[Level, ...]:
    """Return the levels below the rules that apply, most specific first, the default last."""
    levels = []
    agent = subject.agent
    if agent is not None:
        levels.append(Level(f"agents.{agent.slug}", profile.agents.get(agent.slug)))
        category = profile.categories.get(agent.category)
        levels.append(Level(f"categories.{agent.category}", category))
    else:
        levels.append(Level("unknown", profile.unknown))
    if subject.tier is not None:
        levels.append(Level(f"tiers.{subject.tier}", profile.tiers.get(subject.tier)))
    levels.append(Level(DEFAULT, profile.default))
    return tuple(levels)


def privacy_without_content(profile: Profile, subject: Subject) -> Privacy:
    """Return the privacy of a request whose body nobody can look into.

    A rule counts unless it is known not to apply; the default does not count.
    """
    levels = [
        Level("profile", RouteRule(None, profile.privacy)),
        *_privacy_levels(profile, subject),
        *(level for level in levels_for(profile, subject) if level.name != DEFAULT),
        *(
            Level(f"rules.{rule.name}", rule.entry)
            for rule in profile.rules
            if could_hold(rule.when, subject)
        ),
    ]
    return combine_privacy(levels)


def _privacy_levels(profile: Profile, subject: Subject) -> Iterator[Level]:
    """Yield what has a say in privacy alone: the agent's further categories, and the token."""
    for category in subject.agent.further_categories if subject.agent is not None else ():
        entry = profile.categories.get(category)
        if entry is not None:
            yield Level(f"categories.{category}", RouteRule(None, entry.privacy))
    yield Level("token", RouteRule(None, subject.facts.token_privacy))


def combine_privacy(levels: Sequence[Level]) -> Privacy:
    """Return the tightest privacy of the levels."""
    return Privacy.LOCAL_ONLY if _tight(levels) else Privacy.ANY


def _tight(levels: Sequence[Level]) -> list[str]:
    """Return the names of the levels that forbid leaving the host."""
    return [
        level.name
        for level in levels
        if level.entry is not None and level.entry.privacy is Privacy.LOCAL_ONLY
    ]


def _privacy_entry(levels: Sequence[Level]) -> TraceEntry:
    """Return where the privacy is from."""
    tight = _tight(levels)
    reason = f"local_only, from {', '.join(tight)}" if tight else "nothing restricts it"
    return TraceEntry("rule", "privacy", kept=bool(tight), reason=reason)


def _policy_trace(levels: Sequence[Level], combined: Policies) -> Iterator[TraceEntry]:
    """Yield where each policy that is set is from."""
    for key in combined.said:
        source = next(
            level.name
            for level in levels
            if level.entry is not None and key in level.entry.policies.said
        )
        yield TraceEntry("rule", key, kept=True, reason=f"{combined.told(key)}, from {source}")


class _Walk:
    """The way through a profile, for one request."""

    def __init__(self) -> None:
        """Nothing is decided yet."""
        self.route: tuple[str, ...] | None = None
        self.decided_by: str | None = None
        self.rule: ConditionalRule | None = None
        self.speaking: list[Level] = []
        """Levels whose privacy and policies apply, most specific first."""
        self.steps: list[Step] = []

    def note(self, name: str, reason: str, *, kept: bool = False) -> None:
        """Add a step."""
        self.steps.append((name, kept, reason))

    def try_rules(self, rules: Sequence[ConditionalRule], subject: Subject) -> None:
        """Try the rules in order, up to the first that applies and has a route."""
        stopped_by: str | None = None
        for rule in rules:
            name = f"rules.{rule.name}"
            if stopped_by is not None:
                self.note(name, f"{stopped_by} decided")
                continue
            unmet = first_unmet(rule.when, subject)
            if unmet is not None:
                self.note(name, unmet)
                continue
            self.speaking.append(Level(name, rule.entry))
            if rule.entry.route is None:
                self.note(name, "it applies and names no route: the next is tried", kept=True)
                continue
            stopped_by = name
            if self.decided_by is not None:
                self.note(name, f"it applies, but {self.decided_by} gives the route", kept=True)
            else:
                self.route, self.decided_by, self.rule = rule.entry.route, name, rule
                self.note(name, "first rule that applies and has a route", kept=True)

    def try_levels(self, levels: Sequence[Level]) -> None:
        """Take the route of the first level that has one, if there is none yet."""
        for level in levels:
            if self.decided_by is not None:
                self.note(level.name, f"{self.decided_by} decided")
            elif level.entry is None:
                self.note(level.name, "the profile has no such entry")
            elif level.entry.route is None:
                self.note(level.name, "the entry names no route")
            else:
                self.route, self.decided_by = level.entry.route, level.name
                self.note(level.name, "most specific entry with a route", kept=True)
            if level.name != DEFAULT or self.decided_by == DEFAULT:
                self.speaking.append(level)
