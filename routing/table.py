"""The routing table: from plain data, as a YAML file gives it, to something that decides.

A table is compiled whole or not at all: `compile_table` reports every problem at once, so that one
edit fixes them all and a bad edit never replaces a good table. What makes only some requests
unservable is a warning (`routing.lint`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from routing.errors import InvalidTable
from routing.extends import find_cycle, resolve_profile
from routing.lint import lint_table
from routing.nearest import did_you_mean
from routing.reader import Names, TableReader
from routing.types import RoutingTable

if TYPE_CHECKING:
    from routing.errors import Problem
    from routing.types import Deployment, Profile, Roster

VERSION_DIGITS: Final = 12
"""Hexadecimal digits of a table's version: 48 bits, enough to tell edits of one file apart."""


def compile_table(
    mapping: Mapping[str, object], deployments: Mapping[str, Deployment], roster: Roster
) -> tuple[RoutingTable, list[Problem]]:
    """Return the compiled table and its warnings.

    Args:
        mapping: The root of `routing.yaml` as plain data.
        deployments: By name; a route may only name these.
        roster: The agents and categories a table may name.

    Raises:
        InvalidTable: With every error of the table, each with its key path.
    """
    names = Names(
        deployments=frozenset(deployments),
        agents=frozenset(roster.agents),
        categories=frozenset(
            category for agent in roster.agents.values() for category in agent.categories
        ),
    )
    reader = TableReader(names)
    root = reader.read_root(mapping)
    own = {name: reader.read_profile(name, raw) for name, raw in root.profiles.items()}
    parents = _check_parents(reader, own)
    if root.active is not None and root.active not in root.profiles:
        hint = did_you_mean(root.active, root.profiles)
        message = f"there is no profile {root.active!r}.{hint}"
        reader.refuse(("active_profile",), message)
    if reader.errors or root.active is None:
        raise InvalidTable(reader.errors)
    profiles = {name: resolve_profile(name, own, parents) for name in own}
    active = profiles[root.active]
    table = RoutingTable(
        active=active,
        profiles=profiles,
        deployments=dict(deployments),
        version=_version_of(mapping),
        memory_gib=root.memory_gib,
        asked_headers=frozenset(name for rule in active.rules for name in rule.when.header),
    )
    return table, [*reader.warnings, *lint_table(table, roster, reader.explicit_any, own.values())]


def _check_parents(reader: TableReader, own: Mapping[str, Profile]) -> dict[str, str]:
    """Return profile -> parent for every `extends` that names a profile; report the others."""
    for name, parent in reader.extends.items():
        if parent not in own:
            message = f"there is no profile {parent!r}.{did_you_mean(parent, own)}"
            reader.refuse(("profiles", name, "extends"), message)
    parents = {name: parent for name, parent in reader.extends.items() if parent in own}
    for name in parents:
        cycle = find_cycle(name, parents)
        if cycle is not None:
            message = f"profiles extend each other in a circle: {' -> '.join(cycle)}"
            reader.refuse(("profiles", name, "extends"), message)
    return parents


def _version_of(mapping: Mapping[str, object]) -> str:
    """Return a short hash of the content; comments, layout and the order of keys do not count."""
    return hashlib.sha256(_canonical(mapping).encode()).hexdigest()[:VERSION_DIGITS]


def _canonical(value: object) -> str:
    """Return the same text for equal data, and different text for different data."""
    if isinstance(value, Mapping):
        items = sorted((repr(key), _canonical(item)) for key, item in value.items())
        return "{" + ",".join(f"{key}:{item}" for key, item in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_canonical(item) for item in value) + "]"
    return repr(value)
