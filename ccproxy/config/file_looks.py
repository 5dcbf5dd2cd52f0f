"""Whether files have changed since somebody looked, told without reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Look: TypeAlias = tuple[int, int, int, int] | None
"""Times of modification and of change (ns), size (bytes) and inode; None where there is no file.

The inode tells of editors that write a new file in the place of the old one; the time of change, of
copies that keep the old modification time.
"""


def look_at(paths: Iterable[Path]) -> Mapping[Path, Look]:
    """Return how the files look now; links are followed."""
    return {path: _look(path) for path in paths}


def _look(path: Path) -> Look:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
