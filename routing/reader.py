"""Reading the plain data of a routing table, piece by piece, collecting every error.

Each method returns something usable even after an error, so that one pass finds them all; the
caller looks at `errors` before it uses the result. The key sets are the whole language.
Called by: `routing.table`. Read by: the JSON Schema of `routing.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from routing.condition_reader import read_when
from routing.diagnostics import Diagnostics, Names, Path
from routing.nearest import did_you_mean
from routing.policy_reader import POLICY_KEYS, read_policies
from routing.types import ConditionalRule, Privacy, Profile, RouteRule, Tier

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Names", "Root", "TableReader"]

TABLE_VERSION: Final = 1
ROOT_KEYS: Final = ("version", "active_profile", "memory_gib", "profiles")
REQUIRED_ROOT_KEYS: Final = ("version", "active_profile", "profiles")
PROFILE_KEYS: Final = (
    "extends",
    "tiers",
    "categories",
    "agents",
    "rules",
    "default",
    "unknown",
    "privacy",
    *POLICY_KEYS,
)
TIERS: Final = tuple(tier.value for tier in Tier)
ENTRY_KEYS: Final = ("route", "privacy", *POLICY_KEYS)
RULE_KEYS: Final = ("name", "when", *ENTRY_KEYS)


@dataclass(frozen=True, slots=True)
class Root:
    """The root of a table, its profiles still raw."""

    active: str | None
    profiles: Mapping[str, object]
    memory_gib: float | None = None


class TableReader(Diagnostics):
    """Reads one table.

    Attributes:
        errors: Everything that refuses the table, in the order of the file.
        warnings: What is allowed but surely not meant.
        extends: Profile -> what its `extends` says, not yet checked.
        explicit_any: Where the file says `privacy: any`; it may turn out to have no effect.
    """

    def __init__(self, names: Names) -> None:
        """Start without findings; `names` is what the table may refer to."""
        super().__init__()
        self.extends: dict[str, str] = {}
        self.explicit_any: list[Path] = []
        self._names = names

    def read_root(self, raw: Mapping[str, object]) -> Root:
        """Check the keys of the root and return its parts."""
        root = self.mapping(raw, (), ROOT_KEYS, "key")
        version = root.get("version")
        if version != TABLE_VERSION or isinstance(version, bool):
            found = "is missing" if "version" not in root else f"is {version!r}"
            self.refuse(("version",), f"{found}; this program reads `version: {TABLE_VERSION}`")
        active = root.get("active_profile")
        if not isinstance(active, str):
            self.refuse(("active_profile",), "must name one of the profiles")
            active = None
        profiles = self.mapping(root.get("profiles"), ("profiles",), None, "profile")
        if not profiles:
            self.refuse(("profiles",), "must hold at least one profile")
        memory_gib = None
        if "memory_gib" in root:
            memory_gib = self.number(root["memory_gib"], ("memory_gib",))
        return Root(active, profiles, memory_gib)

    def read_profile(self, name: str, raw: object) -> Profile:
        """Return what one profile says itself, without what it inherits."""
        path: Path = ("profiles", name)
        body = self.mapping(raw, path, PROFILE_KEYS, "key")
        if "extends" in body:
            parent = body["extends"]
            if isinstance(parent, str):
                self.extends[name] = parent
            else:
                self.refuse((*path, "extends"), "must be the name of one profile")
        tiers = self._rules(body.get("tiers"), (*path, "tiers"), TIERS, "tier")
        categories = self._names.categories
        return Profile(
            name=name,
            tiers={Tier(tier): rule for tier, rule in tiers.items()},
            categories=self._rules(
                body.get("categories"), (*path, "categories"), categories, "category"
            ),
            agents=self._rules(body.get("agents"), (*path, "agents"), self._names.agents, "agent"),
            default=self._optional_rule(body, path, "default"),
            unknown=self._optional_rule(body, path, "unknown"),
            privacy=self._privacy(body, path),
            policies=read_policies(body, path, self),
            rules=self._conditional_rules(body.get("rules"), (*path, "rules"), name),
        )

    def _conditional_rules(
        self, raw: object, path: Path, profile: str
    ) -> tuple[ConditionalRule, ...]:
        """Return a profile's own ordered rules."""
        if raw is None:
            return ()
        if not isinstance(raw, list):
            self.refuse(path, "must be a list of rules, each with name, when, and what follows")
            return ()
        rules: list[ConditionalRule] = []
        for index, item in enumerate(raw):
            here = (*path, index)
            body = self.mapping(item, here, RULE_KEYS, "key")
            if not isinstance(item, Mapping):
                if item is None:
                    self.refuse(here, "is empty; a rule has name, when, and what follows")
                continue
            name = self._rule_name(body, here, [rule.name for rule in rules])
            if "when" not in body:
                self.refuse(here, "needs a `when`; `when: {}` always holds")
            when = read_when(body.get("when"), (*here, "when"), self, self._names)
            if not set(body) & set(ENTRY_KEYS):
                self.warn(here, "sets nothing and changes nothing")
            rules.append(ConditionalRule(name, when, self._entry(body, here), profile, index))
        return tuple(rules)

    def _rule_name(self, body: Mapping[str, object], path: Path, taken: Collection[str]) -> str:
        """Return a rule's name; one that is missing or taken is refused."""
        name = body.get("name")
        if not isinstance(name, str) or not name:
            self.refuse(path, "needs a `name`, by which it is shown in decisions")
            return ""
        if name in taken:
            self.refuse((*path, "name"), f"there is a rule {name!r} above; rename one")
        return name

    def _rules(
        self, raw: object, path: Path, known: Collection[str], noun: str
    ) -> dict[str, RouteRule]:
        """Return the entries of `tiers`, `categories` or `agents`."""
        entries = self.mapping(raw, path, known, noun)
        return {key: self._rule(entry, (*path, key)) for key, entry in entries.items()}

    def _optional_rule(self, body: Mapping[str, object], path: Path, key: str) -> RouteRule | None:
        """Return the entry under `key`, or None where there is none."""
        return self._rule(body[key], (*path, key)) if key in body else None

    def _rule(self, raw: object, path: Path) -> RouteRule:
        """Return one entry."""
        entry = self.mapping(raw, path, ENTRY_KEYS, "key")
        if raw is None or raw == {}:
            self.warn(path, "is empty and changes nothing")
        return self._entry(entry, path)

    def _entry(self, entry: Mapping[str, object], path: Path) -> RouteRule:
        """Return what an entry or a rule says under the keys that both have."""
        route = self._route(entry["route"], (*path, "route")) if "route" in entry else None
        return RouteRule(route, self._privacy(entry, path), read_policies(entry, path, self))

    def _route(self, raw: object, path: Path) -> tuple[str, ...]:
        """Return a route's deployments, in order."""
        if not isinstance(raw, list):
            self.refuse(path, "must be a list of deployments, e.g. [qwen-coder, claude-sonnet]")
            return ()
        if not raw:
            self.refuse(path, "is empty; leave the key out to take the route from the next level")
        route: list[str] = []
        for index, name in enumerate(raw):
            here = (*path, index)
            if not isinstance(name, str):
                self.refuse(here, f"must be the name of a deployment, not {name!r}")
            elif name not in self._names.deployments:
                hint = did_you_mean(name, self._names.deployments)
                self.refuse(here, f"there is no deployment {name!r} in model_list.{hint}")
            elif name in route:
                self.warn(here, f"names {name!r} twice; the second is skipped")
            else:
                route.append(name)
        return tuple(route)

    def _privacy(self, body: Mapping[str, object], path: Path) -> Privacy:
        """Return the privacy of a profile or an entry; `any` where it says nothing."""
        here = (*path, "privacy")
        value = body.get("privacy", Privacy.ANY.value)
        if not isinstance(value, str) or value not in tuple(Privacy):
            known = " or ".join(Privacy)
            self.refuse(here, f"must be {known}, not {value!r}")
            return Privacy.LOCAL_ONLY
        if "privacy" in body and value == Privacy.ANY:
            self.explicit_any.append(here)
        return Privacy(value)
