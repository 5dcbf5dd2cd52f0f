"""Reading the plain data of a routing table, piece by piece, collecting every error.

Each method returns something usable even after an error, so that one pass finds them all; the
caller looks at `errors` before it uses the result. The key sets are the whole language.
Called by: `routing.table`. Read by: the JSON Schema of `routing.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from routing.errors import Problem
from routing.nearest import did_you_mean
from routing.types import Privacy, Profile, RouteRule, Tier

if TYPE_CHECKING:
    from collections.abc import Collection

Path: TypeAlias = tuple[str | int, ...]

TABLE_VERSION: Final = 1
ROOT_KEYS: Final = ("version", "active_profile", "profiles")
PROFILE_KEYS: Final = (
    "extends",
    "tiers",
    "categories",
    "agents",
    "default",
    "unknown",
    "privacy",
)
TIERS: Final = tuple(tier.value for tier in Tier)
ENTRY_KEYS: Final = ("route", "privacy")
LATER_KEYS: Final = (
    "rules",
    "deadline_s",
    "max_cost_usd_per_request",
    "on_overflow",
    "thinking",
    "thinking_budget_tokens",
)
"""Keys of the table language that this version does not read. Ignoring one would route requests
otherwise than the file says, so the file is refused."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a table may name."""

    deployments: frozenset[str]
    agents: frozenset[str]
    categories: frozenset[str]


@dataclass(frozen=True, slots=True)
class Root:
    """The root of a table, its profiles still raw."""

    active: str | None
    profiles: Mapping[str, object]


class TableReader:
    """Reads one table.

    Attributes:
        errors: Everything that refuses the table, in the order of the file.
        warnings: What is allowed but surely not meant.
        extends: Profile -> what its `extends` says, not yet checked.
        explicit_any: Where the file says `privacy: any`; it may turn out to have no effect.
    """

    def __init__(self, names: Names) -> None:
        """Start without findings; `names` is what the table may refer to."""
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.extends: dict[str, str] = {}
        self.explicit_any: list[Path] = []
        self._names = names

    def refuse(self, path: Path, message: str) -> None:
        """Add an error."""
        self.errors.append(Problem(path, message))

    def read_root(self, raw: Mapping[str, object]) -> Root:
        """Check the keys of the root and return its parts."""
        root = self._mapping(raw, (), ROOT_KEYS, "key")
        version = root.get("version")
        if version != TABLE_VERSION or isinstance(version, bool):
            found = "is missing" if "version" not in root else f"is {version!r}"
            self.refuse(("version",), f"{found}; this program reads `version: {TABLE_VERSION}`")
        active = root.get("active_profile")
        if not isinstance(active, str):
            self.refuse(("active_profile",), "must name one of the profiles")
            active = None
        profiles = self._mapping(root.get("profiles"), ("profiles",), None, "profile")
        if not profiles:
            self.refuse(("profiles",), "must hold at least one profile")
        return Root(active, profiles)

    def read_profile(self, name: str, raw: object) -> Profile:
        """Return what one profile says itself, without what it inherits."""
        path: Path = ("profiles", name)
        body = self._mapping(raw, path, PROFILE_KEYS, "key")
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
        )

    def _rules(
        self, raw: object, path: Path, known: Collection[str], noun: str
    ) -> dict[str, RouteRule]:
        """Return the entries of `tiers`, `categories` or `agents`."""
        entries = self._mapping(raw, path, known, noun)
        return {key: self._rule(entry, (*path, key)) for key, entry in entries.items()}

    def _optional_rule(self, body: Mapping[str, object], path: Path, key: str) -> RouteRule | None:
        """Return the entry under `key`, or None where there is none."""
        return self._rule(body[key], (*path, key)) if key in body else None

    def _rule(self, raw: object, path: Path) -> RouteRule:
        """Return one entry."""
        entry = self._mapping(raw, path, ENTRY_KEYS, "key")
        if raw is None or raw == {}:
            self.warnings.append(Problem(path, "is empty and changes nothing"))
        route = self._route(entry["route"], (*path, "route")) if "route" in entry else None
        return RouteRule(route, self._privacy(entry, path))

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
                self.warnings.append(Problem(here, f"names {name!r} twice; the second is skipped"))
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

    def _mapping(
        self, raw: object, path: Path, known: Collection[str] | None, noun: str
    ) -> dict[str, object]:
        """Return the entries of a map whose keys are known; nothing at all is an empty map.

        Args:
            raw: What the file has there.
            path: Where.
            known: The keys that may appear, or None for any.
            noun: What a key is, for messages.
        """
        if raw is None:
            return {}
        if not isinstance(raw, Mapping):
            self.refuse(path, f"must be a map of `name: value`, not {raw!r}")
            return {}
        entries: dict[str, object] = {}
        for key, value in raw.items():
            if not isinstance(key, str):
                self.refuse((*path, str(key)), f"the {noun} {key!r} must be a text; quote it")
            elif known is None or key in known:
                entries[key] = value
            elif noun == "key" and key in LATER_KEYS:
                self.refuse((*path, key), f"{key!r} is not supported yet; take it out")
            else:
                self.refuse((*path, key), f"unknown {noun} {key!r}.{did_you_mean(key, known)}")
        return entries
