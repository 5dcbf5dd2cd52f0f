"""Findings about a table while it is read, and the shapes every part of it is made of.

Each method returns something usable even after an error, so that one pass finds them all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from routing.errors import Problem
from routing.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

Path: TypeAlias = tuple[str | int, ...]

OTHER_WORDS: Final[Mapping[str, str]] = {
    "thinking_budget_tokens": "thinking: {max_budget_tokens: N}",
    "max_cost_usd": "max_cost_usd_per_request: N",
    "if": "when: {...}",
}
"""Keys that people try, and what this language has for them."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a table may name."""

    deployments: frozenset[str]
    agents: frozenset[str]
    categories: frozenset[str]


class Diagnostics:
    """Collects what is wrong with one table.

    Attributes:
        errors: Everything that refuses the table, in the order of the file.
        warnings: What is allowed but surely not meant.
    """

    def __init__(self) -> None:
        """Start without findings."""
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def refuse(self, path: Path, message: str) -> None:
        """Add an error."""
        self.errors.append(Problem(path, message))

    def warn(self, path: Path, message: str) -> None:
        """Add a warning."""
        self.warnings.append(Problem(path, message))

    def mapping(
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
            elif noun == "key" and key in OTHER_WORDS:
                self.refuse((*path, key), f"unknown key {key!r}; write {OTHER_WORDS[key]}")
            else:
                self.refuse((*path, key), f"unknown {noun} {key!r}.{did_you_mean(key, known)}")
        return entries

    def texts(self, raw: object, path: Path) -> tuple[str, ...]:
        """Return one text or a list of them as a tuple, without those that are refused."""
        items = raw if isinstance(raw, list) else [raw]
        if not items:
            self.refuse(path, "is an empty list, which nothing could match; leave the key out")
        texts: list[str] = []
        for index, item in enumerate(items):
            if isinstance(item, str) and item:
                texts.append(item)
            else:
                here = (*path, index) if isinstance(raw, list) else path
                self.refuse(here, f"must be a text, not {item!r}; quote it if it is meant as one")
        return tuple(texts)

    def names(self, raw: object, path: Path, known: Collection[str], noun: str) -> tuple[str, ...]:
        """Return one known name or a list of them; an unknown one is refused with the nearest."""
        found: list[str] = []
        for index, name in enumerate(self.texts(raw, path)):
            if name in known:
                found.append(name)
                continue
            here = (*path, index) if isinstance(raw, list) else path
            self.refuse(here, f"there is no {noun} {name!r}.{did_you_mean(name, known)}")
        return tuple(found)

    def number(
        self, raw: object, path: Path, *, whole: bool = False, zero: bool = False
    ) -> float | None:
        """Return a finite number above 0 (or from 0 on), or None after refusing it."""
        kinds = (int,) if whole else (int, float)
        if isinstance(raw, kinds) and not isinstance(raw, bool) and 0 <= raw < math.inf:
            value: float = raw
            if zero or value:
                return value
        kind = "a whole number" if whole else "a number"
        self.refuse(path, f"must be {kind} {'of at least' if zero else 'above'} 0, not {raw!r}")
        return None

    def whole_number(self, raw: object, path: Path, *, zero: bool = False) -> int | None:
        """Return a whole number above 0 (or from 0 on), or None after refusing it."""
        value = self.number(raw, path, whole=True, zero=zero)
        return None if value is None else int(value)

    def flag(self, raw: object, path: Path) -> bool | None:
        """Return true or false, or None after refusing something else."""
        if isinstance(raw, bool):
            return raw
        self.refuse(path, f"must be true or false, not {raw!r}")
        return None
