"""Going back to an earlier version of the routing file."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from time import time
from typing import TYPE_CHECKING

from ccproxy.config.loading import load_files, version_of
from ccproxy.config.problems import ConfigError, ConfigProblem
from ccproxy.config.roster import load_roster
from ccproxy.config.routing_file import parse_routing
from ccproxy.replaced_files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.config.loading import RoutingFiles
    from ccproxy.config.versions import StoredVersion, VersionStore


@dataclass(frozen=True, slots=True)
class Rollback:
    """A rollback that has been checked and may be carried out."""

    target: StoredVersion
    before: bytes
    """The routing file as it is; empty where there is none."""
    after: bytes
    """As it will be."""
    warnings: tuple[ConfigProblem, ...]
    """Of the table as it will be."""

    def diff(self, file: Path) -> str:
        """Return a unified diff; empty where the routing file would stay as it is."""
        lines = unified_diff(
            self.before.decode(errors="replace").splitlines(),
            self.after.decode(errors="replace").splitlines(),
            f"{file} (now)",
            f"{file} (version {self.target.version})",
            lineterm="",
        )
        return "\n".join(lines)


def present_version(files: RoutingFiles) -> str | None:
    """Return the version that lies in the files now, good or not; None if one is missing."""
    try:
        return version_of(files.routing_file.read_bytes(), files.roster_file.read_bytes())
    except OSError:
        return None


def plan_rollback(files: RoutingFiles, store: VersionStore, wanted: str | None) -> Rollback:
    """Return what a rollback would do.

    Args:
        files: Where the routing file and the roster are.
        store: The versions.
        wanted: A version, the beginning of one, or a table's version. None is the newest one
            whose routing file differs from the present one.

    Raises:
        ConfigError: There is no such version, or it does not go with the present roster and
            deployments any more.
        OSError: A version's file cannot be read.
    """
    before = _present(files.routing_file)
    target = _before(files, store, before) if wanted is None else _named(store, wanted)
    after = target.routing_file.read_bytes()
    roster = load_roster(files.roster_file).roster
    name = f"{files.routing_file} (version {target.version})"
    _table, warnings = parse_routing(after, name, files.deployments, roster)
    return Rollback(target, before, after, warnings)


def carry_out(files: RoutingFiles, store: VersionStore, rollback: Rollback) -> Path | None:
    """Put the version in place; a running proxy takes it up by itself.

    What lay there is kept: as a version if it is good, else in a file that is returned.

    Raises:
        ConfigError: The routing file has changed since the rollback was planned.
        OSError: Something cannot be written; the routing file is untouched.
    """
    if _present(files.routing_file) != rollback.before:
        message = "has changed meanwhile, so nothing was done. Look at it and start again."
        raise ConfigError([ConfigProblem.of_file(str(files.routing_file), message)])
    aside = _keep_present(files, store, rollback.before) if rollback.before else None
    replace_file(files.routing_file, rollback.after)
    return aside


def _keep_present(files: RoutingFiles, store: VersionStore, content: bytes) -> Path | None:
    try:
        loaded = load_files(files)
    except ConfigError:
        return store.set_aside(content)
    store.save(
        loaded.version, loaded.table.version, loaded.routing_bytes, loaded.roster_bytes, time()
    )
    return None


def _present(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _before(files: RoutingFiles, store: VersionStore, present: bytes) -> StoredVersion:
    """Return the newest version with another routing file, passing the present one by."""
    for each in store.versions():
        if each.routing_file.read_bytes() != present:
            return each
    message = (
        f"there is no earlier version of it in {store.folder}. "
        "A running proxy keeps one at its start and one at each good edit."
    )
    raise ConfigError([ConfigProblem.of_file(str(files.routing_file), message)])


def _named(store: VersionStore, wanted: str) -> StoredVersion:
    found = store.find(wanted)
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.version for each in found or store.versions()) or "none"
    what = "more than one version begins so" if found else "there is no such version"
    message = f"{wanted!r}: {what}. Versions: {names}. `ccproxy routes versions` lists them."
    raise ConfigError([ConfigProblem.of_file(str(store.folder), message)])
