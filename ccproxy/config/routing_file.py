"""The routing table of a file: YAML in, a compiled table out, problems with line and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccproxy.config.problems import ConfigError
from ccproxy.config.yaml_marks import parse_marked, read_marked
from routing.errors import InvalidTable
from routing.table import compile_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ccproxy.config.problems import ConfigProblem
    from ccproxy.config.yaml_marks import MarkedDocument
    from routing.types import Deployment, Roster, RoutingTable


def load_routing(
    path: Path, deployments: Mapping[str, Deployment], roster: Roster
) -> tuple[RoutingTable, tuple[ConfigProblem, ...]]:
    """Return the table in a file, and its warnings.

    Raises:
        ConfigError: With every error of the file; a table that serves already should go on.
    """
    return _compile(read_marked(path), deployments, roster)


def parse_routing(
    data: bytes, file: str, deployments: Mapping[str, Deployment], roster: Roster
) -> tuple[RoutingTable, tuple[ConfigProblem, ...]]:
    """Return the table in `data`, which has not been saved; otherwise as `load_routing`.

    Args:
        data: YAML.
        file: The name that problems carry.
        deployments: By name.
        roster: The agents.
    """
    return _compile(parse_marked(data, file), deployments, roster)


def _compile(
    document: MarkedDocument, deployments: Mapping[str, Deployment], roster: Roster
) -> tuple[RoutingTable, tuple[ConfigProblem, ...]]:
    """Return the compiled document and its warnings."""
    root = document.value
    if not isinstance(root, dict):
        state = "is empty" if root is None else "must be a map of `key: value`"
        raise ConfigError([document.problem((), f"{state}; it needs version and profiles")])
    try:
        table, warnings = compile_table(root, deployments, roster)
    except InvalidTable as error:
        problems = [document.problem(each.path, each.message) for each in error.problems]
        problems.sort(key=lambda problem: (problem.line, problem.column))
        raise ConfigError(problems) from error
    return table, tuple(document.problem(each.path, each.message) for each in warnings)
