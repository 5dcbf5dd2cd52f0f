"""What a proxy with these files would route by, without one that runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ccproxy.cli.checking import check_configuration
from ccproxy.config.agent_files import load_prompts
from ccproxy.config.pricing_file import prices_in, pricing_file
from ccproxy.config.problems import ConfigError
from ccproxy.pipeline.explainer import AssumedState
from routing.prompts import PromptIndex

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ccproxy.config.roster import LoadedRoster
    from ccproxy.config.settings import Settings
    from routing.types import RoutingTable


@dataclass(frozen=True, slots=True)
class OfflineRouting:
    """Files that could be served from."""

    settings: Settings
    loaded: LoadedRoster
    table: RoutingTable

    @property
    def ollama(self) -> frozenset[str]:
        """Names of the deployments that an Ollama serves."""
        return frozenset(each.name for each in self.settings.deployments if each.is_ollama)

    def state(self) -> AssumedState:
        """Return table, roster and prompts; reads the agents' files."""
        settings = self.settings
        prompts = load_prompts(self.loaded, settings.roster_file, settings.agents_folder).prompts
        roster = self.loaded.roster
        table = replace(self.table, prices=prices_in(pricing_file(settings)))
        return AssumedState(table, roster, PromptIndex.build(prompts, roster.agents))


def read_offline(path: Path, environ: Mapping[str, str]) -> OfflineRouting:
    """Return what the config at `path` and the files it names say.

    Raises:
        ConfigError: Something of it cannot be used; every problem of every file is listed.
    """
    findings = check_configuration(path, environ)
    if (
        findings.errors
        or findings.settings is None
        or findings.roster is None
        or findings.table is None
    ):
        raise ConfigError(findings.errors)
    return OfflineRouting(findings.settings, findings.roster, findings.table)
