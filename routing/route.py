"""Which part of a profile speaks for a request, and what it says.

Called by: `routing.plan`, whose rules it carries out. Every request is decided, and few decisions
are ever told: so `decide` only looks up what is in force, and keeps what `Decision.trace` needs to
put it into words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from routing.conditions import could_hold, first_unmet
from routing.policies import combine
from routing.records import record
from routing.types import Privacy, RouteRule, TraceEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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


@record(frozen=True, slots=True)
class Decision:
    """What the profile says of one request."""

    route: tuple[str, ...] | None
    """Candidates in order, or None where nothing names a route."""
    rule: ConditionalRule | None
    """The rule that gave the route, if one did."""
    privacy: Privacy
    policies: Policies
    profile: Profile
    subject: Subject
    named: bool
    """The requested model is a deployment's name, and the route."""
    tried: Sequence[str | None]
    """Of the profile's rules, as far as they were tried: why not, or None where one applies."""

    def trace(self) -> tuple[TraceEntry, ...]:
        """Return how this came about, in words, in the order in which it was looked at."""
        speaking = tuple(self._speaking())
        return (
            *(TraceEntry("rule", *step) for step in self._steps()),
            _privacy_entry(speaking),
            *_policy_trace(speaking, self.policies),
        )

    def _steps(self) -> Iterator[Step]:
        """Yield what became of each rule and level."""
        if self.named:
            yield REQUESTED_MODEL, True, "it names this deployment"
        yield from self._rule_steps()
        decided_by = self._decided_by
        is_decided = self.named or self.rule is not None
        for level in levels_for(self.profile, self.subject):
            if is_decided:
                yield level.name, False, f"{decided_by} decided"
            elif level.entry is None:
                yield level.name, False, "the profile has no such entry"
            elif level.entry.route is None:
                yield level.name, False, "the entry names no route"
            else:
                is_decided = True
                yield level.name, True, "most specific entry with a route"

    def _rule_steps(self) -> Iterator[Step]:
        rules = self.profile.rules
        for rule, unmet in zip(rules, self.tried, strict=False):
            if unmet is not None:
                yield _path_of(rule), False, unmet
            elif rule.entry.route is None:
                yield _path_of(rule), True, "it applies and names no route: the next is tried"
            elif self.named:
                reason = f"it applies, but {REQUESTED_MODEL} gives the route"
                yield _path_of(rule), True, reason
            else:
                yield _path_of(rule), True, "first rule that applies and has a route"
        for rule in rules[len(self.tried) :]:
            yield _path_of(rule), False, f"{_path_of(rules[len(self.tried) - 1])} decided"

    @property
    def _decided_by(self) -> str | None:
        """What gave the route, if anything did."""
        if self.named:
            return REQUESTED_MODEL
        if self.rule is not None:
            return _path_of(self.rule)
        levels = levels_for(self.profile, self.subject)
        return next(
            (
                each.name
                for each in levels
                if each.entry is not None and each.entry.route is not None
            ),
            None,
        )

    def _speaking(self) -> Iterator[Level]:
        """Yield the levels whose privacy and policies apply, the most specific first."""
        for rule, unmet in zip(self.profile.rules, self.tried, strict=False):
            if unmet is None:
                yield Level(_path_of(rule), rule.entry)
        for level in levels_for(self.profile, self.subject):
            if level.name != DEFAULT or self._decided_by == DEFAULT:
                yield level
        profile = self.profile
        yield Level("profile", RouteRule(None, profile.privacy, profile.policies))
        yield from _privacy_levels(profile, self.subject)


def decide(profile: Profile, subject: Subject, requested: RequestedModel) -> Decision:
    """Return the route, privacy and policies of a request."""
    tried, speaking = _try_rules(profile.rules, subject)
    named = requested.deployment is not None
    route: tuple[str, ...] | None = None
    rule: ConditionalRule | None = None
    if requested.deployment is not None:
        route = (requested.deployment,)
    elif speaking and speaking[-1].route is not None:
        rule = profile.rules[len(tried) - 1]
        route = rule.entry.route
    for entry in _entries(profile, subject):
        if entry is not None:
            speaking.append(entry)
            route = entry.route if route is None else route
    default = profile.default
    if route is None and default is not None and default.route is not None:
        speaking.append(default)
        route = default.route
    policies = combine(entry.policies for entry in speaking).over(profile.policies)
    privacy = _privacy(profile, subject, speaking)
    return Decision(route, rule, privacy, policies, profile, subject, named, tried)


def _try_rules(
    rules: Sequence[ConditionalRule], subject: Subject
) -> tuple[list[str | None], list[RouteRule]]:
    """Try rules in order, up to the first that applies and has a route.

    Returns:
        Why each that was tried does not apply, or None; and the entries of those that do.
    """
    tried: list[str | None] = []
    applying: list[RouteRule] = []
    for rule in rules:
        unmet = first_unmet(rule.when, subject)
        tried.append(unmet)
        if unmet is None:
            applying.append(rule.entry)
            if rule.entry.route is not None:
                break
    return tried, applying


def _entries(profile: Profile, subject: Subject) -> tuple[RouteRule | None, ...]:
    """Return the entries below the rules that apply, most specific first, without the default."""
    agent, tier = subject.agent, subject.tier
    of_tier = profile.tiers.get(tier) if tier is not None else None
    if agent is None:
        return profile.unknown, of_tier
    return profile.agents.get(agent.slug), profile.categories.get(agent.category), of_tier


def _privacy(profile: Profile, subject: Subject, speaking: Iterable[RouteRule]) -> Privacy:
    """Return the tightest privacy of what speaks for a request, its profile and its token."""
    local_only = Privacy.LOCAL_ONLY
    if profile.privacy is local_only or subject.facts.token_privacy is local_only:
        return local_only
    for entry in speaking:
        if entry.privacy is local_only:
            return local_only
    agent = subject.agent
    if agent is not None and agent.further_categories:
        return combine_privacy(tuple(_privacy_levels(profile, subject)))
    return Privacy.ANY


def levels_for(profile: Profile, subject: Subject) -> tuple[Level, ...]:
    """Return the levels below the rules that apply, most specific first, the default last."""
    names = ["unknown"]
    if subject.agent is not None:
        names = [f"agents.{subject.agent.slug}", f"categories.{subject.agent.category}"]
    if subject.tier is not None:
        names.append(f"tiers.{subject.tier}")
    return (*map(Level, names, _entries(profile, subject)), Level(DEFAULT, profile.default))


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


def _path_of(rule: ConditionalRule) -> str:
    return f"rules.{rule.name}"
