"""The last good versions of the routing files, so that an edit can be taken back.

Each is two plain files in one folder, which is for the owner only:
`<time>-<version>-<table version>.routing.yaml` and the same with `.roster.json`. The routing file
is written last; a roster file without one is not a version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ccproxy.replaced_files import OWNER_ONLY, make_folder, replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.config.settings import Settings

KEPT_VERSIONS: Final = 20
FOLDER_NAME: Final = "routing-versions"
REPLACED_NAME: Final = "replaced.routing.yaml"
"""The last file that a rollback replaced although it was no good version."""

_ROUTING: Final = ".routing.yaml"
_ROSTER: Final = ".roster.json"
_TIME: Final = "%Y%m%dT%H%M%S.%fZ"
_STEM: Final = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-([0-9a-f]+)-([0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version that was in force."""

    version: str
    table_version: str
    """What decisions are recorded with; versions that differ in comments only share it."""
    saved_at: datetime
    """UTC; when it came into force last."""
    routing_file: Path
    roster_file: Path


def version_store(settings: Settings) -> VersionStore:
    """Return where a proxy with these settings keeps its versions: beside its tokens."""
    return VersionStore(settings.tokens_file.parent / FOLDER_NAME)


class VersionStore:
    """The versions in one folder; several processes may use it at once."""

    def __init__(self, folder: Path, *, keep: int = KEPT_VERSIONS) -> None:
        """`folder` is made when the first version is saved."""
        self.folder = folder
        self._keep = keep

    def save(
        self, version: str, table_version: str, routing: bytes, roster: bytes, at: float
    ) -> None:
        """Keep a version as the newest; drop what is too old.

        A version that is there already becomes the newest, so that all kept ones differ.

        Args:
            version: Of the files' bytes.
            table_version: Of the table they compile to.
            routing: The routing file's bytes.
            roster: The roster's.
            at: Unix time, seconds.

        Raises:
            OSError: It cannot be written; the versions kept so far are untouched.
        """
        present = self.versions()
        if present and present[0].version == version:
            return
        make_folder(self.folder)
        saved_at = datetime.fromtimestamp(at, UTC)
        if present:
            # Also after the clock was set back, the newest is the last.
            saved_at = max(saved_at, present[0].saved_at + timedelta(microseconds=1))
        stem = f"{saved_at.strftime(_TIME)}-{version}-{table_version}"
        replace_file(self.folder / (stem + _ROSTER), roster, mode=OWNER_ONLY)
        replace_file(self.folder / (stem + _ROUTING), routing, mode=OWNER_ONLY)
        self._prune()

    def versions(self) -> tuple[StoredVersion, ...]:
        """Return the versions, newest first, each once; none where there is no folder."""
        newest: dict[str, StoredVersion] = {}
        for each in self._files():
            newest.setdefault(each.version, each)
        return tuple(newest.values())

    def find(self, wanted: str) -> tuple[StoredVersion, ...]:
        """Return the versions that `wanted` may mean, newest first.

        That is the one whose version it is, else those whose table's version it is, else those
        whose version begins with it.
        """
        present = self.versions()
        for fits in (
            [each for each in present if each.version == wanted],
            [each for each in present if each.table_version == wanted][:1],
            [each for each in present if wanted and each.version.startswith(wanted)],
        ):
            if fits:
                return tuple(fits)
        return ()

    def set_aside(self, routing: bytes) -> Path:
        """Keep a routing file that is no good version, in place of the last such; return where.

        Raises:
            OSError: It cannot be written.
        """
        make_folder(self.folder)
        path = self.folder / REPLACED_NAME
        replace_file(path, routing, mode=OWNER_ONLY)
        return path

    def _files(self) -> list[StoredVersion]:
        """Return every version file, newest first; a version may come twice."""
        found = []
        for path in self.folder.glob(f"*{_ROUTING}"):
            match = _STEM.fullmatch(path.name.removesuffix(_ROUTING))
            if match is None:
                continue
            saved_at = datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
            roster = path.with_name(match[0] + _ROSTER)
            found.append(StoredVersion(match[2], match[3], saved_at, path, roster))
        return sorted(found, key=lambda each: each.saved_at, reverse=True)

    def _prune(self) -> None:
        kept = {each.routing_file for each in self.versions()[: self._keep]}
        for each in self._files():
            if each.routing_file not in kept:
                each.routing_file.unlink(missing_ok=True)
                each.roster_file.unlink(missing_ok=True)
