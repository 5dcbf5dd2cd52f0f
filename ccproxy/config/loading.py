"""Everything that reloads together, read from its files as one consistent whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from time import time
from typing import TYPE_CHECKING, Final

from ccproxy.config.agent_files import load_prompts
from ccproxy.config.file_looks import look_at
from ccproxy.config.pricing_file import prices_in, pricing_file
from ccproxy.config.problems import ConfigError, ConfigProblem
from ccproxy.config.roster import load_roster
from ccproxy.config.routing_file import parse_routing
from ccproxy.config.settings import routing_deployments
from ccproxy.config.yaml_marks import parse_marked
from routing.prompts import PromptIndex

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ccproxy.config.file_looks import Look
    from ccproxy.config.roster import LoadedRoster
    from ccproxy.config.settings import Settings
    from routing.types import Deployment, Roster, RoutingTable

VERSION_DIGITS: Final = 12
"""Hexadecimal digits of a version: 48 bits, enough to tell the edits of one installation apart."""
READS: Final = 3
"""How often a file is read that changes while it is read."""


@dataclass(frozen=True, slots=True)
class RoutingFiles:
    """Which files decide where requests go, and the deployments they may name."""

    roster_file: Path
    routing_file: Path
    deployments: Mapping[str, Deployment]
    """By name; these are settings and do not reload."""
    pricing_file: Path | None = None
    """Where the prices are; it may not exist."""
    agents_folder: Path | None = None
    """Where the agents' files are, besides the roster's folder."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A routing table, the roster it was checked against, and what they were read from."""

    table: RoutingTable
    roster: Roster
    version: str
    """Hash of the files' bytes; also a changed comment or roster is another version."""
    loaded_at: float
    """Unix time, seconds."""
    prompts: PromptIndex
    """The agents' own prompts, by which they are recognised."""
    routing_bytes: bytes
    roster_bytes: bytes
    looks: Mapping[Path, Look]
    """How each file looked before it was read; a change of one asks for a reload. Some may not
    exist (yet)."""
    warnings: tuple[ConfigProblem, ...] = ()


def routing_files(settings: Settings) -> RoutingFiles:
    """Return what the settings say about routing."""
    return RoutingFiles(
        settings.roster_file,
        settings.routing_file,
        routing_deployments(settings),
        pricing_file(settings),
        settings.agents_folder,
    )


def load_files(files: RoutingFiles) -> Loaded:
    """Return what the files say now.

    Raises:
        ConfigError: With every problem of all of them; what serves already should go on.
    """
    pricing = () if files.pricing_file is None else (files.pricing_file,)
    looks = look_at((files.routing_file, files.roster_file, *pricing))
    routing_bytes = _read(files.routing_file)
    try:
        roster, roster_bytes = _read_roster(files.roster_file)
    except ConfigError as error:
        # Without the agents every slug in the table would look unknown; its syntax still counts.
        raise ConfigError(
            [*error.problems, *_syntax_problems(routing_bytes, files.routing_file)]
        ) from error
    table, warnings = parse_routing(
        routing_bytes, str(files.routing_file), files.deployments, roster.roster
    )
    prompts = load_prompts(roster, files.roster_file, files.agents_folder)
    return Loaded(
        table=replace(table, prices=prices_in(files.pricing_file)),
        prompts=PromptIndex.build(prompts.prompts, roster.roster.agents),
        roster=roster.roster,
        version=version_of(routing_bytes, roster_bytes),
        loaded_at=time(),
        routing_bytes=routing_bytes,
        roster_bytes=roster_bytes,
        looks={**look_at(prompts.files.values()), **looks},
        warnings=(*roster.warnings, *warnings),
    )


def version_of(*contents: bytes) -> str:
    """Return a short hash of the contents of some files, in this order."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return digest.hexdigest()[:VERSION_DIGITS]


def _read_roster(path: Path) -> tuple[LoadedRoster, bytes]:
    """Return the roster together with the very bytes it was read from."""
    before = _read(path)
    for _ in range(READS):
        roster = load_roster(path)
        after = _read(path)
        if after == before:
            return roster, after
        before = after
    raise ConfigError([ConfigProblem(str(path), 1, 1, "", "keeps changing while it is read.")])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigError([ConfigProblem.of_file(str(path), message)]) from error


def _syntax_problems(content: bytes, path: Path) -> tuple[ConfigProblem, ...]:
    try:
        parse_marked(content, str(path))
    except ConfigError as error:
        return error.problems
    return ()
