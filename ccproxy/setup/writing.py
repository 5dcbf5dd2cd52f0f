"""Puts the files of an installation into a folder, and loses nothing that was there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ccproxy.replaced_files import OWNER_ONLY, replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OWNER_ONLY_FOLDER: Final = 0o700


class Became(StrEnum):
    """What became of one file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"
    """The old content is in the backup."""


@dataclass(frozen=True, slots=True)
class Written:
    """One file of an installation."""

    path: Path
    became: Became
    backup: Path | None = None
    """Where the file is that was there before."""


def in_the_way(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Return the files that are there with another content."""
    return tuple(
        folder / name
        for name, content in files.items()
        if (folder / name).exists() and (folder / name).read_bytes() != content
    )


def write_files(folder: Path, files: Mapping[str, bytes]) -> Sequence[Written]:
    """Write every file; one that is there with another content becomes a backup beside it.

    Files are 0600 and folders that are made 0700. Nothing is written before every backup is.

    Args:
        folder: Made if need be.
        files: By path relative to it.

    Raises:
        OSError: Something cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY_FOLDER)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    backups: dict[Path, Path] = {}
    for path in in_the_way(folder, files):
        backups[path] = _free(path, stamp)
        replace_file(backups[path], path.read_bytes(), mode=OWNER_ONLY)
    written = []
    for name, content in files.items():
        path = folder / name
        if path.exists() and path not in backups:
            written.append(Written(path, Became.UNCHANGED))
            continue
        path.parent.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY_FOLDER)
        replace_file(path, content, mode=OWNER_ONLY)
        backup = backups.get(path)
        became = Became.WRITTEN if backup is None else Became.REPLACED
        written.append(Written(path, became, backup))
    return written


def _free(path: Path, stamp: str) -> Path:
    """Return a name for a backup that nothing has yet."""
    candidate, number = path.with_name(f"{path.name}.{stamp}.bak"), 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}.{stamp}-{number}.bak")
    return candidate
