"""Everything that is wrong with a configuration, found in one go.

Used by `serve` before it binds and by `config check`. A file that cannot be used does not hide
what is wrong with the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ccproxy.auth import TokenError, list_tokens
from ccproxy.config.budgets_block import needs_prices, strange_names
from ccproxy.config.locate import expand_path
from ccproxy.config.pricing_file import prices_in, pricing_file
from ccproxy.config.problems import ConfigError, ConfigProblem
from ccproxy.config.roster import load_roster
from ccproxy.config.routing_file import load_routing
from ccproxy.config.settings import load_settings, routing_deployments
from ccproxy.config.yaml_marks import read_marked
from routing.types import Deployment, Side

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ccproxy.config.roster import LoadedRoster
    from ccproxy.config.settings import Settings
    from routing.types import RoutingTable


@dataclass(slots=True)
class Findings:
    """What a configuration comes to; the parts that could be read, and all complaints."""

    settings: Settings | None = None
    roster: LoadedRoster | None = None
    table: RoutingTable | None = None
    errors: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Where the other files are, and which deployments they may name."""

    roster_file: Path
    routing_file: Path
    deployments: Mapping[str, Deployment]


def check_configuration(
    path: Path, environ: Mapping[str, str], routing_file: Path | None = None
) -> Findings:
    """Read the settings at `path`, and the tokens file, roster and table that they name.

    Args:
        path: The `ccproxy.yaml`.
        environ: Environment variables.
        routing_file: A routing file to read instead of the one that the settings name.
    """
    findings = Findings()
    try:
        settings = load_settings(path, environ)
    except ConfigError as error:
        findings.errors.extend(error.problems)
        parts = _salvage(path, environ, routing_file)
        if parts is not None:
            _check_fleet(findings, parts)
            # Judged by a half-read file, a warning about routes would be a guess.
            findings.table = None
            findings.warnings.clear()
        return findings
    findings.settings = settings
    findings.warnings.extend(settings.warnings)
    _check_tokens(findings, settings)
    deployments = routing_deployments(settings)
    table_file = routing_file or settings.routing_file
    _check_fleet(findings, _Parts(settings.roster_file, table_file, deployments))
    _check_budgets(findings, settings)
    return findings


def usable_settings(path: Path, environ: Mapping[str, str]) -> tuple[Settings, Findings]:
    """Return the settings for a start, after a look at everything else that it needs.

    Raises:
        ConfigError: Something of it cannot be used; every problem of every file is listed.
    """
    findings = check_configuration(path, environ)
    if findings.errors or findings.settings is None:
        raise ConfigError(findings.errors)
    return findings.settings, findings


def _check_tokens(findings: Findings, settings: Settings) -> None:
    if not settings.auth_required:
        return
    try:
        list_tokens(settings.tokens_file)
    except TokenError as error:
        message = str(error).removeprefix(f"{settings.tokens_file}: ")
        findings.errors.append(ConfigProblem.of_file(str(settings.tokens_file), message))


def _check_budgets(findings: Findings, settings: Settings) -> None:
    """Look whether those exist whom budgets name, and the prices that money is counted by."""
    if findings.errors or findings.roster is None:
        return
    tokens = None
    if settings.auth_required:
        tokens = [token.name for token in list_tokens(settings.tokens_file)]
    agents = findings.roster.roster.agents
    findings.warnings.extend(strange_names(settings.path, settings.budgets, agents, tokens))
    if not needs_prices(settings.budgets):
        return
    prices = pricing_file(settings)
    try:
        is_priced = bool(prices_in(prices).prices)
    except ConfigError as error:
        findings.errors.extend(error.problems)
        return
    if not is_priced:
        message = "has no prices, and a budget counts usd; take the one that comes with ccproxy"
        findings.errors.append(ConfigProblem.of_file(str(prices), message))


def _check_fleet(findings: Findings, parts: _Parts) -> None:
    try:
        findings.roster = load_roster(parts.roster_file)
    except ConfigError as error:
        findings.errors.extend(error.problems)
        # Without the agents every slug in the table would look unknown; its syntax still counts.
        _check_syntax(findings, parts.routing_file)
        return
    findings.warnings.extend(findings.roster.warnings)
    try:
        findings.table, warnings = load_routing(
            parts.routing_file, parts.deployments, findings.roster.roster
        )
    except ConfigError as error:
        findings.errors.extend(error.problems)
    else:
        findings.warnings.extend(warnings)


def _check_syntax(findings: Findings, path: Path) -> None:
    try:
        read_marked(path)
    except ConfigError as error:
        findings.errors.extend(error.problems)


def _salvage(path: Path, environ: Mapping[str, str], routing_file: Path | None) -> _Parts | None:
    """Return what can be told of the other files from settings with errors in them."""
    path = path.absolute()
    try:
        root = read_marked(path).value
    except ConfigError:
        return None
    if not isinstance(root, dict):
        return None
    roster = root.get("roster", "orchestra-config.json")
    routing = root.get("routing", "routing.yaml")
    if not isinstance(roster, str) or not isinstance(routing, str):
        return None
    items = root.get("model_list")
    if not isinstance(items, list):
        return None  # every name in a route would look wrong
    names = [item.get("model_name") for item in items if isinstance(item, dict)]
    return _Parts(
        roster_file=expand_path(roster, path.parent, environ),
        routing_file=routing_file or expand_path(routing, path.parent, environ),
        deployments={
            name: Deployment(name, Side.OTHER, leaves_host=False)
            for name in names
            if isinstance(name, str)
        },
    )
