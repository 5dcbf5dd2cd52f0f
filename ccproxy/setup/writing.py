"""Puts the files of an installation into a folder, and loses nothing that was there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ccproxy.replaced_files import OWNER_ONLY, look_at_file, replace_file

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
    """Return the files that are there with another content.

    Raises:
        OSError: What is there cannot be read, or is no regular file; then none was opened.
    """
    there = [name for name in files if look_at_file(folder / name) is not None]
    return tuple(folder / name for name in there if (folder / name).read_bytes() != files[name])


def write_files(folder: Path, files: Mapping[str, bytes]) -> Sequence[Written]:
    """Write every file; one that is there with another content becomes a backup beside it.

    Files are 0600 and folders that are made 0700. Nothing is written before every backup is.

    Args:
        folder: Made if need be.
        files: By path relative to it.

    Raises:
        OSError: Something cannot be written, or what is there is no regular file.
    """
    to_keep = in_the_way(folder, files)
    folder.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY_FOLDER)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    backups: dict[Path, Path] = {}
    for path in to_keep:
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
