"""What becomes different when one routing table takes another's place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from routing.resolved import agent_routes, policies_told, stranger_routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.resolved import ResolvedRoute
    from routing.types import ConditionalRule, Roster, RoutingTable

COMPARED: Final = (
    "route", "privacy", "deadline_s", "max_cost_microusd", "thinking",
    "thinking_max_budget_tokens", "on_overflow", "only_after", "problem",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AgentChange:
    """An agent, or a kind of unrecognised caller, whose requests are treated differently."""

    agent: str
    before: ResolvedRoute
    after: ResolvedRoute

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return agent, what changed, before and after, one row for each."""
        pairs = [
            ("route", _route_told(self.before), _route_told(self.after)),
            ("privacy", self.before.privacy or "", self.after.privacy or ""),
            ("policies", policies_told(self.before), policies_told(self.after)),
        ]
        return [
            (self.agent, what, before or "(none)", after or "(none)")
            for what, before, after in pairs
            if before != after
        ]


@dataclass(frozen=True, slots=True)
class TableChanges:
    """Everything that two tables treat differently."""

    agents: tuple[AgentChange, ...]
    rules: Mapping[str, str]
    """Rule of the active profile -> `added`, `removed`, `changed` or `moved`."""

    def __bool__(self) -> bool:
        """Return whether there is any difference."""
        return bool(self.agents or self.rules)

    def as_json(self) -> dict[str, object]:
        """Return the differences JSON-ready."""
        return {
            "agents": [
                {
                    "agent": each.agent,
                    "before": _compared(each.before),
                    "after": _compared(each.after),
                }
                for each in self.agents
            ],
            "rules": [{"rule": name, "change": word} for name, word in self.rules.items()],
        }


def compare_tables(old: RoutingTable, new: RoutingTable, roster: Roster) -> TableChanges:
    """Return what changes; neither table may name agents that the roster lacks."""
    before = [*agent_routes(old, roster), *stranger_routes(old, roster)]
    after = [*agent_routes(new, roster), *stranger_routes(new, roster)]
    agents = tuple(
        AgentChange(one.agent, one, other)
        for one, other in zip(before, after, strict=True)
        if _compared(one) != _compared(other)
    )
    return TableChanges(agents, _rule_changes(old.active.rules, new.active.rules))


def _compared(route: ResolvedRoute) -> dict[str, object]:
    values = asdict(route)
    return {name: values[name] for name in COMPARED}


def _route_told(route: ResolvedRoute) -> str:
    return " > ".join(route.route) or f"none: {route.problem}"


def _rule_changes(
    old: tuple[ConditionalRule, ...], new: tuple[ConditionalRule, ...]
) -> dict[str, str]:
    before, after = {each.name: each for each in old}, {each.name: each for each in new}
    changes = {name: "removed" for name in before if name not in after}
    common_before = [name for name in before if name in after]
    common_after = [name for name in after if name in before]
    for name, rule in after.items():
        if name not in before:
            changes[name] = "added"
        elif (rule.when, rule.entry) != (before[name].when, before[name].entry):
            changes[name] = "changed"
        elif common_before.index(name) != common_after.index(name):
            changes[name] = "moved"
    return changes
